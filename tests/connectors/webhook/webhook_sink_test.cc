#include "webhook/webhook_sink.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "connectors/webhook/webhook_fixture.h"

namespace tailwater::webhook {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;
using Kind = Verdict::Kind;

class WebhookSinkTest : public WebhookSinkFixture {};

TEST_F(WebhookSinkTest, PostsASignedMessagePerChange) {
  Receiver receiver;
  const auto sink = NewSink(receiver);
  DeliveryBatchBuilder batch;
  batch.Update(plans_, 5, {Value::Int64(42), Value::Text("free")},
               {Value::Int64(42), Value::Text("pro")});
  EXPECT_EQ(Deliver(*sink, batch).kind, Kind::kApplied);
  const auto requests = receiver.requests();
  ASSERT_EQ(requests.size(), 1u);
  EXPECT_THAT(requests[0].head, HasSubstr("POST /hook HTTP/1.1\r\n"));
  EXPECT_EQ(requests[0].Header("content-type"), "application/json");
  const auto id = requests[0].Header("webhook-id");
  ASSERT_TRUE(id.has_value());
  EXPECT_THAT(*id, MatchesRegex("msg_[A-Za-z0-9_-]+"));
  EXPECT_EQ(id->size(), 4u + 32);
  EXPECT_EQ(requests[0].Header("webhook-timestamp"), std::to_string(clock_.UnixSeconds()));
  EXPECT_EQ(requests[0].Header("webhook-signature"),
            *SigningKey::Parse(kSecret)->Sign(*id, clock_.UnixSeconds(), requests[0].body));
  const auto body = nlohmann::json::parse(requests[0].body);
  EXPECT_EQ(body["type"], "public.user_plans.update");
  EXPECT_EQ(body["data"]["after"]["plan"], "free");
  EXPECT_EQ(body["data"]["changed"], nlohmann::json::parse(R"(["plan"])"));
}

TEST_F(WebhookSinkTest, ATryAgainHasTheSameIdAndBody) {
  Receiver receiver([](const auto&) { return Receiver::Answer{500}; });
  const auto sink = NewSink(receiver);
  EXPECT_EQ(DeliverRow(*sink, 1).kind, Kind::kRetry);
  clock_.Advance(std::chrono::minutes(1));
  const auto restarted = NewSink(receiver);
  receiver.set_decide([](const auto&) { return Receiver::Answer{204}; });
  EXPECT_EQ(DeliverRow(*restarted, 1).kind, Kind::kApplied);
  const auto requests = receiver.requests();
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_EQ(requests[0].Header("webhook-id"), requests[1].Header("webhook-id"));
  EXPECT_EQ(requests[0].body, requests[1].body);
  EXPECT_NE(requests[0].Header("webhook-timestamp"), requests[1].Header("webhook-timestamp"));
  EXPECT_NE(requests[0].Header("webhook-signature"), requests[1].Header("webhook-signature"));
}

}  // namespace
}  // namespace tailwater::webhook
