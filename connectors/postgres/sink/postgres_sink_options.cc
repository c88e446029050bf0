#include "postgres/sink/postgres_sink_options.h"

#include "support/snapshot_key.h"
#include "support/text.h"

namespace tailwater::postgres {

using namespace std::chrono_literals;

const OptionTable& PostgresSinkOptions() {
  using C = PostgresSinkConfig;
  static const OptionTable kOwn = {
      Field("schema", &C::schema,
            "Schema of all tables; empty: each has the schema (MySQL: the database) that it has in "
            "its source. Made if it can be."),
      Field("state_schema", &C::state_schema,
            "Schema of the sink's own tables: offsets, known tables, deleted keys. Several sinks "
            "may share it."),
      Field("transactional", &C::transactional,
            "true: readers of the target see whole transactions of the source, or nothing of them. "
            "For pipelines of one source."),
      Field("fire_triggers", &C::fire_triggers,
            "false: triggers and foreign keys of the target's tables do not fire for the sink "
            "(session_replication_role = replica; needs the right to set it)."),
      Field("lock_timeout", &C::lock_timeout,
            "Longest wait for a lock that somebody else holds; then the batch is tried again."),
      Field("write_timeout", &C::write_timeout,
            "Longest single statement; beyond it the session is given up and the batch comes "
            "again."),
      Field("keep_deletes", &C::keep_deletes,
            "How long the keys of deleted rows are remembered, so that a change that comes late "
            "brings none back. At least as long as the topic keeps changes."),
  };
  static const OptionTable kOptions = [] {
    OptionTable all = Inlined(&C::server, PostgresServerOptions());
    all.insert(all.end(), kOwn.begin(), kOwn.end());
    return all;
  }();
  return kOptions;
}

const OptionTable& PostgresTableOptionsTable() {
  using C = PostgresTableOptions;
  static const OptionTable kOptions = {
      Field("table", &C::table,
            "Name in the target, as name or schema.name, instead of the table's own. A table that "
            "exists is taken as it is; what it lacks is named with the SQL to run.")};
  return kOptions;
}

void ValidatePostgresSink(const PostgresSinkConfig& config,
                          const TableRules<PostgresTableOptions>& rules, const ConfigNode& section,
                          Problems& problems) {
  ValidatePostgresServer(config.server, section, problems);
  const auto add = [&](std::string_view key, std::string_view message) {
    const ConfigNode* node = section.Find(key);
    problems.Add(node != nullptr ? node->location : section.location,
                 fmt::format("{}.{}: {}", section.path, key, message));
  };
  if (config.state_schema.empty()) add("state_schema", "must not be empty");
  if (config.lock_timeout < 1ms) add("lock_timeout", "must be at least 1ms");
  if (config.write_timeout < 1s) add("write_timeout", "must be at least 1s");
  if (config.keep_deletes < 1h) add("keep_deletes", "must be at least 1h");
  const auto& entries = rules.selection.entries();
  for (size_t i = 0; i < entries.size(); ++i) {
    const std::string& table = rules.options[i].table;
    if (table.empty()) continue;
    const ConfigNode* node = entries[i].options.Find("table");
    const Location& at = node != nullptr ? node->location : entries[i].options.location;
    if (entries[i].match.has_wildcard()) {
      problems.Add(at, fmt::format("{}: 'table' names one table, but '{}' may match several",
                                   entries[i].options.path, entries[i].match.ToString()));
    }
    if (table.find('.') != std::string::npos && !ParseTableName(table)) {
      problems.Add(at, fmt::format("{}: write name or schema.name, for example reports.orders",
                                   entries[i].options.path));
    }
  }
}

TableName TargetOf(const PostgresSinkConfig& config, const PostgresTableOptions* options,
                   const TableName& source_table) {
  TableName target = source_table;
  if (!config.schema.empty()) target.schema = config.schema;
  if (target.schema.empty()) target.schema = "public";
  if (options == nullptr || options->table.empty()) return target;
  if (const auto placed = ParseTableName(options->table)) return *placed;
  target.name = options->table;
  return target;
}

}  // namespace tailwater::postgres
