// Servers that do not let us in, or cannot do what we need: each on a server of its own.
#include <fstream>

#include "connectors/postgres_live/live_fixture.h"

namespace tailwater::postgres {
namespace {

using ::testing::HasSubstr;

Status RunAgainst(const PostgresConfig& config, RecordingWriter& writer) {
  CountingMetrics metrics;
  PostgresSource source(config, {"p", "shop", Tables({"public.*"}), "", Logger("test"), metrics});
  return source.Run(writer.resume(), writer, {});
}

TEST(TroubleTest, NeedsTheRightPassword) {
  LiveServer server({"--hba", "host all postgres 127.0.0.1/32 trust", "--hba",
                     "host all secretive 127.0.0.1/32 scram-sha-256"});
  PostgresConfig config = server.Config("postgres");
  Sql sql(config);
  sql.Run("set password_encryption = 'scram-sha-256'");
  sql.Run("create role secretive login replication superuser password 'right'");
  sql.Run("create table t (id int primary key)");
  config.user = "secretive";
  RecordingWriter writer;

  Status status = RunAgainst(config, writer);
  ASSERT_THAT(status, IsErrorWith("pg_authentication_failed"));
  EXPECT_EQ(status.error().disposition, Disposition::kNeedsOperator);

  const std::string path = ::testing::TempDir() + "tailwater_password_" + std::to_string(getpid());
  std::ofstream(path) << "wrong\n";
  config.password = Secret("${file:" + path + "}");
  status = RunAgainst(config, writer);
  ASSERT_THAT(status, IsErrorWith("pg_authentication_failed"));
  EXPECT_THAT(status.error().message, Not(HasSubstr("wrong\n")));

  // Read again at the next connect.
  std::ofstream(path) << "right\n";
  std::stop_source stop;
  CountingMetrics metrics;
  PostgresSource source(config, {"p", "shop", Tables({"public.*"}), "", Logger("test"), metrics});
  auto result = std::async(std::launch::async,
                           [&] { return source.Run(writer.resume(), writer, stop.get_token()); });
  EXPECT_TRUE(writer.WaitUntil([](RecordingWriter& w) { return w.established().size() == 2; }));
  stop.request_stop();
  EXPECT_OK(result.get());
  unlink(path.c_str());
  config.password = Secret();

  config.user = "postgres";
  config.database = "nowhere";
  EXPECT_THAT(RunAgainst(config, writer), IsErrorWith("pg_database_missing"));
  config.user = "nobody_known";
  status = RunAgainst(config, writer);  // no line in pg_hba.conf
  ASSERT_THAT(status, IsErrorWith("pg_authentication_failed"));
}

TEST(TroubleTest, NeedsLogicalDecoding) {
  LiveServer server({"--set", "wal_level=replica"});
  PostgresConfig config = server.Config("postgres");
  Sql(config).Run("create table t (id int primary key)");
  RecordingWriter writer;
  const Status status = RunAgainst(config, writer);
  ASSERT_THAT(status, IsErrorWith("pg_wal_level"));
  EXPECT_EQ(status.error().disposition, Disposition::kNeedsOperator);
  EXPECT_THAT(status.error().message, HasSubstr("ALTER SYSTEM SET wal_level = 'logical'"));
  EXPECT_TRUE(writer.established().empty());
}

TEST(TroubleTest, NeedsAFreeSlot) {
  LiveServer server({"--set", "max_replication_slots=1"});
  PostgresConfig config = server.Config("postgres");
  Sql sql(config);
  sql.Run("create table t (id int primary key)");
  sql.Run("select pg_create_logical_replication_slot('other', 'pgoutput')");
  RecordingWriter writer;
  const Status status = RunAgainst(config, writer);
  ASSERT_THAT(status, IsErrorWith("pg_limit_reached"));
  EXPECT_EQ(status.error().disposition, Disposition::kNeedsOperator);
}

TEST(TroubleTest, VerifiesTheServersCertificateWhenAsked) {
  LiveServer server;
  PostgresConfig config = server.Config("postgres");
  config.tls.mode = TlsMode::kVerifyFull;  // the server speaks no TLS
  RecordingWriter writer;
  const Status status = RunAgainst(config, writer);
  ASSERT_THAT(status, IsErrorWith("pg_tls_failed"));
  EXPECT_EQ(status.error().disposition, Disposition::kNeedsOperator);
}

TEST(TroubleTest, ReadsThroughAUnixSocket) {
  LiveServer server;
  PostgresConfig config = server.Config("postgres");
  config.host = server.socket_dir();
  Sql(config).Run("create table t (id int primary key)");
  RecordingWriter writer;
  std::stop_source stop;
  CountingMetrics metrics;
  PostgresSource source(config, {"p", "shop", Tables({"public.*"}), "", Logger("test"), metrics});
  auto result = std::async(std::launch::async,
                           [&] { return source.Run(writer.resume(), writer, stop.get_token()); });
  EXPECT_TRUE(writer.WaitUntil([](RecordingWriter& w) { return w.established().size() == 2; }));
  Sql(config).Run("insert into t select generate_series(1, 1000)");
  EXPECT_TRUE(writer.WaitForChanges(1000));
  stop.request_stop();
  EXPECT_OK(result.get());
}

}  // namespace
}  // namespace tailwater::postgres
