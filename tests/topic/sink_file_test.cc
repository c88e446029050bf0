// <sink>.db on its own: its older format, crashes, and the space that dropped records leave behind.
#include <filesystem>

#include "support/manual_clock.h"
#include "support/matchers.h"
#include "support/sqlite.h"
#include "support/temporary_folder.h"
#include "topic/local/local_topic.h"

namespace tailwater {
namespace {

// As the first release made it.
constexpr char kFormat1[] = R"(
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA journal_mode = WAL;
BEGIN;
CREATE TABLE place (id INTEGER PRIMARY KEY CHECK (id = 1), log_id TEXT NOT NULL);
CREATE TABLE offsets (partition INTEGER PRIMARY KEY, next_offset INTEGER, rewound_from INTEGER);
CREATE TABLE dead_letters (
  partition INTEGER NOT NULL,
  "offset" INTEGER NOT NULL,
  id TEXT NOT NULL,
  source TEXT NOT NULL,
  "table" TEXT NOT NULL,
  version INTEGER NOT NULL,
  code TEXT NOT NULL,
  reason TEXT NOT NULL,
  attempts INTEGER NOT NULL,
  first_seen_micros INTEGER NOT NULL,
  key BLOB NOT NULL,
  value BLOB NOT NULL,
  PRIMARY KEY (partition, "offset")
);
CREATE INDEX dead_letters_by_code ON dead_letters (code, first_seen_micros);
CREATE INDEX dead_letters_by_table ON dead_letters (source, "table", version);
CREATE UNIQUE INDEX base_missing_by_key ON dead_letters (key) WHERE code = 'base_missing';
INSERT INTO place VALUES (1, 'a-log');
INSERT INTO offsets VALUES (0, 42, 17);
INSERT INTO dead_letters VALUES
  (0, 40, 'shop:1:0/1:0:0', 'shop', 'public.orders', 10, 'mapping_failed', 'why', 3, 1700,
   x'6b00', x'76616c7565'),
  (0, 41, 'shop:1:0/2:0:0', 'shop', 'public.orders', 11, 'base_missing', 'half a row', 1, 1600,
   x'6b31', x'76'),
  (0, 39, 'shop:1:0/0:0:0', 'shop', 'public.orders', 9, 'base_missing', 'half a row', 1, 1500,
   x'6b32', x'76');
PRAGMA application_id = 0x5457534b;
PRAGMA user_version = 1;
COMMIT;
)";

class SinkFileTest : public ::testing::Test {
 protected:
  SinkFileTest() : topic_(Options("topic")) {}

  LocalTopic::Options Options(const std::string& name) {
    LocalTopic::Options options;
    options.path = folder_ / name;
    options.clock = &clock_;
    return options;
  }
  std::string File(const std::string& name) { return folder_ / ("topic/" + name); }
  void MakeFormat1() {
    std::filesystem::create_directory(folder_ / "topic");
    auto file = sqlite::Database::Open(File("search.db"), sqlite::OpenMode::kCreate);
    ASSERT_OK(file);
    ASSERT_OK(file->Execute(kFormat1));
  }
  int64_t Number(const std::string& sql) {
    auto file = sqlite::Database::Open(File("search.db"), sqlite::OpenMode::kReadOnly);
    EXPECT_OK(file);
    auto number = file->QueryInt64(sql);
    EXPECT_OK(number);
    return number->value_or(-1);
  }
  std::unique_ptr<Subscription> Subscribe(Topic& topic) {
    auto subscription = topic.Subscribe("search", {}, nullptr);
    EXPECT_OK(subscription);
    generation_ = (*subscription)->Poll({})->generation;
    return std::move(*subscription);
  }
  static DeadLetter Letter(int64_t offset, size_t value_bytes) {
    return {.offset = offset,
            .id = "id" + std::to_string(offset),
            .source = "shop",
            .table = "public.orders",
            .version = offset,
            .key = "k" + std::to_string(offset),
            .value = std::string(value_bytes, 'v'),
            .code = "rejected",
            .reason = "no",
            .first_seen_micros = 1};
  }

  TemporaryFolder folder_;
  ManualClock clock_;
  LocalTopic topic_;
  uint64_t generation_ = 0;
};

TEST_F(SinkFileTest, ReadsFormat1AsItIs) {
  MakeFormat1();
  const auto counts = topic_.PeekDeadLetters("search");
  ASSERT_OK(counts);
  EXPECT_EQ(counts->by_code,
            (std::map<std::string, uint64_t>{{"base_missing", 2}, {"mapping_failed", 1}}));
  EXPECT_EQ(counts->dead, 1u);
  EXPECT_EQ(counts->oldest_micros, 1500);
  const auto page =
      topic_.ListDeadLetters("search", {.state = DeadLetter::State::kDead}, {}, 2, 1000);
  ASSERT_OK(page);
  EXPECT_EQ(page->matched, 3u);
  ASSERT_EQ(page->letters.size(), 2u);
  EXPECT_EQ(page->letters[1].offset, 40);
  EXPECT_EQ(page->letters[1].key, std::string("k\0", 2));
  EXPECT_EQ(page->letters[1].value, "value");
  EXPECT_EQ(page->next, (RecordPlace{0, 41}));
  EXPECT_EQ(Number("PRAGMA user_version"), 1);
}

TEST_F(SinkFileTest, BringsFormat1UpWhenItsSinkOpensIt) {
  MakeFormat1();
  auto subscription = Subscribe(topic_);
  EXPECT_EQ(Number("PRAGMA user_version"), 3);
  const auto stored = subscription->Load();
  ASSERT_OK(stored);
  EXPECT_EQ(stored->log_id, "a-log");
  EXPECT_EQ(stored->offsets, (Offsets{{0, 42}}));
  EXPECT_EQ(stored->rewound_from, (Offsets{{0, 17}}));
  auto counts = subscription->CountDeadLetters();
  ASSERT_OK(counts);
  EXPECT_EQ(counts->dead, 1u);
  EXPECT_EQ(counts->by_code.at("base_missing"), 2u);
  const auto page = topic_.ListDeadLetters("search", {.code = "mapping_failed"}, {}, 10, 1000);
  ASSERT_OK(page);
  ASSERT_EQ(page->letters.size(), 1u);
  const DeadLetter& letter = page->letters[0];
  EXPECT_EQ(letter.state, DeadLetter::State::kDead);
  EXPECT_FALSE(letter.blocks_key);
  EXPECT_EQ(letter.id, "shop:1:0/1:0:0");
  EXPECT_EQ(letter.reason, "why");
  EXPECT_EQ(letter.attempts, 3u);
  EXPECT_EQ(letter.version, 10);
  EXPECT_EQ(letter.first_seen_micros, 1700);
  EXPECT_EQ(letter.key, std::string("k\0", 2));
  EXPECT_EQ(letter.value, "value");
  // What the new format is for.
  EXPECT_EQ(subscription->Requeue(generation_, {.code = "mapping_failed"})->size(), 1u);
  Subscription::Update update;
  update.clear_base_missing = {"k1"};
  ASSERT_OK(subscription->Commit(generation_, update));
  counts = subscription->CountDeadLetters();
  EXPECT_EQ(counts->parked, 1u);
  EXPECT_EQ(counts->by_code.at("base_missing"), 1u);
  subscription.reset();
  EXPECT_EQ(Subscribe(topic_)->BlockedKeys(10)->size(), 1u);
}

TEST_F(SinkFileTest, BringsFormat2UpWhenItsSinkOpensIt) {
  {
    auto subscription = Subscribe(topic_);
    Subscription::Update update;
    update.log_id = "a-log";
    update.offsets[0] = 42;
    update.add = {Letter(40, 10)};
    ASSERT_OK(subscription->Commit(generation_, update));
  }
  {
    // All that format 3 added.
    auto file = sqlite::Database::Open(File("search.db"), sqlite::OpenMode::kReadWrite);
    ASSERT_OK(file);
    ASSERT_OK(file->Execute("ALTER TABLE place DROP COLUMN paused; PRAGMA user_version = 2"));
  }
  auto stored = topic_.PeekOffsets("search");
  ASSERT_OK(stored);
  EXPECT_EQ(stored->log_id, "a-log");
  EXPECT_FALSE(stored->paused);
  EXPECT_EQ(topic_.PeekDeadLetters("search")->dead, 1u);
  EXPECT_EQ(Number("PRAGMA user_version"), 2);
  auto subscription = Subscribe(topic_);
  EXPECT_EQ(Number("PRAGMA user_version"), 3);
  Subscription::Update update;
  update.paused = true;
  ASSERT_OK(subscription->Commit(generation_, update));
  stored = subscription->Load();
  ASSERT_OK(stored);
  EXPECT_TRUE(stored->paused);
  EXPECT_EQ(stored->offsets, (Offsets{{0, 42}}));
  EXPECT_EQ(subscription->CountDeadLetters()->dead, 1u);
}

TEST_F(SinkFileTest, KeepsFormat1WhenBringingItUpFails) {
  MakeFormat1();
  {
    // In the way of the new tables.
    auto file = sqlite::Database::Open(File("search.db"), sqlite::OpenMode::kReadWrite);
    ASSERT_OK(file);
    ASSERT_OK(file->Execute("CREATE TABLE dead_letter_counts (a)"));
  }
  EXPECT_FALSE(topic_.Subscribe("search", {}, nullptr).has_value());
  EXPECT_EQ(Number("PRAGMA user_version"), 1);
  EXPECT_EQ(Number("SELECT count(*) FROM dead_letters"), 3);
  EXPECT_EQ(Number("SELECT count(*) FROM sqlite_master WHERE name = 'dead_letters_by_code'"), 1);
}

TEST_F(SinkFileTest, HoldsWhatWasCommittedWhenTheProcessEndsAtOnce) {
  auto subscription = Subscribe(topic_);
  Subscription::Update update;
  update.log_id = "log";
  update.offsets[0] = 3;
  update.add = {Letter(1, 10), Letter(2, 10)};
  ASSERT_OK(subscription->Commit(generation_, update));
  ASSERT_EQ(subscription->Requeue(generation_, {.ids = {"id2"}})->size(), 1u);
  // What a crash leaves: the files as they are, closed by nobody.
  std::filesystem::create_directory(folder_ / "crashed");
  for (const char* name : {"search.db", "search.db-wal"}) {
    std::filesystem::copy_file(File(name), folder_ / ("crashed/" + std::string(name)));
  }
  LocalTopic crashed(Options("crashed"));
  auto after = Subscribe(crashed);
  EXPECT_EQ(after->Load()->offsets, (Offsets{{0, 3}}));
  const auto counts = after->CountDeadLetters();
  ASSERT_OK(counts);
  EXPECT_EQ(counts->dead, 1u);
  EXPECT_EQ(counts->parked, 1u);
  const auto blocked = after->BlockedKeys(10);
  ASSERT_OK(blocked);
  ASSERT_EQ(blocked->size(), 1u);
  EXPECT_EQ(blocked->front().head, (RecordPlace{0, 2}));
}

TEST_F(SinkFileTest, GivesTheSpaceOfDroppedRecordsBackInSmallSteps) {
  auto subscription = Subscribe(topic_);
  constexpr int kRecords = 1'500;
  Subscription::Update update;
  for (int i = 0; i < kRecords; ++i) update.add.push_back(Letter(i, 8'000));
  ASSERT_OK(subscription->Commit(generation_, update));
  const int64_t full = Number("PRAGMA page_count");
  ASSERT_GT(full, 2'000);
  ASSERT_EQ(subscription->DropDeadLetters(generation_, {.source = "shop"}).value(), kRecords);
  int64_t pages = full;
  int steps = 0;
  while (pages > 500) {
    ASSERT_LT(++steps, 100);
    ASSERT_OK(subscription->Poll({}));
    const int64_t left = Number("PRAGMA page_count");
    ASSERT_LT(left, pages);
    ASSERT_GE(left, pages - 200) << "the sink waits for a small step only";
    pages = left;
  }
  ASSERT_OK(subscription->Commit(generation_, update));
  EXPECT_EQ(subscription->CountDeadLetters()->dead, static_cast<uint64_t>(kRecords));
}

}  // namespace
}  // namespace tailwater
