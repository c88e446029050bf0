// A ChangeWriter that keeps tables as the engine's sinks would: changes and copied rows come to a
// model of each table, chunks through the windows between their marks. What stands in it at the end
// must be what the server has. Threads: the stream's and the test's.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tailwater/source.h"

namespace tailwater::mysql {

// "a|b|NULL", as AppendReadable() has the values.
inline std::string RowText(Row row) {
  std::string text;
  for (size_t i = 0; i < row.size(); ++i) {
    if (i > 0) text += "|";
    AppendReadable(row[i], text);
  }
  return text;
}

class ModelWriter final : public ChangeWriter {
 public:
  // A table with a key: rows by it. Without: how often each row is there.
  struct Table {
    std::map<std::string, std::string> rows;
    std::map<std::string, int> keyless;
    SchemaPtr schema;  // of the last chunk
    uint64_t stream_fingerprint = 0;
  };

  Status Establish(const SourceIdentity& identity,
                   const std::optional<Position>& frontier) override {
    std::lock_guard lock(mutex_);
    resume_.identity = identity;
    if (frontier) resume_.frontier = frontier;
    return {};
  }
  bool WaitForRoom(std::chrono::milliseconds) override { return true; }
  Status Begin(const Transaction&) override { return {}; }
  Status Append(const Change& change) override {
    std::lock_guard lock(mutex_);
    ++changes_;
    std::string table(change.table);
    Table& model = tables_[table];
    model.stream_fingerprint = change.schema->fingerprint();
    const bool keyless = change.schema->keyless();
    const auto note = [&](const std::string& key) {
      for (auto& [unused, window] : windows_) window.insert(table + " " + key);
    };
    if (change.operation == Operation::kTruncate) {
      model.rows.clear();
      model.keyless.clear();
    }
    if (!change.before.empty() && keyless) Count(model, RowText(change.before), -1);
    if (!change.after.empty() && keyless) Count(model, RowText(change.after), 1);
    if (!keyless && change.operation == Operation::kDelete) {
      const std::string key = Key(change, change.before);
      note(key);
      model.rows.erase(key);
    } else if (!keyless && !change.after.empty()) {
      const std::string key = Key(change, change.after);
      note(key);
      model.rows[key] = RowText(change.after);
    }
    changed_.notify_all();
    return {};
  }
  Status Commit(std::string_view frontier) override { return AdvanceIdle(frontier); }
  Status AppendAlone(const Change& change, std::string_view frontier) override {
    TW_TRY(Append(change));
    return AdvanceIdle(frontier);
  }
  Status AdvanceIdle(std::string_view frontier) override {
    std::lock_guard lock(mutex_);
    resume_.frontier = Position{std::string(frontier)};
    changed_.notify_all();
    return {};
  }
  Status Flush() override { return {}; }
  Status RowsReplaced(std::string_view, std::string_view) override { return {}; }

  Status OnWatermark(const Watermark& mark) override {
    std::lock_guard lock(mutex_);
    const std::string id(mark.chunk_id);
    if (mark.kind == Watermark::Kind::kLow) {
      windows_[id];
    } else {
      Outcome outcome{windows_.contains(id) && mark.sound, 0};
      if (const auto chunk = chunks_.find(id); outcome.sound && chunk != chunks_.end()) {
        for (const Change& row : chunk->second.rows.changes()) {
          Table& model = tables_[std::string(row.table)];
          const std::string key = Key(row, row.after);
          if (windows_[id].contains(std::string(row.table) + " " + key)) continue;
          model.rows[key] = RowText(row.after);
          model.schema = chunk->second.schema;
          ++outcome.rows;
        }
      }
      windows_.erase(id);
      chunks_.erase(id);
      outcomes_[id] = outcome;
    }
    changed_.notify_all();
    return {};
  }
  Result<bool> ServeCopy(std::string_view, std::chrono::milliseconds timeout) override {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, timeout, [&] { return !copied_.empty() || copy_ended_; });
    while (!copied_.empty()) {
      const Chunk chunk = std::move(copied_.front());
      copied_.pop_front();
      for (const Change& row : chunk.rows.changes()) {
        Table& model = tables_[std::string(row.table)];
        // A copy begins with a sweep.
        if (!std::exchange(copy_begun_, true)) model.keyless.clear();
        Count(model, RowText(row.after), 1);
      }
      changed_.notify_all();
    }
    served_to_the_end_ = copy_ended_;
    changed_.notify_all();
    return copy_ended_;
  }

  // --- the test's side

  struct Outcome {
    bool sound = false;
    size_t rows = 0;
  };
  void Hand(const std::string& id, Chunk chunk) {
    std::lock_guard lock(mutex_);
    chunks_[id] = std::move(chunk);
  }
  std::optional<Outcome> WaitForOutcome(const std::string& id) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, std::chrono::seconds(30), [&] { return outcomes_.contains(id); }))
      return std::nullopt;
    return outcomes_[id];
  }
  void BeginCopy() {
    std::lock_guard lock(mutex_);
    copy_begun_ = copy_ended_ = served_to_the_end_ = false;
  }
  Status HandCopied(Chunk chunk) {
    std::unique_lock lock(mutex_);
    copied_.push_back(std::move(chunk));
    changed_.notify_all();
    changed_.wait_for(lock, std::chrono::seconds(30), [&] { return copied_.size() < 2; });
    return {};
  }
  // What was handed has come to the stream's thread, if it is to come.
  void EndCopy(bool wait) {
    std::unique_lock lock(mutex_);
    copy_ended_ = true;
    changed_.notify_all();
    if (wait) changed_.wait_for(lock, std::chrono::seconds(30), [&] { return served_to_the_end_; });
  }
  Table table(const std::string& name) {
    std::lock_guard lock(mutex_);
    return tables_[name];
  }
  size_t changes() {
    std::lock_guard lock(mutex_);
    return changes_;
  }
  bool WaitUntil(const std::function<bool(ModelWriter&)>& done,
                 std::chrono::seconds patience = std::chrono::seconds(60)) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (!done(*this)) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::unique_lock lock(mutex_);
      changed_.wait_for(lock, std::chrono::milliseconds(5));
    }
    return true;
  }

 private:
  static std::string Key(const Change& change, Row row) {
    std::string key;
    for (const uint32_t column : change.schema->key_columns()) {
      AppendReadable(row[column], key);
      key += "|";
    }
    return key;
  }
  static void Count(Table& table, const std::string& row, int by) {
    if ((table.keyless[row] += by) == 0) table.keyless.erase(row);
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  ResumePoint resume_;
  std::map<std::string, Table> tables_;
  std::map<std::string, std::set<std::string>> windows_;  // changed keys, by chunk
  std::map<std::string, Chunk> chunks_;
  std::map<std::string, Outcome> outcomes_;
  std::deque<Chunk> copied_;
  bool copy_begun_ = false;
  bool copy_ended_ = false;
  bool served_to_the_end_ = false;
  size_t changes_ = 0;
};

}  // namespace tailwater::mysql
