#include "mysql/table_map.h"

#include <algorithm>
#include <array>
#include <utility>

#include "mysql/wire_bytes.h"
#include "support/text.h"

namespace tailwater::mysql {
namespace {

// Of a server: 4096 in MySQL, as many in MariaDB.
constexpr uint64_t kMostColumns = 4096;

enum Tlv : uint8_t {
  kSignedness = 1,
  kDefaultCharset = 2,
  kColumnCharset = 3,
  kColumnName = 4,
  kSetLabels = 5,
  kEnumLabels = 6,
  kGeometryType = 7,
  kSimpleKey = 8,
  kPrefixKey = 9,
  kLabelDefaultCharset = 10,
  kLabelCharset = 11,
  kVisibility = 12,
  kVectorDimension = 13,
};

bool IsNumeric(const MapColumn& column) {
  switch (column.type) {
    case FieldType::kTiny:
    case FieldType::kShort:
    case FieldType::kLong:
    case FieldType::kLongLong:
    case FieldType::kInt24:
    case FieldType::kFloat:
    case FieldType::kDouble:
    case FieldType::kDecimal:
    case FieldType::kYear:
      return true;
    default:
      return false;
  }
}

bool IsLabelled(const MapColumn& column) {
  return column.type == FieldType::kEnum || column.type == FieldType::kSet;
}

bool IsCharacter(const MapColumn& column, Flavour flavour) {
  switch (column.type) {
    case FieldType::kString:
    case FieldType::kVarString:
    case FieldType::kVarchar:
    case FieldType::kBlob:
    case FieldType::kBlobCompressed:
    case FieldType::kVarcharCompressed:
      return true;
    case FieldType::kVector:
      return flavour == Flavour::kMysql;
    case FieldType::kGeometry:
      return flavour == Flavour::kMariadb;
    default:
      return false;
  }
}

// Takes the column's part of the metadata block. False: too short.
bool TakeMeta(std::string_view& rest, MapColumn& column) {
  uint8_t first = 0, second = 0;
  switch (column.type) {
    case FieldType::kFloat:
    case FieldType::kDouble:
    case FieldType::kTimestamp2:
    case FieldType::kDatetime2:
    case FieldType::kTime2:
    case FieldType::kBlob:
    case FieldType::kBlobCompressed:
    case FieldType::kGeometry:
    case FieldType::kJson:
    case FieldType::kVector:
      if (!TakeInt(rest, first)) return false;
      column.meta = first;
      return true;
    case FieldType::kVarchar:
    case FieldType::kVarString:
    case FieldType::kVarcharCompressed:
      return TakeInt(rest, column.meta);
    case FieldType::kDecimal:
      if (!TakeInt(rest, first) || !TakeInt(rest, second)) return false;
      column.meta = static_cast<uint16_t>(first << 8 | second);
      return true;
    case FieldType::kBit:
      if (!TakeInt(rest, first) || !TakeInt(rest, second)) return false;
      column.meta = static_cast<uint16_t>(second * 8 + first);
      return true;
    case FieldType::kString:
    case FieldType::kEnum:
    case FieldType::kSet:
      if (!TakeInt(rest, first) || !TakeInt(rest, second)) return false;
      if ((first & 0x30) != 0x30) {  // two bits of a length over 255 hide there, inverted
        column.type = FieldType::kString;
        column.meta = static_cast<uint16_t>(((first & 0x30) ^ 0x30) << 4 | second);
      } else {
        column.type = static_cast<FieldType>(first);
        column.meta = second;
      }
      return column.type == FieldType::kString || IsLabelled(column);
    default:
      return true;
  }
}

bool IsKnownType(FieldType type) {
  switch (type) {
    case FieldType::kTiny:
    case FieldType::kShort:
    case FieldType::kLong:
    case FieldType::kFloat:
    case FieldType::kDouble:
    case FieldType::kTimestamp:
    case FieldType::kLongLong:
    case FieldType::kInt24:
    case FieldType::kDate:
    case FieldType::kTime:
    case FieldType::kDatetime:
    case FieldType::kYear:
    case FieldType::kVarchar:
    case FieldType::kBit:
    case FieldType::kTimestamp2:
    case FieldType::kDatetime2:
    case FieldType::kTime2:
    case FieldType::kBlobCompressed:
    case FieldType::kVarcharCompressed:
    case FieldType::kVector:
    case FieldType::kJson:
    case FieldType::kDecimal:
    case FieldType::kEnum:
    case FieldType::kSet:
    case FieldType::kBlob:
    case FieldType::kVarString:
    case FieldType::kString:
    case FieldType::kGeometry:
      return true;
  }
  return false;
}

// Of one optional field of the map. Each answers false where the field does not fit the columns.
class FieldReader {
 public:
  FieldReader(std::string_view rest, std::vector<MapColumn>& columns, Flavour flavour)
      : rest_(rest), columns_(columns), flavour_(flavour) {}

  bool Signedness() {
    return Bits([](const MapColumn& column) { return IsNumeric(column); },
                [](MapColumn& column, bool bit) { column.is_unsigned = bit; });
  }
  bool Visibility() {
    return Bits([](const MapColumn&) { return true; },
                [](MapColumn& column, bool bit) { column.visible = bit; });
  }
  bool Names() {
    std::string_view name;
    for (MapColumn& column : columns_) {
      if (!TakeLenencBytes(rest_, name)) return false;
      column.name = name;
    }
    return rest_.empty();
  }
  // One for all and the exceptions from it.
  bool DefaultCharset(bool of_labels) {
    uint64_t collation = 0;
    if (!TakeLenenc(rest_, collation)) return false;
    std::vector<MapColumn*> characters;
    for (MapColumn& column : columns_) {
      if (!HasCharset(column, of_labels)) continue;
      column.collation = static_cast<uint32_t>(collation);
      characters.push_back(&column);
    }
    uint64_t index = 0;
    while (!rest_.empty()) {
      if (!TakeLenenc(rest_, index) || !TakeLenenc(rest_, collation)) return false;
      if (index >= characters.size()) return false;
      characters[index]->collation = static_cast<uint32_t>(collation);
    }
    return true;
  }
  bool ColumnCharset(bool of_labels) {
    return Numbers([&](const MapColumn& column) { return HasCharset(column, of_labels); },
                   [](MapColumn& column, uint64_t collation) {
                     column.collation = static_cast<uint32_t>(collation);
                   });
  }
  bool GeometryTypes() {
    return Numbers([](const MapColumn& column) { return column.type == FieldType::kGeometry; },
                   [](MapColumn& column, uint64_t type) {
                     column.geometry_type = static_cast<uint8_t>(type);
                   });
  }
  bool VectorDimensions() {
    return Numbers([](const MapColumn& column) { return column.type == FieldType::kVector; },
                   [](MapColumn& column, uint64_t dimension) {
                     column.vector_dimension = static_cast<uint32_t>(dimension);
                   });
  }
  bool Labels(FieldType type) {
    for (MapColumn& column : columns_) {
      if (column.type != type) continue;
      uint64_t count = 0;
      if (!TakeLenenc(rest_, count) || count > rest_.size()) return false;
      column.labels.clear();
      column.labels.reserve(count);
      for (uint64_t i = 0; i < count; ++i) {
        std::string_view label;
        if (!TakeLenencBytes(rest_, label)) return false;
        column.labels.emplace_back(label);
      }
    }
    return rest_.empty();
  }
  bool Key(bool with_prefixes, std::vector<uint32_t>& key) {
    key.clear();
    uint64_t index = 0, prefix = 0;
    while (!rest_.empty()) {
      if (!TakeLenenc(rest_, index) || index >= columns_.size()) return false;
      if (with_prefixes && !TakeLenenc(rest_, prefix)) return false;
      key.push_back(static_cast<uint32_t>(index));
    }
    return true;
  }

 private:
  bool HasCharset(const MapColumn& column, bool of_labels) const {
    return of_labels ? IsLabelled(column) : IsCharacter(column, flavour_);
  }
  // One bit per column that counts, the first is the highest of the first byte.
  template <class Counts, class Set>
  bool Bits(Counts counts, Set set) {
    size_t next = 0;
    for (MapColumn& column : columns_) {
      if (!counts(column)) continue;
      if (next / 8 >= rest_.size()) return false;
      set(column, (static_cast<uint8_t>(rest_[next / 8]) & (0x80 >> next % 8)) != 0);
      ++next;
    }
    return rest_.size() == (next + 7) / 8;
  }
  template <class Counts, class Set>
  bool Numbers(Counts counts, Set set) {
    uint64_t number = 0;
    for (MapColumn& column : columns_) {
      if (!counts(column)) continue;
      if (!TakeLenenc(rest_, number)) return false;
      set(column, number);
    }
    return rest_.empty();
  }

  std::string_view rest_;
  std::vector<MapColumn>& columns_;
  const Flavour flavour_;
};

bool ReadField(uint8_t type, std::string_view bytes, Flavour flavour, TableMap& map) {
  FieldReader in(bytes, map.columns, flavour);
  switch (type) {
    case kSignedness:
      return in.Signedness();
    case kDefaultCharset:
      return in.DefaultCharset(false);
    case kColumnCharset:
      return in.ColumnCharset(false);
    case kColumnName:
      map.full_metadata = true;
      return in.Names();
    case kSetLabels:
      return in.Labels(FieldType::kSet);
    case kEnumLabels:
      return in.Labels(FieldType::kEnum);
    case kGeometryType:
      return in.GeometryTypes();
    case kSimpleKey:
      return in.Key(false, map.key);
    case kPrefixKey:
      return in.Key(true, map.key);
    case kLabelDefaultCharset:
      return in.DefaultCharset(true);
    case kLabelCharset:
      return in.ColumnCharset(true);
    case kVisibility:
      return in.Visibility();
    case kVectorDimension:
      return in.VectorDimensions();
  }
  return true;  // of a newer server: what rows need does not change without a new event type
}

// What follows the name of the table. Null: well formed.
const char* ReadColumns(std::string_view rest, Flavour flavour, TableMap& map) {
  uint64_t count = 0;
  std::string_view types, meta, nullable;
  if (!TakeLenenc(rest, count) || count == 0 || count > kMostColumns) return "number of columns";
  if (!TakeBytes(rest, count, types)) return "types";
  if (!TakeLenencBytes(rest, meta) || !TakeBytes(rest, (count + 7) / 8, nullable)) {
    return "types' parameters";
  }
  map.columns.resize(count);
  for (size_t i = 0; i < count; ++i) {
    MapColumn& column = map.columns[i];
    column.type = static_cast<FieldType>(types[i]);
    column.nullable = (static_cast<uint8_t>(nullable[i / 8]) >> i % 8 & 1) != 0;
    if (!TakeMeta(meta, column)) return "types' parameters";
  }
  if (!meta.empty()) return "types' parameters";
  // Whatever the order of the fields is, the charsets of labels do not depend on it.
  while (!rest.empty()) {
    uint8_t type = 0;
    std::string_view bytes;
    if (!TakeInt(rest, type) || !TakeLenencBytes(rest, bytes)) return "optional fields";
    if (!ReadField(type, bytes, flavour, map)) return "optional fields";
  }
  return nullptr;
}

// Takes id and flags.
bool TakeHead(std::string_view& rest, const LogFormat& format, uint64_t& id, uint16_t& flags) {
  return TakeInt(rest, format.table_id_bytes, id) && TakeInt(rest, flags);
}

// A name is a length in one byte, the bytes and a zero.
bool TakeName(std::string_view& rest, std::string_view& name) {
  uint8_t size = 0, zero = 1;
  return TakeInt(rest, size) && TakeBytes(rest, size, name) && TakeInt(rest, zero) && zero == 0;
}

}  // namespace

Error CutShort(std::string_view event, std::string_view what) {
  return {Disposition::kFatal, "mysql_event_malformed",
          fmt::format("a {} event does not end where it should, at its {}: keep the binlog file "
                      "and report it with the server's version",
                      event, what)};
}

Result<TableMapHead> TableMapHead::Parse(const Event& event, const LogFormat& format) {
  TableMapHead head;
  uint16_t flags = 0;
  std::string_view rest = event.body;
  if (!TakeHead(rest, format, head.table_id, flags) || !TakeName(rest, head.database) ||
      !TakeName(rest, head.table)) {
    return CutShort("TABLE_MAP", "name");
  }
  return head;
}

Result<TableMap> TableMap::Parse(const Event& event, const LogFormat& format) {
  TableMap map;
  std::string_view rest = event.body, database, table;
  if (!TakeHead(rest, format, map.table_id, map.flags) || !TakeName(rest, database) ||
      !TakeName(rest, table)) {
    return CutShort("TABLE_MAP", "name");
  }
  map.name = {std::string(database), std::string(table)};
  // The length of a type that we do not know is not known either: it comes before all others.
  std::string_view ahead = rest, types;
  uint64_t count = 0;
  if (TakeLenenc(ahead, count) && count <= kMostColumns && TakeBytes(ahead, count, types)) {
    for (size_t i = 0; i < count; ++i) {
      if (IsKnownType(static_cast<FieldType>(types[i]))) continue;
      return Error{Disposition::kFatal, "mysql_type_unknown",
                   fmt::format("column {} of {} has type {} in the binlog, which this version does "
                               "not read: leave the table out, or drop the column and copy the "
                               "table again",
                               i + 1, map.name.ToString(), static_cast<uint8_t>(types[i]))};
    }
  }
  if (const char* what = ReadColumns(rest, format.flavour, map)) {
    return CutShort("TABLE_MAP", what).Within(map.name.ToString());
  }
  return map;
}

Result<std::shared_ptr<const MappedTable>> MappedTable::Make(TableMap map, CatalogFacts& facts,
                                                             const ValueOptions& options) {
  if (!map.full_metadata) {
    return Error{
        Disposition::kFatal, "mysql_metadata_missing",
        fmt::format("the binlog does not say what the columns of {} are called: SET GLOBAL "
                    "binlog_row_metadata = FULL; what was written before stays unreadable",
                    map.name.ToString())};
  }
  TW_ASSIGN_OR_RETURN(const TableFacts known, facts.Table(map.name));
  auto table = std::make_shared<MappedTable>();
  table->sequence = known.sequence;
  std::vector<Column> columns;
  columns.reserve(map.columns.size());
  table->readers.reserve(map.columns.size());
  for (size_t i = 0; i < map.columns.size(); ++i) {
    const MapColumn& column = map.columns[i];
    const auto fact = std::find_if(known.columns.begin(), known.columns.end(),
                                   [&](const ColumnFacts& f) { return f.name == column.name; });
    const ColumnFacts* const of_column = fact == known.columns.end() ? nullptr : &*fact;
    std::string charset;
    if (column.collation != 0) {
      TW_ASSIGN_OR_RETURN(charset, facts.Charset(column.collation));
      if (charset.empty()) {
        return Error{Disposition::kFatal, "mysql_charset_unknown",
                     fmt::format("{}: column '{}': information_schema does not name the character "
                                 "set of collation {}: leave the table out, or convert the column "
                                 "and copy the table again",
                                 map.name.ToString(), column.name, column.collation)};
      }
    }
    auto reader = ValueReader::Make(column, of_column, charset, options);
    if (!reader) {
      return std::move(reader).error().Within(
          fmt::format("{}: column '{}'", map.name.ToString(), column.name));
    }
    columns.push_back({.name = column.name,
                       .type = reader->type(),
                       .type_name = reader->type_name(),
                       .generated = of_column != nullptr && of_column->generated});
    if (known.system_versioned &&
        (of_column != nullptr ? of_column->row_end : column.name == "row_end")) {
      table->row_end = static_cast<int>(i);
    }
    table->readers.push_back(*std::move(reader));
  }
  // The server's key of a system-versioned table names the version, too.
  for (const uint32_t index : map.key) {
    if (static_cast<int>(index) != table->row_end) columns[index].key = true;
  }
  table->schema = TableSchema::Make(map.name, std::move(columns));
  table->map = std::move(map);
  return std::shared_ptr<const MappedTable>(std::move(table));
}

Result<std::shared_ptr<const MappedTable>> TableCache::Find(const Event& event,
                                                            const LogFormat& format) {
  TW_ASSIGN_OR_RETURN(const TableMapHead head, TableMapHead::Parse(event, format));
  const std::string_view bytes = event.body.substr(format.table_id_bytes);
  // From the one name to the other, with what stands between: as unique as both.
  const std::string_view name(
      head.database.data(),
      static_cast<size_t>(head.table.data() + head.table.size() - head.database.data()));
  const auto found = entries_.find(name);
  if (found != entries_.end() && found->second.bytes == bytes) return found->second.table;
  TW_ASSIGN_OR_RETURN(TableMap map, TableMap::Parse(event, format));
  TW_ASSIGN_OR_RETURN(auto table, MappedTable::Make(std::move(map), facts_, options_));
  entries_.insert_or_assign(std::string(name), Entry{std::string(bytes), table});
  return table;
}

}  // namespace tailwater::mysql
