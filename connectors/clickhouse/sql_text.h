// Names and values as they stand in a statement.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "clickhouse/column_type.h"
#include "tailwater/value.h"

namespace tailwater::clickhouse {

// 'text' with its quotes; `name` in back quotes.
std::string Quoted(std::string_view text);
std::string Name(std::string_view name);
// a, b, c
std::string Joined(const std::vector<std::string>& parts);

// 1, 'it\'s', CAST('1.50' AS Decimal(12, 2)). False: it is no value of the type.
bool AppendLiteral(const Value& value, const Type& type, std::string& out);

}  // namespace tailwater::clickhouse
