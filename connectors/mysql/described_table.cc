#include "mysql/described_table.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <set>
#include <utility>

#include "support/text.h"

namespace tailwater::mysql {
namespace {

constexpr size_t kFewTables = 8;  // are asked for one by one

bool Contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

Error Unknown(const TableName& table, std::string_view column, std::string_view type) {
  return Error{Disposition::kFatal, "mysql_type_unknown",
               fmt::format("{}: column '{}' is of type {}, which this version does not read: leave "
                           "the table out, or drop the column",
                           table.ToString(), column, type)};
}

// The number behind the bracket: "vector(3)", "bit(9)".
uint32_t Length(std::string_view column_type) {
  const size_t at = column_type.find('(');
  uint32_t length = 0;
  if (at != std::string_view::npos) {
    std::from_chars(column_type.data() + at + 1, column_type.data() + column_type.size(), length);
  }
  return length;
}

struct TypeRow {
  std::string_view name;
  FieldType type;
  // Of what the length, or the digits of the fraction, are taken.
  enum class Meta : uint8_t { kFixed, kBytes, kDecimal, kFraction, kBits, kLabels } meta;
  uint16_t fixed = 0;
  uint8_t geometry = 0;
};
using Meta = TypeRow::Meta;

constexpr std::array kTypes = {
    TypeRow{"tinyint", FieldType::kTiny, Meta::kFixed},
    TypeRow{"smallint", FieldType::kShort, Meta::kFixed},
    TypeRow{"mediumint", FieldType::kInt24, Meta::kFixed},
    TypeRow{"int", FieldType::kLong, Meta::kFixed},
    TypeRow{"bigint", FieldType::kLongLong, Meta::kFixed},
    TypeRow{"float", FieldType::kFloat, Meta::kFixed, 4},
    TypeRow{"double", FieldType::kDouble, Meta::kFixed, 8},
    TypeRow{"decimal", FieldType::kDecimal, Meta::kDecimal},
    TypeRow{"bit", FieldType::kBit, Meta::kBits},
    TypeRow{"year", FieldType::kYear, Meta::kFixed},
    TypeRow{"date", FieldType::kDate, Meta::kFixed},
    TypeRow{"time", FieldType::kTime2, Meta::kFraction},
    TypeRow{"datetime", FieldType::kDatetime2, Meta::kFraction},
    TypeRow{"timestamp", FieldType::kTimestamp2, Meta::kFraction},
    TypeRow{"char", FieldType::kString, Meta::kBytes},
    TypeRow{"binary", FieldType::kString, Meta::kBytes},
    TypeRow{"varchar", FieldType::kVarchar, Meta::kBytes},
    TypeRow{"varbinary", FieldType::kVarchar, Meta::kBytes},
    TypeRow{"tinytext", FieldType::kBlob, Meta::kFixed, 1},
    TypeRow{"text", FieldType::kBlob, Meta::kFixed, 2},
    TypeRow{"mediumtext", FieldType::kBlob, Meta::kFixed, 3},
    TypeRow{"longtext", FieldType::kBlob, Meta::kFixed, 4},
    TypeRow{"tinyblob", FieldType::kBlob, Meta::kFixed, 1},
    TypeRow{"blob", FieldType::kBlob, Meta::kFixed, 2},
    TypeRow{"mediumblob", FieldType::kBlob, Meta::kFixed, 3},
    TypeRow{"longblob", FieldType::kBlob, Meta::kFixed, 4},
    TypeRow{"enum", FieldType::kEnum, Meta::kLabels},
    TypeRow{"set", FieldType::kSet, Meta::kLabels},
    TypeRow{"json", FieldType::kJson, Meta::kFixed, 4},
    TypeRow{"vector", FieldType::kVector, Meta::kFixed, 4},
    TypeRow{"geometry", FieldType::kGeometry, Meta::kFixed, 4, 0},
    TypeRow{"point", FieldType::kGeometry, Meta::kFixed, 4, 1},
    TypeRow{"linestring", FieldType::kGeometry, Meta::kFixed, 4, 2},
    TypeRow{"polygon", FieldType::kGeometry, Meta::kFixed, 4, 3},
    TypeRow{"multipoint", FieldType::kGeometry, Meta::kFixed, 4, 4},
    TypeRow{"multilinestring", FieldType::kGeometry, Meta::kFixed, 4, 5},
    TypeRow{"multipolygon", FieldType::kGeometry, Meta::kFixed, 4, 6},
    TypeRow{"geomcollection", FieldType::kGeometry, Meta::kFixed, 4, 7},
    TypeRow{"geometrycollection", FieldType::kGeometry, Meta::kFixed, 4, 7},
    // MariaDB, as strings in the log.
    TypeRow{"uuid", FieldType::kString, Meta::kFixed, 16},
    TypeRow{"inet6", FieldType::kString, Meta::kFixed, 16},
    TypeRow{"inet4", FieldType::kString, Meta::kFixed, 4},
};

// MySQL's ENUM numbers labels in one byte up to 255, SET has a bit for each.
uint16_t LabelBytes(FieldType type, size_t labels) {
  if (type == FieldType::kEnum) return labels > 255 ? 2 : 1;
  const size_t bytes = (labels + 7) / 8;
  return static_cast<uint16_t>(bytes > 4 ? 8 : bytes);
}

// One row of information_schema.COLUMNS.
struct ColumnRow {
  enum Field { kSchema, kTable, kName, kNullable, kDataType, kColumnType, kOctets, kPrecision };
  enum MoreField { kScale = kPrecision + 1, kFraction, kCharset, kCollation, kExtra, kGeneration };
};
constexpr std::string_view kColumnFields =
    "TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, IS_NULLABLE, DATA_TYPE, COLUMN_TYPE, "
    "CHARACTER_OCTET_LENGTH, NUMERIC_PRECISION, NUMERIC_SCALE, DATETIME_PRECISION, "
    "CHARACTER_SET_NAME, COLLATION_NAME, EXTRA, GENERATION_EXPRESSION";

Result<MapColumn> ReadColumn(const Rows& rows, int row, const TableName& table, Flavour flavour) {
  const auto number = [&](int field) {
    return static_cast<uint16_t>(
        std::clamp<int64_t>(rows.MaybeNumber(row, field).value_or(0), 0, 0xFFFF));
  };
  const std::string_view data_type = rows.Text(row, ColumnRow::kDataType);
  const std::string_view column_type = rows.Text(row, ColumnRow::kColumnType);
  const auto known = std::find_if(kTypes.begin(), kTypes.end(), [&](const TypeRow& candidate) {
    return candidate.name == data_type;
  });
  MapColumn column;
  column.name = rows.String(row, ColumnRow::kName);
  if (known == kTypes.end()) return Unknown(table, column.name, data_type);
  column.type = known->type;
  column.geometry_type = known->geometry;
  column.nullable = rows.Text(row, ColumnRow::kNullable) == "YES";
  column.is_unsigned = Contains(column_type, "unsigned") || data_type == "year";
  if (flavour == Flavour::kMysql)  // MariaDB's map does not say it
    column.visible = !Contains(rows.Text(row, ColumnRow::kExtra), "INVISIBLE");
  switch (known->meta) {
    case Meta::kFixed:
      column.meta = known->fixed;
      break;
    case Meta::kBytes:
      column.meta = number(ColumnRow::kOctets);
      break;
    case Meta::kDecimal:
      column.meta =
          static_cast<uint16_t>(number(ColumnRow::kPrecision) << 8 | number(ColumnRow::kScale));
      break;
    case Meta::kFraction:
      column.meta = number(ColumnRow::kFraction);
      break;
    case Meta::kBits:
      column.meta = number(ColumnRow::kPrecision);
      break;
    case Meta::kLabels:
      column.labels = ParseLabels(column_type);
      column.meta = LabelBytes(column.type, column.labels.size());
      break;
  }
  // The server's text is UTF-8, whatever it stores.
  std::string_view charset = rows.Text(row, ColumnRow::kCharset);
  if (!column.labels.empty()) charset = "utf8mb4";
  if (column.type == FieldType::kVector) {
    column.vector_dimension = Length(column_type);
    if (flavour == Flavour::kMariadb) {
      column.type = FieldType::kVarchar;
      column.meta = static_cast<uint16_t>(4 * column.vector_dimension);
    }
  }
  if (Contains(column_type, "COMPRESSED")) {
    if (column.type == FieldType::kVarchar) {
      column.type = FieldType::kVarcharCompressed;
      ++column.meta;  // a byte says how
    } else {
      column.type = FieldType::kBlobCompressed;
    }
  }
  if (Contains(column_type, "mariadb-5.3")) {  // in the format of before MySQL 5.6
    column.type = column.type == FieldType::kTime2       ? FieldType::kTime
                  : column.type == FieldType::kDatetime2 ? FieldType::kDatetime
                                                         : FieldType::kTimestamp;
    column.meta = 0;
  }
  switch (column.type) {
    case FieldType::kString:
    case FieldType::kVarchar:
    case FieldType::kBlob:
    case FieldType::kVarcharCompressed:
    case FieldType::kBlobCompressed:
    case FieldType::kEnum:
    case FieldType::kSet:
      column.collation = DescribedFacts::Number(charset.empty() ? "binary" : charset);
      break;
    case FieldType::kGeometry:
      if (flavour == Flavour::kMariadb) column.collation = DescribedFacts::Number("binary");
      break;
    case FieldType::kVector:
      column.collation = DescribedFacts::Number("binary");
      break;
    default:
      break;
  }
  return column;
}

ColumnFacts ReadFacts(const Rows& rows, int row, bool json) {
  const std::string_view extra = rows.Text(row, ColumnRow::kExtra);
  ColumnFacts facts;
  facts.name = rows.String(row, ColumnRow::kName);
  facts.column_type = rows.String(row, ColumnRow::kColumnType);
  facts.data_type = rows.String(row, ColumnRow::kDataType);
  // Not DEFAULT_GENERATED, which is a default.
  facts.generated = Contains(extra, "VIRTUAL GENERATED") || Contains(extra, "STORED GENERATED") ||
                    Contains(extra, "PERSISTENT");
  facts.json = json && facts.data_type == "longtext";
  facts.row_end = rows.Text(row, ColumnRow::kGeneration) == "ROW END";
  return facts;
}

// A unique index without a column that may be NULL, in the order in which the server has them.
struct Index {
  std::string name;
  bool primary = false;
  bool fits = true;  // as a key in place of a primary one
  struct Part {
    std::string column;
    uint32_t prefix = 0;
    bool descending = false;
  };
  std::vector<Part> parts;
};

// As SHOW INDEX and information_schema.STATISTICS name them.
void AddPart(const Rows& rows, int row, int name, int column, int prefix, int direction,
             int nullable, int kind, std::vector<Index>& indexes) {
  if (indexes.empty() || indexes.back().name != rows.Text(row, name)) {
    indexes.push_back({rows.String(row, name), rows.Text(row, name) == "PRIMARY"});
  }
  Index& index = indexes.back();
  const auto characters = static_cast<uint32_t>(rows.MaybeNumber(row, prefix).value_or(0));
  index.parts.push_back({rows.String(row, column), characters, rows.Text(row, direction) == "D"});
  // Neither functional ones, which have no column, nor MariaDB's by hash are taken for a key.
  if (rows.IsNull(row, column) || rows.Text(row, nullable) == "YES" || characters != 0 ||
      rows.Text(row, kind) == "HASH")
    index.fits = false;
}

class Describer {
 public:
  Describer(Connection& sql, const std::vector<TableName>& tables) : sql_(sql) {
    for (const TableName& table : tables) found_[table].map.name = table;
  }

  // Facts alone: of columns of whatever type.
  Result<TableFacts> Facts() {
    facts_only_ = true;
    const TableName table = found_.begin()->first;
    TW_TRY(Read(table.schema, &table.name));
    return std::move(found_.begin()->second.facts);
  }

  Result<std::map<TableName, DescribedTable>> Run() {
    if (found_.empty()) return std::move(found_);
    std::set<std::string> schemas;
    for (const auto& [table, unused] : found_) schemas.insert(table.schema);
    // An equality for each: MariaDB opens all tables of all databases for anything else.
    if (found_.size() <= kFewTables) {
      for (const TableName& table : Names()) TW_TRY(Read(table.schema, &table.name));
    } else {
      for (const std::string& schema : schemas) TW_TRY(Read(schema, nullptr));
    }
    std::erase_if(found_, [](const auto& entry) { return entry.second.map.columns.empty(); });
    for (auto& [table, described] : found_) {
      TW_TRY(AddHiddenColumns(described));
      TW_TRY(ReadKey(described));
    }
    return std::move(found_);
  }

 private:
  // Names of information_schema may compare without regard to case.
  DescribedTable* Find(const Rows& rows, int row) {
    const auto found = found_.find({rows.String(row, 0), rows.String(row, 1)});
    return found == found_.end() ? nullptr : &found->second;
  }
  std::vector<TableName> Names() const {
    std::vector<TableName> names;
    for (const auto& [table, unused] : found_) names.push_back(table);
    return names;
  }

  // `table`: that one alone.
  Status Read(const std::string& schema, const std::string* table_name) {
    const auto only = [&](std::string_view column) {
      return fmt::format("{} = {}{}", column, sql_.QuoteLiteral(schema),
                         table_name == nullptr
                             ? std::string()
                             : " AND TABLE_NAME = " + sql_.QuoteLiteral(*table_name));
    };
    const std::string where = only("TABLE_SCHEMA");
    std::set<std::pair<TableName, std::string>> json;
    if (sql_.flavour() == Flavour::kMariadb) {
      // JSON is longtext with a check that the server makes: `column` CHECK (json_valid(`column`)).
      TW_ASSIGN_OR_RETURN(
          const Rows checks,
          sql_.Query("SELECT CONSTRAINT_SCHEMA, TABLE_NAME, CONSTRAINT_NAME, CHECK_CLAUSE FROM "
                     "information_schema.CHECK_CONSTRAINTS WHERE LEVEL = 'Column' AND " +
                     only("CONSTRAINT_SCHEMA")));
      for (int i = 0; i < checks.size(); ++i) {
        if (checks.Text(i, 3) ==
            fmt::format("json_valid({})", Connection::QuoteName(checks.Text(i, 2))))
          json.insert({{checks.String(i, 0), checks.String(i, 1)}, checks.String(i, 2)});
      }
      TW_ASSIGN_OR_RETURN(
          const Rows kinds,
          sql_.Query("SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE FROM information_schema.TABLES "
                     "WHERE " +
                     where));
      for (int i = 0; i < kinds.size(); ++i) {
        DescribedTable* const table = Find(kinds, i);
        if (table == nullptr) continue;
        table->facts.system_versioned = kinds.Text(i, 2) == "SYSTEM VERSIONED";
        table->facts.sequence = kinds.Text(i, 2) == "SEQUENCE";
      }
    }
    TW_ASSIGN_OR_RETURN(
        const Rows columns,
        sql_.Query(fmt::format("SELECT {} FROM information_schema.COLUMNS WHERE {} ORDER BY "
                               "TABLE_SCHEMA, TABLE_NAME, ORDINAL_POSITION",
                               kColumnFields, where)));
    for (int i = 0; i < columns.size(); ++i) {
      DescribedTable* const table = Find(columns, i);
      if (table == nullptr) continue;
      const bool is_json = json.contains({table->map.name, columns.String(i, ColumnRow::kName)});
      table->facts.found = true;
      table->facts.columns.push_back(ReadFacts(columns, i, is_json));
      if (facts_only_) continue;
      TW_ASSIGN_OR_RETURN(MapColumn column,
                          ReadColumn(columns, i, table->map.name, sql_.flavour()));
      table->map.full_metadata = true;
      table->map.columns.push_back(std::move(column));
      keys_[table->map.name].columns.push_back(
          {columns.String(i, ColumnRow::kCharset), columns.String(i, ColumnRow::kCollation)});
    }
    if (facts_only_) return {};
    TW_ASSIGN_OR_RETURN(
        const Rows parts,
        sql_.Query(fmt::format(
            "SELECT TABLE_SCHEMA, TABLE_NAME, INDEX_NAME, COLUMN_NAME, SUB_PART, COLLATION, "
            "NULLABLE, INDEX_TYPE FROM information_schema.STATISTICS WHERE NON_UNIQUE = 0 AND {} "
            "ORDER BY TABLE_SCHEMA, TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX",
            where)));
    for (int i = 0; i < parts.size(); ++i) {
      const DescribedTable* const table = Find(parts, i);
      if (table != nullptr) AddPart(parts, i, 2, 3, 4, 5, 6, 7, keys_[table->map.name].indexes);
    }
    return {};
  }

  // MariaDB: the period of a system-versioned table that was not named.
  Status AddHiddenColumns(DescribedTable& table) {
    if (!table.facts.system_versioned) return {};
    for (const ColumnFacts& column : table.facts.columns) {
      if (column.row_end) return {};
    }
    for (const char* const name : {"row_start", "row_end"}) {
      MapColumn& column = table.map.columns.emplace_back();
      column.name = name;
      column.type = FieldType::kTimestamp2;
      column.meta = 6;
      column.nullable = false;
    }
    return {};
  }

  // The primary key; else what the server takes for one: the first unique index of columns that
  // cannot be NULL.
  Status ReadKey(DescribedTable& table) {
    const Keys& keys = keys_[table.map.name];
    const auto primary = std::find_if(keys.indexes.begin(), keys.indexes.end(),
                                      [](const Index& index) { return index.primary; });
    if (primary != keys.indexes.end()) return SetKey(*primary, table);
    const auto fits = std::count_if(keys.indexes.begin(), keys.indexes.end(),
                                    [](const Index& index) { return index.fits; });
    if (fits == 0) return {};
    if (fits == 1) {
      return SetKey(*std::find_if(keys.indexes.begin(), keys.indexes.end(),
                                  [](const Index& index) { return index.fits; }),
                    table);
    }
    // Which one is first STATISTICS does not tell.
    TW_ASSIGN_OR_RETURN(const Rows rows,
                        sql_.Query(fmt::format("SHOW INDEX FROM {}.{}",
                                               Connection::QuoteName(table.map.name.schema),
                                               Connection::QuoteName(table.map.name.name))));
    const int unique = rows.Column("Non_unique");
    std::vector<Index> indexes;
    for (int i = 0; i < rows.size(); ++i) {
      if (rows.Text(i, unique) != "0") continue;
      AddPart(rows, i, rows.Column("Key_name"), rows.Column("Column_name"), rows.Column("Sub_part"),
              rows.Column("Collation"), rows.Column("Null"), rows.Column("Index_type"), indexes);
    }
    const auto first =
        std::find_if(indexes.begin(), indexes.end(), [](const Index& index) { return index.fits; });
    return first == indexes.end() ? Status() : SetKey(*first, table);
  }

  Status SetKey(const Index& index, DescribedTable& table) {
    const Keys& keys = keys_[table.map.name];
    std::vector<KeyColumn> columns;
    for (const Index::Part& part : index.parts) {
      const auto found =
          std::find_if(table.map.columns.begin(), table.map.columns.end(),
                       [&](const MapColumn& column) { return column.name == part.column; });
      if (found == table.map.columns.end()) continue;  // we may not see it: SELECT * says so
      const auto place = static_cast<size_t>(found - table.map.columns.begin());
      table.map.key.push_back(static_cast<uint32_t>(place));
      const bool is_facts = place < table.facts.columns.size();
      // The key of a system-versioned table names the version, of which a copy sees the last one.
      if (is_facts && table.facts.system_versioned && table.facts.columns[place].row_end) continue;
      KeyColumn& column = columns.emplace_back();
      column.name = part.column;
      column.data_type = is_facts ? table.facts.columns[place].data_type : "";
      if (found->labels.empty()) {
        column.charset = keys.columns[place].charset;
        column.collation = keys.columns[place].collation;
      }
      column.prefix = part.prefix;
      column.labels =
          found->type == FieldType::kEnum ? static_cast<uint32_t>(found->labels.size()) : 0;
      column.descending = part.descending;
    }
    table.order = KeyOrder(index.name, std::move(columns));
    return {};
  }

  struct Texts {
    std::string charset;
    std::string collation;
  };
  struct Keys {
    std::vector<Index> indexes;
    std::vector<Texts> columns;
  };

  Connection& sql_;
  bool facts_only_ = false;
  std::map<TableName, DescribedTable> found_;
  std::map<TableName, Keys> keys_;
};

// Numbers in place of collations: a character set is all that is asked of one here.
constexpr std::array<std::string_view, 42> kCharsets = {
    "",       "armscii8", "ascii",   "big5",   "binary",   "cp1250",  "cp1251", "cp1256",  "cp1257",
    "cp850",  "cp852",    "cp866",   "cp932",  "dec8",     "eucjpms", "euckr",  "gb18030", "gb2312",
    "gbk",    "geostd8",  "greek",   "hebrew", "hp8",      "keybcs2", "koi8r",  "koi8u",   "latin1",
    "latin2", "latin5",   "latin7",  "macce",  "macroman", "sjis",    "swe7",   "tis620",  "ucs2",
    "ujis",   "utf16",    "utf16le", "utf32",  "utf8mb3",  "utf8mb4"};

}  // namespace

std::vector<std::string> ParseLabels(std::string_view column_type) {
  std::vector<std::string> labels;
  const size_t begin = column_type.find('(');
  if (begin == std::string_view::npos) return labels;
  std::string_view rest = column_type.substr(begin + 1);
  while (!rest.empty() && rest[0] == '\'') {
    rest.remove_prefix(1);
    std::string& label = labels.emplace_back();
    for (;; rest.remove_prefix(1)) {
      if (rest.empty()) return labels;
      if (rest[0] == '\'') {
        if (rest.size() < 2 || rest[1] != '\'') break;
        rest.remove_prefix(1);
      } else if (rest[0] == '\\' && rest.size() > 1) {
        rest.remove_prefix(1);
        label.push_back(rest[0] == 'n'   ? '\n'
                        : rest[0] == 'r' ? '\r'
                        : rest[0] == '0' ? '\0'
                                         : rest[0]);
        continue;
      }
      label.push_back(rest[0]);
    }
    rest.remove_prefix(1);
    if (!rest.empty() && rest[0] == ',') rest.remove_prefix(1);
  }
  return labels;
}

Result<TableFacts> DescribedFacts::Table(const TableName& table) {
  return table == table_.map.name ? table_.facts : TableFacts();
}

uint32_t DescribedFacts::Number(std::string_view charset) {
  if (charset == "utf8") charset = "utf8mb3";  // as older servers call it
  const auto found = std::find(kCharsets.begin() + 1, kCharsets.end(), charset);
  return found == kCharsets.end() ? UINT32_MAX : static_cast<uint32_t>(found - kCharsets.begin());
}

Result<std::string> DescribedFacts::Charset(uint32_t number) {
  return number < kCharsets.size() ? std::string(kCharsets[number]) : std::string();
}

Result<TableFacts> ReadTableFacts(Connection& sql, const TableName& table) {
  return Describer(sql, {table}).Facts();
}

Result<std::map<TableName, DescribedTable>> DescribeTables(Connection& sql,
                                                           const std::vector<TableName>& tables) {
  return Describer(sql, tables).Run();
}

}  // namespace tailwater::mysql
