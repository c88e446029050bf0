// Values of a change in RowBinary, exactly or not at all: what a column's type cannot hold is said,
// never rounded, cut or wrapped around.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "clickhouse/column_type.h"
#include "tailwater/schema.h"
#include "tailwater/value.h"

namespace tailwater::clickhouse {

// What a value that no value of the target's type equals becomes.
enum class Unrepresentable : uint8_t { kReject, kNull, kClamp };

enum class Fit : uint8_t {
  kExact,
  kNull,       // NULL, and the type takes none
  kBelow,      // smaller than the smallest
  kAbove,      // larger than the largest
  kPrecision,  // digits would be lost
  kNone,       // NaN, 0000-00-00 and their like
  kLabel,      // not among the labels of an Enum
  kLength,     // of a FixedString
  kShape,      // an array of other dimensions, or one that does not count from 1
  kMalformed,  // nobody can read it
  kType,       // no value of the one type is one of the other
};

// For people: "does not fit: digits would be lost".
std::string_view FitText(Fit fit);

// Whether values of a column can be values of the type, as far as both are known: single values may
// still be out of its range.
bool Takes(const Type& type, const Column& column);

// The same of a single value: an infinite date is text.
bool ValueFitsKind(ValueType value, Kind kind);

class ValueEncoder {
 public:
  explicit ValueEncoder(Unrepresentable policy) : policy_(policy) {}

  // Appends the value; on anything but kExact `out` is as it was. What is neither a value nor NULL
  // (unchanged, omitted) goes as NULL: the caller has decided.
  Fit Append(const Value& value, const Type& type, std::string& out);

  // How many values became NULL or the nearest one, by policy.
  uint64_t replaced() const { return replaced_; }

 private:
  Fit Exact(const Value& value, const Type& type, std::string& out);
  Fit Array(std::string_view wire, const Type& type, std::string& out);
  Fit Text(const Value& value, const Type& type, std::string& out);

  const Unrepresentable policy_;
  uint64_t replaced_ = 0;
  std::string scratch_;
};

}  // namespace tailwater::clickhouse
