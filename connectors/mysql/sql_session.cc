#include "mysql/sql_session.h"

namespace tailwater::mysql {

Result<Connection*> SqlSession::Get() {
  if (connection_ == nullptr || connection_->broken()) {
    connection_.reset();
    TW_ASSIGN_OR_RETURN(connection_, Connection::Open(config_, purpose_, interrupt_));
  }
  return connection_.get();
}

Result<Rows> SqlSession::Query(const std::string& sql) {
  const bool fresh = connection_ == nullptr;
  TW_ASSIGN_OR_RETURN(Connection * connection, Get());
  Result<Rows> rows = connection->Query(sql);
  if (rows || fresh || rows.error().disposition != Disposition::kRetry || !connection->broken())
    return rows;
  TW_ASSIGN_OR_RETURN(connection, Get());
  return connection->Query(sql);
}

}  // namespace tailwater::mysql
