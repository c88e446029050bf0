#include "webhook/endpoint.h"

#include <gmock/gmock.h>

#include "support/stub_metrics.h"
#include "webhook/token_bucket.h"

namespace tailwater::webhook {
namespace {

using namespace std::chrono_literals;
using Kind = Judgement::Kind;

class EndpointTest : public ::testing::Test {
 protected:
  bool MaySend(std::string_view id) { return !Ask(id).has_value(); }
  std::optional<Verdict> Ask(std::string_view id) { return endpoint_.Refuse(id, now_); }
  Verdict Settle(std::string_view id, Kind kind) {
    Judgement judgement{kind, "webhook_server_error", "agent:443 answered 500"};
    if (kind == Kind::kThrottled) judgement.after = 20s;
    return endpoint_.Settle(id, judgement, now_);
  }
  Verdict SettleDown(std::string_view id, bool needs_operator, bool maybe_the_change) {
    return endpoint_.Settle(
        id, {Kind::kDown, "webhook_not_found", "404", {}, needs_operator, maybe_the_change}, now_);
  }
  Verdict Fail(std::string_view id) {
    EXPECT_TRUE(MaySend(id));
    return Settle(id, Kind::kFailed);
  }
  void OpenIt() {
    for (const char* id : {"a", "b", "c"}) Fail(id);
    ASSERT_EQ(open(), 1);
  }
  std::optional<double> open() {
    return metrics_.Value("tailwater_sink_circuit_open", {{"endpoint", "agent:443"}});
  }

  StubMetrics metrics_;
  TimePoint now_{1h};
  Endpoint endpoint_{
      EndpointUrl{.text = "https://agent/x", .tls = true, .host = "agent", .port = 443},
      "agent:443",
      {.failures = 3, .pause = 30s, .waits = {1s, 5min}, .random = [] { return 0.0; }},
      metrics_,
      Logger("test")};
};

TEST_F(EndpointTest, FailuresOfOneChangeWaitTwiceAsLongEachTime) {
  EXPECT_EQ(Fail("a").after, 1s);
  EXPECT_EQ(Fail("a").after, 2s);
  EXPECT_FALSE(Fail("b").kind == Verdict::Kind::kApplied);
}

TEST_F(EndpointTest, OpensAfterSoManyFailuresInARowAndCountsNoAttemptThen) {
  const Verdict second = (Fail("a"), Fail("b"));
  EXPECT_FALSE(second.whole_target);
  const Verdict third = Fail("c");
  EXPECT_TRUE(third.whole_target);
  EXPECT_FALSE(third.needs_operator);
  EXPECT_EQ(third.after, 1s);
  EXPECT_EQ(open(), 1);
  const auto refused = Ask("d");
  ASSERT_TRUE(refused.has_value());
  EXPECT_TRUE(refused->whole_target);
  EXPECT_EQ(refused->code, "webhook_server_error");
}

TEST_F(EndpointTest, ASuccessBetweenFailuresKeepsItClosed) {
  Fail("a");
  Fail("b");
  EXPECT_TRUE(MaySend("c"));
  EXPECT_EQ(Settle("c", Kind::kTaken).kind, Verdict::Kind::kApplied);
  Fail("d");
  Fail("e");
  EXPECT_EQ(open(), 0);
}

TEST_F(EndpointTest, ARefusalOfAChangeProvesThatItIsUp) {
  Fail("a");
  Fail("b");
  EXPECT_TRUE(MaySend("c"));
  EXPECT_EQ(Settle("c", Kind::kRefused).kind, Verdict::Kind::kRejected);
  Fail("d");
  EXPECT_EQ(open(), 0);
}

TEST_F(EndpointTest, OneCallTriesAndItsSuccessClosesIt) {
  OpenIt();
  EXPECT_FALSE(endpoint_.probing());
  now_ += 1s;
  EXPECT_TRUE(MaySend("a"));
  EXPECT_TRUE(endpoint_.probing());
  EXPECT_FALSE(MaySend("b"));
  Settle("a", Kind::kTaken);
  EXPECT_FALSE(endpoint_.probing());
  EXPECT_EQ(open(), 0);
  EXPECT_TRUE(MaySend("b"));
  EXPECT_TRUE(MaySend("c"));
}

TEST_F(EndpointTest, TrialsThatFailComeLessOftenUpToThePause) {
  OpenIt();
  for (const auto wait : {1s, 2s, 4s, 8s, 16s, 30s, 30s}) {
    now_ += wait - 1ms;
    EXPECT_FALSE(MaySend("x")) << wait.count();
    now_ += 1ms;
    EXPECT_TRUE(MaySend("x")) << wait.count();
    Settle("x", Kind::kFailed);
  }
}

TEST_F(EndpointTest, AChangeThatAlwaysFailsDoesNotTryTwiceRunningWhileOthersWait) {
  OpenIt();
  now_ += 1s;
  EXPECT_TRUE(MaySend("bad"));
  EXPECT_FALSE(MaySend("good"));
  Settle("bad", Kind::kFailed);
  now_ += 1min;
  EXPECT_FALSE(MaySend("bad"));
  EXPECT_TRUE(MaySend("good"));
  Settle("good", Kind::kTaken);
  EXPECT_EQ(open(), 0);
}

TEST_F(EndpointTest, AloneItTriesAgain) {
  OpenIt();
  now_ += 1s;
  EXPECT_TRUE(MaySend("bad"));
  EXPECT_FALSE(MaySend("other"));
  Settle("bad", Kind::kFailed);
  now_ += 1min;
  // The other one does not come back.
  int asked = 1;
  while (!MaySend("bad")) ASSERT_LE(++asked, 4);
  Settle("bad", Kind::kFailed);
  now_ += 1min;
  EXPECT_TRUE(MaySend("bad"));
}

TEST_F(EndpointTest, AChangeThatFailsWhileOthersAreTakenIsItsOwnTrouble) {
  Fail("bad");
  EXPECT_TRUE(MaySend("good"));
  Settle("good", Kind::kTaken);
  for (int i = 0; i < 10; ++i) {
    const Verdict verdict = Fail("bad");
    EXPECT_EQ(verdict.kind, Verdict::Kind::kRetry);
    EXPECT_FALSE(verdict.whole_target);
  }
  EXPECT_EQ(open(), 0);
}

TEST_F(EndpointTest, ANotFoundForOneChangeAloneIsItsOwnTroubleToo) {
  EXPECT_TRUE(MaySend("bad"));
  const Verdict first = SettleDown("bad", true, true);
  EXPECT_TRUE(first.whole_target);
  EXPECT_TRUE(first.needs_operator);
  EXPECT_EQ(first.after, 30s);
  now_ += 30s;
  EXPECT_TRUE(MaySend("bad"));
  EXPECT_FALSE(MaySend("good"));
  SettleDown("bad", true, true);
  now_ += 30s;
  EXPECT_FALSE(MaySend("bad"));
  EXPECT_TRUE(MaySend("good"));
  Settle("good", Kind::kTaken);
  EXPECT_TRUE(MaySend("bad"));
  EXPECT_FALSE(SettleDown("bad", true, true).whole_target);
  EXPECT_TRUE(MaySend("good2"));
}

TEST_F(EndpointTest, NoConnectionIsNeverOneChangesTrouble) {
  Fail("a");
  EXPECT_TRUE(MaySend("b"));
  Settle("b", Kind::kTaken);
  EXPECT_TRUE(MaySend("a"));
  EXPECT_TRUE(SettleDown("a", false, false).whole_target);
  EXPECT_EQ(open(), 1);
}

TEST_F(EndpointTest, ItGetsTheTimeThatItAsksFor) {
  EXPECT_TRUE(MaySend("a"));
  const Verdict verdict = Settle("a", Kind::kThrottled);
  EXPECT_TRUE(verdict.whole_target);
  EXPECT_EQ(verdict.after, 20s);
  now_ += 19s;
  EXPECT_EQ(Ask("b")->after, 1s);
  now_ += 1s;
  EXPECT_TRUE(MaySend("b"));
  EXPECT_TRUE(MaySend("c"));
  EXPECT_EQ(open(), 0);
}

TEST_F(EndpointTest, ACancelledTrialLeavesTheWayFree) {
  OpenIt();
  now_ += 1s;
  EXPECT_TRUE(MaySend("a"));
  endpoint_.CancelAll();
  EXPECT_TRUE(MaySend("a"));
}

TEST(RetryLedgerTest, WaitsGrowToTheLongestWithJitterAndForgetting) {
  double random = 0;
  RetryLedger ledger({1s, 5min}, [&] { return random; });
  EXPECT_EQ(ledger.Wait(1), 1s);
  EXPECT_EQ(ledger.Wait(9), 256s);
  EXPECT_EQ(ledger.Wait(10), 5min);
  EXPECT_EQ(ledger.Wait(4'000'000'000), 5min);
  random = 0.999999;
  EXPECT_GE(ledger.Wait(10), 199s);
  EXPECT_LT(ledger.Wait(10), 201s);
  EXPECT_EQ(ledger.Fail("a", 3).failures, 1u);
  EXPECT_EQ(ledger.Fail("a", 5).failures, 2u);
  EXPECT_EQ(ledger.Fail("a", 7).taken_before, 3u);
  ledger.Forget("a");
  EXPECT_TRUE(ledger.empty());
  for (int i = 0; i < 30'000; ++i) ledger.Fail(std::to_string(i), 0);
  EXPECT_EQ(ledger.Fail("0", 0).failures, 1u);
}

TEST(TokenBucketTest, LetsSoManyGoPerSecondAndABurstOfOneSecond) {
  TimePoint now(1h);
  TokenBucket bucket(10, now);
  EXPECT_EQ(bucket.available(now), 10u);
  for (int i = 0; i < 10; ++i) bucket.Take();
  EXPECT_EQ(bucket.available(now), 0u);
  const TimePoint next = bucket.next(now);
  EXPECT_GE(next, now + 99ms);
  EXPECT_LE(next, now + 101ms);
  EXPECT_EQ(bucket.available(next), 1u);
  EXPECT_EQ(bucket.available(now + 1h), 10u);
}

TEST(TokenBucketTest, ARateBelowOneStillLetsOneGo) {
  TimePoint now(1h);
  TokenBucket bucket(0.1, now);
  EXPECT_EQ(bucket.available(now), 1u);
  bucket.Take();
  EXPECT_EQ(bucket.available(now + 9s), 0u);
  EXPECT_EQ(bucket.available(bucket.next(now + 9s)), 1u);
}

}  // namespace
}  // namespace tailwater::webhook
