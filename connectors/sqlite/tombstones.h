// The versions of deleted rows, so that a change that comes late does not bring a row back. Kept
// for a day: a rewind that reaches further meets the delete itself again.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "support/sqlite.h"
#include "tailwater/result.h"

namespace tailwater {

class Tombstones {
 public:
  Status Open(sqlite::Database& database);
  Status Add(std::string_view key, int64_t version);
  // The version of the newest delete of this record key.
  Result<std::optional<int64_t>> Find(std::string_view key);
  // Drops some that are old. Inside a transaction.
  Status Prune();

 private:
  sqlite::Statement add_, find_, prune_;
};

}  // namespace tailwater
