// A ChangeWriter that writes down what it is given, as text, and plays the topic: what was
// committed is durable at once. Threads: the source's and the test's.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "tailwater/source.h"

namespace tailwater::postgres {

inline std::string Describe(const Change& change) {
  const auto row = [&](Row values) {
    std::string text = "{";
    for (size_t i = 0; i < values.size(); ++i) {
      if (i > 0) text += ", ";
      text += change.schema->columns()[i].name + "=";
      AppendReadable(values[i], text);
    }
    return text + "}";
  };
  std::string text(OperationName(change.operation));
  if (!change.table.empty() || change.schema != nullptr) text += " " + change.schema->table();
  if (!change.before.empty()) text += " before" + row(change.before);
  if (!change.after.empty()) text += " after" + row(change.after);
  if (change.operation == Operation::kMessage) {
    text += " ";
    text += change.message_prefix;
    text += ":";
    text += change.message_content;
  }
  return text;
}

struct RecordedTransaction {
  std::string position;
  std::string id;
  int64_t commit_time_micros = 0;
  std::vector<std::string> changes;
  std::vector<std::pair<uint64_t, uint32_t>> ordinals;
  std::string frontier;
  bool alone = false;
};

class RecordingWriter final : public ChangeWriter {
 public:
  // As text, with the number of transactions in front of it: "low a/1 @3", "high a/1 unsound @4".
  Status OnWatermark(const Watermark& mark) override {
    std::lock_guard lock(mutex_);
    TW_TRY(Count());
    marks_.push_back((mark.kind == Watermark::Kind::kLow ? "low " : "high ") +
                     std::string(mark.chunk_id) + (mark.sound ? "" : " unsound") + " @" +
                     std::to_string(transactions_.size()));
    changed_.notify_all();
    return {};
  }
  Result<bool> ServeCopy(std::string_view chunk_id, std::chrono::milliseconds timeout) override {
    return serve ? serve(chunk_id, timeout) : Result<bool>(true);
  }
  Status Establish(const SourceIdentity& identity,
                   const std::optional<Position>& frontier) override {
    std::lock_guard lock(mutex_);
    TW_TRY(Count());
    resume_.identity = identity;
    if (frontier) resume_.frontier = frontier;
    established_.emplace_back(identity, frontier);
    changed_.notify_all();
    return {};
  }
  bool WaitForRoom(std::chrono::milliseconds timeout) override {
    std::unique_lock lock(mutex_);
    ++room_calls_;
    changed_.notify_all();
    return changed_.wait_for(lock, timeout, [&] { return !full_; });
  }
  Status Begin(const Transaction& transaction) override {
    std::lock_guard lock(mutex_);
    TW_TRY(Count());
    open_ = RecordedTransaction{std::string(transaction.position),
                                std::string(transaction.id),
                                transaction.commit_time_micros,
                                {},
                                {},
                                {},
                                false};
    return {};
  }
  Status Append(const Change& change) override {
    std::lock_guard lock(mutex_);
    TW_TRY(Count());
    ++appended_;
    if (keep_) {
      open_.changes.push_back(Describe(change));
      open_.ordinals.emplace_back(change.ordinal, change.part);
    }
    if (inspect) inspect(change);
    return {};
  }
  Status Commit(std::string_view frontier) override {
    std::lock_guard lock(mutex_);
    TW_TRY(Count());
    open_.frontier = frontier;
    Done();
    return {};
  }
  Status AppendAlone(const Change& change, std::string_view frontier) override {
    std::lock_guard lock(mutex_);
    TW_TRY(Count());
    open_ = RecordedTransaction{};
    open_.alone = true;
    open_.changes.push_back(Describe(change));
    open_.frontier = frontier;
    Done();
    return {};
  }
  Status AdvanceIdle(std::string_view frontier) override {
    std::lock_guard lock(mutex_);
    TW_TRY(Count());
    idle_.emplace_back(frontier);
    resume_.frontier = Position{std::string(frontier)};
    changed_.notify_all();
    return {};
  }
  Status RowsReplaced(std::string_view table, std::string_view) override {
    std::lock_guard lock(mutex_);
    TW_TRY(Count());
    replaced_.emplace_back(table);
    changed_.notify_all();
    return {};
  }
  Status Flush() override {
    std::lock_guard lock(mutex_);
    ++flushes_;
    changed_.notify_all();
    return {};
  }

  // What the next Run() gets.
  ResumePoint resume() {
    std::lock_guard lock(mutex_);
    return resume_;
  }
  void set_resume(ResumePoint resume) {
    std::lock_guard lock(mutex_);
    resume_ = std::move(resume);
  }
  std::vector<std::string> marks() {
    std::lock_guard lock(mutex_);
    return marks_;
  }
  bool WaitForMark(const std::string& start) {
    return WaitUntil([&](RecordingWriter& self) {
      for (const std::string& mark : self.marks())
        if (mark.compare(0, start.size(), start) == 0) return true;
      return false;
    });
  }
  std::vector<RecordedTransaction> transactions() {
    std::lock_guard lock(mutex_);
    return transactions_;
  }
  std::vector<std::string> changes() {
    std::lock_guard lock(mutex_);
    std::vector<std::string> all;
    for (const auto& transaction : transactions_)
      all.insert(all.end(), transaction.changes.begin(), transaction.changes.end());
    return all;
  }
  std::vector<std::pair<SourceIdentity, std::optional<Position>>> established() {
    std::lock_guard lock(mutex_);
    return established_;
  }
  // Tables that were said to hold other rows than the log tells.
  std::vector<std::string> replaced() {
    std::lock_guard lock(mutex_);
    return replaced_;
  }
  int room_calls() {
    std::lock_guard lock(mutex_);
    return room_calls_;
  }
  size_t appended() {
    std::lock_guard lock(mutex_);
    return appended_;
  }
  void SetFull(bool full) {
    std::lock_guard lock(mutex_);
    full_ = full;
    changed_.notify_all();
  }
  // The n-th call from now fails as a topic that is gone does; 0: none.
  void FailAt(int call) {
    std::lock_guard lock(mutex_);
    fail_at_ = call;
  }
  void KeepOnlyCounts() { keep_ = false; }
  void ForgetTransactions() {
    std::lock_guard lock(mutex_);
    transactions_.clear();
  }
  // Forgets the transaction that a failure left open, as the engine does.
  void Reopen() {
    std::lock_guard lock(mutex_);
    open_ = {};
  }

  // Waits until `done` holds; false after 30 s.
  bool WaitUntil(const std::function<bool(RecordingWriter&)>& done) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (std::chrono::steady_clock::now() < deadline) {
      if (done(*this)) return true;
      std::unique_lock lock(mutex_);
      changed_.wait_for(lock, std::chrono::milliseconds(5));
    }
    return done(*this);
  }
  bool WaitForChanges(size_t count) {
    return WaitUntil([&](RecordingWriter& self) { return self.changes().size() >= count; });
  }

  std::function<void(const Change&)> inspect;  // under the lock
  std::function<Result<bool>(std::string_view, std::chrono::milliseconds)> serve;

 private:
  Status Count() {
    if (fail_at_ > 0 && --fail_at_ == 0)
      return Error{Disposition::kRetry, "topic_failed", "the test cut here"};
    return {};
  }
  void Done() {
    resume_.frontier = Position{open_.frontier};
    transactions_.push_back(std::move(open_));
    open_ = {};
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  ResumePoint resume_;
  RecordedTransaction open_;
  std::vector<RecordedTransaction> transactions_;
  std::vector<std::pair<SourceIdentity, std::optional<Position>>> established_;
  std::vector<std::string> idle_;
  std::vector<std::string> marks_;
  std::vector<std::string> replaced_;
  size_t appended_ = 0;
  int flushes_ = 0;
  int room_calls_ = 0;
  int fail_at_ = 0;
  bool full_ = false;
  bool keep_ = true;
};

}  // namespace tailwater::postgres
