#include "snapshot/snapshot_plan.h"

#include <gmock/gmock.h>

#include "snapshot/state.pb.h"
#include "support/matchers.h"

namespace tailwater {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Kind = SnapshotJob::Kind;

SchemaPtr Schema(const std::string& name, const std::string& key = "id") {
  std::vector<Column> columns = {{"id", ValueType::kInt64, "int8", key == "id"},
                                 {"code", ValueType::kText, "text", key == "code"}};
  return TableSchema::Make({"public", name}, columns);
}

SnapshotTable Table(const std::string& name, std::optional<uint64_t> rows = std::nullopt,
                    const std::string& key = "id") {
  return {"public." + name, Schema(name, key), rows, std::nullopt};
}

TableSelection Everything() {
  Problems problems;
  return TableSelection::Parse(nullptr, problems);
}

class SnapshotPlanTest : public ::testing::Test {
 protected:
  void Load() {
    auto loaded = SnapshotPlan::Load("shop", options_, state_);
    ASSERT_OK(loaded);
    plan_ = *std::move(loaded);
  }
  void Store(const SnapshotNotes& notes) {
    for (const auto& [key, value] : notes.state) {
      stored_bytes_ += value.size();
      if (value.empty()) {
        state_.erase(key);
      } else {
        state_[key] = value;
      }
    }
    markers_.insert(markers_.end(), notes.markers.begin(), notes.markers.end());
  }
  void Take(int64_t version = 100) { Store(plan_->TakeNotes(version, Now())); }
  void Settle() { plan_->SetSettled(plan_->Unsettled()); }
  // A first look at these tables, all the way to workers.
  void Begin(const std::vector<SnapshotTable>& tables) {
    Load();
    plan_->Meet(tables, true, Now());
    Take();
    Settle();
  }
  // As the process would after a kill: nothing is known but the state.
  void Restart(const std::vector<SnapshotTable>& tables) {
    Load();
    plan_->Meet(tables, true, Now());
    Take();
    Settle();
  }
  SnapshotJob Next() {
    auto job = plan_->NextJob(time_);
    EXPECT_TRUE(job.has_value());
    return job.value_or(SnapshotJob());
  }
  SnapshotJob Range(SnapshotKey bound) {
    SnapshotJob job = Next();
    if (job.kind != Kind::kBound) return job;
    auto range = plan_->EndBound(job, std::move(bound));
    EXPECT_TRUE(range.has_value());
    return range.value_or(SnapshotJob());
  }
  void Publish(const SnapshotJob& job, uint64_t rows = 10, bool complete = true,
               const SnapshotKey& last = "x") {
    Store(plan_->Published(job, {nullptr, rows, rows * 10, complete, last}, Now()));
  }
  SnapshotPlan::Now Now() const { return {time_, 1'000}; }
  std::optional<SnapshotStatus> StatusOf(uint64_t unit) { return plan_->StatusOf(unit, time_); }

  SnapshotOptions options_;
  std::map<std::string, std::string> state_;
  std::vector<SnapshotMarker> markers_;
  size_t stored_bytes_ = 0;
  Clock::TimePoint time_{1h};
  std::unique_ptr<SnapshotPlan> plan_;
};

TEST_F(SnapshotPlanTest, StoresAPlanBeforeAnythingElse) {
  Load();
  EXPECT_TRUE(plan_->is_new());
  EXPECT_TRUE(plan_->wants_notes());
  Take();
  EXPECT_TRUE(state_.contains("snapshot/shop"));
  Load();
  EXPECT_FALSE(plan_->is_new());
  EXPECT_FALSE(plan_->wants_notes());
}

TEST_F(SnapshotPlanTest, AUnitIsStoredAndSettledBeforeItsFirstChunk) {
  Load();
  EXPECT_EQ(plan_->Meet({Table("a", 5)}, true, Now()), 1u);
  EXPECT_FALSE(plan_->NextJob(time_).has_value());
  Settle();
  EXPECT_FALSE(plan_->NextJob(time_).has_value());
  Take();
  EXPECT_TRUE(state_.contains("snapshot/shop/1"));
  EXPECT_TRUE(plan_->NextJob(time_).has_value());
}

TEST_F(SnapshotPlanTest, ASmallTableIsOneChunkAndEndsWithIt) {
  Begin({Table("a", 5)});
  const SnapshotJob job = Next();
  EXPECT_EQ(job.kind, Kind::kRange);
  EXPECT_EQ(job.range, (KeyRange{"", ""}));
  EXPECT_TRUE(plan_->IsLast(job, true));
  EXPECT_FALSE(plan_->IsLast(job, false));
  Publish(job);
  EXPECT_FALSE(state_.contains("snapshot/shop/1"));
  EXPECT_TRUE(markers_.empty()) << "a first copy sweeps nothing";
  EXPECT_EQ(plan_->tables_copied(), 1u);
  EXPECT_EQ(StatusOf(1)->state, SnapshotState::kDone);
  EXPECT_EQ(StatusOf(1)->reason, "initial");
  Restart({Table("a", 5)});
  EXPECT_TRUE(plan_->open_units().empty());
  EXPECT_EQ(plan_->tables_copied(), 1u);
}

TEST_F(SnapshotPlanTest, WorkersReadRangesOfOneBigTable) {
  Begin({Table("a")});
  const SnapshotJob first = Range("10");
  const SnapshotJob second = Range("20");
  EXPECT_EQ(second.range, (KeyRange{"10", "20"}));
  const SnapshotJob third = Range("");
  Publish(second);
  Restart({Table("a")});
  EXPECT_EQ(Next().range, first.range);
  EXPECT_EQ(Next().range, third.range);
  EXPECT_FALSE(plan_->NextJob(time_).has_value());
}

TEST_F(SnapshotPlanTest, WorkersPreferTablesThatNobodyIsAt) {
  Begin({Table("a"), Table("b", 5), Table("c", 5)});
  EXPECT_EQ(Range("10").request.table, "public.a");
  const SnapshotJob b = Next();
  EXPECT_EQ(b.request.table, "public.b");
  Publish(b);
  EXPECT_EQ(Next().request.table, "public.c");
  EXPECT_EQ(Range("20").request.table, "public.a");
}

TEST_F(SnapshotPlanTest, WideRowsMakeShorterChunks) {
  options_.chunk_size = ByteSize{1'000};
  Begin({Table("a")});
  EXPECT_EQ(Next().rows, options_.chunk_rows);
  Restart({Table("a")});
  const SnapshotJob job = Range("10");
  Store(plan_->Published(job, {nullptr, 10, 1'000, true, "x"}, Now()));
  EXPECT_EQ(Next().rows, 10u);
}

TEST_F(SnapshotPlanTest, ATableThatComesLaterIsAdded) {
  Begin({Table("a", 5)});
  Publish(Next());
  EXPECT_EQ(plan_->Meet({Table("a", 5), Table("b", 5)}, true, Now()), 1u);
  EXPECT_EQ(plan_->Unsettled().size(), 1u);
  Take();
  Settle();
  const SnapshotJob job = Next();
  EXPECT_EQ(job.request.table, "public.b");
  EXPECT_EQ(StatusOf(job.unit)->reason, "added");
}

TEST_F(SnapshotPlanTest, ATableThatWasMadeAnewUnderItsNameIsCopiedAndSweptAgain) {
  SnapshotTable old = Table("orders", 10);
  old.identity = "17";
  SnapshotTable anew = old;
  anew.identity = "18";
  Begin({old});
  Publish(Next());
  Restart({old});
  EXPECT_EQ(plan_->tables_copied(), 1u);
  EXPECT_TRUE(plan_->open_units().empty());
  Restart({anew});
  ASSERT_EQ(plan_->open_units().size(), 1u);
  EXPECT_EQ(plan_->tables_copied(), 0u);
  Publish(Next());
  EXPECT_EQ(markers_.size(), 1u);
  // Again, while a copy of it is open.
  anew.identity = "19";
  Restart({anew});
  anew.identity = "20";
  Restart({anew});
  EXPECT_EQ(plan_->open_units().size(), 1u);
  Publish(Next());
  Restart({anew});
  EXPECT_TRUE(plan_->open_units().empty());
}

TEST_F(SnapshotPlanTest, WhatIsOnlyCapturedIsRememberedAsNotCopied) {
  Load();
  EXPECT_EQ(plan_->Meet({Table("a", 5)}, false, Now()), 1u);
  Take();
  EXPECT_TRUE(plan_->open_units().empty());
  Restart({Table("a", 5)});
  EXPECT_TRUE(plan_->open_units().empty());
  EXPECT_EQ(plan_->tables_copied(), 0u);
}

TEST_F(SnapshotPlanTest, AKillBeforeTheUnitsAreStoredForgetsNoTable) {
  Load();
  Take();
  plan_->Meet({Table("a", 5)}, true, Now());
  Restart({Table("a", 5)});
  EXPECT_EQ(plan_->open_units().size(), 1u);
}

TEST_F(SnapshotPlanTest, APlanThatIsStoredMeanwhileDoesNotKnowTablesWhoseUnitsAreNotStored) {
  Begin({Table("a", 5)});
  const SnapshotJob job = Next();
  plan_->Meet({Table("a", 5), Table("b", 5)}, true, Now());
  plan_->Remember({"late", Everything()});
  Publish(job);  // the plan may go with it
  Restart({Table("a", 5), Table("b", 5)});
  EXPECT_EQ(plan_->open_units().size(), 1u);
  EXPECT_EQ(plan_->NewSinks({{"late", Everything()}}).size(), 1u);
}

TEST_F(SnapshotPlanTest, ARequestSweepsWhatIsOlderThanTheMomentItWasTakenIn) {
  Begin({Table("a", 5)});
  Publish(Next());
  const auto unit = plan_->Add({"public.a", "", ""}, Now());
  ASSERT_OK(unit);
  Take(777);
  Settle();
  Publish(Next());
  ASSERT_EQ(markers_.size(), 1u);
  EXPECT_EQ(markers_[0].sweep_below, 777);
  EXPECT_EQ(markers_[0].schema->table(), "public.a");
}

TEST_F(SnapshotPlanTest, ARequestWithAConditionSweepsNothing) {
  Begin({Table("a", 5)});
  Publish(Next());
  ASSERT_OK(plan_->Add({"public.a", "id < 5", ""}, Now()));
  Take();
  Settle();
  Publish(Next());
  EXPECT_TRUE(markers_.empty());
}

TEST_F(SnapshotPlanTest, TheSameRequestIsRefusedWhileItIsOpen) {
  Begin({Table("a", 5), Table("log", 5, "")});
  ASSERT_OK(plan_->Add({"public.a", "id < 5", ""}, Now()));
  EXPECT_THAT(plan_->Add({"public.a", "id < 5", ""}, Now()), IsErrorWith("snapshot_exists"));
  ASSERT_OK(plan_->Add({"public.a", "id < 6", ""}, Now()));
  ASSERT_OK(plan_->Add({"public.a", "", "search"}, Now()));
  EXPECT_THAT(plan_->Add({"public.log", "id < 5", ""}, Now()),
              IsErrorWith("snapshot_keyless_where"));
}

TEST_F(SnapshotPlanTest, BehindAGapEveryTableIsCopiedAndSweptAgain) {
  Begin({Table("a", 5), Table("b", 5)});
  Publish(Next());
  Load();
  plan_->CopyAllAgain(Now());
  Take();  // with the intent
  // A kill here must not forget it.
  Load();
  EXPECT_TRUE(plan_->copies_all_again());
  plan_->Meet({Table("a", 5), Table("b", 5)}, true, Now());
  Take(500);
  Settle();
  EXPECT_FALSE(plan_->copies_all_again());
  ASSERT_EQ(plan_->open_units().size(), 2u);
  Publish(Next());
  Publish(Next());
  ASSERT_EQ(markers_.size(), 2u);
  EXPECT_EQ(markers_[1].sweep_below, 500);
  Restart({Table("a", 5), Table("b", 5)});
  EXPECT_TRUE(plan_->open_units().empty());
}

TEST_F(SnapshotPlanTest, ANewSinkIsBroughtUpToDateWhereTheTopicCannot) {
  Load();
  plan_->Meet({Table("old", 5)}, false, Now());
  plan_->Meet({Table("old", 5), Table("new", 5)}, true, Now());
  Take();
  const SnapshotSink sink{"search", Everything()};
  ASSERT_EQ(plan_->NewSinks({sink}).size(), 1u);
  // The topic has all of `new`, and never had the rows of `old`.
  EXPECT_EQ(plan_->BringUpToDate(sink, true, Now()), 1u);
  EXPECT_EQ(plan_->BringUpToDate({"other", Everything()}, false, Now()), 2u);
  Take();
  EXPECT_TRUE(plan_->NewSinks({sink}).empty());
  Restart({Table("old", 5), Table("new", 5)});
  EXPECT_TRUE(plan_->NewSinks({sink}).empty());
  EXPECT_EQ(plan_->open_units().size(), 4u);
}

TEST_F(SnapshotPlanTest, PauseResumeAndCancelAreStored) {
  Begin({Table("a"), Table("b")});
  ASSERT_OK(plan_->Change(1, SnapshotAction::kPause, Now()));
  Take();
  EXPECT_EQ(Next().request.table, "public.b");
  Restart({Table("a"), Table("b")});
  EXPECT_EQ(StatusOf(1)->state, SnapshotState::kPaused);
  ASSERT_OK(plan_->Change(std::nullopt, SnapshotAction::kResume, Now()));
  Take();
  EXPECT_EQ(Next().request.table, "public.a");
  ASSERT_OK(plan_->Change(2, SnapshotAction::kCancel, Now()));
  Take();
  EXPECT_FALSE(state_.contains("snapshot/shop/2"));
  EXPECT_EQ(StatusOf(2)->state, SnapshotState::kCancelled);
  EXPECT_THAT(plan_->Change(2, SnapshotAction::kPause, Now()), IsErrorWith("snapshot_unknown"));
  Restart({Table("a"), Table("b")});
  EXPECT_EQ(plan_->open_units().size(), 1u) << "a cancelled table is not new again";
}

TEST_F(SnapshotPlanTest, ABlockedUnitWaitsForItsProbeAndOthersGoOn) {
  Begin({Table("a"), Table("b")});
  const SnapshotJob job = Next();
  plan_->GiveBack(job, time_ + 15s, "insufficient_privilege", "GRANT SELECT ON public.a TO us");
  EXPECT_EQ(StatusOf(1)->state, SnapshotState::kBlocked);
  EXPECT_EQ(Next().request.table, "public.b");
  EXPECT_EQ(plan_->next_due(), time_ + 15s);
  time_ += 15s;
  const SnapshotJob probe = Next();
  EXPECT_EQ(probe.request.table, "public.a");
  Publish(*plan_->EndBound(probe, "10"));
  EXPECT_NE(StatusOf(1)->state, SnapshotState::kBlocked);
}

TEST_F(SnapshotPlanTest, AnotherKeyStartsTheTableOver) {
  Begin({Table("a")});
  Publish(Range("10"));
  const SnapshotJob job = Range("20");
  EXPECT_FALSE(plan_->CheckKey(job, Schema("a", "code")));
  EXPECT_FALSE(plan_->Wants(job));
  plan_->GiveBack(job);
  Take(900);
  const SnapshotJob again = Next();
  EXPECT_EQ(again.range.after, "");
  Publish(*plan_->EndBound(again, ""));
  ASSERT_EQ(markers_.size(), 1u) << "rows under the old key have to go";
  EXPECT_EQ(markers_[0].sweep_below, 900);
}

TEST_F(SnapshotPlanTest, KeylessTablesAreCopiedOneAtATime) {
  Begin({Table("a", 5, ""), Table("b", 5, "")});
  const SnapshotJob job = Next();
  EXPECT_EQ(job.kind, Kind::kWhole);
  EXPECT_FALSE(plan_->NextJob(time_).has_value());
  Publish(job, 10, false);
  // A restart in the middle copies it all again.
  Restart({Table("a", 5, ""), Table("b", 5, "")});
  const SnapshotJob again = Next();
  EXPECT_EQ(again.request.table, "public.a");
  Publish(again, 10, true);
  EXPECT_EQ(Next().request.table, "public.b");
  EXPECT_TRUE(markers_.empty()) << "the sweep lies at the copy's own place";
}

TEST_F(SnapshotPlanTest, ReplacedRowsAreCopiedAgainAndSwept) {
  Begin({Table("a", 5)});
  Publish(Next());
  EXPECT_EQ(plan_->tables_copied(), 1u);
  plan_->RowsReplaced("public.a", "RENAME TABLE", true, Now());
  EXPECT_EQ(plan_->tables_copied(), 0u);
  EXPECT_TRUE(plan_->StaleTables().empty()) << "a unit is there";
  Take(700);
  Restart({Table("a", 5)});
  ASSERT_EQ(plan_->open_units().size(), 1u);
  EXPECT_EQ(StatusOf(2)->reason, "rows_replaced");
  Publish(Next());
  ASSERT_EQ(markers_.size(), 1u);
  EXPECT_EQ(markers_[0].sweep_below, 700);
  EXPECT_EQ(markers_[0].addressee, "");
  EXPECT_EQ(plan_->tables_copied(), 1u);
  Restart({Table("a", 5)});
  EXPECT_TRUE(plan_->open_units().empty());
  EXPECT_EQ(plan_->tables_copied(), 1u);
}

TEST_F(SnapshotPlanTest, WhatIsUnderWayOfReplacedRowsBeginsAgain) {
  Begin({Table("a")});
  Publish(Range("10"));
  const SnapshotJob job = Range("20");
  Take();
  plan_->RowsReplaced("public.a", "RENAME TABLE", true, Now());
  EXPECT_FALSE(plan_->Wants(job));
  EXPECT_TRUE(plan_->Published(job, {}, Now()).empty()) << "its rows are the old ones";
  EXPECT_FALSE(plan_->NextJob(time_).has_value()) << "not stored, and not settled";
  Take(700);
  Settle();
  ASSERT_EQ(plan_->open_units().size(), 1u);
  EXPECT_EQ(StatusOf(1)->reason, "rows_replaced");
  Publish(Range(""));
  ASSERT_EQ(markers_.size(), 1u);
  EXPECT_EQ(markers_[0].sweep_below, 700);
}

TEST_F(SnapshotPlanTest, ReplacedRowsOfATableThatNobodyMetYetAreNotForgotten) {
  Load();
  plan_->RowsReplaced("public.a", "RENAME TABLE", true, Now());
  Take(700);
  Restart({Table("a", 5), Table("b", 5)});
  EXPECT_EQ(plan_->open_units().size(), 2u);
  EXPECT_EQ(StatusOf(1)->reason, "rows_replaced");
}

TEST_F(SnapshotPlanTest, AnEndThatIsStoredLaterDoesNotHideThatRowsWereReplaced) {
  std::vector<SnapshotTable> tables;
  for (int i = 0; i < 100; ++i) tables.push_back(Table("t" + std::to_string(i), 5));
  Begin(tables);
  const SnapshotJob job = Next();
  Publish(job);
  ASSERT_TRUE(state_.contains("snapshot/shop/" + std::to_string(job.unit)));
  plan_->RowsReplaced(job.request.table, "RENAME TABLE", false, Now());
  Take();
  Restart(tables);
  ASSERT_EQ(plan_->StaleTables().size(), 1u);
  EXPECT_EQ(plan_->StaleTables()[0].table, job.request.table);
}

TEST_F(SnapshotPlanTest, WhereNothingIsCopiedByItselfReplacedRowsAreNamedUntilACopyEnds) {
  Load();
  plan_->Meet({Table("a", 5), Table("b", 5)}, false, Now());
  plan_->RowsReplaced("public.a", "EXCHANGE PARTITION", false, Now());
  Take();
  Load();
  plan_->Meet({Table("a", 5), Table("b", 5)}, false, Now());
  EXPECT_TRUE(plan_->open_units().empty());
  ASSERT_EQ(plan_->StaleTables().size(), 1u);
  EXPECT_EQ(plan_->StaleTables()[0].why, "EXCHANGE PARTITION");
  EXPECT_EQ(plan_->StaleTables()[0].since_micros, 1'000);

  ASSERT_OK(plan_->Add({"public.a", "id > 3", ""}, Now()));
  EXPECT_EQ(plan_->StaleTables().size(), 1u) << "a part of the rows is not all of them";
  ASSERT_OK(plan_->Change(std::nullopt, SnapshotAction::kCancel, Now()));
  ASSERT_OK(plan_->Add({"public.a", "", ""}, Now()));
  EXPECT_TRUE(plan_->StaleTables().empty());
  ASSERT_OK(plan_->Change(std::nullopt, SnapshotAction::kCancel, Now()));
  EXPECT_EQ(plan_->StaleTables().size(), 1u);
  ASSERT_OK(plan_->Add({"public.a", "", ""}, Now()));
  Take();
  Settle();
  Publish(Next());
  EXPECT_TRUE(plan_->StaleTables().empty());
  Load();
  EXPECT_TRUE(plan_->StaleTables().empty());
}

TEST_F(SnapshotPlanTest, ATableThatIsGoneIsNotStale) {
  Load();
  plan_->Meet({Table("a", 5), Table("b", 5)}, false, Now());
  plan_->RowsReplaced("public.a", "RENAME TABLE", false, Now());
  plan_->Meet({Table("b", 5)}, false, Now());
  EXPECT_TRUE(plan_->StaleTables().empty());
}

TEST_F(SnapshotPlanTest, ATableThatIsGoneEndsItsUnit) {
  Begin({Table("a")});
  plan_->EndGone(Next(), Now());
  Take();
  EXPECT_EQ(StatusOf(1)->state, SnapshotState::kGone);
  EXPECT_FALSE(state_.contains("snapshot/shop/1"));
}

TEST_F(SnapshotPlanTest, AThousandTablesAreNothingQuadratic) {
  std::vector<SnapshotTable> tables;
  constexpr size_t kTables = 1'000;
  for (size_t i = 0; i < kTables; ++i) tables.push_back(Table("t" + std::to_string(i), 5));
  Begin(tables);
  for (size_t i = 0; i < kTables; ++i) {
    if (i == kTables / 2) Restart(tables);
    Publish(Next());
  }
  EXPECT_EQ(plan_->tables_copied(), kTables);
  EXPECT_TRUE(plan_->open_units().empty());
  EXPECT_EQ(state_.size(), 1u);
  EXPECT_LT(stored_bytes_, 2'000 * kTables);
  Restart(tables);
  EXPECT_TRUE(plan_->open_units().empty());
}

TEST_F(SnapshotPlanTest, RefusesTheStateOfANewerRelease) {
  state_["snapshot/shop"] = "\x08\x02";
  EXPECT_THAT(SnapshotPlan::Load("shop", options_, state_), IsErrorWith("state_newer"));
}

}  // namespace
}  // namespace tailwater
