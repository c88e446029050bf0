// <sink>.db: one sink's offsets and dead letters, written by the holder of <sink>.lock alone.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "support/sqlite.h"
#include "topic/dead_letter_table.h"
#include "topic/local/file_lock.h"
#include "topic/local/log_file.h"
#include "topic/topic.h"

namespace tailwater::local {

// 2 knows parked records and keeps counts, 3 whether the sink is paused. An older file becomes 3
// when its sink opens it.
inline constexpr int64_t kSinkFormat = 3;

// The file, opened to be read or written. Not thread-safe.
class SinkFile {
 public:
  // Makes the file if it is not there.
  static Result<SinkFile> OpenForWriting(const Paths& paths, const std::string& sink);
  // Creates nothing; nothing if the sink never stored anything.
  static Result<std::optional<SinkFile>> OpenForReading(const Paths& paths,
                                                        const std::string& sink);

  Result<Subscription::Stored> Load();
  Status Commit(const Subscription::Update& update);

  Result<Subscription::DeadLetterCounts> CountDeadLetters();
  Result<DeadLetterPage> ListDeadLetters(const DeadLetterFilter& filter,
                                         std::optional<RecordPlace> from, size_t limit,
                                         size_t max_bytes);
  Result<std::vector<Subscription::BlockedKey>> BlockedKeys(size_t limit,
                                                            std::optional<RecordPlace> after);
  Result<std::vector<DeadLetter>> LoadBlocked(const std::string& key, size_t max_records,
                                              size_t max_bytes);
  Result<std::vector<std::string>> Requeue(const DeadLetterFilter& filter);
  // In transactions of bounded size: after a failure a part may be gone.
  Result<uint64_t> DropDeadLetters(const DeadLetterFilter& filter);

  // Gives a little of what dropped records left behind back to the disk, if it is much. Costs
  // nothing while nothing was dropped.
  Status GiveBackSpace();

 private:
  explicit SinkFile(sqlite::Database file)
      : file_(std::make_unique<sqlite::Database>(std::move(file))), letters_(*file_) {}
  Result<Subscription::Stored> LoadRows();
  Status CommitRows(const Subscription::Update& update);
  Status MoveOffsets(const Subscription::Update& update);
  Result<bool> GiveBackPages();
  // The statement in `slot`, prepared at its first use.
  Result<sqlite::Statement*> Prepared(sqlite::Statement& slot, std::string_view sql);

  std::unique_ptr<sqlite::Database> file_;  // in a place of its own: statements point to it
  DeadLetterTable letters_;
  sqlite::Statement load_place_, load_offsets_;
  sqlite::Statement put_log_id_, put_offset_, put_rewound_, put_paused_;
  bool maybe_spacious_ = true;  // rows went since space was last looked for
};

class LocalSubscription final : public Subscription {
 public:
  LocalSubscription(SinkFile file, FileLock lock)
      : lock_(std::move(lock)), file_(std::move(file)) {}

  // The only partition, for as long as the lock is held. Also the moment to give space back.
  Result<Assignment> Poll(std::chrono::milliseconds timeout) override;
  Result<Stored> Load() override { return file_.Load(); }
  Result<Offsets> GroupOffsets() override;
  Status Commit(uint64_t generation, const Update& update) override;
  Result<DeadLetterCounts> CountDeadLetters() override { return file_.CountDeadLetters(); }
  Result<std::vector<BlockedKey>> BlockedKeys(size_t limit,
                                              std::optional<RecordPlace> after) override {
    return file_.BlockedKeys(limit, after);
  }
  Result<std::vector<DeadLetter>> LoadBlocked(const std::string& key, size_t max_records,
                                              size_t max_bytes) override {
    return file_.LoadBlocked(key, max_records, max_bytes);
  }
  Result<std::vector<std::string>> Requeue(uint64_t generation,
                                           const DeadLetterFilter& filter) override;
  Result<uint64_t> DropDeadLetters(uint64_t generation, const DeadLetterFilter& filter) override;

 private:
  const FileLock lock_;
  SinkFile file_;
};

}  // namespace tailwater::local
