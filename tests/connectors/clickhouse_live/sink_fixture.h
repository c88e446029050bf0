// A clickhouse sink on the engine of today, with a database of each test's own.
#pragma once

#include <gmock/gmock.h>

#include <memory>
#include <string>
#include <vector>

#include "connectors/clickhouse_live/live_clickhouse.h"
#include "support/delivery_batch.h"
#include "support/topic_feeder.h"

namespace tailwater::clickhouse {

class ClickHouseSinkTest : public ::testing::Test {
 protected:
  void SetUp() override {
    server_.Execute("CREATE DATABASE " + database_);
    Reopen();
  }
  void TearDown() override { server_.Execute("DROP DATABASE " + database_); }
  void Reopen(SchemaChanges policy = SchemaChanges::kApply) {
    sink_ = NewLiveSink(config_, metrics_, options_, policy);
    ASSERT_OK(sink_->Open());
  }
  std::vector<Verdict> Write(DeliveryBatchBuilder& batch) {
    auto verdicts = sink_->Write(batch.Build());
    EXPECT_OK(verdicts);
    return verdicts ? *std::move(verdicts) : std::vector<Verdict>(batch.size());
  }
  Verdict WriteOne(const SchemaPtr& schema, int64_t version, std::vector<Value> row) {
    DeliveryBatchBuilder batch;
    batch.Update(schema, version, std::move(row));
    return Write(batch).at(0);
  }
  static Value Int(int64_t value) { return Value::Int64(value); }
  static Value Text(std::string_view text) { return Value::Text(text); }
  std::vector<std::string> Orders(const std::string& columns = "id, note") {
    return server_.Rows("SELECT " + columns + " FROM " + database_ +
                        ".orders FINAL WHERE _deleted = 0 ORDER BY id");
  }
  std::string Place(const std::string& table) { return database_ + "." + table; }

  LiveClickHouse& server_ = LiveClickHouse::Shared(kEngine);
  const std::string database_ = LiveClickHouse::NewName();
  ClickHouseConfig config_ = LiveConfig(server_, database_);
  ClickHouseTableOptions options_;
  StubMetrics metrics_;
  std::unique_ptr<ClickHouseSink> sink_;
  const SchemaPtr orders_ = TestSchema("orders", {"id*:int64", "note:text"});
};

}  // namespace tailwater::clickhouse
