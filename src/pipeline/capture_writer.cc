#include "pipeline/capture_writer.h"

#define XXH_INLINE_ALL  // short keys: the call would cost as much as the hash
#include <xxhash.h>

#include <charconv>
#include <utility>

#include "support/text.h"
#include "util/crash_point.h"

namespace tailwater {
namespace {

constexpr size_t kPooledBytes = 8 << 20;
constexpr uint64_t kHashSeed = 0x7461696c77617465;

// A broken contract between source and engine: never the server's fault.
Error ContractBroken(std::string_view what) {
  return {Disposition::kFatal, "source_contract_broken",
          fmt::format("{}; this is a bug of the source connector, please report it", what)};
}

}  // namespace

CaptureWriter::CaptureWriter(std::string source, Checkpoint& checkpoint, TopicGate& gate,
                             SourceReporter& reporter, const CaptureOptions& options,
                             const Clock& clock, Hooks hooks, std::stop_token stop)
    : source_(std::move(source)),
      logger_(options.log_prefix + source_),
      checkpoint_(checkpoint),
      gate_(gate),
      reporter_(reporter),
      options_(options),
      clock_(clock),
      hooks_(std::move(hooks)),
      stop_(std::move(stop)),
      generation_(gate.generation()),
      partitions_(gate.writer().partitions()),
      max_record_bytes_(gate.writer().max_record_bytes()),
      pool_(std::make_shared<BatchPool>(kPooledBytes)),
      batch_(pool_),
      resumed_(checkpoint.resumed_transaction()) {
  record_.source = source_;
  record_.epoch = checkpoint_.epoch();
  // The first frontier record and the first idle advance of a run need not wait.
  last_frontier_record_ = clock_.Now() - options_.frontier_interval;
  last_idle_cut_ = clock_.Now() - options_.idle_advance_interval;
}

// --- turns ---

void CaptureWriter::TakeTurn() {
  if (source_turn_) return;
  MutexLock lock(turn_mutex_);
  source_turn_ = true;
}

void CaptureWriter::EndTurn() {
  bool wake = false;
  {
    MutexLock lock(turn_mutex_);
    source_turn_ = false;
    const bool due = frontier_record_pending_ || SnapshotsWantTurn();
    if (due && !wake_asked_) wake = wake_asked_ = true;
  }
  if (wake) hooks_.wake();
}

std::optional<Clock::TimePoint> CaptureWriter::Tick() {
  MutexLock lock(turn_mutex_);
  wake_asked_ = false;
  if (source_turn_ || failed_.load(std::memory_order_acquire)) return std::nullopt;
  std::optional<Clock::TimePoint> next;
  // What fails here is sticky: the source's next call says so.
  if (!TakeNotesIfWanted()) return std::nullopt;
  if (frontier_record_pending_) {
    if (FrontierRecordIsDue(clock_.Now())) {
      AppendFrontierRecord();
    } else {
      wake_asked_ = true;  // we come by ourselves
      next = last_frontier_record_ + options_.frontier_interval;
    }
  }
  if ((!batch_empty() || notes_in_batch_) && Cut(false)) gate_.Flush();
  return next;
}

Status CaptureWriter::Check() {
  if (failed_.load(std::memory_order_acquire) && !error_) error_ = topic_error();
  if (error_) return *error_;
  return {};
}

Status CaptureWriter::Fail(Error error) {
  error_ = error;
  return error;
}

Status CaptureWriter::Sticky(Status status) {
  if (!status) error_ = status.error();
  return status;
}

void CaptureWriter::Heard() {
  if (std::exchange(heard_, true)) return;
  reporter_.Enter(SourceState::kStreaming);
  if (hooks_.snapshots != nullptr) hooks_.snapshots->Streaming();
}

bool CaptureWriter::WaitForRoom(std::chrono::milliseconds timeout) {
  Heard();
  if (failed_.load(std::memory_order_acquire)) return true;  // the next call answers the error
  return gate_.WaitForRoom(timeout);
}

// --- checkpoint only ---

Status CaptureWriter::Establish(const SourceIdentity& identity,
                                const std::optional<Position>& frontier) {
  TakeTurn();
  TW_TRY(Check());
  if (open_) return Fail(ContractBroken("Establish() inside a transaction"));
  if (frontier && checkpoint_.has_frontier() && checkpoint_.frontier() != frontier->text) {
    return Fail(ContractBroken(fmt::format("Establish() would move the frontier from {} to {}",
                                           checkpoint_.frontier(), frontier->text)));
  }
  checkpoint_.SetIdentity(identity);
  if (frontier) {
    checkpoint_.SetFrontier(frontier->text, 0);
    taken_.received = checkpoint_.frontier();
    AppendFrontierRecord();
  }
  TW_TRY(TakeNotesIfWanted());
  TW_TRY(StoreCheckpoint());
  if (frontier) {
    TW_CRASH_POINT("frontier_established");
  } else {
    TW_CRASH_POINT("intent_established");
  }
  return {};
}

Status CaptureWriter::StoreCheckpoint() {
  TW_TRY(Check());
  checkpoint_dirty_ = true;
  TW_TRY(Cut(false));
  gate_.Flush();
  if (!WaitAnswered(stop_)) {
    return Fail({Disposition::kCancelled, "stopped", "stopped while the checkpoint is stored"});
  }
  return Check();
}

Status CaptureWriter::AdvanceIdle(std::string_view frontier) {
  Heard();
  const bool was_idle = !source_turn_;
  TakeTurn();
  const Status status = AdvanceIdleInTurn(frontier);
  if (status && (was_idle || batch_empty())) EndTurn();
  return status;
}

Status CaptureWriter::AdvanceIdleInTurn(std::string_view frontier) {
  TW_TRY(Check());
  if (open_) return Fail(ContractBroken("AdvanceIdle() inside a transaction"));
  TW_TRY(TakeNotesIfWanted());
  if (notes_in_batch_) {
    TW_TRY(Cut(false));
    gate_.Flush();
  }
  // A transaction of which we hold a part is still to come: the frontier must not pass it.
  if (resumed_) return {};
  reporter_.CaughtUp();
  const Clock::TimePoint now = clock_.Now();
  if (now - last_idle_cut_ < options_.idle_advance_interval) return {};
  // The first one is published even if it moved nothing: who reads on from here learns how far the
  // source is.
  if (frontier == checkpoint_.frontier() && !checkpoint_dirty_ && idle_announced_) return {};
  idle_announced_ = true;
  last_idle_cut_ = now;
  checkpoint_.SetFrontier(frontier, 0);
  taken_.received = checkpoint_.frontier();
  checkpoint_dirty_ = true;
  AppendFrontierRecord();
  TW_TRY(Cut(false));
  gate_.Flush();
  return {};
}

// --- transactions ---

Status CaptureWriter::Begin(const Transaction& transaction) {
  Heard();
  TakeTurn();
  TW_TRY(Check());
  if (open_) return Fail(ContractBroken("Begin() inside a transaction"));
  if (resumed_) {
    if (transaction.position != resumed_->position) {
      return Fail({Disposition::kGap, "transaction_changed",
                   fmt::format("a part of transaction {} is published, but the server goes on with "
                               "transaction {}; the publication or the filters changed meanwhile",
                               resumed_->position, transaction.position)});
    }
    skipping_ = true;
  }
  open_ = true;
  position_.assign(transaction.position);
  transaction_id_.assign(transaction.id);
  commit_time_micros_ = transaction.commit_time_micros;
  begin_ = {batch_.records().size(), batch_bytes()};
  checkpoint_.Mark();
  events_ = 0;
  hash_ = kHashSeed;
  published_bytes_ = 0;
  part_published_ = false;
  cut_wanted_ = false;
  return {};
}

Status CaptureWriter::Append(const Change& change) {
  if (error_) return *error_;
  if (!open_) return Fail(ContractBroken("Append() outside of a transaction"));
  if (events_ == 0 || change.ordinal != last_ordinal_) {
    if (events_ > 0 && change.ordinal < last_ordinal_) {
      return Fail(ContractBroken(fmt::format("ordinal {} of transaction {} comes after {}",
                                             change.ordinal, position_, last_ordinal_)));
    }
    if (skipping_) {
      if (change.ordinal > resumed_->last_ordinal) TW_TRY(FinishSkip());
    } else if (PartIsDue()) {
      TW_TRY(CutPart());
    }
    ++events_;
    last_ordinal_ = change.ordinal;
  }
  if (!skipping_ && change.schema != nullptr && !checkpoint_.KnowsSchema(*change.schema)) {
    TW_TRY(Sticky(AppendSchemaRecord(*change.schema)));
  }
  record_.position = position_;
  record_.transaction_id = transaction_id_;
  record_.source_time_micros = commit_time_micros_;
  record_.ordinal = change.ordinal;
  record_.part = change.part;
  return Sticky(AppendRecord(change));
}

Status CaptureWriter::Commit(std::string_view frontier) {
  TW_TRY(Check());
  if (!open_) return Fail(ContractBroken("Commit() outside of a transaction"));
  if (skipping_) TW_TRY(FinishSkip());
  open_ = false;
  const bool published = part_published_ || batch_.records().size() > begin_.records;
  checkpoint_.SetFrontier(frontier, commit_time_micros_);
  checkpoint_.SetInProgress(std::nullopt);
  checkpoint_dirty_ = true;
  ++taken_.transactions;
  taken_.received = checkpoint_.frontier();
  taken_.last_commit_micros = commit_time_micros_;
  if (taken_.oldest_commit_micros == 0) taken_.oldest_commit_micros = commit_time_micros_;
  for (size_t i = 0; i < counts_.size(); ++i) taken_.events[i] += std::exchange(counts_[i], 0);
  TW_TRY(TakeNotesIfWanted());
  // A transaction without records only moves the frontier: it is stored with what comes next.
  if (!published) return {};
  frontier_record_pending_ = true;
  const Clock::TimePoint now = clock_.Now();
  if (FrontierRecordIsDue(now)) AppendFrontierRecord();
  if (batch_bytes() >= options_.batch_bytes || now - batch_started_ >= options_.batch_delay) {
    TW_TRY(Cut(false));
  }
  return {};
}

Status CaptureWriter::AppendAlone(const Change& change, std::string_view frontier) {
  Heard();
  TakeTurn();
  TW_TRY(Check());
  if (open_) return Fail(ContractBroken("AppendAlone() inside a transaction"));
  begin_ = {batch_.records().size(), batch_bytes()};
  checkpoint_.Mark();
  open_ = true;  // until it is whole: Finish() drops what is not
  position_.clear();
  if (change.schema != nullptr && !checkpoint_.KnowsSchema(*change.schema)) {
    TW_TRY(Sticky(AppendSchemaRecord(*change.schema)));
  }
  record_.position = {};
  record_.transaction_id = change.transaction_id;
  record_.source_time_micros = change.source_time_micros;
  record_.ordinal = 0;
  record_.part = 0;
  TW_TRY(Sticky(AppendRecord(change)));
  open_ = false;
  for (size_t i = 0; i < counts_.size(); ++i) taken_.events[i] += std::exchange(counts_[i], 0);
  checkpoint_.SetFrontier(frontier, change.source_time_micros);
  taken_.received = checkpoint_.frontier();
  checkpoint_dirty_ = true;
  frontier_record_pending_ = true;
  if (batch_bytes() >= options_.batch_bytes) TW_TRY(Cut(false));
  return {};
}

// --- snapshots ---

void CaptureWriter::ExpectNotes() {
  if (std::exchange(notes_in_batch_, true)) return;
  checkpoint_dirty_ = true;
  MutexLock lock(answer_mutex_);
  ++undurable_notes_;
}

Status CaptureWriter::PutNotes(SnapshotNotes notes) {
  for (const SnapshotMarker& marker : notes.markers) TW_TRY(Sticky(AppendMarker(marker)));
  for (auto& [key, value] : notes.state) batch_.state[key] = std::move(value);
  return {};
}

Status CaptureWriter::TakeNotesIfWanted() {
  if (!SnapshotsWantTurn()) return {};
  Touch();
  ExpectNotes();
  return PutNotes(hooks_.snapshots->TakeNotes(checkpoint_.last_version() + 1));
}

Status CaptureWriter::OnWatermark(const Watermark& mark) {
  Heard();
  TakeTurn();
  TW_TRY(Check());
  if (open_) return Fail(ContractBroken("OnWatermark() inside a transaction"));
  if (hooks_.snapshots == nullptr) return {};
  switch (mark.kind) {
    case Watermark::Kind::kLow: {
      std::erase_if(windows_, [this](const auto& window) {
        return !hooks_.snapshots->OpenWindow(window->chunk_id());
      });
      if (auto table = hooks_.snapshots->OpenWindow(mark.chunk_id)) {
        windows_.push_back(
            std::make_unique<ChunkWindow>(std::string(mark.chunk_id), *std::move(table)));
      }
      return {};
    }
    case Watermark::Kind::kHigh:
      return OnHighWatermark(mark);
  }
  return {};
}

Status CaptureWriter::OnHighWatermark(const Watermark& mark) {
  std::unique_ptr<ChunkWindow> window;
  std::erase_if(windows_, [&](auto& open) {
    if (open->chunk_id() != mark.chunk_id) return false;
    window = std::move(open);
    return true;
  });
  if (window == nullptr) {
    hooks_.snapshots->Discard(mark.chunk_id, "its low watermark was not met");
    return {};
  }
  if (!mark.sound) {
    hooks_.snapshots->Discard(mark.chunk_id,
                              "a transaction that the stream had shown was not visible to it yet");
    return {};
  }
  const std::optional<ReadyChunk> ready = hooks_.snapshots->TakeChunk(mark.chunk_id);
  if (!ready) return {};
  if (const std::string why = window->WhyNot(*ready->chunk.schema); !why.empty()) {
    hooks_.snapshots->Discard(mark.chunk_id, why);
    return {};
  }
  return PublishChunk(mark.chunk_id, *ready, {}, window.get());
}

Status CaptureWriter::PublishChunk(std::string_view chunk_id, const ReadyChunk& ready,
                                   std::span<const SnapshotMarker> before, ChunkWindow* window) {
  TW_TRY(Cut(false));
  // Of the chunk alone from here on: what fails is taken back, and is the unit's failure.
  checkpoint_.Mark();
  uint64_t rows = 0;
  if (const Status appended = AppendChunk(ready, before, window, rows); !appended) {
    batch_.Truncate(0, 0);
    checkpoint_.Rollback();
    logger_.Warn("snapshot rows refused",
                 {{"table", ready.chunk.schema->table()}, {"code", appended.error().code}});
    hooks_.snapshots->Refuse(chunk_id, appended.error());
    return {};
  }
  ExpectNotes();
  TW_TRY(PutNotes(hooks_.snapshots->Publish(chunk_id, rows)));
  taken_.events[static_cast<size_t>(Operation::kRead)] += rows;
  if (rows > 0) frontier_record_pending_ = true;  // who has met it has these rows, too
  return Cut(false);
}

Status CaptureWriter::AppendChunk(const ReadyChunk& ready, std::span<const SnapshotMarker> before,
                                  ChunkWindow* window, uint64_t& rows) {
  for (const SnapshotMarker& marker : before) TW_TRY(AppendMarker(marker));
  position_.clear();
  transaction_id_.clear();
  commit_time_micros_ = ready.chunk.read_at_micros;
  const std::span<const Change> read = ready.chunk.rows.changes();
  size_t last = read.size();  // the row that bears the unit's last mark
  if (ready.last_of_unit) {
    while (last > 0 && window != nullptr && IsDropped(read[last - 1], *window)) --last;
    if (last > 0) --last;
  }
  for (size_t i = 0; i < read.size(); ++i) {
    const SnapshotMark mark =
        ready.last_of_unit && i == last ? SnapshotMark::kLastOfTable : SnapshotMark::kSnapshot;
    TW_ASSIGN_OR_RETURN(const bool published,
                        AppendSnapshotRow(read[i], mark, ready.addressee, window));
    if (published) ++rows;
  }
  return {};
}

Result<bool> CaptureWriter::ServeCopy(std::string_view chunk_id,
                                      std::chrono::milliseconds timeout) {
  Heard();
  TakeTurn();
  TW_TRY(Check());
  if (open_) return Fail(ContractBroken("ServeCopy() inside a transaction")).error();
  if (hooks_.snapshots == nullptr) return true;
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  for (;;) {
    TW_TRY(TakeNotesIfWanted());
    const auto left = std::max(
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()),
        std::chrono::milliseconds(0));
    if (!WaitForRoom(left)) return false;
    TW_TRY(Check());
    const SnapshotPort::CopyStep step = hooks_.snapshots->NextOfCopy(chunk_id, left);
    if (step.chunk) {
      TW_TRY(PublishChunk(chunk_id, *step.chunk, step.before, nullptr));
    } else {
      if (!step.before.empty()) TW_TRY(PutNotes({step.before, {}}));
      TW_TRY(Cut(false));
      gate_.Flush();
    }
    if (step.ended) return true;
    if (std::chrono::steady_clock::now() >= deadline) return false;
  }
}

Status CaptureWriter::RowsReplaced(std::string_view table, std::string_view why) {
  Heard();
  TakeTurn();
  TW_TRY(Check());
  if (open_) return Fail(ContractBroken("RowsReplaced() inside a transaction"));
  if (hooks_.snapshots == nullptr) {
    return Fail({Disposition::kFatal, "rows_replaced",
                 fmt::format("rows of table {} were replaced ({}), and nothing here can copy them",
                             table, why)});
  }
  hooks_.snapshots->RowsReplaced(table, why);
  std::erase_if(windows_, [&](const auto& window) {
    if (window->table() != table) return false;
    hooks_.snapshots->Discard(window->chunk_id(), "the table's rows were replaced meanwhile");
    return true;
  });
  // Into the batch that any later frontier lies in, or an earlier one.
  TW_TRY(TakeNotesIfWanted());
  TW_CRASH_POINT("rows_replaced_noted");
  return {};
}

Status CaptureWriter::Flush() {
  Heard();
  if (!source_turn_) {  // nothing happened since the last one
    if (!failed_.load(std::memory_order_acquire)) return {};
    TakeTurn();
  }
  TW_TRY(Check());
  if (open_) {
    // What was committed before waits for the next event: a record must not be torn from its event.
    if (begin_.records > 0) cut_wanted_ = true;
    return {};
  }
  TW_TRY(TakeNotesIfWanted());
  if (!batch_empty() || notes_in_batch_) {
    if (frontier_record_pending_ && FrontierRecordIsDue(clock_.Now())) AppendFrontierRecord();
    TW_TRY(Cut(false));
    gate_.Flush();
  } else if (checkpoint_dirty_ && clock_.Now() - last_cut_ >= options_.idle_advance_interval) {
    AppendFrontierRecord();
    TW_TRY(Cut(false));
    gate_.Flush();
  }
  EndTurn();
  return {};
}

// --- a transaction that was published in part before ---

Status CaptureWriter::FinishSkip() {
  const PartialTransaction read{position_, events_, last_ordinal_, hash_};
  if (read != *resumed_) {
    return Fail({Disposition::kGap, "transaction_changed",
                 fmt::format("transaction {} was published up to event {} (ordinal {}), but the "
                             "server sends other events now than those {} (read {}, up to ordinal "
                             "{}); the publication or the filters changed meanwhile",
                             position_, resumed_->events, resumed_->last_ordinal, resumed_->events,
                             events_, last_ordinal_)});
  }
  skipping_ = false;
  resumed_.reset();
  part_published_ = true;
  return {};
}

bool CaptureWriter::PartIsDue() {
  if (batch_empty()) return false;
  if (cut_wanted_ || batch_bytes() >= options_.part_bytes) return true;
  // The clock is read seldom: events of one transaction come in bursts.
  return events_ % 64 == 63 && clock_.Now() - batch_started_ >= options_.part_delay;
}

Status CaptureWriter::CutPart() {
  if (events_ == 0) return Cut(false);  // only earlier transactions lie in the batch
  checkpoint_.SetInProgress(PartialTransaction{position_, events_, last_ordinal_, hash_});
  published_bytes_ += batch_bytes() - begin_.bytes;
  part_published_ = true;
  for (size_t i = 0; i < counts_.size(); ++i) taken_.events[i] += std::exchange(counts_[i], 0);
  taken_.open_commit_micros = commit_time_micros_;
  taken_.open_bytes = published_bytes_;
  return Cut(true);
}

// --- records ---

void CaptureWriter::Touch() {
  if (batch_empty()) batch_started_ = clock_.Now();
}

void CaptureWriter::SetVersionPosition() {
  version_position_[0] = 'v';
  const auto end = std::to_chars(version_position_ + 1,
                                 version_position_ + sizeof(version_position_), record_.version);
  record_.position = {version_position_, static_cast<size_t>(end.ptr - version_position_)};
}

Status CaptureWriter::AppendRecord(const Change& change) {
  record_.operation = change.operation;
  record_.snapshot = change.snapshot;
  record_.table = change.table;
  record_.schema = change.schema;
  record_.addressee = change.addressee;
  record_.traceparent = change.traceparent;
  record_.before = change.before;
  record_.after = change.after;
  record_.message_prefix = change.message_prefix;
  record_.message_content = change.message_content;
  if (const Row row = record_.key_row(); change.schema != nullptr && !row.empty()) {
    for (const uint32_t column : change.schema->key_columns()) {
      // A key that is not known would put the record under another row's key.
      if (column >= row.size() || !row[column].has_value()) return NoKey(column);
    }
  }
  Touch();
  const size_t start = batch_bytes();
  encoder_.EncodeKey(record_, batch_.buffer());
  const size_t key_size = batch_bytes() - start;
  hash_ = XXH3_64bits_withSeed(batch_.buffer().data() + start, key_size,
                               hash_ + static_cast<uint64_t>(change.operation));
  if (!windows_.empty()) {
    const std::string_view key(batch_.buffer().data() + start, key_size);
    for (const auto& window : windows_) window->Note(change, key);
  }
  if (skipping_) {
    batch_.buffer().resize(start);
    return {};
  }
  record_.version = checkpoint_.NextVersion();
  if (record_.position.empty()) SetVersionPosition();
  ++counts_[static_cast<size_t>(change.operation) % counts_.size()];
  return Encode(start, key_size);
}

Status CaptureWriter::AppendSchemaRecord(const TableSchema& schema) {
  ClearRecord(Operation::kSchema);
  record_.table = schema.table();
  record_.schema = &schema;
  record_.transaction_id = transaction_id_;
  record_.source_time_micros = commit_time_micros_;
  record_.version = checkpoint_.NextVersion();
  SetVersionPosition();
  Touch();
  const size_t start = batch_bytes();
  encoder_.EncodeKey(record_, batch_.buffer());
  TW_TRY(Encode(start, batch_bytes() - start));
  checkpoint_.AddSchema(schema);
  return {};
}

bool CaptureWriter::IsDropped(const Change& read, ChunkWindow& window) {
  const size_t start = batch_bytes();
  encoder_.EncodeKey(source_, *read.schema, read.after, batch_.buffer());
  const std::string_view key(batch_.buffer().data() + start, batch_bytes() - start);
  const bool dropped = !window.Resolve(key, read.after).has_value();
  batch_.buffer().resize(start);
  return dropped;
}

Result<bool> CaptureWriter::AppendSnapshotRow(const Change& read, SnapshotMark mark,
                                              std::string_view addressee, ChunkWindow* window) {
  const TableSchema& schema = *read.schema;
  if (!checkpoint_.KnowsSchema(schema)) TW_TRY(AppendSchemaRecord(schema));
  ClearRecord(Operation::kRead);
  record_.snapshot = mark;
  record_.table = schema.table();
  record_.schema = &schema;
  record_.addressee = addressee;
  record_.source_time_micros = commit_time_micros_;
  record_.after = read.after;
  for (const uint32_t column : schema.key_columns()) {
    if (!read.after[column].has_value()) return NoKey(column).error();
  }
  Touch();
  const size_t start = batch_bytes();
  encoder_.EncodeKey(record_, batch_.buffer());
  const size_t key_size = batch_bytes() - start;
  if (window != nullptr) {
    const std::string_view key(batch_.buffer().data() + start, key_size);
    const std::optional<Row> row = window->Resolve(key, read.after);
    if (!row) {
      batch_.buffer().resize(start);
      return false;
    }
    record_.after = *row;
  }
  record_.version = checkpoint_.NextVersion();
  SetVersionPosition();
  TW_TRY(Encode(start, key_size));
  return true;
}

Status CaptureWriter::AppendMarker(const SnapshotMarker& marker) {
  position_.clear();
  transaction_id_.clear();
  commit_time_micros_ = 0;
  if (!checkpoint_.KnowsSchema(*marker.schema)) TW_TRY(AppendSchemaRecord(*marker.schema));
  ClearRecord(Operation::kSweep);
  record_.snapshot = SnapshotMark::kSnapshot;
  record_.table = marker.schema->table();
  record_.schema = marker.schema.get();
  record_.addressee = marker.addressee;
  record_.version = checkpoint_.NextVersion();
  SetVersionPosition();
  record_.sweep_below = marker.sweep_below == 0 ? record_.version : marker.sweep_below;
  Touch();
  const size_t start = batch_bytes();
  encoder_.EncodeKey(record_, batch_.buffer());
  const Status encoded = Encode(start, batch_bytes() - start);
  record_.sweep_below = 0;
  return encoded;
}

void CaptureWriter::ClearRecord(Operation operation) {
  record_.operation = operation;
  record_.snapshot = SnapshotMark::kStreaming;
  record_.table = {};
  record_.schema = nullptr;
  record_.transaction_id = record_.addressee = record_.traceparent = {};
  record_.source_time_micros = 0;
  record_.before = record_.after = {};
  record_.message_prefix = record_.message_content = {};
  record_.ordinal = 0;
  record_.part = 0;
}

void CaptureWriter::AppendFrontierRecord() {
  ClearRecord(Operation::kFrontier);
  record_.source_time_micros = checkpoint_.frontier_time_micros();
  record_.version = checkpoint_.NextVersion();
  SetVersionPosition();
  record_.frontier = checkpoint_.frontier();
  record_.log_id = gate_.writer().log_id();
  Touch();
  const size_t start = batch_bytes();
  encoder_.EncodeKey(record_, batch_.buffer());
  // A few dozen bytes: fits into any topic.
  if (const Status encoded = Encode(start, batch_bytes() - start); !encoded)
    error_ = encoded.error();
  record_.frontier = record_.log_id = {};
  frontier_record_pending_ = false;
  last_frontier_record_ = clock_.Now();
}

Status CaptureWriter::Encode(size_t start, size_t key_size) {
  std::string& buffer = batch_.buffer();
  encoder_.EncodeChange(record_, buffer);
  size_t bytes = buffer.size() - start;
  if (bytes > max_record_bytes_) {
    TW_ASSIGN_OR_RETURN(bytes, Shrink(start, key_size, bytes));
  }
  const int64_t timestamp =
      record_.source_time_micros != 0 ? record_.source_time_micros : clock_.UnixMicros();
  if (!IsControl(record_.operation)) {
    const std::string_view key(buffer.data() + start, key_size);
    batch_.Add(start, key_size, partitions_ == 1 ? 0 : PartitionOf(key, partitions_), timestamp);
    return {};
  }
  // A copy for every partition; that of a sweep for partition 0 comes last and lists the others.
  const bool sweep =
      record_.operation == Operation::kTruncate || record_.operation == Operation::kSweep;
  for (int32_t partition = partitions_ - 1; partition >= 0; --partition) {
    const size_t copy = partition == partitions_ - 1 ? start : buffer.size();
    if (copy != start) buffer.append(buffer, start, bytes);
    batch_.Add(copy, key_size, partition, timestamp, sweep && partition == 0 && partitions_ > 1,
               sweep && partition > 0);
  }
  return {};
}

Result<size_t> CaptureWriter::Shrink(size_t start, size_t key_size, size_t bytes) {
  std::string& buffer = batch_.buffer();
  while (bytes > max_record_bytes_) {
    std::vector<std::string> names;
    if (options_.omit_oversize_columns) names = omitter_.Omit(record_, bytes - max_record_bytes_);
    if (names.empty()) return TooLarge(bytes).error();
    reporter_.ColumnsOmitted(record_.table, names.size());
    if (told_of_omitting_.emplace(record_.table).second) {
      logger_.Warn("columns left out of a change that is too large for the topic",
                   {{"table", record_.table},
                    {"columns", fmt::format("{}", fmt::join(names, ", "))},
                    {"record_bytes", bytes},
                    {"limit_bytes", max_record_bytes_}});
    }
    buffer.resize(start + key_size);
    encoder_.EncodeChange(record_, buffer);
    bytes = buffer.size() - start;
  }
  return bytes;
}

Status CaptureWriter::NoKey(uint32_t column) const {
  return ContractBroken(fmt::format("a change of table {} lacks a value for key column {}",
                                    record_.table, record_.schema->columns()[column].name));
}

Status CaptureWriter::TooLarge(size_t bytes) const {
  std::string keys;
  if (record_.schema != nullptr) {
    for (const uint32_t column : record_.schema->key_columns()) {
      keys += (keys.empty() ? "" : ", ") + record_.schema->columns()[column].name;
    }
  }
  const std::string what = record_.operation == Operation::kRead
                               ? "a row that is copied from"
                               : fmt::format("a change in transaction {} of", position_);
  return Error{Disposition::kNeedsOperator, "record_too_large",
               fmt::format("{} table {} (key: {}) makes a record of {} bytes, the topic takes {}; "
                           "raise the topic's limit, set `oversize: omit_columns`, or take the "
                           "table out of `tables:`",
                           what, record_.table.empty() ? "(none)" : record_.table,
                           keys.empty() ? "none" : keys, bytes, max_record_bytes_)};
}

// --- batches ---

Status CaptureWriter::Cut(bool part) {
  if (batch_empty() && !checkpoint_dirty_) return {};
  if (error_) return *error_;
  last_cut_ = clock_.Now();
  checkpoint_.Seal(batch_);
  taken_.records = batch_.records().size();
  taken_.bytes = batch_bytes();
  reporter_.BatchTaken(taken_, last_cut_);
  taken_ = {};
  checkpoint_dirty_ = false;
  cut_wanted_ = false;
  begin_ = {};
  const bool notes = std::exchange(notes_in_batch_, false);
  {
    MutexLock lock(answer_mutex_);
    ++in_flight_;
  }
  TW_CRASH_POINT("before_append");
  const Status submitted = gate_.Submit(generation_, std::move(batch_),
                                        [this, part, notes](Result<AppendReceipt> answer) {
                                          Answered(std::move(answer), part, notes);
                                        });
  TW_CRASH_POINT("appended_not_durable");
  batch_ = AppendBatch(pool_);
  if (!submitted) {
    error_ = submitted.error();
    Answered(submitted.error(), part, notes);
  }
  return submitted;
}

void CaptureWriter::Answered(Result<AppendReceipt> answer, bool part, bool notes) {
  const bool durable = answer.has_value();
  if (answer) {
    if (part) {
      TW_CRASH_POINT("part_published");
    }
    std::optional<DurableFrontier> frontier = checkpoint_.Published(*answer);
    reporter_.BatchDurable();
    if (frontier || part) progress_.store(true, std::memory_order_relaxed);
    if (frontier) {
      TW_CRASH_POINT("published_not_released");
      hooks_.release(std::move(*frontier));
      TW_CRASH_POINT("released");
    }
  } else {
    bool first = false;
    {
      MutexLock lock(answer_mutex_);
      first = !topic_error_.has_value();
      if (first) topic_error_ = answer.error();
      failed_.store(true, std::memory_order_release);
    }
    if (first) hooks_.topic_failed();
  }
  MutexLock lock(answer_mutex_);
  // Told under the lock: notes that are asked for meanwhile wait in ExpectNotes().
  if (durable && notes && --undurable_notes_ == 0) hooks_.snapshots->Durable();
  --in_flight_;
  answered_.NotifyAll();
}

void CaptureWriter::Finish() {
  TakeTurn();
  if (open_) {
    batch_.Truncate(begin_.records, begin_.bytes);
    checkpoint_.Rollback();
    counts_ = {};
    open_ = false;
  }
  // The error ended the run, not what was committed before it. A topic that failed refuses by
  // itself.
  error_.reset();
  if (failed_.load(std::memory_order_acquire)) return;
  if (frontier_record_pending_) AppendFrontierRecord();
  if (Cut(false)) gate_.Flush();
}

bool CaptureWriter::WaitAnswered(const std::stop_token& stop) {
  MutexLock lock(answer_mutex_);
  while (in_flight_ > 0) {
    if (stop.stop_requested()) return false;
    answered_.Wait(answer_mutex_, stop, std::chrono::seconds(1));
  }
  return true;
}

std::optional<Error> CaptureWriter::topic_error() const {
  MutexLock lock(answer_mutex_);
  return topic_error_;
}

}  // namespace tailwater
