#include "snapshot/snapshot_run.h"

#include <gmock/gmock.h>

#include <thread>

#include "support/matchers.h"
#include "support/scripted_tables.h"
#include "support/stub_metrics.h"
#include "util/mutex.h"

namespace tailwater {
namespace {

using namespace std::chrono_literals;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using Kind = ScriptedTables::Mark::Kind;

constexpr auto kPatience = 20s;

// Plays the stream: meets the marks, stores what it is told, publishes rows.
class Stream {
 public:
  // `kill_after`: so many rows; from then on nothing is stored, as by a process that was killed.
  Stream(ScriptedTables& tables, SnapshotRun& run, std::map<std::string, std::string>& state,
         size_t kill_after)
      : tables_(tables), run_(run), state_(state), kill_after_(kill_after) {
    thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
  }
  ~Stream() {
    thread_.request_stop();
    tables_.Wake();
  }

  // The next chunks of the table are discarded.
  void Discard(const std::string& table, int times) {
    std::lock_guard lock(mutex_);
    discards_[table] = times;
  }
  // The stream meets the statement that replaced the table's rows.
  void Replace(const std::string& table) {
    std::lock_guard lock(mutex_);
    replaced_.push_back(table);
  }
  void Kill() {
    std::lock_guard lock(mutex_);
    killed_ = true;
  }
  bool killed() const {
    std::lock_guard lock(mutex_);
    return killed_;
  }
  std::map<std::string, std::vector<int64_t>> rows() const {
    std::lock_guard lock(mutex_);
    return rows_;
  }
  std::vector<int64_t> sweeps() const {
    std::lock_guard lock(mutex_);
    return sweeps_;
  }
  size_t lasts() const {
    std::lock_guard lock(mutex_);
    return lasts_;
  }

 private:
  void Run(const std::stop_token& stop) {
    run_.Streaming();
    while (!stop.stop_requested()) {
      for (const std::string& table : TakeReplaced()) {
        run_.RowsReplaced(table, "RENAME TABLE");
        Store(run_.TakeNotes(++version_));
      }
      if (run_.wants_turn()) Store(run_.TakeNotes(++version_));
      const auto mark = tables_.NextMark(1ms);
      if (mark) Meet(*mark, stop);
    }
  }
  std::vector<std::string> TakeReplaced() {
    std::lock_guard lock(mutex_);
    return std::exchange(replaced_, {});
  }
  void Meet(const ScriptedTables::Mark& mark, const std::stop_token& stop) {
    switch (mark.kind) {
      case Kind::kLow:
        windows_[mark.chunk_id] = run_.OpenWindow(mark.chunk_id).value_or("");
        return;
      case Kind::kHigh: {
        const std::string table = windows_[mark.chunk_id];
        windows_.erase(mark.chunk_id);
        {
          std::lock_guard lock(mutex_);
          if (discards_[table] > 0) {
            --discards_[table];
            run_.Discard(mark.chunk_id, "the table was truncated");
            return;
          }
        }
        if (auto ready = run_.TakeChunk(mark.chunk_id)) Publish(mark.chunk_id, *ready);
        return;
      }
      case Kind::kCopy:
        while (!stop.stop_requested()) {
          if (run_.wants_turn()) Store(run_.TakeNotes(++version_));
          SnapshotPort::CopyStep step = run_.NextOfCopy(mark.chunk_id, 10ms);
          for (const SnapshotMarker& marker : step.before) {
            std::lock_guard lock(mutex_);
            sweeps_.push_back(marker.sweep_below);
          }
          if (step.chunk) Publish(mark.chunk_id, *step.chunk);
          if (step.ended) return;
        }
        return;
    }
  }
  void Publish(const std::string& id, const ReadyChunk& ready) {
    const auto changes = ready.chunk.rows.changes();
    {
      std::lock_guard lock(mutex_);
      if (killed_) return;
      for (const Change& change : changes) {
        rows_[ready.chunk.schema->table()].push_back(change.after[0].as_int64());
      }
      if (ready.last_of_unit) ++lasts_;
    }
    Store(run_.Publish(id, changes.size()));
    std::lock_guard lock(mutex_);
    published_ += changes.size();
    killed_ = killed_ || published_ >= kill_after_;
  }
  void Store(const SnapshotNotes& notes) {
    {
      std::lock_guard lock(mutex_);
      if (killed_) return;
      for (const auto& [key, value] : notes.state) {
        if (value.empty()) {
          state_.erase(key);
        } else {
          state_[key] = value;
        }
      }
      for (const SnapshotMarker& marker : notes.markers) sweeps_.push_back(marker.sweep_below);
    }
    run_.Durable();
  }

  ScriptedTables& tables_;
  SnapshotRun& run_;
  std::map<std::string, std::string>& state_;
  int64_t version_ = 1'000;
  std::map<std::string, std::string> windows_;
  mutable std::mutex mutex_;
  bool killed_ = false;
  std::map<std::string, int> discards_;
  std::vector<std::string> replaced_;
  std::map<std::string, std::vector<int64_t>> rows_;
  std::vector<int64_t> sweeps_;
  size_t lasts_ = 0;
  const size_t kill_after_;
  size_t published_ = 0;
  std::jthread thread_;
};

class SnapshotRunTest : public ::testing::Test {
 protected:
  SnapshotRunTest() {
    options_.source = "shop";
    options_.log_name = "shop";
    options_.options.chunk_rows = 10;
    options_.options.follow_interval = 20ms;
    options_.backoff = {.initial = 1ms, .max = 5ms, .operator_probe = 5ms};
    options_.pressure_interval = 1ms;
    options_.wake = [this] { tables_.Wake(); };
  }
  ~SnapshotRunTest() override { End(); }

  void Start(size_t kill_after = SIZE_MAX) {
    auto made = SnapshotRun::Create(options_, state_, tables_, metrics_, clock_);
    ASSERT_OK(made);
    run_ = *std::move(made);
    stream_ = std::make_unique<Stream>(tables_, *run_, state_, kill_after);
  }
  // As after a kill: what the stream did not store is lost.
  void End() {
    if (stream_) {
      stream_->Kill();
      Collect();
    }
    if (run_) run_->Stop();
    stream_.reset();
    run_.reset();
    while (tables_.NextMark(0ms)) continue;  // the new run's stream begins behind them
  }
  void Collect() {
    for (auto& [table, rows] : stream_->rows()) {
      auto& all = earlier_rows_[table];
      all.insert(all.end(), rows.begin(), rows.end());
    }
  }
  template <class Condition>
  bool Eventually(Condition condition) {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::sleep_for(1ms);
    }
    return true;
  }
  void WaitSettled() {
    ASSERT_TRUE(Eventually([&] { return run_->Settled(); }));
  }
  std::vector<int64_t> RowsOf(const std::string& table) {
    auto rows = stream_->rows()["public." + table];
    std::sort(rows.begin(), rows.end());
    return rows;
  }
  std::optional<SnapshotStatus> StatusOf(const std::string& table) {
    for (const SnapshotStatus& unit : run_->GetStatus().units) {
      if (unit.request.table == "public." + table) return unit;
    }
    return std::nullopt;
  }
  SnapshotState StateOf(const std::string& table) {
    const auto status = StatusOf(table);
    return status ? status->state : SnapshotState::kGone;
  }
  static std::vector<int64_t> UpTo(int64_t rows) {
    std::vector<int64_t> all;
    for (int64_t i = 1; i <= rows; ++i) all.push_back(i);
    return all;
  }

  SystemClock clock_;
  StubMetrics metrics_;
  ScriptedTables tables_;
  std::map<std::string, std::string> state_;
  std::map<std::string, std::vector<int64_t>> earlier_rows_;
  SnapshotRunOptions options_;
  std::unique_ptr<SnapshotRun> run_;
  std::unique_ptr<Stream> stream_;
};

TEST_F(SnapshotRunTest, CopiesEveryTableOnceAtTheFirstStart) {
  tables_.AddTable("small", 5);
  tables_.AddTable("big", 95);
  tables_.AddTable("empty", 0);
  tables_.AddTable("log", 25, "");
  Start();
  WaitSettled();
  EXPECT_EQ(RowsOf("small"), UpTo(5));
  EXPECT_EQ(RowsOf("big"), UpTo(95));
  EXPECT_EQ(RowsOf("log"), UpTo(25));
  EXPECT_EQ(stream_->lasts(), 4u);
  EXPECT_THAT(stream_->sweeps(), SizeIs(1)) << "the keyless copy's own";
  EXPECT_EQ(state_.size(), 1u);
  run_->UpdateGauges();
  EXPECT_EQ(metrics_.Value("tailwater_snapshot_rows_total"), 125);
  EXPECT_EQ(metrics_.Value("tailwater_snapshot_tables", {{"state", "done"}}), 4);
  EXPECT_EQ(metrics_.Value("tailwater_snapshot_tables", {{"state", "copying"}}), 0);
  EXPECT_EQ(metrics_.Value("tailwater_snapshot_seconds_left"), std::nullopt);
  End();
  Start();
  WaitSettled();
  EXPECT_TRUE(stream_->rows().empty());
}

TEST_F(SnapshotRunTest, ASmallTableNeedsNoBound) {
  tables_.AddTable("small", 5);
  Start();
  WaitSettled();
  EXPECT_EQ(tables_.bounds(), 0u);
  EXPECT_EQ(tables_.reads(), 1u);
}

TEST_F(SnapshotRunTest, AKillAtAnyMomentRepeatsAtMostAChunkPerWorker) {
  tables_.AddTable("a", 200);
  tables_.AddTable("b", 200, "id", false);
  int kills = 0;
  for (;; ++kills) {
    Start(30);
    ASSERT_TRUE(Eventually([&] { return run_->Settled() || stream_->killed(); }));
    if (!stream_->killed()) break;
    End();
  }
  Collect();
  EXPECT_GT(kills, 2);
  for (const char* table : {"public.a", "public.b"}) {
    std::vector<int64_t> rows = earlier_rows_[table];
    std::sort(rows.begin(), rows.end());
    // The stream stores with the rows: what it published is published once.
    EXPECT_EQ(rows, UpTo(200)) << table;
  }
}

TEST_F(SnapshotRunTest, AKeylessCopyStartsOverWithASweep) {
  tables_.AddTable("log", 100, "");
  options_.options.chunk_size = ByteSize{50};
  Start(10);
  ASSERT_TRUE(Eventually([&] { return stream_->killed(); }));
  End();
  Start();
  WaitSettled();
  EXPECT_EQ(RowsOf("log"), UpTo(100));
  EXPECT_THAT(stream_->sweeps(), SizeIs(1));
}

TEST_F(SnapshotRunTest, AChunkThatStopsAtItsSizeGoesOn) {
  tables_.AddTable("wide", 30);
  options_.options.chunk_size = ByteSize{30};
  Start();
  WaitSettled();
  EXPECT_EQ(RowsOf("wide"), UpTo(30));
  EXPECT_GE(tables_.reads(), 10u);
}

TEST_F(SnapshotRunTest, ADiscardedChunkIsReadAgain) {
  tables_.AddTable("a", 5);
  tables_.HoldSettle(true);
  Start();
  stream_->Discard("public.a", 7);
  tables_.HoldSettle(false);
  WaitSettled();
  EXPECT_EQ(RowsOf("a"), UpTo(5));
  EXPECT_EQ(StatusOf("a")->chunks_again, 7u);
  EXPECT_EQ(metrics_.Value("tailwater_snapshot_chunks_again_total"), 7);
}

TEST_F(SnapshotRunTest, WaitsForOpenTransactionsAndSaysForWhom) {
  tables_.AddTable("a", 5);
  tables_.HoldSettle(true);
  Start();
  ASSERT_TRUE(Eventually([&] {
    const auto status = StatusOf("a");
    return status && status->waits_for == "pid 4711";
  }));
  EXPECT_EQ(tables_.reads(), 0u);
  tables_.HoldSettle(false);
  WaitSettled();
}

TEST_F(SnapshotRunTest, ATableMadeAnewHasWritersOfItsOwnToWaitFor) {
  tables_.AddTable("a", 5);
  Start();
  WaitSettled();
  tables_.HoldSettle(true);
  const size_t reads = tables_.reads();
  tables_.MakeAnew("a", 7);
  ASSERT_TRUE(Eventually([&] {
    const auto status = StatusOf("a");
    return status && status->waits_for == "pid 4711";
  }));
  EXPECT_EQ(tables_.reads(), reads);
  tables_.HoldSettle(false);
  ASSERT_TRUE(Eventually([&] { return StatusOf("a")->state == SnapshotState::kDone; }));
  EXPECT_EQ(StatusOf("a")->rows, 7u);
  EXPECT_TRUE(Eventually([&] { return stream_->sweeps().size() == 1; }));
}

TEST_F(SnapshotRunTest, ANewTableIsFollowed) {
  tables_.AddTable("a", 5);
  Start();
  WaitSettled();
  tables_.AddTable("b", 6);
  ASSERT_TRUE(Eventually([&] { return RowsOf("b") == UpTo(6); }));
  EXPECT_EQ(StatusOf("b")->reason, "added");
}

TEST_F(SnapshotRunTest, PausesResumesAndCancels) {
  tables_.AddTable("a", 5);
  tables_.AddTable("b", 5);
  tables_.HoldSettle(true);
  Start();
  ASSERT_TRUE(Eventually([&] { return StatusOf("b").has_value(); }));
  const uint64_t a = StatusOf("a")->id;
  const uint64_t b = StatusOf("b")->id;
  ASSERT_OK(run_->Change(a, SnapshotAction::kPause));
  ASSERT_OK(run_->Change(b, SnapshotAction::kCancel));
  tables_.HoldSettle(false);
  End();
  Start();
  ASSERT_TRUE(Eventually([&] { return StateOf("a") == SnapshotState::kPaused; }));
  EXPECT_FALSE(run_->Settled());
  EXPECT_FALSE(StatusOf("b").has_value());
  EXPECT_THAT(run_->Change(b, SnapshotAction::kPause), IsErrorWith("snapshot_unknown"));
  ASSERT_OK(run_->Change(std::nullopt, SnapshotAction::kResume));
  WaitSettled();
  EXPECT_EQ(RowsOf("a"), UpTo(5));
  EXPECT_TRUE(RowsOf("b").empty());
}

TEST_F(SnapshotRunTest, WhatNeedsAPersonBlocksOneTableAndHealsByItself) {
  tables_.AddTable("a", 5);
  tables_.AddTable("b", 5);
  tables_.FailReads("a", Error{Disposition::kNeedsOperator, "pg_insufficient_privilege",
                               "GRANT SELECT ON public.a TO tailwater"});
  Start();
  ASSERT_TRUE(Eventually([&] { return StateOf("b") == SnapshotState::kDone; }));
  ASSERT_TRUE(Eventually([&] { return StateOf("a") == SnapshotState::kBlocked; }));
  EXPECT_EQ(StatusOf("a")->code, "pg_insufficient_privilege");
  EXPECT_THAT(StatusOf("a")->message, HasSubstr("GRANT SELECT"));
  tables_.FailReads("a", std::nullopt);
  WaitSettled();
  EXPECT_EQ(RowsOf("a"), UpTo(5));
}

TEST_F(SnapshotRunTest, ALostSessionIsOpenedAgain) {
  tables_.AddTable("a", 35);
  tables_.FailNextReads(Error{Disposition::kRetry, "pg_connection_lost", "gone"}, 5);
  Start();
  WaitSettled();
  EXPECT_EQ(RowsOf("a"), UpTo(35));
}

TEST_F(SnapshotRunTest, ATableThatIsDroppedEndsItsSnapshot) {
  tables_.AddTable("a", 5);
  tables_.HoldSettle(true);
  Start();
  ASSERT_TRUE(Eventually([&] { return StatusOf("a").has_value(); }));
  tables_.DropTable("a");
  tables_.HoldSettle(false);
  WaitSettled();
  EXPECT_EQ(StateOf("a"), SnapshotState::kGone);
}

TEST_F(SnapshotRunTest, AnotherKeyStartsTheTableOver) {
  tables_.AddTable("a", 100);
  Start(20);
  ASSERT_TRUE(Eventually([&] { return stream_->killed(); }));
  End();
  tables_.ChangeKey("a", "code");
  Start();
  WaitSettled();
  EXPECT_EQ(RowsOf("a"), UpTo(100));
  EXPECT_THAT(stream_->sweeps(), SizeIs(1)) << "what was published under the old key goes";
}

TEST_F(SnapshotRunTest, AKeyThatTheSourceCannotReadOnFromStartsTheTableOver) {
  tables_.AddTable("a", 100);
  Start(20);
  ASSERT_TRUE(Eventually([&] { return stream_->killed(); }));
  End();
  tables_.FailNextReads(
      Error{Disposition::kNeedsOperator, "stub_snapshot_key_changed", "another type"}, 1);
  Start();
  WaitSettled();
  EXPECT_EQ(RowsOf("a"), UpTo(100));
}

TEST_F(SnapshotRunTest, ARequestIsAnsweredOnceItIsDurable) {
  tables_.AddTable("orders", 15);
  Start();
  WaitSettled();
  EXPECT_THAT(run_->Request({"public.ordres", "", ""}), IsErrorWith("table_not_captured"));
  EXPECT_THAT(run_->Request({"public.ordres", "", ""}).error().message,
              HasSubstr("did you mean 'public.orders'"));
  EXPECT_THAT(run_->Request({"public.orders", "nonsense", ""}),
              IsErrorWith("snapshot_condition_invalid"));
  tables_.FailReads("orders", Error{Disposition::kNeedsOperator, "pg_blocked", "wait"});
  const auto answer = run_->Request({"public.orders", "", "search"});
  ASSERT_OK(answer);
  ASSERT_THAT(*answer, SizeIs(1));
  EXPECT_EQ(answer->front().reason, "requested");
  EXPECT_TRUE(state_.contains("snapshot/shop/" + std::to_string(answer->front().id)));
  EXPECT_THAT(run_->Request({"public.orders", "", "search"}), IsErrorWith("snapshot_exists"));
  EXPECT_TRUE(run_->Settled()) << "a person's request is none that comes by itself";
  tables_.FailReads("orders", std::nullopt);
  ASSERT_TRUE(Eventually([&] { return run_->GetStatus().tables_waiting == 0; }));
  EXPECT_THAT(stream_->sweeps(), SizeIs(1));
}

TEST_F(SnapshotRunTest, WaitsWhileThePressureIsTooHigh) {
  tables_.AddTable("a", 5);
  std::atomic<double> lag = 1'000;
  options_.pressure = [&] { return SnapshotPressure{.lag_seconds = lag.load()}; };
  Start();
  ASSERT_TRUE(Eventually([&] { return StateOf("a") == SnapshotState::kThrottled; }));
  EXPECT_THAT(StatusOf("a")->waits_for, HasSubstr("max_lag"));
  run_->UpdateGauges();
  EXPECT_EQ(metrics_.Value("tailwater_snapshot_throttled"), 1);
  EXPECT_EQ(tables_.reads(), 0u);
  lag = 0;
  WaitSettled();
  End();
}

TEST_F(SnapshotRunTest, NoWorkerBeginsWhileAnotherStillLooksAtThePressure) {
  tables_.AddTable("a", 5);
  tables_.AddTable("b", 5);
  std::atomic<bool> looked = false;
  options_.pressure = [&] {
    std::this_thread::sleep_for(50ms);  // time enough for the other worker
    looked = true;
    return SnapshotPressure{.lag_seconds = 1'000};
  };
  Start();
  ASSERT_TRUE(Eventually([&] { return looked && StateOf("a") == SnapshotState::kThrottled; }));
  EXPECT_EQ(tables_.reads(), 0u);
  End();
}

TEST_F(SnapshotRunTest, AnOlderReleasesTablesAreNotCopied) {
  tables_.AddTable("a", 5);
  options_.captured_before = true;
  Start();
  WaitSettled();
  EXPECT_TRUE(stream_->rows().empty());
  EXPECT_EQ(run_->GetStatus().tables_copied, 0u);
  options_.captured_before = false;
  End();
  Start();
  WaitSettled();
  EXPECT_TRUE(stream_->rows().empty());
  tables_.AddTable("b", 5);
  ASSERT_TRUE(Eventually([&] { return RowsOf("b") == UpTo(5); }));
}

TEST_F(SnapshotRunTest, ModeNeverFollowsTablesAndCopiesNone) {
  tables_.AddTable("a", 5);
  options_.options.mode = SnapshotMode::kNever;
  Start();
  WaitSettled();
  EXPECT_TRUE(stream_->rows().empty());
  ASSERT_OK(run_->Request({"public.a", "", ""}));
  ASSERT_TRUE(Eventually([&] { return RowsOf("a") == UpTo(5); }));
}

TEST_F(SnapshotRunTest, BehindAGapAllTablesAreCopiedAndSwept) {
  tables_.AddTable("a", 5);
  tables_.AddTable("b", 25);
  Start();
  WaitSettled();
  End();
  options_.after_gap = true;
  Start();
  WaitSettled();
  EXPECT_EQ(RowsOf("a"), UpTo(5));
  EXPECT_EQ(RowsOf("b"), UpTo(25));
  EXPECT_THAT(stream_->sweeps(), SizeIs(2));
}

TEST_F(SnapshotRunTest, ANewSinkThatTheTopicCannotServeGetsACopyOfItsOwn) {
  tables_.AddTable("a", 5);
  std::vector<SnapshotSink> sinks;
  Problems problems;
  const SnapshotSink first{"first", TableSelection::Parse(nullptr, problems)};
  const SnapshotSink second{"second", TableSelection::Parse(nullptr, problems)};
  sinks = {first};
  std::mutex mutex;
  options_.sinks = [&] {
    std::lock_guard lock(mutex);
    return sinks;
  };
  std::atomic<bool> whole = false;
  options_.topic_is_whole = [&]() -> Result<bool> { return whole.load(); };
  Start();
  WaitSettled();
  EXPECT_EQ(run_->GetStatus().units.size(), 1u) << "at the first start, all begin together";
  {
    std::lock_guard lock(mutex);
    sinks.push_back(second);
  }
  ASSERT_TRUE(Eventually([&] { return run_->GetStatus().units.size() == 2; }));
  WaitSettled();
  const SnapshotStatus unit = run_->GetStatus().units.front();
  EXPECT_EQ(unit.reason, "sink");
  EXPECT_EQ(unit.request.addressee, "second");
  EXPECT_THAT(stream_->sweeps(), SizeIs(1));
  End();
}

TEST_F(SnapshotRunTest, ReplacedRowsAreCopiedAgainAndSwept) {
  tables_.AddTable("a", 25);
  tables_.AddTable("b", 5);
  Start();
  WaitSettled();
  stream_->Replace("public.a");
  ASSERT_TRUE(Eventually([&] { return stream_->rows()["public.a"].size() == 50; }));
  WaitSettled();
  EXPECT_THAT(stream_->rows()["public.b"], SizeIs(5));
  EXPECT_THAT(stream_->sweeps(), SizeIs(1));
  EXPECT_EQ(run_->GetStatus().units.front().reason, "rows_replaced");
  EXPECT_EQ(run_->GetStatus().tables_copied, 2u);
}

TEST_F(SnapshotRunTest, ReplacedRowsHaveWritersToWaitFor) {
  tables_.AddTable("a", 5);
  Start();
  WaitSettled();
  tables_.HoldSettle(true);
  stream_->Replace("public.a");
  ASSERT_TRUE(Eventually([&] { return StateOf("a") == SnapshotState::kWaiting; }));
  ASSERT_TRUE(Eventually([&] { return StatusOf("a")->waits_for == "pid 4711"; }));
  EXPECT_EQ(tables_.reads(), 1u);
  tables_.HoldSettle(false);
  WaitSettled();
  EXPECT_EQ(tables_.reads(), 2u);
}

TEST_F(SnapshotRunTest, WhereNothingIsCopiedByItselfReplacedRowsAreNamed) {
  options_.options.mode = SnapshotMode::kNever;
  tables_.AddTable("a", 5);
  Start();
  WaitSettled();
  stream_->Replace("public.a");
  ASSERT_TRUE(Eventually([&] { return run_->GetStatus().stale.size() == 1; }));
  WaitSettled();  // it is durable
  End();
  Start();
  WaitSettled();
  ASSERT_THAT(run_->GetStatus().stale, SizeIs(1));
  EXPECT_EQ(run_->GetStatus().stale[0].table, "public.a");
  EXPECT_EQ(tables_.reads(), 0u);
  ASSERT_OK(run_->Request({"public.a", "", ""}));
  ASSERT_TRUE(Eventually([&] { return StateOf("a") == SnapshotState::kDone; }));
  EXPECT_THAT(run_->GetStatus().stale, SizeIs(0));
}

TEST_F(SnapshotRunTest, AThousandTablesEnd) {
  for (int i = 0; i < 1'000; ++i) tables_.AddTable("t" + std::to_string(i), 3);
  options_.options.follow_interval = 1h;
  Start();
  WaitSettled();
  EXPECT_EQ(run_->GetStatus().tables_copied, 1'000u);
  EXPECT_EQ(tables_.reads(), 1'000u);
  EXPECT_EQ(state_.size(), 1u);
}

TEST_F(SnapshotRunTest, ASourceThatCannotCopySaysSo) {
  class Plain final : public Source {
   public:
    Status Run(const ResumePoint&, ChangeWriter&, std::stop_token) override { return {}; }
    void Release(DurableFrontier) override {}
  } plain;
  auto made = SnapshotRun::Create(options_, state_, plain, metrics_, clock_);
  ASSERT_OK(made);
  (*made)->Streaming();
  ASSERT_TRUE(Eventually([&] { return (*made)->GetStatus().code == "snapshot_not_supported"; }));
  EXPECT_FALSE((*made)->Settled());
  options_.options.mode = SnapshotMode::kNever;
  auto never = SnapshotRun::Create(options_, state_, plain, metrics_, clock_);
  ASSERT_OK(never);
  (*never)->Streaming();
  ASSERT_TRUE(Eventually([&] { return (*never)->Settled(); }));
}

}  // namespace
}  // namespace tailwater
