#include <gmock/gmock.h>

#include "postgres/sink/target_types.h"

namespace tailwater::postgres {
namespace {

Column Of(ValueType type, std::string name) { return {"c", type, std::move(name)}; }

TEST(TargetTypes, WiderHoldsNarrower) {
  for (const auto& [held, wanted] : std::initializer_list<std::pair<const char*, const char*>>{
           {"bigint", "integer"},
           {"bigint", "oid"},
           {"integer", "smallint"},
           {"numeric", "bigint"},
           {"numeric", "numeric(12,2)"},
           {"numeric(20,4)", "numeric(12,2)"},
           {"numeric(10,0)", "integer"},
           {"double precision", "real"},
           {"text", "character varying(9)"},
           {"text", "integer"},
           {"character varying", "public.mood"},
           {"character varying(9)", "character varying(3)"},
           {"character varying(9)", "character(9)"},
           {"timestamp without time zone", "timestamp(3) without time zone"},
           {"timestamp(6) with time zone", "timestamp with time zone"},
           {"interval", "interval day to second(3)"},
           {"bit varying", "bit(7)"},
           {"bigint[]", "integer[]"},
           {"public.mood", "public.mood"}}) {
    EXPECT_TRUE(Holds(held, wanted)) << held << " holds " << wanted;
  }
}

TEST(TargetTypes, NothingIsLostInSilence) {
  for (const auto& [held, wanted] : std::initializer_list<std::pair<const char*, const char*>>{
           {"integer", "bigint"},
           {"integer", "oid"},
           {"oid", "integer"},
           {"numeric(12,2)", "numeric"},
           {"numeric(12,2)", "numeric(12,4)"},
           {"numeric(12,4)", "numeric(12,2)"},
           {"numeric(9,0)", "integer"},
           {"real", "double precision"},
           {"character varying(3)", "text"},
           {"character varying(3)", "character varying(9)"},
           {"character(9)", "character varying(9)"},
           {"timestamp(3) without time zone", "timestamp without time zone"},
           {"timestamp with time zone", "timestamp without time zone"},
           {"time without time zone", "time with time zone"},
           {"integer[]", "integer"},
           {"bigint[]", "text[]"},
           {"json", "jsonb"},
           {"public.mood", "public.other"}}) {
    EXPECT_FALSE(Holds(held, wanted)) << held << " does not hold " << wanted;
  }
}

TEST(TargetTypes, WhatAPersonMayHaveMeant) {
  EXPECT_TRUE(Accepts("jsonb", "json", Of(ValueType::kJson, "json")));
  EXPECT_TRUE(Accepts("boolean", "smallint", Of(ValueType::kInt64, "tinyint")));
  EXPECT_TRUE(Accepts("time without time zone", "interval", Of(ValueType::kTime, "time")));
  EXPECT_TRUE(Accepts("public.mood", "text", Of(ValueType::kEnum, "enum('a')")));
  EXPECT_FALSE(Accepts("integer", "text", Of(ValueType::kText, "text")));
  EXPECT_FALSE(
      Accepts("date", "timestamp(6) without time zone", Of(ValueType::kTimestamp, "datetime(6)")));
}

TEST(TargetTypes, OfEachSource) {
  EXPECT_EQ(TargetType(Of(ValueType::kDecimal, "numeric(12,2)"), SourceKind::kPostgres),
            "numeric(12,2)");
  EXPECT_EQ(TargetType(Of(ValueType::kDecimal, "decimal(12,2) unsigned"), SourceKind::kMysql),
            "numeric(12,2)");
  EXPECT_EQ(TargetType(Of(ValueType::kInt64, "mediumint unsigned"), SourceKind::kMysql), "integer");
  EXPECT_EQ(TargetType(Of(ValueType::kUint64, "bit(64)"), SourceKind::kMysql), "numeric(20,0)");
  EXPECT_EQ(TargetType(Of(ValueType::kText, "char(10)"), SourceKind::kMysql),
            "character varying(10)");
  EXPECT_EQ(TargetType(Of(ValueType::kText, "set('a','b')"), SourceKind::kMysql), "text");
  EXPECT_EQ(TargetType(Of(ValueType::kOther, "inet6"), SourceKind::kMysql), "inet");
  EXPECT_EQ(TargetType(Of(ValueType::kArray, "vector(3)"), SourceKind::kMysql), "real[]");
  EXPECT_EQ(TargetType(Of(ValueType::kArray, "whatever"), SourceKind::kOther), "text");
}

}  // namespace
}  // namespace tailwater::postgres
