// Writes the rows of one origin, in one schema, into their target table, inside the sink's
// transaction.
//
// Keyed tables: one statement per row, guarded by the version. Keyless tables: a multiset; a delete
// removes one row that equals the old image. Statements are prepared once and kept.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "sqlite/origin_catalog.h"
#include "sqlite/target_schema.h"
#include "sqlite/tombstones.h"
#include "support/sqlite.h"
#include "tailwater/change.h"
#include "tailwater/schema.h"

namespace tailwater {

class MirrorTable {
 public:
  enum class Outcome : uint8_t { kApplied, kSuperseded, kBaseMissing };

  // As PrepareTarget() found the target to fit. `origin` and `tombstones` outlive this.
  static Result<std::unique_ptr<MirrorTable>> Open(sqlite::Database& database,
                                                   const TableSchema& schema, TargetFit fit,
                                                   Origin& origin, Tombstones& tombstones);

  // Inserts, updates, deletes and snapshot rows of this schema. `key` is the record key.
  // "sqlite_constraint", "sqlite_too_big", "record_malformed", "before_image_missing": the change
  // alone cannot be written.
  Result<Outcome> Apply(const Change& change, std::string_view key);
  // Columns written as NULL because the record lacked them.
  uint64_t TakeOmitted() { return std::exchange(omitted_, 0); }
  // Values that were left out because the target lacks their column.
  uint64_t TakeLeftOut() { return std::exchange(left_out_, 0); }

 private:
  MirrorTable(sqlite::Database& database, const TableSchema& schema, TargetFit fit, Origin& origin,
              Tombstones& tombstones);
  Status Prepare();

  Result<Outcome> Upsert(const Change& change, std::string_view key);
  Result<Outcome> UpdatePart(const Change& change, std::string_view key);
  Result<Outcome> Delete(const Change& change, std::string_view key);
  Result<Outcome> ApplyKeyless(const Change& change);
  Status InsertKeyless(const Change& change, Row row);
  Status DeleteKeyless(Row row);

  // The image to write: `after`, with what is unchanged taken from `before` where that holds it.
  // Sets partial_ if something stays unchanged.
  Row Image(const Change& change);
  Status Bind(sqlite::Statement& statement, int parameter, size_t column, const Value& value);
  Status BindKey(sqlite::Statement& statement, int first_parameter, Row row);
  // The version of the row with this key; nothing if there is none.
  Result<std::optional<int64_t>> HeldVersion(Row row);
  Result<sqlite::Statement*> PartStatement(Row image);

  sqlite::Database& database_;
  Origin& origin_;
  Tombstones& tombstones_;
  const std::string target_;  // quoted
  std::vector<Column> columns_;
  const TargetFit fit_;
  std::vector<uint32_t> keys_;
  std::string key_match_;  // "k1" = ?1 AND … AND _tailwater_origin = …
  sqlite::Statement upsert_, delete_, version_, delete_by_hash_, delete_by_scan_;
  std::unordered_map<std::string, sqlite::Statement> parts_;  // by which columns are unchanged
  std::vector<std::string> scratch_;                          // per column
  std::vector<Value> image_;
  std::string mask_;
  bool partial_ = false;
  uint64_t omitted_ = 0;
  uint64_t left_out_ = 0;
};

}  // namespace tailwater
