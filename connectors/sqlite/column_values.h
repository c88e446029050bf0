// How a value lies in a SQLite column: lossless, and readable by anybody with a sqlite3 shell.
// The table of types is in README.md.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "support/sqlite.h"
#include "tailwater/result.h"
#include "tailwater/value.h"

namespace tailwater {

// The declared type of a column that holds values of `type`: it fixes SQLite's affinity.
std::string_view DeclaredType(ValueType type);

// Binds the value; NULL and omitted bind NULL. `scratch` must live until the statement has run.
// kReject "record_malformed": an array that cannot be read.
Status BindValue(sqlite::Statement& statement, int parameter, const Value& value,
                 std::string& scratch);

// Of the value as it was sent; 0 for NULL and omitted. Stable across versions: it is stored.
uint64_t HashValue(std::string_view column, const Value& value);

// "name" as an SQL identifier.
std::string Quoted(std::string_view name);

}  // namespace tailwater
