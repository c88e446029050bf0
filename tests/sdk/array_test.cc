#include "tailwater/array.h"

#include "support/matchers.h"

namespace tailwater {
namespace {

TEST(Array, GivesBackDimensionsNullsAndElements) {
  const Interval hour{0, 0, 3'600'000'000}, month{1, 0, 0};
  std::string wire;
  ArrayWriter writer(wire);
  writer.AddDimension({3, -1});
  writer.AddElement(Value::OfInterval(&hour));
  writer.AddElement(Value::Null());
  writer.AddElement(Value::OfInterval(&month));
  const Result<ArrayView> array = ReadArray(wire);
  ASSERT_OK(array);
  ASSERT_EQ(array->dimensions.size(), 1u);
  EXPECT_EQ(array->dimensions[0], (ArrayDimension{3, -1}));
  ASSERT_EQ(array->elements.size(), 3u);
  EXPECT_EQ(array->elements[0].as_interval(), hour);
  EXPECT_TRUE(array->elements[1].is_null());
  EXPECT_EQ(array->elements[2].as_interval(), month);
}

TEST(Array, EmptyIsWithoutDimensions) {
  const Result<ArrayView> array = ReadArray("");
  ASSERT_OK(array);
  EXPECT_TRUE(array->dimensions.empty());
  EXPECT_TRUE(array->elements.empty());
}

TEST(Array, RefusesElementsThatDoNotFillItsDimensions) {
  std::string wire;
  ArrayWriter writer(wire);
  writer.AddDimension({2, 1});
  writer.AddElement(Value::Int64(1));
  EXPECT_THAT(ReadArray(wire), IsErrorWith("record_malformed"));
  writer.AddElement(Value::Int64(2));
  EXPECT_OK(ReadArray(wire));
  writer.AddElement(Value::Int64(3));
  EXPECT_THAT(ReadArray(wire), IsErrorWith("record_malformed"));
}

TEST(Array, RefusesDimensionsThatOverflow) {
  std::string wire;
  ArrayWriter writer(wire);
  for (int i = 0; i < 4; ++i) writer.AddDimension({UINT32_MAX, 1});
  EXPECT_THAT(ReadArray(wire), IsErrorWith("record_malformed"));
}

TEST(Array, RefusesEveryCut) {
  std::string wire;
  ArrayWriter writer(wire);
  writer.AddDimension({2, 1});
  writer.AddElement(Value::Text("hello"));
  writer.AddElement(Value::Int64(300));
  for (size_t size = 1; size < wire.size(); ++size) {
    EXPECT_THAT(ReadArray(wire.substr(0, size)), IsErrorWith("record_malformed")) << size;
  }
}

}  // namespace
}  // namespace tailwater
