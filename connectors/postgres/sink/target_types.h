// Which type a column of a source gets in the target, and whether one that is there holds its
// values. Types are written as format_type() prints them: "numeric(12,2)", "public.mood".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "tailwater/schema.h"

namespace tailwater::postgres {

enum class SourceKind : uint8_t { kPostgres, kMysql, kOther };

// By the source's own type. Of a Postgres source that is its name: one that the target lacks
// becomes PlainType().
std::string TargetType(const Column& column, SourceKind kind);
// By the kind of value alone: what every Postgres has.
std::string PlainType(ValueType type);

// A column of type `held` takes every value of type `wanted` and gives it back as it was.
bool Holds(std::string_view held, std::string_view wanted);

// A column that is there takes the rows of the source. Beyond Holds(): what a person may have
// meant by another type. A value that it does not take is refused with its row.
bool Accepts(std::string_view held, std::string_view wanted, const Column& column);

}  // namespace tailwater::postgres
