#include "expression/sql_connection.h"

#include <sqlite3.h>

#include "expression/sql_functions.h"
#include "support/text.h"

namespace tailwater::expression {
namespace {

constexpr int kMaxValueBytes = 16 << 20;

int Authorize(void*, int action, const char*, const char* function, const char*, const char*) {
  if (action == SQLITE_SELECT) return SQLITE_OK;
  if (action == SQLITE_FUNCTION && function != nullptr && IsAllowedFunction(function)) {
    return SQLITE_OK;
  }
  return SQLITE_DENY;
}

}  // namespace

Result<sqlite::Database> OpenSqlConnection(RowContext& context) {
  TW_ASSIGN_OR_RETURN(sqlite::Database database, sqlite::Database::OpenInMemory());
  sqlite3* const handle = database.handle();
  sqlite3_db_config(handle, SQLITE_DBCONFIG_DQS_DML, 0, nullptr);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_DQS_DDL, 0, nullptr);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_limit(handle, SQLITE_LIMIT_LENGTH, kMaxValueBytes);
  sqlite3_limit(handle, SQLITE_LIMIT_ATTACHED, 0);
  sqlite3_limit(handle, SQLITE_LIMIT_VARIABLE_NUMBER, 0);
  sqlite3_limit(handle, SQLITE_LIMIT_COMPOUND_SELECT, 1);
  TW_TRY(RegisterSqlFunctions(database));
  TW_TRY(RegisterRowFunctions(database, context));
  sqlite3_set_authorizer(handle, Authorize, nullptr);
  return database;
}

Result<sqlite::Statement> PrepareCondition(sqlite::Database& database, const std::string& sql) {
  return database.Prepare(fmt::format("SELECT CASE WHEN {} THEN 1 ELSE 0 END", sql));
}

}  // namespace tailwater::expression
