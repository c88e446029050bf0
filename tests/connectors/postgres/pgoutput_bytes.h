// Hand-made pgoutput messages.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tailwater::postgres {

class Bytes {
 public:
  template <class T>
  Bytes& Int(T value) {
    for (int shift = static_cast<int>(sizeof(T)) * 8 - 8; shift >= 0; shift -= 8) {
      bytes_ += static_cast<char>(static_cast<uint64_t>(value) >> shift & 0xff);
    }
    return *this;
  }
  Bytes& Char(char c) { return bytes_ += c, *this; }
  Bytes& CString(std::string_view text) { return bytes_.append(text).append(1, '\0'), *this; }
  Bytes& Raw(std::string_view text) { return bytes_.append(text), *this; }
  operator std::string() const { return bytes_; }

 private:
  std::string bytes_;
};

inline std::string BeginBytes(uint64_t lsn, uint32_t xid) {
  return Bytes().Char('B').Int(lsn).Int<int64_t>(0).Int(xid);
}
inline std::string CommitBytes(uint64_t lsn, uint64_t end) {
  return Bytes().Char('C').Char(0).Int(lsn).Int(end).Int<int64_t>(0);
}

struct ColumnBytes {
  bool identity;
  std::string_view name;
  uint32_t type_oid;
  int32_t typmod = -1;
};
inline std::string RelationBytes(uint32_t oid, std::string_view schema, std::string_view name,
                                 char identity, const std::vector<ColumnBytes>& columns) {
  Bytes bytes;
  bytes.Char('R').Int(oid).CString(schema).CString(name).Char(identity);
  bytes.Int(static_cast<uint16_t>(columns.size()));
  for (const ColumnBytes& column : columns) {
    bytes.Char(column.identity ? 1 : 0)
        .CString(column.name)
        .Int(column.type_oid)
        .Int(column.typmod);
  }
  return bytes;
}

// "\x01u" is an unchanged column, no value is NULL.
using TupleText = std::vector<std::optional<std::string_view>>;
inline constexpr std::string_view kUnchangedColumn = "\x01u";
inline std::string TupleBytes(const TupleText& columns) {
  Bytes bytes;
  bytes.Int(static_cast<uint16_t>(columns.size()));
  for (const auto& column : columns) {
    if (!column) {
      bytes.Char('n');
    } else if (*column == kUnchangedColumn) {
      bytes.Char('u');
    } else {
      bytes.Char('t').Int(static_cast<uint32_t>(column->size())).Raw(*column);
    }
  }
  return bytes;
}
inline std::string InsertBytes(uint32_t oid, const TupleText& after) {
  return Bytes().Char('I').Int(oid).Char('N').Raw(TupleBytes(after));
}
inline std::string UpdateBytes(uint32_t oid, char old_kind, const TupleText& before,
                               const TupleText& after) {
  Bytes bytes;
  bytes.Char('U').Int(oid);
  if (old_kind != 0) bytes.Char(old_kind).Raw(TupleBytes(before));
  return bytes.Char('N').Raw(TupleBytes(after));
}
inline std::string DeleteBytes(uint32_t oid, char old_kind, const TupleText& before) {
  return Bytes().Char('D').Int(oid).Char(old_kind).Raw(TupleBytes(before));
}
inline std::string TruncateBytes(uint8_t flags, const std::vector<uint32_t>& oids) {
  Bytes bytes;
  bytes.Char('T').Int(static_cast<uint32_t>(oids.size())).Int(flags);
  for (const uint32_t oid : oids) bytes.Int(oid);
  return bytes;
}
inline std::string LogicalBytes(bool transactional, uint64_t lsn, std::string_view prefix,
                                std::string_view content) {
  return Bytes()
      .Char('M')
      .Char(transactional ? 1 : 0)
      .Int(lsn)
      .CString(prefix)
      .Int(static_cast<uint32_t>(content.size()))
      .Raw(content);
}

}  // namespace tailwater::postgres
