#include "mysql/change_decoder.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "mysql/group_spool.h"
#include "mysql/group_tables.h"
#include "mysql/kept_rows.h"
#include "mysql/row_changes.h"
#include "mysql/statement_effects.h"
#include "mysql/wire_bytes.h"
#include "support/text.h"

namespace tailwater::mysql {
namespace {

using Kind = SqlStatement::Kind;

constexpr uint64_t kNoTable = 0xFFFFFF;  // of an event that only ends a statement
constexpr uint16_t kStatementEnd = 1;
constexpr size_t kMostUndone = 1000;  // groups that are remembered to have been undone

// Two-phase ALTER of MariaDB: what does not take effect.
constexpr uint8_t kStartAlter = 2;
constexpr uint8_t kRollbackAlter = 8;

Error Malformed(std::string_view what) {
  return {
      Disposition::kFatal, "mysql_group_malformed",
      fmt::format("{}; nothing was skipped: compare with `SHOW BINLOG EVENTS` on the server, and "
                  "report it with the server's version",
                  what)};
}

Error XaUnknown() {
  return {
      Disposition::kGap, "mysql_xa_unknown",
      "an XA transaction was committed that was prepared before our start, so its rows were not "
      "read: copy the tables again"};
}

Error GtidMode() {
  return {
      Disposition::kNeedsOperator, "mysql_gtid_mode",
      "a transaction without a GTID is in a log that is read by GTID: SET GLOBAL gtid_mode = ON "
      "(over ON_PERMISSIVE, once no anonymous transaction is under way)"};
}

}  // namespace

struct ChangeDecoder::Impl {
  // The group that is being read.
  struct Group {
    bool open = false;
    bool skip = false;            // it was handed on before
    bool in_transaction = false;  // BEGIN was met: it ends with a commit, else with its statement
    bool holding = false;         // rows go to the spool
    bool begun = false;           // `out` has its Begin()
    GroupId id;
    int64_t commit_time_micros = 0;
    uint8_t alter_phase = 0;
    uint64_t next_ordinal = 0;
  };
  // An XA transaction that waits for its outcome.
  struct Prepared {
    std::unique_ptr<KeptRows> rows;
    GroupId id;
    LogFormat format;
  };

  Impl(Options given, CatalogFacts& catalog)
      : options(std::move(given)),
        budget{options.scratch_dir, options.spool_above_bytes},
        tables(options.selects_table, options.values, catalog),
        effects(options.selects_table, catalog),
        kept(std::make_unique<KeptRows>(budget)) {}

  Status Decode(std::string_view packet);
  Status Handle(const Event& event);

  Status StartGroup(const Event& event);
  template <class Id>
  Status OpenGroup(const Id& id, int64_t commit_time_micros);
  Status OnQuery(const Event& event);
  Status OnLoad(const Event& event);
  Status OnStatement(const QueryEvent& query);
  Status Begin();
  Status Commit();
  Status RollBack();
  Status Prepare(const Event& event);
  Status Outcome(const SqlStatement& statement);
  Status Forgive(std::string_view xid);
  Status Apply(const SqlStatement& statement);
  Status Truncate(const TableName& table);
  Status Replaced(const TableName& table, std::string_view why);
  Status OnPayload(const Event& event);
  Status OnFragment(const Event& event);
  Status OnTableMap(const Event& event);
  Status OnRows(const Event& event);
  Result<uint64_t> CountRows(const Event& event, const MappedTable* table);
  Status Keep(const Event& event, const GroupTables::Entry& entry);
  Status EmitRows(const Event& event, const LogFormat& format, const MappedTable& table);
  Status Release(KeptRows& rows, const LogFormat& format);
  Status EnsureBegun(const GroupId& id);
  Status EndGroup();
  Status Undone();
  void Close();

  bool IsDuplicate(const GroupId& id);
  Result<Event> Plain(const Event& event, const LogFormat& format);
  // Errors of `out` go back as they are.
  Status Hand(Status status) {
    if (!status) handed_error = true;
    return status;
  }
  Flavour flavour() const { return reader.format().flavour; }
  bool by_file() const { return position.form() == LogPosition::Form::kFile; }

  const Options options;
  SpoolBudget budget;
  EventReader reader;
  GroupTables tables;
  StatementEffects effects;
  LogPosition position{MysqlGtidSet()};
  DecodedChanges* out = nullptr;  // of the call
  bool handed_error = false;
  bool saw_heartbeat = false;
  int64_t last_commit_micros = 0;

  Group group;
  FilePosition group_at;  // without GTIDs: where the next group begins
  std::unique_ptr<KeptRows> kept;
  std::map<std::string, Prepared, std::less<>> prepared;  // by xid
  std::set<std::string, std::less<>> forgiven;
  std::vector<GroupId> undone;  // groups to keep until their end when they come again
  // MariaDB: domains of which the server sends again what was read, and the last of that.
  std::map<uint32_t, MariadbGtid> repeated;

  PayloadReader payload;
  std::string fragments;  // of one rows event
  uint32_t next_fragment = 1;
  ChangeBatch batch;
  std::string sql, plain, id_text;
};

ChangeDecoder::ChangeDecoder(Options options, CatalogFacts& facts)
    : impl_(std::make_unique<Impl>(std::move(options), facts)) {}

ChangeDecoder::~ChangeDecoder() = default;

void ChangeDecoder::Reset(LogPosition position) {
  Impl& d = *impl_;
  d.position = std::move(position);
  const LogPosition from = d.position.ReadFrom();
  d.reader.Reset(d.by_file() ? std::optional(from.file()) : std::nullopt);
  d.Close();
  d.group = {};
  d.tables.Reset();
  d.prepared.clear();
  d.saw_heartbeat = false;
  d.repeated.clear();
  if (d.position.form() == LogPosition::Form::kMariadbGtid) {
    for (const auto& [domain, last] : d.position.mariadb().domains()) {
      const MariadbGtid* const start = from.mariadb().Find(domain);
      if (start == nullptr || *start != last) d.repeated.emplace(domain, last);
    }
  }
}

void ChangeDecoder::FoldNames(bool fold) { impl_->effects.FoldNames(fold); }

void ChangeDecoder::ForgivePrepared(const std::vector<std::string>& xids) {
  impl_->forgiven.insert(xids.begin(), xids.end());
}

bool ChangeDecoder::between_groups() const { return !impl_->group.open; }
const LogPosition& ChangeDecoder::position() const { return impl_->position; }
const FilePosition& ChangeDecoder::place() const { return impl_->reader.place(); }
int64_t ChangeDecoder::commit_time_micros() const { return impl_->last_commit_micros; }
std::vector<std::string> ChangeDecoder::undecided_xids() const {
  std::vector<std::string> xids;
  for (const auto& [xid, waits] : impl_->prepared) xids.push_back(xid);
  return xids;
}
bool ChangeDecoder::saw_heartbeat() const { return impl_->saw_heartbeat; }

Status ChangeDecoder::Decode(std::string_view packet, DecodedChanges& out) {
  Impl& d = *impl_;
  d.out = &out;
  d.handed_error = false;
  Status status = d.Decode(packet);
  if (status || d.handed_error || !d.group.open) return status;
  return std::move(status).error().Within(
      fmt::format("transaction {}, row {}", ToString(d.group.id), d.group.next_ordinal));
}

Status ChangeDecoder::Impl::Decode(std::string_view packet) {
  if (!group.open && by_file()) group_at = reader.place();
  TW_ASSIGN_OR_RETURN(const Event event, reader.Read(packet));
  saw_heartbeat = event.type == EventType::kHeartbeat || event.type == EventType::kHeartbeatV2;
  return Handle(event);
}

Status ChangeDecoder::Impl::Handle(const Event& event) {
  if (!event.known) return {};
  switch (event.type) {
    case EventType::kTableMap:
      return OnTableMap(event);
    case EventType::kWriteRowsV1:
    case EventType::kUpdateRowsV1:
    case EventType::kDeleteRowsV1:
    case EventType::kWriteRowsV2:
    case EventType::kUpdateRowsV2:
    case EventType::kDeleteRowsV2:
    case EventType::kPartialUpdateRows:
    case EventType::kWriteRowsCompressedV1:
    case EventType::kUpdateRowsCompressedV1:
    case EventType::kDeleteRowsCompressedV1:
      return OnRows(event);
    case EventType::kPartialRowData:
      return OnFragment(event);
    case EventType::kQuery:
    case EventType::kQueryCompressed:
      return OnQuery(event);
    case EventType::kXid:
      return Commit();
    case EventType::kGtid:
    case EventType::kAnonymousGtid:
    case EventType::kGtidTagged:
    case EventType::kMariadbGtid:
      return StartGroup(event);
    case EventType::kXaPrepare:
      return Prepare(event);
    case EventType::kTransactionPayload:
      return OnPayload(event);
    case EventType::kExecuteLoadQuery:
      return OnLoad(event);
    case EventType::kFormatDescription:
      // A group that the server's crash cut off is no group.
      return reader.format().server_restarted && group.open ? Undone() : Status();
    case EventType::kIncident:
      return Error{Disposition::kGap, "mysql_incident",
                   "the server says that it lost events of its log (an INCIDENT event): what is "
                   "missing can only be had by copying the tables again"};
    // What stands between groups, or beside statements: it changes no rows.
    case EventType::kStop:
    case EventType::kRotate:
    case EventType::kIntvar:
    case EventType::kRand:
    case EventType::kUserVar:
    case EventType::kAppendBlock:
    case EventType::kDeleteFile:
    case EventType::kBeginLoadQuery:
    case EventType::kHeartbeat:
    case EventType::kHeartbeatV2:
    case EventType::kIgnorable:
    case EventType::kRowsQuery:
    case EventType::kPreviousGtids:
    case EventType::kTransactionContext:
    case EventType::kViewChange:
    case EventType::kAnnotateRows:
    case EventType::kBinlogCheckpoint:
    case EventType::kMariadbGtidList:
    case EventType::kStartEncryption:
      return {};
  }
  return Malformed(fmt::format("event {} has no meaning here", EventName(event.type)));
}

// --- groups ---

bool ChangeDecoder::Impl::IsDuplicate(const GroupId& id) {
  const auto* const gtid = std::get_if<MariadbGtid>(&id);
  if (gtid == nullptr) return position.Contains(id);
  // Sequences of a domain need not grow (gtid_strict_mode = OFF): what counts is what the server
  // was asked for.
  const MariadbGtid* const last = position.mariadb().Find(gtid->domain);
  if (last != nullptr && *last == *gtid) {
    repeated.erase(gtid->domain);
    return position.Contains(id);
  }
  return repeated.contains(gtid->domain) &&
         std::find(position.undecided().begin(), position.undecided().end(), id) ==
             position.undecided().end();
}

template <class Id>
Status ChangeDecoder::Impl::OpenGroup(const Id& id, int64_t commit_time_micros) {
  if (group.open) return Malformed("a transaction begins inside of another");
  GroupId last = std::move(group.id);
  group = {};
  group.open = true;
  group.id = std::move(last);
  group.id = id;  // into the memory of the last one
  group.skip = IsDuplicate(group.id);
  group.commit_time_micros = commit_time_micros;
  return {};
}

Status ChangeDecoder::Impl::StartGroup(const Event& event) {
  TW_ASSIGN_OR_RETURN(const GroupStart start,
                      event.type == EventType::kMariadbGtid  ? ParseMariadbGtid(event)
                      : event.type == EventType::kGtidTagged ? ParseGtidTagged(event)
                                                             : ParseGtid(event));
  const int64_t time = start.commit_time_micros != 0 ? start.commit_time_micros
                                                     : int64_t{event.timestamp} * 1'000'000;
  switch (position.form()) {
    case LogPosition::Form::kMysqlGtid:
      if (start.mariadb) return Malformed("MariaDB's GTIDs are in a log that is MySQL's");
      if (!start.mysql) return GtidMode();
      TW_TRY(OpenGroup(*start.mysql, time));
      break;
    case LogPosition::Form::kMariadbGtid:
      if (!start.mariadb) return Malformed("MySQL's GTIDs are in a log that is MariaDB's");
      TW_TRY(OpenGroup(*start.mariadb, time));
      break;
    case LogPosition::Form::kFile:
      TW_TRY(OpenGroup(group_at, time));
      break;
  }
  group.alter_phase = start.alter_phase;
  if (start.mariadb && !start.standalone) {
    group.in_transaction = group.holding = true;
  }
  return {};
}

// MySQL's BEGIN, or a server of before GTIDs.
Status ChangeDecoder::Impl::Begin() {
  if (group.in_transaction) return Malformed("BEGIN stands inside of a transaction");
  group.in_transaction = true;
  group.holding = std::find(undone.begin(), undone.end(), group.id) != undone.end();
  return {};
}

void ChangeDecoder::Impl::Close() {
  group.open = false;
  kept->Clear();
  tables.EndStatement();
  fragments.clear();
  next_fragment = 1;
}

// The group is decided; what it holds is handed on.
Status ChangeDecoder::Impl::EndGroup() {
  if (!group.skip) {
    if (!kept->empty()) TW_TRY(Release(*kept, reader.format()));
    position.Pass(group.id, reader.place());
    last_commit_micros = group.commit_time_micros;
    TW_TRY(Hand(group.begun ? out->Commit(position) : out->Passed(position)));
  }
  Close();
  return {};
}

Status ChangeDecoder::Impl::Commit() {
  if (!group.in_transaction || !group.open)
    return Malformed("a commit stands outside of a transaction");
  return EndGroup();
}

Status ChangeDecoder::Impl::RollBack() {
  if (!group.in_transaction || !group.open) {
    return Malformed("a rollback stands outside of a transaction");
  }
  if (group.begun) return Undone();
  kept->Clear();
  return EndGroup();
}

// What was read of the open group is void. If some of it was handed on, the run has to end.
Status ChangeDecoder::Impl::Undone() {
  if (!group.begun || group.skip) {
    Close();
    return {};
  }
  if (undone.size() >= kMostUndone) undone.erase(undone.begin());
  undone.push_back(group.id);
  return Error{Disposition::kRetry, "mysql_group_undone",
               "a transaction that was being handed on was undone: reading it again"};
}

// --- XA ---

Status ChangeDecoder::Impl::Prepare(const Event& event) {
  if (!group.in_transaction || !group.open) {
    return Malformed("an XA transaction is prepared that did not begin");
  }
  TW_ASSIGN_OR_RETURN(XaPrepareEvent prepare, ParseXaPrepare(event));
  if (group.skip || prepare.one_phase) return EndGroup();
  if (group.begun)
    return Malformed("rows of an XA transaction were handed on before it was decided");
  prepared.insert_or_assign(std::move(prepare.xid),
                            Prepared{std::move(kept), group.id, reader.format()});
  kept = std::make_unique<KeptRows>(budget);
  position.PassUndecided(group.id, reader.place());
  Close();
  return Hand(out->Passed(position));
}

Status ChangeDecoder::Impl::Outcome(const SqlStatement& statement) {
  if (group.in_transaction)
    return Malformed("the outcome of an XA transaction stands inside another");
  if (group.skip) return EndGroup();
  const auto found = prepared.find(statement.xid);
  if (found == prepared.end()) {
    // One that held no rows is not in the log. One that was rolled back is nothing to us.
    if (statement.kind == Kind::kXaCommit && !statement.one_phase) TW_TRY(Forgive(statement.xid));
    return EndGroup();
  }
  Prepared& prepare = found->second;
  if (statement.kind == Kind::kXaCommit && !prepare.rows->empty()) {
    std::swap(group.id, prepare.id);  // its rows go under its own name
    TW_TRY(Release(*prepare.rows, prepare.format));
    std::swap(group.id, prepare.id);
  }
  position.Decide(prepare.id);
  prepared.erase(found);
  return EndGroup();
}

Status ChangeDecoder::Impl::Forgive(std::string_view xid) {
  const auto found = forgiven.find(xid);
  if (found == forgiven.end()) return XaUnknown();
  forgiven.erase(found);
  if (!options.captured_tables) return {};
  TW_ASSIGN_OR_RETURN(const std::vector<TableName> captured, options.captured_tables());
  for (const TableName& table : captured) {
    TW_TRY(Replaced(table, "XA COMMIT of what was prepared before the start"));
  }
  return {};
}

// --- statements ---

Status ChangeDecoder::Impl::OnQuery(const Event& event) {
  TW_ASSIGN_OR_RETURN(const QueryEvent query, ParseQuery(event, sql));
  // A server without GTIDs, or one whose log was written without: a group begins with its BEGIN.
  if (!group.open) {
    if (!by_file()) return Malformed("a statement stands outside of any transaction");
    TW_TRY(OpenGroup(group_at, int64_t{event.timestamp} * 1'000'000));
  }
  if (query.sql == "BEGIN") return Begin();
  if (query.sql == "COMMIT") return Commit();
  return OnStatement(query);
}

// A LOAD DATA in statement format: a query with thirteen bytes about its file in front of the
// status variables.
Status ChangeDecoder::Impl::OnLoad(const Event& event) {
  constexpr size_t kHead = 13, kFile = 13;
  if (event.body.size() < kHead + kFile) return Malformed("a LOAD DATA is cut off");
  plain.assign(event.body.substr(0, kHead)).append(event.body.substr(kHead + kFile));
  Event query = event;
  query.type = EventType::kQuery;
  query.body = plain;
  return OnQuery(query);
}

Status ChangeDecoder::Impl::OnStatement(const QueryEvent& query) {
  TW_ASSIGN_OR_RETURN(SqlStatement statement, effects.Read(query, flavour()));
  switch (statement.kind) {
    case Kind::kBegin:
      return Begin();
    case Kind::kCommit:
      return Commit();
    case Kind::kRollback:
      return RollBack();
    case Kind::kSavepoint: {
      if (group.skip) return {};
      if (!group.in_transaction) return Malformed("a savepoint stands outside of a transaction");
      group.holding = true;
      kept->SetSavepoint(std::move(statement.name));
      return {};
    }
    case Kind::kRollbackTo:
      return group.skip ? Status() : kept->RollBackTo(statement.name);
    case Kind::kReleaseSavepoint:
      return {};  // its place stays known, which is harmless
    case Kind::kXaStart:
      TW_TRY(Begin());
      group.holding = true;
      return {};
    case Kind::kXaEnd:
      return {};
    case Kind::kXaPrepare:
      return Malformed("XA PREPARE stands in the log as a statement");
    case Kind::kXaCommit:
    case Kind::kXaRollback:
      return Outcome(statement);
    case Kind::kNothing:
    case Kind::kTruncate:
    case Kind::kSchemaChange:
    case Kind::kRowsByStatement:
    case Kind::kUnknown:
      break;
  }
  const bool takes_effect =
      !group.skip && group.alter_phase != kStartAlter && group.alter_phase != kRollbackAlter;
  if (takes_effect) TW_TRY(Apply(statement));
  return group.in_transaction ? Status() : EndGroup();
}

Status ChangeDecoder::Impl::Apply(const SqlStatement& statement) {
  TW_ASSIGN_OR_RETURN(const StatementEffects::Effects effect, effects.Of(statement));
  if (effect.described_anew) tables.AskAgain();
  for (const auto& [table, why] : effect.replaced) TW_TRY(Replaced(table, why));
  for (const TableName& table : effect.truncated) TW_TRY(Truncate(table));
  if (statement.kind == Kind::kTruncate) ++group.next_ordinal;
  return {};
}

Status ChangeDecoder::Impl::Replaced(const TableName& table, std::string_view why) {
  if (group.begun) return Malformed("a table is replaced behind rows of the same transaction");
  return Hand(out->RowsReplaced(table, why));
}

Status ChangeDecoder::Impl::Truncate(const TableName& table) {
  if (group.holding) return Malformed("TRUNCATE stands inside of a transaction");
  SchemaPtr schema = tables.SchemaOf(table);
  if (schema == nullptr && options.describe_table) {
    TW_ASSIGN_OR_RETURN(schema, options.describe_table(table));
  }
  // It is gone by now, or somebody makes it anew: there is nothing to describe it by.
  if (schema == nullptr) return Replaced(table, "TRUNCATE TABLE");
  TW_TRY(EnsureBegun(group.id));
  batch.Clear();
  Change& change = batch.Append();
  change.operation = Operation::kTruncate;
  change.schema = schema.get();
  change.table = schema->table();
  change.ordinal = group.next_ordinal;
  return Hand(out->Append(batch.changes()));
}

// --- rows ---

// A whole transaction in one event. In memory is one of the events in it at a time.
Status ChangeDecoder::Impl::OnPayload(const Event& event) {
  if (!group.open) return Malformed("a transaction payload stands outside of any transaction");
  if (group.skip) {
    Close();
    return {};
  }
  TW_TRY(payload.Begin(event));
  while (true) {
    TW_ASSIGN_OR_RETURN(const std::optional<std::string_view> bytes, payload.Next());
    if (!bytes) break;
    if (!group.open) return Malformed("a transaction payload goes on behind its commit");
    std::string_view rest = *bytes;
    TW_ASSIGN_OR_RETURN(const Event inner, reader.ReadInner(rest));
    TW_TRY(Handle(inner));
  }
  return group.open ? Malformed("a transaction payload ends without a commit") : Status();
}

// MariaDB: a rows event in pieces. Each has the size of all, its number from 1, flags, and the
// first one may have the size of the event.
Status ChangeDecoder::Impl::OnFragment(const Event& event) {
  constexpr uint8_t kHasEventSize = 1;
  std::string_view rest = event.body;
  uint32_t total = 0, number = 0;
  uint64_t event_size = 0;
  uint8_t flags = 0;
  if (!TakeInt(rest, total) || !TakeInt(rest, number) || !TakeInt(rest, flags) ||
      ((flags & kHasEventSize) != 0 && !TakeInt(rest, event_size))) {
    return Malformed("a piece of a rows event is cut off");
  }
  if (!group.open || number != next_fragment || number > total) {
    return Malformed("pieces of a rows event are not in order");
  }
  if (!group.skip) fragments.append(rest);
  if (next_fragment++ < total) return {};
  next_fragment = 1;
  if (group.skip) return {};
  const std::string whole = std::exchange(fragments, {});
  rest = whole;
  TW_ASSIGN_OR_RETURN(const Event joined, reader.ReadInner(rest));
  if (!rest.empty()) return Malformed("pieces make more than one rows event");
  return OnRows(joined);
}

Status ChangeDecoder::Impl::OnTableMap(const Event& event) {
  if (!group.open || !group.in_transaction) {
    return Malformed("a table is described outside of a transaction");
  }
  if (group.skip) return {};
  return tables.Add(event, reader.format());
}

// What a compressed event stands for.
Result<Event> ChangeDecoder::Impl::Plain(const Event& event, const LogFormat& format) {
  if (event.type != EventType::kWriteRowsCompressedV1 &&
      event.type != EventType::kUpdateRowsCompressedV1 &&
      event.type != EventType::kDeleteRowsCompressedV1) {
    return event;
  }
  return Uncompress(event, format, plain);
}

Status ChangeDecoder::Impl::OnRows(const Event& event) {
  if (!group.open || !group.in_transaction) return Malformed("rows stand outside of a transaction");
  if (group.skip) return {};
  std::string_view head = event.body;
  uint64_t id = 0;
  uint16_t flags = 0;
  if (!TakeInt(head, reader.format().table_id_bytes, id) || !TakeInt(head, flags)) {
    return Malformed("a rows event is cut off");
  }
  const GroupTables::Entry* const entry = tables.Find(id);
  if (entry == nullptr) {
    if (id != kNoTable) return Malformed("rows came of a table that was not described");
  } else if (group.holding) {
    TW_TRY(Keep(event, *entry));
  } else if (entry->selected) {
    TW_ASSIGN_OR_RETURN(const Event rows, Plain(event, reader.format()));
    TW_TRY(EmitRows(rows, reader.format(), *entry->table));
  } else {
    TW_ASSIGN_OR_RETURN(const uint64_t count, CountRows(event, entry->table.get()));
    group.next_ordinal += count;
  }
  if ((flags & kStatementEnd) != 0) tables.EndStatement();
  return {};
}

Result<uint64_t> ChangeDecoder::Impl::CountRows(const Event& event, const MappedTable* table) {
  if (table == nullptr) return uint64_t{1};
  TW_ASSIGN_OR_RETURN(const Event rows, Plain(event, reader.format()));
  TW_ASSIGN_OR_RETURN(const RowsHead head, RowsHead::Parse(rows, reader.format()));
  uint64_t count = 0;
  for (RowReader row(head, *table); !row.done(); ++count) TW_TRY(row.Skip());
  return count;
}

Status ChangeDecoder::Impl::Keep(const Event& event, const GroupTables::Entry& entry) {
  if (entry.selected) return kept->Add(event, entry.table);
  TW_ASSIGN_OR_RETURN(const uint64_t count, CountRows(event, entry.table.get()));
  return kept->AddPassed(count);
}

Status ChangeDecoder::Impl::EmitRows(const Event& event, const LogFormat& format,
                                     const MappedTable& table) {
  TW_ASSIGN_OR_RETURN(RowChanges rows, RowChanges::Open(event, format, table));
  while (!rows.done()) {
    batch.Clear();
    TW_TRY(rows.Next(group.next_ordinal, batch));
    ++group.next_ordinal;
    if (batch.changes().empty()) continue;
    if (!group.begun) TW_TRY(EnsureBegun(group.id));
    TW_TRY(Hand(out->Append(batch.changes())));
  }
  return {};
}

Status ChangeDecoder::Impl::Release(KeptRows& rows, const LogFormat& format) {
  KeptRows::Rows one;
  for (rows.Rewind();;) {
    TW_ASSIGN_OR_RETURN(const bool more, rows.Next(one));
    if (!more) return {};
    group.next_ordinal += one.passed;
    if (one.table == nullptr) continue;
    TW_ASSIGN_OR_RETURN(const Event event, Plain(one.event, format));
    TW_TRY(EmitRows(event, format, *one.table));
  }
}

Status ChangeDecoder::Impl::EnsureBegun(const GroupId& id) {
  id_text.clear();
  AppendTo(id, id_text);
  TW_TRY(Hand(out->Begin({.position = id_text, .commit_time_micros = group.commit_time_micros})));
  group.begun = true;
  return {};
}

}  // namespace tailwater::mysql
