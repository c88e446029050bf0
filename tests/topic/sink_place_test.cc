#include "topic/kafka/sink_place.h"

#include <gtest/gtest.h>

#include "support/matchers.h"

namespace tailwater {
namespace {

TEST(SinkPlaceTest, IsTextThatPeopleCanRead) {
  EXPECT_EQ((SinkPlace{.log_id = "5f0c", .offset = 7}).Encode().metadata, "v1 log=5f0c");
  const auto all =
      SinkPlace{.log_id = "5f0c", .rewound_from = 1200, .paused = true, .letters = true}.Encode();
  EXPECT_EQ(all.metadata, "v1 unset=1 rewound=1200 paused=1 letters=1 log=5f0c");
  EXPECT_EQ(all.offset, 0);
}

TEST(SinkPlaceTest, ReadsWhatItWrote) {
  for (const SinkPlace& place :
       {SinkPlace{}, SinkPlace{.log_id = "a", .offset = 0},
        SinkPlace{.log_id = "x=1 y", .offset = INT64_MAX, .rewound_from = -1},
        SinkPlace{.log_id = "a", .rewound_from = 3, .paused = true, .letters = true}}) {
    const auto read = ParseSinkPlace(place.Encode());
    ASSERT_OK(read);
    EXPECT_EQ(*read, place);
  }
}

TEST(SinkPlaceTest, RefusesWhatItDoesNotKnow) {
  for (const char* text : {"", "v2 log=a", "v1", "v1 ", "v1 log", "v1 color=red log=a",
                           "v1 rewound=x log=a", "v1 rewound= log=a", "{\"leader\":1}"}) {
    EXPECT_THAT(ParseSinkPlace({7, text}), IsErrorWith("topic_format_newer")) << text;
  }
}

TEST(SinkPlaceTest, OffsetsOfSeveralLogsAreOfNone) {
  const auto one = Together({{0, {.log_id = "a", .offset = 1}},
                             {1, {.log_id = "a", .rewound_from = 9}},
                             {2, {.paused = true}}});
  EXPECT_EQ(one.log_id, "a");
  EXPECT_EQ(one.offsets, (Offsets{{0, 1}}));
  EXPECT_EQ(one.rewound_from, (Offsets{{1, 9}}));
  EXPECT_TRUE(one.paused);
  EXPECT_EQ(Together({{0, {.log_id = "a"}}, {1, {.log_id = "b"}}}).log_id, "a and b");
  EXPECT_EQ(Together({}).log_id, "");
}

}  // namespace
}  // namespace tailwater
