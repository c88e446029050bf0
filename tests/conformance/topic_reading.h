// What every topic keeps to: reading.
#pragma once

#include <atomic>
#include <thread>
#include <vector>

#include "conformance/topic_conformance.h"

namespace tailwater {

TEST_P(TopicConformance, HasNothingToReadBeforeCaptureMadeTheLog) {
  EXPECT_THAT(topic_->OpenReader(), IsErrorWith("topic_not_created"));
  EXPECT_TRUE(topic_->PeekState()->empty());
  EXPECT_TRUE(topic_->KnownSinks()->empty());
  EXPECT_EQ(topic_->PeekOffsets("search")->log_id, "");
  EXPECT_TRUE(topic_->PeekDeadLetters("search")->by_code.empty());
  EXPECT_THAT(topic_->OpenReader(), IsErrorWith("topic_not_created"));
}

TEST_P(TopicConformance, AnswersNothingAtTheEndOnceTheTimeIsOver) {
  auto writer = OpenWriter();
  ASSERT_OK(Append(*writer, Numbered(0, 1)));
  auto reader = OpenReader();
  const int64_t end = EndOf(*reader);
  const auto batch = reader->Read(0, end, 1 << 20, std::chrono::milliseconds(20), {});
  ASSERT_OK(batch);
  EXPECT_EQ(*batch, nullptr);
}

TEST_P(TopicConformance, WakesAWaitingReader) {
  auto writer = OpenWriter();
  // One reader in the writer's process, one as in another.
  auto other = world_->Open();
  for (Topic* topic : {topic_.get(), other.get()}) {
    auto reader = topic->OpenReader();
    ASSERT_OK(reader);
    for (int i = 0; i < 20; ++i) {
      const int64_t end = EndOf(**reader);
      const auto start = std::chrono::steady_clock::now();
      std::thread append([&] { EXPECT_OK(Append(*writer, {{"k", std::to_string(i)}})); });
      const auto batch = (*reader)->Read(0, end, 1 << 20, kLong, {});
      append.join();
      ASSERT_OK(batch);
      ASSERT_NE(*batch, nullptr);
      EXPECT_EQ((*batch)->records.at(0).value, std::to_string(i));
      EXPECT_LT(std::chrono::steady_clock::now() - start, kLong / 2);
    }
  }
}

TEST_P(TopicConformance, StopsWaitingWhenAsked) {
  auto writer = OpenWriter();
  auto reader = OpenReader();
  std::stop_source stop;
  std::thread thread([&] { stop.request_stop(); });
  const auto start = std::chrono::steady_clock::now();
  const auto batch = reader->Read(0, 0, 1 << 20, kLong, stop.get_token());
  thread.join();
  ASSERT_OK(batch);
  EXPECT_EQ(*batch, nullptr);
  EXPECT_LT(std::chrono::steady_clock::now() - start, kLong / 2);
}

TEST_P(TopicConformance, SharesOneBatchBetweenReaders) {
  auto writer = OpenWriter();
  ASSERT_OK(Append(*writer, Numbered(0, 100)));
  auto reader = OpenReader();
  const auto a = reader->Read(0, 0, 1 << 20, kLong, {});
  const auto b = reader->Read(0, 0, 1 << 20, kLong, {});
  ASSERT_OK(a);
  ASSERT_OK(b);
  ASSERT_NE(*a, nullptr);
  EXPECT_EQ(*a, *b);
}

TEST_P(TopicConformance, KeepsABatchValidWhateverHappensToTheLog) {
  auto writer = OpenWriter();
  ASSERT_OK(Append(*writer, Numbered(0, 10)));
  auto reader = OpenReader();
  auto batch = *reader->Read(0, 0, 1 << 20, kLong, {});
  reader.reset();
  writer.reset();
  ASSERT_OK(topic_->Destroy());
  topic_.reset();
  ASSERT_EQ(batch->records.size(), 10u);
  EXPECT_EQ(batch->records[9].key, "key9");
}

TEST_P(TopicConformance, ReadsInPiecesOfTheSizeAskedFor) {
  auto writer = OpenWriter();
  const auto records = Numbered(0, 500, 1000);
  ASSERT_OK(Append(*writer, {records.begin(), records.begin() + 250}));
  ASSERT_OK(Append(*writer, {records.begin() + 250, records.end()}));
  auto reader = OpenReader();
  for (const size_t max_bytes : {size_t{1}, size_t{2500}, size_t{100'000}}) {
    int64_t offset = 0;
    std::vector<std::string> values;
    while (values.size() < records.size()) {
      const auto batch = reader->Read(0, offset, max_bytes, kLong, {});
      ASSERT_OK(batch);
      ASSERT_NE(*batch, nullptr);
      ASSERT_GT((*batch)->next_offset, offset);
      EXPECT_TRUE((*batch)->bytes <= max_bytes || (*batch)->records.size() == 1);
      for (const auto& record : (*batch)->records) values.emplace_back(record.value);
      offset = (*batch)->next_offset;
    }
    EXPECT_TRUE(values == Values(records));
  }
  EXPECT_TRUE(ReadAll(*reader, 123) == Values({records.begin() + 123, records.end()}));
}

TEST_P(TopicConformance, NamesAGapForAnOffsetOutsideTheLog) {
  auto writer = OpenWriter();
  ASSERT_OK(Append(*writer, Numbered(0, 10)));
  auto reader = OpenReader();
  const auto behind = reader->Read(0, 1000, 1 << 20, kLong, {});
  ASSERT_THAT(behind, IsErrorWith("topic_offset_out_of_range"));
  EXPECT_EQ(behind.error().disposition, Disposition::kGap);
}

TEST_P(TopicConformance, NamesAGapForWhatWasTrimmed) {
  auto writer = OpenWriter();
  ASSERT_OK(Append(*writer, Numbered(0, 10)));
  const Offsets ends = EndsOf(*writer);
  world_->Trim(*topic_);
  auto reader = OpenReader();
  const PartitionRange range = reader->Ranges()->at(0);
  EXPECT_GT(range.begin, 0);
  EXPECT_GE(range.end, ends.at(0)) << "the end is stored, not derived from what is left";
  EXPECT_TRUE(!world_->ends_with_records() || range.end == ends.at(0));
  const auto gap = reader->Read(0, 0, 1 << 20, kLong, {});
  ASSERT_THAT(gap, IsErrorWith("topic_offset_out_of_range"));
  EXPECT_EQ(gap.error().disposition, Disposition::kGap);
  const auto receipt = Append(*writer, Numbered(10, 12));
  ASSERT_OK(receipt);
  EXPECT_GT(receipt->ends.at(0), ends.at(0));
  EXPECT_EQ(ReadAll(*reader, ends.at(0)), Values(Numbered(10, 12)));
}

TEST_P(TopicConformance, FindsTheFirstOffsetAtATime) {
  if (!world_->keeps_timestamps()) GTEST_SKIP() << "its clock is not ours";
  auto writer = OpenWriter();
  ASSERT_OK(Append(*writer, Numbered(0, 10)));
  ASSERT_OK(Append(*writer, Numbered(10, 20)));
  auto reader = OpenReader();
  const auto at = [&](int64_t time) { return reader->OffsetAt(0, time).value(); };
  const auto value_at = [&](int64_t time) { return ReadAll(*reader, at(time)).at(0); };
  EXPECT_EQ(at(0), 0);
  EXPECT_EQ(value_at(1005), "5");
  EXPECT_EQ(value_at(1010), "10");
  EXPECT_EQ(value_at(1019), "19");
  EXPECT_EQ(at(1020), reader->Ranges()->at(0).end);
}

TEST_P(TopicConformance, WaitsForAnyOfItsPartitions) {
  auto writer = OpenWriter();
  auto reader = OpenReader();
  Offsets offsets;
  for (int32_t i = 0; i < world_->partitions(); ++i) offsets[i] = EndOf(*reader, i);
  EXPECT_FALSE(reader->WaitForAny(offsets, std::chrono::milliseconds(20), {}));
  for (int32_t i = world_->partitions() - 1; i >= 0; --i) {
    const auto start = std::chrono::steady_clock::now();
    std::thread append([&] { EXPECT_OK(Append(*writer, {{"k", "v", i}})); });
    EXPECT_TRUE(reader->WaitForAny(offsets, kLong, {}));
    append.join();
    EXPECT_LT(std::chrono::steady_clock::now() - start, kLong / 2);
    EXPECT_THAT(ReadAll(*reader, offsets[i], i), ::testing::ElementsAre("v"));
    offsets[i] = EndOf(*reader, i);
  }
  EXPECT_FALSE(reader->WaitForAny(offsets, std::chrono::milliseconds(20), {}));
  std::stop_source stop;
  stop.request_stop();
  EXPECT_FALSE(reader->WaitForAny(offsets, kLong, stop.get_token()));
  offsets[0] += 1000;
  EXPECT_TRUE(reader->WaitForAny(offsets, kLong, {})) << "a gap is something to say";
}

TEST_P(TopicConformance, ServesManyReadersWhileItIsWritten) {
  auto writer = OpenWriter();
  auto reader = OpenReader();
  constexpr int kCount = 3000;
  std::vector<std::thread> threads;
  std::atomic<int> correct = 0;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&, i] {
      int64_t offset = 0;
      int next = 0;
      while (next < kCount) {
        const auto batch = reader->Read(0, offset, 5'000 << i, kLong, {});
        if (!batch || *batch == nullptr) return;
        for (const auto& record : (*batch)->records) {
          if (record.value != std::to_string(next++)) return;
        }
        offset = (*batch)->next_offset;
      }
      ++correct;
    });
  }
  Answers answers;
  int batches = 0;
  for (int i = 0; i < kCount; i += 10, ++batches) {
    AppendBatch batch;
    for (const auto& record : Numbered(i, i + 10)) AddRecord(batch, record);
    writer->Append(std::move(batch), answers.Take());
  }
  writer->Flush();
  for (const auto& answer : answers.WaitFor(batches)) EXPECT_OK(answer);
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(correct, 3);
}

}  // namespace tailwater
