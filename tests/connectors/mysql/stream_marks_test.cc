#include "mysql/stream_marks.h"

#include <gmock/gmock.h>

#include <future>
#include <string>
#include <vector>

#include "support/matchers.h"

namespace tailwater::mysql {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr char kServer[] = "3e11fa47-71ca-11e1-9e33-c80aa9429562:";

LogPosition Set(const std::string& numbers) {
  return *LogPosition::Parse(LogPosition::Form::kMysqlGtid, kServer + numbers);
}

class Writer final : public ChangeWriter {
 public:
  Status Establish(const SourceIdentity&, const std::optional<Position>&) override { return {}; }
  bool WaitForRoom(std::chrono::milliseconds) override { return true; }
  Status Begin(const Transaction&) override { return {}; }
  Status Append(const Change&) override { return {}; }
  Status Commit(std::string_view) override { return {}; }
  Status AppendAlone(const Change&, std::string_view) override { return {}; }
  Status AdvanceIdle(std::string_view) override { return {}; }
  Status Flush() override { return {}; }
  Status RowsReplaced(std::string_view, std::string_view) override { return {}; }
  Status OnWatermark(const Watermark& mark) override {
    marks.push_back((mark.kind == Watermark::Kind::kLow ? "low " : "high ") +
                    std::string(mark.chunk_id) + (mark.sound ? "" : " unsound"));
    return {};
  }
  Result<bool> ServeCopy(std::string_view chunk_id, std::chrono::milliseconds) override {
    marks.push_back("serve " + std::string(chunk_id));
    return copy_ended;
  }

  std::vector<std::string> marks;
  bool copy_ended = false;
};

class StreamMarksTest : public ::testing::Test {
 protected:
  bool Show(const std::string& numbers, uint64_t offset = 100) {
    const auto goes = marks_.Show(Set(numbers), {"bin.000001", offset}, out_);
    EXPECT_OK(goes);
    return goes && *goes;
  }
  // Shows at this place until whoever waits has its answer.
  template <class Future>
  void ShowUntil(Future& future, const std::string& numbers) {
    while (future.wait_for(std::chrono::milliseconds(1)) != std::future_status::ready)
      Show(numbers);
  }
  std::string Low(const std::string& id, const std::string& numbers) {
    auto low = std::async(std::launch::async, [&] { return marks_.Low(id, stop_.get_token()); });
    ShowUntil(low, numbers);
    const auto place = low.get();
    return place ? place->position.ToString() : std::string(place.error().code);
  }

  Wakeup wakeup_;
  StreamMarks marks_{wakeup_};
  Writer out_;
  std::stop_source stop_;
};

TEST_F(StreamMarksTest, TheHighMarkComesOnceTheStreamCoversWhatTheChunkMayHaveSeen) {
  marks_.Begin("here");
  EXPECT_EQ(Low("a", "1-5"), kServer + std::string("1-5"));
  marks_.High("a", Set("1-7"));
  Show("1-5");
  Show("1-6");
  // A hole is not covered by what lies behind it.
  Show("1-6:8");
  EXPECT_THAT(out_.marks, ElementsAre("low a"));
  Show("1-8");
  EXPECT_THAT(out_.marks, ElementsAre("low a", "high a"));
  Show("1-9");
  EXPECT_THAT(out_.marks, ElementsAre("low a", "high a"));
}

TEST_F(StreamMarksTest, AnUndecidedTransactionHasCome) {
  const MysqlGtid prepared{*Uuid::Parse("3e11fa47-71ca-11e1-9e33-c80aa9429562"), "", 6};
  LogPosition position = Set("1-5");
  position.PassUndecided(prepared, {"bin.000001", 100});
  const StreamMarks::Place place{position, {"bin.000001", 100}, "here"};
  EXPECT_TRUE(place.Covers(Set("1-6")));
  EXPECT_FALSE(place.Covers(Set("1-7")));
}

TEST_F(StreamMarksTest, AFilesPlaceIsJudgedByItsEnd) {
  const StreamMarks::Place place{Set("1-5"), {"bin.000002", 400}, "here"};
  EXPECT_TRUE(place.Covers(LogPosition(FilePosition{"bin.000002", 400})));
  EXPECT_TRUE(place.Covers(LogPosition(FilePosition{"bin.000001", 900})));
  EXPECT_FALSE(place.Covers(LogPosition(FilePosition{"bin.000002", 401})));
  const StreamMarks::Place nowhere{Set("1-5"), {"", 4}, "here"};
  EXPECT_FALSE(nowhere.Covers(LogPosition(FilePosition{"bin.000001", 4})));
}

TEST_F(StreamMarksTest, AChunkThatWasNotReadToItsEndIsUnsoundAtOnce) {
  marks_.Begin("here");
  Low("a", "1-5");
  marks_.High("a", std::nullopt);
  marks_.High("never seen", Set("1"));
  Show("1-5");
  EXPECT_THAT(out_.marks, ElementsAre("low a", "high a unsound", "high never seen unsound"));
}

TEST_F(StreamMarksTest, WhoWaitsForAStreamThatEndsIsTold) {
  EXPECT_EQ(marks_.Low("a", stop_.get_token()).error().code, "mysql_stream_gone");
  marks_.Begin("here");
  auto low = std::async(std::launch::async, [&] { return marks_.Low("a", stop_.get_token()); });
  auto covered =
      std::async(std::launch::async, [&] { return marks_.WaitFor(Set("1-9"), stop_.get_token()); });
  marks_.End();
  EXPECT_THAT(low.get(), IsErrorWith("mysql_stream_gone"));
  EXPECT_THAT(covered.get(), IsErrorWith("mysql_stream_gone"));
  marks_.Begin("here");
  stop_.request_stop();
  EXPECT_THAT(marks_.Low("b", stop_.get_token()), IsErrorWith("stopped"));
}

TEST_F(StreamMarksTest, ACopyIsServedAtItsPlaceAndOthersShowTheirMarksMeanwhile) {
  marks_.Begin("here");
  EXPECT_TRUE(marks_.Take("copy"));
  EXPECT_FALSE(marks_.Take("other"));
  auto paused =
      std::async(std::launch::async, [&] { return marks_.Pause("copy", stop_.get_token()); });
  ShowUntil(paused, "1-5");
  EXPECT_OK(paused.get());
  EXPECT_FALSE(Show("1-5"));
  marks_.HoldAt("copy", Set("1-7"));
  EXPECT_TRUE(Show("1-6"));
  EXPECT_THAT(out_.marks, IsEmpty());
  EXPECT_FALSE(Show("1-7"));
  Low("a", "1-7");
  EXPECT_THAT(out_.marks, testing::Contains("serve copy"));
  EXPECT_THAT(out_.marks, testing::Contains("low a"));
  out_.copy_ended = true;
  EXPECT_FALSE(Show("1-7"));
  EXPECT_TRUE(Show("1-7"));
  EXPECT_TRUE(marks_.Take("other"));
}

TEST_F(StreamMarksTest, ACopyThatBreaksOffHoldsNobodyUp) {
  marks_.Begin("here");
  EXPECT_TRUE(marks_.Take("copy"));
  marks_.HoldAt("copy", Set("1-5"));
  EXPECT_FALSE(Show("1-5"));
  marks_.Leave("copy");
  EXPECT_TRUE(Show("1-5"));
}

}  // namespace
}  // namespace tailwater::mysql
