#include "postgres/types.h"

#include <algorithm>
#include <deque>
#include <vector>

#include "postgres/binary_values.h"
#include "postgres/value_parsers.h"
#include "support/text.h"

namespace tailwater::postgres {
namespace {

constexpr ValueParser kBool{ParseBool, DecodeBool, ValueType::kBool};
constexpr ValueParser kInt64{ParseInt64, DecodeInt, ValueType::kInt64};
constexpr ValueParser kOid{ParseInt64, DecodeUint, ValueType::kInt64};
constexpr ValueParser kUint64{ParseUint64, DecodeUint64, ValueType::kUint64};
constexpr ValueParser kFloat32{ParseFloat32, DecodeFloat32, ValueType::kFloat64};
constexpr ValueParser kFloat64{ParseFloat64, DecodeFloat64, ValueType::kFloat64};
constexpr ValueParser kDecimal{ParseDecimal, DecodeNumeric, ValueType::kDecimal};
constexpr ValueParser kText{ParseText, DecodeText, ValueType::kText};
constexpr ValueParser kTextOnly{ParseText, nullptr, ValueType::kText};
constexpr ValueParser kChar{ParseChar, DecodeChar, ValueType::kText};
constexpr ValueParser kJson{ParseJson, DecodeJson, ValueType::kJson};
constexpr ValueParser kJsonb{ParseJson, DecodeJsonb, ValueType::kJson};
constexpr ValueParser kEnum{ParseEnum, DecodeEnum, ValueType::kEnum};
constexpr ValueParser kBytea{ParseBytea, DecodeBytea, ValueType::kBytes};
constexpr ValueParser kUuid{ParseUuid, DecodeUuid, ValueType::kUuid};
constexpr ValueParser kDate{ParseDate, DecodeDate, ValueType::kDate};
constexpr ValueParser kTime{ParseTime, DecodeTime, ValueType::kTime};
constexpr ValueParser kTimestamp{ParseTimestamp, DecodeTimestamp, ValueType::kTimestamp};
constexpr ValueParser kTimestampTz{ParseTimestampTz, DecodeTimestampTz, ValueType::kTimestampTz};
constexpr ValueParser kInterval{ParseInterval, DecodeInterval, ValueType::kInterval};
constexpr ValueParser kOther{ParseOther, nullptr, ValueType::kOther};
constexpr ValueParser kTimeTz{ParseOther, DecodeTimeTz, ValueType::kOther};
constexpr ValueParser kOtherText{ParseOther, DecodeOtherText, ValueType::kOther};
constexpr ValueParser kJsonpath{ParseOther, DecodeJsonpath, ValueType::kOther};
constexpr ValueParser kXid{ParseOther, DecodeXid, ValueType::kOther};
constexpr ValueParser kTid{ParseOther, DecodeTid, ValueType::kOther};
constexpr ValueParser kInet{ParseOther, DecodeInet, ValueType::kOther};
constexpr ValueParser kMacaddr{ParseOther, DecodeMacaddr, ValueType::kOther};
constexpr ValueParser kBits{ParseOther, DecodeBits, ValueType::kOther};
constexpr ValueParser kSnapshot{ParseOther, DecodeSnapshot, ValueType::kOther};

struct ScalarType {
  uint32_t oid;
  std::string_view name;
  uint32_t array_oid;
  const ValueParser* parser;
};

// money stays text: how many digits its cents have is known to lc_monetary alone. The binary form
// of xml may say another encoding in its first line than the text does.
constexpr ScalarType kScalars[] = {
    {16, "boolean", 1000, &kBool},
    {17, "bytea", 1001, &kBytea},
    {18, "\"char\"", 1002, &kChar},
    {19, "name", 1003, &kText},
    {20, "bigint", 1016, &kInt64},
    {21, "smallint", 1005, &kInt64},
    {22, "int2vector", 1006, &kOther},
    {23, "integer", 1007, &kInt64},
    {24, "regproc", 1008, &kOther},
    {25, "text", 1009, &kText},
    {26, "oid", 1028, &kOid},
    {27, "tid", 1010, &kTid},
    {28, "xid", 1011, &kXid},
    {29, "cid", 1012, &kXid},
    {30, "oidvector", 1013, &kOther},
    {114, "json", 199, &kJson},
    {142, "xml", 143, &kTextOnly},
    {600, "point", 1017, &kOther},
    {601, "lseg", 1018, &kOther},
    {602, "path", 1019, &kOther},
    {603, "box", 1020, &kOther},
    {604, "polygon", 1027, &kOther},
    {628, "line", 629, &kOther},
    {650, "cidr", 651, &kInet},
    {700, "real", 1021, &kFloat32},
    {701, "double precision", 1022, &kFloat64},
    {718, "circle", 719, &kOther},
    {774, "macaddr8", 775, &kMacaddr},
    {790, "money", 791, &kOther},
    {829, "macaddr", 1040, &kMacaddr},
    {869, "inet", 1041, &kInet},
    {1033, "aclitem", 1034, &kOther},
    {1042, "character", 1014, &kText},
    {1043, "character varying", 1015, &kText},
    {1082, "date", 1182, &kDate},
    {1083, "time without time zone", 1183, &kTime},
    {1114, "timestamp without time zone", 1115, &kTimestamp},
    {1184, "timestamp with time zone", 1185, &kTimestampTz},
    {1186, "interval", 1187, &kInterval},
    {1266, "time with time zone", 1270, &kTimeTz},
    {1560, "bit", 1561, &kBits},
    {1562, "bit varying", 1563, &kBits},
    {1700, "numeric", 1231, &kDecimal},
    {1790, "refcursor", 2201, &kOtherText},
    {2202, "regprocedure", 2207, &kOther},
    {2203, "regoper", 2208, &kOther},
    {2204, "regoperator", 2209, &kOther},
    {2205, "regclass", 2210, &kOther},
    {2206, "regtype", 2211, &kOther},
    {2950, "uuid", 2951, &kUuid},
    {2970, "txid_snapshot", 2949, &kSnapshot},
    {3220, "pg_lsn", 3221, &kOther},
    {3614, "tsvector", 3643, &kOther},
    {3615, "tsquery", 3645, &kOther},
    {3734, "regconfig", 3735, &kOther},
    {3769, "regdictionary", 3770, &kOther},
    {3802, "jsonb", 3807, &kJsonb},
    {3904, "int4range", 3905, &kOther},
    {3906, "numrange", 3907, &kOther},
    {3908, "tsrange", 3909, &kOther},
    {3910, "tstzrange", 3911, &kOther},
    {3912, "daterange", 3913, &kOther},
    {3926, "int8range", 3927, &kOther},
    {4072, "jsonpath", 4073, &kJsonpath},
    {4089, "regnamespace", 4090, &kOther},
    {4096, "regrole", 4097, &kOther},
    {4191, "regcollation", 4192, &kOther},
    {4451, "int4multirange", 6150, &kOther},
    {4532, "nummultirange", 6151, &kOther},
    {4533, "tsmultirange", 6152, &kOther},
    {4534, "tstzmultirange", 6153, &kOther},
    {4535, "datemultirange", 6155, &kOther},
    {4536, "int8multirange", 6157, &kOther},
    {5038, "pg_snapshot", 5039, &kSnapshot},
    {5069, "xid8", 271, &kUint64},
};

constexpr uint32_t kBoxOid = 603;  // the one type whose arrays are separated by semicolons

struct BuiltinTable {
  std::vector<BuiltinType> types;  // by oid
  std::deque<ValueParser> array_parsers;
  std::deque<std::string> array_names;

  BuiltinTable() {
    for (const ScalarType& scalar : kScalars) {
      types.push_back({scalar.oid, scalar.name, 0, scalar.parser});
      if (scalar.array_oid == 0) continue;
      array_parsers.push_back(ArrayParser(*scalar.parser, scalar.oid == kBoxOid ? ';' : ','));
      array_names.push_back(std::string(scalar.name) + "[]");
      types.push_back({scalar.array_oid, array_names.back(), scalar.oid, &array_parsers.back()});
    }
    std::sort(types.begin(), types.end(),
              [](const BuiltinType& a, const BuiltinType& b) { return a.oid < b.oid; });
  }
};

// What `interval year to month` and its like leave of the type's name.
std::string_view IntervalFields(int32_t range) {
  constexpr int32_t kMonth = 1 << 1, kYear = 1 << 2, kDay = 1 << 3, kHour = 1 << 10,
                    kMinute = 1 << 11, kSecond = 1 << 12;
  switch (range) {
    case kYear:
      return " year";
    case kMonth:
      return " month";
    case kDay:
      return " day";
    case kHour:
      return " hour";
    case kMinute:
      return " minute";
    case kSecond:
      return " second";
    case kYear | kMonth:
      return " year to month";
    case kDay | kHour:
      return " day to hour";
    case kDay | kHour | kMinute:
      return " day to minute";
    case kDay | kHour | kMinute | kSecond:
      return " day to second";
    case kHour | kMinute:
      return " hour to minute";
    case kHour | kMinute | kSecond:
      return " hour to second";
    case kMinute | kSecond:
      return " minute to second";
    default:
      return "";
  }
}

}  // namespace

const ValueParser& TextParser() { return kText; }
const ValueParser& TextOnlyParser() { return kTextOnly; }
const ValueParser& EnumParser() { return kEnum; }
const ValueParser& OtherParser() { return kOther; }

ValueParser ArrayParser(const ValueParser& element, char delimiter) {
  return {ParseArray, element.has_binary_form() ? DecodeArray : nullptr, ValueType::kArray,
          delimiter, &element};
}

const BuiltinType* FindBuiltinType(uint32_t oid) {
  static const BuiltinTable kTable;
  const auto found =
      std::lower_bound(kTable.types.begin(), kTable.types.end(), oid,
                       [](const BuiltinType& type, uint32_t wanted) { return type.oid < wanted; });
  return found != kTable.types.end() && found->oid == oid ? &*found : nullptr;
}

std::string FormatBuiltinType(const BuiltinType& type, int32_t typmod) {
  if (type.element_oid != 0) {
    return FormatBuiltinType(*FindBuiltinType(type.element_oid), typmod) + "[]";
  }
  switch (type.oid) {
    case 1042:  // without a length neither is what the SQL name alone would mean
      return typmod < 4 ? "bpchar" : fmt::format("character({})", typmod - 4);
    case 1560:
      return typmod < 0 ? "\"bit\"" : fmt::format("bit({})", typmod);
    case 1043:
      return typmod < 4 ? std::string(type.name) : fmt::format("character varying({})", typmod - 4);
    case 1562:
      return typmod < 0 ? std::string(type.name) : fmt::format("bit varying({})", typmod);
    case 1700: {
      if (typmod < 4) return std::string(type.name);
      const int32_t precision = (typmod - 4) >> 16 & 0xffff;
      const int32_t scale = (((typmod - 4) & 0x7ff) ^ 0x400) - 0x400;  // 11 bits, signed from 15 on
      return fmt::format("numeric({},{})", precision, scale);
    }
    case 1083:
    case 1114:
    case 1184:
    case 1266: {
      if (typmod < 0) return std::string(type.name);
      const size_t blank = type.name.find(' ');
      return fmt::format("{}({}){}", type.name.substr(0, blank), typmod, type.name.substr(blank));
    }
    case 1186: {
      if (typmod < 0) return std::string(type.name);
      const std::string_view fields = IntervalFields(typmod >> 16 & 0x7fff);
      const int32_t precision = typmod & 0xffff;
      return precision == 0xffff ? fmt::format("interval{}", fields)
                                 : fmt::format("interval{}({})", fields, precision);
    }
    default:  // no other built-in type has a modifier
      return std::string(type.name);
  }
}

}  // namespace tailwater::postgres
