// What every topic keeps to, whatever it is made of: the world that an implementation brings, and
// what is asked of its writer. Reading and sinks: topic_reading.h and topic_sinks.h.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <ostream>
#include <string>
#include <thread>
#include <vector>

#include "codec/codec.h"
#include "support/append.h"
#include "support/matchers.h"
#include "topic/topic.h"

namespace tailwater {

// One topic, empty and not yet made when the world begins.
class TopicWorld {
 public:
  virtual ~TopicWorld() = default;
  virtual int32_t partitions() const = 0;
  virtual bool exclusive_sinks() const = 0;  // a second subscriber of a sink stands by
  virtual size_t max_record_bytes() const = 0;
  // Another handle on the topic, as another process would have it.
  virtual std::unique_ptr<Topic> Open() = 0;
  // From now on the topic's storage takes nothing, or takes it again.
  virtual void BreakStorage() = 0;
  virtual void MendStorage() = 0;
  virtual std::string broken_code() const = 0;  // empty: it cannot be broken so from here
  // Drops the oldest records of partition 0; returns once they are gone.
  virtual void Trim(Topic& topic) = 0;
  // Whether records keep the timestamps that they are appended with; otherwise they bear the time
  // of their publication.
  virtual bool keeps_timestamps() const { return true; }
  // Whether nothing but records takes offsets: the log ends where the receipt says. Otherwise it
  // ends at or behind it.
  virtual bool ends_with_records() const { return true; }
  // Returns once a reader sees everything whose append was answered.
  virtual void WaitUntilReadable() {}
  // Makes what a subscriber needs to find.
  virtual void PrepareToSubscribe(Topic&) {}
};

struct NamedWorld {
  std::string name;
  std::function<std::unique_ptr<TopicWorld>()> make;
  friend void PrintTo(const NamedWorld& world, std::ostream* out) { *out << world.name; }
};
inline std::string NameOfWorld(const ::testing::TestParamInfo<NamedWorld>& info) {
  return info.param.name;
}

class TopicConformance : public ::testing::TestWithParam<NamedWorld> {
 protected:
  static constexpr std::chrono::milliseconds kLong{20'000};

  TopicConformance() : world_(GetParam().make()), topic_(world_->Open()) {}

  std::unique_ptr<TopicWriter> OpenWriter() {
    auto writer = topic_->OpenWriter({}, nullptr);
    EXPECT_OK(writer);
    return std::move(*writer);
  }
  std::shared_ptr<TopicReader> OpenReader() {
    auto reader = topic_->OpenReader();
    EXPECT_OK(reader);
    return std::move(*reader);
  }
  std::unique_ptr<Subscription> Subscribe(const std::string& sink) {
    world_->PrepareToSubscribe(*topic_);
    auto subscription = topic_->Subscribe(sink, {}, nullptr);
    EXPECT_OK(subscription);
    return std::move(*subscription);
  }
  static Result<AppendReceipt> Append(TopicWriter& writer, AppendBatch batch) {
    return AppendAndWait(writer, std::move(batch));
  }
  static Result<AppendReceipt> Append(TopicWriter& writer,
                                      const std::vector<WrittenRecord>& records) {
    AppendBatch batch;
    for (const auto& record : records) AddRecord(batch, record);
    return Append(writer, std::move(batch));
  }
  static std::vector<WrittenRecord> Numbered(int from, int to, size_t padding = 0) {
    std::vector<WrittenRecord> records;
    for (int i = from; i < to; ++i) {
      records.push_back(
          {"key" + std::to_string(i), std::to_string(i) + std::string(padding, '.'), 0, 1000 + i});
    }
    return records;
  }
  // Where a reader is at the end, with everything behind it whose append was answered.
  int64_t EndOf(TopicReader& reader, int32_t partition = 0) {
    world_->WaitUntilReadable();
    const auto ranges = reader.Ranges();
    EXPECT_OK(ranges);
    return ranges ? ranges->at(partition).end : 0;
  }
  // Everything from `offset` to the end, as values.
  std::vector<std::string> ReadAll(TopicReader& reader, int64_t offset = 0, int32_t partition = 0) {
    const int64_t end = EndOf(reader, partition);
    std::vector<std::string> values;
    while (offset < end) {
      auto batch = reader.Read(partition, offset, 1 << 20, kLong, {});
      EXPECT_OK(batch);
      if (!batch) return values;
      EXPECT_NE(*batch, nullptr) << "the end, " << end << ", cannot be reached from " << offset;
      if (*batch == nullptr) return values;
      for (const auto& record : (*batch)->records) {
        EXPECT_GE(record.offset, offset);
        offset = record.offset + 1;
        values.emplace_back(record.value);
      }
      EXPECT_GE((*batch)->next_offset, offset);
      offset = (*batch)->next_offset;
    }
    EXPECT_EQ(offset, end);
    return values;
  }
  static std::vector<std::string> Values(const std::vector<WrittenRecord>& records) {
    std::vector<std::string> values;
    for (const auto& record : records) values.push_back(record.value);
    return values;
  }
  static Offsets EndsOf(TopicWriter& writer) {
    const auto ends = writer.Ends();
    EXPECT_OK(ends);
    return ends ? *ends : Offsets();
  }
  static Subscription::Update At(int64_t offset, std::string log_id = "log") {
    Subscription::Update update;
    update.log_id = std::move(log_id);
    update.offsets[0] = offset;
    return update;
  }
  static DeadLetter Letter(int64_t offset, std::string code, std::string key = "k",
                           int64_t version = 10) {
    return {.partition = 0,
            .offset = offset,
            .id = "shop:1:0/1:0:0",
            .source = "shop",
            .table = "public.orders",
            .version = version,
            .key = std::move(key),
            .value = std::string("va\0lue", 6),
            .code = std::move(code),
            .reason = "no",
            .attempts = 1,
            .first_seen_micros = 1000 + offset};
  }
  static Subscription::Assignment Assigned(Subscription& subscription) {
    auto assignment = subscription.Poll(kLong);
    EXPECT_OK(assignment);
    return std::move(*assignment);
  }

  std::unique_ptr<TopicWorld> world_;
  std::unique_ptr<Topic> topic_;
};

// --- writing ---

TEST_P(TopicConformance, ReadsBackWhatWasStoredInOrder) {
  auto writer = OpenWriter();
  const auto records = Numbered(0, 100);
  ASSERT_OK(Append(*writer, {records.begin(), records.begin() + 40}));
  const auto receipt = Append(*writer, {records.begin() + 40, records.end()});
  ASSERT_OK(receipt);
  auto reader = OpenReader();
  auto batch = reader->Read(0, 0, 1 << 20, kLong, {});
  ASSERT_OK(batch);
  ASSERT_NE(*batch, nullptr);
  EXPECT_EQ((*batch)->partition, 0);
  const auto& first = (*batch)->records.at(0);
  EXPECT_EQ(first.offset, 0);
  EXPECT_EQ(first.key, "key0");
  EXPECT_EQ(first.value, "0");
  if (world_->keeps_timestamps()) {
    EXPECT_EQ(first.timestamp_micros, 1000);
  } else {
    EXPECT_GT(first.timestamp_micros, 1'700'000'000'000'000) << "the time of publication";
  }
  EXPECT_EQ(ReadAll(*reader), Values(records));
  EXPECT_GE(EndOf(*reader), receipt->ends.at(0));
  EXPECT_TRUE(!world_->ends_with_records() || EndOf(*reader) == receipt->ends.at(0));
  EXPECT_GE(EndsOf(*writer).at(0), receipt->ends.at(0));
  EXPECT_LE(EndsOf(*writer).at(0), EndOf(*reader));
}

TEST_P(TopicConformance, KeepsEmptyKeysEmptyValuesAndArbitraryBytes) {
  auto writer = OpenWriter();
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes.push_back(static_cast<char>(i));
  ASSERT_OK(Append(*writer, {{"", "v", 0, -5}, {"k", "", 0, 0}, {bytes, bytes, 0, 1LL << 60}}));
  auto reader = OpenReader();
  auto batch = reader->Read(0, 0, 1 << 20, kLong, {});
  ASSERT_OK(batch);
  const auto& records = (*batch)->records;
  ASSERT_EQ(records.size(), 3u);
  EXPECT_EQ(records[0].key, "");
  EXPECT_EQ(records[1].value, "");
  EXPECT_EQ(records[2].key, bytes);
  EXPECT_EQ(records[2].value, bytes);
  if (!world_->keeps_timestamps()) return;
  EXPECT_EQ(records[0].timestamp_micros, -5);
  EXPECT_EQ(records[2].timestamp_micros, 1LL << 60);
}

TEST_P(TopicConformance, StoresStateTogetherWithTheRecords) {
  auto writer = OpenWriter();
  AppendBatch batch;
  AddRecord(batch, {"k", "v"});
  batch.state["source/shop"] = std::string("sta\0te", 6);
  batch.state["source/billing"] = "b";
  ASSERT_OK(Append(*writer, std::move(batch)));
  EXPECT_EQ(writer->LoadState()->at("source/shop"), std::string("sta\0te", 6));
  AppendBatch second;
  second.state["source/billing"] = "";
  second.state["source/shop"] = "newer";
  ASSERT_OK(Append(*writer, std::move(second)));
  const std::map<std::string, std::string> expected = {{"source/shop", "newer"}};
  EXPECT_EQ(*world_->Open()->PeekState(), expected);
  const std::string log_id = writer->log_id();
  const Offsets ends = EndsOf(*writer);
  writer.reset();
  writer = OpenWriter();
  EXPECT_EQ(*writer->LoadState(), expected);
  EXPECT_EQ(writer->log_id(), log_id);
  EXPECT_EQ(*writer->Ends(), ends);
  EXPECT_EQ(OpenReader()->log_id(), log_id);
}

TEST_P(TopicConformance, AnswersEveryBatchOnceAndInOrder) {
  auto writer = OpenWriter();
  Answers answers;
  for (int i = 0; i < 200; ++i) {
    AppendBatch batch;
    AddRecord(batch, {"k", std::to_string(i)});
    batch.state["n"] = std::to_string(i);
    writer->Append(std::move(batch), answers.Take());
  }
  writer->Flush();
  const auto list = answers.WaitFor(200);
  ASSERT_EQ(list.size(), 200u);
  int64_t end = 0;
  for (const auto& answer : list) {
    ASSERT_OK(answer);
    // Batches that share a transaction end where that ends.
    EXPECT_GE(answer->ends.at(0), end + (world_->ends_with_records() ? 1 : 0));
    end = answer->ends.at(0);
  }
  EXPECT_EQ(writer->LoadState()->at("n"), "199");
  EXPECT_TRUE(writer->WaitForRoom(kLong));
  EXPECT_EQ(writer->queued_bytes(), 0u);
}

TEST_P(TopicConformance, StoresWhatItAcceptedBeforeItIsDestroyed) {
  auto writer = OpenWriter();
  Answers answers;
  for (const auto& record : Numbered(0, 50)) {
    AppendBatch batch;
    AddRecord(batch, record);
    writer->Append(std::move(batch), answers.Take());
  }
  writer.reset();
  EXPECT_EQ(answers.WaitFor(50).size(), 50u);
  EXPECT_EQ(ReadAll(*OpenReader()), Values(Numbered(0, 50)));
}

TEST_P(TopicConformance, StoresNothingAfterAFailureUntilRecovered) {
  if (world_->broken_code().empty()) GTEST_SKIP() << "has tests of its own";
  auto writer = OpenWriter();
  AppendBatch good;
  AddRecord(good, {"k", "before"});
  good.state["n"] = "before";
  ASSERT_OK(Append(*writer, std::move(good)));
  const Offsets ends = EndsOf(*writer);
  world_->BreakStorage();
  Answers answers;
  for (int i = 0; i < 3; ++i) {
    AppendBatch batch;
    AddRecord(batch, {"k", "lost"});
    batch.state["n"] = "lost";
    writer->Append(std::move(batch), answers.Take());
    writer->Flush();
  }
  const auto list = answers.WaitFor(3);
  const Status early = writer->Recover();
  world_->MendStorage();
  for (const auto& answer : list) {
    ASSERT_THAT(answer, IsErrorWith(world_->broken_code()));
    EXPECT_EQ(answer.error().disposition, Disposition::kNeedsOperator);
  }
  EXPECT_THAT(early, IsErrorWith(world_->broken_code()));
  EXPECT_THAT(Append(*writer, Numbered(0, 1)), IsErrorWith(world_->broken_code()))
      << "mended is not recovered: what failed must not be skipped";
  ASSERT_OK(writer->Recover());
  EXPECT_EQ(writer->LoadState()->at("n"), "before");
  EXPECT_EQ(*writer->Ends(), ends);
  ASSERT_OK(Append(*writer, Numbered(7, 8)));
  EXPECT_THAT(ReadAll(*OpenReader()), ::testing::ElementsAre("before", "7"));
}

TEST_P(TopicConformance, RefusesARecordLargerThanItTakesAndStoresWhatCameBefore) {
  auto writer = OpenWriter();
  ASSERT_EQ(writer->max_record_bytes(), world_->max_record_bytes());
  const std::string largest(world_->max_record_bytes() - 1, 'x');
  Answers answers;
  AppendBatch fits;
  AddRecord(fits, {"k", largest});
  writer->Append(std::move(fits), answers.Take());
  AppendBatch too_large;
  AddRecord(too_large, {"kk", largest});
  writer->Append(std::move(too_large), answers.Take());
  writer->Flush();
  const auto list = answers.WaitFor(2);
  EXPECT_OK(list[0]);
  EXPECT_THAT(list[1], IsErrorWith("topic_record_too_large"));
  ASSERT_OK(writer->Recover());
  ASSERT_OK(Append(*writer, Numbered(7, 8)));
  const auto values = ReadAll(*OpenReader());
  ASSERT_EQ(values.size(), 2u);
  EXPECT_TRUE(values[0] == largest);
  EXPECT_EQ(values[1], "7");
}

TEST_P(TopicConformance, AppendsTheOffsetsOfFencedCopiesToTheirMarker) {
  auto writer = OpenWriter();
  Change sweep;
  sweep.operation = Operation::kSweep;
  sweep.source = "shop";
  sweep.table = "public.orders";
  sweep.position = "v7";
  sweep.version = 7;
  const SchemaPtr schema = TableSchema::Make({"public", "orders"}, {{.name = "id", .key = true}});
  sweep.schema = schema.get();
  std::string value;
  Encoder().EncodeChange(sweep, value);
  AppendBatch batch;
  for (int32_t i = 0; i < world_->partitions(); ++i) AddRecord(batch, {"k", "row", i});
  for (int32_t i = 1; i < world_->partitions(); ++i) {
    AddRecord(batch, {"k", value, i}, false, true);
  }
  AddRecord(batch, {"k", value, 0}, true, false);
  ASSERT_OK(Append(*writer, std::move(batch)));
  const auto values = ReadAll(*OpenReader());
  ASSERT_EQ(values.size(), 2u);
  ChangeBatch decoded;
  ASSERT_OK(Decoder().Decode(values[1], decoded));
  const auto& fence = decoded.changes()[0].fence;
  ASSERT_EQ(fence.size(), static_cast<size_t>(world_->partitions() - 1));
  for (size_t i = 0; i < fence.size(); ++i) {
    EXPECT_EQ(fence[i], (PartitionOffset{static_cast<int32_t>(i + 1), 1}));
  }
}

// --- the lease ---

TEST_P(TopicConformance, HasOneWriterAndTheNextStandsBy) {
  auto writer = OpenWriter();
  auto other = world_->Open();
  std::stop_source stop;
  const auto stopped =
      other->OpenWriter(stop.get_token(), [&](std::string) { stop.request_stop(); });
  ASSERT_FALSE(stopped.has_value());
  EXPECT_EQ(stopped.error().disposition, Disposition::kCancelled);

  std::mutex mutex;
  std::condition_variable changed;
  int standing_by = 0;
  Result<std::unique_ptr<TopicWriter>> second = std::unique_ptr<TopicWriter>();
  std::thread thread([&] {
    second = other->OpenWriter({}, [&](std::string holder) {
      EXPECT_FALSE(holder.empty());
      std::lock_guard lock(mutex);
      ++standing_by;
      changed.notify_all();
    });
  });
  {
    std::unique_lock lock(mutex);
    EXPECT_TRUE(changed.wait_for(lock, kLong, [&] { return standing_by > 0; }));
  }
  EXPECT_OK(Append(*writer, Numbered(0, 3)));
  writer.reset();
  thread.join();
  ASSERT_OK(second);
  EXPECT_EQ(standing_by, 1);
  ASSERT_OK(Append(**second, Numbered(3, 5)));
  EXPECT_EQ(ReadAll(*OpenReader()), Values(Numbered(0, 5)));
}

// --- the end ---

TEST_P(TopicConformance, IsDestroyedOnlyWhenNobodyUsesIt) {
  auto writer = OpenWriter();
  ASSERT_OK(Append(*writer, Numbered(0, 10)));
  const std::string log_id = writer->log_id();
  auto subscription = Subscribe("search");
  ASSERT_OK(subscription->Commit(Assigned(*subscription).generation, At(3)));
  EXPECT_GT(topic_->StoredBytes().value_or(1), 0u);
  auto other = world_->Open();
  EXPECT_THAT(other->Destroy(), IsErrorWith("topic_locked"));
  writer.reset();
  EXPECT_THAT(other->Destroy(), IsErrorWith("topic_locked"));
  EXPECT_THAT(*other->KnownSinks(), ::testing::ElementsAre("search"));
  subscription.reset();
  ASSERT_OK(other->Destroy());
  ASSERT_OK(other->Destroy()) << "safe twice";
  EXPECT_TRUE(other->KnownSinks()->empty());
  EXPECT_TRUE(other->PeekState()->empty());
  EXPECT_THAT(other->OpenReader(), IsErrorWith("topic_not_created"));
  writer = OpenWriter();
  EXPECT_NE(writer->log_id(), log_id);
  EXPECT_EQ(writer->Ends()->at(0), 0);
}

}  // namespace tailwater
