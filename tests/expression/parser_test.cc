#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>

#include "condition_testing.h"
#include "config/yaml.h"
#include "support/temporary_folder.h"

namespace tailwater {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(Parser, TakesTheWholeGrammar) {
  for (const char* text : {
           "op = 'update' AND NEW.plan = 'free' AND OLD.plan <> 'free'",
           "op == 'insert' OR op != 'delete'",
           "new.a < 1 and not (OLD.b >= .5) or NEW.\"Mixed Case\" IS NOT NULL",
           "NEW.a IS OLD.a AND NEW.a IS NOT OLD.a",
           "NEW.a IS DISTINCT FROM OLD.a OR NEW.a IS NOT DISTINCT FROM 3",
           "NEW.a ISNULL OR NEW.a NOTNULL OR NEW.a NOT NULL",
           "NEW.a IN (1, 2) AND NEW.a NOT IN (3)",
           "NEW.a BETWEEN 1 AND 2 AND NEW.a NOT BETWEEN -3 AND +4",
           "NEW.s LIKE 'a%' AND NEW.s NOT LIKE 'a\\%' ESCAPE '\\' AND NEW.s GLOB '*x'",
           "NEW.s REGEXP '^a+$' AND regexp('b', NEW.s)",
           "(NEW.a + 1) * 2 - 3 / 4 % 5 > -NEW.a",
           "NEW.s || 'x' = 'yx'",
           "NEW.j -> 'a' ->> '$.b' = 'c' AND NEW.j ->> 0 = 1",
           "CASE NEW.a WHEN 1 THEN TRUE WHEN 2 THEN FALSE ELSE NEW.b END",
           "CASE WHEN NEW.a = 1 THEN 'x' END = 'x'",
           "CASE op WHEN 'insert' THEN TRUE END",
           "CAST(NEW.s AS integer) = 1 OR CAST(NEW.s AS double precision) = 1 OR CAST(1 AS text) = "
           "'1'",
           "coalesce(NEW.s, OLD.s, '') = 'it''s' AND replace(NEW.s, 'a', 'b') = 'x'",
           "changed(plan) OR changed(NEW.plan) OR changed(\"Plan\")",
           "NEW.b = x'00fF'",
           "op IN ('insert', 'update') AND TRUE AND NOT FALSE",
           "NEW.größe = 1",
       }) {
    EXPECT_THAT(ParseProblems(text), IsEmpty()) << text;
  }
}

TEST(Parser, NamesTheWordThatIsWrong) {
  const struct {
    const char* text;
    const char* problem;
  } kCases[] = {
      {"", "when: an expression is missing, for example op = 'update'"},
      {"NEW.a =", "when: the expression ends too early"},
      {"NEW.a = 1)", "when: ')' has no place here"},
      {"(NEW.a = 1", "when: ')' expected to close the parenthesis, not the end"},
      {"NEW.a = 'x", "when: the ' here never ends"},
      {"NEW.a = 1;", "when: one expression alone, without ';'"},
      {"NEW.a & 1", "when: '&': there are no operators on bits"},
      {"NEW.a << 1", "when: '<<': there are no operators on bits"},
      {"NEW.a = ?", "when: '?': there are no parameters; write the value itself"},
      {"NEW.a = :x", "when: ':': there are no parameters; write the value itself"},
      {"NEW.a::text = 'x'", "when: '::' is not known here; write CAST(value AS type)"},
      {"NEW.a ~ 'x'", "when: '~' is not known here; write value REGEXP 'pattern'"},
      {"NEW.a ILIKE 'x'", "when: 'ILIKE' is not known here; write lower(value) LIKE 'pattern'"},
      {"NEW.a = 12ab", "when: '12ab' is no number"},
      {"NEW.a = 1.2.3", "when: '1.2.3' is no number"},
      {"NEW.a = x'0'", "when: x'0' must hold an even number of hexadecimal digits"},
      {"NEW.a = 1 -- why",
       "when: no comments in an expression; write a line of its own with # above it"},
      {"plan = 'free'",
       "when: 'plan' is a bare column: write NEW.plan or OLD.plan (or 'plan' if it is text)"},
      {"NEW.plan = \"free\"",
       "when: \"free\" names a column in SQL, 'free' is text: write 'free', NEW.\"free\" or "
       "OLD.\"free\""},
      {"orders.plan = 1", "when: 'orders': only NEW. and OLD. can stand in front of a column"},
      {"NEW = 1", "when: 'NEW' is a whole row: write NEW.column"},
      {"NEW.* = 1", "when: a column's name expected after 'NEW.', not '*'"},
      {"NEW.a IN (SELECT 1)",
       "when: 'SELECT': no subqueries; a condition sees one change and no table"},
      {"EXISTS (SELECT 1)",
       "when: 'EXISTS': no subqueries; a condition sees one change and no table"},
      {"DELETE FROM orders",
       "when: 'DELETE': a condition is an expression and cannot run statements"},
      {"NEW.a = 1 UPDATE t",
       "when: 'UPDATE': a condition is an expression and cannot run statements"},
      {"op = update", "when: 'update' is text: write it in single quotes"},
      {"op = 'updated'",
       "when: op is never 'updated' (did you mean 'update'?); it is one of insert, update, delete, "
       "truncate, read, message"},
      {"op IN ('insert', 'UPDATE')",
       "when: op is never 'UPDATE' (did you mean 'update'?); it is one of insert, update, delete, "
       "truncate, read, message"},
      {"op = NEW.a",
       "when: op compares with a text in single quotes, one of insert, update, delete, truncate, "
       "read, message"},
      {"op", "when: op alone is no condition: write op = 'update'"},
      {"lower(op) = 'update'", "when: op works with =, <>, IN and IS only"},
      {"op < 'update'", "when: op works with =, <>, IN and IS only"},
      {"now() > NEW.at",
       "when: 'now' is another value at each moment, and a replay must give the same answer; "
       "compare with a column"},
      {"NEW.at < CURRENT_TIMESTAMP",
       "when: 'CURRENT_TIMESTAMP' is another value at each moment, and a replay must give the same "
       "answer; compare with a column"},
      {"NEW.at < date('now')",
       "when: 'date' is another value at each moment, and a replay must give the same answer; "
       "compare with a column"},
      {"random() > 0",
       "when: 'random' is another value at each moment, and a replay must give the same answer; "
       "compare with a column"},
      {"NEW.at > DATE '2026-01-01'",
       "when: DATE '2026-01-01': write '2026-01-01' alone; it takes the type of the column that it "
       "is compared with"},
      {"NEW.at > INTERVAL '1 day'",
       "when: there are no intervals here; compare epoch(a) - epoch(b) with seconds"},
      {"count(*) > 1", "when: 'count': a condition sees one change; there are no aggregates"},
      {"max(NEW.a) > 1",
       "when: max takes 2 or more arguments, not 1; a condition sees one change, there are no "
       "aggregates"},
      {"length() > 1", "when: length takes 1 argument, not 0"},
      {"substr(NEW.a) = 'x'", "when: substr takes 2 to 3 arguments, not 1"},
      {"changed('plan')", "when: changed takes a column's name, as in changed(plan), not 'plan'"},
      {"NEW.a IN ()", "when: IN () holds nothing, so it never matches"},
      {"NEW.a BETWEEN 1 OR 2", "when: AND expected after BETWEEN x, not 'OR'"},
      {"NEW.a NOT 1", "when: IN, BETWEEN, LIKE, GLOB or REGEXP expected after NOT, not '1'"},
      {"CASE WHEN NEW.a = 1 END", "when: THEN expected in CASE, not 'END'"},
      {"CAST(NEW.a AS money) = 1",
       "when: CAST knows the types integer, real, text and numeric, not 'money'"},
      {"NEW.a REGEXP '('", "when: '(' is no regular expression: missing ): ("},
      {"NEW.a GLOB '[a'", "when: '[a' is no pattern of GLOB: look at its [ ]"},
      {"NEW.a GLOB '[z-a]'", "when: '[z-a]' is no pattern of GLOB: look at its [ ]"},
      {"NEW.a GLOB OLD.a", "when: the pattern of GLOB must be a text in single quotes"},
      {"NEW.j ->> -1 = 1", "when: ->> takes a key in single quotes or the number of an element"},
      {"NEW.j -> 'a\"b' = 1", "when: 'a\"b': -> knows no key with a quote or a backslash"},
      {"NEW.a REGEXP OLD.a", "when: the pattern of REGEXP must be a text in single quotes"},
      {"NEW.a LIKE '100\\%'",
       "when: '100\\%' holds a backslash: say what it is, ESCAPE '\\', or another character after "
       "ESCAPE"},
      {"NEW.a LIKE 'a!' ESCAPE '!'", "when: the pattern 'a!' ends with its ESCAPE character"},
      {"NEW.a LIKE 'a' ESCAPE 'xy'", "when: ESCAPE takes one character in single quotes"},
      {"json_extract(NEW.j, 'plan') = 'x'", "when: a JSON path begins with $: write '$.plan'"},
      {"json_extract(NEW.j, '$[') = 'x'",
       "when: '$[' is no JSON path; write them as '$.plan.items[0]'"},
      {"NEW.a > 1e999", "when: the number 1e999 is out of range"},
      {"NEW.`a` = 1", "when: '`' quotes no names here; write NEW.\"name\""},
      {"NEW.a COLLATE NOCASE = 'x'",
       "when: 'COLLATE' is not known here: texts compare byte by byte; write lower(value)"},
  };
  for (const auto& test : kCases) {
    const std::vector<std::string> problems = ParseProblems(test.text);
    ASSERT_EQ(problems.size(), 1u) << test.text << testing::PrintToString(problems);
    EXPECT_EQ(problems[0], test.problem) << test.text;
  }
}

TEST(Parser, SuggestsAndListsFunctions) {
  const auto problems = ParseProblems("lowr(NEW.a) = 'x'");
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_THAT(problems[0], HasSubstr("unknown function 'lowr' (did you mean 'lower'?); there are "
                                     "abs, changed, coalesce, epoch,"));
}

TEST(Parser, ReportsSeveralProblemsAtOnce) {
  EXPECT_EQ(ParseProblems("op = 'updat' AND plan = \"free\" AND lowr(NEW.a) = 'x'").size(), 4u);
}

TEST(Parser, RefusesWhatIsNoText) {
  ConfigNode node;
  node.kind = ConfigNode::Kind::kList;
  node.path = "when";
  Problems problems;
  EXPECT_EQ(Condition::Parse(node, problems), nullptr);
  EXPECT_EQ(problems.list()[0].message, "when: must be an expression, for example op = 'update'");
}

TEST(Parser, HasLimitsOfTextAndDepth) {
  const auto nested = [](int depth) {
    return std::string(static_cast<size_t>(depth), '(') + "TRUE" +
           std::string(static_cast<size_t>(depth), ')');
  };
  EXPECT_THAT(ParseProblems(nested(99)), IsEmpty());
  EXPECT_THAT(ParseProblems(nested(5000)), ElementsAre("when: nested more than 100 levels deep"));
  std::string nots, minuses, sums = "0";
  for (int i = 0; i < 2000; ++i) nots += "NOT ", minuses += "- ", sums += "+1";
  for (const std::string& text : {nots + "TRUE", minuses + "NEW.a = 1", sums + " = 1"}) {
    EXPECT_THAT(ParseProblems(text), ElementsAre("when: nested more than 100 levels deep"));
  }
  EXPECT_THAT(ParseProblems(std::string(20'000, ' ')),
              ElementsAre("when: an expression can have 16384 bytes, and this one has 20000"));
}

TEST(Parser, KnowsItsColumns) {
  const auto condition = MustParse("NEW.b = 1 AND OLD.a = 2 AND changed(c) AND OLD.b = 3");
  ASSERT_NE(condition, nullptr);
  std::string columns;
  for (const ExpressionColumn& column : condition->columns()) {
    columns += column.name + (column.before ? " old" : "") + (column.after ? " new" : "") + ";";
  }
  EXPECT_EQ(columns, "a old;b old new;c old new;");
}

// The place of a word, as an editor jumps to it.
class ParserPlaces : public testing::Test {
 protected:
  std::string PlaceOf(const std::string& yaml) {
    const std::string path = folder_ / "when.yaml";
    std::ofstream(path) << yaml;
    Problems problems;
    const auto root = ParseYaml(yaml, path, problems);
    EXPECT_TRUE(problems.empty());
    const ConfigNode* when = root->Find("when");
    EXPECT_EQ(Condition::Parse(*when, problems), nullptr);
    const Location& location = problems.list().at(0).location;
    return std::to_string(location.line) + ":" + std::to_string(location.column);
  }
  TemporaryFolder folder_;
};

TEST_F(ParserPlaces, PointsAtTheWordInsideOfPlainAndQuotedText) {
  EXPECT_EQ(PlaceOf("a: 1\nwhen: NEW.x = 1 AND plan = 2\n"), "2:21");
  EXPECT_EQ(PlaceOf("when: \"NEW.x = 1 AND plan = 2\"\n"), "1:22");
  EXPECT_EQ(PlaceOf("when: 'NEW.x = 1 AND plan = 2'\n"), "1:22");
}

TEST_F(ParserPlaces, PointsAtTheValueIfTheFileHoldsAnotherText) {
  EXPECT_EQ(PlaceOf("when: 'NEW.x = ''1'' AND plan = 2'\n"), "1:7");
  EXPECT_EQ(PlaceOf("when: >\n  NEW.x = 1\n  AND plan = 2\n"), "1:7");
}

}  // namespace
}  // namespace tailwater
