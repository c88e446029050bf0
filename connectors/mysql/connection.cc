#include "mysql/connection.h"

#include <strings.h>

#include <charconv>
#include <mutex>
#include <utility>

#include "mysql/client.h"
#include "mysql/login.h"
#include "support/text.h"

namespace tailwater::mysql {
namespace {

struct FreeResult {
  void operator()(MYSQL_RES* result) const { mysql_free_result(result); }
};
using ResultPtr = std::unique_ptr<MYSQL_RES, FreeResult>;

// "5.5.5-10.11.19-MariaDB-log": MariaDB says 5.5.5 first for the sake of old replicas.
std::string_view VersionText(std::string_view text) {
  constexpr std::string_view kDisguise = "5.5.5-";
  if (text.substr(0, kDisguise.size()) == kDisguise) text.remove_prefix(kDisguise.size());
  return text;
}

int ParseVersion(std::string_view text) {
  int parts[3] = {0, 0, 0};
  for (int& part : parts) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), part);
    if (error != std::errc()) break;
    text.remove_prefix(static_cast<size_t>(end - text.data()));
    if (text.empty() || text[0] != '.') break;
    text.remove_prefix(1);
  }
  return parts[0] * 10000 + parts[1] * 100 + parts[2];
}

}  // namespace

int Rows::Column(std::string_view name) const {
  for (size_t i = 0; i < names_.size(); ++i) {
    if (names_[i].size() == name.size() &&
        strncasecmp(names_[i].data(), name.data(), name.size()) == 0)
      return static_cast<int>(i);
  }
  return -1;
}

bool Rows::IsNull(int row, int column) const {
  return !cells_[static_cast<size_t>(row) * names_.size() + static_cast<size_t>(column)];
}

std::string_view Rows::Text(int row, int column) const {
  const auto& cell = cells_[static_cast<size_t>(row) * names_.size() + static_cast<size_t>(column)];
  return cell ? std::string_view(*cell) : std::string_view();
}

std::optional<int64_t> Rows::MaybeNumber(int row, int column) const {
  const std::string_view text = Text(row, column);
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

Connection::Connection(const Interrupt& interrupt) : client_(std::make_unique<Client>(interrupt)) {}
Connection::~Connection() = default;

Result<std::unique_ptr<Connection>> Connection::Open(const MysqlConfig& config,
                                                     const std::string& purpose,
                                                     const Interrupt& interrupt) {
  std::unique_ptr<Connection> connection(new Connection(interrupt));
  Status opened = connection->Login(config, purpose);
  if (opened) opened = connection->PinSession();
  if (!opened) {
    const bool is_socket = !config.host.empty() && config.host[0] == '/';
    return std::move(opened).error().Within(
        is_socket
            ? fmt::format("connecting to {} as '{}'", config.host, config.user)
            : fmt::format("connecting to {}:{} as '{}'", config.host, config.port, config.user));
  }
  return connection;
}

Status Connection::Login(const MysqlConfig& config, const std::string& purpose) {
  std::string password;
  if (!config.password.empty()) {
    TW_ASSIGN_OR_RETURN(password, config.password.Read());
  }
  TW_ASSIGN_OR_RETURN(LoginRules rules, LoginRules::Make(config));
  InitClientLibrary();
  client_->handle = mysql_init(nullptr);
  MYSQL* handle = client_->handle;
  if (handle == nullptr)
    return Error{Disposition::kRetry, "mysql_out_of_memory", "this host lacks memory"};

  const unsigned timeout_seconds = static_cast<unsigned>(
      std::chrono::ceil<std::chrono::seconds>(config.connect_timeout).count());
  mysql_options(handle, MYSQL_OPT_CONNECT_TIMEOUT, &timeout_seconds);
#ifndef TAILWATER_CONNECTOR_C
  const unsigned silence_seconds = static_cast<unsigned>(
      std::chrono::ceil<std::chrono::seconds>(config.silence_timeout).count());
  mysql_options(handle, MYSQL_OPT_READ_TIMEOUT, &silence_seconds);
  const unsigned retries = 0;
  mysql_options(handle, MYSQL_OPT_RETRY_COUNT, &retries);
#endif
  const unsigned long packet_bytes = 1ul << 30;  // the protocol's largest event
  mysql_options(handle, MYSQL_OPT_MAX_ALLOWED_PACKET, &packet_bytes);
  const unsigned local_infile = 0;  // or a server could ask for any file of ours
  mysql_options(handle, MYSQL_OPT_LOCAL_INFILE, &local_infile);
  mysql_options(handle, MYSQL_SET_CHARSET_NAME, "utf8mb4");
  mysql_options4(handle, MYSQL_OPT_CONNECT_ATTR_ADD, "program_name", purpose.c_str());
  const unsigned protocol = rules.local ? MYSQL_PROTOCOL_SOCKET : MYSQL_PROTOCOL_TCP;
  mysql_options(handle, MYSQL_OPT_PROTOCOL, &protocol);
  rules.Apply(handle);
  PrepareClient(*client_);

  ClientCall call(*client_, config.connect_timeout);
  call.login = &rules;
#ifndef TAILWATER_CONNECTOR_C
  // The library keeps one pinned key for the whole process.
  static std::mutex one_login;
  const std::lock_guard lock(one_login);
  mysql_reset_server_public_key();
#endif
  const bool connected =
      mysql_real_connect(handle, rules.local ? "localhost" : config.host.c_str(),
                         config.user.c_str(), password.c_str(), nullptr, config.port,
                         rules.local ? config.host.c_str() : nullptr, 0) != nullptr;
  if (!connected) {
    client_->broken = true;
    if (rules.refused) return *std::move(rules.refused);
    const unsigned number = mysql_errno(handle);
    Error error = call.Failure(Moment::kConnect);
    return rules.Explain(number, std::move(error));
  }
  return rules.Check(*client_);
}

Status Connection::PinSession() {
  const bool mariadb = flavour() == Flavour::kMariadb;
  if (server_version() < (mariadb ? 100500 : 80001)) {
    return Error{Disposition::kFatal, "mysql_not_supported",
                 fmt::format("the server is version {}; MySQL 8.0.1 or MariaDB 10.5 or later is "
                             "needed (binlog_row_metadata)",
                             server_version_text())};
  }
  TW_TRY(
      Query(fmt::format("SET SESSION time_zone = '+00:00', sql_mode = 'STRICT_TRANS_TABLES', "
                        "net_write_timeout = 3600, wait_timeout = 86400, {} = 0",
                        mariadb ? "max_statement_time" : "max_execution_time")));
  return {};
}

Result<Rows> Connection::Query(const std::string& sql, const Wait& wait) {
  Client& client = *client_;
  ClientCall call(client, wait.timeout);
  call.set_sending(true);
  if (client.broken) return MakeError({2006, "the session has ended"}, wait.moment);
  if (mysql_send_query(client.handle, sql.data(), sql.size()) != 0)
    return call.Failure(wait.moment);
  call.set_sending(false);
  if (!call.AwaitAnswer() || mysql_read_query_result(client.handle) != 0)
    return call.Failure(wait.moment);
  Rows rows;
  const ResultPtr result(mysql_store_result(client.handle));
  // A missing privilege may show only now.
  if (result == nullptr) {
    if (mysql_errno(client.handle) != 0) return call.Failure(wait.moment);
    return rows;
  }
  const unsigned columns = mysql_num_fields(result.get());
  const MYSQL_FIELD* fields = mysql_fetch_fields(result.get());
  for (unsigned i = 0; i < columns; ++i) rows.names_.emplace_back(fields[i].name);
  while (const MYSQL_ROW row = mysql_fetch_row(result.get())) {
    const unsigned long* lengths = mysql_fetch_lengths(result.get());
    for (unsigned i = 0; i < columns; ++i) {
      if (row[i] == nullptr) {
        rows.cells_.emplace_back();
      } else {
        rows.cells_.emplace_back(std::string(row[i], lengths[i]));
      }
    }
  }
  return rows;
}

Result<bool> Connection::Stream(const std::string& sql, const Wait& wait, const RowConsumer& row) {
  Client& client = *client_;
  ClientCall call(client, wait.timeout, ClientCall::Limit::kSilence);
  call.set_sending(true);
  if (client.broken) return MakeError({2006, "the session has ended"}, wait.moment);
  if (mysql_send_query(client.handle, sql.data(), sql.size()) != 0)
    return call.Failure(wait.moment);
  call.set_sending(false);
  if (!call.AwaitAnswer() || mysql_read_query_result(client.handle) != 0)
    return call.Failure(wait.moment);
  const ResultPtr result(mysql_use_result(client.handle));
  if (result == nullptr) {
    if (mysql_errno(client.handle) != 0) return call.Failure(wait.moment);
    return true;  // a statement without rows
  }
  const unsigned columns = mysql_num_fields(result.get());
  std::vector<std::string_view> cells(columns);
  for (;;) {
    const MYSQL_ROW values = mysql_fetch_row(result.get());
    if (values == nullptr) {
      if (mysql_errno(client.handle) == 0) return true;
      Error error = call.Failure(wait.moment);
      client.Abandon();  // or giving the result back would read its rest
      return error;
    }
    const unsigned long* lengths = mysql_fetch_lengths(result.get());
    for (unsigned i = 0; i < columns; ++i)
      cells[i] =
          values[i] == nullptr ? std::string_view() : std::string_view(values[i], lengths[i]);
    Result<bool> wanted = row(cells);
    if (client.interrupt.stop.stop_requested() && wanted && *wanted) wanted = Stopped();
    if (!wanted || !*wanted) {
      client.Abandon();
      return wanted;
    }
  }
}

Flavour Connection::flavour() const {
  return server_version_text().find("MariaDB") != std::string::npos ? Flavour::kMariadb
                                                                    : Flavour::kMysql;
}
int Connection::server_version() const { return ParseVersion(server_version_text()); }
std::string Connection::server_version_text() const {
  return std::string(VersionText(mysql_get_server_info(client_->handle)));
}
uint64_t Connection::session_id() const { return mysql_thread_id(client_->handle); }
bool Connection::broken() const { return client_->broken; }
bool Connection::uses_tls() const { return client_->uses_tls(); }
bool Connection::uses_tcp() const { return client_->uses_tcp(); }

// Written out: the session's sql_mode, which decides about backslashes, is pinned.
std::string Connection::QuoteLiteral(std::string_view text) const {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\0') {
      out += "\\0";
      continue;
    }
    if (c == '\'' || c == '\\') out.push_back('\\');
    out.push_back(c);
  }
  return out + '\'';
}

std::string Connection::QuoteName(std::string_view name) {
  std::string out = "`";
  for (const char c : name) {
    if (c == '`') out.push_back('`');
    out.push_back(c);
  }
  return out + '`';
}

}  // namespace tailwater::mysql
