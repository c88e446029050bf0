// The newest schema that each table was met with.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "tailwater/change.h"

namespace tailwater::clickhouse {

enum class SchemaTurn : uint8_t {
  kSame,      // as the table's newest change
  kFirst,     // nothing was met of the table yet
  kChanged,   // from this change on the table has this schema, and had another one before
  kOutdated,  // the source has changed the table since this change: partitions may lag
};

class SchemaHistory {
 public:
  SchemaTurn Meet(const std::string& origin, const Change& change) {
    Newest& newest = tables_[origin];
    const uint64_t fingerprint = change.schema->fingerprint();
    const Newest before = newest;
    if (change.version > newest.version) newest = {change.version, fingerprint};
    if (newest.fingerprint != fingerprint) return SchemaTurn::kOutdated;
    if (before.version == 0) return SchemaTurn::kFirst;
    return before.fingerprint == fingerprint ? SchemaTurn::kSame : SchemaTurn::kChanged;
  }

 private:
  struct Newest {
    int64_t version = 0;
    uint64_t fingerprint = 0;
  };
  std::map<std::string, Newest> tables_;
};

}  // namespace tailwater::clickhouse
