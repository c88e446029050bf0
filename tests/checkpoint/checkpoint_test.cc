#include "checkpoint/checkpoint.h"

#include <gmock/gmock.h>

#include "checkpoint/state.pb.h"
#include "support/manual_clock.h"
#include "support/matchers.h"

namespace tailwater {
namespace {

using State = std::map<std::string, std::string>;

constexpr int64_t kEpochZeroSeconds = 1'767'225'600;

class CheckpointTest : public ::testing::Test {
 protected:
  std::unique_ptr<Checkpoint> Load() {
    auto loaded = TryLoad();
    EXPECT_OK(loaded);
    return loaded ? std::move(*loaded) : nullptr;
  }
  Result<std::unique_ptr<Checkpoint>> TryLoad() {
    return Checkpoint::Load("shop", "postgres", state_, log_id_, ends_, clock_);
  }
  // Seals, and stores what the batch carries as the topic would.
  std::optional<DurableFrontier> Store(Checkpoint& checkpoint) {
    AppendBatch batch;
    checkpoint.Seal(batch);
    for (auto& [key, value] : batch.state) state_[key] = value;
    ++ends_[0];
    return checkpoint.Published({ends_});
  }
  state::v1::CaptureState Stored() {
    state::v1::CaptureState stored;
    EXPECT_TRUE(stored.ParseFromString(state_["source/shop"]));
    return stored;
  }

  ManualClock clock_;
  State state_;
  std::string log_id_ = "log1";
  Offsets ends_ = {{0, 10}};
};

TEST_F(CheckpointTest, BeginsANewEpochByTheClockWhenThereIsNoState) {
  auto checkpoint = Load();
  EXPECT_EQ(checkpoint->epoch(), clock_.UnixSeconds() - kEpochZeroSeconds);
  EXPECT_EQ(checkpoint->NextVersion(), (int64_t{checkpoint->epoch()} << 31) + 1);
  EXPECT_TRUE(checkpoint->resume_point().identity.empty());
  EXPECT_FALSE(checkpoint->resume_point().frontier.has_value());
}

TEST_F(CheckpointTest, GoesOnWhereTheStoredStateEnds) {
  auto first = Load();
  first->SetIdentity({{"system", "7"}});
  first->SetFrontier("0/10", 42);
  const int64_t version = first->NextVersion();
  Store(*first);
  clock_.Advance(std::chrono::hours(1));

  auto second = Load();
  EXPECT_EQ(second->epoch(), first->epoch());
  EXPECT_EQ(second->NextVersion(), version + 1);
  EXPECT_EQ(second->resume_point().identity, (SourceIdentity{{"system", "7"}}));
  EXPECT_EQ(second->resume_point().frontier, Position{"0/10"});
  EXPECT_EQ(second->frontier_time_micros(), 42);
  EXPECT_EQ(second->durable().frontier, Position{"0/10"});
}

TEST_F(CheckpointTest, KeepsTheTransactionInProgress) {
  auto first = Load();
  const PartialTransaction part{"0/20", 5, 7, 0x1234};
  first->SetInProgress(part);
  Store(*first);
  auto second = Load();
  EXPECT_EQ(second->resumed_transaction(), part);
  EXPECT_EQ(second->resume_point().in_progress, Position{"0/20"});
  second->SetInProgress(std::nullopt);
  Store(*second);
  EXPECT_FALSE(Load()->resumed_transaction().has_value());
}

TEST_F(CheckpointTest, MakesADurableFrontierOnlyOutOfAReceiptAndOnlyWhenItMoved) {
  auto checkpoint = Load();
  checkpoint->SetFrontier("0/10", 0);
  EXPECT_FALSE(checkpoint->durable().frontier.has_value());
  auto released = Store(*checkpoint);
  ASSERT_TRUE(released.has_value());
  EXPECT_EQ(released->position(), Position{"0/10"});
  EXPECT_EQ(checkpoint->durable().frontier, Position{"0/10"});
  EXPECT_FALSE(Store(*checkpoint).has_value());
}

TEST_F(CheckpointTest, ReceiptsMoveTheFrontierToWhatTheirOwnBatchCarried) {
  auto checkpoint = Load();
  AppendBatch first, second;
  checkpoint->SetFrontier("0/10", 0);
  checkpoint->Seal(first);
  checkpoint->SetFrontier("0/20", 0);
  checkpoint->Seal(second);
  EXPECT_EQ(checkpoint->Published({ends_})->position(), Position{"0/10"});
  EXPECT_EQ(checkpoint->Published({ends_})->position(), Position{"0/20"});
}

TEST_F(CheckpointTest, RefusesAStateOfANewerRelease) {
  state::v1::CaptureState newer;
  newer.set_format(2);
  state_["source/shop"] = newer.SerializeAsString();
  EXPECT_THAT(TryLoad(), IsErrorWith("state_newer"));
}

TEST_F(CheckpointTest, RefusesAnUnreadableState) {
  state_["source/shop"] = "\xff\xff\xff";
  EXPECT_THAT(TryLoad(), IsErrorWith("state_malformed"));
  state_["source/shop"] = "";
  EXPECT_THAT(TryLoad(), IsErrorWith("state_malformed"));
}

TEST_F(CheckpointTest, RefusesASourceThatChangedItsType) {
  Store(*Load());
  EXPECT_THAT(Checkpoint::Load("shop", "mysql", state_, log_id_, ends_, clock_),
              IsErrorWith("source_type_changed"));
}

TEST_F(CheckpointTest, NamesAnotherLogAGap) {
  Store(*Load());
  log_id_ = "log2";
  auto loaded = TryLoad();
  EXPECT_THAT(loaded, IsErrorWith("topic_rewound"));
  EXPECT_EQ(loaded.error().disposition, Disposition::kGap);
}

TEST_F(CheckpointTest, NamesALogThatLostItsEndAGap) {
  auto checkpoint = Load();
  Store(*checkpoint);
  Store(*checkpoint);  // carries the end that the first receipt told
  ends_[0] = 10;
  EXPECT_THAT(TryLoad(), IsErrorWith("topic_rewound"));
  ends_[0] = 11;
  EXPECT_OK(TryLoad());
  ends_.clear();
  EXPECT_THAT(TryLoad(), IsErrorWith("topic_rewound"));
}

TEST_F(CheckpointTest, RemembersWhichSchemasTheTopicHolds) {
  const auto orders = TableSchema::Make({"public", "orders"}, {{"id", ValueType::kInt64}});
  const auto wider = TableSchema::Make({"public", "orders"},
                                       {{"id", ValueType::kInt64}, {"n", ValueType::kInt64}});
  auto first = Load();
  EXPECT_FALSE(first->KnowsSchema(*orders));
  first->AddSchema(*orders);
  EXPECT_TRUE(first->KnowsSchema(*orders));
  EXPECT_FALSE(first->KnowsSchema(*wider));
  Store(*first);

  auto second = Load();
  EXPECT_TRUE(second->KnowsSchema(*orders));
  second->AddSchema(*wider);
  EXPECT_TRUE(second->KnowsSchema(*wider));
  EXPECT_FALSE(second->KnowsSchema(*orders));
}

TEST_F(CheckpointTest, WritesTheSchemasOnlyWhenTheyChange) {
  auto checkpoint = Load();
  checkpoint->AddSchema(*TableSchema::Make({"public", "orders"}, {{"id", ValueType::kInt64}}));
  AppendBatch first, second;
  checkpoint->Seal(first);
  checkpoint->Seal(second);
  EXPECT_TRUE(first.state.contains("schemas/shop"));
  EXPECT_FALSE(second.state.contains("schemas/shop"));
}

TEST_F(CheckpointTest, RollsVersionsAndSchemasBackToTheMark) {
  const auto orders = TableSchema::Make({"public", "orders"}, {{"id", ValueType::kInt64}});
  auto checkpoint = Load();
  checkpoint->NextVersion();
  checkpoint->Mark();
  const int64_t version = checkpoint->NextVersion();
  checkpoint->AddSchema(*orders);
  EXPECT_TRUE(checkpoint->KnowsSchema(*orders));
  checkpoint->Rollback();
  EXPECT_EQ(checkpoint->NextVersion(), version);
  EXPECT_FALSE(checkpoint->KnowsSchema(*orders));
}

TEST_F(CheckpointTest, DoesNotRollBackWhatIsSealed) {
  auto checkpoint = Load();
  checkpoint->Mark();
  const int64_t version = checkpoint->NextVersion();
  AppendBatch batch;
  checkpoint->Seal(batch);
  checkpoint->NextVersion();
  checkpoint->Rollback();
  EXPECT_EQ(checkpoint->NextVersion(), version + 1);
}

TEST_F(CheckpointTest, BeginsAnewBehindAGapInAnEpochOfItsOwn) {
  auto first = Load();
  first->SetIdentity({{"system", "7"}});
  first->SetFrontier("0/10", 42);
  first->SetInProgress(PartialTransaction{"0/20", 5, 7, 0x1234});
  const int64_t version = first->NextVersion();
  Store(*first);

  auto lost = Load();
  lost->StartAfterGap({Disposition::kGap, "pg_slot_missing", "the slot is gone"});
  EXPECT_GT(lost->epoch(), first->epoch());
  Store(*lost);
  EXPECT_TRUE(lost->durable().after_gap);
  EXPECT_FALSE(lost->durable().frontier.has_value());
  EXPECT_EQ(lost->durable().epoch, lost->epoch());

  // Killed after the intent: all of it is begun again.
  for (int i = 0; i < 2; ++i) {
    auto begun = Load();
    const ResumePoint& resume = begun->resume_point();
    EXPECT_TRUE(resume.after_gap);
    EXPECT_TRUE(resume.identity.empty());
    EXPECT_FALSE(resume.frontier.has_value());
    EXPECT_FALSE(resume.in_progress.has_value());
    EXPECT_EQ(begun->epoch(), lost->epoch());
    begun->SetIdentity({{"system", "8"}});
    Store(*begun);
  }

  auto anew = Load();
  anew->SetIdentity({{"system", "8"}});
  anew->SetFrontier("0/90", 0);
  EXPECT_GT(anew->NextVersion(), version);
  Store(*anew);
  EXPECT_FALSE(anew->durable().after_gap);
  auto after = Load();
  EXPECT_FALSE(after->resume_point().after_gap);
  EXPECT_EQ(after->resume_point().identity, (SourceIdentity{{"system", "8"}}));
  ASSERT_EQ(after->durable().gaps.size(), 1u);
  const PassedGap expected{"pg_slot_missing", "the slot is gone",  Position{"0/10"},
                           Position{"0/90"},  clock_.UnixMicros(), anew->epoch()};
  EXPECT_EQ(after->durable().gaps[0], expected);
}

TEST_F(CheckpointTest, AGapBehindAGapLacksWhatBothLack) {
  auto checkpoint = Load();
  checkpoint->SetFrontier("0/10", 42);
  checkpoint->StartAfterGap({Disposition::kGap, "first", "a"});
  checkpoint->StartAfterGap({Disposition::kGap, "second", "b"});
  EXPECT_EQ(checkpoint->gaps().back().from, Position{"0/10"});
}

TEST_F(CheckpointTest, KeepsTheLastGapsOnly) {
  for (int i = 0; i < 15; ++i) {
    auto checkpoint = Load();
    checkpoint->StartAfterGap({Disposition::kGap, "lost", std::to_string(i)});
    checkpoint->SetFrontier("0/10", 0);
    Store(*checkpoint);
  }
  auto checkpoint = Load();
  ASSERT_EQ(checkpoint->gaps().size(), Checkpoint::kGapsKept);
  EXPECT_EQ(checkpoint->gaps().back().message, "14");
}

}  // namespace
}  // namespace tailwater
