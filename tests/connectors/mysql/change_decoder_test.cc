#include "mysql/change_decoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "connectors/mysql/group_bytes.h"
#include "connectors/mysql/recorded_changes.h"
#include "support/matchers.h"
#include "support/temporary_folder.h"

namespace tailwater::mysql {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Lines = std::vector<std::string>;

const std::string kServer = "11111111-1111-1111-1111-111111111111";

// Tables of the database "other" are not ours.
class GroupTest : public testing::Test {
 protected:
  GroupTest(Flavour flavour, LogPosition position, bool placed = false)
      : log(flavour, placed), start(std::move(position)) {
    Make();
  }
  void Make(size_t spool_above_bytes = 8 << 20) {
    decoder = std::make_unique<ChangeDecoder>(
        ChangeDecoder::Options{
            .selects_table = [](const TableName& table) { return table.schema == "shop"; },
            .scratch_dir = folder.path(),
            .spool_above_bytes = spool_above_bytes,
            .describe_table = [](const TableName& table) -> Result<SchemaPtr> {
              if (table.name == "gone") return SchemaPtr();
              return TableSchema::Make(table, {{.name = "id", .type = ValueType::kInt64}});
            },
            .captured_tables = []() -> Result<std::vector<TableName>> {
              return std::vector<TableName>{{"shop", "a"}, {"shop", "b"}};
            }},
        catalog);
    Restart(start);
  }
  // A new dump from `position`.
  void Restart(const LogPosition& position) {
    decoder->Reset(position);
    Feed({log.Rotate("bin.000001", log.place()), log.Format()});
  }
  Status Decode(const std::string& event) { return decoder->Decode(event, out); }
  void Feed(const std::vector<std::string>& events) {
    for (const std::string& event : events) ASSERT_OK(Decode(event));
  }
  // The last one is refused.
  Error Refusal(const std::vector<std::string>& events) {
    for (size_t i = 0; i + 1 < events.size(); ++i) EXPECT_OK(Decode(events[i]));
    const Status status = Decode(events.back());
    if (!status) return status.error();
    ADD_FAILURE() << "it was taken";
    return {};
  }

  GroupBytes log;
  const LogPosition start;
  TemporaryFolder folder;
  TestCatalog catalog;
  RecordedChanges out;
  std::unique_ptr<ChangeDecoder> decoder;
};

LogPosition MysqlSet(const std::string& numbers) {
  return *LogPosition::Parse(LogPosition::Form::kMysqlGtid, kServer + ":" + numbers);
}
LogPosition MariaState(const std::string& text) {
  return *LogPosition::Parse(LogPosition::Form::kMariadbGtid, text);
}

class MysqlGroups : public GroupTest {
 protected:
  MysqlGroups() : GroupTest(Flavour::kMysql, MysqlSet("1-4")) {}
  static std::string At(const std::string& numbers) { return kServer + ":" + numbers; }
};

class MariaGroups : public GroupTest {
 protected:
  MariaGroups() : GroupTest(Flavour::kMariadb, MariaState("0-1-4")) {}
};

class FileGroups : public GroupTest {
 protected:
  FileGroups() : GroupTest(Flavour::kMysql, LogPosition(FilePosition{"bin.000001", 4}), true) {}
};

// --- MySQL ---

TEST_F(MysqlGroups, HandsRowsOnAsTheyCome) {
  Feed({log.Gtid(5), log.Query("BEGIN"), log.Map(1, "a"), log.Insert(1, {{1, 10}, {2, 20}})});
  EXPECT_THAT(out.Take(), ElementsAre("begin " + At("5"), "0 insert shop.a new(1, 10)",
                                      "1 insert shop.a new(2, 20)"));
  EXPECT_FALSE(decoder->between_groups());
  Feed({log.Map(2, "a"), log.Update(2, {{{1, 10}, {1, 11}}}), log.Map(3, "b"),
        log.Delete(3, {{7, 70}}), log.Xid()});
  EXPECT_THAT(out.Take(), ElementsAre("2 update shop.a old(1, 10) new(1, 11)",
                                      "3 delete shop.b old(7, 70)", "commit " + At("1-5")));
  EXPECT_TRUE(decoder->between_groups());
  EXPECT_EQ(decoder->position().ToString(), At("1-5"));
  EXPECT_THAT(out.times, ElementsAre(GroupBytes::kCommitMicros));
  EXPECT_EQ(decoder->commit_time_micros(), GroupBytes::kCommitMicros);
}

TEST_F(MysqlGroups, MakesTwoPartsOfAKeyChange) {
  Feed({log.Gtid(5), log.Query("BEGIN"), log.Map(1, "a"),
        log.Update(1, {{{1, 10}, {2, 10}}, {{3, 1}, {3, 2}}}), log.Xid()});
  EXPECT_THAT(out.Take(),
              ElementsAre("begin " + At("5"),
                          "0 delete shop.a old(1, 10) + 0 insert shop.a part 1 new(2, 10)",
                          "1 update shop.a old(3, 1) new(3, 2)", "commit " + At("1-5")));
}

TEST_F(MysqlGroups, ShowsOfPartialImagesWhatTheyHold) {
  const std::string one = Little<int32_t>(1), two = Little<int32_t>(2), nine = Little<int32_t>(9);
  const std::string zero(1, '\0');
  const auto rows = [&](EventType type, const std::string& images, const std::string& bytes) {
    return log.Rows(type, type, 1, images, bytes);
  };
  Feed({log.Gtid(5), log.Query("BEGIN"), log.Map(1, "a"),
        rows(EventType::kUpdateRowsV2, "\1\2", zero + one + zero + nine), log.Map(1, "a"),
        rows(EventType::kUpdateRowsV2, "\1\1", zero + one + zero + two), log.Map(1, "a"),
        rows(EventType::kDeleteRowsV2, "\1", zero + two), log.Map(1, "a"),
        rows(EventType::kWriteRowsV2, "\1", zero + one), log.Xid()});
  EXPECT_THAT(out.Take(),
              ElementsAre("begin " + At("5"), "0 update shop.a new(1, 9)",
                          "1 delete shop.a old(1, (omitted)) + 1 insert shop.a part 1 new(2, "
                          "(omitted))",
                          "2 delete shop.a old(2, (omitted))", "3 insert shop.a new(1, (omitted))",
                          "commit " + At("1-5")));
  EXPECT_EQ(Refusal({log.Gtid(6), log.Query("BEGIN"), log.Map(1, "a"),
                     rows(EventType::kDeleteRowsV2, "\2", zero + two)})
                .code,
            "mysql_key_missing");
}

TEST_F(MysqlGroups, CountsRowsOfOtherTablesWithoutReadingThem) {
  Feed({log.Gtid(5), log.Query("BEGIN"), log.Map(1, "a", "other"), log.Map(2, "a"),
        log.Insert(1, {{1, 1}, {2, 2}, {3, 3}}, false), log.Insert(2, {{4, 4}}), log.Xid()});
  EXPECT_THAT(out.Take(),
              ElementsAre("begin " + At("5"), "3 insert shop.a new(4, 4)", "commit " + At("1-5")));
  EXPECT_EQ(catalog.asked, 1);
  // One with a type that nobody knows counts, too, as one per event.
  Feed({log.Gtid(6), log.Query("BEGIN"), log.Map(1, "x", "other", 99), log.Map(2, "a"),
        log.Insert(1, {{1, 1}, {2, 2}}, false), log.Insert(2, {{4, 4}}), log.Xid()});
  EXPECT_EQ(out.Take()[1], "1 insert shop.a new(4, 4)");
  // Until it has other columns.
  Feed({log.Gtid(7), log.Query("BEGIN"), log.Map(1, "x", "other"), log.Map(2, "a"),
        log.Insert(1, {{1, 1}, {2, 2}}, false), log.Insert(2, {{4, 4}}), log.Xid()});
  EXPECT_EQ(out.Take()[1], "2 insert shop.a new(4, 4)");
}

TEST_F(MysqlGroups, PassesOverGroupsWithoutAChangeForUs) {
  Feed({log.Gtid(5), log.Query("BEGIN"), log.Query("COMMIT")});  // how a GTID is skipped by hand
  Feed({log.Gtid(6), log.Query("BEGIN"), log.Map(1, "a", "other"), log.Insert(1, {{1, 1}}),
        log.Xid()});
  Feed({log.Gtid(7), log.Query("CREATE USER 'u'@'%' IDENTIFIED WITH 'x' AS '\x01\xff'")});
  Feed({log.Gtid(9), log.Query("ALTER TABLE a ADD COLUMN x INT")});
  EXPECT_THAT(out.Take(), ElementsAre("passed " + At("1-5"), "passed " + At("1-6"),
                                      "passed " + At("1-7"), "passed " + At("1-7:9")));
}

TEST_F(MysqlGroups, EndsANonTransactionalGroupWithCommit) {
  Feed({log.Gtid(5), log.Query("BEGIN"), log.Map(1, "m"), log.Insert(1, {{1, 1}}),
        log.Query("COMMIT")});
  EXPECT_THAT(out.Take(),
              ElementsAre("begin " + At("5"), "0 insert shop.m new(1, 1)", "commit " + At("1-5")));
}

TEST_F(MysqlGroups, DropsWhatItHandedOnBefore) {
  Feed({log.Gtid(3), log.Query("BEGIN"), log.Map(1, "a"), log.Insert(1, {{1, 1}}), log.Xid()});
  Feed({log.Gtid(4), log.Query("TRUNCATE TABLE a")});
  Feed({log.Gtid(2),
        log.Payload({log.Query("BEGIN"), log.Map(1, "a"), log.Insert(1, {{1, 1}}), log.Xid()})});
  Feed({log.Gtid(1), log.Query("INSERT INTO a VALUES (1)")});
  EXPECT_THAT(out.Take(), IsEmpty());
  EXPECT_EQ(catalog.asked, 0);
  EXPECT_TRUE(decoder->between_groups());
  Feed({log.Gtid(5), log.Query("BEGIN"), log.Map(1, "a"), log.Insert(1, {{1, 1}}), log.Xid()});
  EXPECT_THAT(out.Take(), testing::SizeIs(3));
}

TEST_F(MysqlGroups, ReadsATransactionPayload) {
  Feed({log.Gtid(5),
        log.Payload({log.Query("BEGIN"), log.Map(1, "a"), log.Insert(1, {{1, 1}, {2, 2}}),
                     log.Map(1, "a"), log.Delete(1, {{1, 1}}), log.Xid()})});
  EXPECT_THAT(out.Take(), ElementsAre("begin " + At("5"), "0 insert shop.a new(1, 1)",
                                      "1 insert shop.a new(2, 2)", "2 delete shop.a old(1, 1)",
                                      "commit " + At("1-5")));
  EXPECT_EQ(Refusal({log.Gtid(6), log.Payload({log.Query("BEGIN"), log.Map(1, "a")})}).code,
            "mysql_group_malformed");
}

TEST_F(MysqlGroups, ReadsCreateSelectAsOneGroup) {
  Feed({log.Gtid(5), log.Query("BEGIN"),
        log.Query("CREATE TABLE `c` (\n `id` int\n) START TRANSACTION"), log.Map(1, "c"),
        log.Insert(1, {{1, 1}}), log.Xid()});
  EXPECT_THAT(out.Take(),
              ElementsAre("begin " + At("5"), "0 insert shop.c new(1, 1)", "commit " + At("1-5")));
}

TEST_F(MysqlGroups, PublishesATruncate) {
  Feed({log.Gtid(5), log.Query("BEGIN"), log.Map(1, "a"), log.Insert(1, {{1, 1}}), log.Xid()});
  out.Take();
  Feed({log.Gtid(6), log.Query("TRUNCATE TABLE a"), log.Gtid(7), log.Query("TRUNCATE other.a"),
        log.Gtid(8), log.Query("truncate b"), log.Gtid(9), log.Query("TRUNCATE TABLE gone")});
  EXPECT_THAT(out.Take(),
              ElementsAre("begin " + At("6"), "0 truncate shop.a", "commit " + At("1-6"),
                          "passed " + At("1-7"), "begin " + At("8"), "0 truncate shop.b",
                          "commit " + At("1-8"), "replaced shop.gone (TRUNCATE TABLE)",
                          "passed " + At("1-9")));
}

TEST_F(MysqlGroups, SaysWhichRowsWereReplaced) {
  Feed({log.Gtid(5), log.Query("RENAME TABLE a TO _a_del, _a_gho TO a"), log.Gtid(6),
        log.Query("ALTER TABLE p EXCHANGE PARTITION p1 WITH TABLE other.q"), log.Gtid(7),
        log.Query("RENAME TABLE other.x TO other.y")});
  EXPECT_THAT(out.Take(),
              ElementsAre("replaced shop._a_del (RENAME TABLE)", "replaced shop.a (RENAME TABLE)",
                          "passed " + At("1-5"), "replaced shop.p (EXCHANGE PARTITION)",
                          "passed " + At("1-6"), "passed " + At("1-7")));
}

TEST_F(MysqlGroups, ReplacesATableThatIsDroppedAndMadeAgain) {
  Feed({log.Gtid(5), log.Query("CREATE TABLE a (id INT)"), log.Gtid(6),
        log.Query("DROP TABLE `a`,`b` /* generated by server */"), log.Gtid(7),
        log.Query("CREATE TABLE IF NOT EXISTS a (id INT)"), log.Gtid(8),
        log.Query("CREATE TABLE IF NOT EXISTS a (id INT)"), log.Gtid(9),
        log.Query("RENAME TABLE c TO other.c"), log.Gtid(10), log.Query("CREATE TABLE c LIKE a"),
        log.Gtid(11), log.Query("DROP DATABASE shop"), log.Gtid(12),
        log.Query("CREATE TABLE d (id INT)")});
  EXPECT_THAT(out.Take(),
              ElementsAre("passed " + At("1-5"), "passed " + At("1-6"),
                          "replaced shop.a (DROP and CREATE TABLE)", "passed " + At("1-7"),
                          "passed " + At("1-8"), "passed " + At("1-9"),
                          "replaced shop.c (DROP and CREATE TABLE)", "passed " + At("1-10"),
                          "passed " + At("1-11"), "replaced shop.d (DROP and CREATE TABLE)",
                          "passed " + At("1-12")));
}

TEST_F(MysqlGroups, AsksTheCatalogAgainAfterAnAlter) {
  const auto insert = [&](int64_t number) {
    Feed({log.Gtid(number), log.Query("BEGIN"), log.Map(1, "a"), log.Insert(1, {{1, 1}}),
          log.Xid()});
  };
  insert(5);
  insert(6);
  EXPECT_EQ(catalog.asked, 1);
  Feed({log.Gtid(7), log.Query("ALTER TABLE other.a ADD x INT")});
  insert(8);
  EXPECT_EQ(catalog.asked, 1);
  Feed({log.Gtid(9), log.Query("ALTER TABLE a ALTER COLUMN v SET DEFAULT 5")});
  insert(10);
  EXPECT_EQ(catalog.asked, 2);
}

TEST_F(MysqlGroups, HaltsAtRowsThatAStatementChanged) {
  const Error told = Refusal(
      {log.Gtid(5), log.Query("BEGIN"), log.Query("UPDATE a SET v = 'a secret' WHERE id = 1")});
  EXPECT_EQ(told.code, "mysql_statement_format");
  EXPECT_EQ(told.disposition, Disposition::kGap);
  EXPECT_THAT(told.message, HasSubstr("shop.a"));
  EXPECT_THAT(told.message, testing::Not(HasSubstr("secret")));
  EXPECT_EQ(decoder->position().ToString(), At("1-4"));
  Restart(start);
  EXPECT_EQ(Refusal({log.Gtid(5), log.Query("BEGIN"), log.Query("CALL fill()")}).code,
            "mysql_statement_format");
  Restart(start);
  EXPECT_EQ(Refusal({log.Gtid(5), log.Query("CREATE TABLE a SELECT 1")}).code,
            "mysql_statement_format");
  Restart(start);
  EXPECT_EQ(Refusal({log.Gtid(5), log.Query("FROBNICATE a")}).code, "mysql_statement_unknown");
  Restart(start);
  Feed({log.Gtid(5), log.Query("BEGIN"), log.Event(EventType::kIntvar, "\2" + Little<uint64_t>(5)),
        log.Event(EventType::kRand, std::string(16, 'r')),
        log.Event(EventType::kUserVar, Little<uint32_t>(1) + "u" + '\1'),
        log.Query("REPLACE INTO percona.checksums SELECT * FROM shop.a"), log.Xid()});
  EXPECT_THAT(out.Take(), ElementsAre("passed " + At("1-5")));
}

TEST_F(MysqlGroups, HaltsAtALoadInStatementFormat) {
  const auto load = [&](const std::string& sql) {
    const std::string query = log.Query(sql).substr(19);
    return log.Event(EventType::kExecuteLoadQuery,
                     query.substr(0, 13) + std::string(13, 'f') + query.substr(13));
  };
  Feed({log.Gtid(5), log.Query("BEGIN"), log.Event(EventType::kBeginLoadQuery, "1234rows"),
        load("LOAD DATA INFILE 'f' INTO TABLE other.a"), log.Xid()});
  EXPECT_EQ(
      Refusal({log.Gtid(6), log.Query("BEGIN"), load("LOAD DATA INFILE 'f' INTO TABLE a")}).code,
      "mysql_statement_format");
}

TEST_F(MysqlGroups, NamesAnIncidentAGap) {
  const Error gap = Refusal({log.Event(EventType::kIncident, Little<uint16_t>(1) + '\4' + "lost")});
  EXPECT_EQ(gap.code, "mysql_incident");
  EXPECT_EQ(gap.disposition, Disposition::kGap);
}

TEST_F(MysqlGroups, KeepsWhatFollowsASavepointUntilItIsDecided) {
  Feed({log.Gtid(5), log.Query("BEGIN"), log.Map(1, "a"), log.Insert(1, {{1, 1}})});
  EXPECT_THAT(out.Take(), testing::SizeIs(2));
  Feed({log.Query("SAVEPOINT `s`"), log.Map(1, "a"), log.Insert(1, {{2, 2}}),
        log.Query("SAVEPOINT `t`"), log.Map(1, "a"), log.Insert(1, {{3, 3}, {4, 4}})});
  EXPECT_THAT(out.Take(), IsEmpty());
  Feed({log.Query("ROLLBACK TO `t`"), log.Map(1, "a"), log.Insert(1, {{5, 5}}), log.Xid()});
  EXPECT_THAT(out.Take(), ElementsAre("1 insert shop.a new(2, 2)", "2 insert shop.a new(5, 5)",
                                      "commit " + At("1-5")));
}

TEST_F(MysqlGroups, ReadsAgainWhatWasUndoneAfterItWasHandedOn) {
  const Error undone = Refusal({log.Gtid(5), log.Query("BEGIN"), log.Map(1, "a"),
                                log.Insert(1, {{1, 1}}), log.Query("ROLLBACK")});
  EXPECT_EQ(undone.code, "mysql_group_undone");
  EXPECT_EQ(undone.disposition, Disposition::kRetry);
  out.Take();
  Restart(start);
  Feed({log.Gtid(5), log.Query("BEGIN"), log.Map(1, "a"), log.Insert(1, {{1, 1}}),
        log.Query("ROLLBACK")});
  Feed({log.Gtid(6), log.Query("BEGIN"), log.Map(1, "a"), log.Insert(1, {{2, 2}}), log.Xid()});
  EXPECT_THAT(out.Take(), ElementsAre("passed " + At("1-5"), "begin " + At("6"),
                                      "0 insert shop.a new(2, 2)", "commit " + At("1-6")));
}

TEST_F(MysqlGroups, DropsAGroupThatACrashCutOff) {
  Feed({log.Gtid(5), log.Query("BEGIN"), log.Map(1, "a", "other"), log.Insert(1, {{1, 1}}),
        log.Rotate("bin.000002"), log.Format(true)});
  EXPECT_TRUE(decoder->between_groups());
  EXPECT_EQ(decoder->position().ToString(), At("1-4"));
  // The number is used again.
  const std::vector<std::string> cut = {log.Gtid(5), log.Query("BEGIN"), log.Map(1, "a"),
                                        log.Insert(1, {{1, 1}}), log.Rotate("bin.000003")};
  Feed(cut);
  EXPECT_EQ(Refusal({log.Format(true)}).code, "mysql_group_undone");
  out.Take();
  Restart(start);
  Feed(cut);
  Feed({log.Format(true), log.Gtid(5), log.Query("BEGIN"), log.Map(1, "a"), log.Insert(1, {{2, 2}}),
        log.Xid()});
  EXPECT_THAT(out.Take(),
              ElementsAre("begin " + At("5"), "0 insert shop.a new(2, 2)", "commit " + At("1-5")));
}

TEST_F(MysqlGroups, KeepsAGroupOpenOverAFormatWithoutARestart) {
  Feed({log.Gtid(5), log.Query("BEGIN"), log.Map(1, "a"), log.Format(false),
        log.Insert(1, {{1, 1}}), log.Xid()});
  EXPECT_EQ(out.Take().back(), "commit " + At("1-5"));
}

TEST_F(MysqlGroups, RefusesWhatIsOutOfPlace) {
  const std::vector<std::vector<std::string>> cases = {
      {log.Xid()},
      {log.Query("BEGIN")},
      {log.Map(1, "a")},
      {log.Insert(1, {{1, 1}})},
      {log.Query("COMMIT")},
      {log.Payload({log.Xid()})},
      {log.Gtid(5), log.Gtid(6)},
      {log.Gtid(5), log.Xid()},
      {log.Gtid(5), log.Map(1, "a")},
      {log.Gtid(5), log.Query("SAVEPOINT s")},
      {log.Gtid(5), log.Query("BEGIN"), log.Query("BEGIN")},
      {log.Gtid(5), log.Query("BEGIN"), log.Insert(1, {{1, 1}})},
      {log.Gtid(5), log.Query("BEGIN"), log.Query("ROLLBACK TO `x`")},
      {log.Gtid(5), log.Query("BEGIN"), log.Query("XA COMMIT X'61',X'',1")},
      {log.Gtid(5), log.XaPrepare("a")},
      {log.MariaGtid(5)},
      // The description of a table ends with its statement.
      {log.Gtid(5), log.Query("BEGIN"), log.Map(1, "a"), log.Insert(1, {{1, 1}}),
       log.Insert(1, {{2, 2}})},
  };
  for (size_t i = 0; i < cases.size(); ++i) {
    SCOPED_TRACE(i);
    Make();
    EXPECT_EQ(Refusal(cases[i]).code, "mysql_group_malformed");
  }
}

TEST_F(MysqlGroups, NamesAnAnonymousTransactionAState) {
  const Error error = Refusal({log.Gtid(0, true)});
  EXPECT_EQ(error.code, "mysql_gtid_mode");
  EXPECT_EQ(error.disposition, Disposition::kNeedsOperator);
}

TEST_F(MysqlGroups, TakesTheDummyThatOnlyEndsAStatement) {
  Feed({log.Gtid(5), log.Query("BEGIN"), log.Map(1, "a"),
        log.Rows(EventType::kWriteRowsV1, EventType::kWriteRowsV2, 0xFFFFFF, "\3", ""), log.Xid()});
  EXPECT_THAT(out.Take(), ElementsAre("passed " + At("1-5")));
}

TEST_F(MysqlGroups, ReturnsErrorsOfTheWriterAsTheyAre) {
  out.fail_appends = true;
  const Error error =
      Refusal({log.Gtid(5), log.Query("BEGIN"), log.Map(1, "a"), log.Insert(1, {{1, 1}})});
  EXPECT_EQ(error.code, "topic_failed");
  EXPECT_EQ(error.message, "no room");
  EXPECT_EQ(decoder->position().ToString(), At("1-4"));
}

TEST_F(MysqlGroups, FindsNamesInTheClientsCharset) {
  const std::string latin1 = '\4' + Little<uint16_t>(8) + Little<uint16_t>(8) + Little<uint16_t>(8);
  Feed({log.Gtid(5), log.Query("TRUNCATE TABLE gr\xFC\x6E", "shop", latin1)});
  EXPECT_EQ(out.Take()[1], "0 truncate shop.gr\xC3\xBCn");
}

TEST_F(MysqlGroups, FoldsNamesWhereTheServerDoes) {
  decoder->FoldNames(true);
  Feed({log.Gtid(5), log.Query("TRUNCATE TABLE SHOP.Orders")});
  EXPECT_EQ(out.Take()[1], "0 truncate shop.orders");
}

TEST_F(MysqlGroups, NoticesHeartbeats) {
  Feed({log.Event(EventType::kHeartbeat, "bin.000001")});
  EXPECT_TRUE(decoder->saw_heartbeat());
  Feed({log.Gtid(5)});
  EXPECT_FALSE(decoder->saw_heartbeat());
}

// --- XA ---

TEST_F(MysqlGroups, HandsAnXaTransactionOnWhenItIsCommitted) {
  Feed({log.Gtid(5), log.Query("XA START X'61',X'',1"), log.Map(1, "a"), log.Insert(1, {{1, 1}}),
        log.Query("XA END X'61',X'',1"), log.XaPrepare("a")});
  EXPECT_THAT(out.Take(), ElementsAre("passed " + At("1-4")));
  Feed({log.Gtid(6), log.Query("BEGIN"), log.Map(1, "a"), log.Insert(1, {{2, 2}}), log.Xid()});
  EXPECT_THAT(out.Take(), ElementsAre("begin " + At("6"), "0 insert shop.a new(2, 2)",
                                      "commit " + At("1-4:6")));
  Feed({log.Gtid(7), log.Query("XA COMMIT X'61',X'',1")});
  EXPECT_THAT(out.Take(),
              ElementsAre("begin " + At("5"), "0 insert shop.a new(1, 1)", "commit " + At("1-7")));
  EXPECT_THAT(decoder->position().undecided(), IsEmpty());
}

TEST_F(MysqlGroups, DropsAnXaTransactionThatIsRolledBack) {
  Feed({log.Gtid(5), log.Query("XA START X'61',X'',1"), log.Map(1, "a"), log.Insert(1, {{1, 1}}),
        log.Query("XA END X'61',X'',1"), log.XaPrepare("a"), log.Gtid(6),
        log.Query("XA ROLLBACK X'61',X'',1")});
  EXPECT_THAT(out.Take(), ElementsAre("passed " + At("1-4"), "passed " + At("1-6")));
}

TEST_F(MysqlGroups, HandsOnePhaseOnAtOnce) {
  Feed({log.Gtid(5),
        log.Payload({log.Query("XA START X'61',X'',1"), log.Map(1, "a"), log.Insert(1, {{1, 1}}),
                     log.Query("XA END X'61',X'',1"), log.XaPrepare("a", true)})});
  EXPECT_THAT(out.Take(),
              ElementsAre("begin " + At("5"), "0 insert shop.a new(1, 1)", "commit " + At("1-5")));
}

TEST_F(MysqlGroups, ReadsAPreparedTransactionAgainAfterARestart) {
  const std::vector<std::string> prepare = {log.Gtid(5),
                                            log.Query("XA START X'61',X'',1"),
                                            log.Map(1, "a"),
                                            log.Insert(1, {{1, 1}}),
                                            log.Query("XA END X'61',X'',1"),
                                            log.XaPrepare("a")};
  Feed(prepare);
  Feed({log.Gtid(6), log.Query("BEGIN"), log.Map(1, "a"), log.Insert(1, {{2, 2}}), log.Xid()});
  out.Take();
  Restart(*LogPosition::Parse(LogPosition::Form::kMysqlGtid, decoder->position().ToString()));
  Feed(prepare);  // the hole is all that the server sends again
  Feed({log.Gtid(7), log.Query("XA COMMIT X'61',X'',1")});
  EXPECT_THAT(out.Take(), ElementsAre("passed " + At("1-4:6"), "begin " + At("5"),
                                      "0 insert shop.a new(1, 1)", "commit " + At("1-7")));
}

TEST_F(MysqlGroups, HasNoRowsOfWhatWasPreparedBeforeItsStart) {
  EXPECT_EQ(Refusal({log.Gtid(5), log.Query("XA COMMIT X'61',X'',1")}).code, "mysql_xa_unknown");
  Restart(start);
  Feed({log.Gtid(5), log.Query("XA ROLLBACK X'61',X'',1")});
  decoder->ForgivePrepared({"X'62',X'',1"});
  Feed({log.Gtid(6), log.Query("XA COMMIT X'62',X'',1")});
  const std::string why = " (XA COMMIT of what was prepared before the start)";
  EXPECT_THAT(out.Take(), ElementsAre("passed " + At("1-5"), "replaced shop.a" + why,
                                      "replaced shop.b" + why, "passed " + At("1-6")));
  EXPECT_EQ(Refusal({log.Gtid(7), log.Query("XA COMMIT X'62',X'',1")}).code, "mysql_xa_unknown");
}

// --- MariaDB ---

TEST_F(MariaGroups, TakesTheGtidForTheBegin) {
  Feed({log.MariaGtid(5), log.Map(1, "a"), log.Insert(1, {{1, 1}, {2, 2}}), log.Xid()});
  EXPECT_THAT(out.Take(), ElementsAre("begin 0-1-5", "0 insert shop.a new(1, 1)",
                                      "1 insert shop.a new(2, 2)", "commit 0-1-5"));
  EXPECT_THAT(out.times, ElementsAre(int64_t{GroupBytes::kSeconds} * 1'000'000));
  Feed({log.MariaGtid(6, 8), log.Map(1, "m"), log.Insert(1, {{1, 1}}), log.Query("COMMIT")});
  EXPECT_EQ(out.Take().back(), "commit 0-1-6");
}

TEST_F(MariaGroups, EndsAStandaloneGroupWithItsStatement) {
  Feed({log.MariaGtid(5, 0x29), log.Query("ALTER TABLE a ADD x INT"), log.MariaGtid(6, 0x29),
        log.Query("TRUNCATE TABLE a"), log.MariaGtid(7, 0x29, 3),
        log.Event(EventType::kIntvar, "\2" + Little<uint64_t>(5)),
        log.Query("INSERT INTO other.a VALUES (1)")});
  EXPECT_THAT(out.Take(), ElementsAre("passed 0-1-5", "begin 0-1-6", "0 truncate shop.a",
                                      "commit 0-1-6", "passed 0-1-6,3-1-7"));
}

TEST_F(MariaGroups, ReadsCreateSelectAsOneGroup) {
  Feed({log.MariaGtid(5, 0x28),
        log.Query("CREATE OR REPLACE TABLE `cs` (\n  `id` int(11) NOT NULL\n)"), log.Map(1, "cs"),
        log.Insert(1, {{1, 1}}), log.Xid()});
  EXPECT_THAT(out.Take(), ElementsAre("replaced shop.cs (CREATE OR REPLACE TABLE)", "begin 0-1-5",
                                      "0 insert shop.cs new(1, 1)", "commit 0-1-5"));
}

TEST_F(MariaGroups, AltersInTwoPhasesOnce) {
  const std::string sql = "ALTER TABLE p DROP PARTITION p1";
  Feed({log.MariaGtid(5, 0x29, 0, 2), log.Query(sql)});
  EXPECT_THAT(out.Take(), ElementsAre("passed 0-1-5"));
  Feed({log.MariaGtid(6, 0x29, 0, 4), log.Query(sql)});
  EXPECT_THAT(out.Take(), ElementsAre("replaced shop.p (DROP PARTITION)", "passed 0-1-6"));
  Feed(
      {log.MariaGtid(7, 0x29, 0, 2), log.Query(sql), log.MariaGtid(8, 0x29, 0, 8), log.Query(sql)});
  EXPECT_THAT(out.Take(), ElementsAre("passed 0-1-7", "passed 0-1-8"));
}

// As 10.11 logs it where a MyISAM table was written to in between.
TEST_F(MariaGroups, LeavesOutWhatASavepointUndid) {
  Feed({log.MariaGtid(5, 8), log.Map(1, "i"), log.Insert(1, {{1, 1}}), log.Query("SAVEPOINT `s`"),
        log.Map(1, "i"), log.Insert(1, {{2, 2}}), log.Query("SAVEPOINT `T`"), log.Map(1, "i"),
        log.Insert(1, {{3, 3}}), log.Query("ROLLBACK TO `t`"), log.Map(1, "x", "other"),
        log.Insert(1, {{4, 4}}), log.Query("ROLLBACK TO `s`"), log.Map(1, "y", "other"),
        log.Insert(1, {{5, 5}, {6, 6}}), log.Map(1, "i"), log.Insert(1, {{7, 7}}), log.Xid()});
  EXPECT_THAT(out.Take(), ElementsAre("begin 0-1-5", "0 insert shop.i new(1, 1)",
                                      "3 insert shop.i new(7, 7)", "commit 0-1-5"));
}

TEST_F(MariaGroups, TakesTheNewestSavepointOfAName) {
  Feed({log.MariaGtid(5), log.Query("SAVEPOINT `s`"), log.Map(1, "i"), log.Insert(1, {{1, 1}}),
        log.Query("SAVEPOINT `s`"), log.Map(1, "i"), log.Insert(1, {{2, 2}}),
        log.Query("ROLLBACK TO `s`"), log.Map(1, "i"), log.Insert(1, {{3, 3}}),
        log.Query("ROLLBACK TO `s`"), log.Xid()});
  EXPECT_THAT(out.Take(), ElementsAre("begin 0-1-5", "0 insert shop.i new(1, 1)", "commit 0-1-5"));
}

// As 10.11 logs it in row format where a temporary table was made or dropped in between.
TEST_F(MariaGroups, LeavesOutATransactionThatWasRolledBack) {
  Feed({log.MariaGtid(5), log.Map(1, "i"), log.Insert(1, {{1, 1}}), log.Query("ROLLBACK")});
  EXPECT_THAT(out.Take(), ElementsAre("passed 0-1-5"));
  Feed({log.MariaGtid(6), log.Map(1, "i"), log.Insert(1, {{2, 2}}), log.Xid()});
  EXPECT_THAT(out.Take(), ElementsAre("begin 0-1-6", "0 insert shop.i new(2, 2)", "commit 0-1-6"));
}

TEST_F(MariaGroups, DropsAGroupThatACrashCutOff) {
  Feed({log.MariaGtid(5), log.Map(1, "i"), log.Insert(1, {{1, 1}}), log.Rotate("bin.000002"),
        log.Format(true), log.MariaGtid(5), log.Map(1, "i"), log.Insert(1, {{2, 2}}), log.Xid()});
  EXPECT_THAT(out.Take(), ElementsAre("begin 0-1-5", "0 insert shop.i new(2, 2)", "commit 0-1-5"));
}

TEST_F(MariaGroups, FindsXaInItsOwnForm) {
  Feed({log.MariaGtid(5, 0x4c), log.Map(1, "i"), log.Insert(1, {{1, 1}}),
        log.Query("XA END X'61',X'',1"), log.XaPrepare("a")});
  EXPECT_THAT(out.Take(), ElementsAre("passed 0-1-5 undecided 0-1-4>0-1-5"));
  Feed({log.MariaGtid(6), log.Map(1, "i"), log.Insert(1, {{2, 2}}), log.Xid()});
  EXPECT_EQ(out.Take().back(), "commit 0-1-6 undecided 0-1-4>0-1-5");
  Feed({log.MariaGtid(7, 0x89), log.Query("XA COMMIT X'61',X'',1")});
  EXPECT_THAT(out.Take(), ElementsAre("begin 0-1-5", "0 insert shop.i new(1, 1)", "commit 0-1-7"));
}

TEST_F(MariaGroups, HeedsOnlyTheUndecidedOfWhatComesAgain) {
  const std::vector<std::string> prepare = {log.MariaGtid(5, 0x4c), log.Map(1, "i"),
                                            log.Insert(1, {{1, 1}}),
                                            log.Query("XA END X'61',X'',1"), log.XaPrepare("a")};
  const std::vector<std::string> between = {log.MariaGtid(6), log.Map(1, "i"),
                                            log.Insert(1, {{2, 2}}), log.Xid()};
  Feed(prepare);
  Feed(between);
  out.Take();
  const std::string stored = decoder->position().ToString();
  Restart(MariaState(stored));
  Feed(prepare);
  Feed(between);
  EXPECT_THAT(out.Take(), ElementsAre("passed " + stored));
  // Behind what was read once a lower sequence is new: gtid_strict_mode is off.
  Feed({log.MariaGtid(3), log.Map(1, "i"), log.Insert(1, {{3, 3}}), log.Xid()});
  EXPECT_THAT(out.Take(), testing::SizeIs(3));
  Feed({log.MariaGtid(7, 0x89), log.Query("XA COMMIT X'61',X'',1")});
  EXPECT_THAT(out.Take(), ElementsAre("begin 0-1-5", "0 insert shop.i new(1, 1)", "commit 0-1-7"));
}

TEST_F(MariaGroups, DropsTheLastGroupIfItComesAgain) {
  Feed({log.MariaGtid(4), log.Map(1, "i"), log.Insert(1, {{3, 3}}), log.Xid()});
  EXPECT_THAT(out.Take(), IsEmpty());
}

TEST_F(MariaGroups, PublishesWhatReplicasAreToldToSkip) {
  std::string insert = log.Insert(1, {{1, 1}});
  insert.replace(17, 2, Little<uint16_t>(0x8000));
  Feed({log.MariaGtid(5), log.Map(1, "i"), insert, log.Xid()});
  EXPECT_THAT(out.Take(), testing::SizeIs(3));
}

TEST_F(MariaGroups, KeepsSequencesToItself) {
  Feed({log.MariaGtid(5, 8), log.Map(1, "sequence"), log.Insert(1, {{1, 1}, {2, 2}}),
        log.Query("COMMIT"), log.MariaGtid(6), log.Map(1, "sequence"), log.Map(2, "i"),
        log.Insert(1, {{3, 3}}, false), log.Insert(2, {{4, 4}}), log.Xid()});
  EXPECT_THAT(out.Take(), ElementsAre("passed 0-1-5", "begin 0-1-6", "1 insert shop.i new(4, 4)",
                                      "commit 0-1-6"));
}

TEST_F(MariaGroups, MapsSystemVersioningToWhatATableShows) {
  const std::string now = "\x7f\xff\xff\xff\x0f\x42\x3f", past("\x10\0\0\0\0\0\0", 7);
  const auto image = [](int32_t id, int32_t v, const std::string& end) {
    return '\0' + Little(id) + Little(v) + end;
  };
  const auto rows = [&](EventType type, const std::string& images, const std::string& bytes) {
    return log.Rows(type, type, 1, images, bytes, true, '\3');
  };
  const EventType insert = EventType::kWriteRowsV1, update = EventType::kUpdateRowsV1,
                  erase = EventType::kDeleteRowsV1;
  const std::string map = log.VersionedMap(1, "versioned");
  Feed({log.MariaGtid(5), map, rows(insert, "\7", image(1, 1, now)),       // insert
        map, rows(update, "\7\7", image(1, 1, now) + image(1, 2, now)),    // update, and
        map, rows(insert, "\7", image(1, 1, past)),                        // its history
        map, rows(update, "\7\7", image(1, 2, now) + image(1, 2, past)),   // delete
        map, rows(update, "\7\7", image(1, 1, past) + image(1, 9, past)),  // of history itself
        map, rows(erase, "\7", image(1, 1, past)),                         // DELETE HISTORY
        log.Xid()});
  Lines lines = out.Take();
  for (std::string& line : lines) line = line.substr(0, line.find('('));
  EXPECT_THAT(lines, ElementsAre("begin 0-1-5", "0 insert shop.versioned new",
                                 "1 update shop.versioned old", "3 delete shop.versioned old",
                                 "commit 0-1-5"));
}

TEST_F(MariaGroups, JoinsPiecesOfARowsEvent) {
  const std::string map = log.Map(1, "i");
  std::string insert = log.Insert(1, {{1, 1}, {2, 2}});
  Feed({log.MariaGtid(5), map, log.Fragment(3, 1, insert.substr(0, 20)),
        log.Fragment(3, 2, insert.substr(20, 5)), log.Fragment(3, 3, insert.substr(25)),
        log.Xid()});
  EXPECT_THAT(out.Take(), testing::SizeIs(4));
  EXPECT_EQ(Refusal({log.MariaGtid(6), map, log.Fragment(3, 2, insert)}).code,
            "mysql_group_malformed");
}

// --- the spool ---

TEST_F(MariaGroups, KeepsOnDiskWhatMemoryShouldNotHold) {
  Make(1000);
  std::vector<IntRow> rows;
  for (int32_t i = 0; i < 2000; ++i) rows.push_back({i, i});
  Feed({log.MariaGtid(5)});
  for (int event = 0; event < 50; ++event) {
    Feed({log.Map(1, "i"), log.Insert(1, rows)});
    if (event == 30) Feed({log.Query("SAVEPOINT `s`")});
    if (event == 5) Feed({log.Map(1, "i", "other"), log.Insert(1, rows)});
  }
  Feed({log.Query("ROLLBACK TO `s`"), log.Map(1, "i"), log.Insert(1, {{-1, -1}})});
  EXPECT_THAT(out.lines, IsEmpty());
  Feed({log.Xid()});
  ASSERT_EQ(out.lines.size(), 31U * 2000 + 3);
  EXPECT_EQ(out.lines[6 * 2000], "11999 insert shop.i new(1999, 1999)");
  EXPECT_EQ(out.lines[6 * 2000 + 1], "14000 insert shop.i new(0, 0)");
  EXPECT_EQ(out.lines[31 * 2000 + 1], "64000 insert shop.i new(-1, -1)");
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST_F(MariaGroups, SaysWhereThereIsNoRoom) {
  decoder = std::make_unique<ChangeDecoder>(
      ChangeDecoder::Options{.scratch_dir = "/nowhere/at/all", .spool_above_bytes = 1000}, catalog);
  Restart(start);
  std::vector<IntRow> rows(20000);
  const Error error = Refusal({log.MariaGtid(5), log.Map(1, "i"), log.Insert(1, rows)});
  EXPECT_EQ(error.code, "mysql_spool_failed");
  EXPECT_EQ(error.disposition, Disposition::kNeedsOperator);
  EXPECT_THAT(error.message, HasSubstr("/nowhere/at/all"));
}

TEST_F(MariaGroups, ForgetsWhatItKeptAtARestart) {
  Feed({log.MariaGtid(5), log.Map(1, "i"), log.Insert(1, {{1, 1}}), log.Query("SAVEPOINT s")});
  Restart(start);
  Feed({log.MariaGtid(5), log.Map(1, "i"), log.Insert(1, {{2, 2}}), log.Xid()});
  EXPECT_THAT(out.Take(), ElementsAre("begin 0-1-5", "0 insert shop.i new(2, 2)", "commit 0-1-5"));
}

// --- without GTIDs ---

TEST_F(FileGroups, NamesAGroupByWhereItBegins) {
  const std::string begins = std::to_string(log.place());
  Feed(
      {log.Gtid(0, true), log.Query("BEGIN"), log.Map(1, "a"), log.Insert(1, {{1, 1}}), log.Xid()});
  const std::string ends = std::to_string(log.place());
  EXPECT_THAT(out.Take(), ElementsAre("begin bin.000001:" + begins, "0 insert shop.a new(1, 1)",
                                      "commit bin.000001:" + ends));
  // A server of before GTIDs.
  Feed({log.Query("BEGIN"), log.Map(1, "a"), log.Insert(1, {{2, 2}}), log.Xid()});
  EXPECT_EQ(out.Take()[0], "begin bin.000001:" + ends);
  const std::string truncated = std::to_string(log.place());
  Feed({log.Query("TRUNCATE TABLE a")});
  EXPECT_EQ(out.Take()[0], "begin bin.000001:" + truncated);
}

TEST_F(FileGroups, NamesAGroupOfAPayload) {
  const std::string begins = std::to_string(log.place());
  Feed({log.Gtid(0, true),
        log.Payload({log.Query("BEGIN"), log.Map(1, "a"), log.Insert(1, {{1, 1}}), log.Xid()})});
  EXPECT_THAT(out.Take(), ElementsAre("begin bin.000001:" + begins, "0 insert shop.a new(1, 1)",
                                      "commit bin.000001:" + std::to_string(log.place())));
}

TEST_F(FileGroups, ReadsFromTheFirstUndecidedGroupOn) {
  const std::string begins = std::to_string(log.place());
  const std::vector<std::string> prepare = {
      log.Gtid(0, true),       log.Query("XA START X'61',X'',1"), log.Map(1, "a"),
      log.Insert(1, {{1, 1}}), log.Query("XA END X'61',X'',1"),   log.XaPrepare("a")};
  const std::vector<std::string> between = {log.Gtid(0, true), log.Query("BEGIN"), log.Map(1, "a"),
                                            log.Insert(1, {{2, 2}}), log.Xid()};
  Feed(prepare);
  Feed(between);
  EXPECT_EQ(out.Take().back(),
            "commit bin.000001:" + std::to_string(log.place()) + " undecided bin.000001:" + begins);
  const std::string stored = decoder->position().ToString();
  decoder->Reset(*LogPosition::Parse(LogPosition::Form::kFile, stored));
  const uint64_t end = log.place();
  Feed({log.Rotate("bin.000001", std::stoull(begins))});
  GroupBytes again(Flavour::kMysql);
  std::string format = again.Format();
  format.replace(13, 4, 4, '\0');  // made for a start in mid-file: it has no place
  const auto crc =
      crc32(0, reinterpret_cast<const Bytef*>(format.data()), static_cast<uInt>(format.size() - 4));
  format.replace(format.size() - 4, 4, Little(static_cast<uint32_t>(crc)));
  Feed({format});
  Feed(prepare);
  Feed(between);
  EXPECT_THAT(out.Take(), ElementsAre("passed " + stored));
  log.Rotate("bin.000001", end);
  Feed({log.Gtid(0, true), log.Query("XA COMMIT X'61',X'',1")});
  EXPECT_THAT(out.Take(), ElementsAre("begin bin.000001:" + begins, "0 insert shop.a new(1, 1)",
                                      "commit bin.000001:" + std::to_string(log.place())));
}

}  // namespace
}  // namespace tailwater::mysql
