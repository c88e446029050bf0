// What the sink does about rows, tables and settings that are refused.
#include <gmock/gmock.h>

#include <chrono>

#include "clickhouse/start_check.h"
#include "connectors/clickhouse_live/sink_fixture.h"

namespace tailwater::clickhouse {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST_F(ClickHouseSinkTest, ARefusalAmongChangesOfARowIsFoundAlone) {
  options_.columns.types.list = {{"note", "Nullable(FixedString(1))", {}, ""}};
  Reopen();
  DeliveryBatchBuilder batch;
  batch.Insert(orders_, 1, {Int(1), Text("a")})
      .Insert(orders_, 2, {Int(2), Text("b")})
      .Update(orders_, 3, {Int(1), Text("c")})
      .Update(orders_, 4, {Int(1), Text("too long")})
      .Update(orders_, 5, {Int(2), Text("d")});
  const auto verdicts = Write(batch);
  for (const size_t good : {0, 1, 2, 4}) {
    EXPECT_EQ(verdicts[good].kind, Verdict::Kind::kApplied) << good << verdicts[good].reason;
  }
  EXPECT_EQ(verdicts[3].kind, Verdict::Kind::kRejected);
  EXPECT_EQ(verdicts[3].code, "clickhouse_value_unfit");
  EXPECT_THAT(verdicts[3].reason, HasSubstr("column note: a value of type text"));
  EXPECT_THAT(verdicts[3].reason, ::testing::Not(HasSubstr("too long")));
  EXPECT_THAT(Orders(), ElementsAre("1|c", "2|d"));
}

TEST_F(ClickHouseSinkTest, ARowThatTheServerRefusesIsFoundByHalving) {
  server_.Execute("CREATE TABLE " + Place("orders") +
                  " (id Int64, note Nullable(String), _version UInt64, _deleted UInt8, CONSTRAINT "
                  "short CHECK length(ifNull(note, '')) < 3) ENGINE = "
                  "ReplacingMergeTree(_version, _deleted) ORDER BY id");
  DeliveryBatchBuilder batch;
  for (int i = 0; i < 20; ++i) {
    batch.Insert(orders_, i + 1, {Int(i), Text(i == 13 ? "secret" : "ok")});
  }
  const auto verdicts = Write(batch);
  for (size_t i = 0; i < verdicts.size(); ++i) {
    EXPECT_EQ(verdicts[i].kind, i == 13 ? Verdict::Kind::kRejected : Verdict::Kind::kApplied);
  }
  EXPECT_EQ(verdicts[13].code, "clickhouse_row_refused");
  EXPECT_THAT(verdicts[13].reason, ::testing::Not(HasSubstr("secret")));
  EXPECT_EQ(Orders().size(), 19u);
}

TEST_F(ClickHouseSinkTest, AChangeThatWasRefusedLeavesNoBase) {
  const SchemaPtr wide = TestSchema("orders", {"id*:int64", "note:text", "big:text"});
  options_.columns.types.list = {{"note", "Nullable(FixedString(1))", {}, ""}};
  Reopen();
  EXPECT_EQ(WriteOne(wide, 1, {Int(1), Text("a"), Text("big 1")}).kind, Verdict::Kind::kApplied);
  EXPECT_EQ(WriteOne(wide, 2, {Int(1), Text("xx"), Text("big 2")}).kind, Verdict::Kind::kRejected);
  for (int64_t version = 3; version < 5; ++version) {
    const Verdict behind = WriteOne(wide, version, {Int(1), Text("c"), Value::Unchanged()});
    EXPECT_EQ(behind.kind, Verdict::Kind::kRejected);
    EXPECT_EQ(behind.code, kBaseMissing);
    Reopen();  // it is remembered in the database
  }
  EXPECT_EQ(WriteOne(wide, 5, {Int(1), Text("d"), Text("big 4")}).kind, Verdict::Kind::kApplied);
  EXPECT_EQ(WriteOne(wide, 6, {Int(1), Text("e"), Value::Unchanged()}).kind,
            Verdict::Kind::kApplied);
  EXPECT_THAT(Orders("id, note, big"), ElementsAre("1|e|big 4"));
}

TEST_F(ClickHouseSinkTest, ARefusalAmongChangesOfARowLeavesNoBaseForThoseBehindIt) {
  const SchemaPtr wide = TestSchema("orders", {"id*:int64", "note:text", "big:text"});
  options_.columns.types.list = {{"note", "Nullable(FixedString(1))", {}, ""}};
  Reopen();
  DeliveryBatchBuilder batch;
  batch.Insert(wide, 1, {Int(1), Text("a"), Text("big 1")})
      .Update(wide, 2, {Int(1), Text("too long"), Text("big 2")})
      .Update(wide, 3, {Int(1), Value::Unchanged(), Text("big 3")});
  const auto verdicts = Write(batch);
  EXPECT_EQ(verdicts[0].kind, Verdict::Kind::kApplied) << verdicts[0].reason;
  EXPECT_EQ(verdicts[1].code, "clickhouse_value_unfit");
  EXPECT_EQ(verdicts[2].code, kBaseMissing) << "its note is the one that was refused";
  EXPECT_THAT(Orders("id, note, big"), ElementsAre("1|a|big 1"));
  // Each refusal is remembered by itself: that of a newer change hides none, whatever comes again.
  EXPECT_EQ(WriteOne(wide, 9, {Int(1), Text("too long"), Text("big 9")}).kind,
            Verdict::Kind::kRejected);
  Reopen();
  EXPECT_EQ(WriteOne(wide, 3, {Int(1), Value::Unchanged(), Text("big 3")}).code, kBaseMissing);
  EXPECT_EQ(WriteOne(wide, 2, {Int(1), Text("b"), Text("big 2")}).kind, Verdict::Kind::kApplied);
}

TEST_F(ClickHouseSinkTest, ARowThatWasRefusedForItsSchemaIsNoBaseEither) {
  Reopen(SchemaChanges::kIgnore);
  const SchemaPtr before = TestSchema("orders", {"id*:int64", "note:int64", "big:text"});
  const SchemaPtr between = TestSchema("orders", {"id*:int64", "note:uuid", "big:text"});
  EXPECT_EQ(WriteOne(before, 1, {Int(1), Int(7), Text("big 1")}).kind, Verdict::Kind::kApplied);
  EXPECT_EQ(WriteOne(between, 2, {Int(1), Value::Uuid("0123456789abcdef"), Text("big 2")}).code,
            "schema_incompatible");
  EXPECT_EQ(WriteOne(before, 3, {Int(1), Int(8), Value::Unchanged()}).code, kBaseMissing);
  EXPECT_THAT(Orders("id, note, big"), ElementsAre("1|7|big 1"));
}

TEST_F(ClickHouseSinkTest, ABatchOfRefusedRowsIsSortedOutInSeveralCalls) {
  server_.Execute("CREATE TABLE " + Place("orders") +
                  " (id Int64, note Nullable(String), _version UInt64, _deleted UInt8, CONSTRAINT "
                  "short CHECK length(ifNull(note, '')) < 3) ENGINE = "
                  "ReplacingMergeTree(_version, _deleted) ORDER BY id");
  constexpr int kRows = 36;
  std::vector<int> left(kRows);
  for (int i = 0; i < kRows; ++i) left[static_cast<size_t>(i)] = i;
  int refused = 0;
  int calls = 0;
  for (; !left.empty() && calls < 10; ++calls) {
    DeliveryBatchBuilder batch;
    for (const int id : left) {
      batch.Insert(orders_, id + 1, {Int(id), Text(id % 4 == 0 ? "ok" : "secret")});
    }
    const auto verdicts = Write(batch);
    std::vector<int> again;
    int refused_now = 0;
    for (size_t i = 0; i < verdicts.size(); ++i) {
      if (verdicts[i].kind == Verdict::Kind::kRejected) {
        ++refused_now;
      } else if (!verdicts[i].final()) {
        EXPECT_GT(verdicts[i].after.count(), 0);
        again.push_back(left[i]);
      }
    }
    EXPECT_LE(refused_now, 30);
    refused += refused_now;
    left = again;
  }
  EXPECT_EQ(refused, 27);
  EXPECT_EQ(Orders().size(), 9u);
  EXPECT_EQ(calls, 2);
}

TEST_F(ClickHouseSinkTest, AnAlteredColumnTakesWhatItRefused) {
  options_.columns.types.list = {{"note", "Nullable(FixedString(1))", {}, ""}};
  Reopen();
  EXPECT_EQ(WriteOne(orders_, 1, {Int(1), Text("ab")}).kind, Verdict::Kind::kRejected);
  server_.Execute("ALTER TABLE " + Place("orders") + " MODIFY COLUMN note Nullable(String)");
  DeliveryBatchBuilder batch;
  batch.Update(orders_, 2, {Int(1), Text("ab")});
  EXPECT_THAT(sink_->Write(batch.Build()), IsErrorWith("clickhouse_table_changed"));
  EXPECT_EQ(Write(batch).at(0).kind, Verdict::Kind::kApplied);
  EXPECT_THAT(Orders(), ElementsAre("1|ab"));
}

TEST_F(ClickHouseSinkTest, TablesThatAreThereAreLookedAtAtStart) {
  const auto table = [&](const std::string& name, const std::string& columns,
                         const std::string& behind) {
    server_.Execute("CREATE TABLE " + Place(name) + " (id Int64, day Date, " + columns +
                    ") ENGINE = " + behind);
  };
  const std::string own = "_version UInt64, _deleted UInt8";
  const std::string engine = "ReplacingMergeTree(_version, _deleted) ";
  table("fits", own, engine + "ORDER BY (id, day) PARTITION BY day");
  table("other_engine", own, "MergeTree ORDER BY id");
  table("no_key", own, engine + "ORDER BY tuple()");
  table("by_version", own, engine + "ORDER BY (id, _version)");
  table("partitioned", own, engine + "ORDER BY id PARTITION BY day");
  table("lacks", "x Int8", "ReplacingMergeTree ORDER BY id");
  table("narrow", "_version UInt32, _deleted UInt8", engine + "ORDER BY id");
  const auto found = [&](std::vector<std::string> patterns) {
    TableRules<ClickHouseTableOptions> rules;
    ConfigNode list;
    list.kind = ConfigNode::Kind::kList;
    for (std::string& pattern : patterns) {
      ConfigNode& item = list.items.emplace_back();
      item.kind = ConfigNode::Kind::kScalar;
      item.scalar = std::move(pattern);
    }
    Problems problems;
    rules.selection = TableSelection::Parse(&list, problems);
    rules.options.resize(rules.selection.entries().size());
    auto server = *Server::Open(config_, Logger("test"));
    const auto facts = server->Probe();
    auto findings = CheckAtStart(*server, config_, rules, *facts);
    EXPECT_OK(findings);
    return *std::move(findings);
  };
  const StartFindings all = found({"public.*"});
  EXPECT_EQ(all.of_named, "");
  for (const char* const part :
       {"`other_engine`: (1) its engine is MergeTree", "`no_key`: (1) it is sorted by ()",
        "`by_version`: (1) it is sorted by (id, _version)",
        "`partitioned`: (1) it is partitioned by day",
        "`lacks`: (1) its engine does not replace by _version",
        "ADD COLUMN `_version` UInt64, ADD COLUMN `_deleted` UInt8",
        "`narrow`: (1) column _version is UInt32, and has to be UInt64"}) {
    EXPECT_THAT(all.of_matched, HasSubstr(part));
  }
  EXPECT_THAT(all.of_matched, ::testing::Not(HasSubstr("fits")));
  EXPECT_THAT(all.of_matched, ::testing::Not(HasSubstr("_tailwater")));
  const StartFindings some = found({"public.f*", "public.no_key", "public.not_there"});
  EXPECT_THAT(some.of_named, HasSubstr("`no_key`: (1)"));
  EXPECT_THAT(some.of_named, ::testing::Not(HasSubstr("other_engine")));
  EXPECT_EQ(some.of_matched, "");
  config_.create = false;
  EXPECT_THAT(found({"public.not_there"}).of_named, HasSubstr("`not_there`: (1) it is not there"));
}

TEST_F(ClickHouseSinkTest, ASmallBatchWaitsOnceWhateverBecomesOfItsChanges) {
  options_.columns.types.list = {{"note", "Nullable(FixedString(1))", {}, ""}};
  config_.batch.interval = std::chrono::seconds(2);
  Reopen();
  EXPECT_TRUE(WriteOne(orders_, 1, {Int(1), Text("a")}).final());
  DeliveryBatchBuilder batch;  // tried one by one, as the last one is refused
  for (int64_t version = 2; version < 8; ++version) {
    batch.Update(orders_, version, {Int(1), Text(version < 7 ? "b" : "too long")});
  }
  const auto begin = std::chrono::steady_clock::now();
  const auto verdicts = Write(batch);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(8));
  EXPECT_EQ(verdicts[4].kind, Verdict::Kind::kApplied);
  EXPECT_EQ(verdicts[5].kind, Verdict::Kind::kRejected);
  EXPECT_THAT(Orders(), ElementsAre("1|b"));
}

TEST_F(ClickHouseSinkTest, ATableOfManyPartitionsIsWrittenToAsItsOwnerSaysAndSweptAnyway) {
  server_.Execute("CREATE TABLE " + Place("orders") +
                  " (id Int64, note Nullable(String), _version UInt64, _deleted UInt8) ENGINE = "
                  "ReplacingMergeTree(_version, _deleted) ORDER BY id PARTITION BY id");
  DeliveryBatchBuilder batch;
  for (int64_t id = 1; id <= 110; ++id) batch.Insert(orders_, id, {Int(id), Text("a")});
  const auto refused = sink_->Write(batch.Build());
  ASSERT_THAT(refused, IsErrorWith("clickhouse_too_many_partitions"));
  EXPECT_THAT(refused.error().message, HasSubstr("{max_partitions_per_insert_block: 0}"));
  config_.settings.list = {{"max_partitions_per_insert_block", "0", {}, ""}};
  Reopen();
  for (const Verdict& verdict : Write(batch)) EXPECT_EQ(verdict.kind, Verdict::Kind::kApplied);
  EXPECT_EQ(Orders().size(), 110u);
  ASSERT_OK(sink_->Sweep({"shop", "public.orders", 200, true}));
  EXPECT_THAT(Orders(), IsEmpty());
}

TEST_F(ClickHouseSinkTest, WrongNamesAndUsersSayWhatToDo) {
  ClickHouseConfig config = config_;
  config.database = "nowhere";
  auto sink = NewLiveSink(config, metrics_);
  const Status opened = sink->Open();
  EXPECT_THAT(opened, IsErrorWith("clickhouse_database_missing"));
  EXPECT_THAT(opened.error().message, HasSubstr("CREATE DATABASE `nowhere`"));
  config = config_;
  config.settings.list = {{"no_such_setting", "1", {}, ""}};
  sink = NewLiveSink(config, metrics_);
  ASSERT_OK(sink->Open());
  DeliveryBatchBuilder batch;
  batch.Insert(orders_, 1, {Int(1), Text("a")});
  EXPECT_THAT(sink->Write(batch.Build()), IsErrorWith("clickhouse_setting_refused"));
}

}  // namespace
}  // namespace tailwater::clickhouse
