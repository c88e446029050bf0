#include "topic/local/reader.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "support/text.h"
#include "topic/local/block.h"

namespace tailwater::local {

namespace {

using SteadyClock = std::chrono::steady_clock;

// What is kept for the other sinks; the newest batch always is.
constexpr size_t kCacheBytes = 4 << 20;
// Looked at even if nobody told of a commit: a lost wake-up costs no more than this.
constexpr std::chrono::milliseconds kLookAnyway{1000};
constexpr char kDoing[] = "local topic";

Error NoSuchPartition(int32_t partition) {
  return Error{Disposition::kFatal, "topic_no_such_partition",
               fmt::format("partition {} was asked for, and a local topic has only partition 0; "
                           "report this",
                           partition)};
}

class ResetAtEnd {
 public:
  explicit ResetAtEnd(sqlite::Statement& statement) : statement_(statement) {}
  ~ResetAtEnd() { statement_.Reset(); }
  ResetAtEnd(const ResetAtEnd&) = delete;
  ResetAtEnd& operator=(const ResetAtEnd&) = delete;

 private:
  sqlite::Statement& statement_;
};

}  // namespace

LocalReader::LocalReader(const Paths& paths, std::shared_ptr<LogTail> tail, sqlite::Database log)
    : tail_(std::move(tail)), log_(std::move(log)), watcher_(paths.wake(), tail_) {}

Result<std::shared_ptr<LocalReader>> LocalReader::Open(const Paths& paths,
                                                       std::shared_ptr<LogTail> tail) {
  auto log = OpenLogForReading(paths);
  if (!log) return TopicError(std::move(log).error(), kDoing);
  if (!*log) {
    return Error{
        Disposition::kRetry, "topic_not_created",
        fmt::format("there is no log in {} yet; it appears once capture runs", paths.folder)};
  }
  std::shared_ptr<LocalReader> reader(new LocalReader(paths, std::move(tail), std::move(**log)));
  MutexLock lock(reader->mutex_);
  if (Status status = reader->Prepare(); !status) {
    return TopicError(std::move(status).error(), kDoing);
  }
  auto head = reader->Head();
  if (!head) return TopicError(std::move(head).error(), kDoing);
  reader->log_id_ = head->log_id;
  return reader;
}

Status LocalReader::Prepare() {
  TW_ASSIGN_OR_RETURN(head_, log_.Prepare("SELECT log_id, begin_offset, next_offset FROM log"));
  TW_ASSIGN_OR_RETURN(base_, log_.Prepare("SELECT max(base_offset) FROM batches "
                                          "WHERE base_offset <= ?"));
  TW_ASSIGN_OR_RETURN(blocks_, log_.Prepare("SELECT base_offset, record_count, raw_bytes, "
                                            "encoding, data FROM batches WHERE base_offset >= ? "
                                            "ORDER BY base_offset"));
  return {};
}

Result<LogHead> LocalReader::Head() {
  ResetAtEnd reset(head_);
  TW_ASSIGN_OR_RETURN(const bool row, head_.Step());
  if (!row) {
    return Error{Disposition::kFatal, "topic_corrupt",
                 "the log has lost its head; restore the topic's folder, or destroy it and start "
                 "over"};
  }
  return LogHead{std::string(head_.Text(0)), head_.Int64(1), head_.Int64(2)};
}

Result<std::shared_ptr<const ReadBatch>> LocalReader::Read(int32_t partition, int64_t offset,
                                                           size_t max_bytes,
                                                           std::chrono::milliseconds timeout,
                                                           std::stop_token stop) {
  if (partition != 0) return NoSuchPartition(partition);
  const auto deadline = SteadyClock::now() + timeout;
  while (true) {
    const uint64_t sequence = tail_->sequence();
    {
      MutexLock lock(mutex_);
      if (auto cached = Cached(offset, max_bytes)) return cached;
      auto batch = Fetch(offset, max_bytes);
      if (!batch) return TopicError(std::move(batch).error(), kDoing);
      if (*batch) return batch;
    }
    const auto now = SteadyClock::now();
    if (now >= deadline || stop.stop_requested()) return std::shared_ptr<const ReadBatch>();
    tail_->WaitFor(sequence, std::min(deadline, now + kLookAnyway), stop);
  }
}

bool LocalReader::WaitForAny(const Offsets& offsets, std::chrono::milliseconds timeout,
                             std::stop_token stop) {
  const auto deadline = SteadyClock::now() + timeout;
  while (true) {
    const uint64_t sequence = tail_->sequence();
    // What is not the end is something to read, or an error that Read() tells.
    const auto ranges = Ranges();
    if (!ranges) return true;
    for (const auto& [partition, offset] : offsets) {
      const auto range = ranges->find(partition);
      if (range == ranges->end() || range->second.end != offset) return true;
    }
    const auto now = SteadyClock::now();
    if (now >= deadline || stop.stop_requested()) return false;
    tail_->WaitFor(sequence, std::min(deadline, now + kLookAnyway), stop);
  }
}

std::shared_ptr<const ReadBatch> LocalReader::Cached(int64_t offset, size_t max_bytes) {
  for (const auto& batch : cache_) {
    if (batch->records.front().offset == offset &&
        (batch->bytes <= max_bytes || batch->records.size() == 1)) {
      return batch;
    }
  }
  return nullptr;
}

void LocalReader::Keep(std::shared_ptr<const ReadBatch> batch) {
  cached_bytes_ += batch->bytes;
  cache_.push_front(std::move(batch));
  while (cache_.size() > 1 && cached_bytes_ > kCacheBytes) {
    cached_bytes_ -= cache_.back()->bytes;
    cache_.pop_back();
  }
}

Result<std::shared_ptr<const ReadBatch>> LocalReader::Fetch(int64_t offset, size_t max_bytes) {
  std::shared_ptr<ReadBatch> batch;
  {
    TW_ASSIGN_OR_RETURN(const auto transaction,
                        sqlite::Transaction::Begin(log_, sqlite::Transaction::Kind::kRead));
    TW_ASSIGN_OR_RETURN(const LogHead head, Head());
    if (head.log_id != log_id_) {
      return Error{Disposition::kGap, "topic_log_replaced",
                   fmt::format("log {} was replaced by log {}; this sink needs a new start",
                               log_id_, head.log_id)};
    }
    if (offset < head.begin_offset || offset > head.next_offset) {
      return Error{Disposition::kGap, "topic_offset_out_of_range",
                   fmt::format("offset {} is not in the log, which holds {} to {}; the sink was "
                               "away longer than the topic's retention, or the log was restored "
                               "from an older copy: choose a new start for this sink",
                               offset, head.begin_offset, head.next_offset)};
    }
    if (offset == head.next_offset) return std::shared_ptr<const ReadBatch>();
    TW_ASSIGN_OR_RETURN(batch, ReadBlocks(offset, max_bytes));
  }
  // A block larger than asked for is handed out in slices.
  size_t count = 0;
  for (const ReadBatch::Record& record : batch->records) {
    const size_t size = record.key.size() + record.value.size();
    if (count > 0 && batch->bytes + size > max_bytes) break;
    batch->bytes += size;
    ++count;
  }
  batch->records.resize(count);
  batch->next_offset = batch->records.back().offset + 1;
  Keep(batch);
  return std::shared_ptr<const ReadBatch>(std::move(batch));
}

Result<std::shared_ptr<ReadBatch>> LocalReader::ReadBlocks(int64_t offset, size_t max_bytes) {
  ResetAtEnd reset_base(base_);
  ResetAtEnd reset_blocks(blocks_);
  base_.Bind(1, offset);
  TW_TRY(base_.Step());
  int64_t expected = base_.Int64(0);
  blocks_.Bind(1, expected);
  auto batch = std::make_shared<ReadBatch>();
  auto memory = std::make_shared<std::vector<std::unique_ptr<char[]>>>();
  size_t raw_bytes = 0;
  while (true) {
    TW_ASSIGN_OR_RETURN(const bool row, blocks_.Step());
    if (!row) break;
    if (blocks_.Int64(0) != expected) break;  // reported below if nothing was read
    const auto block_bytes = static_cast<size_t>(blocks_.Int64(2));
    if (!batch->records.empty() && raw_bytes + block_bytes > max_bytes) break;
    if (blocks_.Int64(3) != kBlockEncoding) {
      return Error{Disposition::kFatal, "topic_format_newer",
                   fmt::format("the block of offset {} has encoding {}, which this version does "
                               "not know; run the version that wrote it, or a newer one",
                               expected, blocks_.Int64(3))};
    }
    TW_TRY(ReadBlock(blocks_.Blob(4), expected, batch->records, *memory));
    raw_bytes += block_bytes;
    expected += blocks_.Int64(1);
    if (expected <= offset) {  // cannot hold for the block that `base_` found
      batch->records.clear();
      break;
    }
  }
  auto& records = batch->records;
  records.erase(records.begin(),
                std::find_if(records.begin(), records.end(), [&](const ReadBatch::Record& record) {
                  return record.offset >= offset;
                }));
  if (records.empty()) {
    return Error{Disposition::kFatal, "topic_corrupt",
                 fmt::format("the log lacks the block of offset {}; the disk lost data: restore "
                             "the topic's folder, or destroy it and start over",
                             offset)};
  }
  batch->memory = std::move(memory);
  return batch;
}

Result<std::map<int32_t, PartitionRange>> LocalReader::Ranges() {
  MutexLock lock(mutex_);
  auto head = Head();
  if (!head) return TopicError(std::move(head).error(), kDoing);
  return std::map<int32_t, PartitionRange>{{0, {head->begin_offset, head->next_offset}}};
}

Result<int64_t> LocalReader::OffsetAt(int32_t partition, int64_t time_micros) {
  if (partition != 0) return NoSuchPartition(partition);
  MutexLock lock(mutex_);
  auto offset = FindOffsetAt(time_micros);
  if (!offset) return TopicError(std::move(offset).error(), kDoing);
  return offset;
}

Result<int64_t> LocalReader::FindOffsetAt(int64_t time_micros) {
  TW_ASSIGN_OR_RETURN(const auto transaction,
                      sqlite::Transaction::Begin(log_, sqlite::Transaction::Kind::kRead));
  TW_ASSIGN_OR_RETURN(const LogHead head, Head());
  TW_ASSIGN_OR_RETURN(auto select, log_.Prepare("SELECT base_offset FROM batches WHERE "
                                                "last_micros >= ? ORDER BY base_offset LIMIT 1",
                                                false));
  TW_ASSIGN_OR_RETURN(const bool row, select.Bind(1, time_micros).Step());
  if (!row) return head.next_offset;
  TW_ASSIGN_OR_RETURN(const auto batch, ReadBlocks(select.Int64(0), 0));
  for (const ReadBatch::Record& record : batch->records) {
    if (record.timestamp_micros >= time_micros) return record.offset;
  }
  return batch->records.back().offset + 1;
}

}  // namespace tailwater::local
