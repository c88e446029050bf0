#include "opensearch/opensearch_options.h"

#include <gmock/gmock.h>

#include "config/yaml.h"
#include "support/matchers.h"
#include "support/temporary_folder.h"

namespace tailwater::opensearch {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct ParsedSink {
  OpenSearchConfig config;
  TableRules<OpenSearchTableOptions> rules;
  std::vector<std::string> problems;
  std::vector<ColumnUse> column_uses;
};

ParsedSink ParseSink(const std::string& yaml) {
  ParsedSink parsed;
  Problems problems;
  const auto node = ParseYaml(yaml, "sink.yaml", problems);
  if (node) {
    ParseOptions(OpenSearchOptions(), *node, kSinkKeys, &parsed.config, problems);
    parsed.rules.selection = TableSelection::Parse(node->Find("tables"), problems);
    for (const TableEntry& entry : parsed.rules.selection.entries()) {
      OpenSearchTableOptions& options = parsed.rules.options.emplace_back();
      if (entry.options.kind == ConfigNode::Kind::kMap) {
        ParseOptions(OpenSearchTableOptionsTable(), entry.options, kTableEntryKeys, &options,
                     problems);
      }
    }
    ValidateOpenSearch(parsed.config, parsed.rules, *node, problems);
    parsed.column_uses = OpenSearchColumnUses(parsed.config, parsed.rules);
  }
  for (const Problem& problem : problems.list()) parsed.problems.push_back(problem.ToString());
  return parsed;
}

const std::string kUrl = "url: https://search.example.com:9200\n";

TEST(OpenSearchOptionsTest, AUrlSuffices) {
  const ParsedSink sink = ParseSink(kUrl);
  EXPECT_THAT(sink.problems, IsEmpty());
  EXPECT_EQ(IndexOf(sink.config, nullptr, "Shop", "public.Orders"), "shop_public_orders");
  EXPECT_THAT(ParseSink("create: true\n").problems,
              ElementsAre(HasSubstr("sink.yaml:1:1: needs 'url'")));
}

TEST(OpenSearchOptionsTest, UrlsAreChecked) {
  EXPECT_THAT(ParseSink("url: [http://a:9200/, https://b/search/]\n").config.url.list,
              ElementsAre("http://a:9200", "https://b/search"));
  const struct {
    std::string url, problem;
  } kCases[] = {{"search:9200", "sink.yaml:1:6: url: must begin with https:// or http://"},
                {"https://:9200", "sink.yaml:1:6: url: has no host"},
                {"https://u:hunter2@x", "sink.yaml:1:6: url: holds a user or password"},
                {"https://x/?a=b", "sink.yaml:1:6: url: must end with the path"},
                {"[http://a, ftp://b]", "sink.yaml:1:17: url[1]: must begin with"},
                {"[]", "sink.yaml:1:6: url: must name at least one node"}};
  for (const auto& [url, problem] : kCases) {
    const auto problems = ParseSink("url: " + url + "\n").problems;
    ASSERT_EQ(problems.size(), 1u) << url;
    EXPECT_THAT(problems[0], HasSubstr(problem));
    EXPECT_THAT(problems[0], ::testing::Not(HasSubstr("hunter2")));
  }
}

TEST(OpenSearchOptionsTest, IndexNamesAreCheckedAndMapped) {
  const struct {
    std::string index, problem;
  } kCases[] = {{"Orders", "'Orders' has capital letters, which no index name may have"},
                {"a b", "'a b' has a ' ', which no index name may have"},
                {"'a#{table}'", "'a#' has a '#', which no index name may have"},
                {"_orders", "must begin with a letter, a digit or a placeholder"},
                {"'{database}'", "'{database}' is unknown; write {source}, {schema} or {table}"},
                {std::string(256, 'a'), "is longer than 255 bytes"}};
  for (const auto& [index, problem] : kCases) {
    EXPECT_THAT(ParseSink(kUrl + "index: " + index + "\n").problems,
                ElementsAre("sink.yaml:2:8: index: " + problem));
  }
  const ParsedSink sink = ParseSink(kUrl +
                                    "index: '{table}'\n"
                                    "tables:\n"
                                    "  - {match: public.*, index: 'all-{source}'}\n");
  EXPECT_THAT(sink.problems, IsEmpty());
  EXPECT_EQ(IndexOf(sink.config, nullptr, "shop", "\"a.b\".\"Odd, \"\"name\"\"\""), "odd___name_");
  EXPECT_EQ(IndexOf(sink.config, nullptr, "shop", "public._x"), "x");
  EXPECT_EQ(IndexOf(sink.config, &sink.rules.options[0], "shop", "public.x"), "all-shop");
}

TEST(OpenSearchOptionsTest, CredentialsAreOfOneKind) {
  EXPECT_THAT(ParseSink(kUrl + "username: me\n").problems,
              ElementsAre("sink.yaml:2:11: username: username and password go together"));
  EXPECT_THAT(ParseSink(kUrl + "api_key: a\nbearer_token: b\n").problems,
              ElementsAre("sink.yaml:2:10: api_key: choose one of username and password, api_key, "
                          "bearer_token"));
  EXPECT_THAT(ParseSink(kUrl + "key_file: k.pem\n").problems,
              ElementsAre("sink.yaml:2:11: key_file: certificate_file and key_file go together"));
}

TEST(OpenSearchOptionsTest, LimitsAreChecked) {
  EXPECT_THAT(ParseSink(kUrl + "batch: {bytes: 1, records: 0, in_flight: 65}\n").problems,
              ElementsAre("sink.yaml:2:16: batch.bytes: must be between 1KiB and 100MiB",
                          "sink.yaml:2:28: batch.records: must be between 1 and 100000",
                          "sink.yaml:2:42: batch.in_flight: must be between 1 and 64"));
  EXPECT_THAT(ParseSink(kUrl + "timeouts: {request: 1h}\n").problems,
              ElementsAre("sink.yaml:2:21: timeouts.request: must be between 1ms and 10m"));
}

TEST(OpenSearchOptionsTest, SettingsAreAMapOrAFile) {
  const ParsedSink sink =
      ParseSink(kUrl +
                "settings: {number_of_shards: 3, codec: best_compression, flag: true, "
                "text: '3', list: [1, a], inner: {x: ~}}\n");
  EXPECT_THAT(sink.problems, IsEmpty());
  EXPECT_EQ(sink.config.settings.inline_json,
            R"({"number_of_shards":3,"codec":"best_compression","flag":true,"text":"3",)"
            R"("list":[1,"a"],"inner":{"x":null}})");
  EXPECT_THAT(ParseSink(kUrl + "mappings: /nonexistent.json\n").problems,
              ElementsAre("sink.yaml:2:11: mappings: /nonexistent.json cannot be read; check path "
                          "and permissions"));
  EXPECT_THAT(ParseSink(kUrl + "mappings: [a]\n").problems,
              ElementsAre("sink.yaml:2:11: mappings: must be a map, or the path of a JSON file"));
}

TEST(OpenSearchOptionsTest, FieldsAreCheckedAndNamedToTheEngine) {
  const ParsedSink sink =
      ParseSink(kUrl +
                "tables:\n"
                "  - match: public.orders\n"
                "    id: [id]\n"
                "    routing: tenant\n"
                "    fields: {exclude: [secret], rename: {note: text}}\n"
                "  - {match: public.*_log, id: [id], fields: {exclude: [secret]}}\n");
  EXPECT_THAT(sink.problems, IsEmpty());
  std::vector<std::string> uses;
  for (const ColumnUse& use : sink.column_uses) {
    uses.push_back(std::to_string(use.entry) + use.column + "@" +
                   std::to_string(use.location.line));
  }
  EXPECT_THAT(uses, ElementsAre("0id@4", "0tenant@5", "0secret@6", "0note@6", "1id@7"));
  EXPECT_THAT(
      ParseSink(kUrl + "tables:\n  - {match: t, fields: {rename: {a: x, b: x, c: _tailwater}}}\n")
          .problems,
      ElementsAre(HasSubstr("sink.yaml:3:43: tables[0].fields.rename.b: 'a' and 'b' get the same "
                            "field"),
                  HasSubstr("sink.yaml:3:49: tables[0].fields.rename.c: cannot be the name of a "
                            "field")));
  EXPECT_THAT(ParseSink(kUrl + "tables:\n  - {match: t, indx: x}\n").problems,
              ElementsAre("sink.yaml:3:16: tables[0]: unknown key 'indx' (did you mean 'index'?)"));
}

}  // namespace
}  // namespace tailwater::opensearch
