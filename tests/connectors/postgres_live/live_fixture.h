// What the tests against a real server share: a database, a source over it, a thread that runs it.
#pragma once

#include <gmock/gmock.h>

#include <atomic>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "connectors/postgres_live/live_server.h"
#include "connectors/postgres_live/recording_writer.h"
#include "postgres/postgres_source.h"
#include "postgres/setup.h"
#include "support/counting_metrics.h"
#include "support/durable_frontier.h"
#include "support/matchers.h"

namespace tailwater::postgres {

using tailwater::CountingMetrics;
using tailwater::Tables;

class LiveTest : public ::testing::Test {
 protected:
  LiveTest() : server_(LiveServer::Shared()) {
    static std::atomic<int> count{0};
    database_ = fmt::format("t{}_{}", getpid(), ++count);
    pipeline_ = fmt::format("p{}", count.load());
    admin().Run("create database " + database_);
    config_ = server_.Config(database_);
    config_.status_interval = std::chrono::milliseconds(200);
    sql_ = std::make_unique<Sql>(config_);
  }
  ~LiveTest() override {
    static_cast<void>(Stop());
    sql_.reset();
    Sql admin = this->admin();
    // A session that was cut may still be on its way out.
    admin.Run("select pg_terminate_backend(pid) from pg_stat_activity where datname = '" +
              database_ + "'");
    for (int i = 0; i < 500; ++i) {
      if (admin.Value("select count(*) from pg_stat_activity where datname = '" + database_ +
                      "'") == "0")
        break;
    }
    admin.Run(
        "select pg_drop_replication_slot(slot_name) from pg_replication_slots where database "
        "= '" +
        database_ + "'");
    admin.Run("drop database " + database_);
  }

  Sql admin() { return Sql(server_.Config("postgres")); }
  Rows Run(const std::string& sql) { return sql_->Run(sql); }
  std::string Value(const std::string& sql) { return sql_->Value(sql); }
  std::string slot() const { return fmt::format("tailwater_{}__shop", pipeline_); }
  int version() const { return server_.version(); }

  SourceContext Context() { return {pipeline_, "shop", tables_, "", Logger("test"), metrics_}; }
  void MakeSource() { source_ = std::make_unique<PostgresSource>(config_, Context()); }

  // Starts Run() from what the writer holds durable, and releases what becomes so.
  void Start() {
    if (source_ == nullptr) MakeSource();
    ++runs_;
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
    if (result_.wait_for(std::chrono::seconds(30)) != std::future_status::ready) {
      stop_.request_stop();
      static_cast<void>(result_.get());
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
  void Release() {
    if (const auto frontier = writer_.resume().frontier)
      source_->Release(DurableFrontierForTests::Make(frontier->text));
  }
  bool WaitForSql(const std::string& sql, const std::string& expected = "t") {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    std::string last;
    while (std::chrono::steady_clock::now() < deadline)
      if ((last = Value(sql)) == expected) return true;
    ADD_FAILURE() << sql << " stays " << last;
    return false;
  }
  bool WaitForStreaming() {
    return WaitForSql(
        "select count(*) from pg_stat_replication r join pg_replication_slots s on s.active_pid = "
        "r.pid where s.slot_name = '" +
            slot() + "' and r.state in ('catchup', 'streaming')",
        "1");
  }

  LiveServer& server_;
  std::string database_;
  std::string pipeline_;
  PostgresConfig config_;
  TableSelection tables_ = Tables({"public.*"});
  CountingMetrics metrics_;
  RecordingWriter writer_;
  std::unique_ptr<Sql> sql_;
  std::unique_ptr<PostgresSource> source_;
  int runs_ = 0;  // of Source::Run
  std::stop_source stop_;
  std::future<Status> result_;
};

}  // namespace tailwater::postgres
