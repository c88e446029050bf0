// A server in memory and a source that reads it: commits transactions, discards what was released,
// drops sessions, loses its log and refuses connections on command; with a table that can be copied
// in chunks, if it is told so. Thread-safe.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <map>
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
    std::string note;  // "(unchanged)": an update that leaves it out
    Operation operation = Operation::kInsert;
  };
  static constexpr std::string_view kUnchanged = "(unchanged)";
  // One committed transaction of changes of public.orders.
  void Commit(std::vector<Row> rows);
  void CommitIds(int64_t first_id, int count, size_t note_bytes = 10);
  // Drops every session.
  void Interrupt();
  // Every connection from now on ends with this error; nothing: they succeed again.
  void Refuse(std::optional<Error> error);
  // Rows that are there before anybody reads the log.
  void Preload(int64_t first_id, int count);
  // Other rows are put in the place of all that are there; the log holds no change of a row.
  void Replace(int64_t first_id, int count);
  // The table can be copied, from now on.
  void AllowSnapshots();
  // From now on rows of each chunk change right after they were read, before its high watermark.
  void DisturbReads();
  // Everything in the log so far is gone, and so is every session.
  void LoseLog();
  // What the table holds.
  std::map<int64_t, std::string> Table() const;
  // Chunks that were read.
  size_t chunks_read() const;
  // Connections from now on throw, as a bug would.
  void ThrowOnConnect();

  // Transactions that the source released; the server discards them.
  size_t released() const;
  uint64_t connections() const;
  // A source that reads this server; the server outlives it.
  std::unique_ptr<Source> Connect();

 private:
  friend class ScriptedSource;
  friend class ScriptedReader;
  // A place in the log: a transaction, a watermark, or a statement that replaced the rows.
  struct Entry {
    std::vector<Row> rows;
    std::string chunk_id;
    Watermark::Kind mark = Watermark::Kind::kLow;
    bool replaced = false;
  };
  void CommitLocked(std::vector<Row> rows);

  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::vector<Entry> log_;
  std::map<int64_t, std::string> table_;
  bool snapshots_ = false;
  bool disturb_ = false;
  size_t chunks_read_ = 0;
  size_t released_ = 0;
  size_t lost_ = 0;
  uint64_t session_ = 0;
  uint64_t connections_ = 0;
  bool throw_ = false;
  std::optional<Error> refuse_;
};

}  // namespace tailwater
