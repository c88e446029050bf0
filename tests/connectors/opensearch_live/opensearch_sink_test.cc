#include "opensearch/opensearch_sink.h"

#include <gmock/gmock.h>

#include <limits>

#include "connectors/opensearch_live/live_search.h"
#include "opensearch/document.h"
#include "support/delivery_batch.h"
#include "support/topic_feeder.h"
#include "tailwater/array.h"

namespace tailwater::opensearch {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

class OpenSearchSinkTest : public ::testing::Test {
 protected:
  void SetUp() override { Reopen(); }
  void TearDown() override { search_.StatusOf("DELETE", "/" + prefix_ + "_*"); }
  void Reopen() {
    sink_ = NewLiveSink(config_, metrics_, options_);
    ASSERT_OK(sink_->Open());
  }
  std::vector<Verdict> Write(DeliveryBatchBuilder& batch) {
    auto verdicts = sink_->Write(batch.Build());
    EXPECT_OK(verdicts);
    return verdicts ? *std::move(verdicts) : std::vector<Verdict>(batch.size());
  }
  Verdict WriteOne(const SchemaPtr& schema, int64_t version, std::vector<Value> row) {
    DeliveryBatchBuilder batch;
    batch.Update(schema, version, std::move(row));
    return Write(batch).at(0);
  }
  static Value Int(int64_t value) { return Value::Int64(value); }
  static Value Text(std::string_view text) { return Value::Text(text); }
  std::string Index(const std::string& table) { return prefix_ + "_" + table; }
  json Mapping(const std::string& table) {
    return search_.Call("GET", "/" + Index(table) + "/_mapping")[Index(table)]["mappings"];
  }

  LiveSearch& search_ = LiveSearch::Shared();
  const std::string prefix_ = LiveSearch::NewName();
  OpenSearchConfig config_ = LiveConfig(prefix_);
  OpenSearchTableOptions options_;
  StubMetrics metrics_;
  std::unique_ptr<OpenSearchSink> sink_;
  const SchemaPtr orders_ = TestSchema("orders", {"id*:int64", "note:text"});
};

TEST_F(OpenSearchSinkTest, EveryTypeIsTakenWhateverItHolds) {
  const SchemaPtr all = TestSchema(
      "all", {"id*:int64", "b:bool", "u:uint64", "f:float64", "d:decimal", "t:text", "y:bytes",
              "day:date", "time:time", "stamp:timestamp", "instant:timestamptz", "span:interval",
              "uuid:uuid", "json:json", "list:array", "mood:enum", "other:other"});
  std::string wire;
  ArrayWriter array(wire);
  array.AddDimension({2, 1});
  array.AddDimension({1, 1});
  array.AddElement(Value::Text("a"));
  array.AddElement(Value::Null());
  const Interval interval{1, 2, 3};
  const std::string long_text(40'000, 'x');
  constexpr int64_t kFarDay = 2'000'000;  // in the year 7445
  DeliveryBatchBuilder batch;
  batch
      .Insert(all, 1,
              {Int(std::numeric_limits<int64_t>::max()), Value::Bool(true),
               Value::Uint64(std::numeric_limits<uint64_t>::max()), Value::Float64(1.5e300),
               Value::Decimal("123456789012345678901234567890.10"), Text("é\x01\n\"\\"),
               Value::Blob("\xff"), Value::Date(20'000), Value::Time(86'400'000'000),
               Value::Timestamp(1'700'000'000'123'456), Value::TimestampTz(1'700'000'000'123'456),
               Value::OfInterval(&interval), Value::Uuid("0123456789abcdef"),
               Value::Json(R"({"a":[1,{"b":1e300}],"":null})"), Value::Array(wire),
               Value::Enum("sad"), Value::Other("(1,2)")})
      .Insert(all, 2,
              {Int(2), Value::Bool(false), Value::Uint64(0),
               Value::Float64(std::numeric_limits<double>::quiet_NaN()), Value::Decimal("NaN"),
               Text(long_text), Value::Blob(""), Value::Other("infinity"), Value::Time(0),
               Value::Other("infinity"), Value::Other("0044-03-15 00:00:00+00 BC"),
               Value::OfInterval(&interval), Value::Uuid("0123456789abcdef"), Value::Json("[1,2]"),
               Value::Array(""), Value::Enum(long_text), Value::Other(long_text)})
      .Insert(all, 3,
              {Int(3), Value::Null(), Value::Null(),
               Value::Float64(-std::numeric_limits<double>::infinity()),
               Value::Decimal("-Infinity"), Text(""), Value::Null(), Value::Date(kFarDay),
               Value::Null(), Value::Null(), Value::Null(), Value::Null(), Value::Null(),
               Value::Json("\"text\""), Value::Null(), Value::Null(), Value::Null()});
  for (const Verdict& verdict : Write(batch)) {
    EXPECT_EQ(verdict.kind, Verdict::Kind::kApplied) << verdict.code << ": " << verdict.reason;
  }
  const auto documents = search_.Documents(Index("all"));
  ASSERT_EQ(documents.size(), 3u);
  const json first = documents.at("shop:public.all:9223372036854775807");
  EXPECT_EQ(first["id"], std::numeric_limits<int64_t>::max());
  EXPECT_EQ(first["u"], std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(first["d"], "123456789012345678901234567890.10");
  EXPECT_EQ(first["t"], "é\x01\n\"\\");
  EXPECT_EQ(first["y"], "/w==");
  EXPECT_EQ(first["stamp"], "2023-11-14T22:13:20.123456");
  EXPECT_EQ(first["instant"], "2023-11-14T22:13:20.123456Z");
  EXPECT_EQ(first["list"], json::parse(R"([["a"],[null]])"));
  EXPECT_EQ(documents.at("shop:public.all:2")["f"], "NaN");
  EXPECT_EQ(documents.at("shop:public.all:2")["day"], "infinity");
  const auto hits = [&](const json& query) {
    return search_.Call("POST", "/" + Index("all") + "/_count", {{"query", query}})["count"];
  };
  EXPECT_EQ(hits({{"range", {{"instant", {{"gte", "2023-11-14"}, {"lt", "2023-11-15"}}}}}}), 1);
  EXPECT_EQ(hits({{"term", {{"d", "123456789012345678901234567890.10"}}}}), 1);
  EXPECT_EQ(hits({{"term", {{"u", std::numeric_limits<uint64_t>::max()}}}}), 1);
  EXPECT_EQ(hits({{"term", {{"b", true}}}}), 1);
}

TEST_F(OpenSearchSinkTest, ANewColumnGetsItsField) {
  EXPECT_TRUE(WriteOne(orders_, 1, {Int(1), Text("a")}).final());
  const SchemaPtr wider = TestSchema("orders", {"id*:int64", "note:text", "due:date"});
  DeliveryBatchBuilder batch;
  batch.Add({.operation = Operation::kSchema, .schema = wider.get(), .version = 2})
      .Insert(wider, 3, {Int(2), Text("b"), Value::Date(1)});
  for (const Verdict& verdict : Write(batch)) EXPECT_EQ(verdict.kind, Verdict::Kind::kApplied);
  EXPECT_EQ(Mapping("orders")["properties"]["due"]["type"], "date");
  EXPECT_EQ(search_.Call("GET", "/" + Index("orders") + "/_settings?flat_settings=true")[Index(
                "orders")]["settings"]["index.gc_deletes"],
            "1h");
}

TEST_F(OpenSearchSinkTest, ARefusalAmongChangesOfARowIsFoundAlone) {
  config_.mappings.inline_json = R"({"properties":{"note":{"type":"integer"}}})";
  Reopen();
  DeliveryBatchBuilder batch;
  batch.Insert(orders_, 1, {Int(1), Text("10")})
      .Insert(orders_, 2, {Int(2), Text("20")})
      .Update(orders_, 3, {Int(1), Text("11")})
      .Update(orders_, 4, {Int(1), Text("no number")})
      .Update(orders_, 5, {Int(2), Text("21")});
  const auto verdicts = Write(batch);
  for (const size_t good : {0, 1, 2, 4}) {
    EXPECT_EQ(verdicts[good].kind, Verdict::Kind::kApplied) << good << verdicts[good].reason;
  }
  EXPECT_EQ(verdicts[3].kind, Verdict::Kind::kRejected);
  EXPECT_EQ(verdicts[3].code, "opensearch_document_refused");
  const auto documents = search_.Documents(Index("orders"));
  EXPECT_EQ(documents.at("shop:public.orders:1")["note"], "11");
  EXPECT_EQ(documents.at("shop:public.orders:2")["note"], "21");
}

TEST_F(OpenSearchSinkTest, AChangeThatWasRefusedLeavesNoBase) {
  const SchemaPtr wide = TestSchema("wide", {"id*:int64", "size:text", "big:text"});
  config_.mappings.inline_json = R"({"properties":{"size":{"type":"integer"}}})";
  Reopen();
  EXPECT_EQ(WriteOne(wide, 1, {Int(1), Text("1"), Text("big 1")}).kind, Verdict::Kind::kApplied);
  EXPECT_EQ(WriteOne(wide, 2, {Int(1), Text("x"), Text("big 2")}).kind, Verdict::Kind::kRejected);
  for (int round = 0; round < 2; ++round) {
    const Verdict behind = WriteOne(wide, 3, {Int(1), Text("3"), Value::Unchanged()});
    EXPECT_EQ(behind.kind, Verdict::Kind::kRejected);
    EXPECT_EQ(behind.code, kBaseMissing);
    Reopen();  // the mark lies in the index
  }
  EXPECT_EQ(WriteOne(wide, 4, {Int(1), Text("4"), Text("big 4")}).kind, Verdict::Kind::kApplied);
  EXPECT_EQ(WriteOne(wide, 5, {Int(1), Text("5"), Value::Unchanged()}).kind,
            Verdict::Kind::kApplied);
  EXPECT_EQ(search_.Documents(Index("wide")).at("shop:public.wide:1")["big"], "big 4");
}

TEST_F(OpenSearchSinkTest, ASweepLeavesTombstonesOfItsVersionOnEveryShard) {
  config_.settings.inline_json = R"({"number_of_shards":3,"number_of_replicas":0})";
  const SchemaPtr table = TestSchema("many", {"tenant*:text", "id*:int64", "note:text"});
  options_.routing = "tenant";
  Reopen();
  constexpr int kRows = 6'000;  // more than a page
  DeliveryBatchBuilder batch;
  for (int i = 0; i < kRows; ++i) {
    batch.Insert(table, i + 1, {Text(i % 2 == 0 ? "acme" : "other"), Int(i), Text("n")});
  }
  batch.Insert(table, 20'000, {Text("acme"), Int(-1), Text("new")});
  Write(batch);
  ASSERT_OK(sink_->Sweep({"shop", "public.many", 10'000, true}));
  const auto left = search_.Documents(Index("many"));
  ASSERT_EQ(left.size(), 1u);
  EXPECT_EQ(left.begin()->first, "shop:public.many:acme,-1");
  EXPECT_EQ(Mapping("many")["_meta"]["tailwater"]["swept"]["shop:public.many"], 10'000);
  // What is still on its way from before comes without asking us.
  std::string late;
  AppendActionLine("index", {Index("many"), "shop:public.many:acme,0", "acme"}, 9'999, late);
  OpenSearchConfig config;
  config.url.list = {search_.url()};
  auto cluster = Cluster::Open(config, Logger("test"));
  ASSERT_OK(cluster);
  const HttpAnswer answer =
      (*cluster)->Call({"POST", "/_bulk", late + "{\"note\":\"late\"}\n", true});
  EXPECT_THAT(answer.body, HasSubstr("version_conflict_engine_exception"));
  // Deletes find the shard, too.
  DeliveryBatchBuilder gone;
  gone.Delete(table, 20'001, {Text("acme"), Int(-1), Value::Omitted()});
  EXPECT_EQ(Write(gone).at(0).kind, Verdict::Kind::kApplied);
  EXPECT_TRUE(search_.Documents(Index("many")).empty());
}

TEST_F(OpenSearchSinkTest, AnIndexOfSomebodyElseIsUsedAsItIs) {
  search_.Call(
      "PUT", "/" + Index("orders"),
      {{"settings", {{"number_of_replicas", 0}}},
       {"mappings",
        {{"_meta", {{"owner", "me"}}}, {"properties", {{"note", {{"type", "keyword"}}}}}}}});
  search_.Call("PUT", "/" + Index("orders") + "/_doc/mine", {{"note", "not yours"}});
  EXPECT_EQ(WriteOne(orders_, 1, {Int(1), Text("a")}).kind, Verdict::Kind::kApplied);
  ASSERT_OK(sink_->Sweep({"shop", "public.orders", 9, true}));
  const auto documents = search_.Documents(Index("orders"));
  EXPECT_EQ(documents.size(), 1u);
  EXPECT_TRUE(documents.contains("mine"));
  const json mapping = Mapping("orders");
  EXPECT_EQ(mapping["_meta"]["owner"], "me");
  EXPECT_EQ(mapping["properties"]["note"]["type"], "keyword");
}

TEST_F(OpenSearchSinkTest, AnAliasIsMadeWithTheIndexAndMayStandForIt) {
  options_.alias = prefix_ + "_alias";
  Reopen();
  EXPECT_EQ(WriteOne(orders_, 1, {Int(1), Text("a")}).kind, Verdict::Kind::kApplied);
  EXPECT_EQ(search_.Documents(options_.alias).size(), 1u);
  std::string problem;
  options_.index = IndexName::Parse(options_.alias, problem);
  Reopen();
  EXPECT_EQ(WriteOne(orders_, 2, {Int(1), Value::Unchanged()}).kind, Verdict::Kind::kApplied);
  ASSERT_OK(sink_->Sweep({"shop", "public.orders", 3, false}));
  EXPECT_TRUE(search_.Documents(Index("orders")).empty());
}

TEST_F(OpenSearchSinkTest, AnIndexThatSomebodyDeletesComesBackWithItsMapping) {
  search_.Call("PUT", "/_cluster/settings",
               {{"transient", {{"action.auto_create_index", "false"}}}});
  EXPECT_EQ(WriteOne(orders_, 1, {Int(1), Text("a")}).kind, Verdict::Kind::kApplied);
  search_.Call("DELETE", "/" + Index("orders"));
  DeliveryBatchBuilder batch;
  batch.Update(orders_, 2, {Int(1), Text("b")});
  const auto missing = sink_->Write(batch.Build());
  EXPECT_THAT(missing, IsErrorWith("opensearch_index_missing"));
  EXPECT_EQ(Write(batch).at(0).kind, Verdict::Kind::kApplied);
  EXPECT_EQ(Mapping("orders")["properties"]["_tailwater"]["properties"]["origin"]["type"],
            "keyword");
  search_.Call("PUT", "/_cluster/settings",
               {{"transient", {{"action.auto_create_index", nullptr}}}});
}

}  // namespace
}  // namespace tailwater::opensearch
