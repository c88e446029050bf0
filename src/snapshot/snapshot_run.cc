#include "snapshot/snapshot_run.h"

#include <random>
#include <utility>

#include "sdk/suggest.h"
#include "snapshot/snapshot_run_impl.h"
#include "support/text.h"

namespace tailwater {
namespace {

std::string RandomId() {
  std::random_device device;
  return fmt::format("{:08x}{:08x}", device(), device());
}

}  // namespace

SnapshotRun::Impl::Impl(SnapshotRunOptions options, std::unique_ptr<SnapshotPlan> plan,
                        Source& source, Metrics& metrics, const Clock& clock,
                        std::atomic<bool>& wants_turn)
    : options_(std::move(options)),
      source_(source),
      clock_(clock),
      logger_(options_.log_name),
      metrics_(metrics),
      wants_turn_(wants_turn),
      run_id_(RandomId()),
      plan_(std::move(plan)),
      throttle_(options_.options) {
  MutexLock lock(mutex_);
  if (options_.after_gap) {
    plan_->CopyAllAgain(Now());
  } else if (options_.captured_before && plan_->is_new()) {
    plan_->HoldBack();
  }
  copying_ = !plan_->open_units().empty();
  wants_turn_.store(plan_->wants_notes(), std::memory_order_release);
}

Error SnapshotRun::Impl::NotStreaming() const {
  return {Disposition::kRetry, "source_not_streaming",
          fmt::format("source '{}' does not stream now; see `tailwater status`, then try again",
                      options_.source)};
}

void SnapshotRun::Impl::Stop() {
  {
    MutexLock lock(mutex_);
    stopped_ = true;
    stop_.request_stop();
    changed_.NotifyAll();
  }
  threads_.clear();  // joins; none is added any more
  MutexLock lock(mutex_);
  while (visitors_ > 0) changed_.Wait(mutex_);
  metrics_.Clear();
}

void SnapshotRun::Impl::Nudge() {
  {
    MutexLock lock(mutex_);
    if (!plan_->wants_notes()) return;
    wants_turn_.store(true, std::memory_order_release);
  }
  if (options_.wake) options_.wake();
}

Status SnapshotRun::Impl::WaitDurable() {
  const auto deadline = std::chrono::steady_clock::now() + options_.answer_within;
  MutexLock lock(mutex_);
  const uint64_t take = takes_ + 1;
  std::optional<uint64_t> note;  // behind the call of TakeNotes() that stores it
  if (!plan_->wants_notes()) note = noted_;
  for (;;) {
    if (stopped_) return NotStreaming();
    if (!note && takes_ >= take) note = noted_;
    if (note && durable_ >= *note) return {};
    if (std::chrono::steady_clock::now() >= deadline) {
      return Error{Disposition::kRetry, "snapshot_not_stored",
                   fmt::format("the topic did not confirm it within {} s; it will be stored when "
                               "the stream goes on: see `tailwater sources list`",
                               options_.answer_within.count() / 1000)};
    }
    changed_.WaitUntil(mutex_, deadline);
  }
}

Result<std::vector<SnapshotStatus>> SnapshotRun::Impl::Request(const SnapshotRequest& request) {
  {
    MutexLock lock(mutex_);
    if (!streaming_ || stopped_) return NotStreaming();
    ++visitors_;
  }
  struct Leave {
    Impl& run;
    ~Leave() {
      MutexLock lock(run.mutex_);
      --run.visitors_;
      run.changed_.NotifyAll();
    }
  } const leave{*this};
  uint64_t unit = 0;
  {
    TW_ASSIGN_OR_RETURN(const std::unique_ptr<SnapshotReader> reader,
                        source_.OpenSnapshotReader(stop_.get_token()));
    TW_ASSIGN_OR_RETURN(const std::vector<SnapshotTable> tables, reader->Tables());
    TW_TRY(Meet(tables));
    bool keyless = false;
    {
      MutexLock lock(mutex_);
      if (!plan_->Knows(request.table)) {
        return Error{Disposition::kReject, "table_not_captured",
                     fmt::format("source '{}' captures no table '{}'{}; `tailwater check` lists "
                                 "what it captures",
                                 options_.source, request.table,
                                 DidYouMean(request.table, plan_->tables()))};
      }
      keyless = plan_->SchemaOf(request.table)->keyless();
    }
    // The condition is tried where it will be used.
    if (!request.where.empty() && !keyless) {
      const Result<SnapshotKey> bound = reader->NextBound(request.table, request.where, {}, 1);
      if (!bound) {
        Error error = bound.error();
        // Here a person waits for the answer, and can ask for something else.
        if (error.disposition == Disposition::kNeedsOperator)
          error.disposition = Disposition::kReject;
        return error;
      }
    }
  }
  {
    MutexLock lock(mutex_);
    TW_ASSIGN_OR_RETURN(unit, plan_->Add(request, Now()));
    copying_ = true;
    if (settled_tables_.contains({request.table, plan_->IdentityOf(request.table)})) {
      plan_->SetSettled({unit});
    } else {
      look_now_ = true;  // settles it
    }
    changed_.NotifyAll();
  }
  logger_.Info("snapshot requested",
               {{"snapshot", unit},
                {"table", request.table},
                {"condition", request.where.empty() ? "no" : "yes"},
                {"sink", request.addressee.empty() ? "all" : request.addressee}});
  Nudge();
  TW_TRY(WaitDurable());
  MutexLock lock(mutex_);
  const auto status = plan_->StatusOf(unit, clock_.Now());
  return status ? std::vector<SnapshotStatus>{*status} : std::vector<SnapshotStatus>{};
}

Status SnapshotRun::Impl::Change(std::optional<uint64_t> unit, SnapshotAction action) {
  {
    MutexLock lock(mutex_);
    if (stopped_) return NotStreaming();
    TW_TRY(plan_->Change(unit, action, Now()));
    changed_.NotifyAll();
  }
  logger_.Info(action == SnapshotAction::kPause    ? "snapshot paused"
               : action == SnapshotAction::kResume ? "snapshot resumed"
                                                   : "snapshot cancelled",
               {{"snapshot", unit ? std::to_string(*unit) : "all"}});
  Nudge();
  return WaitDurable();
}

bool SnapshotRun::Impl::SettledLocked() const {
  if (useless_) return true;
  if (!looked_ || durable_ < noted_ || plan_->wants_notes()) return false;
  for (const auto& [id, unit] : plan_->open_units()) {
    if (unit.automatic()) return false;
  }
  return true;
}

SnapshotsStatus SnapshotRun::Impl::GetStatus() const {
  MutexLock lock(mutex_);
  return GetStatusLocked();
}

SnapshotsStatus SnapshotRun::Impl::GetStatusLocked() const {
  SnapshotsStatus status;
  const Clock::TimePoint now = clock_.Now();
  status.units = plan_->Statuses(now);
  status.tables_copied = plan_->tables_copied();
  status.tables_waiting = plan_->open_units().size();
  status.stale = plan_->StaleTables();
  status.settled = SettledLocked();
  if (status.tables_waiting > 0) {
    if (plan_->has_work(now)) status.throttled_by = throttle_.words();
    if (status.throttled_by.empty()) status.throttled_by = slow_;
  }
  if (!troubles_.empty()) {
    const Error& trouble = troubles_.begin()->second;
    status.code = trouble.code;
    status.message = trouble.message;
    status.disposition = trouble.disposition;
  }
  uint64_t left = 0;
  bool known = status.tables_waiting > 0;
  uint64_t estimated = 0;
  for (SnapshotStatus& unit : status.units) {
    if (unit.ended_micros) continue;
    status.rows += unit.rows;
    if (unit.estimated_rows) {
      estimated += std::max(*unit.estimated_rows, unit.rows);
      left += *unit.estimated_rows > unit.rows ? *unit.estimated_rows - unit.rows : 0;
    } else {
      known = false;
    }
    if (unit.state == SnapshotState::kPaused || unit.state == SnapshotState::kBlocked) continue;
    const SnapshotUnit* const facts = plan_->Find(unit.id);
    if (!facts->settled && !settling_for_.empty()) {
      unit.waits_for = settling_for_;
    } else if (!status.throttled_by.empty() && facts->active == 0 && facts->settled) {
      unit.state = SnapshotState::kThrottled;
      unit.waits_for = status.throttled_by;
    } else if (!slow_.empty() && facts->active > 0) {
      unit.state = SnapshotState::kThrottled;
      unit.waits_for = slow_;
    }
  }
  if (known) status.estimated_rows = estimated;
  if (status.tables_waiting > 0) status.rows_per_second = rate_.PerSecond(now);
  if (known && left > 0 && status.rows_per_second && *status.rows_per_second > 0) {
    status.seconds_left = static_cast<double>(left) / *status.rows_per_second;
  }
  return status;
}

void SnapshotRun::Impl::UpdateGauges() { metrics_.Show(GetStatus()); }

// --- SnapshotRun ---

Result<std::unique_ptr<SnapshotRun>> SnapshotRun::Create(
    SnapshotRunOptions options, const std::map<std::string, std::string>& state, Source& source,
    Metrics& metrics, const Clock& clock) {
  TW_ASSIGN_OR_RETURN(std::unique_ptr<SnapshotPlan> plan,
                      SnapshotPlan::Load(options.source, options.options, state, options.backoff));
  std::unique_ptr<SnapshotRun> run(new SnapshotRun);
  run->impl_ = std::make_unique<Impl>(std::move(options), std::move(plan), source, metrics, clock,
                                      run->wants_turn_);
  return run;
}

SnapshotRun::SnapshotRun() = default;
SnapshotRun::~SnapshotRun() = default;

void SnapshotRun::Stop() { impl_->Stop(); }
Result<std::vector<SnapshotStatus>> SnapshotRun::Request(const SnapshotRequest& request) {
  return impl_->Request(request);
}
Status SnapshotRun::Change(std::optional<uint64_t> unit, SnapshotAction action) {
  return impl_->Change(unit, action);
}
SnapshotsStatus SnapshotRun::GetStatus() const { return impl_->GetStatus(); }
bool SnapshotRun::Settled() const { return impl_->GetStatus().settled; }
void SnapshotRun::UpdateGauges() { impl_->UpdateGauges(); }

void SnapshotRun::Streaming() { impl_->Streaming(); }
SnapshotNotes SnapshotRun::TakeNotes(int64_t next_version) {
  return impl_->TakeNotes(next_version);
}
std::optional<std::string> SnapshotRun::OpenWindow(std::string_view chunk_id) {
  return impl_->OpenWindow(chunk_id);
}
std::optional<ReadyChunk> SnapshotRun::TakeChunk(std::string_view chunk_id) {
  return impl_->TakeChunk(chunk_id);
}
void SnapshotRun::Discard(std::string_view chunk_id, std::string_view why) {
  impl_->Discard(chunk_id, why);
}
void SnapshotRun::Refuse(std::string_view chunk_id, const Error& error) {
  impl_->Refuse(chunk_id, error);
}
SnapshotNotes SnapshotRun::Publish(std::string_view chunk_id, uint64_t rows) {
  return impl_->Publish(chunk_id, rows);
}
SnapshotPort::CopyStep SnapshotRun::NextOfCopy(std::string_view chunk_id,
                                               std::chrono::milliseconds timeout) {
  return impl_->NextOfCopy(chunk_id, timeout);
}
void SnapshotRun::RowsReplaced(std::string_view table, std::string_view why) {
  impl_->RowsReplaced(table, why);
}
void SnapshotRun::Durable() { impl_->Durable(); }

}  // namespace tailwater
