// One session with a MySQL or MariaDB server. The client library (MariaDB Connector/C or
// libmysqlclient, chosen when building) stays behind it, in those files that include client.h.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mysql/errors.h"
#include "mysql/log_position.h"
#include "mysql/mysql_config.h"
#include "support/wakeup.h"
#include "tailwater/result.h"

namespace tailwater::mysql {

struct Client;

// The answer to a query, all of it in memory.
class Rows {
 public:
  int size() const { return static_cast<int>(cells_.size() / std::max<size_t>(names_.size(), 1)); }
  bool empty() const { return cells_.empty(); }
  // By name, any letter case; -1: none.
  int Column(std::string_view name) const;
  bool IsNull(int row, int column) const;
  std::string_view Text(int row, int column) const;  // "" for NULL
  std::string String(int row, int column) const { return std::string(Text(row, column)); }
  std::optional<int64_t> MaybeNumber(int row, int column) const;
  const std::vector<std::string>& names() const { return names_; }

 private:
  friend class Connection;
  std::vector<std::string> names_;
  std::vector<std::optional<std::string>> cells_;
};

// Threads: one at a time. Every wait ends with its timeout or with the interrupt's stop
// (kCancelled "stopped"): a stop shuts the socket down. After any failed wait the session is broken
// and must be opened anew; after an error that the server reported it is usable.
class Connection {
 public:
  // Reads the password anew. Session settings that shape text are pinned: utf8mb4, time_zone
  // '+00:00', sql_mode STRICT_TRANS_TABLES alone; and those that would end us: no time limit of
  // statements, net_write_timeout an hour, wait_timeout a day. No database is selected. Never hands
  // a password to whoever answers: TLS, a Unix socket, a pinned RSA key, or the server's own cache;
  // else kNeedsOperator "mysql_insecure_login". `purpose` is what the server's connection
  // attributes show (program_name).
  static Result<std::unique_ptr<Connection>> Open(const MysqlConfig& config,
                                                  const std::string& purpose,
                                                  const Interrupt& interrupt);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  struct Wait {
    Moment moment = Moment::kQuery;
    std::chrono::milliseconds timeout = std::chrono::seconds(60);  // 0: no limit
  };
  Result<Rows> Query(const std::string& sql, const Wait& wait);
  Result<Rows> Query(const std::string& sql) { return Query(sql, Wait{}); }

  // Rows one at a time as the server sends them, as text (nullptr data: NULL); `row` answers false
  // when it needs no more: then the answer is false and the session is broken, as it is after an
  // error of `row`. `wait.timeout` is the longest silence.
  using Cells = std::span<const std::string_view>;
  using RowConsumer = std::function<Result<bool>(Cells)>;
  Result<bool> Stream(const std::string& sql, const Wait& wait, const RowConsumer& row);

  Flavour flavour() const;
  int server_version() const;  // 101119, 90704
  std::string server_version_text() const;
  uint64_t session_id() const;
  bool broken() const;
  bool uses_tls() const;
  bool uses_tcp() const;
  std::string QuoteLiteral(std::string_view text) const;  // 'text'
  static std::string QuoteName(std::string_view name);    // `identifier`

  // For binlog_stream.cc.
  Client& client() const { return *client_; }

 private:
  explicit Connection(const Interrupt& interrupt);
  Status Login(const MysqlConfig& config, const std::string& purpose);
  Status PinSession();

  std::unique_ptr<Client> client_;
};

}  // namespace tailwater::mysql
