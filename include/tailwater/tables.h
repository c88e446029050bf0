// The one grammar of `tables:`: an ordered list of names, globs or {match, exclude, …options}. The
// last entry that matches a table decides; an entry does not match what it excludes. `source:` may
// stand before a name where it matters.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tailwater/config.h"

namespace tailwater {

// "public.orders", "public.user_*", "shop:public.user_plans". `*` matches any run of characters,
// `?` one. Compared with TableName::ToString(), case-sensitively.
struct TablePattern {
  std::string source;  // empty = any source
  std::string glob;
  bool Matches(std::string_view source_name, std::string_view table) const;
  bool has_wildcard() const;
  std::string ToString() const;
};

struct TableEntry {
  TablePattern match;
  std::vector<TablePattern> exclude;
  ConfigNode options;  // the entry as written; kScalar for a bare name
};

class TableSelection {
 public:
  // `node` null or absent: every table. Problems: bad shape, empty pattern.
  static TableSelection Parse(const ConfigNode* node, Problems& problems);

  // Index of the entry that decides for this table; nothing if the table is not selected.
  std::optional<size_t> Find(std::string_view source, std::string_view table) const;
  bool Selects(std::string_view source, std::string_view table) const {
    return Find(source, table).has_value();
  }
  const std::vector<TableEntry>& entries() const { return entries_; }

 private:
  std::vector<TableEntry> entries_;
};

// A place of a configuration that names a column of a row, for example a field of a template. The
// engine refuses what the table does not have, and what its log never carries.
struct ColumnUse {
  size_t entry = 0;  // index of the tables: entry; kEveryEntry = all of them
  bool before = false;  // OLD.column, else NEW.column
  std::string column;
  Location location;
  std::string path;  // for messages
  static constexpr size_t kEveryEntry = SIZE_MAX;
};

// A selection with each entry's options parsed into a struct of the connector's.
template <class Options>
struct TableRules {
  TableSelection selection;
  std::vector<Options> options;  // one per entry

  const Options* Find(std::string_view source, std::string_view table) const {
    const auto index = selection.Find(source, table);
    return index ? &options[*index] : nullptr;
  }
};

// For connectors whose table entries take no options.
struct NoTableOptions {};

}  // namespace tailwater
