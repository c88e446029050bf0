// Key changes whose large columns the log left out.
#include "connectors/postgres_live/live_fixture.h"

namespace tailwater::postgres {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class KeyChangeTest : public LiveTest {
 protected:
  void MakeTable(const std::string& key = "id int") {
    Run("create table docs (" + key + " primary key, body text, small text)");
    Run("alter table docs alter body set storage external");
    big_ = std::string(5000, 'x');
  }
  void StartWithRow(const std::string& key = "1") {
    Start();
    ASSERT_TRUE(WaitForStreaming());
    Run("insert into docs values (" + key + ", repeat('x', 5000), 's')");
    ASSERT_TRUE(writer_.WaitForChanges(1));
  }
  std::string big_;
};

TEST_F(KeyChangeTest, MarksWhatAPlainUpdateLeftOut) {
  MakeTable();
  StartWithRow();
  Run("update docs set small = 't' where id = 1");
  ASSERT_TRUE(writer_.WaitForChanges(2));
  EXPECT_OK(Stop());
  EXPECT_EQ(writer_.changes()[1], "update public.docs after{id=1, body=(unchanged), small=t}");
}

TEST_F(KeyChangeTest, ReadsBackByTheNewKey) {
  MakeTable();
  StartWithRow();
  Run("update docs set id = 2 where id = 1");
  ASSERT_TRUE(writer_.WaitForChanges(3));
  EXPECT_OK(Stop());
  EXPECT_EQ(writer_.changes()[1],
            "delete public.docs before{id=1, body=(omitted), small=(omitted)}");
  EXPECT_EQ(writer_.changes()[2], "insert public.docs after{id=2, body=" + big_ + ", small=s}");
  EXPECT_EQ(metrics_.Value("tailwater_source_read_backs_total"), 1);
  EXPECT_THAT(writer_.transactions()[1].ordinals,
              ElementsAre(std::pair(0u, 0u), std::pair(0u, 1u)));
}

TEST_F(KeyChangeTest, ReadsBackByKeysOfEveryKind) {
  Run("create type mood as enum ('sad', 'glad')");
  Run("create table docs (a text, b timestamptz, c uuid, d varchar(9), e bytea, f mood, g numeric, "
      "h "
      "date, i char(4), body text, primary key (a, b, c, d, e, f, g, h, i))");
  Run("alter table docs alter body set storage external");
  Start();
  ASSERT_TRUE(WaitForStreaming());
  Run("insert into docs values ('it''s \\ \"q\"', '2024-02-29 12:00:00.5+02', "
      "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'v', '\\x00ff', 'sad', 1.50, '44-03-15 BC', 'ab', "
      "repeat('x', 5000))");
  Run("update docs set f = 'glad'");
  ASSERT_TRUE(writer_.WaitForChanges(3));
  EXPECT_OK(Stop());
  EXPECT_THAT(writer_.changes()[2], HasSubstr("body=" + std::string(5000, 'x')));
}

TEST_F(KeyChangeTest, TakesTheOldRowUnderFullIdentity) {
  MakeTable();
  Run("alter table docs replica identity full");
  StartWithRow();
  Run("update docs set id = 2 where id = 1");
  ASSERT_TRUE(writer_.WaitForChanges(3));
  EXPECT_OK(Stop());
  EXPECT_EQ(writer_.changes()[2], "insert public.docs after{id=2, body=" + big_ + ", small=s}");
  EXPECT_EQ(metrics_.Value("tailwater_source_read_backs_total"), 0);
}

TEST_F(KeyChangeTest, OmitsWhatIsGone) {
  MakeTable();
  StartWithRow();
  EXPECT_OK(Stop());
  Run("update docs set id = 2 where id = 1");
  Run("delete from docs");
  Start();
  ASSERT_TRUE(writer_.WaitForChanges(4));
  EXPECT_OK(Stop());
  EXPECT_EQ(writer_.changes()[2], "insert public.docs after{id=2, body=(omitted), small=s}");
  EXPECT_EQ(writer_.changes()[3],
            "delete public.docs before{id=2, body=(omitted), small=(omitted)}");
}

TEST_F(KeyChangeTest, OmitsColumnsAndTablesThatAreGone) {
  MakeTable();
  StartWithRow();
  EXPECT_OK(Stop());
  Run("update docs set id = 2 where id = 1");
  Run("alter table docs drop column body");
  Start();
  ASSERT_TRUE(writer_.WaitForChanges(3));
  EXPECT_OK(Stop());
  EXPECT_EQ(writer_.changes()[2], "insert public.docs after{id=2, body=(omitted), small=s}");
}

TEST_F(KeyChangeTest, OmitsWhatADroppedTableHeld) {
  MakeTable();
  Run("create table other (id int primary key)");
  StartWithRow();
  EXPECT_OK(Stop());
  Run("update docs set id = 2 where id = 1");
  Run("drop table docs");
  Start();
  ASSERT_TRUE(writer_.WaitForChanges(3));
  EXPECT_OK(Stop());
  EXPECT_EQ(writer_.changes()[2], "insert public.docs after{id=2, body=(omitted), small=s}");
}

TEST_F(KeyChangeTest, FollowsARenamedTable) {
  MakeTable();
  StartWithRow();
  EXPECT_OK(Stop());
  Run("update docs set id = 2 where id = 1");
  Run("alter table docs rename to \"Papers of ours\"");
  Start();
  ASSERT_TRUE(writer_.WaitForChanges(3));
  EXPECT_OK(Stop());
  EXPECT_EQ(writer_.changes()[2], "insert public.docs after{id=2, body=" + big_ + ", small=s}");
}

TEST_F(KeyChangeTest, WaitsForALockAndKeepsTheServerInformed) {
  MakeTable();
  StartWithRow();
  EXPECT_OK(Stop());
  Run("update docs set id = 2 where id = 1");
  Sql other(config_);
  other.Run("begin");
  other.Run("lock table docs in access exclusive mode");
  Start();
  const std::string waiting =
      "select count(*) from pg_locks where not granted and relation = "
      "'docs'::regclass";
  ASSERT_TRUE(WaitForSql(waiting, "1"));
  Run("create table marks as select coalesce(reply_time, now()) as reply_time from "
      "pg_stat_replication");
  ASSERT_TRUE(
      WaitForSql("select bool_or(s.reply_time > m.reply_time + interval '500 ms') from "
                 "pg_stat_replication s, marks m"));
  EXPECT_EQ(writer_.changes().size(), 1u);
  other.Run("rollback");
  ASSERT_TRUE(writer_.WaitForChanges(3));
  EXPECT_OK(Stop());
  EXPECT_EQ(writer_.changes()[2], "insert public.docs after{id=2, body=" + big_ + ", small=s}");
}

TEST_F(KeyChangeTest, StopsWhileItWaitsForALock) {
  MakeTable();
  StartWithRow();
  EXPECT_OK(Stop());
  Run("update docs set id = 2 where id = 1");
  Sql other(config_);
  other.Run("begin");
  other.Run("lock table docs in access exclusive mode");
  Start();
  ASSERT_TRUE(
      WaitForSql("select count(*) from pg_locks where not granted and relation = "
                 "'docs'::regclass",
                 "1"));
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_OK(Stop());
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(3));
}

TEST_F(KeyChangeTest, NeedsTheRightToRead) {
  MakeTable();
  Run("create role reader login replication");
  Run("grant create on database " + database_ + " to reader");
  Run("alter table docs owner to reader");
  config_.user = "reader";
  StartWithRow();
  EXPECT_OK(Stop());
  Run("alter table docs owner to postgres");
  Run("revoke all on docs from reader");
  Run("update docs set id = 2 where id = 1");
  const Status status = RunOnce();
  EXPECT_THAT(status, IsErrorWith("pg_privilege_missing"));
  EXPECT_THAT(status.error().message, HasSubstr("docs"));
  Run("grant select on docs to reader");
  Start();
  ASSERT_TRUE(writer_.WaitForChanges(3));
  EXPECT_OK(Stop());
  Run("drop owned by reader");
  source_.reset();
  Run("drop role reader");
}

TEST_F(KeyChangeTest, CanBeToldNotToRead) {
  MakeTable();
  config_.read_back = false;
  StartWithRow();
  Run("update docs set id = 2 where id = 1");
  ASSERT_TRUE(writer_.WaitForChanges(3));
  EXPECT_OK(Stop());
  EXPECT_EQ(writer_.changes()[2], "insert public.docs after{id=2, body=(omitted), small=s}");
}

}  // namespace
}  // namespace tailwater::postgres
