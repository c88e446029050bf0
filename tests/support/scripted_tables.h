// A source whose tables lie in memory, for tests of snapshots: keys are numbers, written so that
// their order as text is theirs. Marks go to whoever plays the stream. Thread-safe.
#pragma once

#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tailwater/source.h"

namespace tailwater {

class ScriptedTables final : public Source {
 public:
  struct Mark {
    enum class Kind : uint8_t { kLow, kHigh, kCopy };
    Kind kind;
    std::string chunk_id;
  };

  // `key`: "id", or empty for a table without one.
  void AddTable(const std::string& name, int64_t rows, const std::string& key = "id",
                bool estimated = true) {
    std::lock_guard lock(mutex_);
    Table& table = tables_["public." + name];
    if (table.identity.empty()) table.identity = std::to_string(++last_identity_);
    table.schema = MakeSchema(name, key);
    table.estimated = estimated;
    for (int64_t i = 1; i <= rows; ++i) table.rows.insert(i);
  }
  // In one step: nobody sees the name without a table.
  void MakeAnew(const std::string& name, int64_t rows) {
    std::lock_guard lock(mutex_);
    Table& table = tables_.at("public." + name);
    table.identity = std::to_string(++last_identity_);
    table.rows.clear();
    for (int64_t i = 1; i <= rows; ++i) table.rows.insert(i);
  }
  void DropTable(const std::string& name) {
    std::lock_guard lock(mutex_);
    tables_.erase("public." + name);
  }
  void ChangeKey(const std::string& name, const std::string& key) {
    std::lock_guard lock(mutex_);
    tables_.at("public." + name).schema = MakeSchema(name, key);
  }
  // Every read of the table fails so until `error` is empty again.
  void FailReads(const std::string& name, std::optional<Error> error) {
    std::lock_guard lock(mutex_);
    failing_.erase("public." + name);
    if (error) failing_.emplace("public." + name, *error);
  }
  void FailNextReads(const Error& error, int times) {
    std::lock_guard lock(mutex_);
    for (int i = 0; i < times; ++i) next_failures_.push_back(error);
  }
  // Settle() waits, and says so, until it is let go.
  void HoldSettle(bool hold) {
    std::lock_guard lock(mutex_);
    settle_held_ = hold;
    changed_.notify_all();
  }

  std::optional<Mark> NextMark(std::chrono::milliseconds timeout) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, timeout, [&] { return !marks_.empty(); });
    if (marks_.empty()) return std::nullopt;
    Mark mark = std::move(marks_.front());
    marks_.pop_front();
    return mark;
  }
  void Wake() {
    std::lock_guard lock(mutex_);
    changed_.notify_all();
  }
  size_t reads() const {
    std::lock_guard lock(mutex_);
    return reads_;
  }
  size_t bounds() const {
    std::lock_guard lock(mutex_);
    return bounds_;
  }

  Status Run(const ResumePoint&, ChangeWriter&, std::stop_token) override { return {}; }
  void Release(DurableFrontier) override {}
  Result<std::unique_ptr<SnapshotReader>> OpenSnapshotReader(std::stop_token stop) override {
    return std::unique_ptr<SnapshotReader>(new Reader(*this, std::move(stop)));
  }

  static SchemaPtr MakeSchema(const std::string& name, const std::string& key) {
    std::vector<Column> columns = {{"id", ValueType::kInt64, "int8", key == "id"},
                                   {"code", ValueType::kInt64, "int8", key == "code"}};
    return TableSchema::Make({"public", name}, std::move(columns));
  }

 private:
  struct Table {
    SchemaPtr schema;
    std::set<int64_t> rows;
    bool estimated = true;
    std::string identity = {};
  };

  static std::string Key(int64_t id) {
    std::string text = std::to_string(id);
    return std::string(12 - text.size(), '0') + text;
  }

  class Reader final : public SnapshotReader {
   public:
    Reader(ScriptedTables& source, std::stop_token stop)
        : source_(source), stop_(std::move(stop)) {}

    Result<std::vector<SnapshotTable>> Tables() override {
      std::lock_guard lock(source_.mutex_);
      std::vector<SnapshotTable> tables;
      for (const auto& [name, table] : source_.tables_) {
        tables.push_back(
            {name, table.schema,
             table.estimated ? std::optional<uint64_t>(table.rows.size()) : std::nullopt,
             std::nullopt, table.identity});
      }
      return tables;
    }
    Status Settle(const std::function<void(const std::string&)>& waiting) override {
      std::unique_lock lock(source_.mutex_);
      while (source_.settle_held_ && !stop_.stop_requested()) {
        lock.unlock();
        waiting("pid 4711");
        lock.lock();
        source_.changed_.wait_for(lock, std::chrono::milliseconds(5));
      }
      if (stop_.stop_requested()) return Error{Disposition::kCancelled, "stopped", "stopped"};
      return {};
    }
    Result<SnapshotKey> NextBound(const std::string& name, const std::string& where,
                                  const SnapshotKey& after, size_t rows) override {
      std::lock_guard lock(source_.mutex_);
      ++source_.bounds_;
      if (where == "nonsense") {
        return Error{Disposition::kReject, "snapshot_condition_invalid", "syntax error"};
      }
      if (auto error = source_.ErrorOf(name)) return *std::move(error);
      size_t seen = 0;
      for (const int64_t id : source_.tables_.at(name).rows) {
        if (!after.empty() && Key(id) <= after) continue;
        if (++seen == rows) return Key(id);
      }
      return SnapshotKey();
    }
    Result<Chunk> Read(const ChunkRequest& request) override {
      std::lock_guard lock(source_.mutex_);
      ++source_.reads_;
      source_.Put({Mark::Kind::kLow, request.id});
      if (auto error = source_.ErrorOf(request.table)) return *std::move(error);
      Chunk chunk;
      Table& table = source_.tables_.at(request.table);
      chunk.schema = table.schema;
      for (const int64_t id : table.rows) {
        if (!request.after.empty() && Key(id) <= request.after) continue;
        if (!request.upto.empty() && Key(id) > request.upto) break;
        if (chunk.bytes >= request.max_bytes) {
          chunk.complete = false;
          break;
        }
        Add(chunk, id);
      }
      return chunk;
    }
    Status Finish(const std::string& chunk_id) override {
      std::lock_guard lock(source_.mutex_);
      source_.Put({Mark::Kind::kHigh, chunk_id});
      return {};
    }
    Status CopyWhole(const ChunkRequest& request,
                     const std::function<Status(Chunk)>& rows) override {
      std::vector<int64_t> ids;
      SchemaPtr schema;
      {
        std::lock_guard lock(source_.mutex_);
        ++source_.reads_;
        if (auto error = source_.ErrorOf(request.table)) return *std::move(error);
        source_.Put({Mark::Kind::kCopy, request.id});
        const Table& table = source_.tables_.at(request.table);
        ids.assign(table.rows.begin(), table.rows.end());
        schema = table.schema;
      }
      for (size_t i = 0; i < ids.size();) {
        Chunk chunk;
        chunk.schema = schema;
        for (; i < ids.size() && chunk.bytes < request.max_bytes; ++i) Add(chunk, ids[i]);
        TW_TRY(rows(std::move(chunk)));
      }
      return {};
    }

   private:
    static void Add(Chunk& chunk, int64_t id) {
      const auto row = chunk.rows.NewRow(2);
      row[0] = Value::Int64(id);
      row[1] = Value::Int64(id);
      Change& change = chunk.rows.Append();
      change.operation = Operation::kRead;
      change.table = chunk.schema->table();
      change.schema = chunk.schema.get();
      change.after = row;
      chunk.rows.Keep(chunk.schema);
      chunk.bytes += 10;
      chunk.last = Key(id);
    }

    ScriptedTables& source_;
    const std::stop_token stop_;
  };

  std::optional<Error> ErrorOf(const std::string& table) {
    if (!next_failures_.empty()) {
      Error error = next_failures_.front();
      next_failures_.pop_front();
      return error;
    }
    if (!tables_.contains(table)) {
      return Error{Disposition::kReject, "table_gone", "no such table"};
    }
    const auto failing = failing_.find(table);
    if (failing == failing_.end()) return std::nullopt;
    return failing->second;
  }
  void Put(Mark mark) {
    marks_.push_back(std::move(mark));
    changed_.notify_all();
  }

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, Table> tables_;
  uint64_t last_identity_ = 0;
  std::map<std::string, Error> failing_;
  std::deque<Error> next_failures_;
  bool settle_held_ = false;
  std::deque<Mark> marks_;
  size_t reads_ = 0;
  size_t bounds_ = 0;
};

}  // namespace tailwater
