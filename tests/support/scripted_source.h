// A server in memory and a source that reads it: commits transactions, discards what was released,
// drops sessions and refuses connections on command. Thread-safe.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "tailwater/source.h"

namespace tailwater {

class ScriptedServer {
 public:
  struct Row {
    int64_t id = 0;
    std::string note;
  };
  // One committed transaction of inserts into public.orders.
  void Commit(std::vector<Row> rows);
  void CommitIds(int64_t first_id, int count, size_t note_bytes = 10);
  // Drops every session.
  void Interrupt();
  // Every connection from now on ends with this error; nothing: they succeed again.
  void Refuse(std::optional<Error> error);
  // Connections from now on throw, as a bug would.
  void ThrowOnConnect();

  // Transactions that the source released; the server discards them.
  size_t released() const;
  uint64_t connections() const;
  // A source that reads this server; the server outlives it.
  std::unique_ptr<Source> Connect();

 private:
  friend class ScriptedSource;
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::vector<std::vector<Row>> transactions_;
  size_t released_ = 0;
  uint64_t session_ = 0;
  uint64_t connections_ = 0;
  bool throw_ = false;
  std::optional<Error> refuse_;
};

}  // namespace tailwater
