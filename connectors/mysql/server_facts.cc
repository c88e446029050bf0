#include "mysql/server_facts.h"

#include <algorithm>
#include <charconv>
#include <map>

#include "support/text.h"

namespace tailwater::mysql {
namespace {

using Form = LogPosition::Form;

std::string Upper(std::string_view text) {
  std::string upper(text);
  for (char& c : upper) c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  return upper;
}

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  return lower;
}

template <class T>
std::optional<T> Number(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end == text.data()) return std::nullopt;
  return value;
}

// SHOW VARIABLES leaves out what the server does not have.
class Variables {
 public:
  explicit Variables(const Rows& rows) {
    for (int i = 0; i < rows.size(); ++i) values_[Lower(rows.Text(i, 0))] = rows.String(i, 1);
  }
  std::string Text(const std::string& name) const {
    const auto found = values_.find(name);
    return found == values_.end() ? std::string() : found->second;
  }
  bool Has(const std::string& name) const { return values_.contains(name); }
  bool On(const std::string& name) const {
    const std::string text = Upper(Text(name));
    return text == "ON" || text == "1" || text == "YES";
  }

 private:
  std::map<std::string, std::string> values_;
};

bool Contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

Provider GuessProvider(const Variables& variables, const std::string& host) {
  if (variables.Has("aurora_version")) return Provider::kAurora;
  if (Contains(host, ".rds.amazonaws.com"))
    return Contains(host, ".cluster-") ? Provider::kAurora : Provider::kRds;
  if (variables.Text("basedir").starts_with("/rdsdbbin") ||
      variables.Text("datadir").starts_with("/rdsdbdata"))
    return Provider::kRds;
  const std::string comment = Lower(variables.Text("version_comment"));
  if (Contains(comment, "google") || Contains(variables.Text("datadir"), "/cloudsql"))
    return Provider::kCloudSql;
  if (Contains(comment, "azure") || host.ends_with(".mysql.database.azure.com") ||
      host.ends_with(".mariadb.database.azure.com"))
    return Provider::kAzure;
  return Provider::kSelf;
}

// Files go when they are older than this.
std::optional<int64_t> ExpireSeconds(const Variables& variables, Provider provider) {
  // These remove files by a rule of their own ("binlog retention hours"), whatever is set here.
  if (provider == Provider::kRds || provider == Provider::kAurora) return std::nullopt;
  if (variables.Has("binlog_expire_logs_auto_purge") &&
      !variables.On("binlog_expire_logs_auto_purge"))
    return std::nullopt;
  const int64_t seconds = Number<int64_t>(variables.Text("binlog_expire_logs_seconds")).value_or(0);
  if (seconds > 0) return seconds;
  const double days = Number<double>(variables.Text("expire_logs_days")).value_or(0);
  if (days > 0) return static_cast<int64_t>(days * 86400);
  return std::nullopt;
}

// The statement that this version knows; some versions and forks know only the other one.
Result<Rows> QueryEither(Connection& sql, bool first, const std::string& one,
                         const std::string& other) {
  Result<Rows> rows = sql.Query(first ? one : other);
  if (rows || sql.broken() || !Contains(rows.error().message, "1064")) return rows;
  return sql.Query(first ? other : one);
}

constexpr const char* kSystemSchemas =
    "('mysql', 'information_schema', 'performance_schema', 'sys', 'ndbinfo')";

constexpr const char* kLogOff = "is OFF: the server writes no log that could be read";

Error Unreadable(std::string_view what) {
  return Error{Disposition::kFatal, "mysql_protocol_error",
               fmt::format("{} cannot be read; report this with the server's version", what)};
}

}  // namespace

LogPosition::Form ServerFacts::form() const {
  if (mariadb()) return Form::kMariadbGtid;
  return gtid_mode == "ON" ? Form::kMysqlGtid : Form::kFile;
}

std::string ServerFacts::Name() const {
  return fmt::format("{} {}.{}.{}", mariadb() ? "MariaDB" : "MySQL", version / 10000,
                     version / 100 % 100, version % 100);
}

Result<ServerFacts> ReadServer(Connection& sql, const MysqlConfig& config) {
  TW_ASSIGN_OR_RETURN(
      const Rows rows,
      sql.Query(
          "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('server_uuid', 'server_uid', 'server_id', "
          "'log_bin', 'binlog_format', 'binlog_row_image', 'binlog_row_metadata', 'gtid_mode', "
          "'binlog_row_value_options', "
          "'log_replica_updates', 'log_slave_updates', 'read_only', 'binlog_expire_logs_seconds', "
          "'expire_logs_days', 'binlog_expire_logs_auto_purge', 'max_binlog_total_size', "
          "'max_binlog_size', 'innodb_native_foreign_keys', 'lower_case_table_names', "
          "'version_comment', 'basedir', 'datadir', 'aurora_version', 'time_zone')"));
  const Variables variables(rows);
  ServerFacts facts;
  facts.flavour = sql.flavour();
  facts.version = sql.server_version();
  facts.version_text = sql.server_version_text();
  facts.provider = GuessProvider(variables, config.host);
  facts.uuid = variables.Text(facts.mariadb() ? "server_uid" : "server_uuid");
  facts.server_id = Number<uint32_t>(variables.Text("server_id")).value_or(0);
  facts.log_bin = variables.On("log_bin");
  facts.binlog_format = Upper(variables.Text("binlog_format"));
  facts.row_image = Upper(variables.Text("binlog_row_image"));
  facts.partial_json = Contains(Upper(variables.Text("binlog_row_value_options")), "PARTIAL_JSON");
  facts.row_metadata = Upper(variables.Text("binlog_row_metadata"));
  facts.gtid_mode = Upper(variables.Text("gtid_mode"));
  facts.log_updates = Upper(variables.Text(
      variables.Has("log_replica_updates") ? "log_replica_updates" : "log_slave_updates"));
  facts.read_only = variables.On("read_only");
  facts.expire_seconds = ExpireSeconds(variables, facts.provider);
  if (const auto most = Number<uint64_t>(variables.Text("max_binlog_total_size"));
      most && *most > 0)
    facts.max_log_bytes = most;
  facts.max_file_bytes = Number<uint64_t>(variables.Text("max_binlog_size")).value_or(0);
  facts.native_foreign_keys =
      !variables.Has("innodb_native_foreign_keys") || variables.On("innodb_native_foreign_keys");
  facts.lower_case_table_names = Number<int>(variables.Text("lower_case_table_names")).value_or(0);
  facts.time_zone = variables.Text("time_zone");
  return facts;
}

Result<std::vector<LogFile>> ReadLogFiles(Connection& sql) {
  TW_ASSIGN_OR_RETURN(const Rows rows, sql.Query("SHOW BINARY LOGS"));
  const int name = rows.Column("Log_name"), size = rows.Column("File_size"),
            encrypted = rows.Column("Encrypted");
  if (!rows.empty() && (name < 0 || size < 0)) return Unreadable("SHOW BINARY LOGS");
  constexpr uint64_t kEncryptionHeader = 512;
  std::vector<LogFile> files;
  for (int i = 0; i < rows.size(); ++i) {
    LogFile file{rows.String(i, name),
                 static_cast<uint64_t>(rows.MaybeNumber(i, size).value_or(0))};
    if (encrypted >= 0 && rows.Text(i, encrypted) == "Yes" && file.size > kEncryptionHeader)
      file.size -= kEncryptionHeader;
    files.push_back(std::move(file));
  }
  return files;
}

Result<std::string> ReadServerIdentity(Connection& sql) {
  TW_ASSIGN_OR_RETURN(
      const Rows rows,
      sql.Query("SELECT CONCAT_WS(' ', @@hostname, @@port, @@server_id, @@datadir)"));
  return rows.String(0, 0);
}

Result<LogStatus> ReadLogStatus(Connection& sql) {
  const bool mariadb = sql.flavour() == Flavour::kMariadb;
  TW_ASSIGN_OR_RETURN(const Rows rows, QueryEither(sql, !mariadb && sql.server_version() >= 80200,
                                                   "SHOW BINARY LOG STATUS", "SHOW MASTER STATUS"));
  if (rows.empty()) {
    return Error{Disposition::kNeedsOperator, "mysql_log_off",
                 "the server writes no binary log: set log_bin in its configuration file and "
                 "restart it"};
  }
  const int file = rows.Column("File"), position = rows.Column("Position");
  if (file < 0 || position < 0) return Unreadable("the position of the binary log");
  LogStatus status;
  status.end = {rows.String(0, file),
                static_cast<uint64_t>(rows.MaybeNumber(0, position).value_or(0))};
  if (const int column = rows.Column("Binlog_Do_DB"); column >= 0)
    status.do_databases = rows.String(0, column);
  if (const int column = rows.Column("Binlog_Ignore_DB"); column >= 0)
    status.ignore_databases = rows.String(0, column);
  return status;
}

Result<LogPosition> ReadLogEnd(Connection& sql, Form form) {
  if (form == Form::kFile) {
    TW_ASSIGN_OR_RETURN(const LogStatus status, ReadLogStatus(sql));
    return LogPosition(status.end);
  }
  TW_ASSIGN_OR_RETURN(const Rows rows,
                      sql.Query(form == Form::kMysqlGtid ? "SELECT @@GLOBAL.gtid_executed"
                                                         : "SELECT @@GLOBAL.gtid_binlog_pos"));
  std::optional<LogPosition> end = LogPosition::Parse(form, rows.Text(0, 0));
  if (!end) return Unreadable("the server's set of transactions");
  return *std::move(end);
}

Result<MysqlGtidSet> ReadPurged(Connection& sql) {
  TW_ASSIGN_OR_RETURN(const Rows rows, sql.Query("SELECT @@GLOBAL.gtid_purged"));
  std::optional<MysqlGtidSet> purged = MysqlGtidSet::Parse(rows.Text(0, 0));
  if (!purged) return Unreadable("gtid_purged");
  return *std::move(purged);
}

Result<std::optional<LogPosition>> ReadStartOf(Connection& sql, const std::string& file,
                                               Form form) {
  if (form == Form::kMariadbGtid) {
    TW_ASSIGN_OR_RETURN(const Rows rows, sql.Query(fmt::format("SELECT BINLOG_GTID_POS({}, 4)",
                                                               sql.QuoteLiteral(file))));
    if (rows.IsNull(0, 0)) return std::optional<LogPosition>();
    return LogPosition::Parse(form, rows.Text(0, 0));
  }
  if (form == Form::kFile) return std::optional<LogPosition>(LogPosition(FilePosition{file, 4}));
  TW_ASSIGN_OR_RETURN(const Rows rows, sql.Query(fmt::format("SHOW BINLOG EVENTS IN {} LIMIT 3",
                                                             sql.QuoteLiteral(file))));
  const int type = rows.Column("Event_type"), info = rows.Column("Info");
  for (int i = 0; type >= 0 && info >= 0 && i < rows.size(); ++i) {
    if (rows.Text(i, type) == "Previous_gtids") return LogPosition::Parse(form, rows.Text(i, info));
  }
  return std::optional<LogPosition>();
}

Result<std::vector<MariadbGtid>> ReadBinlogState(Connection& sql) {
  TW_ASSIGN_OR_RETURN(const Rows rows, sql.Query("SELECT @@GLOBAL.gtid_binlog_state"));
  std::vector<MariadbGtid> state;
  std::string_view rest = rows.Text(0, 0);
  while (!rest.empty()) {
    const std::string_view one = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), one.size() + 1));
    const std::optional<MariadbGtid> gtid = MariadbGtid::Parse(one);
    if (!gtid) return Unreadable("gtid_binlog_state");
    state.push_back(*gtid);
  }
  return state;
}

bool IsRunningReplica(Connection& sql) {
  const bool mariadb = sql.flavour() == Flavour::kMariadb;
  const Result<Rows> rows = mariadb ? sql.Query("SHOW ALL SLAVES STATUS")
                                    : QueryEither(sql, sql.server_version() >= 80022,
                                                  "SHOW REPLICA STATUS", "SHOW SLAVE STATUS");
  if (!rows) return false;
  int running = rows->Column("Replica_SQL_Running");
  if (running < 0) running = rows->Column("Slave_SQL_Running");
  for (int i = 0; running >= 0 && i < rows->size(); ++i) {
    if (rows->Text(i, running) == "Yes") return true;
  }
  return false;
}

Result<std::vector<TableEntryFacts>> ReadTables(Connection& sql, const TableName* only) {
  TW_ASSIGN_OR_RETURN(
      const Rows rows,
      sql.Query(fmt::format(
          "SELECT TABLE_SCHEMA, TABLE_NAME, ENGINE, TABLE_ROWS, DATA_LENGTH, TABLE_TYPE FROM "
          "information_schema.TABLES WHERE TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED') AND "
          "TABLE_SCHEMA NOT IN {}{} ORDER BY TABLE_SCHEMA, TABLE_NAME",
          kSystemSchemas,
          only == nullptr
              ? std::string()
              : fmt::format(" AND TABLE_SCHEMA = {} AND TABLE_NAME = {}",
                            sql.QuoteLiteral(only->schema), sql.QuoteLiteral(only->name)))));
  std::vector<TableEntryFacts> tables(static_cast<size_t>(rows.size()));
  for (int i = 0; i < rows.size(); ++i) {
    TableEntryFacts& table = tables[static_cast<size_t>(i)];
    table.name = {rows.String(i, 0), rows.String(i, 1)};
    table.quoted =
        Connection::QuoteName(table.name.schema) + "." + Connection::QuoteName(table.name.name);
    table.engine = rows.String(i, 2);
    if (const auto number = rows.MaybeNumber(i, 3))
      table.rows = static_cast<uint64_t>(std::max<int64_t>(0, *number));
    if (const auto number = rows.MaybeNumber(i, 4))
      table.bytes = static_cast<uint64_t>(std::max<int64_t>(0, *number));
    table.system_versioned = rows.Text(i, 5) == "SYSTEM VERSIONED";
  }
  return tables;
}

SelectedTables SelectTables(const std::vector<TableEntryFacts>& all,
                            const TableSelection& selection, const std::string& source) {
  SelectedTables selected;
  for (const TableEntryFacts& table : all) {
    if (selection.Selects(source, table.name.ToString())) selected.tables.push_back(&table);
  }
  for (const TableEntry& entry : selection.entries()) {
    if (entry.match.has_wildcard() || (!entry.match.source.empty() && entry.match.source != source))
      continue;
    const bool found = std::any_of(all.begin(), all.end(), [&](const TableEntryFacts& table) {
      return entry.match.Matches(source, table.name.ToString());
    });
    if (!found) selected.unmatched.push_back(entry.match.glob);
  }
  return selected;
}

Grants::Grants(const Rows& rows) {
  for (int i = 0; i < rows.size(); ++i) {
    std::string_view line = rows.Text(i, 0);
    if (!line.starts_with("GRANT ")) continue;
    line.remove_prefix(6);
    const size_t on = line.find(" ON ");
    if (on == std::string_view::npos) {
      has_roles_ = true;
      continue;
    }
    if (!line.substr(on + 4).starts_with("*.* TO ")) continue;
    std::string_view list = line.substr(0, on);
    while (!list.empty()) {
      std::string_view one = list.substr(0, list.find(','));
      list.remove_prefix(std::min(list.size(), one.size() + 1));
      while (one.starts_with(' ')) one.remove_prefix(1);
      global_.insert(Upper(one));
    }
  }
}

bool Grants::HasGlobal(std::string_view privilege) const {
  return global_.contains("ALL PRIVILEGES") || global_.contains("ALL") ||
         global_.contains(privilege);
}

Result<Grants> ReadGrants(Connection& sql) {
  TW_ASSIGN_OR_RETURN(const Rows rows, sql.Query("SHOW GRANTS"));
  return Grants(rows);
}

Result<std::string> ReadAccount(Connection& sql) {
  TW_ASSIGN_OR_RETURN(const Rows rows, sql.Query("SELECT CURRENT_USER()"));
  const std::string_view account = rows.Text(0, 0);
  const size_t at = account.rfind('@');
  if (at == std::string_view::npos) return std::string(account);
  return sql.QuoteLiteral(account.substr(0, at)) + "@" + sql.QuoteLiteral(account.substr(at + 1));
}

std::string SettingRemedy(const ServerFacts& server, std::string_view name,
                          std::string_view value) {
  switch (server.provider) {
    case Provider::kRds:
      return fmt::format(
          "aws rds modify-db-parameter-group --db-parameter-group-name GROUP --parameters "
          "ParameterName={},ParameterValue={},ApplyMethod=immediate  -- of a group of your own: a "
          "default one cannot be changed",
          name, value);
    case Provider::kAurora:
      return fmt::format(
          "aws rds modify-db-cluster-parameter-group --db-cluster-parameter-group-name GROUP "
          "--parameters ParameterName={},ParameterValue={},ApplyMethod=pending-reboot  -- of a "
          "group of your own, then reboot the writer",
          name, value);
    case Provider::kCloudSql:
      return fmt::format(
          "gcloud sql instances patch INSTANCE --database-flags={}={}  -- with all other flags "
          "that are set: it replaces the list",
          name, value);
    case Provider::kAzure:
      return fmt::format(
          "az mysql flexible-server parameter set --resource-group GROUP --server-name SERVER "
          "--name {} --value {}",
          name, value);
    case Provider::kSelf:
      break;
  }
  if (value.empty()) {
    return fmt::format(
        "SET GLOBAL {0} = '';  -- and take {0} out of the server's configuration file", name);
  }
  return fmt::format(
      "SET GLOBAL {0} = '{1}';  -- and {0} = {1} under [mysqld] in the server's "
      "configuration file",
      name, value);
}

std::string FileRemedy(const ServerFacts& server, std::string_view name, std::string_view value) {
  if (server.provider != Provider::kSelf) return SettingRemedy(server, name, value);
  return fmt::format("put {} = {} under [mysqld] in the server's configuration file and restart it",
                     name, value);
}

std::vector<SettingProblem> FindSettingProblems(const ServerFacts& server) {
  std::vector<SettingProblem> problems;
  if (server.version < (server.mariadb() ? 100500 : 80001)) {
    problems.push_back(
        {"mysql_version", "version",
         fmt::format("is {}: its log does not name columns", server.Name()),
         server.mariadb() ? "upgrade to MariaDB 10.5 or later" : "upgrade to MySQL 8.0 or later"});
    return problems;
  }
  if (!server.log_bin) {
    std::string remedy;
    switch (server.provider) {
      case Provider::kRds:
        remedy =
            "switch automated backups on: aws rds modify-db-instance "
            "--db-instance-identifier INSTANCE --backup-retention-period 1";
        break;
      case Provider::kAurora:
        remedy = SettingRemedy(server, "binlog_format", "ROW");
        break;
      case Provider::kCloudSql:
        remedy = "gcloud sql instances patch INSTANCE --enable-bin-log";
        break;
      case Provider::kAzure:
      case Provider::kSelf:
        // One restart for everything.
        remedy = fmt::format(
            "put log_bin = binlog{}{} and server_id = 1 (another number than any other server's) "
            "under [mysqld] in the server's configuration file and restart it",
            server.binlog_format == "ROW" ? "" : ", binlog_format = ROW",
            server.row_metadata == "FULL" ? "" : ", binlog_row_metadata = FULL");
        return {{"mysql_log_off", "log_bin", kLogOff, remedy}};
    }
    problems.push_back({"mysql_log_off", "log_bin", kLogOff, remedy});
  }
  // Aurora's log is switched on by its format.
  if (server.binlog_format != "ROW" && (server.log_bin || server.provider != Provider::kAurora)) {
    problems.push_back(
        {"mysql_statement_format", "binlog_format",
         fmt::format("is {}: rows are changed by statements that the log holds instead of them",
                     server.binlog_format),
         SettingRemedy(server, "binlog_format", "ROW") +
             "\n-- sessions that are open keep theirs: let the applications connect again"});
  }
  if (server.row_metadata != "FULL") {
    problems.push_back(
        {"mysql_metadata_missing", "binlog_row_metadata",
         fmt::format("is {}: rows in the log do not name their columns, labels and key",
                     server.row_metadata),
         SettingRemedy(server, "binlog_row_metadata", "FULL")});
  }
  return problems;
}

}  // namespace tailwater::mysql
