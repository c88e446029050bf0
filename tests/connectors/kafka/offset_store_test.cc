#include "kafka/offset_store.h"

#include <gtest/gtest.h>

#include "support/matchers.h"

namespace tailwater::kafka_sink {
namespace {

TEST(OffsetStoreTest, WhatIsStoredIsReadAgain) {
  StoredRecords records;
  const StoredPlace place{"log \"1\"", 4711};
  EXPECT_OK(Apply(PlaceKey(3), PlaceValue(place), records));
  EXPECT_EQ(records.places.at(3), place);
  EXPECT_OK(Apply(PlaceKey(3), PlaceValue({"log", 5}), records));
  EXPECT_EQ(records.places.at(3).next_offset, 5);
  EXPECT_OK(Apply(PlaceKey(3), "", records));
  EXPECT_TRUE(records.places.empty());
}

TEST(OffsetStoreTest, ATopicBelongsToWhoCameFirst) {
  StoredRecords records;
  EXPECT_OK(Apply(OwnerKey("a.b"), OwnerValue("shop:public.\"a b\""), records));
  EXPECT_OK(Apply(OwnerKey("a.b"), OwnerValue("shop:public.a$b"), records));
  EXPECT_EQ(records.owners.at("a.b"), "shop:public.\"a b\"");
}

TEST(OffsetStoreTest, WhatIsNotOursIsNotTakenForOurs) {
  StoredRecords records;
  for (const char* key : {"", "x", "1x", "99999999999"}) {
    EXPECT_THAT(Apply(key, PlaceValue({"log", 5}), records),
                IsErrorWith("kafka_offsets_malformed"));
  }
  for (const char* value : {"x", "[]", "{}", R"({"format":"1"})", R"({"format":1})",
                            R"({"format":1,"log_id":"a","next_offset":"5"})"}) {
    EXPECT_THAT(Apply("1", value, records), IsErrorWith("kafka_offsets_malformed")) << value;
  }
  EXPECT_THAT(Apply("1", R"({"format":2})", records), IsErrorWith("kafka_offsets_newer"));
}

}  // namespace
}  // namespace tailwater::kafka_sink
