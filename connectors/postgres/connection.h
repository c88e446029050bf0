// One session with a Postgres server. libpq stays behind it.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "postgres/errors.h"
#include "postgres/postgres_config.h"
#include "support/wakeup.h"
#include "tailwater/result.h"

struct pg_conn;
struct pg_result;

namespace tailwater::postgres {

// The answer to a query. Text that it returns lives as long as it.
class Rows {
 public:
  explicit Rows(pg_result* result) : result_(result) {}
  int size() const;
  int columns() const;
  bool empty() const { return size() == 0; }
  bool IsNull(int row, int column) const;
  std::string_view Text(int row, int column) const;  // "" for NULL
  std::string String(int row, int column) const { return std::string(Text(row, column)); }
  std::optional<std::string> MaybeText(int row, int column) const;
  std::optional<int64_t> MaybeNumber(int row, int column) const;
  int64_t Number(int row, int column) const { return MaybeNumber(row, column).value_or(0); }
  bool Bool(int row, int column) const { return Text(row, column) == "t"; }
  int64_t affected() const;          // rows that an INSERT, UPDATE, DELETE or COPY has touched
  std::string_view command() const;  // what was done: "COMMIT", "INSERT 0 1"

 private:
  struct Clear {
    void operator()(pg_result* result) const;
  };
  std::unique_ptr<pg_result, Clear> result_;
};

// Threads: one at a time. Every wait ends with its timeout or with the interrupt's stop
// (kCancelled "stopped"). After any failed wait the session is broken and must be opened anew;
// after an error that the server reported it is usable.
class Connection {
 public:
  enum class Kind : uint8_t {
    kSql,          // extended protocol, parameters
    kReplication,  // replication=database: simple protocol alone, no parameters
    kTarget,       // as kSql, of a sink: failures are told as those of a target
  };

  // Reads the password anew. Session settings that shape the text of values are pinned, the same
  // for both kinds. `purpose` is what pg_stat_activity shows.
  static Result<std::unique_ptr<Connection>> Open(const PostgresConfig& config, Kind kind,
                                                  const std::string& purpose,
                                                  const Interrupt& interrupt);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  struct Wait {
    Moment moment = Moment::kQuery;
    std::chrono::milliseconds timeout = std::chrono::seconds(60);  // 0: no limit
    std::chrono::milliseconds tick = std::chrono::seconds(5);
    std::function<void()> on_tick;  // called while waiting, every `tick`
  };
  // Several statements in one go only without parameters (simple protocol). The last result.
  // `formats`: per parameter 0 (text) or 1 (the binary form of its type); empty: all text.
  Result<Rows> Query(const std::string& sql, const std::vector<std::string>& parameters,
                     const Wait& wait, const std::vector<int>& formats = {});
  Result<Rows> Query(const std::string& sql, const std::vector<std::string>& parameters = {}) {
    return Query(sql, parameters, Wait{});
  }

  // COPY … TO STDOUT. `row` gets each message of the copy, valid for the call. It answers false
  // when it needs no more: the rest is cancelled, which fails an open transaction, and the answer
  // is false. `wait.timeout` is the longest silence. An error of `row` ends it in the same way.
  using CopyConsumer = std::function<Result<bool>(std::string_view)>;
  Result<bool> CopyOut(const std::string& sql, const Wait& wait, const CopyConsumer& row);

  // COPY … FROM STDIN: sends `data`, which is whole rows in the form that `sql` names. The last
  // statement of `sql` is the COPY; how many rows it took.
  Result<int64_t> CopyIn(const std::string& sql, std::string_view data, const Wait& wait);

  // While idle: what ended the session from the server's side, if something did. Never waits.
  std::optional<Error> PollEnd();

  int server_version() const;  // 150018
  int major_version() const { return server_version() / 10000; }
  int backend_pid() const;
  bool broken() const;
  bool uses_tls() const;
  bool uses_tcp() const;
  int socket() const;
  std::string QuoteName(std::string_view name) const;     // "identifier"
  std::string QuoteLiteral(std::string_view text) const;  // 'text'

  // For the stream (replication_stream.cc): the session itself, and the warnings and
  // errors that came unasked since the last call.
  pg_conn* native() const { return connection_.get(); }
  std::vector<ServerMessage> TakeWarnings();

 private:
  struct Finish {
    void operator()(pg_conn* connection) const;
  };
  explicit Connection(Interrupt interrupt) : interrupt_(std::move(interrupt)) {}
  Status Connect(const PostgresConfig& config, Kind kind, const std::string& purpose);
  // Waits for the socket; kCancelled, kRetry "pg_timeout".
  Status WaitForSocket(bool read, bool write, std::chrono::steady_clock::time_point deadline);
  // Sends what is unsent and takes in what comes; a failed wait abandons the session.
  Status Exchange(const Wait& wait);
  void CancelQuery();

  Interrupt interrupt_;
  std::unique_ptr<pg_conn, Finish> connection_;
  std::vector<ServerMessage> warnings_;
  bool abandoned_ = false;  // a wait failed: what is still on its way belongs to nobody
};

// Messages of a server's error as we classify them.
ServerMessage MessageOf(const pg_result* result);

}  // namespace tailwater::postgres
