// What only the local topic has: files, processes, retention by time and size, formats.
#include "topic/local/local_topic.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <thread>

#include "support/append.h"
#include "support/full_disk.h"
#include "support/manual_clock.h"
#include "support/matchers.h"
#include "support/sqlite.h"
#include "support/temporary_folder.h"

namespace tailwater {
namespace {

using std::chrono::milliseconds;

class LocalTopicTest : public ::testing::Test {
 protected:
  LocalTopic::Options Options() {
    LocalTopic::Options options;
    options.path = folder_ / "topic";
    options.clock = &clock_;
    options.maintenance_interval = milliseconds(5);
    return options;
  }
  std::unique_ptr<TopicWriter> OpenWriter(LocalTopic& topic) {
    auto writer = topic.OpenWriter({}, nullptr);
    EXPECT_OK(writer);
    return std::move(*writer);
  }
  static Result<AppendReceipt> Append(TopicWriter& writer, int from, int to, size_t padding = 0) {
    AppendBatch batch;
    for (int i = from; i < to; ++i) {
      AddRecord(batch, {"k" + std::to_string(i), Value(i, padding), 0, 1000 + i});
    }
    batch.state["next"] = std::to_string(to);
    return AppendAndWait(writer, std::move(batch));
  }
  // Hard to compress, and the same at each call.
  static std::string Value(int i, size_t padding) {
    std::string value = std::to_string(i) + ":";
    uint64_t random = static_cast<uint64_t>(i) * 0x9E3779B97F4A7C15 + 1;
    for (size_t j = 0; j < padding; ++j) {
      random ^= random << 13;
      random ^= random >> 7;
      random ^= random << 17;
      value.push_back(static_cast<char>(random));
    }
    return value;
  }
  static PartitionRange Range(TopicReader& reader) {
    auto ranges = reader.Ranges();
    EXPECT_OK(ranges);
    return ranges->at(0);
  }
  template <class Condition>
  static bool Eventually(Condition condition) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (!condition()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::yield();
    }
    return true;
  }
  std::string File(const std::string& name) { return folder_ / ("topic/" + name); }

  TemporaryFolder folder_;
  ManualClock clock_;
};

TEST_F(LocalTopicTest, MakesItsFolderForItsUserAlone) {
  LocalTopic topic(Options());
  auto writer = OpenWriter(topic);
  struct stat folder {};
  ASSERT_EQ(stat((folder_ / "topic").c_str(), &folder), 0);
  EXPECT_EQ(folder.st_mode & 0777, 0700u);
}

TEST_F(LocalTopicTest, SaysWhoHoldsTheLock) {
  LocalTopic topic(Options());
  auto writer = OpenWriter(topic);
  std::stop_source stop;
  std::string holder;
  EXPECT_THAT(topic.OpenWriter(stop.get_token(),
                               [&](std::string name) {
                                 holder = name;
                                 stop.request_stop();
                               }),
              IsErrorWith("cancelled"));
  EXPECT_EQ(holder, "process " + std::to_string(getpid()));
}

TEST_F(LocalTopicTest, ReservesTheNamesOfItsOwnFiles) {
  LocalTopic topic(Options());
  EXPECT_THAT(topic.Subscribe("changes", {}, nullptr), IsErrorWith("topic_reserved_name"));
  EXPECT_THAT(topic.Subscribe("capture", {}, nullptr), IsErrorWith("topic_reserved_name"));
}

TEST_F(LocalTopicTest, CreatesNothingWhenOnlyLookedAt) {
  LocalTopic topic(Options());
  EXPECT_THAT(topic.OpenReader(), IsErrorWith("topic_not_created"));
  EXPECT_TRUE(topic.PeekState()->empty());
  EXPECT_TRUE(topic.KnownSinks()->empty());
  EXPECT_OK(topic.Destroy());
  EXPECT_FALSE(std::filesystem::exists(folder_ / "topic"));
}

TEST_F(LocalTopicTest, AReaderThatComesWhileTheLogIsMadeOnlyFindsItNotMadeYet) {
  for (int round = 0; round < 30; ++round) {
    LocalTopic::Options options = Options();
    options.path = folder_ / ("topic" + std::to_string(round));
    LocalTopic topic(options);
    Status failure;
    std::jthread reader([&] {
      for (;;) {
        const auto opened = topic.OpenReader();
        if (opened) return;
        if (opened.error().code == "topic_not_created") continue;
        failure = opened.error();
        return;
      }
    });
    auto writer = OpenWriter(topic);
    reader.join();
    ASSERT_OK(failure);
  }
}

TEST_F(LocalTopicTest, RefusesANewerFormat) {
  {
    LocalTopic topic(Options());
    auto writer = OpenWriter(topic);
    ASSERT_OK(topic.Subscribe("search", {}, nullptr));
  }
  for (const char* name : {"changes.db", "search.db"}) {
    auto file = sqlite::Database::Open(File(name), sqlite::OpenMode::kReadWrite);
    ASSERT_OK(file);
    ASSERT_OK(file->Execute("PRAGMA user_version = 99"));
  }
  LocalTopic topic(Options());
  const auto writer = topic.OpenWriter({}, nullptr);
  ASSERT_THAT(writer, IsErrorWith("topic_format_newer"));
  EXPECT_EQ(writer.error().disposition, Disposition::kFatal);
  EXPECT_THAT(topic.OpenReader(), IsErrorWith("topic_format_newer"));
  EXPECT_THAT(topic.PeekState(), IsErrorWith("topic_format_newer"));
  EXPECT_THAT(topic.Subscribe("search", {}, nullptr), IsErrorWith("topic_format_newer"));
  EXPECT_THAT(topic.PeekOffsets("search"), IsErrorWith("topic_format_newer"));
}

TEST_F(LocalTopicTest, LeavesForeignFilesAlone) {
  std::filesystem::create_directory(folder_ / "topic");
  for (const char* name : {"changes.db", "copy.db"}) {
    auto file = sqlite::Database::Open(File(name), sqlite::OpenMode::kCreate);
    ASSERT_OK(file);
    ASSERT_OK(file->Execute("CREATE TABLE mine (a)"));
  }
  std::ofstream(File("notes.db")) << std::string(5000, 'x');
  LocalTopic topic(Options());
  EXPECT_THAT(topic.OpenWriter({}, nullptr), IsErrorWith("topic_foreign_file"));
  EXPECT_THAT(topic.Subscribe("copy", {}, nullptr), IsErrorWith("topic_foreign_file"));
  std::filesystem::remove(File("changes.db"));
  OpenWriter(topic).reset();
  EXPECT_TRUE(topic.KnownSinks()->empty());
  ASSERT_OK(topic.Destroy());
  EXPECT_TRUE(std::filesystem::exists(File("copy.db")));
  EXPECT_TRUE(std::filesystem::exists(File("notes.db")));
  EXPECT_FALSE(std::filesystem::exists(File("changes.db")));
}

TEST_F(LocalTopicTest, NamesADamagedBlock) {
  LocalTopic topic(Options());
  {
    auto writer = OpenWriter(topic);
    ASSERT_OK(Append(*writer, 0, 100));
  }
  {
    auto file = sqlite::Database::Open(File("changes.db"), sqlite::OpenMode::kReadWrite);
    ASSERT_OK(file);
    ASSERT_OK(file->Execute("UPDATE batches SET data = zeroblob(length(data))"));
  }
  auto reader = topic.OpenReader();
  ASSERT_OK(reader);
  const auto batch = (*reader)->Read(0, 0, 1 << 20, milliseconds(0), {});
  ASSERT_THAT(batch, IsErrorWith("topic_corrupt"));
  EXPECT_EQ(batch.error().disposition, Disposition::kFatal);
}

TEST_F(LocalTopicTest, NamesALostBlockInsteadOfSkippingIt) {
  LocalTopic topic(Options());
  {
    auto writer = OpenWriter(topic);
    for (int i = 0; i < 30; i += 10) ASSERT_OK(Append(*writer, i, i + 10));
  }
  {
    auto file = sqlite::Database::Open(File("changes.db"), sqlite::OpenMode::kReadWrite);
    ASSERT_OK(file);
    ASSERT_OK(file->Execute("DELETE FROM batches WHERE base_offset = 10"));
  }
  auto reader = topic.OpenReader();
  ASSERT_OK(reader);
  auto batch = (*reader)->Read(0, 0, 1 << 20, milliseconds(0), {});
  ASSERT_OK(batch);
  EXPECT_EQ((*batch)->next_offset, 10);
  EXPECT_THAT((*reader)->Read(0, 10, 1 << 20, milliseconds(0), {}), IsErrorWith("topic_corrupt"));
}

// --- retention ---

TEST_F(LocalTopicTest, DropsWhatIsOlderThanTheRetention) {
  auto options = Options();
  options.retention = std::chrono::hours(1);
  LocalTopic topic(options);
  auto writer = OpenWriter(topic);
  auto reader = *topic.OpenReader();
  ASSERT_OK(Append(*writer, 0, 100));
  clock_.Advance(std::chrono::minutes(40));
  ASSERT_OK(Append(*writer, 100, 200));
  clock_.Advance(std::chrono::minutes(40));
  ASSERT_TRUE(Eventually([&] { return Range(*reader).begin == 100; }));
  EXPECT_EQ(Range(*reader).end, 200);
  clock_.Advance(std::chrono::minutes(40));
  ASSERT_TRUE(Eventually([&] { return Range(*reader).begin == 200; }));
  writer.reset();
  writer = OpenWriter(topic);
  EXPECT_EQ(writer->Ends()->at(0), 200) << "an empty log still knows its end";
  EXPECT_EQ(writer->LoadState()->at("next"), "200");
}

TEST_F(LocalTopicTest, StaysBelowItsSizeAndGivesDiskBack) {
  auto options = Options();
  options.max_bytes = 8 << 20;
  LocalTopic topic(options);
  auto writer = OpenWriter(topic);
  auto reader = *topic.OpenReader();
  for (int i = 0; i < 300; i += 10) ASSERT_OK(Append(*writer, i, i + 10, 100'000));  // 30 MB
  ASSERT_TRUE(Eventually([&] {
    const auto range = Range(*reader);
    return range.begin > 200 && range.begin < 300;
  }));
  const auto file_bytes = [&] { return std::filesystem::file_size(File("changes.db")); };
  ASSERT_TRUE(Eventually([&] { return file_bytes() < (16 << 20); }));
  const auto begin = Range(*reader).begin;
  EXPECT_THAT(reader->Read(0, begin - 1, 1, milliseconds(0), {}),
              IsErrorWith("topic_offset_out_of_range"));
  auto batch = reader->Read(0, begin, 1, milliseconds(0), {});
  ASSERT_OK(batch);
  EXPECT_EQ((*batch)->records[0].value, Value(static_cast<int>(begin), 100'000));
}

// --- a full disk ---

TEST_F(LocalTopicTest, LosesNothingOnAFullDiskAndGoesOnWhenThereIsRoom) {
  LocalTopic topic(Options());
  auto writer = OpenWriter(topic);
  ASSERT_OK(Append(*writer, 0, 10, 1000));
  {
    FullDisk full;
    const auto answer = Append(*writer, 10, 20, 100'000);
    const Status recovered = writer->Recover();
    ASSERT_THAT(answer, IsErrorWith("topic_disk_full"));
    EXPECT_EQ(answer.error().disposition, Disposition::kNeedsOperator);
    EXPECT_THAT(answer.error().message, ::testing::HasSubstr("free space"));
    EXPECT_THAT(recovered, IsErrorWith("topic_disk_full"));
  }
  ASSERT_OK(writer->Recover());
  ASSERT_EQ(writer->LoadState()->at("next"), "10");
  ASSERT_OK(Append(*writer, 10, 20, 100'000));
  auto reader = *topic.OpenReader();
  int next = 0;
  while (next < 20) {
    auto batch = reader->Read(0, next, 1 << 20, milliseconds(0), {});
    ASSERT_OK(batch);
    for (const auto& record : (*batch)->records) {
      EXPECT_TRUE(record.value == Value(next, next < 10 ? 1000 : 100'000));
      ++next;
    }
  }
}

TEST_F(LocalTopicTest, KeepsTheSinksPlaceOnAFullDisk) {
  LocalTopic topic(Options());
  auto subscription = *topic.Subscribe("search", {}, nullptr);
  Subscription::Update update;
  update.log_id = "log";
  update.offsets[0] = 5;
  ASSERT_OK(subscription->Commit(1, update));
  update.offsets[0] = 9;
  {
    FullDisk full;
    const Status status = subscription->Commit(1, update);
    EXPECT_THAT(status, IsErrorWith("topic_disk_full"));
  }
  EXPECT_EQ(subscription->Load()->offsets.at(0), 5);
  ASSERT_OK(subscription->Commit(1, update));
  EXPECT_EQ(subscription->Load()->offsets.at(0), 9);
}

// --- several processes ---

// Runs `body` in a child; it ends by _exit().
template <class Body>
pid_t InChild(Body body) {
  const pid_t child = fork();
  if (child == 0) {
    body();
    _exit(0);
  }
  return child;
}

TEST_F(LocalTopicTest, IsReadByOneProcessWhileAnotherAppends) {
  constexpr int kCount = 20'000;
  int started[2];
  ASSERT_EQ(pipe(started), 0);
  const pid_t child = InChild([&] {
    LocalTopic topic(Options());
    auto writer = topic.OpenWriter({}, nullptr);
    if (!writer || write(started[1], "x", 1) != 1) _exit(1);
    for (int i = 0; i < kCount; i += 100) {
      if (!Append(**writer, i, i + 100)) _exit(1);
    }
  });
  char byte = 0;
  ASSERT_EQ(read(started[0], &byte, 1), 1);
  LocalTopic topic(Options());
  auto reader = topic.OpenReader();
  ASSERT_OK(reader);
  int next = 0;
  while (next < kCount) {
    auto batch = (*reader)->Read(0, next, 1 << 16, std::chrono::seconds(30), {});
    ASSERT_OK(batch);
    ASSERT_NE(*batch, nullptr);
    for (const auto& record : (*batch)->records) {
      ASSERT_EQ(record.offset, next);
      ASSERT_EQ(record.value, Value(next, 0));
      ++next;
    }
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST_F(LocalTopicTest, GoesOnWritingWhileAReadingProcessIsStopped) {
  LocalTopic topic(Options());
  auto writer = OpenWriter(topic);
  ASSERT_OK(Append(*writer, 0, 100));
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  writer.reset();
  const pid_t child = InChild([&] {
    LocalTopic other(Options());
    auto reader = other.OpenReader();
    if (!reader || write(ready[1], "x", 1) != 1) _exit(1);
    while (true) {
      if (!(*reader)->Read(0, 0, 1000, milliseconds(0), {})) _exit(1);
    }
  });
  char byte = 0;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  writer = OpenWriter(topic);
  for (int i = 0; i < 20; ++i) {
    kill(child, SIGSTOP);
    ASSERT_OK(Append(*writer, 100 + i, 101 + i, 1'000'000));
    kill(child, SIGCONT);
  }
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
}

TEST_F(LocalTopicTest, AgreesWithItsStateAfterAWriterIsKilled) {
  for (int round = 0; round < 15; ++round) {
    int progress[2];
    ASSERT_EQ(pipe2(progress, O_CLOEXEC), 0);
    const pid_t child = InChild([&] {
      LocalTopic topic(Options());
      auto writer = topic.OpenWriter({}, nullptr);
      if (!writer) _exit(1);
      const auto state = (*writer)->LoadState();
      int next = state && state->contains("next") ? std::stoi(state->at("next")) : 0;
      while (true) {
        AppendBatch batch;
        for (int i = 0; i < 50; ++i, ++next) {
          AddRecord(batch, {"k", Value(next, 200), 0, 1000});
        }
        batch.state["next"] = std::to_string(next);
        (*writer)->Append(std::move(batch), [&, next](Result<AppendReceipt> answer) {
          if (!answer || write(progress[1], &next, sizeof next) != sizeof next) _exit(1);
        });
        while (!(*writer)->WaitForRoom(std::chrono::seconds(1))) {
        }
      }
    });
    // Some batches into the round, in the middle of whatever it does then.
    int acknowledged = 0;
    for (int i = 0; i < 1 + round * 7; ++i) {
      ASSERT_EQ(read(progress[0], &acknowledged, sizeof acknowledged),
                static_cast<ssize_t>(sizeof acknowledged));
    }
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    close(progress[1]);
    int later = 0;
    while (read(progress[0], &later, sizeof later) == sizeof later) acknowledged = later;
    close(progress[0]);

    LocalTopic topic(Options());
    // A reader may come before the next writer.
    auto reader = topic.OpenReader();
    ASSERT_OK(reader);
    const int next = std::stoi(topic.PeekState()->at("next"));
    EXPECT_GE(next, acknowledged);
    EXPECT_EQ(Range(**reader).end, next);
    int offset = 0;
    while (offset < next) {
      auto batch = (*reader)->Read(0, offset, 1 << 20, milliseconds(0), {});
      ASSERT_OK(batch);
      ASSERT_NE(*batch, nullptr);
      for (const auto& record : (*batch)->records) {
        ASSERT_TRUE(record.value == Value(offset, 200)) << offset;
        ++offset;
      }
    }
    EXPECT_EQ(offset, next);
    EXPECT_EQ(OpenWriter(topic)->Ends()->at(0), next);
  }
}

// Crash points are read once per process, so the child is a new one, which runs its test up to the
// statement; it finds the parent's folder in the environment.
class LocalTopicDeathTest : public LocalTopicTest {
 protected:
  void KillAt(const char* point) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    setenv("TAILWATER_TEST_FOLDER", (folder_ / "topic").c_str(), 0);
    EXPECT_EXIT(AppendUntilKilledAt(point), ::testing::KilledBySignal(SIGKILL), "");
    unsetenv("TAILWATER_TEST_FOLDER");
  }
  void AppendUntilKilledAt(const char* point) {
    setenv("TAILWATER_CRASH_POINT", point, 1);
    LocalTopic::Options options = Options();
    options.path = getenv("TAILWATER_TEST_FOLDER");
    LocalTopic topic(options);
    auto writer = OpenWriter(topic);
    for (int i = 0; i < 100; i += 10) EXPECT_OK(Append(*writer, i, i + 10));
  }
  void ExpectStored(int next) {
    LocalTopic topic(Options());
    EXPECT_EQ(topic.PeekState()->at("next"), std::to_string(next));
    EXPECT_EQ(Range(**topic.OpenReader()).end, next);
  }
};

TEST_F(LocalTopicDeathTest, StoresNothingOfABatchBeforeItsCommit) {
  KillAt("topic_before_commit:3");
  ExpectStored(20);
}

TEST_F(LocalTopicDeathTest, StoresABatchWholeWithItsCommit) {
  KillAt("topic_committed:3");
  ExpectStored(30);
}

TEST_F(LocalTopicTest, NamesALogThatWasReplaced) {
  LocalTopic topic(Options());
  auto writer = OpenWriter(topic);
  ASSERT_OK(Append(*writer, 0, 10));
  auto reader = *topic.OpenReader();
  writer.reset();
  {
    auto file = sqlite::Database::Open(File("changes.db"), sqlite::OpenMode::kReadWrite);
    ASSERT_OK(file);
    ASSERT_OK(file->Execute("UPDATE log SET log_id = 'another'"));
  }
  const auto batch = reader->Read(0, 0, 1 << 20, milliseconds(0), {});
  ASSERT_THAT(batch, IsErrorWith("topic_log_replaced"));
  EXPECT_EQ(batch.error().disposition, Disposition::kGap);
}

TEST_F(LocalTopicTest, TakesOverFromAKilledProcess) {
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = InChild([&] {
    LocalTopic topic(Options());
    auto writer = topic.OpenWriter({}, nullptr);
    if (!writer || write(ready[1], "x", 1) != 1) _exit(1);
    pause();
  });
  char byte = 0;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  LocalTopic topic(Options());
  EXPECT_THAT(topic.Destroy(), IsErrorWith("topic_locked"));
  int told = 0;
  const auto writer = topic.OpenWriter({}, [&](std::string holder) {
    ++told;
    EXPECT_EQ(holder, "process " + std::to_string(child));
    kill(child, SIGKILL);
  });
  waitpid(child, nullptr, 0);
  EXPECT_OK(writer);
  EXPECT_EQ(told, 1);
}

}  // namespace
}  // namespace tailwater
