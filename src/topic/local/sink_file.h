// <sink>.db: one sink's offsets and dead letters, written by the holder of <sink>.lock alone.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "support/sqlite.h"
#include "topic/local/file_lock.h"
#include "topic/local/log_file.h"
#include "topic/topic.h"

namespace tailwater::local {

inline constexpr int64_t kSinkFormat = 1;

// The file, opened to be read or written. Not thread-safe.
class SinkFile {
 public:
  // Makes the file if it is not there.
  static Result<SinkFile> OpenForWriting(const Paths& paths, const std::string& sink);
  // Creates nothing; nothing if the sink never stored anything.
  static Result<std::optional<SinkFile>> OpenForReading(const Paths& paths,
                                                        const std::string& sink);

  Result<Subscription::Stored> Load();
  Result<Subscription::DeadLetterCounts> CountDeadLetters();
  Status Commit(const Subscription::Update& update);

 private:
  explicit SinkFile(sqlite::Database file) : file_(std::move(file)) {}
  Result<Subscription::Stored> LoadRows();
  Result<Subscription::DeadLetterCounts> CountRows();
  Status CommitRows(const Subscription::Update& update);
  Status MoveOffsets(const Subscription::Update& update);
  Status DropDeadLetters(const Subscription::Update& update);
  Status AddDeadLetters(const Subscription::Update& update);
  // The statement in `slot`, prepared at its first use.
  Result<sqlite::Statement*> Prepared(sqlite::Statement& slot, std::string_view sql);

  sqlite::Database file_;
  sqlite::Statement load_place_, load_offsets_;
  sqlite::Statement put_log_id_, put_offset_, put_rewound_;
  sqlite::Statement drop_sweep_, drop_base_missing_, replace_base_missing_, add_letter_;
};

class LocalSubscription final : public Subscription {
 public:
  LocalSubscription(SinkFile file, FileLock lock)
      : lock_(std::move(lock)), file_(std::move(file)) {}

  // The only partition, for as long as the lock is held.
  Result<Assignment> Poll(std::chrono::milliseconds timeout) override;
  Result<Stored> Load() override { return file_.Load(); }
  Result<Offsets> GroupOffsets() override;
  Status Commit(uint64_t generation, const Update& update) override;
  Result<DeadLetterCounts> CountDeadLetters() override { return file_.CountDeadLetters(); }
  Result<std::vector<BlockedKey>> BlockedKeys(size_t limit) override;
  Result<std::vector<DeadLetter>> LoadBlocked(const std::string& key, size_t max_records,
                                              size_t max_bytes) override;
  Result<std::vector<std::string>> Requeue(uint64_t generation,
                                           const DeadLetterFilter& filter) override;
  Result<uint64_t> DropDeadLetters(uint64_t generation, const DeadLetterFilter& filter) override;

 private:
  const FileLock lock_;
  SinkFile file_;
};

}  // namespace tailwater::local
