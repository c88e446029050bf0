// The sink's one session with its target, and the transaction that is open in it.
//
// Errors are told as those of a target (Moment::kWrite). An error that the server reported leaves
// the transaction to be rolled back, to a savepoint or whole; a session that broke took it along.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "postgres/connection.h"
#include "postgres/sink/postgres_sink_options.h"
#include "tailwater/result.h"

namespace tailwater::postgres {

class TargetSession {
 public:
  TargetSession(const PostgresSinkConfig& config, std::string purpose)
      : config_(config), purpose_(std::move(purpose)) {}

  // A new session; gives up the one that there was.
  Status Connect();
  bool connected() const { return connection_ != nullptr && !connection_->broken(); }
  void Close();
  // Counts sessions: what was prepared in another one is gone.
  uint64_t number() const { return number_; }
  int major_version() const { return connection_->major_version(); }

  Result<Rows> Run(const std::string& sql, const std::vector<std::string>& parameters = {});
  // What may take as long as the table is large: a sweep, DDL. Not bound by write_timeout.
  Result<Rows> RunLong(const std::string& sql);
  // How many rows the statement touched.
  Result<int64_t> Count(const std::string& sql, const std::vector<std::string>& parameters = {});
  Result<int64_t> CopyIn(const std::string& sql, std::string_view data);

  bool in_transaction() const { return in_transaction_; }
  // BEGIN and `sql` in one go; the rows of `sql`.
  Result<Rows> Begin(const std::string& sql);
  Status Commit();
  // Never fails: a session that cannot roll back is given up, which does it.
  void Rollback();

  // Runs `body` so that nothing of it stays if it fails, and what was done before it does.
  template <class Body>
  auto Atomically(Body body) -> decltype(body()) {
    TW_TRY(Run("SAVEPOINT tailwater"));
    auto done = body();
    if (connected()) {
      Status closed = Release(done.has_value());
      if (!closed && done) return std::move(closed).error();
    }
    return done;
  }

 private:
  Status Pin();
  Status Release(bool keep);
  Result<Rows> Run(const std::string& sql, const std::vector<std::string>& parameters,
                   std::chrono::milliseconds limit);

  const PostgresSinkConfig& config_;
  const std::string purpose_;
  std::unique_ptr<Connection> connection_;
  uint64_t number_ = 0;
  bool in_transaction_ = false;
};

}  // namespace tailwater::postgres
