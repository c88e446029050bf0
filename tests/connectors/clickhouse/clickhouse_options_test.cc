#include "clickhouse/clickhouse_options.h"

#include <gmock/gmock.h>

#include "config/yaml.h"

namespace tailwater::clickhouse {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct Parsed {
  ClickHouseConfig config;
  TableRules<ClickHouseTableOptions> rules;
  std::vector<std::string> problems;
  std::vector<ColumnUse> uses;
};

Parsed Parse(const std::string& yaml) {
  Parsed parsed;
  Problems problems;
  if (const auto node = ParseYaml(yaml, "sink.yaml", problems)) {
    ParseOptions(ClickHouseOptions(), *node, kSinkKeys, &parsed.config, problems);
    parsed.rules.selection = TableSelection::Parse(node->Find("tables"), problems);
    for (const TableEntry& entry : parsed.rules.selection.entries()) {
      auto& options = parsed.rules.options.emplace_back();
      if (entry.options.kind != ConfigNode::Kind::kMap) continue;
      ParseOptions(ClickHouseTableOptionsTable(), entry.options, kTableEntryKeys, &options,
                   problems);
    }
    ValidateClickHouse(parsed.config, parsed.rules, *node, problems);
    parsed.uses = ClickHouseColumnUses(parsed.config, parsed.rules);
  }
  for (const Problem& problem : problems.list()) parsed.problems.push_back(problem.ToString());
  return parsed;
}

const std::string kUrl = "url: http://127.0.0.1:8123\n";

TEST(ClickHouseOptionsTest, AUrlSuffices) {
  const Parsed sink = Parse(kUrl);
  EXPECT_THAT(sink.problems, IsEmpty());
  EXPECT_EQ(TargetOf(sink.config, nullptr, "shop", {"public", "orders"}), "orders");
  EXPECT_EQ(sink.config.database, "default");
  EXPECT_THAT(Parse("database: shop\n").problems,
              ElementsAre(HasSubstr("sink.yaml:1:1: needs 'url'")));
}

TEST(ClickHouseOptionsTest, UrlsAreChecked) {
  EXPECT_THAT(Parse("url: [http://a:8123/, https://b/ch/]\n").config.url.list,
              ElementsAre("http://a:8123", "https://b/ch"));
  const struct {
    std::string url, problem;
  } kCases[] = {{"a:8123", "must begin with https:// or http://"},
                {"clickhouse://a:9000", "not the native protocol"},
                {"http://:8123", "has no host"},
                {"http://me:secret@a:8123", "must not hold a user or password"},
                {"http://a:8123/?database=x", "must not hold parameters"},
                {"[]", "must name a server"}};
  for (const auto& one : kCases) {
    const Parsed sink = Parse("url: " + one.url + "\n");
    ASSERT_FALSE(sink.problems.empty()) << one.url;
    EXPECT_THAT(sink.problems[0], HasSubstr(one.problem));
    EXPECT_THAT(sink.problems[0], HasSubstr("sink.yaml:1:"));
    EXPECT_THAT(sink.problems[0], ::testing::Not(HasSubstr("secret")));
  }
}

TEST(ClickHouseOptionsTest, TargetsAreNamedByATemplate) {
  const Parsed sink =
      Parse(kUrl + "table: '{source}_{schema}_{table}'\ntables: [{match: a.b, table: other}]\n");
  EXPECT_THAT(sink.problems, IsEmpty());
  EXPECT_EQ(TargetOf(sink.config, nullptr, "shop", {"public", "orders"}), "shop_public_orders");
  EXPECT_EQ(TargetOf(sink.config, &sink.rules.options[0], "shop", {"a", "b"}), "other");
  EXPECT_THAT(Parse(kUrl + "table: '{tabel}'\n").problems,
              ElementsAre(HasSubstr("sink.yaml:2:8: table: '{tabel}' is no placeholder")));
}

TEST(ClickHouseOptionsTest, WhatDoesNotGoTogetherIsNamed) {
  EXPECT_THAT(Parse(kUrl + "password: secret\n").problems,
              ElementsAre(HasSubstr("password: needs a `username`")));
  EXPECT_THAT(Parse(kUrl + "key_file: a.pem\n").problems, ElementsAre(HasSubstr("go together")));
  EXPECT_THAT(Parse(kUrl + "deleted_column: _version\n").problems,
              ElementsAre(HasSubstr("need different names")));
  EXPECT_THAT(Parse(kUrl + "batch: {interval: 2m, rows: 0}\n").problems,
              ElementsAre(HasSubstr("batch.rows: must be at least 1"),
                          HasSubstr("batch.interval: must be from 0s to 2s")));
  EXPECT_THAT(Parse(kUrl + "settings: {async_insert: 1}\n").problems,
              ElementsAre(HasSubstr("the sink sets this by itself")));
}

TEST(ClickHouseOptionsTest, ColumnsOfATableAreChecked) {
  const Parsed sink = Parse(kUrl +
                            "tables:\n"
                            "  - match: public.orders\n"
                            "    order_by: [id]\n"
                            "    columns:\n"
                            "      exclude: [secret]\n"
                            "      rename: {note: text}\n"
                            "      types: {total: 'Decimal(18, 4)'}\n");
  EXPECT_THAT(sink.problems, IsEmpty());
  std::vector<std::string> used;
  for (const ColumnUse& use : sink.uses) used.push_back(use.column);
  EXPECT_THAT(used, ::testing::UnorderedElementsAre("id", "secret", "note", "total"));
  EXPECT_THAT(
      Parse(kUrl + "tables: [{match: a.b, columns: {types: {c: Mep}, rename: {d: _version}}}]\n")
          .problems,
      ElementsAre(HasSubstr("'Mep' is no type"), HasSubstr("'_version' is taken")));
}

TEST(ClickHouseOptionsTest, SecretsAreNotPrinted) {
  for (const OptionSpec& option : ClickHouseOptions()) {
    EXPECT_EQ(option.secret, option.name == "password") << option.name;
  }
}

}  // namespace
}  // namespace tailwater::clickhouse
