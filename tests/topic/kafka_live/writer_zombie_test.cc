// A process that is stopped while it holds the lease, is replaced, and goes on.

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "support/temporary_folder.h"
#include "topic/kafka_live/writer_fixture.h"

extern char** environ;

namespace tailwater {
namespace {

using ::testing::StartsWith;

constexpr char kBrokers[] = "TW_ZOMBIE_BROKERS";
constexpr char kTopic[] = "TW_ZOMBIE_TOPIC";
constexpr char kReport[] = "TW_ZOMBIE_REPORT";

// Runs in a process of its own: publishes one number after the other until the lease is lost, and
// reports how many were confirmed.
TEST(KafkaWriterZombie, DISABLED_Child) {
  KafkaSettings settings;
  settings.client.connection.brokers = {getenv(kBrokers)};
  settings.pipeline = "shop";
  settings.topic = getenv(kTopic);
  settings.instance = "zombie";
  settings.replication = 1;
  settings.partitions = 3;
  auto writer = KafkaWriter::Open(settings, {}, {}, std::make_shared<std::atomic<bool>>(false));
  ASSERT_OK(writer);
  std::ofstream report(getenv(kReport));
  for (int number = 0;; ++number) {
    AppendBatch batch;
    AddRecord(batch, {"k", "zombie " + std::to_string(number)});
    batch.state["next"] = std::to_string(number + 1);
    const auto answer = AppendAndWait(**writer, std::move(batch));
    if (!answer) {
      report << answer.error().code << std::endl;
      EXPECT_TRUE((*writer)->lost().stop_requested());
      // Nothing that it tries brings it back.
      EXPECT_THAT((*writer)->Recover(), IsErrorWith("topic_lease_lost"));
      EXPECT_THAT(AppendAndWait(**writer, {}), IsErrorWith("topic_lease_lost"));
      break;
    }
    report << number << std::endl;
  }
}

class KafkaWriterZombieLive : public KafkaWriterLive {
 protected:
  std::vector<std::string> Report() {
    std::ifstream in(report_);
    std::vector<std::string> lines;
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
  }
  ~KafkaWriterZombieLive() override {
    if (child_ <= 0) return;
    kill(child_, SIGKILL);
    waitpid(child_, nullptr, 0);
  }
  void StartChild() {
    const std::string self = std::filesystem::read_symlink("/proc/self/exe");
    const std::vector<std::string> more = {kBrokers + ("=" + server_.brokers()),
                                           kTopic + ("=" + settings_.topic),
                                           kReport + ("=" + report_)};
    std::vector<char*> environment;
    for (char** each = environ; *each != nullptr; ++each) environment.push_back(*each);
    for (const std::string& each : more) environment.push_back(const_cast<char*>(each.c_str()));
    environment.push_back(nullptr);
    std::string filter = "--gtest_filter=KafkaWriterZombie.DISABLED_Child";
    std::string disabled = "--gtest_also_run_disabled_tests";
    std::vector<char*> arguments = {const_cast<char*>(self.c_str()), filter.data(), disabled.data(),
                                    nullptr};
    const pid_t pid = fork();
    if (pid == 0) {
      execve(self.c_str(), arguments.data(), environment.data());
      _exit(127);
    }
    child_ = pid;
  }

  pid_t child_ = -1;
  TemporaryFolder folder_;
  const std::string report_ = folder_ / "report";
};

TEST_F(KafkaWriterZombieLive, AStoppedProcessIsReplacedAndStoresNothingWhenItGoesOn) {
  StartChild();
  const auto deadline = std::chrono::steady_clock::now() + 60s;
  while (Report().size() < 20 && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(5ms);
  }
  ASSERT_EQ(kill(child_, SIGSTOP), 0);
  const auto stopped = std::chrono::steady_clock::now();
  settings_.instance = "successor";
  bool stood_by = false;
  auto writer = Open(settings_, {}, [&](const std::string& holder) {
    stood_by = true;
    EXPECT_THAT(holder, StartsWith("zombie"));
  });
  ASSERT_OK(writer);
  const auto takeover = std::chrono::steady_clock::now() - stopped;
  EXPECT_LT(takeover, 20s);
  RecordProperty("takeover_ms", std::to_string(takeover / 1ms));
  EXPECT_TRUE(stood_by);
  const auto state = (*writer)->LoadState();
  ASSERT_OK(state);
  const int next = std::stoi(state->at("next"));
  ASSERT_OK(AppendAndWait(**writer, Batch({{"k", "successor", 0}})));

  ASSERT_EQ(kill(child_, SIGCONT), 0);
  int status = 0;
  ASSERT_EQ(waitpid(child_, &status, 0), child_);
  child_ = -1;
  EXPECT_EQ(status, 0);
  const auto report = Report();
  EXPECT_EQ(report.back(), "topic_lease_lost");
  // What it was told is stored was stored; of what it was not told at most one.
  const int confirmed = static_cast<int>(report.size()) - 1;
  EXPECT_LE(confirmed, next);
  EXPECT_GE(confirmed + 1, next);
  std::vector<std::string> expected;
  for (int i = 0; i < next; ++i) expected.push_back("zombie " + std::to_string(i));
  expected.push_back("successor");
  EXPECT_EQ(Values(), expected);
  ASSERT_OK(AppendAndWait(**writer, Batch({{"k", "still there", 0}})));
  EXPECT_FALSE((*writer)->lost().stop_requested());
}

}  // namespace
}  // namespace tailwater
