#include "webhook/batch_sink.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "connectors/webhook/webhook_fixture.h"

namespace tailwater::webhook {
namespace {

using nlohmann::json;
using Kind = Verdict::Kind;

class BatchSinkTest : public WebhookSinkFixture {
 protected:
  std::unique_ptr<BatchSink> NewBatchSink(const Receiver& receiver, const std::string& more) {
    const ParsedSink parsed = ParseSink(SinkYaml(receiver, more));
    EXPECT_TRUE(parsed.problems.empty()) << parsed.problems.at(0);
    auto sink = std::make_unique<BatchSink>(parsed.config, parsed.rules, Context(parsed), Here());
    EXPECT_OK(sink->Open());
    return sink;
  }
  void Add(int64_t version, int64_t id, std::string_view plan = "free") {
    batch_.Insert(plans_, version, {Value::Int64(id), Value::Text(plan)});
  }
  std::vector<Verdict> Write(BatchSink& sink) {
    auto verdicts = sink.Write(batch_.Build());
    EXPECT_OK(verdicts);
    return verdicts ? *std::move(verdicts) : std::vector<Verdict>();
  }
  // The keys in each call.
  static std::vector<std::vector<std::string>> Calls(const Receiver& receiver) {
    std::vector<std::vector<std::string>> calls;
    for (const auto& request : receiver.requests()) {
      auto& call = calls.emplace_back();
      for (const json& item : json::parse(request.body)) call.push_back(item["data"]["key"]["id"]);
    }
    return calls;
  }
  using Ids = std::vector<std::vector<std::string>>;

  DeliveryBatchBuilder batch_;
};

TEST_F(BatchSinkTest, SendsArraysOfTheGivenSizeInOrderAndSignsThem) {
  Receiver receiver;
  const auto sink = NewBatchSink(receiver, "batch: {size: 2}\n");
  for (int64_t i = 1; i <= 5; ++i) Add(i, i);
  batch_.Add({.operation = Operation::kFrontier, .version = 6, .frontier = "0/1", .log_id = "log"});
  for (const Verdict& verdict : Write(*sink)) EXPECT_EQ(verdict.kind, Kind::kApplied);
  EXPECT_EQ(Calls(receiver), (Ids{{"1", "2"}, {"3", "4"}, {"5"}}));
  const auto request = receiver.requests()[0];
  EXPECT_EQ(request.Header("webhook-signature"),
            *SigningKey::Parse(kSecret)->Sign(*request.Header("webhook-id"), clock_.UnixSeconds(),
                                              request.body));
  EXPECT_NE(request.Header("webhook-id"), receiver.requests()[1].Header("webhook-id"));
}

TEST_F(BatchSinkTest, ABatchEndsAtItsBytes) {
  Receiver receiver;
  const auto sink = NewBatchSink(receiver, "batch: {size: 100, bytes: 700}\n");
  for (int64_t i = 1; i <= 4; ++i) Add(i, i);
  Write(*sink);
  EXPECT_EQ(Calls(receiver), (Ids{{"1", "2"}, {"3", "4"}}));
}

TEST_F(BatchSinkTest, AFailureStopsThePassAndAllThatIsLeftComesAgain) {
  int calls = 0;
  Receiver receiver([&](const auto&) { return Receiver::Answer{++calls == 2 ? 500 : 200}; });
  const auto sink = NewBatchSink(receiver, "batch: {size: 2}\n");
  for (int64_t i = 1; i <= 6; ++i) Add(i, i);
  const auto verdicts = Write(*sink);
  ASSERT_EQ(verdicts.size(), 6u);
  for (size_t i = 0; i < 6; ++i) {
    EXPECT_EQ(verdicts[i].kind, i < 2 ? Kind::kApplied : Kind::kRetry);
    EXPECT_EQ(verdicts[i].whole_target, i >= 2);
  }
  EXPECT_EQ(receiver.requests().size(), 2u);
}

TEST_F(BatchSinkTest, ARefusedBatchIsSentChangeByChange) {
  Receiver receiver([](const ScriptedHttpServer::Request& request) {
    return Receiver::Answer{request.body.find("poison") != std::string::npos ? 422 : 200};
  });
  const auto sink = NewBatchSink(receiver, "batch: {size: 10}\n");
  Add(1, 1);
  Add(2, 2, "poison");
  Add(3, 2);  // of the refused row
  Add(4, 3);
  const auto verdicts = Write(*sink);
  ASSERT_EQ(verdicts.size(), 4u);
  EXPECT_EQ(verdicts[0].kind, Kind::kApplied);
  EXPECT_EQ(verdicts[1].kind, Kind::kRejected);
  EXPECT_EQ(verdicts[1].code, "webhook_rejected_422");
  EXPECT_EQ(verdicts[2].kind, Kind::kRetry);
  EXPECT_FALSE(verdicts[2].whole_target);
  EXPECT_EQ(verdicts[3].kind, Kind::kApplied);
  EXPECT_EQ(Calls(receiver), (Ids{{"1", "2", "2", "3"}, {"1"}, {"2"}, {"3"}}));
}

TEST_F(BatchSinkTest, AChangeThatCannotBeSentHoldsBackItsRowAlone) {
  Receiver receiver;
  const auto sink = NewBatchSink(receiver, "batch: {size: 10}\n");
  Add(1, 1);
  Add(2, 2, "bad \xff");
  Add(3, 2);
  Add(4, 1);
  const auto verdicts = Write(*sink);
  ASSERT_EQ(verdicts.size(), 4u);
  EXPECT_EQ(verdicts[1].code, "text_not_utf8");
  EXPECT_EQ(verdicts[2].kind, Kind::kRetry);
  EXPECT_EQ(verdicts[3].kind, Kind::kApplied);
}

TEST_F(BatchSinkTest, CloudEventsComeAsTheirBatchType) {
  Receiver receiver;
  const auto sink =
      NewBatchSink(receiver, "batch: {size: 10}\nformat: cloudevents\nmode: structured\n");
  Add(1, 1);
  Write(*sink);
  const auto request = receiver.requests().at(0);
  EXPECT_EQ(request.Header("content-type"), "application/cloudevents-batch+json");
  EXPECT_EQ(json::parse(request.body)[0]["type"], "tailwater.public.user_plans.insert");
}

TEST_F(BatchSinkTest, TheRateHoldsForBatches) {
  Receiver receiver;
  const auto sink = NewBatchSink(receiver, "batch: {size: 2}\nrate: 1\n");
  for (int64_t i = 1; i <= 4; ++i) Add(i, i);
  const auto verdicts = Write(*sink);
  EXPECT_EQ(verdicts.at(1).kind, Kind::kApplied);
  EXPECT_EQ(verdicts.at(2).code, "webhook_rate_limited");
  EXPECT_TRUE(verdicts.at(2).whole_target);
  EXPECT_EQ(receiver.requests().size(), 1u);
}

}  // namespace
}  // namespace tailwater::webhook
