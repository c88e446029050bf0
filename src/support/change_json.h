// The one JSON form of a change, for people and for sinks that send JSON: a line of
//
//   {"id":"shop:7:0/16B3748:0:0","op":"update","source":"shop","table":"public.orders",
//    "key":{"id":1},"before":null,"after":{"id":1,"total":"12.50"},"unchanged":["note"],
//    "version":15032385537,"time":"2026-01-31T12:00:00.5Z","transaction":"741"}
//
// Values: bool; int64, uint64 and float64 as numbers with all their digits (readers that know only
// doubles must parse with care); decimal, text, enum and others as text; bytes as text, \x and hex;
// date, time and timestamp as ISO 8601 (timestamptz in UTC with Z); interval as Postgres prints it;
// uuid in its usual form; json as it is; arrays as (nested) lists, or as
// {"lower_bounds":[0],"elements":[…]} if they do not count from 1; NaN and infinities as text.
// A column that the log left `unchanged` is not in `after` but named in "unchanged"; one that is
// omitted there is named in "omitted". `before` holds the columns that were sent. "snapshot",
// "unchanged", "omitted" and "transaction" appear only where they apply; so do "prefix" and
// "content" (message), "schema" (schema) and "frontier" (frontier).
#pragma once

#include <string>
#include <string_view>

#include "tailwater/change.h"
#include "tailwater/result.h"

namespace tailwater {

// What a reader of the JSON can take.
struct JsonForm {
  // 64-bit integers as text, for readers that know only doubles. Decided by the column, never by
  // the value, so that a column always has one JSON type.
  bool wide_integers_as_text = false;
  // The output must be JSON in valid UTF-8 whatever the row holds. kReject "text_not_utf8",
  // "json_malformed" name the column.
  bool strict = false;
};

// Whether a column of integers holds more than 32 bits. Unknown types do.
bool HasWideIntegers(const Column& column);

// Appends one line without its end. kFatal "record_malformed": an array that cannot be read.
Status AppendChangeJson(const Change& change, std::string& out);

// Appends {"column": value, …} with the columns that have a value or are NULL.
Status AppendRowJson(const TableSchema& schema, Row row, std::string& out, JsonForm form = {});

// Appends the value alone; null also for what is unchanged or omitted.
Status AppendValueJson(const Value& value, std::string& out, JsonForm form = {});

// Appends a text in quotes, escaped. kReject "text_not_utf8".
Status AppendTextJson(std::string_view text, std::string& out);

}  // namespace tailwater
