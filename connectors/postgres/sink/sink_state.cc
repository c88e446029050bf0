#include "postgres/sink/sink_state.h"

#include "postgres/sink/sql_text.h"
#include "support/text.h"

namespace tailwater::postgres {
namespace {

constexpr int64_t kFormat = 1;

// {0}: the schema, quoted.
constexpr std::string_view kTables = R"(
    CREATE TABLE IF NOT EXISTS {0}.sinks (
      sink text PRIMARY KEY, format bigint NOT NULL, log_id text NOT NULL DEFAULT '');
    CREATE TABLE IF NOT EXISTS {0}.offsets (
      sink text, partition integer, next_offset bigint NOT NULL, PRIMARY KEY (sink, partition));
    CREATE TABLE IF NOT EXISTS {0}.origins (
      origin bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, sink text NOT NULL,
      source text NOT NULL, source_table text NOT NULL, target_schema text NOT NULL DEFAULT '',
      target_table text NOT NULL DEFAULT '', schema_version bigint NOT NULL DEFAULT 0,
      swept_version bigint NOT NULL DEFAULT 0, deleted_version bigint NOT NULL DEFAULT 0,
      UNIQUE (sink, source, source_table));
    CREATE TABLE IF NOT EXISTS {0}.columns (
      origin bigint, name text, type text NOT NULL, since bigint NOT NULL, dropped bigint,
      PRIMARY KEY (origin, name));
    CREATE TABLE IF NOT EXISTS {0}.tombstones (
      origin bigint, key bytea, version bigint NOT NULL, deleted_at timestamptz NOT NULL,
      PRIMARY KEY (origin, key));
    CREATE INDEX IF NOT EXISTS tombstones_by_age ON {0}.tombstones (deleted_at);)";

Status MakeTables(TargetSession& session, const PostgresSinkConfig& config) {
  const std::string schema = QuotedName(config.state_schema);
  // Two sinks that start at once would both make them.
  TW_TRY(session.Begin("SELECT pg_advisory_xact_lock(hashtextextended('tailwater', 0))"));
  const auto make = [&]() -> Status {
    TW_ASSIGN_OR_RETURN(const Rows known, session.Run("SELECT FROM pg_namespace WHERE nspname = $1",
                                                      {config.state_schema}));
    if (known.empty()) TW_TRY(session.Run("CREATE SCHEMA " + schema));
    TW_TRY(session.Run(fmt::format(fmt::runtime(kTables), schema)));
    return session.Commit();
  };
  Status made = make();
  if (made) return {};
  session.Rollback();
  Error error = std::move(made).error();
  if (error.code == "pg_privilege_missing") {
    error.message += fmt::format(
        "; the sink keeps its offsets in schema {0}: as the database's owner run CREATE SCHEMA {0} "
        "AUTHORIZATION {1}, or give it another one with `state_schema:`",
        schema, QuotedName(config.server.user));
  }
  return error;
}

}  // namespace

Status PrepareState(TargetSession& session, const PostgresSinkConfig& config,
                    const std::string& sink) {
  const std::string schema = QuotedName(config.state_schema);
  TW_ASSIGN_OR_RETURN(
      const Rows tables,
      session.Run("SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
                  "WHERE n.nspname = $1 AND c.relname IN ('sinks', 'offsets', 'origins', "
                  "'columns', 'tombstones')",
                  {config.state_schema}));
  if (tables.Number(0, 0) < 5) TW_TRY(MakeTables(session, config));
  TW_ASSIGN_OR_RETURN(
      Rows known,
      session.Run(fmt::format("SELECT format FROM {}.sinks WHERE sink = $1", schema), {sink}));
  if (known.empty()) {
    TW_TRY(
        session.Run(fmt::format("INSERT INTO {}.sinks (sink, format) VALUES ($1, $2) ON CONFLICT "
                                "DO NOTHING",
                                schema),
                    {sink, std::to_string(kFormat)}));
    return {};
  }
  if (known.Number(0, 0) > kFormat) {
    return Error{Disposition::kNeedsOperator, "pg_state_newer",
                 fmt::format("the sink's tables in schema {} were written by a newer version "
                             "(format {}); run that version, or choose another state_schema",
                             schema, known.Number(0, 0))};
  }
  return {};
}

Result<TransactionalSink::Stored> ReadState(TargetSession& session,
                                            const PostgresSinkConfig& config,
                                            const std::string& sink) {
  const std::string schema = QuotedName(config.state_schema);
  // One statement: both of the same moment.
  TW_ASSIGN_OR_RETURN(
      const Rows rows,
      session.Run(fmt::format("SELECT s.log_id, o.partition, o.next_offset FROM {0}.sinks s LEFT "
                              "JOIN {0}.offsets o ON o.sink = s.sink WHERE s.sink = $1",
                              schema),
                  {sink}));
  TransactionalSink::Stored stored;
  for (int row = 0; row < rows.size(); ++row) {
    stored.log_id = rows.String(row, 0);
    if (rows.IsNull(row, 1)) continue;
    stored.offsets[static_cast<int32_t>(rows.Number(row, 1))] = rows.Number(row, 2);
  }
  return stored;
}

Result<bool> MoveOffsets(TargetSession& session, const PostgresSinkConfig& config,
                         const std::string& sink, const Offsets& expected, const Offsets& next) {
  const std::string table = QuotedName(config.state_schema) + ".offsets";
  std::string fresh, moved;
  int64_t fresh_count = 0, moved_count = 0;
  for (const auto& [partition, offset] : next) {
    const auto wanted = expected.find(partition);
    if (wanted == expected.end()) {
      fresh += fmt::format("{}({}, {}, {})", fresh.empty() ? "" : ", ", QuotedText(sink), partition,
                           offset);
      ++fresh_count;
    } else {
      moved += fmt::format("{}({}, {}::bigint, {}::bigint)", moved.empty() ? "" : ", ", partition,
                           wanted->second, offset);
      ++moved_count;
    }
  }
  if (fresh_count > 0) {
    TW_ASSIGN_OR_RETURN(const int64_t stored,
                        session.Count(fmt::format("INSERT INTO {} (sink, partition, next_offset) "
                                                  "VALUES {} ON CONFLICT DO NOTHING",
                                                  table, fresh)));
    if (stored != fresh_count) return false;
  }
  if (moved_count > 0) {
    TW_ASSIGN_OR_RETURN(
        const int64_t stored,
        session.Count(fmt::format(
            "UPDATE {} o SET next_offset = v.next FROM (VALUES {}) AS v (partition, held, next) "
            "WHERE o.sink = {} AND o.partition = v.partition AND o.next_offset = v.held",
            table, moved, QuotedText(sink))));
    if (stored != moved_count) return false;
  }
  return true;
}

Status StoreLogId(TargetSession& session, const PostgresSinkConfig& config, const std::string& sink,
                  std::string_view log_id) {
  TW_TRY(session.Run(fmt::format("UPDATE {}.sinks SET log_id = $2 WHERE sink = $1",
                                 QuotedName(config.state_schema)),
                     {sink, std::string(log_id)}));
  return {};
}

Status PruneTombstones(TargetSession& session, const PostgresSinkConfig& config,
                       const std::string& sink) {
  const std::string schema = QuotedName(config.state_schema);
  TW_TRY(session.Run(
      fmt::format("DELETE FROM {0}.tombstones WHERE ctid = ANY (ARRAY (SELECT ctid FROM "
                  "{0}.tombstones WHERE deleted_at < now() - $2::interval AND origin IN (SELECT "
                  "origin FROM {0}.origins WHERE sink = $1) ORDER BY deleted_at LIMIT 10000))",
                  schema),
      {sink, fmt::format("{} seconds", config.keep_deletes.count())}));
  return {};
}

}  // namespace tailwater::postgres
