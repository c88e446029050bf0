#include "postgres/sink/table_writer.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include "postgres/sink/copy_text.h"
#include "postgres/sink/sql_text.h"
#include "postgres/sink/target_errors.h"
#include "support/text.h"

namespace tailwater::postgres {
namespace {

// Index entries are limited to a third of a page; what is longer keeps its beginning and a hash.
constexpr size_t kLongestKey = 1000;

constexpr std::string_view kLeftOut =
    "a trigger of the target leaves the row as it was and says nothing; mend it, or set "
    "`fire_triggers: false`, then replay it";

void AppendNumber(int64_t number, std::string& out) {
  char buffer[24];
  out.append(buffer, std::to_chars(buffer, buffer + sizeof buffer, number).ptr);
}

void AppendKey(std::string_view key, std::string& out) {
  static constexpr char kDigits[] = "0123456789abcdef";
  const auto hex = [&](std::string_view bytes) {
    for (const char c : bytes) {
      out += kDigits[static_cast<unsigned char>(c) >> 4];
      out += kDigits[static_cast<unsigned char>(c) & 15];
    }
  };
  out += "\\\\x";
  hex(key.substr(0, kLongestKey));
  if (key.size() <= kLongestKey) return;
  uint64_t hash = 0xcbf2'9ce4'8422'2325u;
  for (const char c : key) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100'0000'01b3u;
  const uint64_t tail[2] = {hash, key.size()};
  hex({reinterpret_cast<const char*>(tail), sizeof tail});
}

}  // namespace

TableWriter::TableWriter(TargetSession& session, StagePool& stages, const std::string& state_schema,
                         Origin& origin, const TableSchema& schema, TargetFit fit)
    : session_(session),
      stages_(stages),
      origin_(origin),
      fit_(std::move(fit)),
      target_(QuotedName(fit_.target)),
      tombstones_(QuotedName(state_schema) + ".tombstones"),
      columns_(schema.columns()),
      keys_(schema.key_columns()),
      image_(schema.columns().size()) {
  for (const Column& column : columns_) separators_.push_back(ElementSeparator(column.type_name));
}

Result<std::unique_ptr<TableWriter>> TableWriter::Open(TargetSession& session, StagePool& stages,
                                                       const std::string& state_schema,
                                                       Origin& origin, const TableSchema& schema,
                                                       TargetFit fit) {
  std::unique_ptr<TableWriter> writer(
      new TableWriter(session, stages, state_schema, origin, schema, std::move(fit)));
  TW_TRY(writer->MakeStage());
  return writer;
}

// The statements know the target as t and the stage as s.
Status TableWriter::MakeStage() {
  const bool keyless = keys_.empty();
  std::string definition = fmt::format(
      "_tailwater_unit integer, _tailwater_kind smallint, {} bigint, _tailwater_mask integer, {}",
      kVersionColumn,
      keyless ? fmt::format("{} bigint", kHashColumn) : std::string("_tailwater_key bytea"));
  std::string names, staged;
  for (size_t i = 0; i < columns_.size(); ++i) {
    if (fit_.left_out[i]) continue;
    const std::string name = QuotedName(columns_[i].name);
    definition += fmt::format(", {} {}", name, fit_.types[i]);
    names += name + ", ";
    staged += fmt::format("s.{}, ", name);
  }
  TW_ASSIGN_OR_RETURN(stage_, stages_.Get(definition));
  copy_ = fmt::format(
      "COPY {} (_tailwater_unit, _tailwater_kind, {}, _tailwater_mask, {}{}) FROM STDIN",
      stage_->name, kVersionColumn, keyless ? kHashColumn : "_tailwater_key",
      names.empty() ? std::string() : ", " + names.substr(0, names.size() - 2));
  if (keyless) {
    MakeKeyless(names, staged);
  } else {
    MakeKeyed(names, staged);
  }
  return {};
}

void TableWriter::MakeKeyed(const std::string& names, const std::string& staged) {
  const std::string_view version = kVersionColumn;
  const std::string& stage = stage_->name;
  std::string keys, sets;
  for (const uint32_t key : keys_) {
    const std::string name = QuotedName(columns_[key].name);
    keys += (keys.empty() ? "" : ", ") + name;
    key_match_ += fmt::format("{0}t.{1} = s.{1}", key_match_.empty() ? "" : " AND ", name);
  }
  for (size_t i = 0; i < columns_.size(); ++i) {
    if (columns_[i].key || fit_.left_out[i]) continue;
    sets += fmt::format("{0} = EXCLUDED.{0}, ", QuotedName(columns_[i].name));
  }
  for (const std::string& absent : fit_.absent) sets += QuotedName(absent) + " = NULL, ";
  const auto buried = [&](std::string_view than) {
    return fmt::format(
        "EXISTS (SELECT FROM {} d WHERE d.origin = {} AND d.key = s._tailwater_key AND d.version > "
        "{})",
        tombstones_, origin_.id, than);
  };
  const std::string newest = fmt::format("s.{}", version);
  const auto put = [&](const std::string& where) {
    return fmt::format(
        "INSERT INTO {0} AS t ({1}{2}) OVERRIDING SYSTEM VALUE SELECT {3}s.{2} FROM {4} s WHERE "
        "s._tailwater_kind = 0{5} ON CONFLICT ({6}) DO UPDATE SET {7}{2} = EXCLUDED.{2} WHERE "
        "t.{2} <= EXCLUDED.{2}",
        target_, names, version, staged, stage, where, keys, sets);
  };
  put_ = put("");
  put_late_ = put(" AND NOT " + buried(newest));
  not_put_ = fmt::format(
      "SELECT s._tailwater_unit, coalesce(t.{3} < s.{3}, NOT {4}) FROM {0} s LEFT JOIN {1} t ON "
      "{2} "
      "WHERE s._tailwater_kind = 0 AND t.{3} IS DISTINCT FROM s.{3}",
      stage, target_, key_match_, version, buried(newest));
  remove_ = fmt::format(
      "DELETE FROM {0} t USING {1} s WHERE s._tailwater_kind = 1 AND {2} AND t.{3} <= s.{3}",
      target_, stage, key_match_, version);
  not_removed_ = fmt::format(
      "SELECT s._tailwater_unit, t.{3} <= s.{3} FROM {0} s JOIN {1} t ON {2} WHERE "
      "s._tailwater_kind = 1",
      stage, target_, key_match_, version);
  bury_ = fmt::format(
      "INSERT INTO {0} AS d (origin, key, version, deleted_at) SELECT {1}, s._tailwater_key, "
      "s.{2}, "
      "now() FROM {3} s WHERE s._tailwater_kind = 1 AND NOT EXISTS (SELECT FROM {4} t WHERE {5}) "
      "ON "
      "CONFLICT (origin, key) DO UPDATE SET version = EXCLUDED.version, deleted_at = "
      "EXCLUDED.deleted_at WHERE d.version < EXCLUDED.version",
      tombstones_, origin_.id, version, stage, target_, key_match_);
  not_patched_ = fmt::format(
      "SELECT s._tailwater_unit, NOT (coalesce(t.{0} > s.{0}, false) OR {1}) FROM {2} s LEFT JOIN "
      "{3} t ON {4} WHERE s._tailwater_kind = 2 AND t.{0} IS DISTINCT FROM s.{0}",
      version, buried(newest), stage, target_, key_match_);
}

void TableWriter::MakeKeyless(const std::string& names, const std::string& staged) {
  const std::string& stage = stage_->name;
  put_ = fmt::format(
      "INSERT INTO {0} ({1}{2}, {3}) OVERRIDING SYSTEM VALUE SELECT {4}s.{2}, s.{3} FROM {5} s "
      "WHERE s._tailwater_kind = 0",
      target_, names, kVersionColumn, kHashColumn, staged, stage);
  // Rows are equal if the server prints them so: not every type has an equality. Of equal rows the
  // newest goes: an older one may be gone in the source already, and wait for its sweep.
  const auto row = [&](char table) {
    std::string values;
    for (size_t i = 0; i < columns_.size(); ++i) {
      if (fit_.left_out[i]) continue;
      if (!values.empty()) values += ", ";
      values += fmt::format("{}.{}", table, QuotedName(columns_[i].name));
    }
    return fmt::format("ROW({})::text", values);
  };
  const auto remove = [&](bool by_hash) {
    const std::string of_stage = by_hash ? fmt::format("s.{}, ", kHashColumn) : std::string();
    const std::string of_target = by_hash ? fmt::format("t.{}, ", kHashColumn) : std::string();
    return fmt::format(
        "WITH wanted AS (SELECT s._tailwater_unit AS unit, {0}{2} AS line, row_number() OVER "
        "(PARTITION BY {0}{2}) AS n FROM {4} s WHERE s._tailwater_kind = 1), held AS (SELECT "
        "t.ctid "
        "AS place, t.tableoid AS part, {1}{3} AS line, row_number() OVER (PARTITION BY {1}{3} "
        "ORDER "
        "BY t.{6} DESC) AS n FROM {5} t{7}) DELETE FROM {5} t USING held h, wanted w WHERE "
        "{8}h.line "
        "= w.line AND h.n = w.n AND t.ctid = h.place AND t.tableoid = h.part RETURNING w.unit",
        of_stage, of_target, row('s'), row('t'), stage, target_, kVersionColumn,
        by_hash ? fmt::format(" WHERE t.{0} IN (SELECT {0} FROM wanted)", kHashColumn)
                : std::string(),
        by_hash ? fmt::format("h.{0} = w.{0} AND ", kHashColumn) : std::string());
  };
  remove_ = remove(true);
  remove_by_scan_ = remove(false);
}

Status TableWriter::Write(std::span<Item> items) {
  text_.clear();
  units_.clear();
  puts_by_hash_.clear();
  for (size_t i = 0; i < items.size(); ++i) {
    const size_t size = text_.size();
    Status built = Build(items[i], i);
    if (built) continue;
    if (built.error().disposition != Disposition::kReject) return built;
    text_.resize(size);
    items[i].verdict = Refused(built.error());
  }
  return WriteUnits(items, 0, units_.size());
}

Status TableWriter::Build(Item& item, size_t number) {
  const Change& change = *item.change->last->change;
  item.verdict = Verdict::Applied();
  if (change.version < origin_.swept_version) {
    item.verdict = Verdict::Superseded();
    return {};
  }
  Unit unit;
  unit.item = number;
  unit.version = change.version;
  TW_TRY(keys_.empty() ? BuildKeyless(item, unit) : BuildKeyed(item, unit));
  if (unit.put || unit.remove) units_.push_back(unit);
  return {};
}

Status TableWriter::BuildKeyed(Item& item, Unit& unit) {
  const Delivery& last = *item.change->last;
  if (last.change->operation == Operation::kDelete) {
    return AppendLine(Kind::kRemove, unit, last.key, last.change->before, unit.remove);
  }
  const Row image = Image(item.change->after, last.change->before);
  if (!partial_) return AppendLine(Kind::kPut, unit, last.key, image, unit.put);
  if (item.change->base_gone) {
    item.verdict = Verdict::Rejected(kBaseMissing,
                                     "some columns are unchanged, and the row was deleted before");
    return {};
  }
  unit.patch = PatchOf(image);
  return AppendLine(Kind::kPatch, unit, last.key, image, unit.put);
}

// The net effect of the batch: what it writes and takes away again is never sent.
Status TableWriter::BuildKeyless(Item& item, Unit& unit) {
  const Change& change = *item.change->last->change;
  const bool removes =
      change.operation == Operation::kUpdate || change.operation == Operation::kDelete;
  // The row may be older than this copy: then there is nothing to remove.
  if (removes && change.before.empty()) {
    return Error{Disposition::kReject, "before_image_missing",
                 "the table has no key and the record no old row; run ALTER TABLE … REPLICA "
                 "IDENTITY FULL in the source"};
  }
  Row image;
  if (change.operation != Operation::kDelete) {
    image = Image(change.after, change.before);
    if (partial_) {
      item.verdict = Verdict::Rejected(
          kBaseMissing, "some columns are unchanged, and the table has no key to find the rest by");
      return {};
    }
  }
  if (removes) {
    TW_TRY(AppendLine(Kind::kRemove, unit, {}, change.before, unit.remove));
    const std::string_view row =
        std::string_view(text_).substr(unit.remove.row, unit.remove.end - unit.remove.row);
    std::vector<size_t>& puts = puts_by_hash_[HashRow(columns_, change.before)];
    for (size_t i = puts.size(); i-- > 0;) {
      Line& put = units_[puts[i]].put;
      if (std::string_view(text_).substr(put.row, put.end - put.row) != row) continue;
      put = {};
      unit.remove = {};
      puts.erase(puts.begin() + static_cast<ptrdiff_t>(i));
      break;
    }
  }
  if (change.operation == Operation::kDelete) return {};
  TW_TRY(AppendLine(Kind::kPut, unit, {}, image, unit.put));
  puts_by_hash_[HashRow(columns_, image)].push_back(units_.size());
  return {};
}

Row TableWriter::Image(Row after, Row before) {
  partial_ = false;
  for (size_t i = 0; i < after.size(); ++i) {
    image_[i] = after[i];
    if (fit_.left_out[i]) {
      if (after[i].has_value()) ++left_out_;
      continue;
    }
    if (after[i].is_omitted()) ++omitted_;
    if (!after[i].is_unchanged()) continue;
    const bool known = !before.empty() && (before[i].has_value() || before[i].is_null());
    if (known) image_[i] = before[i];
    partial_ = partial_ || !known;
  }
  return image_;
}

Status TableWriter::AppendLine(Kind kind, const Unit& unit, std::string_view key, Row row,
                               Line& line) {
  line.begin = text_.size();
  AppendNumber(static_cast<int64_t>(units_.size()), text_);
  text_ += '\t';
  AppendNumber(static_cast<int>(kind), text_);
  text_ += '\t';
  AppendNumber(unit.version, text_);
  text_ += '\t';
  AppendNumber(unit.patch, text_);
  text_ += '\t';
  if (keys_.empty()) {
    AppendNumber(HashRow(columns_, row), text_);
  } else {
    AppendKey(key, text_);
  }
  line.row = text_.size();
  const bool key_only = kind == Kind::kRemove && !keys_.empty();
  for (size_t i = 0; i < columns_.size(); ++i) {
    if (fit_.left_out[i]) continue;
    text_ += '\t';
    if (key_only && !columns_[i].key) {
      text_ += "\\N";
      continue;
    }
    if (Status status = AppendCopyValue(row[i], separators_[i], text_); !status) {
      return std::move(status).error().Within(fmt::format("column '{}'", columns_[i].name));
    }
  }
  text_ += '\n';
  line.end = text_.size();
  return {};
}

int TableWriter::PatchOf(Row row) {
  mask_.clear();
  for (const Value& value : row) mask_ += value.is_unchanged() ? 'u' : 'v';
  for (size_t i = 0; i < patches_.size(); ++i) {
    if (patches_[i].mask == mask_) return static_cast<int>(i);
  }
  std::string sets;
  int64_t since = std::numeric_limits<int64_t>::min();
  for (size_t i = 0; i < row.size(); ++i) {
    if (fit_.left_out[i]) continue;
    // A row that is older never held what did not change.
    if (row[i].is_unchanged()) since = std::max(since, fit_.since[i]);
    if (columns_[i].key || row[i].is_unchanged()) continue;
    sets += fmt::format("{0} = s.{0}, ", QuotedName(columns_[i].name));
  }
  for (const std::string& absent : fit_.absent) sets += QuotedName(absent) + " = NULL, ";
  patches_.push_back(
      {mask_, fmt::format("UPDATE {0} t SET {1}{2} = s.{2} FROM {3} s WHERE s._tailwater_kind = 2 "
                          "AND s._tailwater_mask = {4} AND {5} AND t.{2} <= s.{2} AND t.{2} >= {6}",
                          target_, sets, kVersionColumn, stage_->name, patches_.size(), key_match_,
                          std::max<int64_t>(since, 0))});
  return static_cast<int>(patches_.size() - 1);
}

Status TableWriter::WriteUnits(std::span<Item> items, size_t first, size_t last) {
  if (first == last) return {};
  Status written = session_.Atomically([&] { return Apply(items, first, last); });
  if (written || written.error().disposition != Disposition::kReject) return written;
  if (last - first == 1) {
    items[units_[first].item].verdict = Refused(written.error());
    return {};
  }
  const size_t middle = first + (last - first) / 2;
  TW_TRY(WriteUnits(items, first, middle));
  return WriteUnits(items, middle, last);
}

Status TableWriter::Apply(std::span<Item> items, size_t first, size_t last) {
  lines_.clear();
  int64_t puts = 0, removes = 0, patches = 0;
  int64_t oldest_put = std::numeric_limits<int64_t>::max();
  int64_t newest_remove = 0;
  for (size_t i = first; i < last; ++i) {
    const Unit& unit = units_[i];
    items[unit.item].verdict = Verdict::Applied();
    if (unit.remove) {
      lines_.append(text_, unit.remove.begin, unit.remove.end - unit.remove.begin);
      newest_remove = std::max(newest_remove, unit.version);
      ++removes;
    }
    if (!unit.put) continue;
    lines_.append(text_, unit.put.begin, unit.put.end - unit.put.begin);
    if (unit.patch >= 0) {
      ++patches;
    } else {
      oldest_put = std::min(oldest_put, unit.version);
      ++puts;
    }
  }
  if (lines_.empty()) return {};
  TW_TRY(stages_.Clear(*stage_));
  stage_->used = true;
  TW_TRY(session_.CopyIn(copy_, lines_));
  if (keys_.empty()) {
    if (removes > 0) TW_TRY(RemoveKeyless(removes));
    if (puts == 0) return {};
    TW_ASSIGN_OR_RETURN(const int64_t put, session_.Count(put_));
    if (put == puts) return {};
    return Error{Disposition::kReject, "pg_trigger_refused", std::string(kLeftOut)};
  }
  // Deletes go first: they free what a unique index holds. Only what comes late can meet a
  // tombstone.
  const bool late = oldest_put <= origin_.deleted_version;
  if (removes > 0) {
    TW_TRY(Remove(items, removes));
    if (newest_remove > origin_.deleted_version) {
      origin_.deleted_version = newest_remove;
      origin_.changed = true;
    }
  }
  if (patches > 0) TW_TRY(PutPatches(items, first, last));
  if (puts > 0) TW_TRY(Put(items, puts, late));
  return {};
}

Status TableWriter::Remove(std::span<Item> items, int64_t count) {
  TW_ASSIGN_OR_RETURN(const int64_t removed, session_.Count(remove_));
  if (removed < count) TW_TRY(Supersede(items, not_removed_, LeftOut()));
  TW_TRY(session_.Run(bury_));
  return {};
}

Status TableWriter::Put(std::span<Item> items, int64_t count, bool late) {
  TW_ASSIGN_OR_RETURN(const int64_t put, session_.Count(late ? put_late_ : put_));
  return put < count ? Supersede(items, not_put_, LeftOut()) : Status();
}

Status TableWriter::PutPatches(std::span<Item> items, size_t first, size_t last) {
  std::vector<bool> used(patches_.size());
  int64_t count = 0;
  for (size_t i = first; i < last; ++i) {
    if (!units_[i].put || units_[i].patch < 0) continue;
    used[static_cast<size_t>(units_[i].patch)] = true;
    ++count;
  }
  int64_t patched = 0;
  for (size_t i = 0; i < patches_.size(); ++i) {
    if (!used[i]) continue;
    TW_ASSIGN_OR_RETURN(const int64_t rows, session_.Count(patches_[i].update));
    patched += rows;
  }
  if (patched == count) return {};
  return Supersede(
      items, not_patched_,
      Verdict::Rejected(kBaseMissing,
                        "some columns are unchanged, and the row is not in the target"));
}

Status TableWriter::RemoveKeyless(int64_t count) {
  TW_ASSIGN_OR_RETURN(const Rows removed, session_.Run(remove_));
  if (removed.size() == count || !fit_.altered) return {};
  // Rows written before a column changed carry another hash.
  std::string done;
  for (int row = 0; row < removed.size(); ++row) {
    done += fmt::format("{}{}", done.empty() ? "" : ", ", removed.Text(row, 0));
  }
  if (!done.empty()) {
    TW_TRY(session_.Run(
        fmt::format("DELETE FROM {} WHERE _tailwater_kind = 1 AND _tailwater_unit IN ({})",
                    stage_->name, done)));
  }
  TW_TRY(session_.Run(remove_by_scan_));
  return {};
}

Status TableWriter::Supersede(std::span<Item> items, const std::string& query,
                              const Verdict& otherwise) {
  TW_ASSIGN_OR_RETURN(const Rows rows, session_.Run(query));
  for (int row = 0; row < rows.size(); ++row) {
    const auto unit = static_cast<size_t>(rows.Number(row, 0));
    items[units_.at(unit).item].verdict = rows.Bool(row, 1) ? otherwise : Verdict::Superseded();
  }
  return {};
}

Verdict TableWriter::LeftOut() const {
  return Refused({Disposition::kReject, "pg_trigger_refused", std::string(kLeftOut)});
}

Verdict TableWriter::Refused(const Error& error) const {
  std::string type;
  for (size_t i = 0; i < columns_.size(); ++i) {
    if (error.message.find(fmt::format("column '{}'", columns_[i].name)) == std::string::npos)
      continue;
    type = fmt::format(" ({}, in the target {})", columns_[i].type_name,
                       fit_.types[i].empty() ? "left out" : fit_.types[i]);
  }
  return Verdict::Rejected(error.code, fmt::format("{} into {}{}: {}", origin_.table,
                                                   fit_.target.ToString(), type, error.message));
}

}  // namespace tailwater::postgres
