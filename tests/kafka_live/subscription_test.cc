// A sink's place on a real broker: rebalances, zombies, static members, dead letters in a
// transaction with their offsets.
#include "topic/kafka/subscription.h"

#include <gtest/gtest.h>

#include <set>
#include <thread>

#include "kafka_live/make_topic.h"
#include "support/kafka/admin.h"
#include "support/kafka_server.h"
#include "support/matchers.h"
#include "topic/kafka/sink_view.h"

namespace tailwater {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::chrono::milliseconds kLong{20'000};

class KafkaSubscriptionTest : public ::testing::Test {
 protected:
  KafkaSubscriptionTest() {
    settings_.client = KafkaServer::Shared().client();
    settings_.pipeline = "shop";
    settings_.topic = KafkaServer::UniqueName("sub");
    settings_.partitions = 4;
    settings_.replication = 1;
    settings_.max_record_bytes = 4 << 20;
    settings_.request_timeout = kLong;
    auto admin = kafka::Admin::Create(settings_.client, kLong);
    EXPECT_OK(admin);
    admin_ = std::move(*admin);
    MakeTopic(*admin_, {.name = settings_.topic, .partitions = 4, .replication = 1});
  }
  std::unique_ptr<KafkaSubscription> Open(const std::string& instance = {}) {
    KafkaSettings settings = settings_;
    settings.instance = instance;
    auto subscription = KafkaSubscription::Open(settings, "hooks");
    EXPECT_OK(subscription);
    return std::move(*subscription);
  }
  using Members = std::vector<KafkaSubscription*>;
  using Assignments = std::vector<Subscription::Assignment>;
  // Polls all of them until they share the partitions like this.
  static Assignments Settle(const Members& members, const std::vector<size_t>& sizes) {
    Assignments assignments(members.size());
    const auto deadline = std::chrono::steady_clock::now() + kLong;
    for (bool settled = false; !settled;) {
      EXPECT_LT(std::chrono::steady_clock::now(), deadline) << "no such assignment came";
      if (std::chrono::steady_clock::now() >= deadline) break;
      settled = true;
      for (size_t i = 0; i < members.size(); ++i) {
        auto assignment = members[i]->Poll(10ms);
        EXPECT_OK(assignment);
        if (!assignment) return assignments;
        assignments[i] = *assignment;
        settled &= assignments[i].partitions.size() == sizes[i];
      }
    }
    return assignments;
  }
  static DeadLetter Letter(int32_t partition, int64_t offset, const std::string& key) {
    return {.state = DeadLetter::State::kParked,
            .blocks_key = true,
            .partition = partition,
            .offset = offset,
            .id = "id" + std::to_string(offset),
            .source = "shop",
            .table = "public.orders",
            .version = offset,
            .key = key,
            .value = "value",
            .code = "http_500",
            .reason = "no",
            .first_seen_micros = 1};
  }
  static Subscription::Update Put(int32_t partition, int64_t next,
                                  std::vector<DeadLetter> letters) {
    Subscription::Update update;
    update.log_id = "log";
    update.offsets[partition] = next;
    update.add = std::move(letters);
    return update;
  }
  static std::vector<std::string> Blocked(KafkaSubscription& subscription) {
    std::vector<std::string> keys;
    const auto blocked = subscription.BlockedKeys(100, std::nullopt);
    EXPECT_OK(blocked);
    for (const auto& key : *blocked) keys.push_back(key.key + std::to_string(key.head.offset));
    return keys;
  }

  KafkaSettings settings_;
  std::unique_ptr<kafka::Admin> admin_;
};

TEST_F(KafkaSubscriptionTest, IsNotThereBeforeTheTopicIs) {
  settings_.topic += ".missing";
  EXPECT_THAT(KafkaSubscription::Open(settings_, "hooks"), IsErrorWith("topic_not_created"));
  SinkView view(settings_);
  EXPECT_EQ(view.Offsets("hooks")->log_id, "");
  EXPECT_TRUE(view.CountDeadLetters("hooks")->by_code.empty());
  EXPECT_THAT(*view.KnownSinks(), IsEmpty());
}

TEST_F(KafkaSubscriptionTest, MakesNoDeadLetterTopicBeforeItIsNeeded) {
  auto sink = Open();
  const auto generation = Settle({sink.get()}, {4})[0].generation;
  ASSERT_OK(sink->Commit(generation, Put(1, 10, {})));
  Subscription::Update nothing = Put(1, 11, {});
  nothing.sweeps = {{"shop", "public.orders", 100}};
  nothing.remove = {{1, 3}};
  nothing.clear_base_missing = {"k"};
  ASSERT_OK(sink->Commit(generation, nothing));
  EXPECT_FALSE(*admin_->FindTopic(settings_.DeadLetterTopic("hooks")));
  EXPECT_EQ(sink->Load()->offsets, (Offsets{{1, 11}}));
  ASSERT_OK(sink->Commit(generation, Put(1, 12, {Letter(1, 11, "a")})));
  const auto facts = *admin_->FindTopic(settings_.DeadLetterTopic("hooks"));
  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->partitions, 4);
  EXPECT_EQ(admin_->TopicSettings(settings_.DeadLetterTopic("hooks"))->at("cleanup.policy"),
            "compact");
  SinkView view(settings_);
  EXPECT_THAT(*view.KnownSinks(), ElementsAre("hooks"));
  EXPECT_EQ(view.Offsets("hooks")->offsets, (Offsets{{1, 12}}));
  EXPECT_EQ(view.CountDeadLetters("hooks")->parked, 1u);
}

TEST_F(KafkaSubscriptionTest, DeadLettersFollowTheirPartitions) {
  auto first = Open();
  const auto alone = Settle({first.get()}, {4})[0];
  ASSERT_OK(first->Commit(alone.generation, Put(0, 6, {Letter(0, 5, "a")})));
  ASSERT_OK(first->Commit(alone.generation, Put(3, 8, {Letter(3, 7, "b"), Letter(3, 6, "c")})));
  Subscription::Update remove = Put(3, 9, {});
  remove.remove = {{3, 6}};
  ASSERT_OK(first->Commit(alone.generation, remove));
  EXPECT_THAT(Blocked(*first), ElementsAre("a5", "b7"));
  auto second = Open();
  const auto shares = Settle({first.get(), second.get()}, {2, 2});
  std::set<std::string> all;
  for (KafkaSubscription* sink : {first.get(), second.get()}) {
    const auto keys = Blocked(*sink);
    EXPECT_EQ(keys.size(), 1u) << "of its own partitions only";
    all.insert(keys.begin(), keys.end());
  }
  EXPECT_EQ(all, (std::set<std::string>{"a5", "b7"}));
  // Of a partition that went away nothing can be stored, nor with the generation before.
  const int32_t mine = shares[0].partitions[0];
  const int32_t others = shares[1].partitions[0];
  EXPECT_THAT(first->Commit(alone.generation, Put(mine, 9, {})), IsErrorWith("not_owner"));
  EXPECT_THAT(first->Commit(shares[0].generation, Put(others, 9, {})), IsErrorWith("not_owner"));
  EXPECT_THAT(first->Commit(shares[0].generation, Put(mine, 9, {Letter(others, 8, "x")})),
              IsErrorWith("not_owner"));
  EXPECT_EQ(first->GroupOffsets()->at(0), 6);
  EXPECT_EQ(first->GroupOffsets()->at(3), 9);
  second.reset();
  Settle({first.get()}, {4});
  EXPECT_THAT(Blocked(*first), ElementsAre("a5", "b7"));
}

TEST_F(KafkaSubscriptionTest, AZombiesCommitIsRefusedWithItsDeadLetters) {
  auto zombie = Open("one");
  const auto held = Settle({zombie.get()}, {4})[0];
  ASSERT_OK(zombie->Commit(held.generation, Put(0, 5, {Letter(0, 4, "a")})));
  // Another process under the same name, as after a restart elsewhere.
  auto heir = Open("one");
  const auto taken = Settle({heir.get()}, {4})[0];
  EXPECT_THAT(zombie->Commit(held.generation, Put(0, 9, {Letter(0, 8, "lost")})),
              IsErrorWith("not_owner"));
  EXPECT_THAT(zombie->Commit(held.generation, Put(0, 9, {})), IsErrorWith("not_owner"));
  EXPECT_THAT(Blocked(*heir), ElementsAre("a4"));
  ASSERT_OK(heir->Commit(taken.generation, Put(0, 6, {Letter(0, 5, "b")})));
  EXPECT_EQ(heir->Load()->offsets, (Offsets{{0, 6}}));
  EXPECT_EQ(SinkView(settings_).CountDeadLetters("hooks")->parked, 2u);
}

TEST_F(KafkaSubscriptionTest, AMemberThatWasExpelledStoresNothing) {
  auto slow = Open();
  const auto held = Settle({slow.get()}, {4})[0];
  ASSERT_OK(slow->Commit(held.generation, Put(0, 5, {Letter(0, 4, "a")})));
  // It does not poll: its partitions go once the broker asks for a rebalance and it does not come.
  auto other = Open();
  const auto deadline = std::chrono::steady_clock::now() + kLong;
  Status status;
  std::thread joins([&] {
    while (std::chrono::steady_clock::now() < deadline) {
      auto polled = other->Poll(50ms);
      if (!polled || !polled->partitions.empty()) return;
    }
  });
  // The first poll lets the second one in; what it held before is over.
  auto now = slow->Poll(10ms);
  while (now && now->generation == held.generation && std::chrono::steady_clock::now() < deadline) {
    now = slow->Poll(10ms);
  }
  EXPECT_THAT(slow->Commit(held.generation, Put(0, 9, {Letter(0, 8, "lost")})),
              IsErrorWith("not_owner"));
  while (std::chrono::steady_clock::now() < deadline && slow->Poll(10ms)->partitions.size() != 2) {
  }
  joins.join();
  EXPECT_EQ(SinkView(settings_).CountDeadLetters("hooks")->parked, 1u);
  EXPECT_EQ(SinkView(settings_).Offsets("hooks")->offsets, (Offsets{{0, 5}}));
}

TEST_F(KafkaSubscriptionTest, ComesBackToItsPartitionsUnderItsName) {
  auto one = Open("one");
  auto two = Open("two");
  const auto before = Settle({one.get(), two.get()}, {2, 2});
  const int32_t partition = before[1].partitions[0];
  ASSERT_OK(two->Commit(before[1].generation, Put(partition, 4, {Letter(partition, 3, "a")})));
  two.reset();
  two = Open("two");
  const auto after = Settle({one.get(), two.get()}, {2, 2});
  EXPECT_EQ(after[0].generation, before[0].generation) << "the others did not notice";
  EXPECT_EQ(after[1].partitions, before[1].partitions);
  EXPECT_THAT(Blocked(*two), ElementsAre("a3"));
  EXPECT_EQ(two->Load()->offsets, (Offsets{{partition, 4}}));
}

TEST_F(KafkaSubscriptionTest, KeepsManyLettersAndRequeuesAndDropsThem) {
  auto sink = Open();
  const auto generation = Settle({sink.get()}, {4})[0].generation;
  std::vector<DeadLetter> letters;
  for (int i = 0; i < 2'500; ++i) {
    letters.push_back(Letter(i % 4, i, "k" + std::to_string(i)));
    letters.back().state = DeadLetter::State::kDead;
    letters.back().blocks_key = false;
  }
  ASSERT_OK(sink->Commit(generation, Put(0, 3'000, letters)));
  const auto keys = sink->Requeue(generation, {.ids = {"id7", "id8"}});
  ASSERT_OK(keys);
  EXPECT_EQ(keys->size(), 2u);
  EXPECT_EQ(*sink->DropDeadLetters(generation, {}), 2'498u);
  sink.reset();
  sink = Open();
  Settle({sink.get()}, {4});
  EXPECT_THAT(Blocked(*sink), ElementsAre("k8"
                                          "8",
                                          "k77"));
  EXPECT_EQ(sink->CountDeadLetters()->dead, 0u);
}

}  // namespace
}  // namespace tailwater
