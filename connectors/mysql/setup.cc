#include "mysql/setup.h"

#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <map>

#include "mysql/gap.h"
#include "mysql/log_began.h"
#include "mysql/sql_statement.h"
#include "support/text.h"

namespace tailwater::mysql {
namespace {

using Form = LogPosition::Form;

constexpr auto kOperator = Disposition::kNeedsOperator;
constexpr int kCommitPatienceSeconds = 5;

std::string Find(const SourceIdentity& identity, const std::string& key) {
  const auto found = identity.find(key);
  return found == identity.end() ? std::string() : found->second;
}

std::string_view FormName(Form form) {
  switch (form) {
    case Form::kMysqlGtid:
    case Form::kMariadbGtid:
      return "gtid";
    case Form::kFile:
      break;
  }
  return "file";
}

std::string_view FlavourName(Flavour flavour) {
  return flavour == Flavour::kMariadb ? "mariadb" : "mysql";
}

std::string MissingSet(const MysqlGtidSet& set) {
  return fmt::format("the transactions {} are missing", Shorten(set.ToString()));
}

// What a list of binlog_do_db or binlog_ignore_db says of a database.
bool Lists(std::string_view list, std::string_view database) {
  while (!list.empty()) {
    const std::string_view one = list.substr(0, list.find(','));
    list.remove_prefix(std::min(list.size(), one.size() + 1));
    if (one == database) return true;
  }
  return false;
}

}  // namespace

ReaderId ReaderIdFor(const MysqlConfig& config, const std::string& pipeline,
                     const std::string& source) {
  const std::string name = "tailwater " + pipeline + "/" + source;
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  SHA256(reinterpret_cast<const unsigned char*>(name.data()), name.size(), digest.data());
  Uuid uuid;
  std::copy_n(digest.begin(), uuid.bytes.size(), uuid.bytes.begin());
  uint32_t number = 0;
  for (int i = 0; i < 4; ++i) number = number << 8 | digest[static_cast<size_t>(16 + i)];
  // Far from the small numbers that servers have.
  number = 0x40000000u | (number & 0x3fffffffu);
  return {config.server_id == 0 ? number : config.server_id, uuid.ToString()};
}

std::optional<Form> FormOf(const SourceIdentity& identity) {
  const std::string flavour = Find(identity, "flavour"), positions = Find(identity, "positions");
  if (flavour == "mariadb" && positions == "gtid") return Form::kMariadbGtid;
  if (flavour == "mysql" && positions == "gtid") return Form::kMysqlGtid;
  if (flavour == "mysql" && positions == "file") return Form::kFile;
  return std::nullopt;
}

std::optional<LogPosition> ParsePosition(std::string_view text) {
  for (const Form form : {Form::kMysqlGtid, Form::kMariadbGtid, Form::kFile}) {
    if (std::optional<LogPosition> position = LogPosition::Parse(form, text)) return position;
  }
  return std::nullopt;
}

Status Setup::Look() {
  TW_ASSIGN_OR_RETURN(server_, ReadServer(sql_, config_));
  const std::vector<SettingProblem> problems = FindSettingProblems(server_);
  if (!problems.empty()) {
    std::string text;
    for (const SettingProblem& problem : problems) {
      text += fmt::format("{}{} {}: {}", text.empty() ? "" : "; ", problem.setting, problem.message,
                          problem.remedy);
    }
    return Error{kOperator, problems.front().code, text};
  }
  Result<LogStatus> status = ReadLogStatus(sql_);
  if (!status) {
    Error error = std::move(status).error();
    if (error.code == "mysql_privilege_missing") {
      TW_ASSIGN_OR_RETURN(const std::string account, ReadAccount(sql_));
      error.message +=
          fmt::format(": GRANT REPLICATION SLAVE, {} ON *.* TO {};",
                      server_.mariadb() ? "BINLOG MONITOR" : "REPLICATION CLIENT", account);
    }
    return error;
  }
  log_ = *std::move(status);
  TW_ASSIGN_OR_RETURN(identity_, ReadServerIdentity(sql_));
  TW_ASSIGN_OR_RETURN(began_,
                      ReadBegan(config_, context_, "look", identity_, log_.end.file, interrupt_));
  return {};
}

SourceIdentity Setup::Identity() const {
  SourceIdentity identity = {
      {"flavour", std::string(FlavourName(server_.flavour))},
      {"server_version", server_.version_text},
      {"positions", std::string(FormName(server_.form()))},
  };
  if (!server_.uuid.empty()) identity["server_uuid"] = server_.uuid;
  identity["log_file"] = log_.end.file;
  // Never that of another file: what a checkpoint has and we do not say stays as it was.
  identity["log_began"] = began_ ? std::to_string(*began_) : std::string();
  if (!prepared_.empty())
    identity["prepared_before"] = fmt::format("{}", fmt::join(prepared_, " "));
  return identity;
}

Result<LogPosition> Setup::Start() {
  // Before and after: one may be prepared or decided at that moment.
  TW_TRY(ReadPrepared());
  TW_ASSIGN_OR_RETURN(LogPosition now, ReadLogEnd(sql_, server_.form()));
  TW_TRY(ReadPrepared());
  return now;
}

Status Setup::ReadPrepared() {
  const Result<Rows> rows =
      sql_.Query(server_.mariadb() ? "XA RECOVER FORMAT='SQL'" : "XA RECOVER CONVERT XID");
  // MySQL: only with XA_RECOVER_ADMIN. One that is decided later is then told as unknown.
  if (!rows) return sql_.broken() ? Status(rows.error()) : Status();
  const int format = rows->Column("formatID"), first = rows->Column("gtrid_length"),
            data = rows->Column("data");
  if (format < 0 || first < 0 || data < 0) return {};
  for (int i = 0; i < rows->size(); ++i) {
    std::string name = rows->String(i, data);
    if (name.starts_with("0x")) {
      const size_t split = 2 + static_cast<size_t>(rows->MaybeNumber(i, first).value_or(0)) * 2;
      if (split > name.size()) continue;
      name = fmt::format("X'{}',X'{}',{}", name.substr(2, split - 2), name.substr(split),
                         rows->Text(i, format));
    }
    // In the log's own words.
    const std::string statement = "XA COMMIT " + name;
    std::string xid = ReadStatement({.sql = statement}, server_.flavour).xid;
    if (!xid.empty() && std::find(prepared_.begin(), prepared_.end(), xid) == prepared_.end())
      prepared_.push_back(std::move(xid));
  }
  return {};
}

Status Setup::CheckFirstStart() {
  TW_ASSIGN_OR_RETURN(const std::vector<TableEntryFacts> tables, ReadTables(sql_));
  const SelectedTables selected = SelectTables(tables, context_.tables, context_.name);
  const auto grant = [&](std::string_view database) -> Result<std::string> {
    TW_ASSIGN_OR_RETURN(const std::string account, ReadAccount(sql_));
    return fmt::format(
        "create it, correct `tables`, or let the user see it: GRANT SELECT ON {}.* TO {};",
        database, account);
  };
  if (!selected.unmatched.empty()) {
    const std::string& first = selected.unmatched.front();
    TW_ASSIGN_OR_RETURN(const std::string remedy,
                        grant(Connection::QuoteName(first.substr(0, first.find('.')))));
    return Error{kOperator, "mysql_table_missing",
                 fmt::format("no table {}: {}", fmt::join(selected.unmatched, ", "), remedy)};
  }
  if (selected.tables.empty()) {
    TW_ASSIGN_OR_RETURN(const std::string remedy, grant("database"));
    return Error{kOperator, "mysql_table_missing",
                 "`tables` selects no table of this server: " + remedy};
  }
  for (const TableEntryFacts* table : selected.tables) {
    const std::string& database = table->name.schema;
    const bool left_out = Lists(log_.ignore_databases, database) ||
                          (!log_.do_databases.empty() && !Lists(log_.do_databases, database));
    if (left_out) {
      return Error{
          kOperator, "mysql_database_not_logged",
          fmt::format("database '{}' is not logged (binlog_do_db, binlog_ignore_db): {}", database,
                      FileRemedy(server_, "binlog_do_db and binlog_ignore_db",
                                 "nothing that leaves it out"))};
    }
  }
  return {};
}

bool Setup::SameServer(const SourceIdentity& identity) const {
  return Find(identity, "server_uuid") == server_.uuid;
}

Status Setup::CheckSameServer(const SourceIdentity& identity) {
  if (Find(identity, "flavour") == FlavourName(server_.flavour) && SameServer(identity)) return {};
  return Error{Disposition::kGap, "mysql_other_server",
               "the first start was begun on another server: correct the address, or give the "
               "pipeline an empty topic"};
}

Result<LogPosition> Setup::CheckResume(const SourceIdentity& identity,
                                       const std::string& frontier) {
  const std::optional<Form> form = FormOf(identity);
  std::optional<LogPosition> position;
  if (form) position = LogPosition::Parse(*form, frontier);
  if (!position) {
    return Error{Disposition::kFatal, "mysql_checkpoint_malformed",
                 fmt::format("the checkpoint's position '{}' is none of a MySQL or MariaDB server: "
                             "the state belongs to another kind of source",
                             Shorten(frontier))};
  }
  if (Find(identity, "flavour") != FlavourName(server_.flavour)) {
    return Gap("mysql_other_server",
               fmt::format("this is a server of another kind ({}, the checkpoint's is {}): correct "
                           "the address",
                           server_.Name(), Find(identity, "server_version")),
               fmt::format("changes behind {} cannot be had here", Shorten(frontier)));
  }
  // Nothing is lost yet: the log that we read is still there.
  if (*form == Form::kMysqlGtid && server_.form() == Form::kFile) {
    return Error{
        kOperator, "mysql_gtid_mode",
        fmt::format("the source resumes by GTIDs, but gtid_mode is {} now: switch it back with SET "
                    "GLOBAL gtid_mode = 'ON' (in steps: OFF_PERMISSIVE, ON_PERMISSIVE, ON); what "
                    "was written without GTIDs meanwhile can only be had by a new start: tailwater "
                    "destroy, then run",
                    server_.gtid_mode)};
  }
  const std::string before = Find(identity, "prepared_before");
  for (std::string_view rest = before; !rest.empty();) {
    const std::string_view one = rest.substr(0, rest.find(' '));
    rest.remove_prefix(std::min(rest.size(), one.size() + 1));
    prepared_.emplace_back(one);
  }
  TW_TRY(CheckLogContinues(identity, *position));
  switch (*form) {
    case Form::kMysqlGtid:
      TW_TRY(CheckMysqlSets(identity, *position));
      break;
    case Form::kMariadbGtid:
      TW_TRY(CheckMariadbDomains(identity, *position));
      break;
    case Form::kFile:
      TW_TRY(CheckFile(identity, *position));
      break;
  }
  if (!SameServer(identity)) {
    context_.logger.Warn("another server of the same history answers: going on there",
                         {{"server", server_.uuid},
                          {"before", Find(identity, "server_uuid")},
                          {"version", server_.Name()}});
  }
  return *std::move(position);
}

// RESET lets file names and transaction numbers begin anew: both agree again one day. When a file
// was begun does not.
Status Setup::CheckLogContinues(const SourceIdentity& identity, const LogPosition& position) {
  const std::string before = Find(identity, "log_file");
  if (before.empty() || !SameServer(identity)) return {};
  const auto base = [](std::string_view file) { return file.substr(0, file.rfind('.')); };
  if (base(before) != base(log_.end.file)) return {};  // log_bin was given another name
  const std::string missing =
      fmt::format("changes behind {} cannot be had", Shorten(position.ToString()));
  if (FilePosition{log_.end.file, 4}.Before(FilePosition{before, 4})) {
    return Gap("mysql_log_reset",
               fmt::format("the server writes {} now, but had written {} already: its log was "
                           "reset (RESET BINARY LOGS AND GTIDS, RESET MASTER), or it was restored "
                           "from a backup",
                           log_.end.file, before),
               missing);
  }
  const std::string began = Find(identity, "log_began");
  if (began.empty() || server_.uuid.empty())
    return {};  // MariaDB before 10.9: any server is the same
  std::optional<int64_t> found = began_;
  if (before != log_.end.file) {
    TW_ASSIGN_OR_RETURN(found, ReadBegan(config_, context_, "look", identity_, before, interrupt_));
  }
  if (!found || std::to_string(*found) == began) return {};
  return Gap("mysql_log_reset",
             fmt::format("{} is not the file that we know by this name, it was begun at another "
                         "time: the log was reset (RESET BINARY LOGS AND GTIDS, RESET MASTER), or "
                         "it was restored from a backup",
                         before),
             missing);
}

Error Setup::Behind(const SourceIdentity& identity, const std::string& lacks,
                    bool nothing_in_common, const LogPosition& position) {
  const bool same = SameServer(identity);
  if (nothing_in_common && !same) {
    return Gap("mysql_other_server",
               fmt::format("this server ({}) knows nothing of what was read from the checkpoint's "
                           "({}): correct the address",
                           server_.uuid, Find(identity, "server_uuid")),
               fmt::format("changes behind {} cannot be had here", Shorten(position.ToString())));
  }
  if (IsRunningReplica(sql_)) {
    return Error{Disposition::kRetry, "mysql_replica_behind",
                 fmt::format("this replica has not yet applied {}, which we have read already; "
                             "waiting until it has caught up",
                             Shorten(lacks))};
  }
  return Gap("mysql_behind_checkpoint",
             fmt::format("the server lacks {}, which we have read already: {}", Shorten(lacks),
                         same ? "it was reset, or restored from an older backup"
                              : "it was promoted without it, is of another history, or lags"),
             fmt::format("what it wrote instead cannot be told from what we have; changes behind "
                         "{} are missing",
                         Shorten(position.ToString())));
}

Result<MysqlGtidSet> Setup::WaitForExecuted(const MysqlGtidSet& wanted) {
  // A commit is in the log, and with us, before it is in gtid_executed.
  TW_TRY(sql_.Query(fmt::format("SELECT WAIT_FOR_EXECUTED_GTID_SET({}, {})",
                                sql_.QuoteLiteral(wanted.ToString()), kCommitPatienceSeconds)));
  TW_ASSIGN_OR_RETURN(const LogPosition now, ReadLogEnd(sql_, Form::kMysqlGtid));
  return now.mysql();
}

Status Setup::CheckMysqlSets(const SourceIdentity& identity, const LogPosition& position) {
  const MysqlGtidSet& read = position.mysql();
  TW_ASSIGN_OR_RETURN(const LogPosition end, ReadLogEnd(sql_, Form::kMysqlGtid));
  MysqlGtidSet executed = end.mysql();
  if (!executed.Contains(read)) {
    TW_ASSIGN_OR_RETURN(executed, WaitForExecuted(read));
  }
  if (!executed.Contains(read)) {
    MysqlGtidSet lacks = read;
    lacks.Remove(executed);
    return Behind(identity, lacks.ToString(), lacks == read, position);
  }
  TW_ASSIGN_OR_RETURN(MysqlGtidSet purged, ReadPurged(sql_));
  const MysqlGtidSet from = position.ReadFrom().mysql();
  if (from.Contains(purged)) return {};
  purged.Remove(from);
  return Gap("mysql_purged",
             "the server has purged files of its log that we had not read yet (or its gtid_purged "
             "was set by hand)",
             MissingSet(purged));
}

Status Setup::CheckMariadbDomains(const SourceIdentity& identity, const LogPosition& position) {
  TW_ASSIGN_OR_RETURN(const std::vector<MariadbGtid> state, ReadBinlogState(sql_));
  TW_ASSIGN_OR_RETURN(const Rows applied_row, sql_.Query("SELECT @@GLOBAL.gtid_slave_pos"));
  const auto applied = MariadbGtidState::Parse(applied_row.Text(0, 0)).value_or(MariadbGtidState());
  std::string lacks;
  bool known = false;  // something that we read is in its log
  for (const auto& [domain, gtid] : position.mariadb().domains()) {
    bool in_log = false, has_it = false;
    for (const MariadbGtid& last : state) {
      if (last.domain != domain) continue;
      in_log = true;
      known = known || last.server == gtid.server;
      has_it = has_it || (last.server == gtid.server && last.sequence >= gtid.sequence);
    }
    // A replica that has not written a log of that domain yet.
    if (!in_log) {
      const auto found = applied.domains().find(domain);
      has_it = found != applied.domains().end() && found->second.sequence >= gtid.sequence;
    }
    known = known || has_it;
    if (has_it) continue;
    lacks += (lacks.empty() ? "" : ",") + gtid.ToString();
  }
  if (!lacks.empty()) return Behind(identity, lacks, !known, position);

  TW_ASSIGN_OR_RETURN(const std::vector<LogFile> files, ReadLogFiles(sql_));
  if (files.empty()) return {};
  TW_ASSIGN_OR_RETURN(const std::optional<LogPosition> oldest,
                      ReadStartOf(sql_, files.front().name, Form::kMariadbGtid));
  const LogPosition from = position.ReadFrom();
  if (!oldest || from.Contains(*oldest)) return {};
  return Gap("mysql_purged", "the server has purged files of its log that we had not read yet",
             fmt::format("the transactions between {} and {} are missing", Shorten(from.ToString()),
                         Shorten(oldest->ToString())));
}

Status Setup::CheckFile(const SourceIdentity& identity, const LogPosition& position) {
  const FilePosition from = position.ReadFrom().file();
  if (!SameServer(identity)) {
    return Gap("mysql_other_server",
               fmt::format("this is another server (server_uuid {}, the checkpoint's is {}), and "
                           "without GTIDs its log cannot be compared with that one's: correct the "
                           "address",
                           server_.uuid, Find(identity, "server_uuid")),
               fmt::format("changes behind {} cannot be had here", from.ToString()));
  }
  TW_ASSIGN_OR_RETURN(const std::vector<LogFile> files, ReadLogFiles(sql_));
  const auto found = std::find_if(files.begin(), files.end(),
                                  [&](const LogFile& file) { return file.name == from.file; });
  if (found == files.end()) {
    const std::string oldest = files.empty() ? std::string("none") : files.front().name;
    if (!files.empty() && from.Before(FilePosition{oldest, 4})) {
      return Gap(
          "mysql_purged",
          fmt::format("the server has purged {}, which we had not read to its end", from.file),
          fmt::format("changes between {} and {}:4 are missing", from.ToString(), oldest));
    }
    return Gap("mysql_log_reset",
               fmt::format("the server has no file {} in its log (its oldest is {}): its log was "
                           "reset, or it was restored from a backup",
                           from.file, oldest),
               fmt::format("changes behind {} cannot be had", from.ToString()));
  }
  if (found->size < from.offset) {
    return Gap("mysql_log_reset",
               fmt::format("{} ends at {}, before our position: its log was reset or cut off, or "
                           "it was restored from a backup",
                           from.file, found->size),
               fmt::format("changes behind {} cannot be had", from.ToString()));
  }
  return {};
}

}  // namespace tailwater::mysql
