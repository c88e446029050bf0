#include "opensearch/document.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "opensearch/document_id.h"
#include "support/matchers.h"
#include "support/topic_feeder.h"
#include "tailwater/array.h"
#include "tailwater/sink.h"

namespace tailwater::opensearch {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

TablePlan PlanOf(const SchemaPtr& schema, const OpenSearchTableOptions& options = {},
                 const OpenSearchConfig& config = {}) {
  auto plan = PlanTable(config, &options, "shop", *schema);
  EXPECT_OK(plan);
  return *std::move(plan);
}

std::string IdOf(const SchemaPtr& schema, std::vector<Value> row,
                 const OpenSearchTableOptions& options = {}) {
  auto place = PlaceOfRow(PlanOf(schema, options), *schema, row);
  EXPECT_OK(place);
  return place ? place->id : "";
}

TEST(DocumentIdTest, IsOriginAndKey) {
  const SchemaPtr orders = TestSchema("orders", {"id*:int64", "note:text"});
  EXPECT_EQ(IdOf(orders, {Value::Int64(-42), Value::Text("x")}), "shop:public.orders:-42");
  const SchemaPtr seats = TestSchema("seats", {"hall*:text", "seat*:int64"});
  EXPECT_EQ(IdOf(seats, {Value::Text("a"), Value::Int64(7)}), "shop:public.seats:a,7");
}

TEST(DocumentIdTest, DifferentKeysNeverMeet) {
  const SchemaPtr pair = TestSchema("t", {"a*:text", "b*:text"});
  std::set<std::string> ids;
  const std::vector<std::pair<std::string, std::string>> keys = {
      {"a,b", "c"}, {"a", "b,c"}, {"a%2Cb", "c"}, {"", "a,b,c"},
      {"a:b", "c"}, {"#", ""},    {"", "#"}};
  for (const auto& [a, b] : keys) {
    ids.insert(IdOf(pair, {Value::Text(a), Value::Text(b)}));
  }
  EXPECT_EQ(ids.size(), keys.size());
  EXPECT_NE(OriginOf("a:b", "c"), OriginOf("a", "b:c"));
}

TEST(DocumentIdTest, ALongOneIsHashed) {
  const SchemaPtr table = TestSchema("t", {"a*:text"});
  const std::string longest(512 - std::string("shop:public.t:").size(), 'x');
  EXPECT_EQ(IdOf(table, {Value::Text(longest)}).size(), 512u);
  const std::string one = IdOf(table, {Value::Text(longest + "x")});
  EXPECT_THAT(one, StartsWith("shop:public.t:#"));
  EXPECT_EQ(one.size(), std::string("shop:public.t:#").size() + 64);
  EXPECT_NE(one, IdOf(table, {Value::Text(longest + "y")}));
}

TEST(DocumentIdTest, AKeyThatIsNoUtf8OrLacksAValueIsRefused) {
  const SchemaPtr table = TestSchema("t", {"a*:text"});
  const std::vector<Value> bad = {Value::Text("\xff")}, omitted = {Value::Omitted()};
  EXPECT_THAT(PlaceOfRow(PlanOf(table), *table, bad), IsErrorWith("text_not_utf8"));
  EXPECT_THAT(PlaceOfRow(PlanOf(table), *table, omitted), IsErrorWith("opensearch_key_incomplete"));
}

TEST(DocumentIdTest, OptionsChooseAmongTheKeyOnly) {
  const SchemaPtr table = TestSchema("t", {"tenant*:text", "id*:int64", "note:text"});
  OpenSearchTableOptions options;
  options.id = {"id"};
  options.routing = "tenant";
  const std::vector<Value> row = {Value::Text("acme"), Value::Int64(7), Value::Text("n")};
  const auto place = PlaceOfRow(PlanOf(table, options), *table, row);
  ASSERT_OK(place);
  EXPECT_EQ(place->id, "shop:public.t:7");
  EXPECT_EQ(place->routing, "acme");
  options.routing = "note";
  const auto plan = PlanTable({}, &options, "shop", *table);
  EXPECT_THAT(plan, IsErrorWith("opensearch_options_unfit"));
  EXPECT_THAT(plan.error().message, HasSubstr("routing names 'note', which is not part of the key "
                                              "(tenant, id)"));
}

TEST(TablePlanTest, ATableWithoutAKeyIsRefused) {
  const SchemaPtr table = TestSchema("t", {"a:text"});
  const auto plan = PlanTable({}, nullptr, "shop", *table);
  EXPECT_THAT(plan, IsErrorWith("opensearch_key_missing"));
  EXPECT_THAT(plan.error().message, HasSubstr("public.t has no key"));
}

TEST(TablePlanTest, FieldsAreChosenAndRenamed) {
  const SchemaPtr table = TestSchema("t", {"id*:int64", "a:text", "b:text", "c:text"});
  OpenSearchTableOptions options;
  options.fields.exclude = {"c"};
  options.fields.rename = {{"a", "title", {}, {}}};
  std::vector<std::string> names;
  for (const PlannedField& field : PlanOf(table, options).fields) names.push_back(field.name);
  EXPECT_THAT(names, ::testing::ElementsAre("id", "title", "b"));
  options.fields.include = {"id", "a"};
  EXPECT_EQ(PlanOf(table, options).fields.size(), 2u);
  options = {};
  options.fields.rename = {{"a", "b", {}, {}}};
  EXPECT_THAT(PlanTable({}, &options, "shop", *table), IsErrorWith("opensearch_options_unfit"));
  const SchemaPtr taken = TestSchema("t", {"id*:int64", "_tailwater:text"});
  EXPECT_THAT(PlanTable({}, nullptr, "shop", *taken), IsErrorWith("opensearch_options_unfit"));
}

class DocumentTest : public ::testing::Test {
 protected:
  Result<std::string> Document(std::vector<Value> row, const std::string& base = "") {
    std::string out;
    std::optional<JsonView> held;
    if (!base.empty()) held = JsonView::Parse(base);
    if (Status status = AppendDocument(plan_, *schema_, row, 9, held, out); !status) {
      return std::move(status).error();
    }
    return out;
  }
  const SchemaPtr schema_ = TestSchema("t", {"id*:int64", "note:text", "big:text"});
  const TablePlan plan_ = PlanOf(schema_);
};

TEST_F(DocumentTest, IsTheRowAndWhereItComesFrom) {
  const auto document = Document({Value::Int64(1), Value::Null(), Value::Text("a\"b\n")});
  ASSERT_OK(document);
  EXPECT_EQ(*document, R"({"id":1,"note":null,"big":"a\"b\n",)"
                       R"("_tailwater":{"origin":"shop:public.t","version":9}})");
}

TEST(DocumentJsonTest, OfMembersWithOneNameTheLastStays) {
  const SchemaPtr schema = TestSchema("t", {"id*:int64", "j:json"});
  const TablePlan plan = PlanOf(schema);
  const auto json = [&](const char* text) {
    std::string out;
    const std::vector<Value> row = {Value::Int64(1), Value::Json(text)};
    EXPECT_OK(AppendDocument(plan, *schema, row, 9, std::nullopt, out));
    return std::string(JsonView::Parse(out)->Find("j")->raw());
  };
  EXPECT_EQ(json(R"({"a": 1,  "a": 1e400, "b": [null, {"\u0063": 1, "c": {"c": "\u0000"}}]})"),
            R"({"a":1e400,"b":[null,{"c":{"c":"\u0000"}}]})");
  EXPECT_EQ(json(R"({"b":  1.50, "a": {"b": 2}})"), R"({"b":  1.50, "a": {"b": 2}})");
  EXPECT_EQ(json(R"("{\"a\":1}")"), R"("{\"a\":1}")");
}

TEST_F(DocumentTest, OmittedIsNullAndUnchangedIsTheBaseToTheByte) {
  const auto document = Document({Value::Int64(1), Value::Omitted(), Value::Unchanged()},
                                 "{ \"note\" : \"old\",\n \"big\" : {\"n\": "
                                 "1.2300000000000000000000000000001e5,\n\"s\":\"\\u00e9}\"} }");
  ASSERT_OK(document);
  EXPECT_THAT(
      *document,
      StartsWith("{\"id\":1,\"note\":null,\"big\":{\"n\": 1.2300000000000000000000000000001e5, "
                 "\"s\":\"\\u00e9}\"},"));
}

TEST_F(DocumentTest, WithoutABaseThereIsNoDocument) {
  EXPECT_THAT(Document({Value::Int64(1), Value::Null(), Value::Unchanged()}),
              IsErrorWith(kBaseMissing));
  EXPECT_THAT(Document({Value::Int64(1), Value::Null(), Value::Unchanged()}, R"({"note":1})"),
              IsErrorWith(kBaseMissing));
  EXPECT_THAT(Document({Value::Int64(1), Value::Text("\xff"), Value::Null()}),
              IsErrorWith("text_not_utf8"));
}

TEST_F(DocumentTest, AMarkKeepsTheDocument) {
  std::string out;
  AppendMarkedDocument(plan_, *JsonView::Parse(R"({"id":1,"_tailwater":{"version":3},"big":[1]})"),
                       3, 9, out);
  EXPECT_EQ(out, R"({"id":1,"big":[1],)"
                 R"("_tailwater":{"origin":"shop:public.t","version":3,"refused":9}})");
}

TEST_F(DocumentTest, ActionLinesCarryTheVersion) {
  std::string out;
  AppendActionLine("index", {"orders", "shop:public.t:\"1\"", ""}, 9, out);
  AppendActionLine("delete", {"orders", "2", "acme"}, 10, out);
  EXPECT_EQ(out,
            "{\"index\":{\"_index\":\"orders\",\"_id\":\"shop:public.t:\\\"1\\\"\",\"version\":9,"
            "\"version_type\":\"external_gte\"}}\n"
            "{\"delete\":{\"_index\":\"orders\",\"_id\":\"2\",\"routing\":\"acme\",\"version\":10,"
            "\"version_type\":\"external_gte\"}}\n");
}

TEST(DocumentValuesTest, BytesAreBase64AndArraysAreLists) {
  const SchemaPtr schema = TestSchema("t", {"id*:int64", "blob:bytes", "list:array"});
  std::string wire;
  ArrayWriter array(wire);
  array.AddDimension({2, 0});
  array.AddElement(Value::Int64(5));
  array.AddElement(Value::Null());
  std::string out;
  const std::vector<Value> row = {Value::Int64(1), Value::Blob(std::string_view("\0\xff", 2)),
                                  Value::Array(wire)};
  ASSERT_OK(AppendDocument(PlanOf(schema), *schema, row, 1, std::nullopt, out));
  EXPECT_THAT(out, StartsWith(R"({"id":1,"blob":"AP8=","list":[5,null],)"));
}

TEST(MappingTest, FitsTheColumns) {
  const OpenSearchConfig config;
  const auto mapping = [&](ValueType type, std::string name, OpenSearchConfig with = {},
                           ServerFacts server = {}) {
    return FieldMapping({"c", type, std::move(name), false, false}, with, server);
  };
  EXPECT_EQ(mapping(ValueType::kInt64, "bigint"), R"({"type":"long"})");
  EXPECT_EQ(mapping(ValueType::kUint64, "bigint unsigned"), R"({"type":"unsigned_long"})");
  EXPECT_THAT(mapping(ValueType::kUint64, "x", {}, {.unsigned_long = false}), HasSubstr("keyword"));
  EXPECT_THAT(mapping(ValueType::kDecimal, "numeric(12,2)"), HasSubstr("keyword"));
  OpenSearchConfig scaled;
  scaled.decimals = Decimals::kScaled;
  EXPECT_THAT(mapping(ValueType::kDecimal, "numeric(12,2)", scaled),
              HasSubstr(R"("scaling_factor":100,)"));
  EXPECT_THAT(mapping(ValueType::kDecimal, "numeric", scaled), HasSubstr("double"));
  EXPECT_THAT(mapping(ValueType::kTimestampTz, "timestamptz"), HasSubstr("date"));
  EXPECT_THAT(mapping(ValueType::kArray, "int4[]"), HasSubstr("long"));
  EXPECT_THAT(mapping(ValueType::kArray, "uuid[]"), HasSubstr("keyword"));
  EXPECT_THAT(mapping(ValueType::kJson, "jsonb"), HasSubstr(R"("enabled":false)"));
  OpenSearchConfig flattened;
  flattened.json = JsonColumns::kFlattened;
  EXPECT_THAT(mapping(ValueType::kJson, "jsonb", flattened), HasSubstr("flat_object"));
  EXPECT_THAT(mapping(ValueType::kJson, "jsonb", flattened, {.opensearch = false}),
              HasSubstr("\"flattened\""));
  EXPECT_THAT(mapping(ValueType::kJson, "jsonb", flattened, {.flattened = false}),
              HasSubstr(R"("enabled":false)"));
}

TEST(MappingTest, WhatTheUserSaysStandsInPlaceOfOurs) {
  const SchemaPtr schema = TestSchema("t", {"id*:int64", "note:text"});
  OpenSearchConfig config;
  config.settings.inline_json = R"({"number_of_shards":3,"index":{"gc_deletes":"5m"}})";
  config.mappings.inline_json =
      R"({"dynamic":"strict","properties":{"note":{"type":"keyword"},"extra":{"type":"date"}}})";
  OpenSearchTableOptions options;
  options.alias = "all";
  const TablePlan plan = PlanOf(schema, options, config);
  const auto body = IndexBody(plan, *schema, config, {}, R"({"tailwater":{}})");
  ASSERT_OK(body);
  const auto json = nlohmann::json::parse(*body);
  EXPECT_EQ(json["settings"],
            (nlohmann::json{{"index.gc_deletes", "5m"}, {"index.number_of_shards", 3}}));
  EXPECT_EQ(json["mappings"]["dynamic"], "strict");
  EXPECT_EQ(json["mappings"]["properties"]["note"], (nlohmann::json{{"type", "keyword"}}));
  EXPECT_EQ(json["mappings"]["properties"]["id"], (nlohmann::json{{"type", "long"}}));
  EXPECT_TRUE(json["mappings"]["properties"].contains("extra"));
  EXPECT_EQ(json["mappings"]["properties"]["_tailwater"]["properties"]["origin"]["type"],
            "keyword");
  EXPECT_TRUE(json["aliases"].contains("all"));
}

TEST(JsonViewTest, FindsAndKeepsWhatItIsGiven) {
  const auto json = JsonView::Parse(
      " {\"a\" : [ {\"b\":\"x\\\"]}\"} , 1.50 ],\"a\\u0062\":{\"c\":-7}, \"e\":[], \"f\":{} } ");
  ASSERT_TRUE(json.has_value());
  std::vector<std::string> raw;
  json->Find("a")->ForEachElement([&](JsonView element) { raw.emplace_back(element.raw()); });
  EXPECT_THAT(raw, ::testing::ElementsAre("{\"b\":\"x\\\"]}\"}", "1.50"));
  EXPECT_EQ(json->Find("ab", "c")->Integer(), -7);
  EXPECT_FALSE(json->Find("ab", "d").has_value());
  EXPECT_FALSE(json->Find("e")->Find("x").has_value());
  int members = 0;
  json->ForEachMember([&](const std::string&, JsonView) { ++members; });
  EXPECT_EQ(members, 4);
  EXPECT_EQ(JsonView::Parse(R"("\u00e9\n")")->Text(), "é\n");
  for (const std::string bad : {"", "{", "{}x", "[1,]", "\"\xff\"", "nul"}) {
    EXPECT_FALSE(JsonView::Parse(bad).has_value()) << bad;
  }
}

}  // namespace
}  // namespace tailwater::opensearch
