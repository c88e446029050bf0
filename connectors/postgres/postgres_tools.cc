#include "postgres/postgres_tools.h"

#include <algorithm>

#include "postgres/server_facts.h"
#include "support/text.h"

namespace tailwater::postgres {
namespace {

constexpr int64_t kMegabyte = 1024 * 1024;
// Less than a segment is the normal distance of a slot that keeps up.
constexpr int64_t kWorthExplaining = 16 * kMegabyte;

std::optional<uint64_t> MaybeLsnNumber(const Rows& rows, int row, int column) {
  if (rows.IsNull(row, column)) return std::nullopt;
  const std::optional<Lsn> lsn = Lsn::Parse(rows.Text(row, column));
  if (!lsn) return std::nullopt;
  return lsn->value;
}

std::optional<uint64_t> Distance(std::optional<uint64_t> from, std::optional<uint64_t> to) {
  if (!from || !to) return std::nullopt;
  return *to > *from ? *to - *from : 0;
}

constexpr const char* kLogEnd =
    "case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_flush_lsn() "
    "end";

}  // namespace

std::string PostgresTools::SlotPrefix() const {
  return fmt::format("tailwater_{}__", context_.pipeline);
}
std::string PostgresTools::TagPrefix() const {
  return fmt::format("tailwater pipeline={} source=", context_.pipeline);
}

Result<Connection*> PostgresTools::Session() {
  if (session_ == nullptr || session_->broken()) {
    session_.reset();
    TW_ASSIGN_OR_RETURN(
        session_,
        Connection::Open(config_, Connection::Kind::kSql,
                         fmt::format("tailwater {}/{} ops", context_.pipeline, context_.name), {}));
  }
  return session_.get();
}

Result<Rows> PostgresTools::Ask(const std::string& sql,
                                const std::vector<std::string>& parameters) {
  const Connection::Wait wait{.timeout = std::chrono::seconds(10)};
  const bool fresh = session_ == nullptr;
  TW_ASSIGN_OR_RETURN(Connection * session, Session());
  Result<Rows> rows = session->Query(sql, parameters, wait);
  if (rows || fresh || rows.error().code == "pg_timeout" || !session->broken()) return rows;
  TW_ASSIGN_OR_RETURN(session, Session());
  return session->Query(sql, parameters, wait);
}

Result<std::vector<Finding>> PostgresTools::Check() { return CheckServer(config_, context_); }

Result<std::vector<TableDescription>> PostgresTools::DescribeTables() {
  return postgres::DescribeTables(config_, context_);
}

Result<LogHealth> PostgresTools::Watch() {
  Result<LogHealth> health = Look();
  if (!health) session_.reset();
  return health;
}

Result<LogHealth> PostgresTools::Look() {
  TW_ASSIGN_OR_RETURN(Connection * session, Session());
  const int version = session->major_version();
  LogHealth health;
  TW_ASSIGN_OR_RETURN(
      const Rows rows,
      Ask(fmt::format("select {}, s.slot_name is not null, s.restart_lsn, s.confirmed_flush_lsn, "
                      "s.active, r.sent_lsn, {}, {}, {} from (select) o "
                      "left join pg_replication_slots s on s.slot_name = $1 "
                      "left join pg_stat_replication r on r.pid = s.active_pid",
                      kLogEnd, version >= 13 ? "s.wal_status" : "null",
                      version >= 13 ? "s.safe_wal_size" : "null",
                      version >= 17 ? "s.invalidation_reason" : "null"),
          {names_.slot}));
  health.server_end_bytes = MaybeLsnNumber(rows, 0, 0);
  if (health.server_end_bytes) health.server_end = Position{rows.String(0, 0)};
  if (!rows.Bool(0, 1)) {
    health.state = "missing";
    health.explanation =
        fmt::format("slot '{}' does not exist: nothing holds the log for us", names_.slot);
    return health;
  }
  const std::optional<uint64_t> restart = MaybeLsnNumber(rows, 0, 2);
  health.confirmed_bytes = MaybeLsnNumber(rows, 0, 3);
  health.active = rows.Bool(0, 4);
  health.received_bytes = MaybeLsnNumber(rows, 0, 5);
  health.state = rows.String(0, 6);
  if (const auto safe = rows.MaybeNumber(0, 7))
    health.safe_bytes = static_cast<uint64_t>(std::max<int64_t>(*safe, 0));
  const std::string reason = rows.String(0, 8);
  if (health.state == "lost" || !reason.empty()) {
    // Its positions mean nothing any more; arithmetic on them would look healthy.
    health.state = "lost";
    health.explanation = fmt::format(
        "slot '{}' was invalidated ({}): set `on_gap: resnapshot`, or take a new start: "
        "tailwater destroy, then run",
        names_.slot, reason.empty() ? "its log was removed" : reason);
    health.confirmed_bytes.reset();
    health.received_bytes.reset();
    health.safe_bytes.reset();
    return health;
  }
  health.retained_bytes = health.restart_lag_bytes = Distance(restart, health.server_end_bytes);
  health.confirmed_lag_bytes = Distance(health.confirmed_bytes, health.server_end_bytes);

  const auto large = [](const std::optional<uint64_t>& bytes) {
    return bytes && *bytes > static_cast<uint64_t>(kWorthExplaining);
  };
  if (large(health.confirmed_lag_bytes)) {
    health.explanation =
        *health.active
            ? fmt::format("{} MB are not yet confirmed: still being read, or waiting for the topic",
                          *health.confirmed_lag_bytes / kMegabyte)
            : fmt::format("nobody reads slot '{}': is the pipeline running?", names_.slot);
  } else if (large(health.restart_lag_bytes)) {
    // Read, but a restart of decoding needs the log from the oldest open transaction on.
    TW_ASSIGN_OR_RETURN(const std::string open, DescribeOpenTransactions(*session));
    health.explanation =
        open.empty() ? "all is confirmed; the server lets go of the log after its next checkpoint"
                     : "held by open transactions: " + open;
  }
  return health;
}

Result<Position> PostgresTools::LogEnd() {
  TW_ASSIGN_OR_RETURN(const Rows rows, Ask(fmt::format("select {}", kLogEnd)));
  return Position{rows.String(0, 0)};
}

Result<bool> PostgresTools::HasReached(const Position& frontier, const Position& target) {
  const std::optional<Lsn> at = Lsn::Parse(frontier.text);
  const std::optional<Lsn> goal = Lsn::Parse(target.text);
  if (!at || !goal) {
    return Error{Disposition::kFatal, "pg_checkpoint_malformed",
                 fmt::format("'{}' or '{}' is no LSN: is the state of another kind of source?",
                             frontier.text, target.text)};
  }
  return *at >= *goal;
}

Result<std::vector<OwnedObject>> PostgresTools::ListOwned() {
  std::vector<OwnedObject> owned;
  TW_ASSIGN_OR_RETURN(
      const Rows slots,
      Ask(fmt::format("select slot_name, active, coalesce(pg_size_pretty(pg_wal_lsn_diff({}, "
                      "restart_lsn)), '0 bytes') from pg_replication_slots where database = "
                      "current_database() and (left(slot_name, length($1)) = $1 or slot_name = $2) "
                      "order by 1",
                      kLogEnd),
          {SlotPrefix(), config_.slot.create ? names_.slot : SlotPrefix()}));
  for (int i = 0; i < slots.size(); ++i) {
    if (!config_.slot.create && slots.Text(i, 0) == names_.slot) continue;  // somebody else's
    owned.push_back(
        {"slot", slots.String(i, 0),
         fmt::format("holds {} of WAL{}", slots.Text(i, 2), slots.Bool(i, 1) ? ", in use" : ""),
         slots.Text(i, 0) != names_.slot});
  }
  TW_ASSIGN_OR_RETURN(
      const Rows publications,
      Ask("select pubname, obj_description(p.oid, 'pg_publication'), (select count(*) from "
          "pg_publication_rel where prpubid = p.oid) from pg_publication p where "
          "left(obj_description(p.oid, 'pg_publication'), length($1)) = $1 order by 1",
          {TagPrefix()}));
  for (int i = 0; i < publications.size(); ++i) {
    owned.push_back({"publication", publications.String(i, 0),
                     fmt::format("{} tables", publications.Text(i, 2)),
                     publications.Text(i, 1) != names_.tag});
  }
  return owned;
}

Status PostgresTools::Drop(const OwnedObject& object) {
  TW_ASSIGN_OR_RETURN(const std::vector<OwnedObject> owned, ListOwned());
  bool found = false;
  for (const OwnedObject& candidate : owned)
    found = found || (candidate.kind == object.kind && candidate.name == object.name);
  if (!found) return {};  // gone already, or never ours
  TW_ASSIGN_OR_RETURN(Connection * session, Session());
  if (object.kind == "slot") {
    TW_TRY(Ask("select pg_drop_replication_slot($1)", {object.name}));
  } else {
    TW_TRY(Ask(fmt::format("drop publication {}", session->QuoteName(object.name))));
  }
  TW_ASSIGN_OR_RETURN(const std::vector<OwnedObject> left, ListOwned());
  for (const OwnedObject& candidate : left) {
    if (candidate.kind == object.kind && candidate.name == object.name) {
      return Error{
          Disposition::kRetry, "pg_drop_failed",
          fmt::format("{} '{}' is still there after it was dropped; look who makes it again",
                      object.kind, object.name)};
    }
  }
  return {};
}

}  // namespace tailwater::postgres
