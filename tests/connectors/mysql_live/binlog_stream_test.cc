// Packets of a real server: from a GTID and from a place in a file, large ones, and every way in
// which they end.
#include "mysql/binlog_stream.h"

#include <gmock/gmock.h>

#include <chrono>
#include <cstring>
#include <functional>
#include <string>
#include <thread>

#include "connectors/mysql_live/live_server.h"
#include "connectors/mysql_live/tcp_proxy.h"
#include "mysql/binlog_event.h"
#include "support/text.h"

namespace tailwater::mysql {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

EventType TypeOf(std::string_view packet) {
  return static_cast<EventType>(static_cast<unsigned char>(packet[4]));
}

bool IsInsert(std::string_view packet) {
  const EventType type = TypeOf(packet);
  return type == EventType::kWriteRowsV1 || type == EventType::kWriteRowsV2;
}

uint32_t SizeInHeader(std::string_view packet) {
  uint32_t size = 0;
  std::memcpy(&size, packet.data() + 9, sizeof size);
  return size;
}

class BinlogStreamTest : public ::testing::TestWithParam<Flavour> {
 protected:
  explicit BinlogStreamTest(LiveServer& server) : server_(server), root_(server.Config("public")) {
    root_.Run("create table if not exists packets (id int auto_increment primary key, b longblob)");
  }
  BinlogStreamTest() : BinlogStreamTest(LiveServer::Shared(GetParam())) {}

  LogPosition Now() {
    const bool mariadb = GetParam() == Flavour::kMariadb;
    return *LogPosition::Parse(
        mariadb ? LogPosition::Form::kMariadbGtid : LogPosition::Form::kMysqlGtid,
        root_.Value(mariadb ? "select @@gtid_binlog_pos" : "select @@gtid_executed"));
  }
  LogPosition PlaceNow() {
    const Rows rows = root_.Run(GetParam() == Flavour::kMariadb ? "show master status"
                                                                : "show binary log status");
    return LogPosition(
        FilePosition{rows.String(0, 0), static_cast<uint64_t>(*rows.MaybeNumber(0, 1))});
  }
  Result<std::unique_ptr<BinlogStream>> Start(const MysqlConfig& config, const LogPosition& from,
                                              std::chrono::milliseconds silence = 20s,
                                              uint32_t server_id = 0) {
    auto opened = Connection::Open(config, "stream_test", {stop_.get_token(), &wakeup_});
    if (!opened) return std::move(opened).error();
    session_ = (*opened)->session_id();
    static uint32_t next_id = 7000;
    return BinlogStream::Start(
        *std::move(opened), {.from = from,
                             .server_id = server_id != 0 ? server_id : ++next_id,
                             .replica_uuid = fmt::format("00000000-0000-0000-0000-{:012}", next_id),
                             .heartbeat = 200ms,
                             .silence_timeout = silence});
  }
  std::unique_ptr<BinlogStream> Begin(const LogPosition& from) {
    auto stream = Start(server_.Config(), from);
    if (!stream) throw std::runtime_error(stream.error().message);
    return *std::move(stream);
  }
  // Packets until `last` says so; its error ends it, too.
  Status ReadUntil(BinlogStream& stream, const std::function<bool(std::string_view)>& last,
                   std::chrono::seconds patience = 30s) {
    const auto deadline = Clock::now() + patience;
    while (Clock::now() < deadline) {
      std::string_view packet;
      auto got = stream.Next(packet);
      if (!got) return std::move(got).error();
      if (!*got) {
        ++idle_;
        TW_TRY(stream.Wait(500ms, wakeup_));
        continue;
      }
      EXPECT_EQ(SizeInHeader(packet), packet.size());
      if (last(packet)) return {};
    }
    return Error{Disposition::kFatal, "test_timeout", "what was waited for did not come"};
  }
  Error ReadToTheEnd(BinlogStream& stream) {
    return ReadUntil(stream, [](std::string_view) { return false; }).error();
  }

  LiveServer& server_;
  Sql root_;
  Wakeup wakeup_;
  std::stop_source stop_;
  uint64_t session_ = 0;
  int idle_ = 0;
};
INSTANTIATE_TEST_SUITE_P(Live, BinlogStreamTest, BothFlavours(), FlavourName);

TEST_P(BinlogStreamTest, StartsBehindAGtidAndFollows) {
  root_.Run("insert into packets (b) values ('before')");
  const auto stream = Begin(Now());
  root_.Run("insert into packets (b) values ('needle')");
  int inserts = 0;
  const Status read = ReadUntil(*stream, [&](std::string_view packet) {
    inserts += IsInsert(packet) ? 1 : 0;
    return packet.find("needle") != std::string_view::npos && IsInsert(packet);
  });
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(inserts, 1);
  EXPECT_GT(stream->received_bytes(), 0u);
}

TEST_P(BinlogStreamTest, StartsAtAPlaceInAFile) {
  root_.Run("insert into packets (b) values ('before')");
  const auto stream = Begin(PlaceNow());
  root_.Run("insert into packets (b) values ('needle')");
  int inserts = 0;
  const Status read = ReadUntil(*stream, [&](std::string_view packet) {
    inserts += IsInsert(packet) ? 1 : 0;
    return packet.find("needle") != std::string_view::npos && IsInsert(packet);
  });
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(inserts, 1);
}

TEST_P(BinlogStreamTest, IsIdleBetweenHeartbeats) {
  const auto stream = Begin(Now());
  int heartbeats = 0;
  const Status read = ReadUntil(*stream, [&](std::string_view packet) {
    const EventType type = TypeOf(packet);
    if (type == EventType::kHeartbeat || type == EventType::kHeartbeatV2) ++heartbeats;
    return heartbeats == 3;
  });
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_GE(idle_, 2);
}

TEST_P(BinlogStreamTest, ReadsPacketsLargerThanThePhysicalOnes) {
  root_.Run("set global max_allowed_packet = 1073741824");
  Sql writer(server_.Config("public"));
  const auto stream = Begin(Now());
  const auto insert = [&](size_t bytes) {
    writer.Run(fmt::format("insert into packets (b) select repeat('x', {})", bytes));
    size_t size = 0;
    const Status read = ReadUntil(*stream, [&](std::string_view packet) {
      size = packet.size();
      return IsInsert(packet);
    });
    EXPECT_TRUE(read) << read.error().message;
    return size;
  };
  // A packet of exactly 0xFFFFFF bytes, its status byte among them, is followed by an empty one.
  constexpr size_t kPhysical = 0xFFFFFF;
  const size_t around = insert(kPhysical - 200) - (kPhysical - 200);
  for (const size_t size : {kPhysical - 2, kPhysical - 1, kPhysical, 2 * kPhysical - 1})
    EXPECT_EQ(insert(size - around), size);
  writer.Run("truncate table packets");
}

TEST_P(BinlogStreamTest, EndsWhenItsSessionIsKilled) {
  const auto stream = Begin(Now());
  root_.Run("kill " + std::to_string(session_));
  const Error error = ReadToTheEnd(*stream);
  EXPECT_EQ(error.disposition, Disposition::kRetry) << error.message;
  EXPECT_TRUE(stream->connection().broken());
}

TEST_P(BinlogStreamTest, TellsThatItsServerIdIsTaken) {
  auto first = Start(server_.Config(), Now(), 20s, 6999);
  ASSERT_TRUE(first) << first.error().message;
  ASSERT_TRUE(ReadUntil(**first, [](std::string_view) { return true; }));
  auto second = Start(server_.Config(), Now(), 20s, 6999);
  ASSERT_TRUE(second) << second.error().message;
  const Error error = ReadToTheEnd(**first);
  EXPECT_EQ(error.code, "mysql_server_id_taken") << error.message;
  EXPECT_EQ(error.disposition, Disposition::kFatal);
}

TEST_P(BinlogStreamTest, NoticesAPeerThatFellSilent) {
  TcpProxy proxy(server_.port());
  MysqlConfig config = server_.Config();
  config.port = static_cast<uint32_t>(proxy.port());
  auto stream = Start(config, Now(), 1s);
  ASSERT_TRUE(stream) << stream.error().message;
  ASSERT_TRUE(ReadUntil(**stream, [](std::string_view packet) {
    return TypeOf(packet) == EventType::kHeartbeat || TypeOf(packet) == EventType::kHeartbeatV2;
  }));
  proxy.Freeze();
  const auto begin = Clock::now();
  const Error error = ReadToTheEnd(**stream);
  EXPECT_EQ(error.code, "mysql_silence") << error.message;
  EXPECT_EQ(error.disposition, Disposition::kRetry);
  EXPECT_LT(Clock::now() - begin, 10s);
}

TEST_P(BinlogStreamTest, WakesUpAndStopsWhileItWaits) {
  const auto stream = Begin(Now());
  std::jthread waker([&] {
    std::this_thread::sleep_for(100ms);
    wakeup_.Wake();
  });
  std::string_view packet;
  for (auto got = stream->Next(packet); got && *got;) got = stream->Next(packet);
  EXPECT_TRUE(stream->Wait(1000ms, wakeup_));
  stop_.request_stop();
  wakeup_.Wake();
  const auto begin = Clock::now();
  EXPECT_TRUE(stream->Wait(10s, wakeup_));
  EXPECT_LT(Clock::now() - begin, 3s);
}

// The rest of an event that never comes.
TEST_P(BinlogStreamTest, StopsInTheMiddleOfAPacket) {
  bool cut = false;
  TcpProxy proxy(server_.port(), [&cut](std::string& bytes) {
    if (bytes.find("needle") != std::string::npos) cut = true;
    if (cut) bytes.resize(bytes.size() > 100 ? 60 : 0);
  });
  MysqlConfig config = server_.Config();
  config.tls.mode = TlsMode::kDisable;
  config.port = static_cast<uint32_t>(proxy.port());
  auto stream = Start(config, Now(), 60s);
  ASSERT_TRUE(stream) << stream.error().message;
  root_.Run("insert into packets (b) values (concat('needle', repeat('x', 50000)))");
  std::jthread stopper([&] {
    std::this_thread::sleep_for(500ms);
    stop_.request_stop();
    wakeup_.Wake();
  });
  const auto begin = Clock::now();
  while (Clock::now() - begin < 20s) {
    std::string_view packet;
    auto got = (*stream)->Next(packet);
    if (!got) {
      EXPECT_EQ(got.error().disposition, Disposition::kCancelled) << got.error().message;
      break;
    }
    if (stop_.stop_requested() && !*got) break;
    if (!*got) {
      EXPECT_TRUE((*stream)->Wait(200ms, wakeup_));
    }
  }
  EXPECT_LT(Clock::now() - begin, 5s);
}

TEST_P(BinlogStreamTest, EndsTheServersDumpThread) {
  auto stream = Begin(Now());
  ASSERT_TRUE(ReadUntil(*stream, [](std::string_view) { return true; }));
  stream->Finish();
  stream.reset();
  const auto deadline = Clock::now() + 10s;
  int left = 1;
  while (left != 0 && Clock::now() < deadline) {
    left = static_cast<int>(*root_
                                 .Run("select count(*) from information_schema.processlist where "
                                      "id = " +
                                      std::to_string(session_))
                                 .MaybeNumber(0, 0));
    if (left != 0) std::this_thread::sleep_for(50ms);
  }
  EXPECT_EQ(left, 0);
}

#ifndef TAILWATER_LIBMYSQLCLIENT
TEST_P(BinlogStreamTest, IsListedAmongTheReplicas) {
  auto stream = Start(server_.Config(), Now(), 20s, 6888);
  ASSERT_TRUE(stream) << stream.error().message;
  const Rows rows =
      root_.Run(GetParam() == Flavour::kMariadb ? "show slave hosts" : "show replicas");
  bool found = false;
  for (int row = 0; row < rows.size(); ++row) found = found || rows.Text(row, 0) == "6888";
  EXPECT_TRUE(found);
}
#endif

class TlsStreamTest : public BinlogStreamTest {
 protected:
  TlsStreamTest() : BinlogStreamTest(WithCertificate()) {}
  static LiveServer& WithCertificate() {
    if (GetParam() == Flavour::kMariadb) {
      static LiveServer server(Flavour::kMariadb, {"--tls"});
      return server;
    }
    static LiveServer server(Flavour::kMysql, {"--tls"});
    return server;
  }
};
INSTANTIATE_TEST_SUITE_P(Live, TlsStreamTest, BothFlavours(), FlavourName);

TEST_P(TlsStreamTest, ReadsOverTls) {
  MysqlConfig config = server_.Config();
  config.tls.mode = TlsMode::kVerifyFull;
  config.tls.ca = server_.ca();
  auto stream = Start(config, Now());
  ASSERT_TRUE(stream) << stream.error().message;
  ASSERT_TRUE((*stream)->connection().uses_tls());
  for (int i = 0; i < 50; ++i)
    root_.Run(fmt::format("insert into packets (b) select repeat('{}', {})", i % 10, i * 2000));
  root_.Run("insert into packets (b) values ('needle')");
  int inserts = 0;
  const Status read = ReadUntil(**stream, [&](std::string_view packet) {
    inserts += IsInsert(packet) ? 1 : 0;
    return packet.find("needle") != std::string_view::npos && IsInsert(packet);
  });
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(inserts, 51);
}

// What ends the log itself: a server of its own.
class LogEndTest : public BinlogStreamTest {
 protected:
  LogEndTest() : BinlogStreamTest(Own()) {}
  static LiveServer& Own() {
    if (GetParam() == Flavour::kMariadb) {
      static LiveServer server(Flavour::kMariadb);
      return server;
    }
    static LiveServer server(Flavour::kMysql);
    return server;
  }
};
INSTANTIATE_TEST_SUITE_P(Live, LogEndTest, BothFlavours(), FlavourName);

TEST_P(LogEndTest, TellsWhatWasPurged) {
  root_.Run("insert into packets (b) values ('one')");
  const LogPosition gtid = Now();
  const LogPosition place = PlaceNow();
  root_.Run("insert into packets (b) values ('two')");
  root_.Run("flush binary logs");
  root_.Run("insert into packets (b) values ('three')");
  root_.Run("flush binary logs");
  // Checkpoints of MariaDB hold the former file for a moment.
  const std::string last = PlaceNow().file().file;
  const auto deadline = Clock::now() + 20s;
  while (root_.Run("show binary logs").size() > 1 && Clock::now() < deadline) {
    root_.Run("purge binary logs to '" + last + "'");
    std::this_thread::sleep_for(20ms);
  }
  for (const LogPosition& from : {gtid, place}) {
    const auto stream = Begin(from);
    const Error error = ReadToTheEnd(*stream);
    EXPECT_EQ(error.code, "mysql_purged") << error.message;
    EXPECT_EQ(error.disposition, Disposition::kGap);
  }
}

TEST_P(LogEndTest, TakesAShutdownForTemporary) {
  auto stream = Begin(Now());
  ASSERT_TRUE(ReadUntil(*stream, [](std::string_view) { return true; }));
  std::jthread reader([&] {
    const Error error = ReadToTheEnd(*stream);
    EXPECT_EQ(error.disposition, Disposition::kRetry) << error.message;
    stream->Finish();
  });
  server_.Command("stop");
  reader.join();
  const auto refused = Connection::Open(server_.Config(), "stream_test", {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "mysql_unreachable");
  server_.Command("start");
}

}  // namespace
}  // namespace tailwater::mysql
