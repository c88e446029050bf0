// Capture's handle of the local topic: a queue, and the one thread that writes changes.db.
//
// Each round takes what is queued, compresses it into blocks and stores records, state and next
// offset in one transaction. Between rounds the same thread checkpoints the write-ahead log and
// drops what is too old.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "support/sqlite.h"
#include "topic/local/block.h"
#include "topic/local/file_lock.h"
#include "topic/local/log_file.h"
#include "topic/local/log_tail.h"
#include "topic/local/options.h"
#include "topic/local/retention.h"
#include "topic/topic.h"
#include "util/mutex.h"

namespace tailwater::local {

class LocalWriter final : public TopicWriter {
 public:
  // `options.clock` must be set.
  static Result<std::unique_ptr<LocalWriter>> Open(Paths paths, const LocalTopicOptions& options,
                                                   FileLock lock, std::shared_ptr<LogTail> tail);
  ~LocalWriter() override;

  int32_t partitions() const override { return 1; }
  const std::string& log_id() const override { return log_id_; }
  Result<std::map<std::string, std::string>> LoadState() override;
  Result<Offsets> Ends() override;
  size_t max_record_bytes() const override { return max_record_bytes_; }
  void Append(AppendBatch batch, AppendDone done) override;
  bool WaitForRoom(std::chrono::milliseconds timeout) override;
  size_t queued_bytes() const override;
  void Flush() override;
  Status Recover() override;

 private:
  struct Item {
    AppendBatch batch;
    AppendDone done;
    size_t bytes = 0;
    std::chrono::steady_clock::time_point queued_at;
    bool too_large = false;  // holds a record that the topic does not take
  };

  LocalWriter(Paths paths, const LocalTopicOptions& options, FileLock lock,
              std::shared_ptr<LogTail> tail);

  void Run(const std::stop_token& stop);
  // Waits for work, and for more to share its flush; empty: time for maintenance, or to stop.
  std::vector<Item> TakeGroup(const std::stop_token& stop);
  void Finish(std::vector<Item> group, const Status& status, const std::vector<int64_t>& ends);

  Status OpenFile() TW_REQUIRES(file_mutex_);
  Status StoreGroup(const std::vector<Item>& group, std::vector<int64_t>& ends);
  Status StoreRecords(const std::vector<Item>& group, std::vector<int64_t>& ends)
      TW_REQUIRES(file_mutex_);
  Status StoreBlock() TW_REQUIRES(file_mutex_);
  Status StoreState(const std::vector<Item>& group) TW_REQUIRES(file_mutex_);
  Status Maintain(bool idle);
  Status CheckpointLog(bool everything) TW_REQUIRES(file_mutex_);
  Status ProbeRoom() TW_REQUIRES(file_mutex_);

  const Paths paths_;
  const LocalTopicOptions options_;
  const size_t max_record_bytes_;
  const FileLock lock_;
  const std::shared_ptr<LogTail> tail_;
  WakeFile wake_;
  std::string log_id_;

  mutable Mutex queue_mutex_;
  CondVar changed_;
  std::deque<Item> queue_ TW_GUARDED_BY(queue_mutex_);
  size_t queued_bytes_ TW_GUARDED_BY(queue_mutex_) = 0;  // with the group that is being stored
  bool flush_ TW_GUARDED_BY(queue_mutex_) = false;
  std::optional<Error> failed_ TW_GUARDED_BY(queue_mutex_);

  Mutex file_mutex_;  // taken before queue_mutex_, where both are
  sqlite::Database log_ TW_GUARDED_BY(file_mutex_);
  sqlite::Statement insert_block_ TW_GUARDED_BY(file_mutex_);
  sqlite::Statement move_end_ TW_GUARDED_BY(file_mutex_);
  sqlite::Statement put_state_ TW_GUARDED_BY(file_mutex_);
  sqlite::Statement erase_state_ TW_GUARDED_BY(file_mutex_);
  int64_t next_offset_ TW_GUARDED_BY(file_mutex_) = 0;
  int wal_frames_ TW_GUARDED_BY(file_mutex_) = 0;       // after the last commit
  int wal_frames_seen_ TW_GUARDED_BY(file_mutex_) = 0;  // when it was last checkpointed
  size_t failed_bytes_ TW_GUARDED_BY(file_mutex_) = 0;  // what did not fit

  // The appending thread's own.
  BlockBuilder block_;
  int64_t block_base_ = 0;
  Retention retention_;
  bool more_to_drop_ = false;
  std::chrono::steady_clock::time_point next_maintenance_;

  std::jthread thread_;
};

}  // namespace tailwater::local
