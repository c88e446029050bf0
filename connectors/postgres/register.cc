#include "postgres/register.h"

#include <memory>

#include "postgres/postgres_config.h"
#include "postgres/postgres_source.h"
#include "postgres/postgres_tools.h"
#include "postgres/sink/register_sink.h"
#include "tailwater/registry.h"

namespace tailwater {

void RegisterPostgres(Registry& registry) {
  using postgres::PostgresConfig;
  registry.AddSource<PostgresConfig>(
      {.type = "postgres",
       .summary = "A Postgres database (12 or later), by logical replication through pgoutput.",
       .options = postgres::PostgresOptions(),
       .validate = postgres::ValidatePostgres,
       .create = [](const PostgresConfig& config,
                    SourceContext context) -> Result<std::unique_ptr<Source>> {
         return std::unique_ptr<Source>(
             std::make_unique<postgres::PostgresSource>(config, std::move(context)));
       },
       .tools = [](const PostgresConfig& config,
                   SourceContext context) -> Result<std::unique_ptr<SourceTools>> {
         return std::unique_ptr<SourceTools>(
             std::make_unique<postgres::PostgresTools>(config, std::move(context)));
       },
       .database = [](const PostgresConfig& config) { return config.database; }});
  postgres::RegisterPostgresSink(registry);
}

}  // namespace tailwater
