// Names and texts as SQL writes them. The session pins standard_conforming_strings = on.
#pragma once

#include <string>
#include <string_view>

#include "tailwater/schema.h"

namespace tailwater::postgres {

std::string QuotedName(std::string_view name);   // "name"
std::string QuotedName(const TableName& table);  // "schema"."name"
std::string QuotedText(std::string_view text);   // 'text'

// The columns of the target's tables that are the sink's.
inline constexpr std::string_view kVersionColumn = "_tailwater_version";
inline constexpr std::string_view kHashColumn = "_tailwater_hash";  // of tables without a key

}  // namespace tailwater::postgres
