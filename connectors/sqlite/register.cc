#include "sqlite/register.h"

#include "sqlite/sqlite_sink.h"
#include "tailwater/registry.h"

namespace tailwater {

void RegisterSqlite(Registry& registry) {
  registry.AddSink<SqliteSinkConfig, SqliteTableOptions>(
      {.type = "sqlite",
       .summary = "Mirrors tables into a SQLite file, with full-text search where asked for.",
       .options = SqliteSinkOptions(),
       .table_options = SqliteTableOptionsTable(),
       .traits = {.one_writer = true},
       .validate = {},
       .create = [](const SqliteSinkConfig& config, TableRules<SqliteTableOptions> rules,
                    SinkContext context) -> Result<std::unique_ptr<Sink>> {
         return std::unique_ptr<Sink>(
             std::make_unique<SqliteSink>(config, std::move(rules), std::move(context)));
       }});
}

}  // namespace tailwater
