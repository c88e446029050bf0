// Members of consumer groups on a real broker: assignments, commits, fences.
#include "support/kafka/group_member.h"

#include <gtest/gtest.h>

#include <thread>

#include "kafka_live/make_topic.h"
#include "support/kafka/admin.h"
#include "support/kafka_server.h"
#include "support/matchers.h"

namespace tailwater::kafka {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::chrono::milliseconds kLong{20'000};

class GroupMemberTest : public ::testing::Test {
 protected:
  GroupMemberTest() : topic_(KafkaServer::UniqueName("member")) {
    auto admin = Admin::Create(KafkaServer::Shared().client(), kLong);
    EXPECT_OK(admin);
    MakeTopic(**admin, {.name = topic_, .partitions = 4, .replication = 1});
  }
  std::unique_ptr<GroupMember> Join(const std::string& instance = {},
                                    std::chrono::milliseconds session = 6s) {
    GroupMemberOptions options;
    options.client = KafkaServer::Shared().client();
    options.topic = topic_;
    options.group = topic_ + ".group";
    options.instance_id = instance;
    options.session_timeout = session;
    options.heartbeat_interval = 200ms;
    auto member = GroupMember::Join(options);
    EXPECT_OK(member);
    return std::move(*member);
  }
  // Polls all of them until each has as many partitions as asked for.
  static std::vector<GroupMember::Assignment> Settle(const std::vector<GroupMember*>& members,
                                                     const std::vector<size_t>& sizes) {
    std::vector<GroupMember::Assignment> assignments(members.size());
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

  const std::string topic_;
};

TEST_F(GroupMemberTest, HasAllPartitionsAloneAndKeepsOffsetsWithTheirMetadata) {
  auto member = Join();
  const auto start = std::chrono::steady_clock::now();
  const auto assignment = member->Poll(kLong);
  ASSERT_OK(assignment);
  EXPECT_THAT(assignment->partitions, ElementsAre(0, 1, 2, 3));
  EXPECT_LT(std::chrono::steady_clock::now() - start, kLong / 2) << "it does not wait for its time";
  EXPECT_TRUE(member->IsOwner());
  EXPECT_EQ(member->Poll(kLong)->generation, assignment->generation);
  EXPECT_TRUE(member->Committed({0, 1, 2, 3}, kLong)->empty());
  ASSERT_OK(member->Commit({{0, {7, "metadata of 0"}}, {3, {0, ""}}}));
  const auto committed = member->Committed({0, 1, 2, 3}, kLong);
  ASSERT_OK(committed);
  ASSERT_EQ(committed->size(), 2u);
  EXPECT_EQ(committed->at(0).offset, 7);
  EXPECT_EQ(committed->at(0).metadata, "metadata of 0");
  EXPECT_EQ(committed->at(3).offset, 0);
  const auto peeked =
      PeekCommitted(KafkaServer::Shared().client(), topic_, topic_ + ".group", {0, 1}, kLong);
  ASSERT_OK(peeked);
  EXPECT_EQ(peeked->at(0).metadata, "metadata of 0");
  EXPECT_FALSE(peeked->contains(1));
}

TEST_F(GroupMemberTest, ASecondMemberTakesItsShareAndTheFirstTakesOverWhenItLeaves) {
  auto first = Join();
  const uint64_t alone = Settle({first.get()}, {4})[0].generation;
  auto second = Join();
  auto shares = Settle({first.get(), second.get()}, {2, 2});
  EXPECT_GT(shares[0].generation, alone);
  EXPECT_NE(shares[0].partitions, shares[1].partitions);
  ASSERT_OK(first->Commit({{shares[0].partitions[0], {5, ""}}}));
  EXPECT_EQ(second->Committed({shares[0].partitions[0]}, kLong)->begin()->second.offset, 5);
  second.reset();
  Settle({first.get()}, {4});
  EXPECT_TRUE(first->IsOwner());
}

TEST_F(GroupMemberTest, AMemberWithoutPartitionsIsNoOwnerAndWaits) {
  std::vector<std::unique_ptr<GroupMember>> members;
  std::vector<GroupMember*> pointers;
  for (int i = 0; i < 5; ++i) {
    members.push_back(Join());
    pointers.push_back(members.back().get());
  }
  const auto deadline = std::chrono::steady_clock::now() + kLong;
  size_t owned = 0;
  size_t owners = 0;
  while (owned != 4 || owners != 4) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline);
    owned = owners = 0;
    for (GroupMember* member : pointers) {
      owned += member->Poll(10ms)->partitions.size();
      owners += member->IsOwner() ? 1 : 0;
    }
  }
}

TEST_F(GroupMemberTest, AStaticMemberThatComesBackCausesNoRebalance) {
  auto one = Join("one");
  auto two = Join("two");
  const auto before = Settle({one.get(), two.get()}, {2, 2});
  two.reset();
  two = Join("two");
  const auto after = Settle({one.get(), two.get()}, {2, 2});
  EXPECT_EQ(after[0].generation, before[0].generation);
  EXPECT_EQ(after[1].partitions, before[1].partitions);
  ASSERT_OK(two->Commit({{after[1].partitions[0], {3, ""}}}));
  ASSERT_OK(one->Commit({{after[0].partitions[0], {4, ""}}}));
}

TEST_F(GroupMemberTest, TheSameInstanceTwiceFencesTheFirst) {
  auto first = Join("same");
  const int32_t partition = Settle({first.get()}, {4})[0].partitions[0];
  auto second = Join("same");
  Settle({second.get()}, {4});
  const Status status = first->Commit({{partition, {1, ""}}});
  ASSERT_THAT(status, IsErrorWith("kafka_fenced"));
  EXPECT_EQ(status.error().disposition, Disposition::kRetry);
  const auto deadline = std::chrono::steady_clock::now() + kLong;
  while (first->IsOwner()) ASSERT_LT(std::chrono::steady_clock::now(), deadline);
  EXPECT_THAT(first->Poll(0ms), IsErrorWith("kafka_fenced"));
  ASSERT_OK(second->Commit({{partition, {2, ""}}}));
}

TEST_F(GroupMemberTest, AMemberThatDoesNotPollLosesItsPartitionsAndKnowsIt) {
  GroupMemberOptions options;
  options.client = KafkaServer::Shared().client();
  options.topic = topic_;
  options.group = topic_ + ".group";
  options.session_timeout = 6s;
  options.heartbeat_interval = 200ms;
  options.max_poll_interval = 6s;
  auto sleeper = GroupMember::Join(options);
  ASSERT_OK(sleeper);
  const auto assignment = (*sleeper)->Poll(kLong);
  ASSERT_OK(assignment);
  auto other = Join();
  Settle({other.get()}, {4});
  EXPECT_FALSE((*sleeper)->IsOwner()) << "before it polled";
  EXPECT_THAT((*sleeper)->Commit({{0, {9, ""}}}), IsErrorWith("kafka_fenced"));
  EXPECT_TRUE(other->Committed({0}, kLong)->empty());
  EXPECT_GT((*sleeper)->Poll(0ms)->generation, assignment->generation);
  Settle({sleeper->get(), other.get()}, {2, 2});
}

}  // namespace
}  // namespace tailwater::kafka
