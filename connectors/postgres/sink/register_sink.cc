#include "postgres/sink/register_sink.h"

#include <memory>

#include "postgres/sink/postgres_sink.h"
#include "support/text.h"
#include "tailwater/registry.h"

namespace tailwater::postgres {

void RegisterPostgresSink(Registry& registry) {
  registry.AddSink<PostgresSinkConfig, PostgresTableOptions>(
      {.type = "postgres",
       .summary = "Mirrors tables into a Postgres database (12 or later).",
       .options = PostgresSinkOptions(),
       .table_options = PostgresTableOptionsTable(),
       .traits = {.one_writer = true},
       .validate = ValidatePostgresSink,
       .create = [](const PostgresSinkConfig& config, TableRules<PostgresTableOptions> rules,
                    SinkContext context) -> Result<std::unique_ptr<Sink>> {
         if (config.transactional && context.sources.size() > 1) {
           return Error{Disposition::kFatal, "pg_several_sources",
                        fmt::format("`transactional: true` keeps the transactions of one source "
                                    "whole, and the pipeline has {}: give each source a pipeline "
                                    "of its own, or remove `transactional`",
                                    context.sources.size())};
         }
         return std::unique_ptr<Sink>(
             std::make_unique<PostgresSink>(config, std::move(rules), std::move(context)));
       }});
}

}  // namespace tailwater::postgres
