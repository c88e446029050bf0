// One parse function per kind of value; types.h says which type uses which.
#pragma once

#include <string_view>

#include "postgres/types.h"

namespace tailwater::postgres {

bool ParseBool(const ValueParser&, std::string_view text, ChangeBatch&, Value& out);
bool ParseInt64(const ValueParser&, std::string_view text, ChangeBatch&, Value& out);
bool ParseUint64(const ValueParser&, std::string_view text, ChangeBatch&, Value& out);
bool ParseFloat32(const ValueParser&, std::string_view text, ChangeBatch&, Value& out);
bool ParseFloat64(const ValueParser&, std::string_view text, ChangeBatch&, Value& out);
bool ParseDecimal(const ValueParser&, std::string_view text, ChangeBatch&, Value& out);
bool ParseText(const ValueParser&, std::string_view text, ChangeBatch&, Value& out);
bool ParseChar(const ValueParser&, std::string_view text, ChangeBatch&, Value& out);  // "char"
bool ParseJson(const ValueParser&, std::string_view text, ChangeBatch&, Value& out);
bool ParseEnum(const ValueParser&, std::string_view text, ChangeBatch&, Value& out);
bool ParseOther(const ValueParser&, std::string_view text, ChangeBatch&, Value& out);
bool ParseBytea(const ValueParser&, std::string_view text, ChangeBatch& batch, Value& out);
bool ParseUuid(const ValueParser&, std::string_view text, ChangeBatch& batch, Value& out);
bool ParseDate(const ValueParser&, std::string_view text, ChangeBatch&, Value& out);
bool ParseTime(const ValueParser&, std::string_view text, ChangeBatch&, Value& out);
bool ParseTimestamp(const ValueParser&, std::string_view text, ChangeBatch&, Value& out);
bool ParseTimestampTz(const ValueParser&, std::string_view text, ChangeBatch&, Value& out);
bool ParseInterval(const ValueParser&, std::string_view text, ChangeBatch& batch, Value& out);
bool ParseArray(const ValueParser& parser, std::string_view text, ChangeBatch& batch, Value& out);

}  // namespace tailwater::postgres
