// Another server of the same history: by GTID the source goes on there.
#include "connectors/mysql_live/live_fixture.h"

namespace tailwater::mysql {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

class FailoverTest : public OwnServerTest {
 protected:
  FailoverTest()
      : OwnServerTest({"--set", "server_id=2"}),
        replica_(GetParam(), mariadb() ? std::vector<std::string>{"--set", "server_id=3", "--set",
                                                                  "log_slave_updates=ON"}
                                       : std::vector<std::string>{"--set", "server_id=3"}) {
    // Both begin with an empty log; the database is made once more, in it.
    for (LiveServer* server : {&own(), &replica_}) {
      Sql sql(server->Config());
      sql.Run(mariadb() ? "reset master" : "reset binary logs and gtids");
    }
    sql_.reset();
    Sql sql(own().Config());
    sql.Run("drop database " + database_);
    sql.Run("create database " + database_);
    Sql apply(replica_.Config());
    apply.Run("set sql_log_bin = 0");
    apply.Run("create database if not exists " + database_);
    apply.Run("set sql_log_bin = 1");
    if (mariadb()) {
      apply.Run(
          fmt::format("change master to master_host = '127.0.0.1', master_port = {}, "
                      "master_user = 'root', master_use_gtid = slave_pos",
                      own().port()));
    } else {
      apply.Run(fmt::format(
          "change replication source to source_host = '127.0.0.1', source_port = {}, source_user = "
          "'root', source_auto_position = 1, get_source_public_key = 1",
          own().port()));
    }
    Replica("start");
    sql_ = std::make_unique<Sql>(own().Config(database_));
  }
  // The replica goes first: whoever uses it last is this server's again.
  ~FailoverTest() override {
    static_cast<void>(Stop());
    Use(own());
  }
  void Replica(const std::string& command) {
    Sql(replica_.Config()).Run(command + (mariadb() ? " slave" : " replica"));
  }
  void WaitForReplica() {
    const std::string goal =
        Value(mariadb() ? "select @@gtid_binlog_pos" : "select @@gtid_executed");
    Sql sql(replica_.Config());
    const std::string wait = mariadb() ? "master_gtid_wait" : "wait_for_executed_gtid_set";
    EXPECT_EQ(sql.Value(fmt::format("select {}('{}', 30)", wait, goal)), "0");
  }
  LiveServer replica_;
};
INSTANTIATE_TEST_SUITE_P(Live, FailoverTest, BothFlavours(), FlavourName);

TEST_P(FailoverTest, GoesOnAtTheServerThatTookOver) {
  Run("create table t (id int primary key)");
  Start();
  ASSERT_TRUE(WaitForPlace());
  Run("insert into t values (1)");
  ASSERT_TRUE(writer_.WaitForChanges(1));
  EXPECT_OK(Stop());
  const std::string first = writer_.resume().identity.at("server_uuid");
  Run("insert into t values (2)");
  WaitForReplica();

  // What was read from the first and has not reached the second yet: it lags, nothing is lost.
  Replica("stop");
  Run("insert into t values (3)");
  Start();
  ASSERT_TRUE(writer_.WaitForChanges(3));
  EXPECT_OK(Stop());
  LiveServer& before = own();
  Use(replica_);
  const Status behind = RunOnce();
  ASSERT_THAT(behind, IsErrorWith("mysql_behind_checkpoint"));
  EXPECT_THAT(behind.error().message, HasSubstr("on_gap: resnapshot"));
  Use(before);
  Replica("start");
  WaitForReplica();

  Replica("stop");
  Sql(replica_.Config(database_)).Run("insert into t values (4)");
  Use(replica_);
  Start();
  ASSERT_TRUE(writer_.WaitForChanges(4));
  EXPECT_OK(Stop());
  EXPECT_THAT(writer_.changes(), SizeIs(4));
  EXPECT_NE(writer_.resume().identity.at("server_uuid"), first);
}

}  // namespace
}  // namespace tailwater::mysql
