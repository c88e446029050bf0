#include "kafka/debezium_json.h"

#include <gmock/gmock.h>

#include "support/matchers.h"

namespace tailwater::kafka_sink {
namespace {

constexpr int64_t kNow = 1'706'702'401'000'000;
constexpr std::string_view kTopic = "shop.public.orders";

class DebeziumJsonTest : public ::testing::Test {
 protected:
  static SchemaPtr Orders() {
    return TableSchema::Make({"public", "orders"}, {{"id", ValueType::kInt64, "integer", true},
                                                    {"note", ValueType::kText, "text"}});
  }
  Change Of(Operation operation) {
    Change change;
    change.operation = operation;
    change.source = "shop";
    change.schema = orders_.get();
    change.table = orders_->table();
    change.position = "0/16B3748";
    change.transaction_id = "741";
    change.source_time_micros = kNow - 500'000;
    return change;
  }
  DebeziumJson Writer(DebeziumOptions options = {.schemas = false}) {
    return DebeziumJson(std::move(options), {{"shop", "postgres", "app"}});
  }
  static std::string Value_(DebeziumJson& writer, const Change& change) {
    std::string out;
    EXPECT_OK(writer.AppendValue(change, kTopic, kNow, out));
    return out;
  }

  const std::string source_ =
      R"("source":{"version":"3.6-tailwater","connector":"postgresql","name":"shop",)"
      R"("ts_ms":1706702400500,"snapshot":"false","db":"app","sequence":"[null,\"23803720\"]",)"
      R"("ts_us":1706702400500000,"ts_ns":1706702400500000000,"schema":"public","table":"orders",)"
      R"("txId":741,"lsn":23803720,"xmin":null},"transaction":null,)";
  const std::string times_ =
      R"("ts_ms":1706702401000,"ts_us":1706702401000000,"ts_ns":1706702401000000000)";
  SchemaPtr orders_ = Orders();
};

TEST_F(DebeziumJsonTest, AnInsertIsACreate) {
  const std::vector<Value> after = {Value::Int64(1), Value::Text("a")};
  Change change = Of(Operation::kInsert);
  change.after = after;
  DebeziumJson writer = Writer();
  EXPECT_EQ(Value_(writer, change), R"({"before":null,"after":{"id":1,"note":"a"},)" + source_ +
                                        R"("op":"c",)" + times_ + "}");
  std::string key;
  EXPECT_OK(writer.AppendKey(change, change.after, kTopic, false, key));
  EXPECT_EQ(key, R"({"id":1})");
}

TEST_F(DebeziumJsonTest, ADeleteHasWhatTheLogKnowsOfTheRow) {
  const std::vector<Value> before = {Value::Int64(1), Value::Omitted()};
  Change change = Of(Operation::kDelete);
  change.before = before;
  DebeziumJson writer = Writer();
  EXPECT_EQ(Value_(writer, change), R"({"before":{"id":1,"note":null},"after":null,)" + source_ +
                                        R"("op":"d",)" + times_ + "}");
  EXPECT_EQ(writer.TakeOmitted(), 0u);
}

TEST_F(DebeziumJsonTest, AnUnchangedColumnIsThePlaceholderUnlessTheOldRowHasIt) {
  const std::vector<Value> after = {Value::Int64(1), Value::Unchanged()};
  const std::vector<Value> before = {Value::Int64(1), Value::Text("old")};
  Change change = Of(Operation::kUpdate);
  change.after = after;
  DebeziumJson writer = Writer();
  EXPECT_THAT(Value_(writer, change),
              ::testing::HasSubstr(
                  R"("before":null,"after":{"id":1,"note":"__debezium_unavailable_value"})"));
  change.before = before;
  EXPECT_THAT(
      Value_(writer, change),
      ::testing::HasSubstr(R"("before":{"id":1,"note":"old"},"after":{"id":1,"note":"old"})"));
}

TEST_F(DebeziumJsonTest, ATruncateHasNoRowsAndASnapshotRowNoPlaceInTheLog) {
  DebeziumJson writer = Writer();
  EXPECT_EQ(Value_(writer, Of(Operation::kTruncate)),
            R"({"before":null,"after":null,)" + source_ + R"("op":"t",)" + times_ + "}");
  const std::vector<Value> after = {Value::Int64(1), Value::Null()};
  Change change = Of(Operation::kRead);
  change.snapshot = SnapshotMark::kSnapshot;
  change.position = "v77";
  change.after = after;
  const std::string value = Value_(writer, change);
  EXPECT_THAT(value, ::testing::HasSubstr(R"("op":"r")"));
  EXPECT_THAT(value, ::testing::HasSubstr(R"("snapshot":"incremental")"));
  EXPECT_THAT(value, ::testing::HasSubstr(R"("sequence":null)"));
  EXPECT_THAT(value, ::testing::HasSubstr(R"("txId":null,"lsn":null)"));
}

TEST_F(DebeziumJsonTest, WithSchemasKeyAndValueDescribeThemselves) {
  const std::vector<Value> after = {Value::Int64(1), Value::Text("a")};
  Change change = Of(Operation::kInsert);
  change.after = after;
  DebeziumJson writer = Writer({});
  std::string key;
  EXPECT_OK(writer.AppendKey(change, change.after, kTopic, false, key));
  EXPECT_EQ(
      key,
      R"({"schema":{"type":"struct","fields":[{"type":"int32","optional":false,"field":"id"}],)"
      R"("optional":false,"name":"shop.public.orders.Key"},"payload":{"id":1}})");
  const std::string row =
      R"({"type":"struct","fields":[{"type":"int32","optional":false,"field":"id"},)"
      R"({"type":"string","optional":true,"field":"note"}],"optional":true,)"
      R"("name":"shop.public.orders.Value","field":")";
  const std::string value = Value_(writer, change);
  EXPECT_THAT(value, ::testing::StartsWith(R"({"schema":{"type":"struct","fields":[)" + row +
                                           R"(before"},)" + row + R"(after"},{"type":"struct",)"));
  EXPECT_THAT(
      value, ::testing::HasSubstr(
                 R"({"type":"int64","optional":true,"field":"ts_ns"}],"optional":false,)"
                 R"("name":"shop.public.orders.Envelope","version":2},"payload":{"before":null,)"));
  EXPECT_THAT(value, ::testing::EndsWith(times_ + "}}"));
}

TEST_F(DebeziumJsonTest, TablesThatShareATopicKeepTheirKeysApart) {
  const std::vector<Value> after = {Value::Int64(1), Value::Text("a")};
  Change change = Of(Operation::kInsert);
  change.after = after;
  DebeziumJson writer = Writer({.schemas = false, .server_name = "prod"});
  std::string key;
  EXPECT_OK(writer.AppendKey(change, change.after, "all", true, key));
  EXPECT_EQ(key, R"({"id":1,"__dbz__physicalTableIdentifier":"prod.public.orders"})");
  EXPECT_THAT(Value_(writer, change), ::testing::HasSubstr(R"("name":"prod")"));
}

TEST_F(DebeziumJsonTest, AMessageHasItsPrefixAndContent) {
  Change change = Of(Operation::kMessage);
  change.schema = nullptr;
  change.table = {};
  change.message_prefix = "audit";
  change.message_content = "hello";
  DebeziumJson writer = Writer();
  std::string key;
  std::string value;
  EXPECT_OK(writer.AppendMessageKey(change, key));
  EXPECT_OK(writer.AppendMessageValue(change, kNow, value));
  EXPECT_EQ(key, R"({"prefix":"audit"})");
  EXPECT_THAT(value, ::testing::StartsWith(R"({"op":"m","ts_ms":1706702401000,"source":{)"));
  EXPECT_THAT(value, ::testing::HasSubstr(R"("schema":"","table":"")"));
  EXPECT_THAT(value,
              ::testing::EndsWith(
                  R"("transaction":null,"message":{"prefix":"audit","content":"aGVsbG8="}})"));
}

TEST_F(DebeziumJsonTest, ARefusedValueNamesItsColumn) {
  const std::vector<Value> after = {Value::Int64(1), Value::Text("\xff")};
  Change change = Of(Operation::kInsert);
  change.after = after;
  DebeziumJson writer = Writer();
  std::string out;
  const Status status = writer.AppendValue(change, kTopic, kNow, out);
  ASSERT_FALSE(status.has_value());
  EXPECT_EQ(status.error().code, "text_not_utf8");
  EXPECT_THAT(status.error().message, ::testing::StartsWith("column note: "));
}

TEST_F(DebeziumJsonTest, AChangeOfMysqlNamesItsDatabaseAndItsPlaceInTheLog) {
  DebeziumJson writer({.schemas = false}, {{"shop", "mysql", "app"}});
  const std::vector<Value> after = {Value::Int64(1), Value::Text("a")};
  Change change = Of(Operation::kInsert);
  change.after = after;
  change.ordinal = 3;
  const auto source = [&](std::string_view position) {
    change.position = position;
    const std::string value = Value_(writer, change);
    return value.substr(value.find("\"ts_ns\":1706702400500000000,") + 28);
  };
  EXPECT_THAT(source("0-17-42"),
              ::testing::StartsWith(
                  R"("table":"orders","server_id":17,"gtid":"0-17-42","file":"","pos":0,"row":3,)"
                  R"("thread":null,"query":null},"transaction":null,)"));
  EXPECT_THAT(source("3e11fa47-71ca-11e1-9e33-c80aa9429562:23"),
              ::testing::StartsWith(
                  R"("table":"orders","server_id":0,"gtid":"3e11fa47-71ca-11e1-9e33-c80aa9429562:)"
                  R"(23","file":"","pos":0,"row":3,)"));
  EXPECT_THAT(source("mysql-bin.000003:4711"),
              ::testing::StartsWith(R"("table":"orders","server_id":0,"gtid":null,)"
                                    R"("file":"mysql-bin.000003","pos":4711,"row":3,)"));
  EXPECT_THAT(Value_(writer, change), ::testing::HasSubstr(R"("connector":"mysql")"));
  EXPECT_THAT(Value_(writer, change), ::testing::HasSubstr(R"("db":"public")"));
}

}  // namespace
}  // namespace tailwater::kafka_sink
