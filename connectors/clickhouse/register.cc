#include "clickhouse/register.h"

#include "clickhouse/clickhouse_options.h"
#include "clickhouse/clickhouse_sink.h"
#include "tailwater/registry.h"

namespace tailwater {

void RegisterClickHouse(Registry& registry) {
  using clickhouse::ClickHouseConfig;
  using clickhouse::ClickHouseTableOptions;
  registry.AddSink<ClickHouseConfig, ClickHouseTableOptions>(
      {.type = "clickhouse",
       .summary = "Mirrors tables into ClickHouse, or writes every change there.",
       .options = clickhouse::ClickHouseOptions(),
       .table_options = clickhouse::ClickHouseTableOptionsTable(),
       .traits = {},
       .validate = clickhouse::ValidateClickHouse,
       .column_uses = clickhouse::ClickHouseColumnUses,
       .create = [](const ClickHouseConfig& config, TableRules<ClickHouseTableOptions> rules,
                    SinkContext context) -> Result<std::unique_ptr<Sink>> {
         return std::unique_ptr<Sink>(std::make_unique<clickhouse::ClickHouseSink>(
             config, std::move(rules), std::move(context)));
       }});
}

}  // namespace tailwater
