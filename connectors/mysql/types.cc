// Which type is read how, and what it is called.
#include <algorithm>
#include <utility>

#include "mysql/packed_decimal.h"
#include "mysql/table_map.h"
#include "mysql/value_functions.h"
#include "support/text.h"

namespace tailwater::mysql {
namespace {

constexpr uint32_t kBinaryCollation = 63;

Error TypeUnknown(std::string_view what) {
  return Error{
      Disposition::kFatal, "mysql_type_unknown",
      fmt::format("{}: leave the table out, or change the column and copy the table again", what)};
}

std::string WithLength(std::string_view name, size_t length) {
  return fmt::format("{}({})", name, length);
}

std::string WithScale(std::string_view name, unsigned scale) {
  return scale == 0 ? std::string(name) : WithLength(name, scale);
}

// 'it''s', as SHOW CREATE TABLE has it.
std::string WithLabels(std::string_view name, const std::vector<std::string>& labels) {
  std::string text = fmt::format("{}(", name);
  for (const std::string& label : labels) {
    if (text.back() != '(') text += ',';
    text += '\'';
    for (const char c : label) {
      if (c == '\'') text += '\'';
      text += c;
    }
    text += '\'';
  }
  return text += ')';
}

constexpr std::string_view kBlobNames[] = {"tinyblob", "blob", "mediumblob", "longblob"};
constexpr std::string_view kTextNames[] = {"tinytext", "text", "mediumtext", "longtext"};
constexpr std::string_view kGeometryNames[] = {
    "geometry",   "point",           "linestring",   "polygon",
    "multipoint", "multilinestring", "multipolygon", "geometrycollection"};

// What Make() finds out.
struct Traits {
  ValueForm form;
  std::string name;
  std::vector<std::string> labels;
};

void Integer(const MapColumn& column, std::string_view name, uint8_t size, ReadFunction signed_one,
             ReadFunction unsigned_one, Traits& out) {
  out.form.decode = column.is_unsigned ? unsigned_one : signed_one;
  out.form.parse = ParseInt64;
  out.form.type = ValueType::kInt64;
  out.form.size = size;
  out.name = column.is_unsigned ? fmt::format("{} unsigned", name) : std::string(name);
}

void Number(const MapColumn& column, std::string name, ValueType type, size_t size,
            ReadFunction decode, ReadFunction parse, Traits& out) {
  out.form.decode = decode;
  out.form.parse = parse;
  out.form.type = type;
  out.form.size = static_cast<uint16_t>(size);
  out.name = column.is_unsigned ? std::move(name) + " unsigned" : std::move(name);
}

// A date or time with a fraction of `scale` digits behind `size` bytes.
void Temporal(std::string_view name, ValueType type, unsigned size, unsigned scale,
              ReadFunction decode, ReadFunction parse, Traits& out) {
  out.form.decode = decode;
  out.form.parse = parse;
  out.form.type = type;
  out.form.scale = static_cast<uint8_t>(scale);
  out.form.size = static_cast<uint16_t>(size + (scale + 1) / 2);
  out.name = WithScale(name, scale);
}

void Bytes(std::string name, ReadFunction decode, unsigned length_bytes, Traits& out) {
  out.form.decode = decode;
  out.form.parse = DecodeBytes;
  out.form.type = ValueType::kBytes;
  out.form.length_bytes = static_cast<uint8_t>(length_bytes);
  out.name = std::move(name);
}

void Text(std::string name, unsigned length_bytes, Traits& out) {
  const ReadFunction read = out.form.charset->is_utf8() ? DecodeUtf8 : DecodeText;
  out.form.decode = read;
  out.form.parse = read;
  out.form.type = ValueType::kText;
  out.form.length_bytes = static_cast<uint8_t>(length_bytes);
  out.name = std::move(name);
}

// Types that MariaDB stores as strings of bytes: only the catalog knows them.
bool CatalogType(const MapColumn& column, const ColumnFacts& facts, Traits& out) {
  const bool is_string = column.type == FieldType::kString;
  if (is_string && facts.data_type == "uuid" && column.meta == 16) {
    Bytes("uuid", DecodeUuid, 1, out);
    out.form.parse = ParseUuid;
    out.form.type = ValueType::kUuid;
    out.form.size = 16;
  } else if (is_string && facts.data_type == "inet6" && column.meta == 16) {
    Bytes("inet6", DecodeInet6, 1, out);
    out.form.parse = ParseInet;
    out.form.type = ValueType::kOther;
  } else if (is_string && facts.data_type == "inet4" && column.meta == 4) {
    Bytes("inet4", DecodeInet4, 1, out);
    out.form.parse = ParseInet;
    out.form.type = ValueType::kOther;
  } else if (column.type == FieldType::kVarchar && facts.data_type == "vector") {
    Bytes(WithLength("vector", column.meta / sizeof(float)), DecodeVector,
          column.meta > 255 ? 2 : 1, out);
    out.form.parse = DecodeVector;
    out.form.type = ValueType::kArray;
  } else {
    return false;
  }
  return true;
}

Status Labelled(const MapColumn& column, Traits& out) {
  for (const std::string& label : column.labels) {
    std::string text;
    if (out.form.charset == nullptr) {
      text = label;
    } else if (!out.form.charset->ToUtf8(label, text)) {
      return Error{Disposition::kFatal, "mysql_text_invalid",
                   "a label of the type is no text of its character set: ALTER the column, then "
                   "copy the table again"};
    }
    out.labels.push_back(std::move(text));
  }
  out.form.size = column.meta;
  if (column.meta == 0 || column.meta > 8) return TypeUnknown("an enum or set has no size");
  const bool is_enum = column.type == FieldType::kEnum;
  out.form.decode = is_enum ? DecodeEnum : DecodeSet;
  out.form.parse = is_enum ? ParseEnum : ParseSet;
  out.form.type = is_enum ? ValueType::kEnum : ValueType::kText;
  out.name = WithLabels(is_enum ? "enum" : "set", out.labels);
  return {};
}

// The forms before MySQL 5.6 do not say how many digits their fractions have; MariaDB stores those
// with some in yet another way.
Status OldTemporal(const MapColumn& column, const ColumnFacts* facts, Traits& out) {
  if (facts == nullptr || facts->column_type.find('(') != std::string::npos) {
    return TypeUnknown(
        "a time in the format before MySQL 5.6 whose digits the binlog does not tell: SET GLOBAL "
        "mysql56_temporal_format = ON, then ALTER TABLE … FORCE");
  }
  if (column.type == FieldType::kTime) {
    Temporal("time", ValueType::kTime, 3, 0, DecodeOldTime, ParseTime, out);
  } else if (column.type == FieldType::kDatetime) {
    Temporal("datetime", ValueType::kTimestamp, 8, 0, DecodeOldDatetime, ParseDatetime, out);
  } else {
    Temporal("timestamp", ValueType::kTimestampTz, 4, 0, DecodeOldTimestamp, ParseTimestamp, out);
  }
  return {};
}

Status Blob(const MapColumn& column, const ColumnFacts* facts, Traits& out) {
  if (column.meta == 0 || column.meta > 4) return TypeUnknown("a blob has no size");
  if (out.form.charset == nullptr) {
    Bytes(std::string(kBlobNames[column.meta - 1]), DecodeBytes, column.meta, out);
    return {};
  }
  Text(std::string(kTextNames[column.meta - 1]), column.meta, out);
  if (facts != nullptr && facts->json) {
    out.form.decode = DecodeJsonText;
    out.form.parse = DecodeJsonText;
    out.form.type = ValueType::kJson;
    out.name = "json";
  }
  return {};
}

Status Find(const MapColumn& column, const ColumnFacts* facts, Traits& out) {
  if (facts != nullptr && CatalogType(column, *facts, out)) return {};
  const auto characters = [&] {
    return out.form.charset == nullptr ? column.meta : column.meta / out.form.charset->most_bytes();
  };
  const unsigned length_bytes = column.meta > 255 ? 2 : 1;
  switch (column.type) {
    case FieldType::kTiny:
      Integer(column, "tinyint", 1, DecodeInt8, DecodeUint8, out);
      return {};
    case FieldType::kShort:
      Integer(column, "smallint", 2, DecodeInt16, DecodeUint16, out);
      return {};
    case FieldType::kInt24:
      Integer(column, "mediumint", 3, DecodeInt24, DecodeUint24, out);
      return {};
    case FieldType::kLong:
      Integer(column, "int", 4, DecodeInt32, DecodeUint32, out);
      return {};
    case FieldType::kLongLong:
      Integer(column, "bigint", 8, DecodeInt64, DecodeUint64, out);
      if (column.is_unsigned) {
        out.form.parse = ParseUint64;
        out.form.type = ValueType::kUint64;
      }
      return {};
    case FieldType::kYear:
      Integer(column, "year", 1, DecodeYear, DecodeYear, out);
      out.name = "year";
      return {};
    case FieldType::kFloat:
      Number(column, "float", ValueType::kFloat64, 4, DecodeFloat, ParseFloat, out);
      return {};
    case FieldType::kDouble:
      Number(column, "double", ValueType::kFloat64, 8, DecodeDouble, ParseDouble, out);
      return {};
    case FieldType::kDecimal: {
      out.form.precision = static_cast<uint8_t>(column.meta >> 8);
      out.form.scale = static_cast<uint8_t>(column.meta & 0xFF);
      const size_t size = PackedDecimalSize(out.form.precision, out.form.scale);
      if (size == 0) return TypeUnknown("a decimal has no precision");
      Number(column, fmt::format("decimal({},{})", out.form.precision, out.form.scale),
             ValueType::kDecimal, size, DecodeDecimal, ParseDecimal, out);
      return {};
    }
    case FieldType::kBit:
      if (column.meta == 0 || column.meta > 64) return TypeUnknown("a bit field has no size");
      Number(column, WithLength("bit", column.meta), ValueType::kUint64, (column.meta + 7U) / 8,
             DecodeBit, ParseUint64, out);
      return {};
    case FieldType::kDate:
      Temporal("date", ValueType::kDate, 3, 0, DecodeDate, ParseDate, out);
      return {};
    case FieldType::kTime2:
    case FieldType::kDatetime2:
    case FieldType::kTimestamp2:
      if (column.meta > 6) return TypeUnknown("a time has too many digits");
      if (column.type == FieldType::kTime2) {
        Temporal("time", ValueType::kTime, 3, column.meta, DecodeTime, ParseTime, out);
      } else if (column.type == FieldType::kDatetime2) {
        Temporal("datetime", ValueType::kTimestamp, 5, column.meta, DecodeDatetime, ParseDatetime,
                 out);
      } else {
        Temporal("timestamp", ValueType::kTimestampTz, 4, column.meta, DecodeTimestamp,
                 ParseTimestamp, out);
      }
      return {};
    case FieldType::kTime:
    case FieldType::kDatetime:
    case FieldType::kTimestamp:
      return OldTemporal(column, facts, out);
    case FieldType::kVarchar:
    case FieldType::kVarString:
      if (out.form.charset == nullptr) {
        Bytes(WithLength("varbinary", column.meta), DecodeBytes, length_bytes, out);
      } else {
        Text(WithLength("varchar", characters()), length_bytes, out);
      }
      return {};
    case FieldType::kString:
      if (out.form.charset == nullptr) {
        Bytes(WithLength("binary", column.meta), DecodeBinary, length_bytes, out);
        out.form.size = column.meta;
      } else {
        Text(WithLength("char", characters()), length_bytes, out);
      }
      return {};
    case FieldType::kBlob:
      return Blob(column, facts, out);
    case FieldType::kBlobCompressed:
      TW_TRY(Blob(column, facts, out));
      out.form.decode = DecodeCompressed;
      return {};
    case FieldType::kVarcharCompressed: {
      const size_t most = column.meta == 0 ? 0 : column.meta - 1U;  // with the head byte
      if (out.form.charset == nullptr) {
        Bytes(WithLength("varbinary", most), DecodeCompressed, length_bytes, out);
      } else {
        Text(WithLength("varchar", most / out.form.charset->most_bytes()), length_bytes, out);
        out.form.decode = DecodeCompressed;
      }
      return {};
    }
    case FieldType::kEnum:
    case FieldType::kSet:
      return Labelled(column, out);
    case FieldType::kJson:
      if (column.meta == 0 || column.meta > 4) return TypeUnknown("a document has no size");
      Bytes("json", DecodeJson, column.meta, out);
      out.form.parse = ParseJson;
      out.form.type = ValueType::kJson;
      return {};
    case FieldType::kGeometry:
      if (column.meta == 0 || column.meta > 4) return TypeUnknown("a geometry has no size");
      Bytes(std::string(kGeometryNames[std::min<size_t>(column.geometry_type, 7)]), DecodeBytes,
            column.meta, out);
      return {};
    case FieldType::kVector:
      if (column.meta == 0 || column.meta > 4) return TypeUnknown("a vector has no size");
      Bytes(WithLength("vector", column.vector_dimension), DecodeVector, column.meta, out);
      out.form.parse = DecodeVector;
      out.form.type = ValueType::kArray;
      return {};
  }
  return TypeUnknown(fmt::format("type {} is not known", static_cast<unsigned>(column.type)));
}

}  // namespace

Result<ValueReader> ValueReader::Make(const MapColumn& column, const ColumnFacts* facts,
                                      std::string_view charset, const ValueOptions& options) {
  ValueReader reader;
  Traits traits;
  traits.form.options = options;
  if (column.collation != 0 && column.collation != kBinaryCollation && charset != "binary") {
    traits.form.charset = Charset::Find(charset);
    if (traits.form.charset == nullptr) {
      return Error{Disposition::kFatal, "mysql_charset_unknown",
                   fmt::format("character set '{}' is not known to this version: leave the table "
                               "out, or convert the column to utf8mb4 and copy the table again",
                               charset)};
    }
  }
  TW_TRY(Find(column, facts, traits));
  reader.form_ = traits.form;
  reader.type_name_ = std::make_shared<const std::string>(std::move(traits.name));
  reader.labels_ = std::make_shared<const std::vector<std::string>>(std::move(traits.labels));
  const ReadFunction parse = traits.form.parse;
  if (parse == ParseFloat || parse == ParseDouble) {
    reader.select_ = Select::kDouble;
  } else if (column.type == FieldType::kBit) {
    reader.select_ = Select::kUnsigned;
  } else if (traits.form.charset != nullptr && !traits.form.charset->is_utf8() &&
             (parse == DecodeText || parse == DecodeJsonText)) {
    reader.select_ = Select::kBytes;
  }
  return reader;
}

Result<Value> ValueReader::Read(std::string_view& rest, ChangeBatch& batch) const {
  Value value;
  const ReadOutcome outcome = Next(rest, batch, value);
  if (outcome != ReadOutcome::kOk) return Refusal(outcome);
  return value;
}

Result<Value> ValueReader::ReadText(std::string_view text, ChangeBatch& batch) const {
  Value value;
  const ReadOutcome outcome = form_.parse(*this, text, batch, value);
  if (outcome != ReadOutcome::kOk) return Refusal(outcome);
  return value;
}

std::string ValueReader::SelectExpression(const std::string& quoted_name) const {
  switch (select_) {
    case Select::kAsIs:
      break;
    case Select::kDouble:  // all digits; a sum would lose the sign of zero
      return fmt::format("({} * 1e0)", quoted_name);
    case Select::kUnsigned:
      return fmt::format("CAST({} AS UNSIGNED)", quoted_name);
    case Select::kBytes:  // as the log has them: the server would turn what is no text into '?'
      return fmt::format("CAST({} AS BINARY)", quoted_name);
  }
  return quoted_name;
}

Error ValueReader::Refusal(ReadOutcome outcome) const {
  switch (outcome) {
    case ReadOutcome::kInvalidText:
      return Error{
          Disposition::kFatal, "mysql_text_invalid",
          fmt::format("a value of type {} is no text of its character set: repair the row "
                      "and copy the table again, or set `invalid_text` to bytes or replace",
                      type_name())};
    case ReadOutcome::kInvalidDate:
      return Error{
          Disposition::kFatal, "mysql_date_invalid",
          fmt::format("a value of type {} is no date, such as 0000-00-00: set `zero_dates` "
                      "to text or as_null",
                      type_name())};
    case ReadOutcome::kMalformed:
    case ReadOutcome::kOk:
      break;
  }
  return Error{Disposition::kFatal, "mysql_value_malformed",
               fmt::format("a value does not read as type {}: keep the binlog file and report it "
                           "with the server's version",
                           type_name())};
}

}  // namespace tailwater::mysql
