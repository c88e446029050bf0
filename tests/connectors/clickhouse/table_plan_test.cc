#include "clickhouse/table_plan.h"

#include <gmock/gmock.h>

#include "clickhouse/base_reader.h"
#include "clickhouse/target_catalog.h"
#include "support/matchers.h"
#include "support/topic_feeder.h"

namespace tailwater::clickhouse {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class TablePlanTest : public ::testing::Test {
 protected:
  TablePlan Planned(const TableSchema& schema) {
    auto plan = PlanTable(config_, &options_, "shop", schema, server_);
    EXPECT_OK(plan);
    return plan ? *plan : TablePlan();
  }
  std::string Create(const TableSchema& schema) {
    return CreateStatement(Planned(schema), config_, server_);
  }
  std::string TypeOf(ValueType type, std::string type_name, bool key = false) {
    return CreatedType({.name = "c", .type = type, .type_name = std::move(type_name)}, key, config_,
                       server_);
  }
  Target MatchingTarget(const TablePlan& plan) {
    Target target{
        "ReplacingMergeTree",
        "ReplacingMergeTree(_version, _deleted) ORDER BY id SETTINGS index_granularity = 8192",
        {"id"},
        {}};
    for (const PlannedColumn& column : plan.columns) {
      target.columns.push_back({column.name, column.type, "", false});
    }
    for (const MetaColumn& column : plan.meta) {
      target.columns.push_back({column.name, column.type, "", false});
    }
    return target;
  }

  ClickHouseConfig config_;
  ClickHouseTableOptions options_;
  ServerFacts server_{.version = "26.9.1", .major = 26, .minor = 9, .timezone = "UTC"};
  SchemaPtr orders_ = TestSchema("orders", {"id*:int64", "note:text"});
};

TEST_F(TablePlanTest, ATableIsCreatedByItsKey) {
  EXPECT_EQ(Create(*orders_),
            "CREATE TABLE IF NOT EXISTS `default`.`orders` (`id` Int64, `note` Nullable(String), "
            "`_version` UInt64, `_deleted` UInt8) ENGINE = ReplacingMergeTree(`_version`, "
            "`_deleted`) ORDER BY (`id`) SETTINGS fsync_after_insert = 1, fsync_part_directory = "
            "1, non_replicated_deduplication_window = 1000");
  server_ = {.version = "18.16.1", .major = 18, .minor = 16};
  EXPECT_THAT(Create(*orders_), HasSubstr("ENGINE = ReplacingMergeTree(`_version`) ORDER BY"));
}

TEST_F(TablePlanTest, AnOriginIsPartOfTheKey) {
  config_.origin_column = "origin";
  EXPECT_THAT(Create(*orders_), HasSubstr("ORDER BY (`id`, `origin`)"));
}

TEST_F(TablePlanTest, AChangelogIsSortedByIdentityToo) {
  config_.mode = Mode::kChangelog;
  const std::string create = Create(*orders_);
  EXPECT_THAT(create, HasSubstr("ENGINE = ReplacingMergeTree ORDER BY (`id`, `_version`, `_id`)"));
  EXPECT_THAT(create, HasSubstr("`_op` LowCardinality(String), `_id` String"));
  const SchemaPtr keyless = TestSchema("visits", {"page:text"});
  EXPECT_THAT(Create(*keyless), HasSubstr("ORDER BY (`_version`, `_id`)"));
  config_.mode = Mode::kMirror;
  EXPECT_THAT(PlanTable(config_, nullptr, "shop", *keyless, server_),
              IsErrorWith("clickhouse_key_missing"));
}

TEST_F(TablePlanTest, TypesHoldWhatTheSourceHas) {
  EXPECT_EQ(TypeOf(ValueType::kInt64, "integer", true), "Int64");
  EXPECT_EQ(TypeOf(ValueType::kDecimal, "numeric(12,2)"), "Nullable(Decimal(12, 2))");
  EXPECT_EQ(TypeOf(ValueType::kDecimal, "decimal(65,30)"), "Nullable(Decimal(65, 30))");
  EXPECT_EQ(TypeOf(ValueType::kDecimal, "numeric"), "Nullable(String)");
  EXPECT_EQ(TypeOf(ValueType::kDecimal, "numeric(5,-2)"), "Nullable(String)");
  EXPECT_EQ(TypeOf(ValueType::kDecimal, "numeric(3,5)"), "Nullable(String)");
  EXPECT_EQ(TypeOf(ValueType::kDecimal, "numeric(100,2)"), "Nullable(String)");
  EXPECT_EQ(TypeOf(ValueType::kTimestampTz, "timestamp with time zone"),
            "Nullable(DateTime64(6, 'UTC'))");
  EXPECT_EQ(TypeOf(ValueType::kEnum, "mood", true), "LowCardinality(String)");
  EXPECT_EQ(TypeOf(ValueType::kEnum, "mood"), "LowCardinality(Nullable(String))");
  EXPECT_EQ(TypeOf(ValueType::kArray, "integer[]"), "Array(Nullable(Int64))");
  EXPECT_EQ(TypeOf(ValueType::kArray, "numeric(10,2)[]"), "Array(Nullable(Decimal(10, 2)))");
  EXPECT_EQ(TypeOf(ValueType::kArray, "timestamp(3) with time zone[]"),
            "Array(Nullable(DateTime64(6, 'UTC')))");
  EXPECT_EQ(TypeOf(ValueType::kArray, "character varying(20)[]"), "Array(Nullable(String))");
  EXPECT_EQ(TypeOf(ValueType::kJson, "jsonb"), "Nullable(String)");
  config_.json = JsonColumns::kNative;
  EXPECT_EQ(TypeOf(ValueType::kJson, "jsonb"), "Nullable(JSON)");
  config_.arrays = Arrays::kJson;
  EXPECT_EQ(TypeOf(ValueType::kArray, "integer[]"), "Nullable(String)");
  server_ = {.version = "18.16.1", .major = 18, .minor = 16};
  EXPECT_EQ(TypeOf(ValueType::kTimestampTz, "timestamptz"), "Nullable(String)");
  EXPECT_EQ(TypeOf(ValueType::kBool, "boolean"), "Nullable(UInt8)");
}

TEST_F(TablePlanTest, OptionsThatDoNotFitAreNamed) {
  options_.columns.exclude = {"id"};
  EXPECT_THAT(PlanTable(config_, &options_, "shop", *orders_, server_),
              IsErrorWith("clickhouse_options_unfit"));
  options_.columns.exclude = {};
  options_.order_by = {"note"};
  EXPECT_THAT(PlanTable(config_, &options_, "shop", *orders_, server_),
              IsErrorWith("clickhouse_options_unfit"));
  options_.order_by = {};
  const SchemaPtr clash = TestSchema("orders", {"id*:int64", "_version:text"});
  EXPECT_THAT(PlanTable(config_, &options_, "shop", *clash, server_),
              IsErrorWith("clickhouse_options_unfit"));
  options_.columns.rename.list = {{"_version", "their_version", {}, ""}};
  EXPECT_EQ(Planned(*clash).columns[1].name, "their_version");
}

TEST_F(TablePlanTest, TheOrderOfTheKeyMayBeChosen) {
  const SchemaPtr seats = TestSchema("seats", {"hall*:int64", "seat*:int64"});
  options_.order_by = {"seat", "hall"};
  EXPECT_THAT(Create(*seats), HasSubstr("ORDER BY (`seat`, `hall`)"));
}

TEST_F(TablePlanTest, InsertsCarryNamesAndTypes) {
  TablePlan plan = Planned(*orders_);
  FinishPlan(plan, server_);
  EXPECT_EQ(plan.insert,
            "INSERT INTO `default`.`orders` (`id`, `note`, `_version`, `_deleted`) FORMAT "
            "RowBinaryWithNamesAndTypes");
  EXPECT_EQ(plan.header[0], 4);
  EXPECT_THAT(plan.header, HasSubstr("Nullable(String)"));
  server_ = {.version = "18.16.1", .major = 18, .minor = 16};
  FinishPlan(plan, server_);
  EXPECT_TRUE(plan.header.empty());
  EXPECT_TRUE(plan.insert.ends_with("FORMAT RowBinary"));
}

TEST_F(TablePlanTest, BasesAreReadByKey) {
  const std::vector<WantedRow> wanted = {{"", "(1)"}, {"", "(2)"}};
  EXPECT_EQ(BaseQuery(Planned(*orders_), wanted, false),
            "SELECT `id`, `note`, `_version`, `_deleted` FROM `default`.`orders` WHERE (`id`) IN "
            "((1), (2)) ORDER BY `id`, `_version` DESC LIMIT 1 BY `id` FORMAT RowBinary");
}

TEST_F(TablePlanTest, AFittingTableHasNoDifferences) {
  const TablePlan plan = Planned(*orders_);
  EXPECT_THAT(Differences(plan, *orders_, MatchingTarget(plan), config_, server_), IsEmpty());
}

TEST_F(TablePlanTest, AllDifferencesAreToldAtOnce) {
  const SchemaPtr wide =
      TestSchema("orders", {"id*:int64", "note:text", "total:decimal", "at:timestamp"});
  const TablePlan plan = Planned(*wide);
  Target target = MatchingTarget(plan);
  target.engine = "MergeTree";
  target.engine_full = "MergeTree ORDER BY note";
  target.sorting_key = {"note"};
  for (TargetColumn& column : target.columns) {
    if (column.name == "note") column.type = ParseType("Int64");
    if (column.name == "_version") column.type = ParseType("UInt8");
    if (column.name == "at") column.type = ParseType("DateTime64(6, 'Europe/Berlin')");
  }
  std::erase_if(target.columns, [](const TargetColumn& column) { return column.name == "total"; });
  std::string all;
  for (const std::string& one : Differences(plan, *wide, target, config_, server_)) {
    all += one + "\n";
  }
  for (const char* part :
       {"engine is MergeTree", "column note is Int64", "column _version is UInt8",
        "zone Europe/Berlin", "ADD COLUMN `total` Nullable(String)"}) {
    EXPECT_THAT(all, HasSubstr(part));
  }
}

TEST_F(TablePlanTest, KeyPartitionAndEngineAreCompared) {
  const TablePlan plan = Planned(*orders_);
  Target target = MatchingTarget(plan);
  target.sorting_key = {"id", "note"};
  EXPECT_EQ(Differences(plan, *orders_, target, config_, server_).size(), 1u);
  target = MatchingTarget(plan);
  target.columns[1].in_partition_key = true;
  EXPECT_THAT(Differences(plan, *orders_, target, config_, server_),
              ElementsAre(HasSubstr("partitioned by note")));
  target = MatchingTarget(plan);
  target.engine_full = "ReplicatedReplacingMergeTree('/a', '{replica}', updated) ORDER BY id";
  EXPECT_THAT(Differences(plan, *orders_, target, config_, server_),
              ElementsAre(HasSubstr("does not replace by _version")));
  target.engine_full = "ReplicatedReplacingMergeTree('/a', '{replica}', _version) ORDER BY id";
  EXPECT_THAT(Differences(plan, *orders_, target, config_, server_), IsEmpty());
}

TEST(KeyListTest, PartsStandBetweenCommas) {
  EXPECT_THAT(ParseKeyList("id, `odd, name`, lower(a, b)"),
              ElementsAre("id", "odd, name", "lower(a,b)"));
  EXPECT_THAT(ParseKeyList("(id)"), ElementsAre("id"));
  EXPECT_THAT(ParseKeyList("(id, `b c`)"), ElementsAre("id", "b c"));
  EXPECT_THAT(ParseKeyList(""), IsEmpty());
  EXPECT_THAT(ParseKeyList("tuple()"), IsEmpty());
  EXPECT_THAT(EngineArguments("ReplacingMergeTree(v, d) ORDER BY (a, b)"), ElementsAre("v", "d"));
  EXPECT_THAT(EngineArguments("ReplacingMergeTree ORDER BY (a, b)"), IsEmpty());
}

}  // namespace
}  // namespace tailwater::clickhouse
