// The text and the binary form of Postgres values to typed values, without loss and the same from
// either.
//
// The text form expects the session settings of the replication session: DateStyle=ISO,
// IntervalStyle=postgres, bytea_output=hex, extra_float_digits=3, client_encoding=UTF8. Any
// TimeZone parses; UTC is pinned.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "tailwater/change.h"
#include "tailwater/value.h"

namespace tailwater::postgres {

struct ValueParser;

constexpr size_t kMaxArrayDimensions = 6;    // the server's own limit
constexpr size_t kKeptArrayBytes = 1 << 20;  // scratch of a larger array is given back

// Reads `text` into `out`. False: it is not a value of this type. `out` views `text` where the form
// allows it, else the batch's arena.
using ParseFunction = bool (*)(const ValueParser& parser, std::string_view text, ChangeBatch& batch,
                               Value& out);

struct ValueParser {
  ParseFunction parse = nullptr;
  ParseFunction decode = nullptr;  // of the binary form; null: ask the server for the text
  ValueType type = ValueType::kOther;
  char delimiter = ',';                  // kArray: between elements
  const ValueParser* element = nullptr;  // kArray

  bool operator()(std::string_view text, ChangeBatch& batch, Value& out) const {
    return parse(*this, text, batch, out);
  }
  // False also where only the text can tell what the bytes mean.
  bool Decode(std::string_view bytes, ChangeBatch& batch, Value& out) const {
    return decode != nullptr && decode(*this, bytes, batch, out);
  }
  bool has_binary_form() const { return decode != nullptr; }
};

// Parsers that need no oid: enums, text-like types and everything that stays the server's text.
const ValueParser& TextParser();      // its bytes are the text
const ValueParser& TextOnlyParser();  // its binary form is its extension's own
const ValueParser& EnumParser();
const ValueParser& OtherParser();
// An array whose elements `element` reads; `element` outlives it. Has a binary form if they do.
ValueParser ArrayParser(const ValueParser& element, char delimiter);

// A type that every server has under the same oid.
struct BuiltinType {
  uint32_t oid = 0;
  std::string_view name;     // format_type(oid, NULL)
  uint32_t element_oid = 0;  // arrays
  const ValueParser* parser = nullptr;
};
const BuiltinType* FindBuiltinType(uint32_t oid);  // null: ask the catalog

// format_type(oid, typmod) of a built-in type: "numeric(12,2)", "timestamp(3) with time zone[]".
std::string FormatBuiltinType(const BuiltinType& type, int32_t typmod);

}  // namespace tailwater::postgres
