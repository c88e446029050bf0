#include "webhook/message.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "connectors/webhook/webhook_fixture.h"
#include "webhook/cloud_event.h"

namespace tailwater::webhook {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

class MessageTest : public ::testing::Test {
 protected:
  using Values = std::vector<Value>;
  Result<Message> TryBuild(const std::string& yaml, const Change& change) {
    parsed_ = ParseSink("url: https://agents.example.com/hook\nsecret: " + std::string(kSecret) +
                        "\n" + yaml);
    EXPECT_TRUE(parsed_.problems.empty()) << parsed_.problems.at(0);
    return MessageFormat(parsed_.config, "shop", "hook").Build(change, parsed_.config.payload);
  }
  Message Build(const std::string& yaml, const Change& change) {
    auto message = TryBuild(yaml, change);
    EXPECT_OK(message);
    return message ? *std::move(message) : Message();
  }
  json Body(const std::string& yaml, const Change& change) {
    return json::parse(Build(yaml, change).body, nullptr, false);
  }
  static std::optional<std::string> Header(const Message& message, std::string_view name) {
    for (const auto& [key, value] : message.headers) {
      if (key == name) return value;
    }
    return std::nullopt;
  }
  const Change& Last() { return *batch_.Build().deliveries.back().change; }
  const Change& Update(Values after, Values before = {}, Change change = {}) {
    change.operation = Operation::kUpdate;
    change.schema = schema_.get();
    change.version = 42;
    change.source_time_micros = 1'769'860'800'500'000;
    change.transaction_id = "741";
    batch_.Add(change, std::move(after), std::move(before));
    return Last();
  }

  SchemaPtr schema_ = TestSchema("user_plans", {"id*:int64", "plan:text", "note:text"});
  Values pro_ = {Value::Int64(1), Value::Text("pro"), Value::Text("n")};
  Values free_ = {Value::Int64(1), Value::Text("free"), Value::Text("n")};
  DeliveryBatchBuilder batch_;
  ParsedSink parsed_;
};

TEST_F(MessageTest, TheBodyIsTheWholeChange) {
  EXPECT_EQ(
      Build("", Update(free_, pro_)).body,
      R"({"type":"public.user_plans.update","timestamp":"2026-01-31T12:00:00.5Z","data":)"
      R"({"id":"shop:1:0/1000:42:0","op":"update","source":"shop","table":"public.user_plans",)"
      R"("key":{"id":"1"},"before":{"id":"1","plan":"pro","note":"n"},)"
      R"("after":{"id":"1","plan":"free","note":"n"},"changed":["plan"],"version":"42",)"
      R"("time":"2026-01-31T12:00:00.5Z","transaction":"741"}})");
}

TEST_F(MessageTest, TheIdIsAHashOfPipelineSinkAndChange) {
  // printf 'shop\nhook\nshop:1:0/1000:42:0' | openssl dgst -sha256 -binary | head -c 24 | base64 |
  // tr +/ -_
  EXPECT_EQ(Build("", Update(free_)).id, "msg_VAY4nxOcCm3vO-fm7B47A5WwqPcx8OmB");
}

TEST_F(MessageTest, BigIntegersAreNumbersOnRequest) {
  const json data = Body("bigint: number", Update(free_))["data"];
  EXPECT_EQ(data["key"]["id"], 1);
  EXPECT_EQ(data["version"], 42);
}

TEST_F(MessageTest, ChangedIsNullWhereTheLogDoesNotTell) {
  EXPECT_TRUE(Body("", Update(free_))["data"]["changed"].is_null());
  Values partial = free_;
  partial[2] = Value::Unchanged();
  const json data = Body("", Update(partial))["data"];
  EXPECT_EQ(data["unchanged"], json::parse(R"(["note"])"));
  EXPECT_FALSE(data["after"].contains("note"));
}

TEST_F(MessageTest, AnUnrepeatedColumnIsTakenFromTheOldRow) {
  Values partial = free_;
  partial[2] = Value::Unchanged();
  const json data = Body("", Update(partial, pro_))["data"];
  EXPECT_EQ(data["after"]["note"], "n");
  EXPECT_EQ(data["changed"], json::parse(R"(["plan"])"));
  EXPECT_FALSE(data.contains("unchanged"));
}

TEST_F(MessageTest, ThinHoldsNoRows) {
  EXPECT_EQ(
      Build("payload: thin", Update(free_, pro_)).body,
      R"({"type":"public.user_plans.update","timestamp":"2026-01-31T12:00:00.5Z","data":)"
      R"({"id":"shop:1:0/1000:42:0","op":"update","source":"shop","table":"public.user_plans",)"
      R"("key":{"id":"1"},"changed":["plan"],"version":"42",)"
      R"("time":"2026-01-31T12:00:00.5Z","transaction":"741"}})");
}

TEST_F(MessageTest, ATruncateHasNoRows) {
  batch_.Add({.operation = Operation::kTruncate, .schema = schema_.get(), .version = 3});
  EXPECT_EQ(Build("", Last()).body,
            R"({"type":"public.user_plans.truncate","timestamp":null,"data":)"
            R"({"id":"shop:1:0/1000:3:0","op":"truncate","source":"shop",)"
            R"("table":"public.user_plans","version":"3","time":null}})");
}

TEST_F(MessageTest, ALogicalMessageIsTextOrBase64) {
  batch_.Add({.operation = Operation::kMessage,
              .version = 3,
              .message_prefix = "audit log",
              .message_content = "{\"a\":1}"});
  json body = Body("", Last());
  EXPECT_EQ(body["type"], "message.audit_log");
  EXPECT_EQ(body["data"]["prefix"], "audit log");
  EXPECT_EQ(body["data"]["content"], "{\"a\":1}");
  batch_.Add({.operation = Operation::kMessage,
              .version = 3,
              .message_prefix = "audit",
              .message_content = "\xff\xfe"});
  body = Body("", Last());
  EXPECT_EQ(body["data"]["content_base64"], "//4=");
  EXPECT_FALSE(body["data"].contains("content"));
}

TEST_F(MessageTest, ATypeHoldsLettersDigitsDotsAndUnderscoresOnly) {
  const SchemaPtr odd =
      TableSchema::Make({"my schema", "t\"\r\nä.x"}, {{.name = "id", .key = true}});
  batch_.Insert(odd, 1, {Value::Text("1")});
  EXPECT_EQ(Body("", Last())["type"], "my_schema.t_____.x.insert");
}

TEST_F(MessageTest, ABodyTooLargeIsRefusedWithoutShowingIt) {
  Values big = free_;
  const std::string note(5000, 'x');
  big[2] = Value::Text(note);
  const auto refused = TryBuild("max_body: 4KiB", Update(big));
  ASSERT_THAT(refused, IsErrorWith("webhook_body_too_large"));
  EXPECT_THAT(refused.error().message, HasSubstr("a change of public.user_plans makes a body of "));
  EXPECT_THAT(refused.error().message,
              HasSubstr("but max_body is 4KiB; send less with payload: thin"));
  EXPECT_THAT(refused.error().message, Not(HasSubstr("xxx")));
}

TEST_F(MessageTest, HeadersFromRowsAreEncodedAndLeftOutWhereThereIsNoValue) {
  const std::string yaml =
      "headers: {X-Plan: 'plan {NEW.plan}', x-note: '{NEW.note}', x-old: '{OLD.note}'}";
  Values row = {Value::Int64(1), Value::Text("a b\r\nEvil: 1\xc3\xa9"), Value::Null()};
  const Message message = Build(yaml, Update(row));
  EXPECT_EQ(Header(message, "x-plan"), "plan a%20b%0D%0AEvil:%201%C3%A9");
  EXPECT_EQ(Header(message, "x-note"), std::nullopt);
  EXPECT_EQ(Header(message, "x-old"), std::nullopt);
}

TEST_F(MessageTest, ATraceContextGoesOnIfItIsOne) {
  const std::string trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  EXPECT_EQ(Header(Build("", Update(free_, {}, {.traceparent = trace})), "traceparent"), trace);
  for (const std::string_view bad :
       {"", "00-x", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-\r\n",
        "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}) {
    EXPECT_EQ(ValidTraceparent(bad), "");
  }
}

TEST_F(MessageTest, CloudEventsInBinaryModeAreHeaders) {
  Values row = free_;
  const std::string trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  const Message message = Build("format: cloudevents", Update(row, {}, {.traceparent = trace}));
  EXPECT_EQ(Header(message, "ce-specversion"), "1.0");
  EXPECT_EQ(Header(message, "ce-id"), "shop:1:0/1000:42:0");
  EXPECT_EQ(Header(message, "ce-source"), "/tailwater/shop/shop");
  EXPECT_EQ(Header(message, "ce-type"), "tailwater.public.user_plans.update");
  EXPECT_EQ(Header(message, "ce-subject"), "1");
  EXPECT_EQ(Header(message, "ce-time"), "2026-01-31T12:00:00.5Z");
  EXPECT_EQ(Header(message, "ce-partitionkey"), "public.user_plans:1");
  EXPECT_EQ(Header(message, "ce-sequence"), "0000000000000000042");
  EXPECT_EQ(Header(message, "ce-traceparent"), trace);
  EXPECT_EQ(Header(message, "content-type"), "application/json");
  EXPECT_EQ(json::parse(message.body)["op"], "update");
}

TEST_F(MessageTest, AKeyCannotBreakOutOfAHeader) {
  const SchemaPtr text = TestSchema("t", {"a*:text", "b*:text"});
  batch_.Insert(text, 1, {Value::Text("x\r\nEvil: 1"), Value::Text("1,2%\"")});
  const Message message = Build("format: cloudevents", Last());
  EXPECT_EQ(Header(message, "ce-subject"), "x%0D%0AEvil:%201,1%252C2%2525%22");
}

TEST_F(MessageTest, CloudEventsInStructuredModeAreOneObject) {
  const Message message =
      Build("format: cloudevents\nmode: structured\npayload: {p: '{NEW.plan}'}", Update(free_));
  EXPECT_EQ(Header(message, "content-type"), "application/cloudevents+json");
  EXPECT_EQ(message.body,
            R"({"specversion":"1.0","id":"shop:1:0/1000:42:0","source":"/tailwater/shop/shop",)"
            R"("type":"tailwater.public.user_plans.update","subject":"1",)"
            R"("time":"2026-01-31T12:00:00.5Z","partitionkey":"public.user_plans:1",)"
            R"("sequence":"0000000000000000042","datacontenttype":"application/json",)"
            R"("data":{"p":"free"}})");
}

}  // namespace
}  // namespace tailwater::webhook
