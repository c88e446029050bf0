// What the tests against real servers share: a database, a source over it, a thread that runs it.
#pragma once

#include <gmock/gmock.h>

#include <atomic>
#include <filesystem>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "connectors/mysql_live/live_server.h"
#include "connectors/postgres_live/recording_writer.h"
#include "mysql/mysql_source.h"
#include "mysql/mysql_tools.h"
#include "support/counting_metrics.h"
#include "support/matchers.h"
#include "support/temporary_folder.h"
#include "support/text.h"

namespace tailwater::mysql {

using postgres::RecordingWriter;

class LiveTestOn : public ::testing::Test {
 protected:
  explicit LiveTestOn(LiveServer& server) : server_(&server) {
    static std::atomic<int> count{0};
    database_ = fmt::format("t{}_{}", getpid(), ++count);
    pipeline_ = fmt::format("p{}_{}", getpid(), count.load());
    Use(server);
    Sql(server.Config()).Run("create database " + database_);
    tables_ = Tables({database_ + ".*"});
    sql_ = std::make_unique<Sql>(server.Config(database_));
  }
  ~LiveTestOn() override {
    static_cast<void>(Stop());
    sql_.reset();
    try {
      Sql(server_->Config()).Run("drop database if exists " + database_);
    } catch (const std::exception&) {
      // A server that the test has stopped.
    }
  }

  // From here on the source connects there.
  void Use(LiveServer& server) {
    server_ = &server;
    config_ = server.Config(database_);
    config_.tls.mode = TlsMode::kPrefer;
    source_.reset();
  }
  Rows Run(const std::string& sql) { return sql_->Run(sql); }
  std::string Value(const std::string& sql) { return sql_->Value(sql); }
  bool mariadb() const { return server_->is_mariadb(); }
  std::string Table(const std::string& name) const { return database_ + "." + name; }

  SourceContext Context() {
    return {pipeline_, "shop", tables_, scratch_.path().string(), Logger("test"), metrics_};
  }
  // Starts Run() from what the writer holds durable.
  void Start() {
    if (source_ == nullptr) source_ = std::make_unique<MysqlSource>(config_, Context());
    writer_.Reopen();
    stop_ = std::stop_source();
    result_ = std::async(std::launch::async, [this, token = stop_.get_token()] {
      return source_->Run(writer_.resume(), writer_, token);
    });
  }
  Status Stop() {
    if (!result_.valid()) return {};
    stop_.request_stop();
    return result_.get();
  }
  // Run() ends by itself.
  Status Join() {
    if (result_.wait_for(std::chrono::seconds(60)) != std::future_status::ready) {
      static_cast<void>(Stop());
      return Error{Disposition::kFatal, "test_timeout", "Run() did not end"};
    }
    return result_.get();
  }
  // One Run() that must end in an error.
  Status RunOnce() {
    Start();
    return Join();
  }
  // As the engine does: again after every kRetry, until `done`; then a stop.
  Status RunUntil(const std::function<bool(RecordingWriter&)>& done) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (std::chrono::steady_clock::now() < deadline) {
      Start();
      bool finished = false;
      while (result_.wait_for(std::chrono::milliseconds(5)) != std::future_status::ready) {
        if ((finished = done(writer_)) || std::chrono::steady_clock::now() > deadline) break;
      }
      if (finished) return Stop();
      Status status = Join();
      if (done(writer_)) return {};
      if (status || status.error().disposition != Disposition::kRetry) return status;
    }
    return Error{Disposition::kFatal, "test_timeout", "never done"};
  }
  // The first start has a place: what is written from now on is streamed.
  bool WaitForPlace() {
    return writer_.WaitUntil(
        [](RecordingWriter& self) { return self.resume().frontier.has_value(); });
  }
  std::string frontier() { return writer_.resume().frontier->text; }

  TemporaryFolder scratch_;
  LiveServer* server_;
  std::string database_;
  std::string pipeline_;
  MysqlConfig config_;
  TableSelection tables_;
  CountingMetrics metrics_;
  RecordingWriter writer_;
  std::unique_ptr<Sql> sql_;
  std::unique_ptr<MysqlSource> source_;
  std::stop_source stop_;
  std::future<Status> result_;
};

// On the servers that all tests of this process share.
class LiveTest : public LiveTestOn, public ::testing::WithParamInterface<Flavour> {
 protected:
  LiveTest() : LiveTestOn(LiveServer::Shared(GetParam())) {}
};

// On a server of its own, which it may spoil.
struct OwnServer {
  OwnServer(Flavour flavour, const std::vector<std::string>& more) : server(flavour, more) {}
  LiveServer server;
};
class OwnServerTest : private OwnServer,
                      public LiveTestOn,
                      public ::testing::WithParamInterface<Flavour> {
 protected:
  explicit OwnServerTest(const std::vector<std::string>& more = {})
      : OwnServer(GetParam(), more), LiveTestOn(OwnServer::server) {}
  LiveServer& own() { return OwnServer::server; }
};

}  // namespace tailwater::mysql
