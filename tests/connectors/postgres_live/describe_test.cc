// DescribeTables: what a condition is checked against is what the stream brings.
#include <set>

#include "connectors/postgres_live/live_fixture.h"
#include "postgres/postgres_tools.h"

namespace tailwater::postgres {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string Readable(const std::vector<Column>& columns) {
  std::string text;
  for (const Column& column : columns) {
    text += fmt::format("{}{}{}{} {} as {}", text.empty() ? "" : ", ", column.name,
                        column.key ? "*" : "", column.generated ? " generated" : "",
                        column.type_name, ValueTypeName(column.type));
  }
  return text;
}

class DescribeTest : public LiveTest {
 protected:
  DescribeTest() {
    writer_.inspect = [this](const Change& change) {
      if (change.schema != nullptr)
        streamed_[change.schema->table()] = Readable(change.schema->columns());
    };
  }

  std::map<std::string, TableDescription> Described() {
    auto tables = PostgresTools(config_, Context()).DescribeTables();
    EXPECT_OK(tables);
    std::map<std::string, TableDescription> described;
    if (!tables) return described;
    for (TableDescription& table : *tables)
      described.emplace(table.schema->table(), std::move(table));
    return described;
  }

  // Describes before and after the publication exists, then streams one insert into each table.
  void ExpectTheSameOfTheStream(const std::vector<std::string>& inserts) {
    const auto first = Described();
    EXPECT_EQ(first.size(), inserts.size());
    Start();
    ASSERT_TRUE(WaitForStreaming());
    for (const std::string& insert : inserts) Run(insert);
    ASSERT_TRUE(writer_.WaitForChanges(inserts.size()));
    const auto second = Described();
    EXPECT_OK(Stop());
    EXPECT_EQ(streamed_.size(), inserts.size());
    for (const auto& [table, columns] : streamed_) {
      ASSERT_TRUE(first.contains(table)) << table;
      EXPECT_EQ(Readable(first.at(table).schema->columns()), columns) << table;
      EXPECT_EQ(second.at(table).schema->fingerprint(), first.at(table).schema->fingerprint());
    }
  }

  std::map<std::string, std::string> streamed_;
};

TEST_F(DescribeTest, GivesEachIdentityTheKeyOfTheStream) {
  Run("create table plain (b text, id int primary key, a int)");
  Run("create table two (a int, b int, c int, primary key (c, a))");
  Run("create table whole (a int primary key, b text); alter table whole replica identity full");
  Run("create table keyless (a int, b text); alter table keyless replica identity full");
  Run("create table late (a int primary key deferrable, b text); "
      "alter table late replica identity full");
  Run("create table chosen (a int primary key, b text not null, c int); create unique index "
      "chosen_b on chosen (b) include (c); alter table chosen replica identity using index "
      "chosen_b");
  Run("create table \"Odd.Name\" (\"a \"\"b\"\"\" int primary key, \"Ünï\" text)");
  Run("create table computed (a int primary key, b int generated always as (a * 2) stored, c int)");
  Run("create table shrunk (a int primary key, b int, c int); alter table shrunk drop column b");
  ExpectTheSameOfTheStream(
      {"insert into plain values ('x', 1, 2)", "insert into two values (1, 2, 3)",
       "insert into whole values (1)", "insert into keyless values (1)",
       "insert into late values (1)", "insert into chosen values (1, 'x', 2)",
       "insert into \"Odd.Name\" values (1)", "insert into computed (a) values (1)",
       "insert into shrunk values (1, 2)"});
  EXPECT_EQ(streamed_.at("public.chosen"),
            "a integer as int64, b* text as text, c integer as int64");
}

TEST_F(DescribeTest, DescribesAPartitionedTableAsItsRoot) {
  if (version() < 13) GTEST_SKIP() << "12 publishes partitions alone";
  Run("create table events (id int, at date, body text, primary key (id, at)) "
      "partition by range (at)");
  Run("create table events_24 partition of events for values from ('2024-01-01') to "
      "('2025-01-01')");
  Run("create table events_25 partition of events for values from ('2025-01-01') to "
      "('2026-01-01')");
  ExpectTheSameOfTheStream({"insert into events values (1, '2024-05-01', 'x')"});

  // FULL only once the leaves, where the rows lie, have it too.
  Run("alter table events replica identity full; alter table events_24 replica identity full");
  TableDescription events = Described().at("public.events");
  EXPECT_FALSE(events.whole_before);
  EXPECT_THAT(events.whole_before_remedy,
              StartsWith("ALTER TABLE public.events_25 REPLICA IDENTITY FULL;\n--"));
  Run("alter table events_25 replica identity full");
  EXPECT_TRUE(Described().at("public.events").whole_before);
}

TEST_F(DescribeTest, LeavesOutWhatAColumnListLeavesOut) {
  if (version() < 15) GTEST_SKIP() << "column lists begin with 15";
  Run("create table t (a int primary key, b text, c int)");
  Run("create publication chosen for table t (a, c)");
  config_.publication = {.name = "chosen", .create = false};
  ExpectTheSameOfTheStream({"insert into t values (1, 'x', 2)"});
  EXPECT_EQ(streamed_.at("public.t"), "a* integer as int64, c integer as int64");
}

TEST_F(DescribeTest, HasGeneratedColumnsWhereThePublicationDoes) {
  if (version() < 18) GTEST_SKIP() << "generated columns are published from 18 on";
  Run("create table t (a int primary key, b int generated always as (a * 2) stored, "
      "c int generated always as (a * 3) virtual)");
  Run("create publication computed for table t with (publish_generated_columns = stored)");
  config_.publication = {.name = "computed", .create = false};
  ExpectTheSameOfTheStream({"insert into t values (1)"});
  EXPECT_EQ(streamed_.at("public.t"), "a* integer as int64, b generated integer as int64");
}

TEST_F(DescribeTest, SaysWhatWholeOldRowsWouldCost) {
  Run("create table public.t (id int primary key, plan text)");
  Run("insert into t select i, 'free' from generate_series(1, 1000) i");
  Run("analyze t");
  const TableDescription before = Described().at("public.t");
  EXPECT_FALSE(before.whole_before);
  EXPECT_THAT(before.whole_before_remedy,
              StartsWith("ALTER TABLE public.t REPLICA IDENTITY FULL;\n-- The log then carries the "
                         "whole old row of each UPDATE and DELETE: about "));
  EXPECT_THAT(before.whole_before_remedy, HasSubstr(" bytes each, large values aside"));
  Run(before.whole_before_remedy);
  const TableDescription after = Described().at("public.t");
  EXPECT_TRUE(after.whole_before);
  EXPECT_EQ(after.whole_before_remedy, "");
}

TEST_F(DescribeTest, FailsWhereTheServerIsNotThere) {
  config_.port = 1;
  EXPECT_THAT(PostgresTools(config_, Context()).DescribeTables(), IsErrorWith("pg_unreachable"));
}

}  // namespace
}  // namespace tailwater::postgres
