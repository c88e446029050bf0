// A database of its own on this process's server, sinks that write to it, and a second session that
// looks into it.
#pragma once

#include <unistd.h>

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "conformance/sink_harness.h"
#include "connectors/postgres_live/live_server.h"
#include "postgres/sink/postgres_sink.h"
#include "support/delivery_batch.h"
#include "support/matchers.h"
#include "support/stub_metrics.h"
#include "tailwater/sink.h"

namespace tailwater::postgres {

class PostgresSinkHarness final : public SinkHarness {
 public:
  PostgresSinkHarness() {
    static std::atomic<int> count{0};
    database_ = fmt::format("target{}_{}", getpid(), ++count);
    Sql(server_.Config("postgres")).Run("create database " + database_);
    config_.server = server_.Config(database_);
    config_.lock_timeout = std::chrono::milliseconds(200);
    sql_ = std::make_unique<Sql>(config_.server);
  }
  ~PostgresSinkHarness() override {
    blocker_.reset();
    sql_.reset();
    Sql admin(server_.Config("postgres"));
    admin.Run("select pg_terminate_backend(pid) from pg_stat_activity where datname = '" +
              database_ + "'");
    for (int i = 0; i < 500; ++i) {
      if (admin.Value("select count(*) from pg_stat_activity where datname = '" + database_ +
                      "'") == "0")
        break;
    }
    admin.Run("drop database " + database_);
  }

  std::unique_ptr<Sink> NewSink() override { return NewSink("copy"); }
  std::unique_ptr<Sink> NewSink(const std::string& name) {
    Problems problems;
    TableRules<PostgresTableOptions> rules;
    rules.selection = TableSelection::Parse(nullptr, problems);
    rules.options.assign(rules.selection.entries().size(), options_);
    return std::make_unique<PostgresSink>(config_, rules,
                                          SinkContext{"pipe", name, rules.selection, Logger("test"),
                                                      metrics_, sources_, schema_changes_});
  }

  std::optional<std::vector<std::string>> Orders() override {
    if (Value("select to_regclass('public.orders') is null") == "t") return Lines();
    return Query("select id, note from public.orders order by id");
  }

  using Lines = std::vector<std::string>;
  // One line per row, values parted by |.
  Lines Query(const std::string& sql) {
    const Rows rows = sql_->Run(sql);
    Lines lines;
    const int columns = rows.columns();
    for (int row = 0; row < rows.size(); ++row) {
      std::string& line = lines.emplace_back();
      for (int column = 0; column < columns; ++column) {
        if (column > 0) line += '|';
        line += rows.IsNull(row, column) ? "NULL" : rows.String(row, column);
      }
    }
    return lines;
  }
  std::string Value(const std::string& sql) { return sql_->Value(sql); }
  // As a person would, in the target.
  void Run(const std::string& sql) { sql_->Run(sql); }

  bool stops_tables() const override { return true; }
  bool Block() override {
    blocker_ = std::make_unique<Sql>(config_.server);
    blocker_->Run("begin");
    blocker_->Run("lock table tailwater.sinks in access exclusive mode");
    return true;
  }
  void Unblock() override { blocker_.reset(); }

  LiveServer& server() { return server_; }
  const std::string& database() const { return database_; }
  PostgresSinkConfig& config() { return config_; }
  PostgresTableOptions& options() { return options_; }
  StubMetrics& metrics() { return metrics_; }
  void set_sources(std::vector<SourceFacts> sources) { sources_ = std::move(sources); }
  void set_schema_changes(SchemaChanges policy) { schema_changes_ = policy; }

 private:
  LiveServer& server_ = LiveServer::Shared();
  std::string database_;
  PostgresSinkConfig config_;
  PostgresTableOptions options_;
  SchemaChanges schema_changes_ = SchemaChanges::kApply;
  std::vector<SourceFacts> sources_;
  StubMetrics metrics_;
  std::unique_ptr<Sql> sql_;
  std::unique_ptr<Sql> blocker_;
};

// A sink over a harness, written to as the runner does it.
class PostgresSinkTest : public ::testing::Test {
 protected:
  void Open() {
    sink_.reset();
    sink_ = harness_.NewSink();
    ASSERT_OK(sink_->Open());
  }
  void Policy(SchemaChanges policy) {
    harness_.set_schema_changes(policy);
    Open();
  }
  // A batch that has to come again is rolled back, any other is committed.
  std::vector<Verdict> Write(DeliveryBatchBuilder& batch) {
    if (!sink_) Open();
    auto verdicts = sink_->Write(batch.Build());
    EXPECT_OK(verdicts);
    if (!verdicts) {
      sink_->transactional()->Rollback();
      return {};
    }
    for (const Verdict& verdict : *verdicts) {
      if (verdict.kind != Verdict::Kind::kRetry) continue;
      sink_->transactional()->Rollback();
      return *std::move(verdicts);
    }
    Commit();
    return *std::move(verdicts);
  }
  void Commit() {
    TransactionalSink* transaction = sink_->transactional();
    const auto stored = transaction->StoredOffsets();
    ASSERT_OK(stored);
    const auto held = stored->offsets.find(0);
    const int64_t next = held == stored->offsets.end() ? 1 : held->second + 1;
    const auto outcome = transaction->Commit("log", stored->offsets, {{0, next}});
    ASSERT_OK(outcome);
    ASSERT_EQ(*outcome, CommitOutcome::kCommitted);
  }
  Verdict Insert(const SchemaPtr& schema, int64_t version, std::initializer_list<Value> row) {
    DeliveryBatchBuilder batch;
    batch.Insert(schema, version, row);
    const auto verdicts = Write(batch);
    return verdicts.empty() ? Verdict() : verdicts.back();
  }
  Verdict Update(const SchemaPtr& schema, int64_t version, std::initializer_list<Value> row) {
    DeliveryBatchBuilder batch;
    batch.Update(schema, version, row);
    const auto verdicts = Write(batch);
    return verdicts.empty() ? Verdict() : verdicts.back();
  }
  std::vector<std::string> Rows(const std::string& columns) {
    return harness_.Query("select " + columns + " from public.orders order by id");
  }
  void ExpectStopped(const Verdict& verdict, std::string_view code, const std::string& to_run) {
    EXPECT_TRUE(verdict.table_stopped);
    EXPECT_EQ(verdict.code, code);
    EXPECT_THAT(verdict.reason, ::testing::HasSubstr(to_run));
  }

  PostgresSinkHarness harness_;
  std::unique_ptr<Sink> sink_;
};

}  // namespace tailwater::postgres
