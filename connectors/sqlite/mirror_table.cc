#include "sqlite/mirror_table.h"

#include <algorithm>
#include <optional>

#include "sqlite/column_values.h"
#include "support/text.h"

namespace tailwater {

using sqlite::Statement;

MirrorTable::MirrorTable(sqlite::Database& database, const TableSchema& schema, TargetFit fit,
                         Origin& origin, Tombstones& tombstones)
    : database_(database),
      origin_(origin),
      tombstones_(tombstones),
      target_(Quoted(origin.target)),
      columns_(schema.columns()),
      fit_(std::move(fit)),
      keys_(schema.key_columns()),
      scratch_(schema.columns().size()),
      image_(schema.columns().size()) {}

Result<std::unique_ptr<MirrorTable>> MirrorTable::Open(sqlite::Database& database,
                                                       const TableSchema& schema, TargetFit fit,
                                                       Origin& origin, Tombstones& tombstones) {
  std::unique_ptr<MirrorTable> table(
      new MirrorTable(database, schema, std::move(fit), origin, tombstones));
  TW_TRY(table->Prepare());
  return table;
}

// Parameters of all statements: the columns in their order, or the key columns in theirs; then the
// version. The origin stands in the text.
Status MirrorTable::Prepare() {
  std::string names, values, sets, matches, keys;
  for (size_t i = 0; i < columns_.size(); ++i) {
    if (fit_.left_out[i]) continue;
    const std::string name = Quoted(columns_[i].name);
    names += name + ", ";
    values += fmt::format("?{}, ", i + 1);
    matches += fmt::format("{} IS ?{} AND ", name, i + 1);
    if (!columns_[i].key) sets += fmt::format("{0} = excluded.{0}, ", name);
  }
  for (const std::string& absent : fit_.absent) sets += Quoted(absent) + " = NULL, ";
  const size_t count = columns_.size();
  if (keys_.empty()) {
    TW_ASSIGN_OR_RETURN(upsert_, database_.Prepare(fmt::format(
                                     "INSERT INTO {} ({}{}, {}, {}) VALUES ({}{}, ?{}, ?{})",
                                     target_, names, kOriginColumn, kVersionColumn, kHashColumn,
                                     values, origin_.id, count + 1, count + 2)));
    const std::string found =
        fmt::format("DELETE FROM {0} WHERE {1} = (SELECT {1} FROM {0} WHERE {2}{3} = {4}", target_,
                    kRowColumn, matches, kOriginColumn, origin_.id);
    // Of equal rows the newest: an older one may be gone already, and wait for its sweep.
    const std::string newest = fmt::format(" ORDER BY {} DESC LIMIT 1)", kVersionColumn);
    TW_ASSIGN_OR_RETURN(
        delete_by_hash_,
        database_.Prepare(fmt::format("{} AND {} = ?{}{}", found, kHashColumn, count + 1, newest)));
    TW_ASSIGN_OR_RETURN(delete_by_scan_, database_.Prepare(found + newest));
    return {};
  }
  for (size_t i = 0; i < keys_.size(); ++i) {
    const std::string name = Quoted(columns_[keys_[i]].name);
    keys += name + ", ";
    key_match_ += fmt::format("{} = ?{} AND ", name, i + 1);
  }
  key_match_ += fmt::format("{} = {}", kOriginColumn, origin_.id);
  TW_ASSIGN_OR_RETURN(upsert_, database_.Prepare(fmt::format(
                                   "INSERT INTO {0} ({1}{2}, {3}) VALUES ({4}{5}, ?{6}) ON "
                                   "CONFLICT ({7}{2}) DO UPDATE SET {8}{3} = excluded.{3} "
                                   "WHERE excluded.{3} >= {0}.{3}",
                                   target_, names, kOriginColumn, kVersionColumn, values,
                                   origin_.id, count + 1, keys, sets)));
  TW_ASSIGN_OR_RETURN(
      delete_, database_.Prepare(fmt::format("DELETE FROM {} WHERE {} AND {} <= ?{}", target_,
                                             key_match_, kVersionColumn, keys_.size() + 1)));
  TW_ASSIGN_OR_RETURN(
      version_, database_.Prepare(fmt::format("SELECT {} FROM {} WHERE {}", kVersionColumn, target_,
                                              key_match_)));
  return {};
}

Result<MirrorTable::Outcome> MirrorTable::Apply(const Change& change, std::string_view key) {
  if (change.version < origin_.swept_version) return Outcome::kSuperseded;
  if (keys_.empty()) return ApplyKeyless(change);
  if (change.operation == Operation::kDelete) return Delete(change, key);
  // Only what comes late can meet a tombstone.
  if (change.version <= origin_.deleted_version) {
    TW_ASSIGN_OR_RETURN(const std::optional<int64_t> deleted, tombstones_.Find(key));
    if (deleted && *deleted > change.version) return Outcome::kSuperseded;
  }
  return Upsert(change, key);
}

Result<MirrorTable::Outcome> MirrorTable::Upsert(const Change& change, std::string_view key) {
  const Row image = Image(change);
  if (partial_) return UpdatePart(change, key);
  for (size_t i = 0; i < image.size(); ++i) {
    TW_TRY(Bind(upsert_, static_cast<int>(i + 1), i, image[i]));
  }
  upsert_.Bind(static_cast<int>(image.size() + 1), change.version);
  TW_TRY(upsert_.Run());
  return database_.changes() > 0 ? Outcome::kApplied : Outcome::kSuperseded;
}

Result<MirrorTable::Outcome> MirrorTable::UpdatePart(const Change& change, std::string_view) {
  const Row image = image_;
  TW_ASSIGN_OR_RETURN(Statement* const statement, PartStatement(image));
  TW_TRY(BindKey(*statement, 1, image));
  int parameter = static_cast<int>(keys_.size());
  statement->Bind(++parameter, change.version);
  for (size_t i = 0; i < image.size(); ++i) {
    if (columns_[i].key || fit_.left_out[i] || image[i].is_unchanged()) continue;
    TW_TRY(Bind(*statement, ++parameter, i, image[i]));
  }
  TW_TRY(statement->Run());
  if (database_.changes() > 0) return Outcome::kApplied;
  TW_ASSIGN_OR_RETURN(const std::optional<int64_t> held, HeldVersion(image));
  return held && *held > change.version ? Outcome::kSuperseded : Outcome::kBaseMissing;
}

Result<Statement*> MirrorTable::PartStatement(Row image) {
  mask_.clear();
  for (const Value& value : image) mask_ += value.is_unchanged() ? 'u' : 'v';
  const auto known = parts_.find(mask_);
  if (known != parts_.end()) return &known->second;
  std::string sets;
  for (const std::string& absent : fit_.absent) sets += Quoted(absent) + " = NULL, ";
  size_t parameter = keys_.size() + 1;
  const size_t version = parameter;
  int64_t since = 0;  // a row that is older never held what did not change
  for (size_t i = 0; i < image.size(); ++i) {
    if (image[i].is_unchanged() && !fit_.left_out[i]) since = std::max(since, fit_.since[i]);
    if (columns_[i].key || fit_.left_out[i] || image[i].is_unchanged()) continue;
    sets += fmt::format("{} = ?{}, ", Quoted(columns_[i].name), ++parameter);
  }
  TW_ASSIGN_OR_RETURN(Statement statement,
                      database_.Prepare(fmt::format(
                          "UPDATE {0} SET {1}{2} = ?{3} WHERE {4} AND {2} <= ?{3} AND {2} >= {5}",
                          target_, sets, kVersionColumn, version, key_match_, since)));
  return &parts_.emplace(mask_, std::move(statement)).first->second;
}

Result<MirrorTable::Outcome> MirrorTable::Delete(const Change& change, std::string_view key) {
  TW_TRY(BindKey(delete_, 1, change.before));
  delete_.Bind(static_cast<int>(keys_.size() + 1), change.version);
  TW_TRY(delete_.Run());
  if (database_.changes() == 0) {
    TW_ASSIGN_OR_RETURN(const std::optional<int64_t> held, HeldVersion(change.before));
    if (held) return Outcome::kSuperseded;
  }
  TW_TRY(tombstones_.Add(key, change.version));
  if (change.version > origin_.deleted_version) {
    origin_.deleted_version = change.version;
    origin_.changed = true;
  }
  return Outcome::kApplied;
}

Result<MirrorTable::Outcome> MirrorTable::ApplyKeyless(const Change& change) {
  if (change.operation == Operation::kUpdate || change.operation == Operation::kDelete) {
    // The row may be older than this copy: then there is nothing to remove.
    if (change.before.empty()) {
      return Error{Disposition::kReject, "before_image_missing",
                   "the table has no key and the record no old row; set REPLICA IDENTITY FULL"};
    }
    TW_TRY(DeleteKeyless(change.before));
  }
  if (change.operation == Operation::kDelete) return Outcome::kApplied;
  const Row image = Image(change);
  if (partial_) return Outcome::kBaseMissing;
  TW_TRY(InsertKeyless(change, image));
  return Outcome::kApplied;
}

Status MirrorTable::InsertKeyless(const Change& change, Row row) {
  uint64_t hash = 0;
  for (size_t i = 0; i < row.size(); ++i) {
    TW_TRY(Bind(upsert_, static_cast<int>(i + 1), i, row[i]));
    hash += HashValue(columns_[i].name, row[i]);
  }
  const int count = static_cast<int>(row.size());
  upsert_.Bind(count + 1, change.version).Bind(count + 2, static_cast<int64_t>(hash));
  return upsert_.Run();
}

Status MirrorTable::DeleteKeyless(Row row) {
  uint64_t hash = 0;
  for (size_t i = 0; i < row.size(); ++i) {
    TW_TRY(Bind(delete_by_hash_, static_cast<int>(i + 1), i, row[i]));
    hash += HashValue(columns_[i].name, row[i]);
  }
  delete_by_hash_.Bind(static_cast<int>(row.size() + 1), static_cast<int64_t>(hash));
  TW_TRY(delete_by_hash_.Run());
  if (database_.changes() > 0) return {};
  // Rows written before a column changed carry another hash.
  for (size_t i = 0; i < row.size(); ++i) {
    TW_TRY(Bind(delete_by_scan_, static_cast<int>(i + 1), i, row[i]));
  }
  return delete_by_scan_.Run();
}

Row MirrorTable::Image(const Change& change) {
  partial_ = false;
  bool filled = false;
  for (size_t i = 0; i < change.after.size(); ++i) {
    const Value& value = change.after[i];
    if (fit_.left_out[i]) {
      ++left_out_;
      continue;
    }
    if (value.is_omitted()) ++omitted_;
    if (!value.is_unchanged()) continue;
    const bool known =
        !change.before.empty() && (change.before[i].has_value() || change.before[i].is_null());
    partial_ = partial_ || !known;
    filled = true;
  }
  if (!filled) return change.after;
  for (size_t i = 0; i < change.after.size(); ++i) {
    const bool from_before = change.after[i].is_unchanged() && !change.before.empty() &&
                             (change.before[i].has_value() || change.before[i].is_null());
    image_[i] = from_before ? change.before[i] : change.after[i];
  }
  return image_;
}

Status MirrorTable::Bind(Statement& statement, int parameter, size_t column, const Value& value) {
  if (fit_.left_out[column]) return {};  // its parameter is in no statement
  return BindValue(statement, parameter, value, scratch_[column]);
}

Status MirrorTable::BindKey(Statement& statement, int first_parameter, Row row) {
  for (const uint32_t column : keys_) {
    TW_TRY(Bind(statement, first_parameter++, column, row[column]));
  }
  return {};
}

Result<std::optional<int64_t>> MirrorTable::HeldVersion(Row row) {
  TW_TRY(BindKey(version_, 1, row));
  TW_ASSIGN_OR_RETURN(const bool found, version_.Step());
  if (!found) return std::optional<int64_t>();
  const int64_t version = version_.Int64(0);
  version_.Reset();
  return std::optional<int64_t>(version);
}

}  // namespace tailwater
