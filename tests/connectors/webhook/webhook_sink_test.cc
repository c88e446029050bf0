#include "webhook/webhook_sink.h"

#include <gmock/gmock.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <future>
#include <nlohmann/json.hpp>

#include "connectors/webhook/webhook_fixture.h"
#include "support/temporary_folder.h"

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

TEST_F(WebhookSinkTest, JudgesWhatTheReceiverAnswers) {
  Receiver receiver;
  const auto answer = [&](int status, const std::string& header_lines = "") {
    receiver.set_decide([=](const auto&) { return Receiver::Answer{status, header_lines}; });
  };
  const auto sink = NewSink(receiver);
  answer(422);
  const Verdict rejected = DeliverRow(*sink, 1);
  EXPECT_EQ(rejected.kind, Kind::kRejected);
  EXPECT_EQ(rejected.code, "webhook_rejected_422");
  EXPECT_THAT(rejected.reason, HasSubstr(receiver.label() + " answered 422"));
  answer(500);
  const Verdict failed = DeliverRow(*sink, 2);
  EXPECT_EQ(failed.kind, Kind::kRetry);
  EXPECT_FALSE(failed.whole_target);
  EXPECT_EQ(failed.after, std::chrono::seconds(1));
  answer(503, "Retry-After: 7\r\n");
  const Verdict throttled = DeliverRow(*sink, 3);
  EXPECT_TRUE(throttled.whole_target);
  EXPECT_EQ(throttled.after, std::chrono::seconds(7));
  const size_t asked = receiver.requests().size();
  EXPECT_TRUE(DeliverRow(*sink, 4).whole_target);
  EXPECT_EQ(receiver.requests().size(), asked) << "nothing goes before that time";
  clock_.Advance(std::chrono::seconds(7));
  answer(302, "Location: http://169.254.169.254/latest?token=abc\r\n");
  const Verdict redirected = DeliverRow(*sink, 5);
  EXPECT_TRUE(redirected.whole_target);
  EXPECT_TRUE(redirected.needs_operator);
  EXPECT_EQ(redirected.code, "webhook_redirect");
  EXPECT_THAT(redirected.reason, Not(HasSubstr("abc")));
  EXPECT_EQ(receiver.requests().size(), asked + 1);
}

TEST_F(WebhookSinkTest, AResetIsTriedAgain) {
  Receiver receiver([](const auto&) { return Receiver::Answer{.reset = true}; });
  const auto sink = NewSink(receiver);
  const Verdict verdict = DeliverRow(*sink, 1);
  EXPECT_EQ(verdict.kind, Kind::kRetry);
  EXPECT_EQ(verdict.code, "http_reset");
}

TEST_F(WebhookSinkTest, AnEndpointThatIsNotThereIsDownAsAWhole) {
  ParsedSink parsed =
      ParseSink("url: http://127.0.0.1:" + std::to_string(ClosedPort()) +
                "/hook?token=abc\nallow_addresses: [127.0.0.1]\nsecret: " + std::string(kSecret));
  WebhookSink sink(parsed.config, parsed.rules, Context(parsed), Here());
  sink.OnProgress(Progress());
  ASSERT_OK(sink.Open());
  const Verdict verdict = DeliverRow(sink, 1);
  EXPECT_TRUE(verdict.whole_target);
  EXPECT_EQ(verdict.code, "http_connect_failed");
  EXPECT_THAT(verdict.reason, Not(HasSubstr("abc")));
}

TEST_F(WebhookSinkTest, HasAsManyInFlightAsAllowed) {
  std::mutex mutex;
  std::condition_variable changed;
  size_t waiting = 0;
  Receiver receiver([&](const auto&) {
    std::unique_lock lock(mutex);
    ++waiting;
    changed.notify_all();
    changed.wait_for(lock, std::chrono::minutes(4), [&] { return waiting >= 3; });
    return Receiver::Answer{};
  });
  const auto sink = NewSink(receiver, "in_flight: 3\n");
  EXPECT_EQ(sink->Room(), 3u);
  DeliveryBatchBuilder batch;
  for (int64_t i = 1; i <= 3; ++i) batch.Insert(plans_, i, {Value::Int64(i), Value::Text("free")});
  Submit(*sink, batch);
  EXPECT_EQ(sink->Room(), 0u);
  // Each is answered only once all three are there.
  Await(*sink, 3);
  for (const auto& [ticket, verdict] : verdicts_) EXPECT_EQ(verdict.kind, Kind::kApplied);
  EXPECT_EQ(sink->Room(), 3u);
}

TEST_F(WebhookSinkTest, HasNoRoomBeyondItsRateUntilTimePasses) {
  Receiver receiver;
  const auto sink = NewSink(receiver, "rate: 2\n");
  EXPECT_EQ(sink->Room(), 2u);
  DeliverRow(*sink, 1);
  DeliverRow(*sink, 2);
  EXPECT_EQ(sink->Room(), 0u);
  clock_.Advance(std::chrono::milliseconds(501));
  EXPECT_EQ(sink->Room(), 1u);
}

TEST_F(WebhookSinkTest, WhatWasCancelledDoesNotComeBack) {
  std::promise<void> arrived;
  std::promise<void> leave;
  const std::shared_future<void> left = leave.get_future().share();
  std::atomic<bool> first = true;
  Receiver receiver([&](const auto&) {
    if (first.exchange(false)) {
      arrived.set_value();
      left.wait();
    }
    return Receiver::Answer{};
  });
  const auto sink = NewSink(receiver, "in_flight: 1\n");
  DeliveryBatchBuilder batch;
  batch.Insert(plans_, 1, {Value::Int64(1), Value::Text("free")});
  Submit(*sink, batch);
  arrived.get_future().wait();
  sink->CancelAll();
  EXPECT_EQ(sink->Room(), 1u);
  leave.set_value();
  DeliveryBatchBuilder next;
  next.Insert(plans_, 2, {Value::Int64(2), Value::Text("free")});
  Submit(*sink, next);
  Await(*sink, 1);
  EXPECT_EQ(verdicts_.size(), 1u);
  EXPECT_EQ(verdicts_.at(2).kind, Kind::kApplied);
}

TEST_F(WebhookSinkTest, WhatCannotBeSentIsRefusedOrWaitsForAPerson) {
  Receiver receiver;
  TemporaryFolder folder;
  std::ofstream(folder / "token") << "t0ken";
  const auto sink =
      NewSink(receiver, "max_body: 1KiB\nbearer_token: ${file:" + (folder / "token") + "}\n");
  const std::string large(2000, 'x');
  DeliveryBatchBuilder batch;
  batch.Insert(plans_, 1, {Value::Int64(1), Value::Text(large)});
  EXPECT_EQ(Deliver(*sink, batch).code, "webhook_body_too_large");
  EXPECT_EQ(DeliverRow(*sink, 2).kind, Kind::kApplied);
  EXPECT_EQ(receiver.requests().at(0).Header("authorization"), "Bearer t0ken");
  std::filesystem::remove(folder / "token");
  clock_.Advance(std::chrono::seconds(1));
  const Verdict verdict = DeliverRow(*sink, 3);
  EXPECT_TRUE(verdict.whole_target);
  EXPECT_TRUE(verdict.needs_operator);
  EXPECT_EQ(verdict.code, "webhook_secret_unreadable");
  EXPECT_EQ(receiver.requests().size(), 1u);
  std::ofstream(folder / "token") << "with\nbreak";
  clock_.Advance(std::chrono::seconds(1));
  EXPECT_EQ(DeliverRow(*sink, 4).code, "http_header_invalid");
  EXPECT_EQ(receiver.requests().size(), 1u);
}

TEST_F(WebhookSinkTest, TablesMayHavePayloadsOfTheirOwn) {
  Receiver receiver;
  const auto sink =
      NewSink(receiver, "tables: [public.*, {match: public.orders, payload: {n: '{NEW.id}'}}]\n");
  DeliverRow(*sink, 1);
  DeliveryBatchBuilder batch;
  const SchemaPtr orders = TestSchema("orders", {"id*:int64"});
  batch.Insert(orders, 2, {Value::Int64(7)});
  EXPECT_EQ(Deliver(*sink, batch).kind, Kind::kApplied);
  ASSERT_EQ(receiver.requests().size(), 2u);
  EXPECT_NE(receiver.requests()[0].body, R"({"n":"7"})");
  EXPECT_EQ(receiver.requests()[1].body, R"({"n":"7"})");
}

TEST_F(WebhookSinkTest, CountsItsCalls) {
  Receiver receiver([](const ScriptedHttpServer::Request& request) {
    return Receiver::Answer{request.body.find("\"id\":\"1\"") != std::string::npos ? 200 : 400};
  });
  const auto sink = NewSink(receiver);
  DeliverRow(*sink, 1);
  DeliverRow(*sink, 2);
  const auto count = [&](const std::string& status_class) {
    return metrics_.Value("tailwater_webhook_deliveries_total",
                          {{"endpoint", receiver.label()}, {"status_class", status_class}});
  };
  EXPECT_EQ(count("2xx"), 1);
  EXPECT_EQ(count("4xx"), 1);
  EXPECT_EQ(metrics_.Value("tailwater_sink_bytes_written_total"),
            static_cast<double>(receiver.requests()[0].body.size()));
  EXPECT_EQ(metrics_.Value("tailwater_webhook_request_duration_seconds",
                           {{"endpoint", receiver.label()}}),
            2);
}

TEST_F(WebhookSinkTest, DoesNotOpenWithFilesThatAreNoCertificates) {
  Receiver receiver;
  const TemporaryFolder folder;
  const std::string text = folder / "text.pem";
  std::ofstream(text) << "no certificate";
  const auto open = [&](const std::string& options) {
    const ParsedSink parsed =
        ParseSink("url: " + receiver.Url() + "\nsecret: " + std::string(kSecret) +
                  "\nallow_addresses: [127.0.0.1]\n" + options);
    WebhookSink sink(parsed.config, parsed.rules, Context(parsed), Here());
    return sink.Open();
  };
  for (const std::string& file : {text, std::string("/nonexistent/a.pem")}) {
    const Status authority = open("ca_file: " + file + "\n");
    EXPECT_THAT(authority, IsErrorWith("http_certificate_unreadable"));
    EXPECT_THAT(authority.error().message, HasSubstr("ca_file: " + file));
    EXPECT_THAT(open("certificate_file: " + file + "\nkey_file: " + file + "\n"),
                IsErrorWith("http_certificate_unreadable"));
  }
}

TEST_F(WebhookSinkTest, DoesNotOpenWithoutItsSecret) {
  Receiver receiver;
  const ParsedSink parsed = ParseSink("url: " + receiver.Url() +
                                      "\nsecret: ${file:/nonexistent/secret}\n"
                                      "allow_addresses: [127.0.0.1]\n");
  WebhookSink sink(parsed.config, parsed.rules, Context(parsed), Here());
  EXPECT_THAT(sink.Open(), IsErrorWith("webhook_secret_unreadable"));
}

}  // namespace
}  // namespace tailwater::webhook
