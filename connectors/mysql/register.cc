#include "mysql/register.h"

#include <memory>

#include "mysql/mysql_config.h"
#include "mysql/mysql_source.h"
#include "mysql/mysql_tools.h"
#include "tailwater/registry.h"

namespace tailwater {

void RegisterMysql(Registry& registry) {
  using mysql::MysqlConfig;
  registry.AddSource<MysqlConfig>(
      {.type = "mysql",
       .summary = "A MySQL (8.0 or later) or MariaDB (10.5 or later) server, by its binary log.",
       .options = mysql::MysqlOptions(),
       .validate = mysql::ValidateMysql,
       .create = [](const MysqlConfig& config,
                    SourceContext context) -> Result<std::unique_ptr<Source>> {
         return std::unique_ptr<Source>(
             std::make_unique<mysql::MysqlSource>(config, std::move(context)));
       },
       .tools = [](const MysqlConfig& config,
                   SourceContext context) -> Result<std::unique_ptr<SourceTools>> {
         return std::unique_ptr<SourceTools>(
             std::make_unique<mysql::MysqlTools>(config, std::move(context)));
       },
       .database = [](const MysqlConfig& config) { return config.database; }});
}

}  // namespace tailwater
