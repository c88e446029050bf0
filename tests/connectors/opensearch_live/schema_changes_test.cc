// What the search sink does when a table of the source changes its columns, by policy.
#include <gmock/gmock.h>

#include "connectors/opensearch_live/live_search.h"
#include "support/delivery_batch.h"
#include "support/short_values.h"
#include "support/topic_feeder.h"

namespace tailwater::opensearch {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using Kind = Verdict::Kind;

class OpenSearchSchemaChangesTest : public ::testing::Test {
 protected:
  void SetUp() override { Policy(SchemaChanges::kApply); }
  void TearDown() override { search_.StatusOf("DELETE", "/" + prefix_ + "_*"); }
  void Policy(SchemaChanges policy) {
    sink_ = NewLiveSink(config_, metrics_, {}, policy);
    ASSERT_OK(sink_->Open());
  }
  Verdict Update(const SchemaPtr& schema, int64_t version, std::vector<Value> row) {
    DeliveryBatchBuilder batch;
    batch.Update(schema, version, std::move(row));
    const auto verdicts = sink_->Write(batch.Build());
    EXPECT_OK(verdicts);
    return verdicts ? verdicts->at(0) : Verdict();
  }
  json Fields() {
    return search_.Call("GET", "/" + index_ + "/_mapping")[index_]["mappings"]["properties"];
  }
  json Document(const std::string& key) {
    return search_.Documents(index_)["shop:public.orders:" + key];
  }
  void ExpectStopped(const Verdict& verdict, std::string_view code, const std::string& to_run) {
    EXPECT_TRUE(verdict.table_stopped);
    EXPECT_EQ(verdict.code, code);
    EXPECT_THAT(verdict.reason, HasSubstr(to_run));
  }

  LiveSearch& search_ = LiveSearch::Shared();
  const std::string prefix_ = LiveSearch::NewName();
  const std::string index_ = prefix_ + "_orders";
  OpenSearchConfig config_ = LiveConfig(prefix_);
  StubMetrics metrics_;
  std::unique_ptr<OpenSearchSink> sink_;
  const SchemaPtr orders_ = TestSchema("orders", {"id*:int64", "n:int64"});
  const SchemaPtr wider_ = TestSchema("orders", {"id*:int64", "n:int64", "extra:text"});
  const SchemaPtr retyped_ = TestSchema("orders", {"id*:int64", "n:text"});
  const SchemaPtr rekeyed_ = TestSchema("orders", {"id:int64", "n*:int64"});
};

TEST_F(OpenSearchSchemaChangesTest, AFieldThatTheIndexCannotTakeStopsTheTable) {
  const SchemaPtr users = TestSchema("users", {"id*:int64"});
  Update(orders_, 1, {Int(1), Int(5)});
  DeliveryBatchBuilder batch;
  batch.Update(retyped_, 3, {Int(2), Text("six")}).Update(users, 4, {Int(1)});
  const auto verdicts = sink_->Write(batch.Build());
  ASSERT_OK(verdicts);
  ExpectStopped(verdicts->at(0), "schema_incompatible", "delete the index");
  EXPECT_EQ(verdicts->at(1).kind, Kind::kApplied);
  EXPECT_EQ(Update(orders_, 2, {Int(3), Int(5)}).kind, Kind::kApplied) << "a late one";
  search_.Call("DELETE", "/" + index_);
  EXPECT_EQ(Update(retyped_, 3, {Int(2), Text("six")}).kind, Kind::kApplied);
  EXPECT_EQ(Fields()["n"]["type"], "text");
  EXPECT_EQ(Update(orders_, 2, {Int(3), Int(5)}).kind, Kind::kApplied);
}

TEST_F(OpenSearchSchemaChangesTest, ALateRowMakesNoIndexAsItWas) {
  Update(orders_, 1, {Int(1), Int(5)});
  EXPECT_TRUE(Update(retyped_, 3, {Int(2), Text("six")}).table_stopped);
  search_.Call("DELETE", "/" + index_);
  EXPECT_EQ(Update(orders_, 2, {Int(3), Int(5)}).code, "schema_outdated");
  EXPECT_EQ(Update(retyped_, 3, {Int(2), Text("six")}).kind, Kind::kApplied);
  EXPECT_EQ(Fields()["n"]["type"], "text");
}

TEST_F(OpenSearchSchemaChangesTest, AnotherKeyStopsTheTableUntilItsDocumentsAreGone) {
  Update(orders_, 1, {Int(1), Int(5)});
  Policy(SchemaChanges::kApply);  // known from the index itself
  const Verdict stopped = Update(rekeyed_, 2, {Int(1), Int(6)});
  ExpectStopped(stopped, "schema_incompatible", "_delete_by_query");
  search_.Call("POST", "/" + index_ + "/_refresh");
  search_.Call("POST", "/" + index_ + "/_delete_by_query",
               {{"query", {{"term", {{"_tailwater.origin", "shop:public.orders"}}}}}});
  EXPECT_EQ(Update(rekeyed_, 2, {Int(1), Int(6)}).kind, Kind::kApplied);
  Policy(SchemaChanges::kApply);
  EXPECT_EQ(Update(rekeyed_, 3, {Int(1), Int(6)}).kind, Kind::kApplied);
}

TEST_F(OpenSearchSchemaChangesTest, IgnoreLeavesColumnsOut) {
  Policy(SchemaChanges::kIgnore);
  Update(orders_, 1, {Int(1), Int(5)});
  EXPECT_EQ(Update(wider_, 2, {Int(1), Int(6), Text("x")}).kind, Kind::kApplied);
  EXPECT_FALSE(Fields().contains("extra"));
  EXPECT_FALSE(Document("1").contains("extra"));
  EXPECT_EQ(Document("1")["n"], 6);
  EXPECT_EQ(metrics_.Value("tailwater_sink_left_out_columns_total"), 1);
  EXPECT_EQ(Update(retyped_, 3, {Int(2), Text("six")}).kind, Kind::kRejected);
  EXPECT_EQ(Update(rekeyed_, 4, {Int(2), Int(6)}).code, "schema_incompatible");
}

TEST_F(OpenSearchSchemaChangesTest, HaltStopsUntilTheFieldIsThere) {
  Policy(SchemaChanges::kHalt);
  EXPECT_EQ(Update(orders_, 1, {Int(1), Int(5)}).kind, Kind::kApplied) << "the first use";
  ExpectStopped(Update(wider_, 2, {Int(1), Int(6), Text("x")}), "schema_change_halted", "_mapping");
  search_.Call("PUT", "/" + index_ + "/_mapping",
               {{"properties", {{"extra", {{"type", "keyword"}}}}}});
  EXPECT_EQ(Update(wider_, 2, {Int(1), Int(6), Text("x")}).kind, Kind::kApplied);
  EXPECT_EQ(Document("1")["extra"], "x");
}

TEST_F(OpenSearchSchemaChangesTest, TooManyFieldsStopTheirTableOnly) {
  config_.settings.inline_json =
      R"({"number_of_shards":1,"number_of_replicas":0,"index.mapping.total_fields.limit":7})";
  Policy(SchemaChanges::kApply);
  const SchemaPtr users = TestSchema("users", {"id*:int64"});
  Update(orders_, 1, {Int(1), Int(5)});
  const SchemaPtr wide =
      TestSchema("orders", {"id*:int64", "n:int64", "a:text", "b:text", "c:text", "d:text"});
  DeliveryBatchBuilder batch;
  batch.Update(wide, 2, {Int(1), Int(6), Text("x"), Text("x"), Text("x"), Text("x")})
      .Update(users, 3, {Int(1)});
  const auto verdicts = sink_->Write(batch.Build());
  ASSERT_OK(verdicts);
  ExpectStopped(verdicts->at(0), "schema_incompatible", "fields");
  EXPECT_EQ(verdicts->at(1).kind, Kind::kApplied);
}

TEST_F(OpenSearchSchemaChangesTest, TwoProcessesMayMeetAColumnAtOnce) {
  Update(orders_, 1, {Int(1), Int(5)});
  auto other = NewLiveSink(config_, metrics_);
  ASSERT_OK(other->Open());
  DeliveryBatchBuilder old, batch;
  old.Update(orders_, 2, {Int(2), Int(5)});
  ASSERT_OK(other->Write(old.Build()));
  EXPECT_EQ(Update(wider_, 3, {Int(1), Int(6), Text("x")}).kind, Kind::kApplied);
  batch.Update(wider_, 4, {Int(2), Int(6), Text("y")});
  const auto verdicts = other->Write(batch.Build());
  ASSERT_OK(verdicts);
  EXPECT_EQ(verdicts->at(0).kind, Kind::kApplied);
}

}  // namespace
}  // namespace tailwater::opensearch
