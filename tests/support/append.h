// Appending to a topic and waiting for the answer.
#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <vector>

#include "support/matchers.h"
#include "topic/topic.h"

namespace tailwater {

struct WrittenRecord {
  std::string key;
  std::string value;
  int32_t partition = 0;
  int64_t timestamp_micros = 1000;
};

inline void AddRecord(AppendBatch& batch, const WrittenRecord& record, bool fence = false,
                      bool fenced = false) {
  const size_t start = batch.buffer().size();
  batch.buffer() += record.key;
  batch.buffer() += record.value;
  batch.Add(start, record.key.size(), record.partition, record.timestamp_micros, fence, fenced);
}

// Collects what Append() answers.
class Answers {
 public:
  AppendDone Take() {
    return [this](Result<AppendReceipt> answer) {
      std::lock_guard lock(mutex_);
      list_.push_back(std::move(answer));
      changed_.notify_all();
    };
  }
  std::vector<Result<AppendReceipt>> WaitFor(size_t count) {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(
        changed_.wait_for(lock, std::chrono::seconds(30), [&] { return list_.size() >= count; }));
    return list_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Result<AppendReceipt>> list_;
};

inline Result<AppendReceipt> AppendAndWait(TopicWriter& writer, AppendBatch batch) {
  Answers answers;
  writer.Append(std::move(batch), answers.Take());
  writer.Flush();
  return answers.WaitFor(1).at(0);
}

}  // namespace tailwater
