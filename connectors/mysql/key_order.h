// The order in which a table is copied: that of the index behind its key, under the index's own
// collations, so that the order is total exactly as the key is unique. It is the server's alone:
// bounds are values as the server gave them, and go back to it as literals that are exact.
//
// Neither server takes a row comparison, (a, b) > (1, 2), as a range of an index, but both take
// a > 1 OR (a = 1 AND b > 2).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tailwater/snapshot.h"

namespace tailwater::mysql {

struct KeyColumn {
  std::string name;
  std::string data_type;  // information_schema's: "bigint", "varchar", "enum"
  std::string charset;    // text: as the server names them
  std::string collation;
  uint32_t prefix = 0;  // characters that are in the index; 0: all
  uint32_t labels = 0;  // ENUM: how many
  bool descending = false;
};

class KeyOrder {
 public:
  KeyOrder() = default;
  KeyOrder(std::string index, std::vector<KeyColumn> columns)
      : index_(std::move(index)), columns_(std::move(columns)) {}
  const std::vector<KeyColumn>& columns() const { return columns_; }
  bool empty() const { return columns_.empty(); }

  // What to select for the place of a row: one expression per column, whose text Behind() takes.
  std::vector<std::string> Select() const;
  // How the same is had from the text of a column that ValueReader::SelectExpression() selects.
  enum class Text : uint8_t { kAsIs, kHex, kOther };
  Text TextOf(size_t column) const;
  static std::string Hex(std::string_view bytes);
  std::string ForceIndex() const;  // FORCE INDEX (`PRIMARY`)
  // `ORDER BY`'s list. Where the index holds prefixes alone it cannot give the order: the server
  // sorts.
  std::string OrderBy() const;
  bool sorted_by_index() const;
  // Conditions; `values` in the order of the columns.
  std::string Behind(const std::vector<std::string>& values) const;
  std::string UpTo(const std::vector<std::string>& values) const;

  // A place, with the names and types of its columns: another key's place is recognised.
  SnapshotKey Pack(const std::vector<std::string>& values) const;
  std::optional<std::vector<std::string>> Unpack(const SnapshotKey& key) const;

 private:
  // What is compared, and with what.
  struct Term {
    std::string column;
    std::string literal;
    uint32_t labels = 0;
    bool descending = false;
  };
  std::vector<Term> Terms(const std::vector<std::string>& values) const;
  std::string Compare(const std::vector<std::string>& values, bool behind) const;

  std::string index_;
  std::vector<KeyColumn> columns_;
};

}  // namespace tailwater::mysql
