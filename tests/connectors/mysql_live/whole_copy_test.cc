// Tables without a key; and the race between the log and what is visible.
#include <random>
#include <thread>

#include "connectors/mysql_live/copy_fixture.h"

namespace tailwater::mysql {
namespace {

using ::testing::ElementsAreArray;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class WholeCopyLiveTest : public CopyTest {};
INSTANTIATE_TEST_SUITE_P(Live, WholeCopyLiveTest, BothFlavours(), FlavourName);

TEST_P(WholeCopyLiveTest, ATableWithoutAKeyIsCopiedAtExactlyOnePlace) {
  Run("create table t (a int, v varchar(40)) engine=innodb");
  Run("insert into t with recursive s(n) as (select 0 union all select n + 1 from s where n < 299) "
      "select n % 100, 'first' from s");
  Run("create table other (id int primary key, v int) engine=innodb");
  Start();
  std::atomic<bool> stop{false};
  std::vector<std::thread> writers;
  for (unsigned number = 0; number < 3; ++number) {
    writers.emplace_back([&, number] {
      Sql sql(config_);
      std::mt19937 random(number);
      for (int turn = 0; !stop; ++turn) {
        try {
          sql.Run("begin");
          sql.Run(fmt::format("insert into t values ({}, '{} {}')", random() % 100, number, turn));
          if (random() % 3 == 0)
            sql.Run(fmt::format("delete from t where a = {} limit 2", random() % 100));
          sql.Run(fmt::format("replace into other values ({}, {})", random() % 100, turn));
          sql.Run("commit");
        } catch (const std::exception&) {
          sql.Run("rollback");
        }
      }
    });
  }
  for (int i = 0; i < 4; ++i) EXPECT_OK(CopyWhole(*reader_, Name("t")));
  stop = true;
  for (std::thread& writer : writers) writer.join();
  CatchUp();
  // A row too many or too few of what the stream brings would never go away again.
  EXPECT_THAT(Model("t"), ElementsAreArray(Actual("t")));
  const auto tables = reader_->Tables();
  ASSERT_OK(tables);
  ASSERT_THAT(*tables, SizeIs(2));
  EXPECT_EQ((*tables)[1].schema->fingerprint(), writer_.table(Name("t")).stream_fingerprint);
}

TEST_P(WholeCopyLiveTest, AnIdleServerHoldsUpNoCopy) {
  Run("create table t (a int, v varchar(40)) engine=innodb");
  Run("create table nothing (a int) engine=innodb");
  Run("insert into t values (1, 'a'), (1, 'a'), (null, null)");
  Start();
  EXPECT_OK(CopyWhole(*reader_, Name("t")));
  EXPECT_TRUE(writer_.WaitUntil([&](ModelWriter&) { return Model("t").size() == 3; }));
  Run("flush binary logs");
  EXPECT_OK(CopyWhole(*reader_, Name("t")));
  EXPECT_OK(CopyWhole(*reader_, Name("nothing")));
  EXPECT_TRUE(writer_.WaitUntil([&](ModelWriter&) { return Model("t") == Actual("t"); }));
}

TEST_P(WholeCopyLiveTest, TablesWithoutTransactionsAreLockedWhileTheyAreRead) {
  Run("create table t (a int, v varchar(40)) engine=myisam");
  Run("insert into t with recursive s(n) as (select 0 union all select n + 1 from s where n < 299) "
      "select n % 100, 'first' from s");
  Start();
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    Sql sql(config_);
    for (int turn = 0; !stop; ++turn) {
      sql.Run(fmt::format("insert into t values ({}, 'x')", turn % 100));
      sql.Run(fmt::format("delete from t where a = {} limit 2", turn % 77));
    }
  });
  for (int i = 0; i < 3; ++i) EXPECT_OK(CopyWhole(*reader_, Name("t")));
  stop = true;
  writer.join();
  CatchUp();
  EXPECT_THAT(Model("t"), ElementsAreArray(Actual("t")));
}

TEST_P(WholeCopyLiveTest, ALongWriterIsWaitedForWithoutHoldingTheStreamUp) {
  Run("create table t (a int) engine=innodb");
  Run("create table other (id int primary key) engine=innodb");
  Run("insert into t values (1)");
  Start();
  Sql slow(config_);
  slow.Run("begin");
  slow.Run("insert into t values (2)");
  auto copied = std::async(std::launch::async, [&] { return CopyWhole(*reader_, Name("t")); });
  for (int i = 0; i < 5; ++i) {
    Run("insert into other values (" + std::to_string(i) + ")");
    CatchUp();
  }
  slow.Run("commit");
  EXPECT_OK(copied.get());
  CatchUp();
  EXPECT_THAT(Model("t"), ElementsAreArray(Actual("t")));
}

TEST_P(WholeCopyLiveTest, TheLockNeedsAPrivilegeThatIsNamed) {
  Run("create table t (a int) engine=myisam");
  Start();
  const std::string user = "l" + database_;
  Run("create user " + user + "@'127.0.0.1'");
  Run("grant replication client on *.* to " + user + "@'127.0.0.1'");
  Run("grant select on " + database_ + ".* to " + user + "@'127.0.0.1'");
  config_.user = user;
  auto poor = OpenReader();
  const Status denied = CopyWhole(*poor, Name("t"));
  ASSERT_THAT(denied, IsErrorWith("mysql_privilege_missing"));
  EXPECT_THAT(denied.error().message,
              HasSubstr("GRANT LOCK TABLES ON `" + database_ + "`.* TO '" + user));
  poor.reset();
  Run("drop user " + user + "@'127.0.0.1'");
}

// A source that waits for a replica has written a transaction into its log, and sent it, seconds
// before anybody else sees it.
class LateVisibilityTest : public CopyTest {
 protected:
  LateVisibilityTest() {
    if (is_mariadb()) {
      Run("set global rpl_semi_sync_master_wait_point = AFTER_SYNC");
      Run("set global rpl_semi_sync_master_enabled = on");
    } else {
      if (Run("select 1 from information_schema.plugins where plugin_name = "
              "'rpl_semi_sync_source'")
              .empty())
        Run("install plugin rpl_semi_sync_source soname 'semisync_source.so'");
      Run("set global rpl_semi_sync_source_enabled = on");
    }
    SetTimeout(1);  // nobody answers while the tables are made
  }
  ~LateVisibilityTest() override {
    Release();
    replica_.reset();
    reader_.reset();
    stream_.reset();
  }
  // Nobody waits for the replica any more.
  void Release() {
    Run(fmt::format("set global rpl_semi_sync_{}_enabled = off",
                    is_mariadb() ? "master" : "source"));
  }
  void SetTimeout(int milliseconds) {
    Run(fmt::format("set global rpl_semi_sync_{}_timeout = {}", is_mariadb() ? "master" : "source",
                    milliseconds));
  }
  void StartWithReplica() {
    Start();
    SetTimeout(60'000);
    replica_ = std::make_unique<ServerProcess>(
        "tests/servers/silent_replica.py",
        std::vector<std::string>{"--port", std::to_string(server_.port())});
  }

 private:
  std::unique_ptr<ServerProcess> replica_;
};
INSTANTIATE_TEST_SUITE_P(Live, LateVisibilityTest, BothFlavours(), FlavourName);

// Does not wait for what the stream has shown already.
class HastyReader final : public MysqlSnapshotReader {
 public:
  HastyReader(const MysqlConfig& config, const SourceContext& context, StreamMarks& marks,
              std::stop_token stop)
      : MysqlSnapshotReader(config, context, marks, std::move(stop)) {}
  static std::unique_ptr<HastyReader> Make(const MysqlConfig& config, const SourceContext& context,
                                           StreamMarks& marks, std::stop_token stop) {
    auto reader = std::make_unique<HastyReader>(config, context, marks, stop);
    EXPECT_OK(reader->Connect());
    return reader;
  }

 protected:
  Result<bool> Shows(const StreamMarks::Place&) override { return true; }
};

TEST_P(LateVisibilityTest, AChunkWaitsUntilWhatWasStreamedIsVisible) {
  Run("create table t (id int primary key, v varchar(40)) engine=innodb");
  Run("insert into t values (1, 'old'), (2, 'old')");
  StartWithReplica();
  auto hasty = HastyReader::Make(config_, *context_, stream_->marks(), reader_stop_.get_token());
  std::jthread writer([&] { Sql(config_).Run("update t set v = 'new' where id = 1"); });
  ASSERT_TRUE(writer_.WaitUntil([](ModelWriter& model) { return model.changes() == 1; }));
  // Without the wait the copied row is older than the streamed one, and nothing comes behind it.
  CopyInChunks(*hasty, Name("t"), 10);
  EXPECT_THAT(Model("t"), ElementsAreArray({"1|old", "2|old"}));
  auto copied = std::async(std::launch::async, [&] { CopyInChunks(*reader_, Name("t"), 10); });
  EXPECT_EQ(copied.wait_for(std::chrono::milliseconds(500)), std::future_status::timeout);
  Release();
  copied.get();
  EXPECT_THAT(Model("t"), ElementsAreArray({"1|new", "2|old"}));
  writer.join();
  CatchUp();
  EXPECT_THAT(Model("t"), ElementsAreArray(Actual("t")));
}

TEST_P(LateVisibilityTest, ACopyWithoutAKeyWaitsToo) {
  Run("create table t (a int, v varchar(40)) engine=innodb");
  Run("insert into t values (1, 'old'), (2, 'old')");
  StartWithReplica();
  std::jthread writer([&] { Sql(config_).Run("update t set v = 'new' where a = 1"); });
  ASSERT_TRUE(writer_.WaitUntil([](ModelWriter& model) { return model.changes() == 1; }));
  auto copied = std::async(std::launch::async, [&] { return CopyWhole(*reader_, Name("t")); });
  EXPECT_EQ(copied.wait_for(std::chrono::milliseconds(500)), std::future_status::timeout);
  Release();
  EXPECT_OK(copied.get());
  writer.join();
  CatchUp();
  EXPECT_TRUE(writer_.WaitUntil([&](ModelWriter&) { return Model("t") == Actual("t"); }));
}

// MySQL without GTIDs: places in files, and rows that are locked while they are read.
class NoGtidCopyTest : public CopyTest {
 protected:
  NoGtidCopyTest() : CopyTest(Server()) { form_ = LogPosition::Form::kFile; }
  static LiveServer& Server() {
    static LiveServer server(Flavour::kMysql,
                             {"--set", "gtid_mode=OFF", "--set", "enforce_gtid_consistency=OFF"});
    return server;
  }
};
INSTANTIATE_TEST_SUITE_P(Live, NoGtidCopyTest, ::testing::Values(Flavour::kMysql), FlavourName);

TEST_P(NoGtidCopyTest, ChunksAndWholeCopiesBesideWritersEqualTheSource) {
  Run("create table t (id int primary key, v varchar(40)) engine=innodb");
  Run("create table n (a int, v int) engine=innodb");
  Run("insert into t with recursive s(n) as (select 0 union all select n + 1 from s where n < 199) "
      "select n, 'first' from s");
  Run("insert into n select id % 20, 0 from t");
  Start();
  std::atomic<bool> stop{false};
  std::vector<std::thread> writers;
  for (unsigned number = 0; number < 3; ++number) {
    writers.emplace_back([&, number] {
      Sql sql(config_);
      std::mt19937 random(number);
      for (int turn = 0; !stop; ++turn) {
        try {
          sql.Run("begin");
          sql.Run(fmt::format("replace into t values ({}, '{} {}')", random() % 300, number, turn));
          sql.Run(fmt::format("delete from t where id = {}", random() % 300));
          sql.Run(fmt::format("insert into n values ({}, {})", random() % 20, turn));
          sql.Run(fmt::format("delete from n where a = {} limit 1", random() % 20));
          sql.Run("commit");
        } catch (const std::exception&) {
          sql.Run("rollback");
        }
      }
    });
  }
  for (int i = 0; i < 3; ++i) {
    CopyInChunks(*reader_, Name("t"), 50);
    EXPECT_OK(CopyWhole(*reader_, Name("n")));
  }
  stop = true;
  for (std::thread& writer : writers) writer.join();
  CatchUp();
  EXPECT_THAT(Model("t"), ElementsAreArray(Actual("t")));
  EXPECT_THAT(Model("n"), ElementsAreArray(Actual("n")));
}

TEST_P(NoGtidCopyTest, AReadingThatADeadlockEndsIsDoneAgain) {
  Run("create table t (id int primary key, v varchar(40)) engine=innodb");
  Run("insert into t values (1, 'old'), (2, 'old')");
  Start();
  Sql writer(config_);
  writer.Run("begin");
  writer.Run("update t set v = 'new' where id = 2");
  auto copied = std::async(std::launch::async, [&] { CopyInChunks(*reader_, Name("t"), 10); });
  // It holds the first row, and waits for the second one.
  const auto waits = [&] {
    return Run("show global status like 'innodb_row_lock_current_waits'").String(0, 1) == "1";
  };
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!waits() && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  EXPECT_TRUE(waits());
  writer.Run("update t set v = 'new' where id = 1");
  writer.Run("commit");
  copied.get();
  CatchUp();
  EXPECT_THAT(Model("t"), ElementsAreArray(Actual("t")));
}

TEST_P(NoGtidCopyTest, AnIdleServerHoldsUpNothing) {
  Run("create table t (id int primary key, v varchar(40)) engine=innodb");
  Run("insert into t values (1, 'a'), (2, 'b')");
  Start();
  CopyInChunks(*reader_, Name("t"), 1);
  Run("flush binary logs");
  CopyInChunks(*reader_, Name("t"), 1);
  EXPECT_THAT(Model("t"), ElementsAreArray(Actual("t")));
}

}  // namespace
}  // namespace tailwater::mysql
