// The reading end of the local topic: one connection and one cache for all sinks of the process.
//
// A fetch is one short read transaction; records are decompressed out of it and nothing of SQLite
// stays behind. The last batches stay in memory: sinks at the tail share one fetch and one decode.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>

#include "support/sqlite.h"
#include "topic/local/log_file.h"
#include "topic/local/log_tail.h"
#include "topic/topic.h"
#include "util/mutex.h"

namespace tailwater::local {

class LocalReader final : public TopicReader {
 public:
  // kRetry "topic_not_created".
  static Result<std::shared_ptr<LocalReader>> Open(const Paths& paths,
                                                   std::shared_ptr<LogTail> tail);

  int32_t partitions() const override { return 1; }
  const std::string& log_id() const override { return log_id_; }
  Result<std::shared_ptr<const ReadBatch>> Read(int32_t partition, int64_t offset, size_t max_bytes,
                                                std::chrono::milliseconds timeout,
                                                std::stop_token stop) override;
  bool WaitForAny(const Offsets& offsets, std::chrono::milliseconds timeout,
                  std::stop_token stop) override;
  Result<std::map<int32_t, PartitionRange>> Ranges() override;
  Result<int64_t> OffsetAt(int32_t partition, int64_t time_micros) override;

 private:
  LocalReader(const Paths& paths, std::shared_ptr<LogTail> tail, sqlite::Database log);
  Status Prepare() TW_REQUIRES(mutex_);
  Result<LogHead> Head() TW_REQUIRES(mutex_);
  // Null: nothing there yet.
  Result<std::shared_ptr<const ReadBatch>> Fetch(int64_t offset, size_t max_bytes)
      TW_REQUIRES(mutex_);
  // Whole blocks from `offset` on, no more than fit, but at least one.
  Result<std::shared_ptr<ReadBatch>> ReadBlocks(int64_t offset, size_t max_bytes)
      TW_REQUIRES(mutex_);
  Result<int64_t> FindOffsetAt(int64_t time_micros) TW_REQUIRES(mutex_);
  std::shared_ptr<const ReadBatch> Cached(int64_t offset, size_t max_bytes) TW_REQUIRES(mutex_);
  void Keep(std::shared_ptr<const ReadBatch> batch) TW_REQUIRES(mutex_);

  const std::shared_ptr<LogTail> tail_;
  std::string log_id_;

  Mutex mutex_;
  sqlite::Database log_ TW_GUARDED_BY(mutex_);
  sqlite::Statement head_ TW_GUARDED_BY(mutex_);
  sqlite::Statement base_ TW_GUARDED_BY(mutex_);
  sqlite::Statement blocks_ TW_GUARDED_BY(mutex_);
  std::deque<std::shared_ptr<const ReadBatch>> cache_ TW_GUARDED_BY(mutex_);  // newest first
  size_t cached_bytes_ TW_GUARDED_BY(mutex_) = 0;

  WakeWatcher watcher_;
};

}  // namespace tailwater::local
