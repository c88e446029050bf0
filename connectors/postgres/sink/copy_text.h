// Values as the text form of COPY, which the input function of the target's column then reads.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "tailwater/change.h"
#include "tailwater/result.h"
#include "tailwater/schema.h"
#include "tailwater/value.h"

namespace tailwater::postgres {

// Appends the value without the tab behind it; NULL, omitted and unchanged as \N. kReject
// "record_malformed": an array that cannot be read; "pg_value_unreadable": a text with U+0000.
// `element_separator` of arrays: ';' for box, ',' for all others.
Status AppendCopyValue(const Value& value, char element_separator, std::string& out);

// Of a type's name as the source gives it.
char ElementSeparator(std::string_view type_name);

// Of a row's values as they were sent; NULL, omitted and unchanged count as nothing, so that a new
// column leaves the hash of older rows alone. Stable across versions: it is stored.
int64_t HashRow(std::span<const Column> columns, Row row);

}  // namespace tailwater::postgres
