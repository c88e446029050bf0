#include "webhook/payload_template.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "config/yaml.h"
#include "support/delivery_batch.h"
#include "support/matchers.h"
#include "support/topic_feeder.h"

namespace tailwater::webhook {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct Parsed {
  std::shared_ptr<const PayloadTemplate> payload;
  std::vector<std::string> problems;
};

Parsed Parse(const std::string& yaml) {
  Problems problems;
  const auto node = ParseYaml(yaml, "t.yaml", problems);
  Parsed parsed;
  if (node) parsed.payload = PayloadTemplate::Parse(*node, problems);
  for (const Problem& problem : problems.list()) parsed.problems.push_back(problem.ToString());
  return parsed;
}

class PayloadTemplateTest : public ::testing::Test {
 protected:
  using Values = std::vector<Value>;
  Result<std::string> TryRender(const std::string& yaml, const Change& change) {
    const Parsed parsed = Parse(yaml);
    EXPECT_TRUE(parsed.problems.empty()) << parsed.problems.at(0);
    std::string out;
    TW_TRY(parsed.payload->Render(RowFields(change), true, out));
    return out;
  }
  std::string Render(const std::string& yaml, const Change& change) {
    const auto out = TryRender(yaml, change);
    EXPECT_OK(out);
    if (!out) return {};
    EXPECT_TRUE(nlohmann::json::accept(*out)) << *out;
    return *out;
  }
  const Change& Update(Values after, Values before = {}) {
    batch_.Update(schema_, 7, std::move(after), std::move(before));
    return *batch_.Build().deliveries.back().change;
  }

  SchemaPtr schema_ = TableSchema::Make(
      {"public", "plans"},
      {{.name = "id", .type = ValueType::kInt64, .type_name = "integer", .key = true},
       {.name = "big", .type = ValueType::kInt64, .type_name = "bigint"},
       {.name = "note", .type = ValueType::kText, .type_name = "text"},
       {.name = "doc", .type = ValueType::kJson, .type_name = "json"}});
  Values row_ = {Value::Int64(1), Value::Int64(9007199254740993), Value::Text("free"),
                 Value::Json("{\"a\":1}")};
  DeliveryBatchBuilder batch_;
};

TEST_F(PayloadTemplateTest, AValueThatIsOneReferenceKeepsItsType) {
  EXPECT_EQ(
      Render("{a: '{NEW.id}', b: '{NEW.big}', c: '{NEW.note}', d: '{NEW.doc}'}", Update(row_)),
      R"({"a":1,"b":"9007199254740993","c":"free","d":{"a":1}})");
}

TEST_F(PayloadTemplateTest, ReferencesInTextAreTextAndNullReadsNull) {
  Values old = row_;
  old[2] = Value::Null();
  EXPECT_EQ(Render("{t: 'plan {OLD.note} -> {NEW.note}, {NEW.big} {NEW.doc}'}", Update(row_, old)),
            R"({"t":"plan null -> free, 9007199254740993 {\"a\":1}"})");
}

TEST_F(PayloadTemplateTest, KnowsTheChangeItself) {
  const Change& change = Update(row_);
  EXPECT_EQ(
      Render("{op: '{op}', id: '{id}', s: '{source}', t: '{table}', v: '{version}', w: '{time}'}",
             change),
      R"({"op":"update","id":"shop:1:0/1000:7:0","s":"shop","t":"public.plans","v":"7","w":null})");
}

TEST_F(PayloadTemplateTest, NestsMapsAndListsAndKeepsLiterals) {
  EXPECT_EQ(
      Render("{a: {b: ['{NEW.id}', x, 1, '1', true, 'true', null, -1.5e3, 01]}}", Update(row_)),
      R"({"a":{"b":[1,"x",1,"1",true,"true",null,-1.5e3,"01"]}})");
}

TEST_F(PayloadTemplateTest, DoubledBracesAreBraces) {
  EXPECT_EQ(Render("{a: '{{NEW.id}}', b: '{{{NEW.id}}}', c: '}'}", Update(row_)),
            R"({"a":"{NEW.id}","b":"{1}","c":"}"})");
}

TEST_F(PayloadTemplateTest, NothingInARowCanLeaveItsString) {
  for (const std::string_view text :
       {std::string_view("\",\"op\":\"delete"), std::string_view("\\\",\"x\":\""),
        std::string_view("a\r\nX-Evil: 1"), std::string_view("nul\0byte", 8),
        std::string_view("{NEW.id}{{"), std::string_view("\x1b[2J\x7f"),
        std::string_view("</script>\xe2\x80\xa8")}) {
    Values row = row_;
    row[2] = Value::Text(text);
    const auto body =
        nlohmann::json::parse(Render("{a: '{NEW.note}', b: 'x{NEW.note}y'}", Update(row)));
    EXPECT_EQ(body.size(), 2u);
    EXPECT_EQ(body["a"].get<std::string>(), text);
    EXPECT_EQ(body["b"].get<std::string>(), "x" + std::string(text) + "y");
  }
}

TEST_F(PayloadTemplateTest, WhatJsonCannotCarryIsRefusedByName) {
  Values row = row_;
  row[2] = Value::Text("bad \xff");
  for (const std::string yaml : {"{a: '{NEW.note}'}", "{a: 'x{NEW.note}'}"}) {
    EXPECT_THAT(TryRender(yaml, Update(row)), IsErrorWith("text_not_utf8"));
  }
  row = row_;
  row[3] = Value::Json("1,\"op\":\"delete\"");
  const auto refused = TryRender("{a: '{NEW.doc}'}", Update(row));
  ASSERT_THAT(refused, IsErrorWith("json_malformed"));
  EXPECT_THAT(refused.error().message, HasSubstr("NEW.doc"));
}

TEST_F(PayloadTemplateTest, WhatTheLogDidNotSendIsNullAndNamed) {
  Values row = row_;
  row[2] = Value::Unchanged();
  EXPECT_EQ(Render("{a: '{NEW.note}', b: 'x{NEW.note}{OLD.note}', c: '{NEW.id}'}", Update(row)),
            R"({"a":null,"b":null,"c":1,"missing":["NEW.note","OLD.note"]})");
  EXPECT_EQ(Render("{a: '{NEW.gone}'}", Update(row_)), R"({"a":null,"missing":["NEW.gone"]})");
}

TEST_F(PayloadTemplateTest, AnUnrepeatedValueIsTakenFromTheOldRow) {
  Values row = row_;
  row[2] = Value::Unchanged();
  EXPECT_EQ(Render("{a: '{NEW.note}', b: '{OLD.note}'}", Update(row, row_)),
            R"({"a":"free","b":"free"})");
}

TEST_F(PayloadTemplateTest, TheKeyOfTheOldRowIsThatOfTheNew) {
  EXPECT_EQ(Render("{a: '{OLD.id}', b: '{OLD.note}'}", Update(row_)),
            R"({"a":1,"b":null,"missing":["OLD.note"]})");
}

TEST_F(PayloadTemplateTest, ARowThatIsNotThereIsNullAndNotMissing) {
  batch_.Insert(schema_, 8, row_);
  EXPECT_EQ(Render("{a: '{OLD.note}', b: '{NEW.note}'}", *batch_.Build().deliveries.back().change),
            R"({"a":null,"b":"free"})");
  batch_.Delete(schema_, 9, row_);
  EXPECT_EQ(Render("{a: '{OLD.note}', b: '{NEW.note}'}", *batch_.Build().deliveries.back().change),
            R"({"a":"free","b":null})");
  batch_.Add({.operation = Operation::kTruncate, .schema = schema_.get(), .version = 10});
  EXPECT_EQ(Render("{a: '{OLD.note}', b: '{op}'}", *batch_.Build().deliveries.back().change),
            R"({"a":null,"b":"truncate"})");
}

TEST_F(PayloadTemplateTest, OddColumnNamesAreQuoted) {
  const SchemaPtr odd = TableSchema::Make(
      {"public", "t"}, {{.name = "My \"}col", .type = ValueType::kText, .type_name = "text"}});
  batch_.Insert(odd, 1, {Value::Text("x")});
  EXPECT_EQ(Render(R"({a: '{NEW."My ""}col"}'})", *batch_.Build().deliveries.back().change),
            R"({"a":"x"})");
}

TEST(PayloadTemplateParseTest, NamesEachProblemWithItsPlace) {
  const Parsed parsed = Parse(
      "a: '{NEW.id'\n"
      "b: {c: 'x {new.id}'}\n"
      "d: ['{NEW.my col}']\n"
      "missing: 1\n");
  EXPECT_THAT(
      parsed.problems,
      ElementsAre(
          "t.yaml:1:4: a: '{' has no closing '}'; write {{ for a brace",
          "t.yaml:2:8: b.c: '{new.id}' is unknown; write {NEW.column}, {OLD.column}, {op}, "
          "{id}, {source}, {table}, {version} or {time}, or {{ for a brace",
          "t.yaml:3:5: d[0]: '{NEW.my col}' names no column; a name with other signs than "
          "letters, digits and _ is written {NEW.\"my column\"}",
          "t.yaml:4:10: missing: the name 'missing' is taken: it lists what the log did not "
          "send; choose another"));
  EXPECT_EQ(parsed.payload, nullptr);
}

TEST(PayloadTemplateParseTest, TellsItsColumnsWithTheirPlaces) {
  const Parsed parsed = Parse("a: '{NEW.id} {OLD.plan}'\nb: ['{op}', '{NEW.x}']\n");
  ASSERT_TRUE(parsed.problems.empty());
  const auto& uses = parsed.payload->column_uses();
  ASSERT_EQ(uses.size(), 3u);
  EXPECT_EQ(uses[0].column, "id");
  EXPECT_FALSE(uses[0].before);
  EXPECT_EQ(uses[1].column, "plan");
  EXPECT_TRUE(uses[1].before);
  EXPECT_EQ(uses[2].path, "b[1]");
  EXPECT_EQ(uses[2].location.ToString(), "t.yaml:2:13");
}

}  // namespace
}  // namespace tailwater::webhook
