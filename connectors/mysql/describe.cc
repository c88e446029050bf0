// The selected tables as the stream will describe them, before it has said a word.
#include "mysql/described_table.h"
#include "mysql/mysql_tools.h"
#include "mysql/server_facts.h"
#include "mysql/table_map.h"
#include "support/text.h"

namespace tailwater::mysql {
namespace {

std::string WholeBeforeRemedy(const ServerFacts& server, const TableEntryFacts& table) {
  std::string remedy =
      SettingRemedy(server, "binlog_row_image", "FULL") +
      "\n-- sessions that are open keep theirs. The log then carries the whole old "
      "row of each UPDATE and DELETE";
  if (table.rows && *table.rows > 0 && table.bytes)
    remedy +=
        fmt::format(": about {} bytes each", std::max<uint64_t>(1, *table.bytes / *table.rows));
  return remedy + ".";
}

Result<SchemaPtr> SchemaOf(const DescribedTable& table, const MysqlConfig& config) {
  DescribedFacts facts(table);
  TW_ASSIGN_OR_RETURN(
      const std::shared_ptr<const MappedTable> mapped,
      MappedTable::Make(table.map, facts,
                        {.zero_dates = config.zero_dates, .invalid_text = config.invalid_text}));
  return mapped->schema;
}

}  // namespace

Result<SchemaPtr> DescribeSchema(Connection& sql, const MysqlConfig& config,
                                 const TableName& table) {
  TW_ASSIGN_OR_RETURN(const auto described, DescribeTables(sql, {table}));
  if (described.empty()) return SchemaPtr();
  return SchemaOf(described.begin()->second, config);
}

Result<std::vector<TableDescription>> DescribeTables(const MysqlConfig& config,
                                                     const SourceContext& context) {
  TW_ASSIGN_OR_RETURN(
      const std::unique_ptr<Connection> sql,
      Connection::Open(config, fmt::format("tailwater {}/{} chk", context.pipeline, context.name),
                       {}));
  TW_ASSIGN_OR_RETURN(const ServerFacts server, ReadServer(*sql, config));
  TW_ASSIGN_OR_RETURN(const std::vector<TableEntryFacts> all, ReadTables(*sql));
  const SelectedTables selected = SelectTables(all, context.tables, context.name);
  std::vector<TableName> names;
  for (const TableEntryFacts* table : selected.tables) names.push_back(table->name);
  TW_ASSIGN_OR_RETURN(const auto described, DescribeTables(*sql, names));

  std::vector<TableDescription> descriptions;
  for (const TableEntryFacts* table : selected.tables) {
    const auto found = described.find(table->name);
    if (found == described.end()) continue;  // gone meanwhile
    TableDescription& description = descriptions.emplace_back();
    TW_ASSIGN_OR_RETURN(description.schema, SchemaOf(found->second, config));
    description.whole_before = server.whole_before();
    if (!description.whole_before)
      description.whole_before_remedy = WholeBeforeRemedy(server, *table);
  }
  return descriptions;
}

}  // namespace tailwater::mysql
