#include "pipeline/capture.h"

#include <gmock/gmock.h>

#include <set>
#include <thread>

#include "checkpoint/checkpoint.h"
#include "checkpoint/state.pb.h"
#include "monitor/metrics_registry.h"
#include "support/matchers.h"
#include "support/memory_topic.h"
#include "support/scripted_source.h"
#include "support/text.h"
#include "support/topic_contents.h"

namespace tailwater {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

class CaptureTest : public ::testing::Test {
 protected:
  CaptureTest() {
    options_.backoff = {
        .initial = milliseconds(1), .max = milliseconds(10), .operator_probe = milliseconds(20)};
    options_.idle_advance_interval = milliseconds(20);
  }

  CaptureSource SourceOf(const std::string& name, ScriptedServer& server) {
    return {name,
            "scripted",
            [&server]() -> Result<std::unique_ptr<Source>> { return server.Connect(); },
            &metrics_.Scoped({{"source", name}}),
            {.mode = snapshot_},
            on_gap_};
  }
  std::unique_ptr<Capture> Make(std::vector<CaptureSource> sources) {
    return std::make_unique<Capture>(topic_, std::move(sources), metrics_.root(), clock_, options_);
  }
  std::unique_ptr<Capture> Start() {
    auto capture = Make({SourceOf("shop", server_)});
    capture->Start();
    return capture;
  }
  template <class Condition>
  static bool WaitFor(Condition holds) {
    const auto deadline = std::chrono::steady_clock::now() + seconds(30);
    while (std::chrono::steady_clock::now() < deadline) {
      if (holds()) return true;
      std::this_thread::sleep_for(milliseconds(1));
    }
    return holds();
  }
  static bool WaitForState(const Capture& capture, SourceState state, size_t source = 0) {
    return WaitFor([&] { return capture.GetStatus().sources[source].state == state; });
  }
  static bool WaitForPhase(const Capture& capture, CapturePhase phase) {
    return WaitFor([&] { return capture.GetStatus().phase == phase; });
  }
  bool WaitForRows(size_t count) {
    return WaitFor([&] { return Rows(Contents(topic_)).size() >= count; });
  }

  SnapshotMode snapshot_ = SnapshotMode::kNever;
  GapPolicy on_gap_ = GapPolicy::kHalt;
  SystemClock clock_;
  MetricsRegistry metrics_;
  CaptureOptions options_;
  StubMemoryTopic topic_{{.completion = StubMemoryTopic::Completion::kThread}};
  ScriptedServer server_;
};

TEST_F(CaptureTest, RunsASourceAndSaysHowFarItIs) {
  auto capture = Start();
  server_.CommitIds(0, 3);
  server_.CommitIds(3, 2);
  ASSERT_TRUE(WaitForRows(5));
  ASSERT_TRUE(WaitFor([&] { return server_.released() == 2; }));
  const CaptureStatus status = capture->GetStatus();
  EXPECT_EQ(status.phase, CapturePhase::kRunning);
  EXPECT_FALSE(status.log_id.empty());
  const SourceStatus& source = status.sources[0];
  EXPECT_EQ(source.name, "shop");
  EXPECT_EQ(source.state, SourceState::kStreaming);
  EXPECT_EQ(source.code, "");
  EXPECT_EQ(source.frontier, Position{"0/2"});
  EXPECT_EQ(source.received, Position{"0/2"});
  EXPECT_EQ(source.identity.at("slot"), "orders");
  EXPECT_EQ(source.transactions, 2u);
  EXPECT_EQ(source.events.at("insert"), 5u);
  capture->Stop(seconds(10));
  EXPECT_EQ(capture->GetStatus().phase, CapturePhase::kStopped);
  EXPECT_EQ(capture->GetStatus().sources[0].state, SourceState::kStopped);
}

TEST_F(CaptureTest, TheLastFrontierRecordComesWithoutAnotherChange) {
  options_.frontier_interval = milliseconds(5);
  options_.idle_advance_interval = std::chrono::hours(1);
  auto capture = Start();
  for (int i = 0; i < 20; ++i) server_.CommitIds(i, 1);
  EXPECT_TRUE(WaitFor([&] {
    const auto records = Contents(topic_);
    return !records.empty() && Describe(records.back()) == "frontier 0/20";
  }));
}

TEST_F(CaptureTest, RetriesALostConnectionFromTheCheckpoint) {
  auto capture = Start();
  server_.CommitIds(0, 3);
  ASSERT_TRUE(WaitForRows(3));
  server_.Refuse(Error{Disposition::kRetry, "connection_refused", "no server there"});
  ASSERT_TRUE(
      WaitFor([&] { return capture->GetStatus().sources[0].code == "connection_refused"; }));
  const SourceStatus refused = capture->GetStatus().sources[0];
  EXPECT_EQ(refused.state, SourceState::kRetrying);
  EXPECT_EQ(refused.message, "no server there");
  server_.CommitIds(3, 3);
  server_.Refuse(std::nullopt);
  ASSERT_TRUE(WaitForRows(6));
  ASSERT_TRUE(WaitForState(*capture, SourceState::kStreaming));
  const SourceStatus healed = capture->GetStatus().sources[0];
  EXPECT_GT(healed.reconnects, 0u);
  EXPECT_EQ(healed.code, "");
  EXPECT_EQ(Rows(Contents(topic_)).size(), 6u);
  EXPECT_THAT(metrics_.Expose(), HasSubstr("code=\"connection_refused\""));
}

TEST_F(CaptureTest, ProbesWhatNeedsAnOperatorAndGoesOnByItself) {
  server_.Refuse(Error{Disposition::kNeedsOperator, "password_wrong", "fix the password"});
  auto capture = Start();
  ASSERT_TRUE(WaitForState(*capture, SourceState::kNeedsOperator));
  EXPECT_EQ(capture->GetStatus().sources[0].message, "fix the password");
  server_.CommitIds(0, 1);
  server_.Refuse(std::nullopt);
  ASSERT_TRUE(WaitForRows(1));
  EXPECT_TRUE(WaitForState(*capture, SourceState::kStreaming));
}

TEST_F(CaptureTest, AGapHaltsItsSourceAndNoOther) {
  ScriptedServer other;
  server_.Refuse(Error{Disposition::kGap, "slot_missing", "the slot is gone"});
  auto capture = Make({SourceOf("shop", server_), SourceOf("billing", other)});
  capture->Start();
  ASSERT_TRUE(WaitForState(*capture, SourceState::kGap, 0));
  EXPECT_EQ(capture->GetStatus().sources[0].code, "slot_missing");
  EXPECT_FALSE(capture->GetStatus().sources[0].next_retry_micros.has_value());
  other.CommitIds(0, 4);
  ASSERT_TRUE(WaitForRows(4));
  EXPECT_EQ(server_.connections(), 1u);
  capture->Stop(seconds(10));
  EXPECT_EQ(capture->GetStatus().sources[0].state, SourceState::kGap);
}

TEST_F(CaptureTest, OurOwnBugHaltsItsSourceAndNoOther) {
  ScriptedServer other;
  server_.ThrowOnConnect();
  auto capture = Make({SourceOf("shop", server_), SourceOf("billing", other)});
  capture->Start();
  ASSERT_TRUE(WaitForState(*capture, SourceState::kFailed, 0));
  EXPECT_EQ(capture->GetStatus().sources[0].code, "internal_error");
  other.CommitIds(0, 4);
  EXPECT_TRUE(WaitForRows(4));
}

TEST_F(CaptureTest, EverySourceRecoversFromAFailureOfTheTopic) {
  ScriptedServer other;
  auto capture = Make({SourceOf("shop", server_), SourceOf("billing", other)});
  capture->Start();
  ASSERT_TRUE(WaitForState(*capture, SourceState::kStreaming, 0));
  ASSERT_TRUE(WaitForState(*capture, SourceState::kStreaming, 1));
  size_t rows = 0;
  for (int round = 0; round < 10; ++round) {
    const Error error{Disposition::kRetry, "topic_io", "the test failed this batch"};
    if (round % 2 == 0) {
      topic_.FailNextAppend(error);
    } else {
      topic_.LoseNextAnswer(error);
    }
    topic_.FailRecover({Disposition::kNeedsOperator, "topic_disk_full", "make room"}, round % 3);
    server_.CommitIds(round * 2, 2);
    other.CommitIds(round, 1);
    rows += 3;
    ASSERT_TRUE(WaitForRows(rows));
  }
  capture->Stop(seconds(10));
  EXPECT_EQ(Rows(Contents(topic_)).size(), rows);
  const std::string metrics = metrics_.Expose();
  EXPECT_THAT(metrics,
              HasSubstr("tailwater_producer_errors_total 1"));  // 10, or more by recoveries
  EXPECT_THAT(metrics, HasSubstr("tailwater_errors_total{code=\"topic_io\",component=\"topic\","
                                 "disposition=\"retry\"} 10\n"));
}

TEST_F(CaptureTest, ExportsTheStateOfTheCapturingHalf) {
  auto first = Start();
  ASSERT_TRUE(WaitForPhase(*first, CapturePhase::kRunning));
  first->PublishMetrics();
  EXPECT_THAT(metrics_.Expose(), HasSubstr("tailwater_capture_state{state=\"running\"} 1\n"));
  EXPECT_THAT(metrics_.Expose(), HasSubstr("tailwater_capture_state{state=\"standby\"} 0\n"));
  EXPECT_THAT(metrics_.Expose(), HasSubstr("tailwater_producer_errors_total 0\n"));
  auto second = Start();
  ASSERT_TRUE(WaitForPhase(*second, CapturePhase::kStandby));
  second->PublishMetrics();
  EXPECT_THAT(metrics_.Expose(), HasSubstr("tailwater_capture_state{state=\"running\"} 0\n"));
  EXPECT_THAT(metrics_.Expose(), HasSubstr("tailwater_capture_state{state=\"standby\"} 1\n"));
}

TEST_F(CaptureTest, ASecondCaptureStandsByAndTakesOver) {
  auto first = Start();
  ASSERT_TRUE(WaitForPhase(*first, CapturePhase::kRunning));
  server_.CommitIds(0, 2);
  ASSERT_TRUE(WaitForRows(2));
  auto second = Start();
  ASSERT_TRUE(WaitForPhase(*second, CapturePhase::kStandby));
  first->Stop(seconds(10));
  server_.CommitIds(2, 2);
  ASSERT_TRUE(WaitForRows(4));
  EXPECT_EQ(second->GetStatus().phase, CapturePhase::kRunning);
  EXPECT_EQ(Rows(Contents(topic_)).size(), 4u);
}

TEST_F(CaptureTest, AStandbyStopsAtOnce) {
  auto first = Start();
  ASSERT_TRUE(WaitForPhase(*first, CapturePhase::kRunning));
  auto second = Start();
  ASSERT_TRUE(WaitForPhase(*second, CapturePhase::kStandby));
  second->Stop(seconds(10));
  EXPECT_EQ(second->GetStatus().phase, CapturePhase::kStopped);
}

TEST_F(CaptureTest, ALostLeaseEndsTheSourcesAndTheyGoOnOnceItIsOursAgain) {
  auto capture = Start();
  server_.CommitIds(0, 3);
  ASSERT_TRUE(WaitForRows(3));
  topic_.LoseLease();
  ASSERT_TRUE(WaitForPhase(*capture, CapturePhase::kStandby));
  EXPECT_EQ(capture->GetStatus().lease_holder, "a stranger");
  EXPECT_EQ(capture->GetStatus().sources[0].state, SourceState::kStopped);
  EXPECT_EQ(capture->GetStatus().sources[0].frontier, std::nullopt);
  capture->PublishMetrics();
  server_.CommitIds(3, 3);
  topic_.FreeLease();
  ASSERT_TRUE(WaitForRows(6));
  EXPECT_EQ(capture->GetStatus().phase, CapturePhase::kRunning);
  ASSERT_TRUE(WaitFor([&] { return server_.released() == 2; }));
  capture->Stop(seconds(10));
  EXPECT_EQ(Rows(Contents(topic_)).size(), 6u);
}

TEST_F(CaptureTest, WhatWasInFlightWhenTheLeaseWasLostIsPublishedOnce) {
  auto capture = Start();
  for (int round = 0; round < 20; ++round) {
    ASSERT_TRUE(WaitForState(*capture, SourceState::kStreaming));
    for (int i = 0; i < 10; ++i) server_.CommitIds(round * 10 + i, 1);
    topic_.LoseLease();  // some are stored, some wait, some are not read yet
    topic_.FreeLease();
  }
  ASSERT_TRUE(WaitForRows(200));
  capture->Stop(seconds(10));
  std::vector<std::string> after;
  for (const TopicRecord& row : Rows(Contents(topic_))) after.push_back(row.after);
  EXPECT_EQ(after.size(), 200u);
  EXPECT_EQ(std::set<std::string>(after.begin(), after.end()).size(), 200u);
}

TEST_F(CaptureTest, StandingByAfterALostLeaseEndsAtOnceWhenStopped) {
  auto capture = Start();
  ASSERT_TRUE(WaitForState(*capture, SourceState::kStreaming));
  topic_.LoseLease();
  ASSERT_TRUE(WaitForPhase(*capture, CapturePhase::kStandby));
  capture->Stop(seconds(10));
  EXPECT_EQ(capture->GetStatus().phase, CapturePhase::kStopped);
}

TEST_F(CaptureTest, StoppingLetsWhatWasAcceptedBecomeDurable) {
  auto capture = Start();
  ASSERT_TRUE(WaitForState(*capture, SourceState::kStreaming));
  ASSERT_TRUE(WaitFor([&] { return capture->GetStatus().sources[0].frontier.has_value(); }));
  topic_.HoldCompletions();
  server_.CommitIds(0, 3);
  ASSERT_TRUE(WaitForRows(3));
  capture->RequestStop();
  EXPECT_EQ(capture->GetStatus().phase, CapturePhase::kStopping);
  topic_.ReleaseCompletions();
  ASSERT_TRUE(WaitForPhase(*capture, CapturePhase::kStopped));
  EXPECT_EQ(capture->GetStatus().sources[0].frontier, Position{"0/1"});
}

TEST_F(CaptureTest, ASecondStopNoLongerWaitsForTheTopic) {
  auto capture = Start();
  ASSERT_TRUE(WaitForState(*capture, SourceState::kStreaming));
  ASSERT_TRUE(WaitFor([&] { return capture->GetStatus().sources[0].frontier.has_value(); }));
  topic_.HoldCompletions();
  server_.CommitIds(0, 3);
  ASSERT_TRUE(WaitForRows(3));
  capture->RequestStop();
  capture->RequestStop();
  EXPECT_TRUE(WaitForPhase(*capture, CapturePhase::kStopped));
  auto next = Start();
  server_.CommitIds(3, 1);
  ASSERT_TRUE(WaitForRows(4));
  EXPECT_EQ(Rows(Contents(topic_)).size(), 4u);
}

TEST_F(CaptureTest, StopIsSafeBeforeStartAndTwice) {
  auto never = Make({SourceOf("shop", server_)});
  never->Stop(seconds(1));
  never->Start();
  EXPECT_EQ(never->GetStatus().phase, CapturePhase::kStopped);
  auto capture = Start();
  ASSERT_TRUE(WaitForState(*capture, SourceState::kStreaming));
  capture->Stop(seconds(10));
  capture->Stop(seconds(10));
  EXPECT_EQ(server_.connections(), 1u);
}

TEST_F(CaptureTest, RefusesAStateOfANewerRelease) {
  state::v1::CaptureState newer;
  newer.set_format(99);
  {
    auto writer = topic_.OpenWriter({}, {});
    ASSERT_OK(writer);
    AppendBatch batch;
    batch.state[CheckpointKey("shop")] = newer.SerializeAsString();
    (*writer)->Append(std::move(batch), [](Result<AppendReceipt>) {});
  }
  auto capture = Start();
  ASSERT_TRUE(WaitForState(*capture, SourceState::kNeedsOperator));
  EXPECT_EQ(capture->GetStatus().sources[0].code, "state_newer");
  EXPECT_EQ(server_.connections(), 0u);
}

TEST_F(CaptureTest, NamesATopicThatWasReplacedAGap) {
  auto capture = Start();
  server_.CommitIds(0, 3);
  ASSERT_TRUE(WaitForRows(3));
  capture->Stop(seconds(10));
  topic_.ReplaceLog("another");
  capture = Start();
  ASSERT_TRUE(WaitForState(*capture, SourceState::kGap));
  EXPECT_EQ(capture->GetStatus().sources[0].code, "topic_rewound");
}

TEST_F(CaptureTest, HaltsOnARecordThatTheTopicDoesNotTakeWithThePositionFrozen) {
  StubMemoryTopic small(
      {.completion = StubMemoryTopic::Completion::kThread, .max_record_bytes = 2000});
  Capture capture(small, {SourceOf("shop", server_)}, metrics_.root(), clock_, options_);
  capture.Start();
  server_.CommitIds(0, 2);
  server_.CommitIds(2, 1, 5000);
  server_.CommitIds(3, 1);
  ASSERT_TRUE(WaitForState(capture, SourceState::kNeedsOperator));
  EXPECT_EQ(capture.GetStatus().sources[0].code, "record_too_large");
  ASSERT_TRUE(WaitFor([&] { return server_.connections() > 3; }));
  EXPECT_EQ(capture.GetStatus().sources[0].frontier, Position{"0/1"});
  EXPECT_EQ(Rows(Contents(small)).size(), 2u);
  capture.Stop(seconds(10));
}

TEST_F(CaptureTest, ASourceThatCannotBeMadeIsTriedAgain) {
  std::atomic<int> made = 0;
  CaptureSource source = SourceOf("shop", server_);
  source.create = [&]() -> Result<std::unique_ptr<Source>> {
    if (++made < 3) return Error{Disposition::kNeedsOperator, "secret_unreadable", "no such file"};
    return server_.Connect();
  };
  std::vector<CaptureSource> sources;
  sources.push_back(std::move(source));
  auto capture = Make(std::move(sources));
  capture->Start();
  server_.CommitIds(0, 1);
  EXPECT_TRUE(WaitForRows(1));
  EXPECT_EQ(made, 3);
}

// --- gaps ---

class CaptureGapTest : public CaptureTest {
 protected:
  CaptureGapTest() {
    snapshot_ = SnapshotMode::kInitial;
    on_gap_ = GapPolicy::kResnapshot;
    server_.AllowSnapshots();
    server_.Preload(0, 50);
  }
  static bool WaitForCopies(const Capture& capture) {
    return WaitFor([&] {
      const SnapshotsStatus snapshots = capture.GetStatus().sources[0].snapshots;
      return snapshots.tables_copied == 1 && snapshots.settled;
    });
  }
  // While nobody reads: rows go, change and come, and the log of it is lost.
  void LoseChanges() {
    server_.Commit({{1, "", Operation::kDelete}, {2, "changed", Operation::kUpdate}, {60, "new"}});
    server_.LoseLog();
  }
  // What a mirror holds that applied the topic from its first record on.
  std::map<std::string, std::string> Fold() {
    std::map<std::string, std::pair<int64_t, std::string>> rows;
    auto records = Contents(topic_);
    std::sort(records.begin(), records.end(),
              [](const TopicRecord& a, const TopicRecord& b) { return a.version < b.version; });
    for (const TopicRecord& record : records) {
      if (record.operation == Operation::kSweep) {
        std::erase_if(rows, [&](const auto& row) { return row.second.first < record.sweep_below; });
      } else if (record.operation == Operation::kDelete) {
        rows.erase(record.key);
      } else if (!IsControl(record.operation)) {
        rows[record.key] = {record.version, record.after};
      }
    }
    std::map<std::string, std::string> folded;
    for (const auto& [key, row] : rows) {
      const size_t comma = row.second.find(',');
      folded[row.second.substr(0, comma)] = row.second.substr(comma + 1);
    }
    return folded;
  }
  std::map<std::string, std::string> Table() {
    std::map<std::string, std::string> rows;
    for (const auto& [id, note] : server_.Table()) rows[std::to_string(id)] = note;
    return rows;
  }
};

TEST_F(CaptureGapTest, BeginsAnewBehindAGapAndCopiesAllTablesAgain) {
  {
    auto capture = Start();
    server_.CommitIds(50, 1);
    ASSERT_TRUE(WaitForCopies(*capture));
    capture->Stop(seconds(10));
  }
  const uint32_t epoch = Contents(topic_).back().epoch;
  LoseChanges();
  auto capture = Start();
  ASSERT_TRUE(WaitFor([&] { return Fold() == Table(); })) << Fold().size();
  ASSERT_TRUE(WaitForCopies(*capture));
  const SourceStatus source = capture->GetStatus().sources[0];
  EXPECT_EQ(source.state, SourceState::kStreaming);
  EXPECT_GT(source.epoch, epoch);
  ASSERT_EQ(source.gaps.size(), 1u);
  EXPECT_EQ(source.gaps[0].code, "log_discarded");
  EXPECT_TRUE(source.gaps[0].from.has_value());
  EXPECT_TRUE(source.gaps[0].to.has_value());
  EXPECT_EQ(source.gaps[0].epoch, source.epoch);
  EXPECT_GT(source.gaps[0].at_micros, 0);
  EXPECT_THAT(metrics_.Expose(), HasSubstr("tailwater_source_gaps_total{code=\"log_discarded\""));
  server_.CommitIds(70, 1);
  ASSERT_TRUE(WaitFor([&] { return Fold() == Table(); }));
  capture->Stop(seconds(10));
}

TEST_F(CaptureGapTest, HaltsAtAGapUnlessToldOtherwise) {
  {
    auto capture = Start();
    ASSERT_TRUE(WaitForCopies(*capture));
    capture->Stop(seconds(10));
  }
  LoseChanges();
  on_gap_ = GapPolicy::kHalt;
  auto capture = Start();
  ASSERT_TRUE(WaitForState(*capture, SourceState::kGap));
  EXPECT_THAT(capture->GetStatus().sources[0].gaps, ::testing::IsEmpty());
  EXPECT_THAT(metrics_.Expose(), HasSubstr("tailwater_source_gaps_total{code=\"log_discarded\""));
}

TEST_F(CaptureGapTest, HaltsWhenTheLogIsLostAgainAndAgain) {
  server_.Refuse(Error{Disposition::kGap, "log_discarded", "the log is gone"});
  auto capture = Start();
  ASSERT_TRUE(WaitForState(*capture, SourceState::kGap));
  const SourceStatus source = capture->GetStatus().sources[0];
  EXPECT_EQ(source.code, "log_discarded");
  EXPECT_THAT(source.message, HasSubstr("3 times within the last hour"));
  EXPECT_EQ(source.gaps.size(), 3u);
  EXPECT_EQ(server_.connections(), 4u);
}

TEST_F(CaptureGapTest, AGapOfTheTopicIsNoGapOfTheSource) {
  {
    auto capture = Start();
    server_.CommitIds(50, 1);
    ASSERT_TRUE(WaitForCopies(*capture));
    capture->Stop(seconds(10));
  }
  topic_.ReplaceLog("another");
  auto capture = Start();
  ASSERT_TRUE(WaitForState(*capture, SourceState::kGap));
  EXPECT_EQ(capture->GetStatus().sources[0].code, "topic_rewound");
  EXPECT_EQ(topic_.Records(0).size(), 0u);
}

// The process dies after each stored batch of the recovery, and goes on with another one.
TEST(CaptureGap, ARecoveryThatIsKilledAnywhereEndsTheSame) {
  for (size_t batches = 1; batches <= 12; ++batches) {
    SystemClock clock;
    MetricsRegistry metrics;
    CaptureOptions options;
    options.backoff = {
        .initial = milliseconds(1), .max = milliseconds(10), .operator_probe = milliseconds(20)};
    StubMemoryTopic topic{{.completion = StubMemoryTopic::Completion::kManual}};
    ScriptedServer server;
    server.AllowSnapshots();
    server.Preload(0, 30);
    const auto start = [&] {
      std::vector<CaptureSource> sources;
      sources.push_back(
          {"shop",
           "scripted",
           [&server]() -> Result<std::unique_ptr<Source>> { return server.Connect(); },
           &metrics.root(),
           {.chunk_rows = 10},
           GapPolicy::kResnapshot});
      auto capture =
          std::make_unique<Capture>(topic, std::move(sources), metrics.root(), clock, options);
      capture->Start();
      return capture;
    };
    const auto wait = [&](const auto& holds, size_t limit) {
      const auto deadline = std::chrono::steady_clock::now() + seconds(30);
      for (size_t stored = 0; std::chrono::steady_clock::now() < deadline && !holds();) {
        if (stored < limit) stored += topic.RunPending(1);
        if (limit != SIZE_MAX && stored == limit) return;
        std::this_thread::sleep_for(std::chrono::microseconds(100));
      }
      EXPECT_TRUE(holds());
    };
    const auto kill = [&](std::unique_ptr<Capture> capture) {
      topic.Crash();
      capture->Stop(seconds(0));
    };
    auto capture = start();
    const auto copied = [&] {
      const SnapshotsStatus snapshots = capture->GetStatus().sources[0].snapshots;
      return snapshots.tables_copied == 1 && snapshots.settled;
    };
    const auto recovered = [&] {
      return copied() && capture->GetStatus().sources[0].gaps.size() == 1;
    };
    wait(copied, SIZE_MAX);
    kill(std::move(capture));
    server.Commit({{1, "", Operation::kDelete}, {60, "new"}});
    server.LoseLog();

    capture = start();
    wait(recovered, batches);
    kill(std::move(capture));
    capture = start();
    wait(recovered, SIZE_MAX);
    kill(std::move(capture));

    std::map<std::string, int64_t> rows;
    for (const TopicRecord& record : Contents(topic)) {
      if (record.operation == Operation::kSweep) {
        std::erase_if(rows, [&](const auto& row) { return row.second < record.sweep_below; });
      } else if (record.operation == Operation::kDelete) {
        rows.erase(record.key);
      } else if (!IsControl(record.operation)) {
        rows[record.key] = record.version;
      }
    }
    EXPECT_EQ(rows.size(), server.Table().size()) << "killed after " << batches << " batches";
  }
}

}  // namespace
}  // namespace tailwater
