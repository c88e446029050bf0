#include "support/kafka/admin.h"

#include <gmock/gmock.h>

#include <chrono>
#include <thread>

#include "kafka_live/read_back.h"
#include "support/kafka_server.h"
#include "support/matchers.h"

namespace tailwater::kafka {
namespace {

using namespace std::chrono_literals;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

std::unique_ptr<Admin> Make() {
  auto admin = Admin::Create(KafkaServer::Shared().client(), 30s);
  EXPECT_OK(admin);
  return std::move(*admin);
}

TEST(KafkaAdmin, MakesLooksAtAndDeletesTopics) {
  auto admin = Make();
  const std::string topic = KafkaServer::UniqueName("admin");
  EXPECT_EQ(*admin->BrokerCount(), 1);
  auto missing = admin->FindTopic(topic);
  ASSERT_OK(missing);
  EXPECT_FALSE(*missing);
  const TopicSpec spec = {topic, 3, 1, {{"retention.ms", "1234567"}}};
  ASSERT_OK(admin->CreateTopic(spec));
  ASSERT_OK(admin->CreateTopic(spec));
  auto found = admin->FindTopic(topic);
  ASSERT_OK(found);
  ASSERT_TRUE(*found);
  EXPECT_EQ((*found)->partitions, 3);
  EXPECT_EQ((*found)->replication, 1);
  auto settings = admin->TopicSettings(topic);
  ASSERT_OK(settings);
  EXPECT_EQ(settings->at("retention.ms"), "1234567");
  EXPECT_EQ(settings->at("cleanup.policy"), "delete");
  EXPECT_THAT(*admin->ListTopics(), Contains(topic));
  ASSERT_OK(admin->DeleteTopic(topic));
  ASSERT_OK(admin->DeleteTopic(topic));
}

TEST(KafkaAdmin, SaysWhatTheClusterRefuses) {
  auto admin = Make();
  const Status status = admin->CreateTopic({KafkaServer::UniqueName("admin"), 1, 3, {}});
  ASSERT_THAT(status, IsErrorWith("kafka_policy_violation"));
  EXPECT_EQ(status.error().disposition, Disposition::kNeedsOperator);
  EXPECT_THAT(status.error().message, HasSubstr("larger than the number of brokers"));
  EXPECT_THAT(admin->CreateTopic({KafkaServer::UniqueName("admin"), 1, 1, {{"no.such", "x"}}}),
              IsErrorWith("kafka_policy_violation"));
}

TEST(KafkaAdmin, KnowsGroupsAndReadsBrokerSettings) {
  auto admin = Make();
  // A broker that has just started makes the topic of its groups first, and loads it.
  const auto deadline = std::chrono::steady_clock::now() + 90s;
  Status deleted = admin->DeleteGroup("never.was");
  while (!deleted && deleted.error().disposition == Disposition::kRetry &&
         std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(50ms);
    deleted = admin->DeleteGroup("never.was");
  }
  ASSERT_OK(deleted);
  auto group = admin->DescribeGroup("never.was");
  ASSERT_OK(group);
  EXPECT_TRUE(group->members.empty());
  auto groups = admin->ListGroups();
  ASSERT_OK(groups);
  EXPECT_THAT(*groups, Not(Contains("never.was")));
  auto settings = admin->BrokerSettings();
  ASSERT_OK(settings);
  EXPECT_EQ(settings->at("unclean.leader.election.enable"), "false");
}

TEST(KafkaAdmin, SaysWhyItCannotReachTheCluster) {
  ClientOptions options;
  options.connection.brokers = {"127.0.0.1:1"};
  auto admin = Admin::Create(options, 1s);
  ASSERT_OK(admin);
  const auto count = (*admin)->BrokerCount();
  ASSERT_THAT(count, IsErrorWith("kafka_unreachable"));
  EXPECT_THAT(count.error().message, HasSubstr("Connection refused"));
  EXPECT_THAT((*admin)->TopicSettings("t"), IsErrorWith("kafka_unreachable"));
}

// A client that is still there when the coordinator comes back, and one that is not.
TEST(KafkaAdmin, OutlivesACoordinatorThatIsAwayForLongerThanItWaits) {
  KafkaServer server;
  auto admin = Admin::Create(server.client(), 2s);
  ASSERT_OK(admin);
  const auto deadline = std::chrono::steady_clock::now() + 90s;
  const auto described = [&] {
    auto facts = (*admin)->DescribeGroup("some.group");
    while (!facts && std::chrono::steady_clock::now() < deadline) {
      EXPECT_EQ(facts.error().disposition, Disposition::kRetry) << facts.error().message;
      facts = (*admin)->DescribeGroup("some.group");
    }
    return facts;
  };
  ASSERT_OK(described());
  server.Command("stop");
  EXPECT_THAT((*admin)->DescribeGroup("some.group"), IsErrorWith("kafka_unreachable"));
  EXPECT_THAT((*admin)->DeleteGroup("some.group"), IsErrorWith("kafka_unreachable"));
  auto leaves = Admin::Create(server.client(), 500ms);
  ASSERT_OK(leaves);
  EXPECT_THAT((*leaves)->DescribeGroup("some.group"), IsErrorWith("kafka_unreachable"));
  leaves->reset();
  server.Command("start");
  ASSERT_OK(described());
  EXPECT_OK((*admin)->DeleteGroup("some.group"));
}

}  // namespace
}  // namespace tailwater::kafka
