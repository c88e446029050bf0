#include "topic/local/writer.h"

#include <sqlite3.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <utility>

#include "support/text.h"
#include "util/crash_point.h"
#include "util/thread_name.h"

namespace tailwater::local {

namespace {

using SteadyClock = std::chrono::steady_clock;

// Readers decompress a block at a time, and LZ4 looks no further back than 64 KiB.
constexpr size_t kBlockBytes = 256 << 10;
constexpr size_t kKeepBytes = 1 << 20;   // buffers larger than this are given back
constexpr size_t kGroupBytes = 4 << 20;  // one transaction takes no more than this, but one batch
constexpr int kCheckpointFrames = 1024;  // 16 MiB of pages
constexpr size_t kLargestRecord = 512 << 20;
constexpr char kDoing[] = "local topic";

}  // namespace

LocalWriter::LocalWriter(Paths paths, const LocalTopicOptions& options, FileLock lock,
                         std::shared_ptr<LogTail> tail)
    : paths_(std::move(paths)),
      options_(options),
      max_record_bytes_(std::min(options.max_record_bytes, kLargestRecord)),
      lock_(std::move(lock)),
      tail_(std::move(tail)),
      wake_(paths_.wake()),
      retention_(options) {}

Result<std::unique_ptr<LocalWriter>> LocalWriter::Open(Paths paths,
                                                       const LocalTopicOptions& options,
                                                       FileLock lock,
                                                       std::shared_ptr<LogTail> tail) {
  std::unique_ptr<LocalWriter> writer(
      new LocalWriter(std::move(paths), options, std::move(lock), std::move(tail)));
  {
    MutexLock file(writer->file_mutex_);
    if (Status status = writer->OpenFile(); !status) {
      return TopicError(std::move(status).error(), kDoing);
    }
    auto head = ReadLogHead(writer->log_);
    if (!head) return TopicError(std::move(head).error(), kDoing);
    writer->log_id_ = head->log_id;
  }
  writer->tail_->AddWriter(1);
  writer->thread_ = std::jthread([raw = writer.get()](std::stop_token stop) { raw->Run(stop); });
  return writer;
}

LocalWriter::~LocalWriter() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  {
    MutexLock lock(queue_mutex_);
    changed_.NotifyAll();
  }
  thread_.join();
  tail_->AddWriter(-1);
  tail_->Advance();
}

Status LocalWriter::OpenFile() {
  insert_block_ = {};
  move_end_ = {};
  put_state_ = {};
  erase_state_ = {};
  log_ = {};
  TW_ASSIGN_OR_RETURN(log_, OpenLogForWriting(paths_));
  TW_ASSIGN_OR_RETURN(insert_block_,
                      log_.Prepare("INSERT INTO batches VALUES (?, ?, ?, ?, ?, ?, ?, ?)"));
  TW_ASSIGN_OR_RETURN(move_end_, log_.Prepare("UPDATE log SET next_offset = ?"));
  TW_ASSIGN_OR_RETURN(put_state_, log_.Prepare("INSERT OR REPLACE INTO state VALUES (?, ?)"));
  TW_ASSIGN_OR_RETURN(erase_state_, log_.Prepare("DELETE FROM state WHERE key = ?"));
  sqlite3_wal_hook(
      log_.handle(),
      [](void* frames, sqlite3*, const char*, int count) {
        *static_cast<int*>(frames) = count;
        return SQLITE_OK;
      },
      &wal_frames_);
  TW_ASSIGN_OR_RETURN(const LogHead head, ReadLogHead(log_));
  next_offset_ = head.next_offset;
  wal_frames_ = wal_frames_seen_ = 0;
  return {};
}

Result<std::map<std::string, std::string>> LocalWriter::LoadState() {
  MutexLock file(file_mutex_);
  auto select = log_.Prepare("SELECT key, value FROM state", false);
  if (!select) return TopicError(std::move(select).error(), kDoing);
  std::map<std::string, std::string> state;
  while (true) {
    auto row = select->Step();
    if (!row) return TopicError(std::move(row).error(), kDoing);
    if (!*row) return state;
    state.emplace(select->Text(0), select->Blob(1));
  }
}

Result<Offsets> LocalWriter::Ends() {
  MutexLock file(file_mutex_);
  auto head = ReadLogHead(log_);
  if (!head) return TopicError(std::move(head).error(), kDoing);
  return Offsets{{0, head->next_offset}};
}

void LocalWriter::Append(AppendBatch batch, AppendDone done) {
  Item item;
  item.bytes = batch.bytes();
  item.too_large = std::any_of(
      batch.records().begin(), batch.records().end(), [&](const AppendBatch::Record& record) {
        return size_t{record.key_size} + record.value_size > max_record_bytes_;
      });
  item.batch = std::move(batch);
  item.done = std::move(done);
  item.queued_at = SteadyClock::now();
  MutexLock lock(queue_mutex_);
  const bool was_empty = queue_.empty();
  const bool was_below = queued_bytes_ < options_.flush_bytes;
  queued_bytes_ += item.bytes;
  queue_.push_back(std::move(item));
  // The thread sleeps through what it would only wait longer for.
  if (was_empty || (was_below && queued_bytes_ >= options_.flush_bytes)) changed_.NotifyAll();
}

bool LocalWriter::WaitForRoom(std::chrono::milliseconds timeout) {
  const auto deadline = SteadyClock::now() + timeout;
  MutexLock lock(queue_mutex_);
  while (queued_bytes_ > options_.capacity_bytes) {
    if (SteadyClock::now() >= deadline) return false;
    changed_.WaitUntil(queue_mutex_, deadline);
  }
  return true;
}

size_t LocalWriter::queued_bytes() const {
  MutexLock lock(queue_mutex_);
  return queued_bytes_;
}

void LocalWriter::Flush() {
  MutexLock lock(queue_mutex_);
  if (queue_.empty()) return;
  flush_ = true;
  changed_.NotifyAll();
}

void LocalWriter::Run(const std::stop_token& stop) {
  NameThread("tw-append");
  next_maintenance_ = SteadyClock::now();
  while (true) {
    std::vector<Item> group = TakeGroup(stop);
    const bool idle = group.empty();
    if (idle && stop.stop_requested()) return;
    if (!idle) {
      std::vector<int64_t> ends;
      const Status status = StoreGroup(group, ends);
      Finish(std::move(group), status, ends);
    }
    if (Status status = Maintain(idle); !status) {
      // Told with the next batch: until Recover() nothing may be stored.
      MutexLock lock(queue_mutex_);
      if (!failed_) failed_ = TopicError(std::move(status).error(), kDoing);
    }
  }
}

std::vector<LocalWriter::Item> LocalWriter::TakeGroup(const std::stop_token& stop) {
  std::vector<Item> group;
  MutexLock lock(queue_mutex_);
  while (queue_.empty()) {
    flush_ = false;
    if (stop.stop_requested()) return group;
    const auto now = SteadyClock::now();
    if (!failed_ && (more_to_drop_ || now >= next_maintenance_)) return group;
    changed_.WaitUntil(queue_mutex_, stop,
                       failed_ ? now + std::chrono::seconds(1) : next_maintenance_);
  }
  const auto deadline = queue_.front().queued_at + options_.flush_interval;
  while (!flush_ && queued_bytes_ < options_.flush_bytes && !stop.stop_requested() && !failed_ &&
         SteadyClock::now() < deadline) {
    changed_.WaitUntil(queue_mutex_, stop, deadline);
  }
  size_t bytes = 0;
  while (!queue_.empty() && (group.empty() || bytes + queue_.front().bytes <= kGroupBytes)) {
    // It fails alone: what came before it is stored.
    if (queue_.front().too_large && !group.empty()) break;
    bytes += queue_.front().bytes;
    group.push_back(std::move(queue_.front()));
    queue_.pop_front();
    if (group.back().too_large) break;
  }
  return group;
}

void LocalWriter::Finish(std::vector<Item> group, const Status& status,
                         const std::vector<int64_t>& ends) {
  for (size_t i = 0; i < group.size(); ++i) {
    AppendDone done = std::move(group[i].done);
    const size_t bytes = group[i].bytes;
    group[i] = {};
    {
      MutexLock lock(queue_mutex_);
      queued_bytes_ -= bytes;
      changed_.NotifyAll();
    }
    if (status) {
      done(AppendReceipt{{{0, ends[i]}}});
    } else {
      done(status.error());
    }
  }
}

Status LocalWriter::StoreGroup(const std::vector<Item>& group, std::vector<int64_t>& ends) {
  {
    MutexLock lock(queue_mutex_);
    if (failed_) return *failed_;
  }
  Status status;
  bool advanced = false;
  {
    MutexLock file(file_mutex_);
    const int64_t before = next_offset_;
    try {
      status = StoreRecords(group, ends);
    } catch (const std::exception& exception) {
      status = Error{Disposition::kRetry, "topic_out_of_memory", exception.what()};
    }
    block_.Clear(kKeepBytes);
    if (!status) {
      // What the file holds is known again after Recover().
      next_offset_ = before;
      failed_bytes_ = 0;
      for (const Item& item : group) failed_bytes_ += item.bytes;
    }
    advanced = next_offset_ != before;
  }
  if (!status) {
    Error error = TopicError(std::move(status).error(), kDoing);
    if (error.code == "topic_disk_full") {
      error.message.append(". Nothing is lost: the source keeps its log, and goes on by itself");
    }
    MutexLock lock(queue_mutex_);
    failed_ = error;
    return error;
  }
  if (advanced) {
    tail_->Advance();
    wake_.Touch();
  }
  return {};
}

Status LocalWriter::StoreRecords(const std::vector<Item>& group, std::vector<int64_t>& ends) {
  TW_ASSIGN_OR_RETURN(auto transaction,
                      sqlite::Transaction::Begin(log_, sqlite::Transaction::Kind::kWrite));
  int64_t next = next_offset_;
  block_base_ = next;
  for (const Item& item : group) {
    if (item.too_large) {
      return Error{Disposition::kNeedsOperator, "topic_record_too_large",
                   fmt::format("a record is larger than the topic takes ({} bytes); raise the "
                               "topic's max_record_bytes",
                               max_record_bytes_)};
    }
    for (const AppendBatch::Record& record : item.batch.records()) {
      if (record.partition != 0) {
        return Error{Disposition::kFatal, "topic_no_such_partition",
                     fmt::format("a record is for partition {}, and a local topic has only "
                                 "partition 0; report this",
                                 record.partition)};
      }
      const size_t size = size_t{record.key_size} + record.value_size;
      if (block_.count() > 0 && block_.raw_bytes() + size > kBlockBytes) TW_TRY(StoreBlock());
      const char* bytes = item.batch.key(record).data();
      block_.Add({bytes, size}, record.key_size, record.timestamp_micros);
      ++next;
    }
    ends.push_back(next);
  }
  if (block_.count() > 0) TW_TRY(StoreBlock());
  TW_TRY(StoreState(group));
  if (next != next_offset_) TW_TRY(move_end_.Bind(1, next).Run());
  TW_CRASH_POINT("topic_before_commit");
  TW_TRY(transaction.Commit());
  TW_CRASH_POINT("topic_committed");
  next_offset_ = next;
  return {};
}

Status LocalWriter::StoreBlock() {
  const auto count = static_cast<int64_t>(block_.count());
  insert_block_.Bind(1, block_base_)
      .Bind(2, count)
      .Bind(3, block_.first_micros())
      .Bind(4, block_.last_micros())
      .Bind(5, options_.clock->UnixMicros())
      .Bind(6, static_cast<int64_t>(block_.raw_bytes()))
      .Bind(7, kBlockEncoding)
      .BindBlob(8, block_.Finish());
  TW_TRY(insert_block_.Run());
  block_base_ += count;
  block_.Clear(kKeepBytes);
  return {};
}

Status LocalWriter::StoreState(const std::vector<Item>& group) {
  std::map<std::string_view, std::string_view> state;  // the last word on each key
  for (const Item& item : group) {
    for (const auto& [key, value] : item.batch.state) state[key] = value;
  }
  for (const auto& [key, value] : state) {
    if (value.empty()) {
      TW_TRY(erase_state_.BindText(1, key).Run());
    } else {
      TW_TRY(put_state_.BindText(1, key).BindBlob(2, value).Run());
    }
  }
  return {};
}

Status LocalWriter::Maintain(bool idle) {
  {
    MutexLock lock(queue_mutex_);
    if (failed_) {
      more_to_drop_ = false;
      return {};
    }
  }
  MutexLock file(file_mutex_);
  if (wal_frames_ < wal_frames_seen_) wal_frames_seen_ = 0;  // it was begun anew
  const bool due = SteadyClock::now() >= next_maintenance_;
  if (wal_frames_ - wal_frames_seen_ > (idle && due ? 0 : kCheckpointFrames)) {
    TW_TRY(CheckpointLog(false));
  }
  if (more_to_drop_ || due) {
    TW_ASSIGN_OR_RETURN(more_to_drop_, retention_.Step(log_, options_.clock->UnixMicros()));
    next_maintenance_ = SteadyClock::now() + options_.maintenance_interval;
  }
  return {};
}

Status LocalWriter::CheckpointLog(bool everything) {
  int frames = 0;
  int done = 0;
  errno = 0;
  const int code = sqlite3_wal_checkpoint_v2(
      log_.handle(), "main", everything ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE,
      &frames, &done);
  wal_frames_seen_ = wal_frames_;
  // A reader in the middle of its short transaction: the next time will do.
  if ((code & 0xff) == SQLITE_BUSY) return {};
  if (code != SQLITE_OK) return log_.LastError("checkpoint of the write-ahead log");
  return {};
}

Status LocalWriter::Recover() {
  {
    MutexLock lock(queue_mutex_);
    if (!queue_.empty()) {
      return Error{Disposition::kRetry, "topic_busy",
                   "batches are still queued; it is tried again when they are answered"};
    }
    if (!failed_) return {};
  }
  {
    MutexLock file(file_mutex_);
    // A new connection: after a failed flush the old one's view of the file is not to be trusted.
    Status status = OpenFile();
    if (status) status = ProbeRoom();
    if (!status) return TopicError(std::move(status).error(), kDoing);
  }
  MutexLock lock(queue_mutex_);
  failed_.reset();
  changed_.NotifyAll();
  return {};
}

Status LocalWriter::ProbeRoom() {
  struct statvfs disk {};
  if (statvfs(paths_.folder.c_str(), &disk) == 0) {
    const uint64_t free = static_cast<uint64_t>(disk.f_bavail) * disk.f_frsize;
    if (free < 2 * failed_bytes_) {
      return Error{Disposition::kNeedsOperator, "sqlite_disk_full",
                   fmt::format("{} bytes are free in {}, and the next batch needs up to {}; free "
                               "space on this disk",
                               free, paths_.folder, 2 * failed_bytes_)};
    }
  }
  // Whatever the write-ahead log still holds moves to the file and gives its room back.
  TW_TRY(CheckpointLog(true));
  TW_TRY(log_.Execute("UPDATE log SET probes = probes + 1"));
  return {};
}

}  // namespace tailwater::local
