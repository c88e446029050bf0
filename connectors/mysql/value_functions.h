// One function per kind of value and form; types.cc says which type uses which.
#pragma once

#include <string_view>

#include "mysql/value_reader.h"

namespace tailwater::mysql {

#define TW_READ(name)                                                                     \
  ReadOutcome name(const ValueReader& reader, std::string_view bytes, ChangeBatch& batch, \
                   Value& out)

// Of the bytes in a row image.
TW_READ(DecodeInt8);
TW_READ(DecodeInt16);
TW_READ(DecodeInt24);
TW_READ(DecodeInt32);
TW_READ(DecodeInt64);
TW_READ(DecodeUint8);
TW_READ(DecodeUint16);
TW_READ(DecodeUint24);
TW_READ(DecodeUint32);
TW_READ(DecodeUint64);
TW_READ(DecodeYear);
TW_READ(DecodeFloat);
TW_READ(DecodeDouble);
TW_READ(DecodeDecimal);
TW_READ(DecodeBit);
TW_READ(DecodeDate);
TW_READ(DecodeTime);
TW_READ(DecodeDatetime);
TW_READ(DecodeTimestamp);
TW_READ(DecodeOldTime);
TW_READ(DecodeOldDatetime);
TW_READ(DecodeOldTimestamp);
TW_READ(DecodeUtf8);   // also parses
TW_READ(DecodeText);   // in another character set; also parses
TW_READ(DecodeBytes);  // also parses
TW_READ(DecodeBinary);
TW_READ(DecodeCompressed);  // MariaDB's COMPRESSED columns, text and bytes
TW_READ(DecodeEnum);
TW_READ(DecodeSet);
TW_READ(DecodeJson);
TW_READ(DecodeJsonText);  // MariaDB's JSON; also parses
TW_READ(DecodeVector);    // also parses
TW_READ(DecodeUuid);
TW_READ(DecodeInet4);
TW_READ(DecodeInet6);

// Of the text of a SELECT.
TW_READ(ParseInt64);
TW_READ(ParseUint64);
TW_READ(ParseFloat);
TW_READ(ParseDouble);
TW_READ(ParseDecimal);
TW_READ(ParseDate);
TW_READ(ParseTime);
TW_READ(ParseDatetime);
TW_READ(ParseTimestamp);
TW_READ(ParseEnum);
TW_READ(ParseSet);
TW_READ(ParseJson);
TW_READ(ParseUuid);
TW_READ(ParseInet);

#undef TW_READ

// What becomes of a date that is none, as the column's options say. `text`: the server's.
ReadOutcome TakeInvalidDate(const ValueReader& reader, std::string_view text, ChangeBatch& batch,
                            Value& out);
// Bytes in the column's character set to text, or what its options say of invalid ones.
ReadOutcome TakeText(const ValueReader& reader, std::string_view bytes, ChangeBatch& batch,
                     Value& out);
// "0000-00-00 00:00:00.000": as the server prints the parts, whatever they are.
struct DateParts {
  unsigned year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, micros = 0;
};
// Days since 1970-01-01; false: no day of the calendar that we date by (years from 1 on).
bool DaysOf(const DateParts& parts, int64_t& days);
// HH:MM:SS, with as many digits of the fraction as `scale` says.
bool MicrosOf(const DateParts& parts, int64_t& micros);  // of the day; false: no time of day

}  // namespace tailwater::mysql
