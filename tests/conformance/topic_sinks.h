// What every topic keeps to: a sink's offsets and dead letters.
#pragma once

#include "conformance/topic_conformance.h"

namespace tailwater {

TEST_P(TopicConformance, RemembersASinksPlace) {
  {
    auto subscription = Subscribe("search");
    const auto stored = subscription->Load();
    ASSERT_OK(stored);
    EXPECT_EQ(stored->log_id, "");
    EXPECT_TRUE(stored->offsets.empty());
    const auto assignment = Assigned(*subscription);
    EXPECT_EQ(assignment.partitions.size(), static_cast<size_t>(world_->partitions()));
    ASSERT_OK(subscription->Commit(assignment.generation, At(7)));
    Subscription::Update rewind = At(3);
    rewind.rewound_from[0] = 7;
    ASSERT_OK(subscription->Commit(assignment.generation, rewind));
    ASSERT_OK(subscription->Commit(assignment.generation, At(4)));
    EXPECT_EQ(*subscription->GroupOffsets(), (Offsets{{0, 4}}));
  }
  auto subscription = Subscribe("search");
  const auto stored = subscription->Load();
  ASSERT_OK(stored);
  EXPECT_EQ(stored->log_id, "log");
  EXPECT_EQ(stored->offsets, (Offsets{{0, 4}}));
  EXPECT_EQ(stored->rewound_from, (Offsets{{0, 7}}));
  EXPECT_EQ(world_->Open()->PeekOffsets("search")->offsets, (Offsets{{0, 4}}));
  EXPECT_THAT(*topic_->KnownSinks(), ::testing::ElementsAre("search"));
}

TEST_P(TopicConformance, ForgetsOffsetsOfAnotherLog) {
  auto subscription = Subscribe("search");
  const auto generation = Assigned(*subscription).generation;
  Subscription::Update old = At(7, "old");
  old.rewound_from[0] = 9;
  ASSERT_OK(subscription->Commit(generation, old));
  Subscription::Update empty;
  empty.log_id = "new";
  ASSERT_OK(subscription->Commit(generation, empty));
  const auto stored = subscription->Load();
  ASSERT_OK(stored);
  EXPECT_EQ(stored->log_id, "new");
  EXPECT_TRUE(stored->offsets.empty());
  EXPECT_TRUE(stored->rewound_from.empty());
}

TEST_P(TopicConformance, StaysPausedUntilItIsResumed) {
  {
    auto subscription = Subscribe("search");
    EXPECT_FALSE(subscription->Load()->paused);
    const auto generation = Assigned(*subscription).generation;
    ASSERT_OK(subscription->Commit(generation, At(5)));
    Subscription::Update pause;
    pause.paused = true;
    ASSERT_OK(subscription->Commit(generation, pause));
    ASSERT_OK(subscription->Commit(generation, At(6)));
  }
  auto subscription = Subscribe("search");
  auto stored = subscription->Load();
  ASSERT_OK(stored);
  EXPECT_TRUE(stored->paused);
  EXPECT_EQ(stored->log_id, "log");
  EXPECT_EQ(stored->offsets, (Offsets{{0, 6}}));
  EXPECT_TRUE(world_->Open()->PeekOffsets("search")->paused);
  Subscription::Update resume;
  resume.paused = false;
  ASSERT_OK(subscription->Commit(Assigned(*subscription).generation, resume));
  stored = subscription->Load();
  ASSERT_OK(stored);
  EXPECT_FALSE(stored->paused);
  EXPECT_EQ(stored->offsets, (Offsets{{0, 6}}));
}

TEST_P(TopicConformance, IsPausedBeforeAnythingIsCommitted) {
  auto subscription = Subscribe("search");
  const auto generation = Assigned(*subscription).generation;
  Subscription::Update pause;
  pause.paused = true;
  ASSERT_OK(subscription->Commit(generation, pause));
  auto stored = subscription->Load();
  ASSERT_OK(stored);
  EXPECT_TRUE(stored->paused);
  EXPECT_EQ(stored->log_id, "") << "the start is still to be resolved";
  EXPECT_TRUE(stored->offsets.empty());
  ASSERT_OK(subscription->Commit(generation, At(2)));
  stored = subscription->Load();
  ASSERT_OK(stored);
  EXPECT_TRUE(stored->paused);
  EXPECT_EQ(stored->offsets, (Offsets{{0, 2}}));
}

TEST_P(TopicConformance, ARewindDropsTheDeadLettersThatComeAgain) {
  auto subscription = Subscribe("search");
  const auto generation = Assigned(*subscription).generation;
  Subscription::Update update = At(10);
  update.add = {Letter(2, "rejected", "a"), Letter(3, "rejected", "b"), Letter(4, "later", "c"),
                Letter(9, std::string(kBaseMissing), "d")};
  update.add[2].state = DeadLetter::State::kParked;
  update.add[2].blocks_key = true;
  ASSERT_OK(subscription->Commit(generation, update));
  Subscription::Update rewind = At(3);
  rewind.rewound_from[0] = 10;
  rewind.rewind = true;
  ASSERT_OK(subscription->Commit(generation, rewind));
  const auto stored = subscription->Load();
  ASSERT_OK(stored);
  EXPECT_EQ(stored->offsets, (Offsets{{0, 3}}));
  EXPECT_EQ(stored->rewound_from, (Offsets{{0, 10}}));
  const auto counts = subscription->CountDeadLetters();
  ASSERT_OK(counts);
  EXPECT_EQ(counts->by_code, (std::map<std::string, uint64_t>{{"rejected", 1}}));
  EXPECT_EQ(counts->parked, 0u);
  EXPECT_TRUE(subscription->BlockedKeys(10)->empty());
}

TEST_P(TopicConformance, RefusesACommitOfAGenerationThatIsOver) {
  auto subscription = Subscribe("search");
  const auto generation = Assigned(*subscription).generation;
  ASSERT_OK(subscription->Commit(generation, At(1)));
  Subscription::Update update = At(2);
  update.add.push_back(Letter(1, "rejected"));
  const Status status = subscription->Commit(generation + 1, update);
  ASSERT_THAT(status, IsErrorWith("not_owner"));
  EXPECT_EQ(status.error().disposition, Disposition::kRetry);
  EXPECT_EQ(subscription->Load()->offsets, (Offsets{{0, 1}}));
  EXPECT_TRUE(subscription->CountDeadLetters()->by_code.empty());
}

TEST_P(TopicConformance, GivesASinkToOneOwnerAndTheNextStandsBy) {
  if (!world_->exclusive_sinks()) GTEST_SKIP() << "sinks of this topic are shared";
  auto subscription = Subscribe("search");
  auto other = world_->Open();
  ASSERT_OK(other->Subscribe("warehouse", {}, nullptr)) << "sinks do not know each other";
  std::stop_source stop;
  int standing_by = 0;
  const auto stopped = other->Subscribe("search", stop.get_token(), [&](std::string) {
    ++standing_by;
    stop.request_stop();
  });
  ASSERT_FALSE(stopped.has_value());
  EXPECT_EQ(stopped.error().disposition, Disposition::kCancelled);
  EXPECT_EQ(standing_by, 1);
  subscription.reset();
  EXPECT_OK(other->Subscribe("search", {}, nullptr));
}

TEST_P(TopicConformance, CountsDeadLettersByCode) {
  auto subscription = Subscribe("search");
  const auto generation = Assigned(*subscription).generation;
  Subscription::Update update = At(10);
  update.add = {Letter(3, "mapping_failed"), Letter(4, "mapping_failed"), Letter(2, "too_long")};
  ASSERT_OK(subscription->Commit(generation, update));
  update = At(11);
  update.add = {Letter(4, "mapping_failed")};  // the same record again
  ASSERT_OK(subscription->Commit(generation, update));
  const auto counts = world_->Open()->PeekDeadLetters("search");
  ASSERT_OK(counts);
  EXPECT_EQ(counts->by_code,
            (std::map<std::string, uint64_t>{{"mapping_failed", 2}, {"too_long", 1}}));
  EXPECT_EQ(counts->oldest_micros, 1002);
  EXPECT_EQ(subscription->CountDeadLetters()->by_code, counts->by_code);
}

TEST_P(TopicConformance, KeepsOneBaseMissingEntryPerKeyUntilItIsCleared) {
  auto subscription = Subscribe("search");
  const auto generation = Assigned(*subscription).generation;
  const std::string base_missing(kBaseMissing);
  Subscription::Update update = At(10);
  update.add = {Letter(1, base_missing, "a"), Letter(2, base_missing, "a"),
                Letter(3, base_missing, "b"), Letter(4, "rejected", "a")};
  ASSERT_OK(subscription->Commit(generation, update));
  update = At(11);
  update.add = {Letter(5, base_missing, "a")};
  ASSERT_OK(subscription->Commit(generation, update));
  auto counts = subscription->CountDeadLetters();
  ASSERT_OK(counts);
  EXPECT_EQ(counts->by_code.at(base_missing), 2u);
  EXPECT_EQ(counts->oldest_micros, 1001);
  update = At(12);
  update.clear_base_missing = {"a", "never there"};
  ASSERT_OK(subscription->Commit(generation, update));
  counts = subscription->CountDeadLetters();
  EXPECT_EQ(counts->by_code, (std::map<std::string, uint64_t>{{base_missing, 1}, {"rejected", 1}}));
  // A clear and a new entry in one commit: the clear comes first.
  update = At(13);
  update.clear_base_missing = {"b"};
  update.add = {Letter(12, base_missing, "b")};
  ASSERT_OK(subscription->Commit(generation, update));
  EXPECT_EQ(subscription->CountDeadLetters()->by_code.at(base_missing), 1u);
}

TEST_P(TopicConformance, SweepsDeadLettersOlderThanTheMarker) {
  auto subscription = Subscribe("search");
  const auto generation = Assigned(*subscription).generation;
  Subscription::Update update = At(10);
  update.add = {Letter(1, "rejected", "a", 5), Letter(2, "rejected", "a", 6),
                Letter(3, std::string(kBaseMissing), "b", 5), Letter(4, "rejected", "c", 5)};
  update.add[3].table = "public.users";
  ASSERT_OK(subscription->Commit(generation, update));
  update = At(11);
  update.sweeps = {{"shop", "public.orders", 6}};
  ASSERT_OK(subscription->Commit(generation, update));
  EXPECT_EQ(subscription->CountDeadLetters()->by_code,
            (std::map<std::string, uint64_t>{{"rejected", 2}}));
}

}  // namespace tailwater
