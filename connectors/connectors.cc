#include "connectors.h"

#include "blackhole/register.h"
#include "clickhouse/register.h"
#include "kafka/register.h"
#include "mysql/register.h"
#include "opensearch/register.h"
#include "postgres/register.h"
#include "sqlite/register.h"
#include "stdout/register.h"
#include "webhook/register.h"

namespace tailwater {

void RegisterConnectors(Registry& registry) {
  RegisterPostgres(registry);
  RegisterMysql(registry);
  RegisterOpenSearch(registry);
  RegisterClickHouse(registry);
  RegisterSqlite(registry);
  RegisterStdout(registry);
  RegisterWebhook(registry);
  RegisterKafka(registry);
  RegisterBlackhole(registry);
}

}  // namespace tailwater
