// The binary form of Postgres values (what a type's send function makes) to the same typed values
// as the text form gives; types.h says which type uses which. One function per kind of value.
//
// False: no value of this type, or one whose text cannot be told from its bytes alone; the caller
// asks for the text then. `out` views `bytes` where the form allows it, else the batch's arena.
#pragma once

#include <string_view>

#include "postgres/types.h"

namespace tailwater::postgres {

bool DecodeBool(const ValueParser&, std::string_view bytes, ChangeBatch&, Value& out);
bool DecodeInt(const ValueParser&, std::string_view bytes, ChangeBatch&, Value& out);   // 2, 4, 8
bool DecodeUint(const ValueParser&, std::string_view bytes, ChangeBatch&, Value& out);  // oid
bool DecodeUint64(const ValueParser&, std::string_view bytes, ChangeBatch&, Value& out);
bool DecodeFloat32(const ValueParser&, std::string_view bytes, ChangeBatch&, Value& out);
bool DecodeFloat64(const ValueParser&, std::string_view bytes, ChangeBatch&, Value& out);
bool DecodeNumeric(const ValueParser&, std::string_view bytes, ChangeBatch& batch, Value& out);
bool DecodeText(const ValueParser&, std::string_view bytes, ChangeBatch&, Value& out);
bool DecodeChar(const ValueParser&, std::string_view bytes, ChangeBatch&, Value& out);  // "char"
bool DecodeJson(const ValueParser&, std::string_view bytes, ChangeBatch&, Value& out);
bool DecodeJsonb(const ValueParser&, std::string_view bytes, ChangeBatch&, Value& out);
bool DecodeEnum(const ValueParser&, std::string_view bytes, ChangeBatch&, Value& out);
bool DecodeBytea(const ValueParser&, std::string_view bytes, ChangeBatch&, Value& out);
bool DecodeUuid(const ValueParser&, std::string_view bytes, ChangeBatch&, Value& out);

// binary_datetime.cc
bool DecodeDate(const ValueParser&, std::string_view bytes, ChangeBatch& batch, Value& out);
bool DecodeTime(const ValueParser&, std::string_view bytes, ChangeBatch&, Value& out);
bool DecodeTimeTz(const ValueParser&, std::string_view bytes, ChangeBatch& batch, Value& out);
bool DecodeTimestamp(const ValueParser&, std::string_view bytes, ChangeBatch& batch, Value& out);
bool DecodeTimestampTz(const ValueParser&, std::string_view bytes, ChangeBatch& batch, Value& out);
bool DecodeInterval(const ValueParser&, std::string_view bytes, ChangeBatch& batch, Value& out);

// binary_others.cc: types that stay the server's text, where we write exactly what it would.
bool DecodeOtherText(const ValueParser&, std::string_view bytes, ChangeBatch&, Value& out);
bool DecodeJsonpath(const ValueParser&, std::string_view bytes, ChangeBatch&, Value& out);
bool DecodeXid(const ValueParser&, std::string_view bytes, ChangeBatch& batch, Value& out);
bool DecodeTid(const ValueParser&, std::string_view bytes, ChangeBatch& batch, Value& out);
bool DecodeInet(const ValueParser&, std::string_view bytes, ChangeBatch& batch, Value& out);
bool DecodeMacaddr(const ValueParser&, std::string_view bytes, ChangeBatch& batch, Value& out);
bool DecodeBits(const ValueParser&, std::string_view bytes, ChangeBatch& batch, Value& out);
bool DecodeSnapshot(const ValueParser&, std::string_view bytes, ChangeBatch& batch, Value& out);

// binary_array.cc
bool DecodeArray(const ValueParser& parser, std::string_view bytes, ChangeBatch& batch, Value& out);

}  // namespace tailwater::postgres
