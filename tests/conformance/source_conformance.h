// What every source must do, whatever it reads: one suite, run against a factory.
//
//   INSTANTIATE_TEST_SUITE_P(Postgres, SourceConformance, ::testing::Values(&MakePostgresBench));
//
// Each source runs in the real capture half, in front of a stub topic; the test stands between
// source and writer and cuts where it likes. What must hold, always: each committed row lies in the
// topic once, in commit order; and what is folded from the topic, snapshots included, is what the
// table holds.
#pragma once

#include <gmock/gmock.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "monitor/metrics_registry.h"
#include "pipeline/capture.h"
#include "support/matchers.h"
#include "support/memory_topic.h"
#include "support/topic_contents.h"

namespace tailwater {

// One server with one captured table: an integer key, a text.
class SourceBench {
 public:
  virtual ~SourceBench() = default;
  virtual std::string type() const = 0;
  // A source that captures that table under the name "shop"; may be called again, never twice at a
  // time.
  virtual Result<std::unique_ptr<Source>> Make() = 0;
  // One committed transaction that inserts rows with the keys first_id, first_id + 1, …
  virtual void Commit(int64_t first_id, int count) = 0;
  // The server drops the source's sessions, if there are any.
  virtual void Interrupt() = 0;

  // Rows that are there before the first start.
  virtual void Preload(int64_t first_id, int count) = 0;
  // One committed transaction each: the row gets another text; the row goes. They, Commit() and
  // Table() come from two threads.
  virtual void Update(int64_t id) = 0;
  virtual void Delete(int64_t id) = 0;
  // All rows are replaced by these, by a statement that the log holds without them.
  virtual void Replace(int64_t first_id, int count) { static_cast<void>(first_id + count); }
  // What the table holds, each row as TopicRecord::after shows it.
  virtual std::set<std::string> Table() = 0;
};
using MakeSourceBench = std::unique_ptr<SourceBench> (*)();

// Where the test stands: it counts the source's calls and fails one of them on command.
struct SourceTap {
  std::atomic<int64_t> calls = 0;
  std::atomic<int64_t> fail_at = 0;  // the n-th call from the start; 0 = none
  std::atomic<int64_t> failed = 0;
  std::atomic<int64_t> released = 0;
  std::atomic<int64_t> replaced = 0;
  std::atomic<bool> running = false;
};

class TappedWriter final : public ChangeWriter {
 public:
  TappedWriter(ChangeWriter& out, SourceTap& tap) : out_(out), tap_(tap) {}
  Status Establish(const SourceIdentity& identity,
                   const std::optional<Position>& frontier) override {
    TW_TRY(Pass());
    return out_.Establish(identity, frontier);
  }
  bool WaitForRoom(std::chrono::milliseconds timeout) override { return out_.WaitForRoom(timeout); }
  Status Begin(const Transaction& transaction) override {
    TW_TRY(Pass());
    return out_.Begin(transaction);
  }
  Status Append(const Change& change) override {
    TW_TRY(Pass());
    return out_.Append(change);
  }
  Status Commit(std::string_view frontier) override {
    TW_TRY(Pass());
    return out_.Commit(frontier);
  }
  Status AppendAlone(const Change& change, std::string_view frontier) override {
    TW_TRY(Pass());
    return out_.AppendAlone(change, frontier);
  }
  Status OnWatermark(const Watermark& mark) override {
    TW_TRY(Pass());
    return out_.OnWatermark(mark);
  }
  Result<bool> ServeCopy(std::string_view chunk_id, std::chrono::milliseconds timeout) override {
    return out_.ServeCopy(chunk_id, timeout);
  }
  Status AdvanceIdle(std::string_view frontier) override { return out_.AdvanceIdle(frontier); }
  Status RowsReplaced(std::string_view table, std::string_view why) override {
    TW_TRY(Pass());
    ++tap_.replaced;
    return out_.RowsReplaced(table, why);
  }
  Status Flush() override { return out_.Flush(); }

 private:
  Status Pass() {
    const int64_t call = ++tap_.calls;
    if (call != tap_.fail_at) return {};
    ++tap_.failed;
    return Error{Disposition::kRetry, "cut_by_the_test", "the test cut here"};
  }
  ChangeWriter& out_;
  SourceTap& tap_;
};

class TappedSource final : public Source {
 public:
  TappedSource(std::unique_ptr<Source> source, std::shared_ptr<SourceTap> tap)
      : source_(std::move(source)), tap_(std::move(tap)) {}
  Status Run(const ResumePoint& resume, ChangeWriter& out, std::stop_token stop) override {
    TappedWriter writer(out, *tap_);
    tap_->running = true;
    Status ended = source_->Run(resume, writer, stop);
    tap_->running = false;
    return ended;
  }
  void Release(DurableFrontier frontier) override {
    ++tap_->released;
    source_->Release(std::move(frontier));
  }
  Result<std::unique_ptr<SnapshotReader>> OpenSnapshotReader(std::stop_token stop) override {
    return source_->OpenSnapshotReader(std::move(stop));
  }

 private:
  std::unique_ptr<Source> source_;
  std::shared_ptr<SourceTap> tap_;
};

class SourceConformance : public ::testing::TestWithParam<MakeSourceBench> {
 protected:
  SourceConformance() : bench_(GetParam()()) {
    options_.backoff = {.initial = std::chrono::milliseconds(1),
                        .max = std::chrono::milliseconds(20),
                        .operator_probe = std::chrono::milliseconds(50)};
    options_.idle_advance_interval = std::chrono::milliseconds(50);
  }

  void OpenTopic(StubMemoryTopic::Options options = {
                     .completion = StubMemoryTopic::Completion::kThread}) {
    topic_ = std::make_unique<StubMemoryTopic>(options);
  }
  void Start() {
    if (!topic_) OpenTopic();
    tap_ = std::make_shared<SourceTap>();
    std::vector<CaptureSource> sources;
    sources.push_back({"shop", bench_->type(),
                       [this]() -> Result<std::unique_ptr<Source>> {
                         TW_ASSIGN_OR_RETURN(auto source, bench_->Make());
                         return std::unique_ptr<Source>(
                             std::make_unique<TappedSource>(std::move(source), tap_));
                       },
                       &metrics_.root(), snapshot_});
    capture_ =
        std::make_unique<Capture>(*topic_, std::move(sources), metrics_.root(), clock_, options_);
    capture_->Start();
  }
  void Stop() {
    capture_->Stop(std::chrono::seconds(20));
    capture_.reset();
  }
  // The process dies with what the topic has not stored.
  void Kill() {
    topic_->Crash();
    capture_->Stop(std::chrono::seconds(0));
    capture_.reset();
  }
  SourceStatus Status() { return capture_->GetStatus().sources[0]; }
  // False after 60 s.
  template <class Condition>
  bool WaitFor(Condition holds) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (std::chrono::steady_clock::now() < deadline) {
      if (holds()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return holds();
  }
  bool WaitForRows(size_t count) {
    return WaitFor([&] { return Rows(Contents(*topic_)).size() >= count; });
  }
  // Only behind its first place is what is committed read.
  bool WaitForPlace() {
    return WaitFor([&] { return Status().frontier.has_value(); });
  }
  bool WaitForStreaming() {
    return WaitFor([&] { return Status().state == SourceState::kStreaming; }) && WaitForPlace();
  }
  // All `count` rows, keys from 0 on, once and in order.
  void ExpectRows(size_t count) {
    const auto rows = Rows(Contents(*topic_));
    ASSERT_EQ(rows.size(), count);
    std::set<std::string> ids;
    for (size_t i = 0; i < rows.size(); ++i) {
      EXPECT_EQ(rows[i].after.substr(0, rows[i].after.find(',')), std::to_string(i));
      EXPECT_TRUE(ids.insert(rows[i].id).second) << rows[i].id << " twice";
    }
  }

  // --- snapshots ---
  void WithSnapshots() {
    snapshot_ = {.mode = SnapshotMode::kInitial, .workers = 2, .chunk_rows = 7};
    snapshot_.follow_interval = std::chrono::milliseconds(100);
  }
  bool WaitForCopies() {
    return WaitFor([&] {
      const SnapshotsStatus snapshots = Status().snapshots;
      return snapshots.tables_copied == 1 && snapshots.settled;
    });
  }
  // What a mirror holds that applied the topic from its first record on.
  std::set<std::string> Fold() {
    std::map<std::string, std::pair<int64_t, std::string>> rows;  // key: version, row
    auto records = Contents(*topic_);
    std::sort(records.begin(), records.end(),
              [](const TopicRecord& a, const TopicRecord& b) { return a.version < b.version; });
    for (const TopicRecord& record : records) {
      switch (record.operation) {
        case Operation::kInsert:
        case Operation::kUpdate:
        case Operation::kRead:
          if (record.after.find("(unchanged)") != std::string::npos) {
            // It needs the row beneath it, which these tests do not let it change.
            const auto row = rows.find(record.key);
            if (row != rows.end()) row->second.first = record.version;
            break;
          }
          rows[record.key] = {record.version, record.after};
          break;
        case Operation::kDelete:
          rows.erase(record.key);
          break;
        case Operation::kSweep:
          std::erase_if(rows,
                        [&](const auto& row) { return row.second.first < record.sweep_below; });
          break;
        case Operation::kTruncate:
          rows.clear();
          break;
        case Operation::kSchema:
        case Operation::kMessage:
        case Operation::kFrontier:
          break;
      }
    }
    std::set<std::string> folded;
    for (auto& [key, row] : rows) folded.insert(std::move(row.second));
    return folded;
  }
  // How often each row was copied, at most.
  size_t MostCopiesOfARow() {
    std::map<std::string, size_t> copies;
    size_t most = 0;
    for (const TopicRecord& record : Contents(*topic_)) {
      if (record.operation == Operation::kRead) most = std::max(most, ++copies[record.key]);
    }
    return most;
  }
  // The last change is in the topic, with all before it.
  void Settle(int64_t unused_id) {
    bench_->Commit(unused_id, 1);
    const std::string begins = std::to_string(unused_id) + ",";
    ASSERT_TRUE(WaitFor([&] {
      const auto rows = Rows(Contents(*topic_));
      return std::any_of(rows.begin(), rows.end(), [&](const TopicRecord& record) {
        return record.after.starts_with(begins);
      });
    }));
  }
  // Writes until it ends: updates, deletes and inserts, in the ids that were loaded and behind
  // them; not more of these than a slow machine can copy meanwhile.
  std::jthread Writer(int64_t rows) {
    return std::jthread([this, rows](std::stop_token stop) {
      for (int64_t i = 0; !stop.stop_requested(); ++i) {
        const int64_t id = i * 37 % rows;
        switch (i % 5) {
          case 0:
            if (next_insert_ < kFirstInsert + kMostInserts) bench_->Commit(next_insert_++, 1);
            break;
          case 1:
            bench_->Delete(id);
            break;
          default:
            bench_->Update(id);
        }
        std::this_thread::sleep_for(std::chrono::microseconds(300));
      }
    });
  }

  static constexpr int64_t kFirstInsert = 10'000;
  static constexpr int64_t kMostInserts = 100;
  int64_t next_insert_ = kFirstInsert;
  std::unique_ptr<SourceBench> bench_;
  MetricsRegistry metrics_;
  SystemClock clock_;
  CaptureOptions options_;
  SnapshotOptions snapshot_{.mode = SnapshotMode::kNever};
  std::unique_ptr<StubMemoryTopic> topic_;
  std::shared_ptr<SourceTap> tap_;
  std::unique_ptr<Capture> capture_;
};

TEST_P(SourceConformance, DeliversEachCommittedRowOnceInCommitOrder) {
  Start();
  ASSERT_TRUE(WaitForStreaming());
  bench_->Commit(0, 3);
  bench_->Commit(3, 1);
  bench_->Commit(4, 10);
  ASSERT_TRUE(WaitForRows(14));
  Stop();
  ExpectRows(14);
}

TEST_P(SourceConformance, ResumesWhereItWas) {
  Start();
  ASSERT_TRUE(WaitForStreaming());
  size_t rows = 0;
  for (int round = 0; round < 4; ++round) {
    bench_->Commit(rows, 5);
    rows += 5;
    ASSERT_TRUE(WaitForRows(rows));
    Stop();
    bench_->Commit(rows, 2);  // while nobody reads
    rows += 2;
    Start();
    ASSERT_TRUE(WaitForRows(rows));
  }
  Stop();
  ExpectRows(rows);
}

TEST_P(SourceConformance, ReplaysWhatWasNotStoredWhenTheProcessDied) {
  OpenTopic({.completion = StubMemoryTopic::Completion::kManual});
  std::atomic<bool> storing = true;
  const std::jthread disk([&](std::stop_token stop) {
    while (!stop.stop_requested()) {
      if (storing) topic_->RunPending();
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  Start();
  ASSERT_TRUE(WaitForStreaming());
  bench_->Commit(0, 5);
  ASSERT_TRUE(WaitForRows(5));
  Stop();

  storing = false;
  Start();
  for (int64_t i = 5; i < 15; ++i) bench_->Commit(i, 1);
  ASSERT_TRUE(WaitFor([&] { return tap_->calls >= 3 * 10; }));
  Kill();
  EXPECT_EQ(Rows(Contents(*topic_)).size(), 5u);
  storing = true;
  Start();
  ASSERT_TRUE(WaitForRows(15));
  Stop();
  ExpectRows(15);
}

TEST_P(SourceConformance, ReleasesNothingBeforeItIsDurable) {
  Start();
  ASSERT_TRUE(WaitForStreaming());
  topic_->HoldCompletions();
  const int64_t released = tap_->released;
  bench_->Commit(0, 5);
  ASSERT_TRUE(WaitForRows(5));
  EXPECT_LE(tap_->released, released + 1);  // one may have been on its way
  topic_->ReleaseCompletions();
  ASSERT_TRUE(WaitFor([&] { return tap_->released > released; }));
  Stop();
  ExpectRows(5);
}

TEST_P(SourceConformance, SurvivesACutAtEachOfItsCalls) {
  int64_t last = 1;
  size_t rows = 0;
  for (int64_t cut = 1; cut <= last; ++cut) {
    Start();
    tap_->fail_at = cut;
    ASSERT_TRUE(WaitForPlace());
    bench_->Commit(rows, 3);
    bench_->Commit(rows + 3, 2);
    rows += 5;
    ASSERT_TRUE(WaitForRows(rows)) << "after a cut at call " << cut;
    // Two transactions of five rows make nine calls, after what a first start takes.
    last = cut == 1 ? 12 : last;
    Stop();
  }
  ExpectRows(rows);
}

TEST_P(SourceConformance, SurvivesASessionThatTheServerDrops) {
  Start();
  ASSERT_TRUE(WaitForStreaming());
  size_t rows = 0;
  for (int round = 0; round < 5; ++round) {
    bench_->Commit(rows, 4);
    rows += 4;
    bench_->Interrupt();
    bench_->Commit(rows, 1);
    rows += 1;
    ASSERT_TRUE(WaitForRows(rows));
  }
  EXPECT_GT(Status().reconnects, 0u);
  Stop();
  ExpectRows(rows);
}

TEST_P(SourceConformance, SendsALargeTransactionAgainWholeAfterADeathInIt) {
  options_.part_bytes = 1000;
  Start();
  ASSERT_TRUE(WaitForStreaming());
  bench_->Commit(0, 1);
  ASSERT_TRUE(WaitForRows(1));
  tap_->fail_at = tap_->calls + 120;
  bench_->Commit(1, 200);
  ASSERT_TRUE(WaitForRows(201));
  EXPECT_EQ(tap_->failed, 1);
  Stop();
  ExpectRows(201);
}

TEST_P(SourceConformance, StopsInTimeWhenIdle) {
  Start();
  ASSERT_TRUE(WaitForStreaming());
  const auto begun = std::chrono::steady_clock::now();
  Stop();
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(5));
}

TEST_P(SourceConformance, StopsInTimeInFrontOfAFullTopic) {
  OpenTopic({.completion = StubMemoryTopic::Completion::kThread, .capacity_bytes = 500});
  options_.batch_bytes = 200;
  options_.part_bytes = 400;
  Start();
  ASSERT_TRUE(WaitForStreaming());
  topic_->HoldCompletions();
  for (int64_t i = 0; i < 20; ++i) bench_->Commit(i * 20, 20);
  ASSERT_TRUE(WaitFor([&] { return capture_->GetStatus().queued_bytes > 300; }));
  const auto begun = std::chrono::steady_clock::now();
  capture_->RequestStop();
  ASSERT_TRUE(WaitFor([&] { return !tap_->running; }));
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(5));
  topic_->ReleaseCompletions();
  Stop();

  Start();
  ASSERT_TRUE(WaitForRows(400));
  Stop();
  ExpectRows(400);
}

TEST_P(SourceConformance, GoesOnAfterTheTopicFailed) {
  Start();
  ASSERT_TRUE(WaitForStreaming());
  bench_->Commit(0, 2);
  ASSERT_TRUE(WaitForRows(2));
  topic_->FailNextAppend({Disposition::kRetry, "topic_io", "the test failed this batch"});
  bench_->Commit(2, 2);
  ASSERT_TRUE(WaitForRows(4));
  topic_->LoseNextAnswer({Disposition::kRetry, "topic_io", "the test lost this answer"});
  bench_->Commit(4, 2);
  bench_->Commit(6, 2);
  ASSERT_TRUE(WaitForRows(8));
  Stop();
  ExpectRows(8);
}

// --- snapshots ---

constexpr int64_t kLoaded = 100;
constexpr int64_t kUnusedId = 1'000'000;

TEST_P(SourceConformance, CopiesWhatIsThereWhileWritersWrite) {
  WithSnapshots();
  bench_->Preload(0, kLoaded);
  Start();
  ASSERT_TRUE(WaitForStreaming());
  {
    const std::jthread writer = Writer(kLoaded);
    ASSERT_TRUE(WaitForCopies());
  }
  Settle(kUnusedId);
  Stop();
  EXPECT_EQ(Fold(), bench_->Table());
  EXPECT_EQ(MostCopiesOfARow(), 1u);
}

TEST_P(SourceConformance, ACopyThatIsKilledAgainAndAgainGoesOnWhereItWas) {
  WithSnapshots();
  OpenTopic({.completion = StubMemoryTopic::Completion::kManual});
  bench_->Preload(0, kLoaded);
  int64_t unused = kUnusedId;
  // Each process lives until so many batches are stored; the last one may go on.
  for (const size_t batches : {1, 2, 3, 4, 5, 7, 9, 0}) {
    Start();
    const std::jthread writer = Writer(kLoaded);
    std::atomic<bool> dead = false;
    {
      const std::jthread disk([&](std::stop_token stop) {
        for (size_t stored = 0; !stop.stop_requested();) {
          stored += topic_->RunPending(1);
          if (batches > 0 && stored >= batches) {
            dead = true;
            return;
          }
          std::this_thread::sleep_for(std::chrono::microseconds(100));
        }
      });
      if (batches > 0) {
        ASSERT_TRUE(WaitFor([&] { return dead.load(); }));
        Kill();
        continue;
      }
      ASSERT_TRUE(WaitForCopies());
      Settle(unused++);
    }
  }
  // The writer went on after the last row that was waited for.
  const std::jthread disk([&](std::stop_token stop) {
    while (!stop.stop_requested()) {
      topic_->RunPending();
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  Settle(unused++);
  Stop();
  EXPECT_EQ(Fold(), bench_->Table());
  EXPECT_EQ(MostCopiesOfARow(), 1u);
}

TEST_P(SourceConformance, ACopySurvivesACutAtEachOfItsCalls) {
  WithSnapshots();
  bench_->Preload(0, kLoaded);
  Start();
  {
    const std::jthread writer = Writer(kLoaded);
    for (int64_t cut = 1; cut <= 40; cut += 3) {
      tap_->fail_at = tap_->calls + cut;
      const int64_t failed = tap_->failed;
      ASSERT_TRUE(WaitFor([&] { return tap_->failed > failed; }));
    }
    ASSERT_TRUE(WaitForCopies());
  }
  Settle(kUnusedId);
  Stop();
  EXPECT_EQ(Fold(), bench_->Table());
  EXPECT_EQ(MostCopiesOfARow(), 1u);
}

TEST_P(SourceConformance, ACopySurvivesSessionsThatTheServerDrops) {
  WithSnapshots();
  bench_->Preload(0, kLoaded);
  Start();
  {
    const std::jthread writer = Writer(kLoaded);
    for (int i = 0; i < 3; ++i) {
      ASSERT_TRUE(WaitForStreaming());
      bench_->Interrupt();
    }
    ASSERT_TRUE(WaitForCopies());
  }
  Settle(kUnusedId);
  Stop();
  EXPECT_EQ(Fold(), bench_->Table());
  EXPECT_EQ(MostCopiesOfARow(), 1u);
}

TEST_P(SourceConformance, ACopyOnRequestEndsWithoutTheRowsThatAreGone) {
  bench_->Preload(0, kLoaded);
  WithSnapshots();
  snapshot_.mode = SnapshotMode::kNever;
  Start();
  ASSERT_TRUE(WaitForStreaming());
  ASSERT_TRUE(WaitFor([&] { return Status().snapshots.settled; }));
  bench_->Commit(kLoaded, 1);
  ASSERT_TRUE(WaitForRows(1));
  EXPECT_EQ(Fold().size(), 1u);  // nothing is copied by itself
  const std::string table = Rows(Contents(*topic_))[0].table;
  for (size_t round = 1; round <= 2; ++round) {
    const std::jthread writer = Writer(kLoaded);
    const auto requested = capture_->RequestSnapshot("shop", {table, {}, {}});
    ASSERT_OK(requested);
    ASSERT_TRUE(WaitFor([&] {
      const SnapshotsStatus snapshots = Status().snapshots;
      return snapshots.tables_waiting == 0 && snapshots.units.size() == round;
    }));
  }
  Settle(kUnusedId);
  Stop();
  EXPECT_EQ(Fold(), bench_->Table());
  const auto records = Contents(*topic_);
  EXPECT_EQ(std::count_if(
                records.begin(), records.end(),
                [](const TopicRecord& record) { return record.operation == Operation::kSweep; }),
            2);
}

// --- rows that are replaced without changes of rows ---

// Of sources whose log holds such statements.
class ReplacedRowsConformance : public SourceConformance {};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(ReplacedRowsConformance);

TEST_P(ReplacedRowsConformance, TheTableIsCopiedAgainAndSwept) {
  WithSnapshots();
  bench_->Preload(0, kLoaded);
  Start();
  ASSERT_TRUE(WaitForStreaming());
  ASSERT_TRUE(WaitForCopies());
  Settle(kUnusedId);
  bench_->Replace(kLoaded / 2, kLoaded);
  ASSERT_TRUE(WaitFor([&] { return tap_->replaced == 1 && Status().snapshots.settled; }));
  Settle(kUnusedId + 1);
  const SnapshotsStatus snapshots = Status().snapshots;
  Stop();
  EXPECT_EQ(Fold(), bench_->Table());
  ASSERT_EQ(snapshots.units.size(), 2u);
  EXPECT_EQ(snapshots.units.front().reason, "rows_replaced");
  EXPECT_TRUE(snapshots.stale.empty());
}

TEST_P(ReplacedRowsConformance, ACopyThatIsUnderWayBeginsAgain) {
  WithSnapshots();
  bench_->Preload(0, kLoaded);
  Start();
  {
    const std::jthread writer = Writer(kLoaded);
    ASSERT_TRUE(WaitForRows(20));
    bench_->Replace(kLoaded / 2, kLoaded);
    ASSERT_TRUE(WaitFor([&] { return tap_->replaced == 1 && Status().snapshots.settled; }));
  }
  Settle(kUnusedId);
  Stop();
  EXPECT_EQ(Fold(), bench_->Table());
}

TEST_P(ReplacedRowsConformance, NoDeathOfTheProcessForgetsIt) {
  WithSnapshots();
  OpenTopic({.completion = StubMemoryTopic::Completion::kManual});
  bench_->Preload(0, kLoaded);
  // Each process lives until so many batches are stored after the rows were replaced.
  int64_t unused = kUnusedId;
  for (const size_t batches : {0, 1, 2, 3, 5, 8, 1'000}) {
    Start();
    const std::jthread disk([&](std::stop_token stop) {
      while (!stop.stop_requested()) {
        topic_->RunPending(1);
        std::this_thread::sleep_for(std::chrono::microseconds(100));
      }
    });
    ASSERT_TRUE(WaitForStreaming());
    ASSERT_TRUE(WaitForCopies());
    Settle(unused++);
    const size_t stored = Contents(*topic_).size();
    bench_->Replace(static_cast<int64_t>(batches), kLoaded);
    if (batches == 1'000) {
      ASSERT_TRUE(WaitFor([&] { return tap_->replaced >= 1 && Status().snapshots.settled; }));
      Settle(unused++);
      Stop();
      break;
    }
    ASSERT_TRUE(WaitFor([&] { return tap_->replaced >= 1; }));
    ASSERT_TRUE(
        WaitFor([&] { return batches == 0 || Contents(*topic_).size() > stored + batches * 3; }));
    Kill();
  }
  EXPECT_EQ(Fold(), bench_->Table());
}

TEST_P(ReplacedRowsConformance, WhereNothingIsCopiedByItselfTheTableIsNamed) {
  bench_->Preload(0, kLoaded);
  WithSnapshots();
  snapshot_.mode = SnapshotMode::kNever;
  Start();
  ASSERT_TRUE(WaitForStreaming());
  ASSERT_TRUE(WaitFor([&] { return Status().snapshots.settled; }));
  bench_->Commit(kLoaded, 1);
  ASSERT_TRUE(WaitForRows(1));
  const std::string table = Rows(Contents(*topic_))[0].table;
  bench_->Replace(0, kLoaded);
  const auto named = [&] {
    const std::vector<StaleTable> stale = Status().snapshots.stale;
    return stale.size() == 1 && stale[0].table == table && !stale[0].why.empty();
  };
  ASSERT_TRUE(WaitFor(named));
  Settle(kUnusedId);  // durable by now
  Stop();
  Start();
  ASSERT_TRUE(WaitForStreaming());
  EXPECT_TRUE(named());
  EXPECT_EQ(MostCopiesOfARow(), 0u);
  ASSERT_OK(capture_->RequestSnapshot("shop", {table, {}, {}}));
  ASSERT_TRUE(WaitFor([&] {
    const SnapshotsStatus snapshots = Status().snapshots;
    return snapshots.tables_waiting == 0 && snapshots.units.size() == 1;
  }));
  EXPECT_TRUE(Status().snapshots.stale.empty());
  Stop();
  EXPECT_EQ(Fold(), bench_->Table());
}

}  // namespace tailwater
