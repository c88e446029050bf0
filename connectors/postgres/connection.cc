#include "postgres/connection.h"

#include <libpq-fe.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <utility>

#include "support/database_url.h"
#include "support/text.h"

namespace tailwater::postgres {
namespace {

using Clock = std::chrono::steady_clock;

// What shapes the text of values, and what would end a long statement of ours. The same for stream,
// catalogs and read-back, or their values would disagree.
constexpr const char* kSessionOptions =
    "-c DateStyle=ISO,YMD -c TimeZone=UTC -c IntervalStyle=postgres -c extra_float_digits=3 "
    "-c bytea_output=hex -c lc_monetary=C -c statement_timeout=0 -c lock_timeout=0 "
    "-c standard_conforming_strings=on -c idle_in_transaction_session_timeout=0 -c "
    "row_security=off -c search_path=pg_catalog";

const char* TlsModeName(const PostgresConfig& config) {
  switch (config.tls.mode) {
    case TlsMode::kAuto:
      return IsThisHost(config.host) ? "prefer" : "verify-full";
    case TlsMode::kDisable:
      return "disable";
    case TlsMode::kPrefer:
      return "prefer";
    case TlsMode::kRequire:
      return "require";
    case TlsMode::kVerifyCa:
      return "verify-ca";
    case TlsMode::kVerifyFull:
      return "verify-full";
  }
  return "verify-full";
}

std::string FieldText(const PGresult* result, int field) {
  const char* text = PQresultErrorField(result, field);
  return text != nullptr ? text : "";
}

// "COPY stage, line 3, column note: "…"": the name alone, for the rest is a row's value.
std::string ColumnOfCopy(const std::string& context) {
  constexpr std::string_view kBefore = ", column ";
  const size_t at = context.find(kBefore);
  if (at == std::string::npos || context.rfind("COPY ", 0) != 0) return {};
  const size_t begin = at + kBefore.size();
  const size_t end = context.find(':', begin);
  return end == std::string::npos ? std::string() : context.substr(begin, end - begin);
}

Error Stopped() { return Error{Disposition::kCancelled, "stopped", "asked to stop"}; }

}  // namespace

ServerMessage MessageOf(const PGresult* result) {
  ServerMessage message{FieldText(result, PG_DIAG_SQLSTATE),
                        FieldText(result, PG_DIAG_MESSAGE_PRIMARY),
                        {},
                        FieldText(result, PG_DIAG_COLUMN_NAME)};
  message.primary = message.text;
  if (message.column.empty()) {
    message.column = ColumnOfCopy(FieldText(result, PG_DIAG_CONTEXT));
  }
  for (const int field : {PG_DIAG_MESSAGE_DETAIL, PG_DIAG_MESSAGE_HINT}) {
    if (const std::string more = FieldText(result, field); !more.empty())
      message.text += "; " + more;
  }
  if (message.text.empty()) message.text = PQresultErrorMessage(result);
  return message;
}

void Rows::Clear::operator()(pg_result* result) const { PQclear(result); }
int Rows::size() const { return PQntuples(result_.get()); }
int Rows::columns() const { return PQnfields(result_.get()); }
bool Rows::IsNull(int row, int column) const { return PQgetisnull(result_.get(), row, column); }
std::string_view Rows::Text(int row, int column) const {
  return {PQgetvalue(result_.get(), row, column),
          static_cast<size_t>(PQgetlength(result_.get(), row, column))};
}
std::optional<std::string> Rows::MaybeText(int row, int column) const {
  if (IsNull(row, column)) return std::nullopt;
  return String(row, column);
}
std::optional<int64_t> Rows::MaybeNumber(int row, int column) const {
  const std::string_view text = Text(row, column);
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

int64_t Rows::affected() const {
  const std::string_view text = PQcmdTuples(result_.get());
  int64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

std::string_view Rows::command() const { return PQcmdStatus(result_.get()); }

void Connection::Finish::operator()(pg_conn* connection) const { PQfinish(connection); }
Connection::~Connection() = default;

Result<std::unique_ptr<Connection>> Connection::Open(const PostgresConfig& config, Kind kind,
                                                     const std::string& purpose,
                                                     const Interrupt& interrupt) {
  std::unique_ptr<Connection> connection(new Connection(interrupt));
  Status connected = connection->Connect(config, kind, purpose);
  if (!connected) {
    return std::move(connected).error().Within(fmt::format(
        "connecting to {}:{}/{} as '{}'", config.host, config.port, config.database, config.user));
  }
  return connection;
}

Status Connection::Connect(const PostgresConfig& config, Kind kind, const std::string& purpose) {
  std::string password;
  if (!config.password.empty()) {
    TW_ASSIGN_OR_RETURN(password, config.password.Read());
  }
  std::string ca = config.tls.ca;
  const std::string mode = TlsModeName(config);
  constexpr const char* kSystemCa = "/etc/ssl/certs/ca-certificates.crt";
  if (ca.empty() && mode.rfind("verify", 0) == 0 && access(kSystemCa, R_OK) == 0) ca = kSystemCa;

  std::vector<std::pair<const char*, std::string>> settings = {
      {"host", config.host},
      {"port", std::to_string(config.port)},
      {"dbname", config.database},
      {"user", config.user},
      {"sslmode", mode},
      {"application_name", purpose},
      {"client_encoding", "UTF8"},
      {"keepalives", "1"},
      {"keepalives_idle", "10"},
      {"keepalives_interval", "5"},
      {"keepalives_count", "3"},
      {"tcp_user_timeout", "30000"},
      // Encryption is what tls.mode says, not what a Kerberos ticket happens to bring.
      {"gssencmode", "disable"},
  };
  std::string options = kSessionOptions;
  if (kind == Kind::kReplication) {
    settings.emplace_back("replication", "database");
    options += " -c wal_sender_timeout=60s";
  }
  settings.emplace_back("options", options);
  if (!password.empty()) settings.emplace_back("password", password);
  if (!ca.empty()) settings.emplace_back("sslrootcert", ca);
  if (!config.tls.cert.empty()) settings.emplace_back("sslcert", config.tls.cert);
  if (!config.tls.key.empty()) settings.emplace_back("sslkey", config.tls.key);
  std::vector<const char*> names, values;
  for (const auto& [name, value] : settings) {
    names.push_back(name);
    values.push_back(value.c_str());
  }
  names.push_back(nullptr);
  values.push_back(nullptr);

  connection_.reset(PQconnectStartParams(names.data(), values.data(), 0));
  if (connection_ == nullptr)
    return Error{Disposition::kRetry, "pg_unreachable", "out of memory in libpq"};
  PGconn* connection = connection_.get();
  PQsetErrorVerbosity(connection, PQERRORS_VERBOSE);  // the only way to learn the SQLSTATE
  PQsetNoticeReceiver(
      connection,
      [](void* self, const PGresult* notice) {
        const std::string severity = FieldText(notice, PG_DIAG_SEVERITY_NONLOCALIZED);
        if (severity != "NOTICE" && severity != "INFO" && severity != "LOG" && severity != "DEBUG")
          static_cast<Connection*>(self)->warnings_.push_back(MessageOf(notice));
      },
      this);
  const auto deadline = Clock::now() + config.connect_timeout;
  PostgresPollingStatusType polling = PGRES_POLLING_WRITING;
  while (PQstatus(connection) != CONNECTION_BAD && polling != PGRES_POLLING_OK &&
         polling != PGRES_POLLING_FAILED) {
    TW_TRY(WaitForSocket(polling == PGRES_POLLING_READING, polling == PGRES_POLLING_WRITING,
                         deadline));
    polling = PQconnectPoll(connection);
  }
  if (PQstatus(connection) != CONNECTION_OK) {
    return MakeConnectError(PQerrorMessage(connection),
                            kind == Kind::kTarget ? Moment::kConnectTarget : Moment::kConnect);
  }
  PQsetErrorVerbosity(connection, PQERRORS_DEFAULT);
  if (PQserverVersion(connection) < 120000) {
    return Error{Disposition::kFatal, "pg_not_supported",
                 fmt::format("the server is version {}; Postgres 12 or later is needed",
                             PQserverVersion(connection))};
  }
  if (PQsetnonblocking(connection, 1) != 0) return MakeLostError(PQerrorMessage(connection));
  return {};
}

Status Connection::WaitForSocket(bool read, bool write, Clock::time_point deadline) {
  for (;;) {
    if (interrupt_.stop.stop_requested()) return Stopped();
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
    if (left.count() <= 0) {
      return Error{Disposition::kRetry, "pg_timeout",
                   "no answer in time: check the network and the server's load; trying again"};
    }
    pollfd fds[2] = {{PQsocket(connection_.get()),
                      static_cast<short>((read ? POLLIN : 0) | (write ? POLLOUT : 0)), 0},
                     {interrupt_.wakeup != nullptr ? interrupt_.wakeup->fd() : -1, POLLIN, 0}};
    const int step = static_cast<int>(std::min<int64_t>(left.count(), 1000));
    poll(fds, 2, step);
    if (fds[1].revents != 0) interrupt_.wakeup->Drain();
    if (fds[0].revents != 0 || fds[0].fd < 0) return {};
  }
}

Result<Rows> Connection::Query(const std::string& sql, const std::vector<std::string>& parameters,
                               const Wait& wait, const std::vector<int>& formats) {
  PGconn* connection = connection_.get();
  int sent;
  if (parameters.empty()) {
    sent = PQsendQuery(connection, sql.c_str());
  } else {
    std::vector<const char*> values;
    std::vector<int> lengths;
    for (const std::string& parameter : parameters) {
      values.push_back(parameter.c_str());
      lengths.push_back(static_cast<int>(parameter.size()));
    }
    sent = PQsendQueryParams(connection, sql.c_str(), static_cast<int>(values.size()), nullptr,
                             values.data(), lengths.data(),
                             formats.empty() ? nullptr : formats.data(), 0);
  }
  if (sent == 0) return MakeLostError(PQerrorMessage(connection));

  const auto deadline =
      wait.timeout.count() > 0 ? Clock::now() + wait.timeout : Clock::time_point::max();
  auto next_tick = wait.on_tick ? Clock::now() + wait.tick : Clock::time_point::max();
  std::optional<Rows> last;
  std::optional<Error> failed;
  for (;;) {
    const int unsent = PQflush(connection);
    if (unsent < 0) return MakeLostError(PQerrorMessage(connection));
    if (unsent > 0 || PQisBusy(connection)) {
      // time_point::max() minus now overflows no duration here, but a cast to ms of it would.
      const auto until = std::min({deadline, next_tick, Clock::now() + std::chrono::hours(1)});
      Status ready = WaitForSocket(true, unsent > 0, until);
      if (!ready) {
        const auto now = Clock::now();
        if (ready.error().disposition == Disposition::kRetry && now < deadline) {
          if (now >= next_tick) {
            wait.on_tick();
            next_tick = Clock::now() + wait.tick;
          }
          continue;
        }
        abandoned_ = true;
        CancelQuery();
        return std::move(ready).error();
      }
      if (PQconsumeInput(connection) == 0) return MakeLostError(PQerrorMessage(connection));
      continue;
    }
    PGresult* raw = PQgetResult(connection);
    if (raw == nullptr) break;
    Rows rows(raw);
    switch (PQresultStatus(raw)) {
      case PGRES_TUPLES_OK:
      case PGRES_COMMAND_OK:
      case PGRES_EMPTY_QUERY:
        last.emplace(std::move(rows));
        break;
      case PGRES_COPY_BOTH:  // the stream takes over
        return rows;
      case PGRES_FATAL_ERROR:
      case PGRES_BAD_RESPONSE:
        if (!failed) failed = MakeError(MessageOf(raw), wait.moment);
        break;
      default:
        return Error{Disposition::kFatal, "pg_protocol_error",
                     fmt::format("unexpected answer {} to a query; report this",
                                 PQresStatus(PQresultStatus(raw)))};
    }
    if (PQstatus(connection) == CONNECTION_BAD) break;
  }
  if (failed) return *std::move(failed);
  if (!last) return MakeLostError(PQerrorMessage(connection));
  return *std::move(last);
}

Status Connection::Exchange(const Wait& wait) {
  PGconn* connection = connection_.get();
  const int unsent = PQflush(connection);
  if (unsent < 0) return MakeLostError(PQerrorMessage(connection));
  const auto limit = wait.timeout.count() > 0 ? wait.timeout : std::chrono::hours(24);
  if (Status ready = WaitForSocket(true, unsent > 0, Clock::now() + limit); !ready) {
    abandoned_ = true;
    CancelQuery();
    return ready;
  }
  if (PQconsumeInput(connection) == 0) return MakeLostError(PQerrorMessage(connection));
  return {};
}

Result<bool> Connection::CopyOut(const std::string& sql, const Wait& wait,
                                 const CopyConsumer& row) {
  PGconn* connection = connection_.get();
  // The extended protocol takes one statement, and no second one that a condition smuggles in.
  if (PQsendQueryParams(connection, sql.c_str(), 0, nullptr, nullptr, nullptr, nullptr, 0) == 0)
    return MakeLostError(PQerrorMessage(connection));
  Result<bool> wanted = true;
  std::optional<Error> failed;
  for (;;) {
    while (PQisBusy(connection)) TW_TRY(Exchange(wait));
    PGresult* raw = PQgetResult(connection);
    if (raw == nullptr) break;
    const Rows result(raw);
    const ExecStatusType status = PQresultStatus(raw);
    if (status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE) {
      if (!failed) failed = MakeError(MessageOf(raw), wait.moment);
      if (PQstatus(connection) == CONNECTION_BAD) break;
    } else if (status == PGRES_COPY_OUT) {
      for (;;) {
        char* data = nullptr;
        const int size = PQgetCopyData(connection, &data, 1);
        if (size == 0) {
          TW_TRY(Exchange(wait));
          continue;
        }
        if (size < 0) break;  // its end, or an error: the next result says
        const std::unique_ptr<char, void (*)(void*)> owned(data, PQfreemem);
        if (!wanted || !*wanted) continue;  // what was on its way when we cancelled
        wanted = row({data, static_cast<size_t>(size)});
        if (!wanted || !*wanted) CancelQuery();
      }
    } else if (status != PGRES_COMMAND_OK) {
      return Error{Disposition::kFatal, "pg_protocol_error",
                   fmt::format("unexpected answer {} to a COPY; report this", PQresStatus(status))};
    }
  }
  if (!wanted || !*wanted) {
    // Cancelled by us, or ended just before; anything else is an error all the same.
    if (failed && failed->code != "pg_cancelled_by_server") return *std::move(failed);
    return wanted;
  }
  if (failed) return *std::move(failed);
  return true;
}

Result<int64_t> Connection::CopyIn(const std::string& sql, std::string_view data,
                                   const Wait& wait) {
  PGconn* connection = connection_.get();
  if (PQsendQuery(connection, sql.c_str()) == 0) return MakeLostError(PQerrorMessage(connection));
  std::optional<Error> failed;
  int64_t rows = 0;
  for (;;) {
    for (;;) {
      const int unsent = PQflush(connection);
      if (unsent < 0) return MakeLostError(PQerrorMessage(connection));
      if (unsent == 0 && !PQisBusy(connection)) break;
      TW_TRY(Exchange(wait));
    }
    PGresult* raw = PQgetResult(connection);
    if (raw == nullptr) break;
    const Rows result(raw);
    const ExecStatusType status = PQresultStatus(raw);
    if (status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE) {
      if (!failed) failed = MakeError(MessageOf(raw), wait.moment);
      if (PQstatus(connection) == CONNECTION_BAD) break;
    } else if (status == PGRES_COPY_IN) {
      constexpr size_t kPiece = 256 << 10;
      for (std::string_view rest = data; !rest.empty();) {
        const std::string_view piece = rest.substr(0, kPiece);
        const int put = PQputCopyData(connection, piece.data(), static_cast<int>(piece.size()));
        if (put < 0) return MakeLostError(PQerrorMessage(connection));
        if (put > 0) rest.remove_prefix(piece.size());
        if (PQflush(connection) > 0 || put == 0) TW_TRY(Exchange(wait));
      }
      for (;;) {
        const int ended = PQputCopyEnd(connection, nullptr);
        if (ended < 0) return MakeLostError(PQerrorMessage(connection));
        if (ended > 0) break;
        TW_TRY(Exchange(wait));
      }
    } else if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) {
      rows = result.affected();
    } else {
      return Error{Disposition::kFatal, "pg_protocol_error",
                   fmt::format("unexpected answer {} to a COPY; report this", PQresStatus(status))};
    }
  }
  if (failed) return *std::move(failed);
  return rows;
}

void Connection::CancelQuery() {
  PGcancel* cancel = PQgetCancel(connection_.get());
  if (cancel == nullptr) return;
  char error[256];
  // The session is dropped either way; a statement that goes on alone does no harm, it only holds
  // what it holds until it ends.
  [[maybe_unused]] const int cancelled = PQcancel(cancel, error, sizeof error);
  PQfreeCancel(cancel);
}

int Connection::server_version() const { return PQserverVersion(connection_.get()); }
int Connection::backend_pid() const { return PQbackendPID(connection_.get()); }
bool Connection::broken() const {
  return abandoned_ || PQstatus(connection_.get()) != CONNECTION_OK;
}
bool Connection::uses_tls() const { return PQsslInUse(connection_.get()) != 0; }
int Connection::socket() const { return PQsocket(connection_.get()); }

bool Connection::uses_tcp() const {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  return getsockname(socket(), reinterpret_cast<sockaddr*>(&address), &size) == 0 &&
         (address.ss_family == AF_INET || address.ss_family == AF_INET6);
}

// Written out, not PQescape*: they refuse text that is not valid in the client's encoding, and a
// name from the catalog always is. standard_conforming_strings is on since 9.1.
std::string Connection::QuoteName(std::string_view name) const {
  std::string out = "\"";
  for (const char c : name) {
    if (c == '"') out.push_back('"');
    out.push_back(c);
  }
  return out + '"';
}

std::string Connection::QuoteLiteral(std::string_view text) const {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') out.push_back('\'');
    out.push_back(c);
  }
  return out + '\'';
}

std::optional<Error> Connection::PollEnd() {
  PGconn* connection = connection_.get();
  pollfd fd = {PQsocket(connection), POLLIN, 0};
  if (poll(&fd, 1, 0) <= 0) return std::nullopt;
  // Nothing was asked, so whatever comes is a notice, or the server's last words.
  const bool read = PQconsumeInput(connection) != 0;
  [[maybe_unused]] const int busy = PQisBusy(connection);  // parses what was read
  for (const ServerMessage& message : TakeWarnings()) {
    if (message.sqlstate.rfind("57P", 0) == 0) return MakeError(message, Moment::kQuery);
  }
  if (read && PQstatus(connection) == CONNECTION_OK) return std::nullopt;
  return MakeLostError(PQerrorMessage(connection));
}

std::vector<ServerMessage> Connection::TakeWarnings() { return std::exchange(warnings_, {}); }

}  // namespace tailwater::postgres
