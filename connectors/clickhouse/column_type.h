// A column's type as ClickHouse writes it, parsed as far as this sink reads and writes values of
// it, and how those lie in the RowBinary format.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tailwater::clickhouse {

enum class Kind : uint8_t {
  kInt,   // Int8 to Int256; `bytes`
  kUint,  // UInt8 to UInt256
  kFloat32,
  kFloat64,
  kDecimal,  // `bytes`, `precision`, `scale`
  kString,
  kFixedString,  // `bytes`
  kUuid,
  kBool,
  kDate,         // days since 1970 in 16 bits
  kDate32,       // 1900 to 2299
  kDateTime,     // seconds since 1970 in 32 bits
  kDateTime64,   // `scale` digits behind the second
  kEnum,         // `bytes`, `labels`
  kArray,        // of `element[0]`
  kJson,         // travels as text
  kUnsupported,  // neither read nor written here
};

struct Type {
  Kind kind = Kind::kUnsupported;
  std::string text;  // the whole, as the server prints it
  bool nullable = false;
  uint32_t bytes = 0;
  uint32_t precision = 0;
  uint32_t scale = 0;
  std::string timezone;  // DateTime and DateTime64; may be empty
  std::vector<std::pair<std::string, int16_t>> labels;
  std::vector<Type> element;
};

inline bool IsInteger(const Type& type) {
  return type.kind == Kind::kInt || type.kind == Kind::kUint;
}

// Never fails: what is not known is kUnsupported.
Type ParseType(std::string_view text);

// Takes one value off the front of `in`. False: it ends too early, or the type is kUnsupported.
bool SkipValue(const Type& type, std::string_view& in);

// NULL, or what the server would put where nothing is given.
void AppendDefault(const Type& type, std::string& out);

// Lengths in RowBinary: 7 bits a byte, the lowest first.
void AppendLength(uint64_t length, std::string& out);
bool TakeLength(std::string_view& in, uint64_t& length);
void AppendText(std::string_view text, std::string& out);

}  // namespace tailwater::clickhouse
