// The stream's side of SnapshotRun: all of it while the stream has the turn.
#include "snapshot/snapshot_run_impl.h"
#include "support/text.h"

namespace tailwater {

void SnapshotRun::Impl::Streaming() {
  MutexLock lock(mutex_);
  if (streaming_ || stopped_) return;
  streaming_ = true;
  threads_.emplace_back([this] { RunGuarded(0, [this] { Plan(); }); });
  for (size_t worker = 1; worker <= options_.options.workers; ++worker) {
    threads_.emplace_back([this, worker] { RunGuarded(worker, [this, worker] { Work(worker); }); });
  }
}

SnapshotNotes SnapshotRun::Impl::TakeNotes(int64_t next_version) {
  MutexLock lock(mutex_);
  wants_turn_.store(false, std::memory_order_release);
  SnapshotNotes notes = plan_->TakeNotes(next_version, Now());
  ++takes_;
  ++noted_;
  changed_.NotifyAll();  // what was taken in may begin
  return notes;
}

SnapshotRun::Impl::UnderWay* SnapshotRun::Impl::FindWanted(std::string_view chunk_id) {
  const auto found = under_way_.find(chunk_id);
  if (found == under_way_.end() || !plan_->Wants(found->second.job)) return nullptr;
  return &found->second;
}

std::optional<std::string> SnapshotRun::Impl::OpenWindow(std::string_view chunk_id) {
  MutexLock lock(mutex_);
  const UnderWay* const chunk = FindWanted(chunk_id);
  if (chunk == nullptr) return std::nullopt;
  return chunk->job.request.table;
}

std::optional<ReadyChunk> SnapshotRun::Impl::TakeChunk(std::string_view chunk_id) {
  MutexLock lock(mutex_);
  UnderWay* const chunk = FindWanted(chunk_id);
  if (chunk == nullptr || chunk->stage != UnderWay::Stage::kReady) return std::nullopt;
  chunk->stage = UnderWay::Stage::kTaken;
  ReadyChunk ready{*std::exchange(chunk->chunk, std::nullopt), chunk->job.request.addressee,
                   plan_->IsLast(chunk->job, chunk->outcome.complete)};
  return ready;
}

void SnapshotRun::Impl::Discard(std::string_view chunk_id, std::string_view why) {
  MutexLock lock(mutex_);
  const auto found = under_way_.find(chunk_id);
  if (found == under_way_.end()) return;
  found->second.stage = UnderWay::Stage::kDiscarded;
  found->second.why = why;
  found->second.chunk.reset();
  changed_.NotifyAll();
}

void SnapshotRun::Impl::Refuse(std::string_view chunk_id, const Error& error) {
  MutexLock lock(mutex_);
  const auto found = under_way_.find(chunk_id);
  if (found == under_way_.end()) return;
  found->second.stage = UnderWay::Stage::kDiscarded;
  found->second.refused = error;
  found->second.failed = true;
  changed_.NotifyAll();
}

SnapshotNotes SnapshotRun::Impl::Publish(std::string_view chunk_id, uint64_t rows) {
  MutexLock lock(mutex_);
  ++noted_;
  const auto found = under_way_.find(chunk_id);
  if (found == under_way_.end()) return {};
  UnderWay& chunk = found->second;
  const bool whole = chunk.job.kind == SnapshotJob::Kind::kWhole;
  if (whole && !plan_->Wants(chunk.job)) return {};  // its worker gives it back
  chunk.outcome.rows = rows;
  SnapshotNotes notes = plan_->Published(chunk.job, chunk.outcome, Now());
  metrics_.Published(rows, chunk.outcome.bytes);
  rate_.Add(clock_.Now(), rows);
  if (!whole) {
    chunk.stage = UnderWay::Stage::kPublished;
  } else if (chunk.outcome.complete) {
    chunk.ended = true;
  }
  changed_.NotifyAll();
  return notes;
}

SnapshotPort::CopyStep SnapshotRun::Impl::NextOfCopy(std::string_view chunk_id,
                                                     std::chrono::milliseconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  CopyStep step;
  MutexLock lock(mutex_);
  for (;;) {
    UnderWay* const copy = FindWanted(chunk_id);
    if (copy == nullptr || copy->failed || copy->ended) {
      step.ended = true;
      return step;
    }
    if (copy->copied && copy->queue.empty()) {
      // A table without a row: the sweep and the unit's end still have to be published.
      Chunk& none = copy->queue.emplace_back();
      none.schema = plan_->SchemaOf(copy->job.request.table);
      none.read_at_micros = clock_.UnixMicros();
    }
    if (copy->queue.size() > 1 || copy->copied) {
      Chunk chunk = std::move(copy->queue.front());
      copy->queue.pop_front();
      const bool last = copy->copied && copy->queue.empty();
      copy->outcome = {chunk.schema, 0, chunk.bytes, last, {}};
      if (!copy->begun) {
        step.before.push_back({chunk.schema, 0, copy->job.request.addressee});
        copy->begun = true;
      }
      step.chunk = ReadyChunk{std::move(chunk), copy->job.request.addressee, last};
      changed_.NotifyAll();  // there is room
      return step;
    }
    if (std::chrono::steady_clock::now() >= deadline) return step;
    changed_.WaitUntil(mutex_, deadline);
  }
}

void SnapshotRun::Impl::RowsReplaced(std::string_view table, std::string_view why) {
  const std::string name(table);
  const bool copy = options_.options.mode != SnapshotMode::kNever;
  {
    MutexLock lock(mutex_);
    plan_->RowsReplaced(name, why, copy, Now());
    // The rows that stand there now have writers of their own, and perhaps another key.
    std::erase_if(settled_tables_, [&](const auto& settled) { return settled.first == name; });
    look_now_ = true;
    copying_ = copying_ || copy;
    wants_turn_.store(true, std::memory_order_release);
    changed_.NotifyAll();
  }
  if (copy) {
    logger_.Warn("rows of a table were replaced without changes of rows: it is copied again",
                 {{"table", name}, {"because", why}});
  } else {
    logger_.Warn(
        "rows of a table were replaced without changes of rows, and nothing is copied by itself: "
        "what sinks hold of it is stale until it is copied",
        {{"table", name},
         {"because", why},
         {"command", fmt::format("tailwater sources snapshot {} {}", options_.source, name)}});
  }
}

void SnapshotRun::Impl::Durable() {
  MutexLock lock(mutex_);
  if (durable_ == noted_) return;
  durable_ = noted_;
  changed_.NotifyAll();
}

}  // namespace tailwater
