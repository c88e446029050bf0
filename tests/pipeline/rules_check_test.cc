#include "pipeline/rules_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "config/load_config.h"
#include "pipeline/table_describer.h"
#include "support/manual_clock.h"
#include "support/matchers.h"
#include "support/temporary_folder.h"
#include "support/topic_feeder.h"

namespace tailwater {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Severity = Finding::Severity;

constexpr char kRemedy[] = "ALTER TABLE public.plans REPLICA IDENTITY FULL;\n-- It costs.";

struct DatabaseConfig {};
struct CallConfig {};
// A mapping of one column.
struct CallTable {
  std::string id;
  std::string was;
};

class RulesCheckTest : public ::testing::Test {
 protected:
  RulesCheckTest() {
    registry_.AddSource<DatabaseConfig>({.type = "database",
                                         .summary = "A source.",
                                         .options = {},
                                         .validate = {},
                                         .create = {},
                                         .tools = {}});
    registry_.AddSink<CallConfig, CallTable>(
        {.type = "calls",
         .summary = "A trigger sink.",
         .options = {},
         .table_options = {Field("id", &CallTable::id, "A column."),
                           Field("was", &CallTable::was, "A column of the old row.")},
         .traits = {.trigger = true},
         .validate = {},
         .column_uses =
             [](const CallConfig&, const TableRules<CallTable>& tables) {
               std::vector<ColumnUse> uses;
               for (size_t i = 0; i < tables.options.size(); ++i) {
                 const ConfigNode& entry = tables.selection.entries()[i].options;
                 if (const ConfigNode* node = entry.Find("id"))
                   uses.push_back({i, false, tables.options[i].id, node->location, node->path});
                 if (const ConfigNode* node = entry.Find("was"))
                   uses.push_back({i, true, tables.options[i].was, node->location, node->path});
               }
               return uses;
             },
         .create = {}});
    tables_["shop"] = {
        {TestSchema("plans", {"id*:int64", "plan:text", "seats:int64"}), false, kRemedy},
        {TestSchema("orders", {"id*:int64", "total:int64"}), true, ""}};
  }

  // Findings for a sink with these entries, "severity code subject: what a log would say".
  std::vector<std::string> Check(const std::string& entries) {
    const std::string path = folder_ / "shop.yaml";
    std::ofstream(path) << "version: 1\npipeline: shop\nsources:\n  shop: {type: database}\n"
                           "topic: {path: data}\nsinks:\n  calls:\n    type: calls\n    tables:\n"
                        << entries;
    Problems problems;
    config_ = LoadConfig({path}, registry_, problems);
    for (const Problem& problem : problems.list()) ADD_FAILURE() << problem.ToString();
    std::vector<std::string> texts;
    if (!problems.empty()) return texts;
    for (const RuleFinding& found : CheckRules(Sink(), tables_, 1)) {
      constexpr const char* kNames[] = {"ok", "info", "warning", "error"};
      std::string text = std::string(kNames[static_cast<size_t>(found.finding.severity)]) + " " +
                         found.finding.code + " " + found.finding.subject + ": " + found.ToString();
      const std::string folder = folder_ / "";
      if (const size_t at = text.find(folder); at != text.npos) text.erase(at, folder.size());
      texts.push_back(std::move(text));
    }
    return texts;
  }
  const SinkConfig& Sink() { return config_.pipelines[0].sinks[0]; }

  TemporaryFolder folder_;
  Registry registry_;
  Config config_;
  DescribedTables tables_;
};

TEST_F(RulesCheckTest, IsContentWithWhatFits) {
  EXPECT_THAT(Check("      - {match: public.plans, when: NEW.seats > 3 AND OLD.id = 1, id: id}\n"
                    "      - {match: public.orders, when: OLD.total <> NEW.total, was: total}\n"),
              IsEmpty());
  EXPECT_TRUE(NeedsTables(Sink()));
  EXPECT_THAT(Check("      - {match: public.plans}\n"), IsEmpty());
  EXPECT_FALSE(NeedsTables(Sink()));
}

TEST_F(RulesCheckTest, RefusesAnOldColumnThatTheLogNeverCarries) {
  EXPECT_THAT(
      Check("      - {match: public.plans, when: NEW.seats = 1 AND OLD.seats <> 1}\n"),
      ElementsAre("error condition_column_missing public.plans: shop.yaml:10:37: "
                  "sinks.calls.tables[0].when: reads OLD.seats, but the log carries only the key "
                  "of an old row of public.plans: the sink would stop in front of the first "
                  "update or delete that needs it: ALTER TABLE public.plans REPLICA IDENTITY FULL; "
                  "-- It costs. -- Or "
                  "leave such changes out: on_missing_before: skip"));
}

TEST_F(RulesCheckTest, WarnsWhereSuchChangesAreLeftOut) {
  EXPECT_THAT(
      Check("      - {match: public.plans, when: NEW.seats = 1 AND changed(seats),\n"
            "         on_missing_before: skip}\n"),
      ElementsAre(AllOf(HasSubstr("warning condition_column_missing public.plans: shop.yaml:10:37"),
                        HasSubstr("reads OLD.seats"), HasSubstr(": ALTER TABLE public.plans"))));
}

TEST_F(RulesCheckTest, RefusesAConditionThatCouldNeverBeTrue) {
  EXPECT_THAT(
      Check("      - {match: public.plans, when: OLD.seats > 1, on_missing_before: skip}\n"),
      ElementsAre(AllOf(HasSubstr("error condition_never_true public.plans: "),
                        HasSubstr(": ALTER TABLE public.plans"))));
  // An insert has no old row, and this asks for that.
  EXPECT_THAT(
      Check("      - {match: public.plans, when: OLD.seats IS NULL, on_missing_before: skip}\n"),
      ElementsAre(HasSubstr("warning condition_column_missing")));
  EXPECT_THAT(Check("      - {match: public.orders, when: op = 'insert' AND OLD.total > 1}\n"),
              ElementsAre(HasSubstr("error condition_does_not_fit public.orders: ")));
}

TEST_F(RulesCheckTest, RefusesColumnsThatDoNotExist) {
  EXPECT_THAT(Check("      - {match: public.plans, when: NEW.plam = 'free'}\n"
                    "      - {match: public.orders, id: totl}\n"),
              ElementsAre(AllOf(HasSubstr("error condition_does_not_fit public.plans: "
                                          "shop.yaml:10:37: sinks.calls.tables[0].when: "),
                                HasSubstr("plam")),
                          "error mapping_column_unknown public.orders: shop.yaml:11:36: "
                          "sinks.calls.tables[1].id: public.orders has no column 'totl' (did you "
                          "mean 'total'?)"));
}

TEST_F(RulesCheckTest, RefusesAMappingOfAnOldColumnThatTheLogNeverCarries) {
  EXPECT_THAT(Check("      - {match: public.plans, was: seats}\n"
                    "      - {match: public.orders, was: total}\n"),
              ElementsAre("error mapping_column_missing public.plans: shop.yaml:10:36: "
                          "sinks.calls.tables[0].was: reads OLD.seats, but the log carries only "
                          "the key of an old row of public.plans: ALTER TABLE public.plans REPLICA "
                          "IDENTITY FULL; -- It costs."));
  EXPECT_TRUE(NeedsTables(Sink()));
}

TEST_F(RulesCheckTest, TellsOfLargeValuesThatAnUpdateLeavesOut) {
  EXPECT_THAT(Check("      - {match: public.plans, when: NEW.plan = 'free', id: plan}\n"),
              ElementsAre(AllOf(HasSubstr("info condition_large_value public.plans: "),
                                HasSubstr("reads NEW.plan")),
                          HasSubstr("info mapping_large_value public.plans: ")));
}

TEST_F(RulesCheckTest, WarnsOfEntriesThatDecideForNoTable) {
  EXPECT_THAT(Check("      - {match: public.plns}\n"
                    "      - public.plans\n"
                    "      - {match: public.o*, exclude: [public.orders]}\n"
                    "      - 'public.*'\n"),
              ElementsAre("warning table_entry_unused public.plns: shop.yaml:10:9: "
                          "sinks.calls.tables[0]: 'public.plns' matches no captured table that "
                          "exists now (did you mean 'public.plans'?): correct the name, or create "
                          "the table",
                          AllOf(HasSubstr("warning table_entry_overridden public.plans: "),
                                HasSubstr("shop.yaml:11:9")),
                          AllOf(HasSubstr("warning table_entry_overridden public.o*: "),
                                HasSubstr("shop.yaml:12:9"))));
  tables_.clear();  // nobody could be asked
  EXPECT_THAT(Check("      - {match: public.plns}\n"), IsEmpty());
}

TEST(TableDescriberTest, AsksOncePerFewSecondsAndLeavesOutWhoDoesNotAnswer) {
  ManualClock clock;
  int asked = 0;
  bool down = true;
  TableDescriber describer(
      {{"shop",
        [&]() -> Result<std::vector<TableDescription>> {
          ++asked;
          if (down) return Error{Disposition::kRetry, "pg_unreachable", "no answer"};
          return std::vector<TableDescription>{{TestSchema("plans", {"id*:int64"}), true, ""}};
        }}},
      Logger("test"), clock);
  EXPECT_THAT(describer.Describe(), IsEmpty());
  EXPECT_THAT(describer.Describe(), IsEmpty());
  EXPECT_EQ(asked, 1);
  down = false;
  clock.Advance(TableDescriber::kFreshFor);
  EXPECT_EQ(describer.Describe().at("shop").size(), 1u);
  EXPECT_EQ(describer.Describe().at("shop").size(), 1u);
  EXPECT_EQ(asked, 2);
}

}  // namespace
}  // namespace tailwater
