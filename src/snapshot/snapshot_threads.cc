// The threads of SnapshotRun: one that looks at tables and sinks, and the workers.
#include <algorithm>
#include <exception>
#include <utility>

#include "snapshot/snapshot_run_impl.h"
#include "support/text.h"
#include "util/crash_point.h"
#include "util/thread_name.h"

namespace tailwater {
namespace {

using namespace std::chrono_literals;

constexpr auto kIdleReader = 10s;         // a worker without work gives its session back
constexpr auto kSettleLogInterval = 30s;  // between lines that say whom all wait for
constexpr size_t kCopyQueue = 2;          // chunks of a keyless copy that lie in memory
constexpr uint32_t kManyAgain = 5;        // in a row: then it is not bad luck any more
constexpr uint64_t kUnitsLogged = 32;     // beyond this many tables not each one gets its lines

}  // namespace

void SnapshotRun::Impl::RunGuarded(size_t who, const std::function<void()>& body) {
  NameThread(who == 0 ? "tw-snap-plan" : fmt::format("tw-snap-{}", who));
  try {
    body();
  } catch (const std::exception& exception) {
    const Error error{
        Disposition::kFatal, "internal_error",
        fmt::format("exception while copying: {}; please report it", exception.what())};
    logger_.Error("snapshots stopped", {{"code", error.code}, {"message", error.message}});
    SetTrouble(who, error);
  }
}

void SnapshotRun::Impl::SetTrouble(size_t who, std::optional<Error> error) {
  MutexLock lock(mutex_);
  if (error) {
    troubles_.insert_or_assign(who, *std::move(error));
  } else {
    troubles_.erase(who);
  }
}

bool SnapshotRun::Impl::Sleep(std::chrono::milliseconds delay) {
  return WaitUnlessStopped(delay, stop_.get_token());
}

// --- looking at tables and sinks ---

void SnapshotRun::Impl::Plan() {
  const std::stop_token stop = stop_.get_token();
  std::unique_ptr<SnapshotReader> reader;
  Backoff backoff(options_.backoff);
  while (!stop.stop_requested()) {
    const Status looked = Look(reader);
    if (stop.stop_requested()) return;
    if (looked) {
      backoff.Reset();
      SetTrouble(0, std::nullopt);
      const auto until = std::chrono::steady_clock::now() + options_.options.follow_interval;
      MutexLock lock(mutex_);
      while (!look_now_ && !stop.stop_requested() && std::chrono::steady_clock::now() < until) {
        changed_.WaitUntil(mutex_, stop, until);
      }
      look_now_ = false;
      continue;
    }
    const Error& error = looked.error();
    // Where nobody asked for a copy, it is no trouble that there can be none.
    const bool cannot = error.disposition == Disposition::kNeedsOperator && NothingIsAsked();
    if (cannot && error.code == "snapshot_not_supported") return;
    if (cannot) {
      reader.reset();
      if (!Sleep(backoff.Next(error.disposition))) return;
      continue;
    }
    reader.reset();
    SetTrouble(0, error);
    const std::chrono::milliseconds delay = backoff.Next(error.disposition);
    const Logger::Fields fields = {{"code", error.code},
                                   {"message", error.message},
                                   {"attempt", backoff.attempts()},
                                   {"retry_in_ms", delay.count()}};
    if (error.disposition == Disposition::kRetry) {
      logger_.Warn("snapshots cannot look at the tables", fields);
    } else if (backoff.attempts() == 1) {
      logger_.Error("snapshots need an operator", fields);
    }
    if (!Sleep(delay)) return;
  }
}

bool SnapshotRun::Impl::NothingIsAsked() {
  MutexLock lock(mutex_);
  useless_ = options_.options.mode == SnapshotMode::kNever && plan_->open_units().empty();
  return useless_;
}

Status SnapshotRun::Impl::Look(std::unique_ptr<SnapshotReader>& reader) {
  if (!reader) {
    TW_ASSIGN_OR_RETURN(reader, source_.OpenSnapshotReader(stop_.get_token()));
  }
  TW_ASSIGN_OR_RETURN(const std::vector<SnapshotTable> tables, reader->Tables());
  const Status met = Meet(tables);
  TW_TRY(Settle(*reader));
  TW_TRY(met);
  MutexLock lock(mutex_);
  looked_ = true;
  useless_ = false;
  changed_.NotifyAll();
  return {};
}

Status SnapshotRun::Impl::Meet(const std::vector<SnapshotTable>& tables) {
  Status done;
  const std::vector<SnapshotSink> sinks =
      options_.sinks ? options_.sinks() : std::vector<SnapshotSink>();
  std::optional<bool> whole;  // asked for at most once
  bool wants_whole = false;
  {
    MutexLock lock(mutex_);
    wants_whole = options_.options.mode != SnapshotMode::kNever && !plan_->met_nothing() &&
                  !plan_->copies_all_again() && !plan_->NewSinks(sinks).empty();
  }
  if (wants_whole) {
    if (options_.topic_is_whole) {
      const Result<bool> answer = options_.topic_is_whole();
      if (answer) {
        whole = *answer;
      } else {
        done = Error(answer.error()).Within("where the topic begins");
      }
    } else {
      whole = true;
    }
  }
  {
    MutexLock lock(mutex_);
    const bool first = plan_->met_nothing();
    const bool again = plan_->copies_all_again();
    const bool older = first && options_.captured_before && !again;
    const bool copy = options_.options.mode == SnapshotMode::kInitial && !older;
    const size_t before = plan_->open_units().size();
    const size_t added = plan_->Meet(tables, copy, Now());
    for (const SnapshotSink& sink : plan_->NewSinks(sinks)) {
      if (first || again || options_.options.mode == SnapshotMode::kNever) {
        // They begin with what is copied now, or nothing is copied by itself.
        plan_->Remember(sink);
      } else if (whole) {
        const size_t units = plan_->BringUpToDate(sink, *whole, Now());
        if (units > 0) {
          logger_.Info("a new sink begins with a snapshot",
                       {{"sink", sink.name}, {"tables", units}});
        }
      }
    }
    const size_t after = plan_->open_units().size();
    // A table made anew takes the place of a unit that ended with it.
    const size_t units = after > before ? after - before : copy ? added : 0;
    copying_ = copying_ || units > 0;
    if (older && !tables.empty()) {
      logger_.Warn(
          "tables were captured before and were not copied: rows that they held then are not in "
          "the topic; `tailwater sources snapshot` copies one of them",
          {{"tables", tables.size()},
           {"example", fmt::format("tailwater sources snapshot {} {}", options_.source,
                                   tables.front().table)}});
    } else if (units > 0) {
      logger_.Info(first   ? "snapshot begins"
                   : again ? "snapshot begins: all tables again, behind a gap"
                           : "snapshot begins: new tables or sinks",
                   {{"tables", units}});
    } else if (added > 0 && !copy) {
      logger_.Info(
          "tables are captured and not copied",
          {{"tables", added},
           {"example", fmt::format("tailwater sources snapshot {} <table>", options_.source)}});
    }
    changed_.NotifyAll();
  }
  Nudge();
  return done;
}

Status SnapshotRun::Impl::Settle(SnapshotReader& reader) {
  std::vector<uint64_t> waiting;
  // By name and identity: another table of the same name has writers of its own to wait for.
  std::vector<std::pair<std::string, std::string>> tables;
  {
    MutexLock lock(mutex_);
    for (const std::string_view name : plan_->tables()) {
      const std::string table(name);
      tables.emplace_back(table, plan_->IdentityOf(table));
    }
    std::vector<uint64_t> known;
    for (const uint64_t unit : plan_->Unsettled()) {
      const std::string& table = plan_->Find(unit)->request().table;
      const bool settled = settled_tables_.contains({table, plan_->IdentityOf(table)});
      (settled ? known : waiting).push_back(unit);
    }
    plan_->SetSettled(known);
    changed_.NotifyAll();
    if (waiting.empty()) return {};
    settle_logged_.reset();
  }
  const Status settled = reader.Settle([this](const std::string& whom) {
    MutexLock lock(mutex_);
    settling_for_ = whom;
    const Clock::TimePoint now = clock_.Now();
    if (settle_logged_ && now - *settle_logged_ < kSettleLogInterval) return;
    settle_logged_ = now;
    logger_.Info("snapshot waits for open transactions", {{"waiting_for", whom}});
  });
  MutexLock lock(mutex_);
  settling_for_.clear();
  if (!settled) return settled;
  settled_tables_.insert(tables.begin(), tables.end());
  plan_->SetSettled(waiting);
  changed_.NotifyAll();
  return {};
}

// --- workers ---

void SnapshotRun::Impl::Work(size_t number) {
  const std::stop_token stop = stop_.get_token();
  std::unique_ptr<SnapshotReader> reader;
  Backoff backoff(options_.backoff);
  std::vector<std::string> open_windows;  // of chunks whose session was lost
  while (!stop.stop_requested()) {
    const std::optional<SnapshotJob> job = WaitForJob(reader != nullptr);
    if (!job) {  // nothing to do for long
      reader.reset();
      continue;
    }
    Status opened;
    if (!reader) {
      Result<std::unique_ptr<SnapshotReader>> made = source_.OpenSnapshotReader(stop);
      if (made) {
        reader = *std::move(made);
      } else {
        opened = std::move(made).error();
      }
    }
    // The stream looks out for changes of a chunk until it meets its high watermark.
    while (opened && !open_windows.empty()) {
      opened = reader->Finish(open_windows.back());
      if (opened) open_windows.pop_back();
    }
    if (!opened) {
      reader.reset();
      {
        MutexLock lock(mutex_);
        plan_->GiveBack(*job);
        changed_.NotifyAll();
      }
      if (stop.stop_requested()) return;
      SetTrouble(number, opened.error());
      const std::chrono::milliseconds delay = backoff.Next(opened.error().disposition);
      if (backoff.attempts() == 1) {
        logger_.Warn("a session for copying cannot be opened", {{"code", opened.error().code},
                                                                {"message", opened.error().message},
                                                                {"retry_in_ms", delay.count()}});
      }
      if (!Sleep(delay)) return;
      continue;
    }
    SetTrouble(number, std::nullopt);
    backoff.Reset();
    std::string chunk_id;
    const Status done = Do(*job, *reader, chunk_id);
    if (done) {
      LogProgress(*job);
      continue;
    }
    if (stop.stop_requested()) return;
    if (!chunk_id.empty()) open_windows.push_back(chunk_id);
    if (done.error().disposition == Disposition::kRetry) reader.reset();
  }
}

std::optional<SnapshotJob> SnapshotRun::Impl::WaitForJob(bool has_reader) {
  const std::stop_token stop = stop_.get_token();
  const auto idle_since = clock_.Now();
  for (;;) {
    LookAtPressure();
    MutexLock lock(mutex_);
    if (stop.stop_requested()) return std::nullopt;
    const Clock::TimePoint now = clock_.Now();
    const bool has_work = plan_->has_work(now);
    // While another worker looks, the last answer is too old to begin on.
    if (has_work && !looking_at_pressure_ && throttle_.words().empty()) {
      if (auto job = plan_->NextJob(now)) return job;
    }
    if (has_reader && now - idle_since > kIdleReader) return std::nullopt;
    std::chrono::nanoseconds wait = has_reader ? std::chrono::nanoseconds(kIdleReader) : 1h;
    if (has_work) {
      wait = std::min<std::chrono::nanoseconds>(wait, options_.pressure_interval);
    } else if (const auto due = plan_->next_due()) {
      wait = std::min<std::chrono::nanoseconds>(wait, *due - now);
    }
    changed_.Wait(mutex_, stop, std::max<std::chrono::nanoseconds>(wait, 1ms));
  }
}

void SnapshotRun::Impl::LookAtPressure() {
  if (!options_.pressure) return;
  {
    MutexLock lock(mutex_);
    const Clock::TimePoint now = clock_.Now();
    if (looking_at_pressure_ || !plan_->has_work(now) ||
        (pressure_seen_ && now - *pressure_seen_ < options_.pressure_interval)) {
      return;
    }
    looking_at_pressure_ = true;
  }
  const SnapshotPressure pressure = options_.pressure();
  MutexLock lock(mutex_);
  looking_at_pressure_ = false;
  pressure_seen_ = clock_.Now();
  const std::string before = throttle_.words();
  const std::string& words = throttle_.Judge(pressure);
  if (before.empty() && !words.empty()) {
    logger_.Info("snapshot waits", {{"because", words}});
  } else if (!before.empty() && words.empty()) {
    logger_.Info("snapshot goes on");
  }
  changed_.NotifyAll();
}

std::string SnapshotRun::Impl::NewChunk(const SnapshotJob& job) {
  MutexLock lock(mutex_);
  std::string id = fmt::format("{}/{}", run_id_, ++last_chunk_);
  UnderWay& chunk = under_way_[id];
  chunk.job = job;
  return id;
}

Status SnapshotRun::Impl::Do(SnapshotJob job, SnapshotReader& reader, std::string& chunk_id) {
  Status done;
  if (job.kind == SnapshotJob::Kind::kBound) {
    Result<SnapshotKey> bound =
        reader.NextBound(job.request.table, job.request.where, job.range.after, job.rows);
    if (!bound) {
      Fail(job, bound.error());
      return std::move(bound).error();
    }
    MutexLock lock(mutex_);
    auto next = plan_->EndBound(job, *std::move(bound));
    changed_.NotifyAll();  // the next bound may be looked for
    if (!next) {
      plan_->GiveBack(job);
      return {};
    }
    job = *std::move(next);
  }
  done = job.kind == SnapshotJob::Kind::kWhole ? DoWhole(job, reader, chunk_id)
                                               : DoRange(job, reader, chunk_id);
  if (!done) Fail(job, done.error());
  return done;
}

Status SnapshotRun::Impl::DoRange(const SnapshotJob& job, SnapshotReader& reader,
                                  std::string& chunk_id) {
  const std::string id = NewChunk(job);
  chunk_id = id;
  const auto begun = std::chrono::steady_clock::now();
  Result<Chunk> chunk =
      reader.Read({id, job.request.table, job.request.where, job.range.after, job.range.upto,
                   static_cast<size_t>(options_.options.chunk_size.bytes)});
  const auto took = std::chrono::steady_clock::now() - begun;
  if (chunk && (!chunk->schema || (!chunk->complete && chunk->last.empty()))) {
    chunk = Error{Disposition::kFatal, "snapshot_chunk_malformed",
                  "the source stopped reading without saying where; please report it"};
  }
  if (!chunk) {
    MutexLock lock(mutex_);
    under_way_.erase(id);
    return std::move(chunk).error();
  }
  const uint64_t rows = chunk->rows.changes().size();
  bool valid = false;
  {
    MutexLock lock(mutex_);
    UnderWay& under_way = under_way_.at(id);
    valid = plan_->CheckKey(job, chunk->schema);
    if (!valid) {
      under_way_.erase(id);
    } else if (under_way.stage == UnderWay::Stage::kReading) {
      under_way.outcome = {chunk->schema, 0, chunk->bytes, chunk->complete, chunk->last};
      under_way.chunk = *std::move(chunk);
      under_way.stage = UnderWay::Stage::kReady;
    }
  }
  if (!valid) {
    Nudge();
    TW_TRY(reader.Finish(id));  // closes its window; nothing comes of it
    chunk_id.clear();
    MutexLock lock(mutex_);
    plan_->GiveBack(job);
    changed_.NotifyAll();
    return {};
  }
  TW_CRASH_POINT("snapshot_chunk_read");
  if (Status finished = reader.Finish(id); !finished) {
    MutexLock lock(mutex_);
    // Its high watermark may have come through all the same.
    const auto found = under_way_.find(id);
    if (found->second.stage == UnderWay::Stage::kPublished) {
      under_way_.erase(found);
      chunk_id.clear();
      return {};
    }
    under_way_.erase(found);
    return finished;
  }
  chunk_id.clear();
  std::chrono::milliseconds pause{0};
  std::string why;
  std::optional<Error> refused;
  {
    MutexLock lock(mutex_);
    const std::stop_token stop = stop_.get_token();
    const auto found = under_way_.find(id);
    UnderWay& under_way = found->second;
    while (under_way.stage != UnderWay::Stage::kPublished &&
           under_way.stage != UnderWay::Stage::kDiscarded && plan_->Wants(job) &&
           !stop.stop_requested()) {
      changed_.Wait(mutex_, stop, 1h);
    }
    refused = std::move(under_way.refused);
    if (refused) {
      // Given back by Fail().
    } else if (under_way.stage == UnderWay::Stage::kPublished) {
      pause = plan_->ObserveRead(job, took, rows, why);
    } else if (under_way.stage == UnderWay::Stage::kDiscarded && plan_->Wants(job)) {
      metrics_.Again();
      const uint32_t times = plan_->CountAgain(job);
      if (times < kManyAgain) {
        plan_->GiveBack(job);
      } else {
        const std::chrono::milliseconds delay = plan_->NextDelay(job, Disposition::kRetry);
        plan_->GiveBack(job, clock_.Now() + delay, {},
                        fmt::format("a chunk was read {} times: {}", times, under_way.why));
      }
    } else {
      plan_->GiveBack(job);
    }
    under_way_.erase(found);
    changed_.NotifyAll();
  }
  if (refused) return *std::move(refused);
  if (pause.count() > 0) Pause(pause, std::move(why));
  return {};
}

Status SnapshotRun::Impl::DoWhole(const SnapshotJob& job, SnapshotReader& reader,
                                  std::string& chunk_id) {
  const std::string id = NewChunk(job);
  chunk_id = id;
  Status copied =
      reader.CopyWhole({id,
                        job.request.table,
                        job.request.where,
                        {},
                        {},
                        static_cast<size_t>(options_.options.chunk_size.bytes)},
                       [&](Chunk chunk) { return CopyRows(id, job, std::move(chunk)); });
  const std::stop_token stop = stop_.get_token();
  MutexLock lock(mutex_);
  const auto found = under_way_.find(id);
  UnderWay& copy = found->second;
  if (copied) {
    copy.copied = true;
    changed_.NotifyAll();
    while (!copy.ended && !copy.failed && plan_->Wants(job) && !stop.stop_requested()) {
      changed_.Wait(mutex_, stop, 1h);
    }
  }
  chunk_id.clear();  // it has no window
  const bool ended = copy.ended;
  if (copy.refused) copied = *copy.refused;
  under_way_.erase(found);  // the stream is told that the copy has ended, whatever became of it
  changed_.NotifyAll();
  if (ended) return {};
  if (!copied && plan_->Wants(job)) return copied;  // Fail() gives it back
  plan_->GiveBack(job);
  return {};
}

Status SnapshotRun::Impl::CopyRows(const std::string& id, const SnapshotJob& job, Chunk chunk) {
  const std::stop_token stop = stop_.get_token();
  bool wanted = true;
  {
    MutexLock lock(mutex_);
    wanted = plan_->CheckKey(job, chunk.schema);
    if (wanted) {
      UnderWay& copy = under_way_.at(id);
      while (copy.queue.size() >= kCopyQueue && !copy.failed && plan_->Wants(job) &&
             !stop.stop_requested()) {
        changed_.Wait(mutex_, stop, 1h);
      }
      if (copy.refused) return *copy.refused;
      wanted = plan_->Wants(job) && !stop.stop_requested();
      if (wanted) copy.queue.push_back(std::move(chunk));
      changed_.NotifyAll();
    }
  }
  if (wanted) return {};
  Nudge();
  return Error{Disposition::kCancelled, "snapshot_not_wanted", "nobody wants this copy any more"};
}

void SnapshotRun::Impl::Fail(const SnapshotJob& job, const Error& error) {
  {
    MutexLock lock(mutex_);
    const SnapshotUnit* const unit = plan_->Find(job.unit);
    const std::string table = job.request.table;
    if (stop_.stop_requested() || unit == nullptr) {
      plan_->GiveBack(job);
    } else if (error.disposition == Disposition::kReject && error.code == "table_gone") {
      logger_.Warn("snapshot ends: the table is gone",
                   {{"table", table}, {"message", error.message}});
      plan_->EndGone(job, Now());
    } else if (error.code.ends_with("snapshot_key_changed")) {
      logger_.Warn("snapshot of a table begins again: its key is another one now",
                   {{"table", table}, {"message", error.message}});
      plan_->StartOver(job);
      look_now_ = true;
      const auto delay = plan_->NextDelay(job, Disposition::kRetry);
      plan_->GiveBack(job, clock_.Now() + delay, {}, error.message);
    } else if (error.disposition == Disposition::kRetry ||
               error.disposition == Disposition::kCancelled) {
      const std::chrono::milliseconds delay = plan_->NextDelay(job, Disposition::kRetry);
      const std::string message = fmt::format("{}: {}", error.code, error.message);
      logger_.Warn("a chunk could not be read", {{"table", table},
                                                 {"code", error.code},
                                                 {"message", error.message},
                                                 {"retry_in_ms", delay.count()}});
      plan_->GiveBack(job, clock_.Now() + delay, {}, message);
    } else {
      if (unit->blocked_code != error.code || unit->message != error.message) {
        logger_.Error("snapshot of a table needs an operator",
                      {{"table", table}, {"code", error.code}, {"message", error.message}});
        look_now_ = true;  // perhaps its key is another one now
      }
      const std::chrono::milliseconds delay = plan_->NextDelay(job, Disposition::kNeedsOperator);
      plan_->GiveBack(job, clock_.Now() + delay, error.code, error.message);
    }
    changed_.NotifyAll();
  }
  Nudge();
}

void SnapshotRun::Impl::Pause(std::chrono::milliseconds pause, std::string why) {
  {
    MutexLock lock(mutex_);
    slow_ = std::move(why);
    ++pausing_;
  }
  Sleep(pause);
  MutexLock lock(mutex_);
  if (--pausing_ == 0) slow_.clear();
}

void SnapshotRun::Impl::LogProgress(const SnapshotJob& job) {
  MutexLock lock(mutex_);
  const Clock::TimePoint now = clock_.Now();
  if (const auto ended = plan_->StatusOf(job.unit, now);
      ended && ended->state == SnapshotState::kDone && units_logged_ < kUnitsLogged) {
    ++units_logged_;
    logger_.Info("table copied",
                 {{"table", ended->request.table}, {"rows", ended->rows}, {"snapshot", ended->id}});
  }
  if (plan_->open_units().empty()) {
    if (std::exchange(copying_, false)) {
      logger_.Info("snapshot ended", {{"tables_copied", plan_->tables_copied()}});
    }
    return;
  }
  if (!logged_) logged_ = now;
  if (now - *logged_ < options_.log_interval) return;
  logged_ = now;
  const SnapshotsStatus status = GetStatusLocked();
  const auto number = [](const std::optional<double>& value) {
    return value ? fmt::format("{:.0f}", *value) : std::string("unknown");
  };
  std::optional<double> percent;
  if (status.estimated_rows && *status.estimated_rows > 0) {
    percent = std::min(99.0, 100.0 * static_cast<double>(status.rows) /
                                 static_cast<double>(*status.estimated_rows));
  }
  logger_.Info("snapshot progress", {{"tables_waiting", status.tables_waiting},
                                     {"tables_copied", status.tables_copied},
                                     {"rows", status.rows},
                                     {"percent", number(percent)},
                                     {"rows_per_second", number(status.rows_per_second)},
                                     {"seconds_left", number(status.seconds_left)}});
}

}  // namespace tailwater
