#include "clickhouse/base_reader.h"

#include <algorithm>

#include "clickhouse/sql_text.h"
#include "support/text.h"

namespace tailwater::clickhouse {
namespace {

// A whole number of 8 bytes at most, the lowest first.
int64_t WholeOf(std::string_view bytes) {
  uint64_t number = 0;
  for (size_t i = bytes.size(); i > 0; --i) {
    number = number << 8 | static_cast<uint8_t>(bytes[i - 1]);
  }
  return static_cast<int64_t>(number);
}

bool TakeValue(const Type& type, std::string_view& in, std::string_view& value) {
  const std::string_view before = in;
  if (!SkipValue(type, in)) return false;
  value = before.substr(0, before.size() - in.size());
  return true;
}

std::vector<std::string_view> NamesOf(std::string_view value) {
  std::vector<std::string_view> names;
  uint64_t count = 0;
  if (!TakeLength(value, count)) return names;
  for (uint64_t length = 0; count > 0 && TakeLength(value, length); --count) {
    names.push_back(value.substr(0, length));
    value.remove_prefix(std::min<size_t>(length, value.size()));
  }
  return names;
}

// Names and types in front of the rows, which are those of the plan.
bool TakeHeader(const TablePlan& plan, std::string_view& in) {
  std::vector<std::string_view> types;
  for (const PlannedColumn& column : plan.columns) types.push_back(column.type.text);
  for (const Meta meta : {Meta::kNullArrays, Meta::kVersion, Meta::kDeleted}) {
    if (const MetaColumn* column = plan.Find(meta)) types.push_back(column->type.text);
  }
  uint64_t count = 0;
  if (!TakeLength(in, count) || count != types.size()) return false;
  for (size_t i = 0; i < 2 * types.size(); ++i) {
    uint64_t length = 0;
    if (!TakeLength(in, length) || in.size() < length) return false;
    const std::string_view text = in.substr(0, length);
    in.remove_prefix(length);
    if (i >= types.size() && text != types[i - types.size()]) return false;
  }
  return true;
}

}  // namespace

std::string BaseQuery(const TablePlan& plan, std::span<const WantedRow> wanted, bool with_types) {
  std::string names, key, list;
  for (const PlannedColumn& column : plan.columns) names += Name(column.name) + ", ";
  if (const MetaColumn* nulls = plan.Find(Meta::kNullArrays)) names += Name(nulls->name) + ", ";
  for (const size_t i : plan.key) {
    key += (key.empty() ? "" : ", ") + Name(plan.columns[i].name);
  }
  for (const WantedRow& row : wanted) list += (list.empty() ? "" : ", ") + row.literal;
  const std::string version = Name(plan.Find(Meta::kVersion)->name);
  std::string query = fmt::format("SELECT {}{}, {} FROM {} WHERE ({}) IN ({})", names, version,
                                  Name(plan.Find(Meta::kDeleted)->name), plan.qualified, key, list);
  if (const MetaColumn* origin = plan.Find(Meta::kOrigin)) {
    query += fmt::format(" AND {} = {}", Name(origin->name), Quoted(plan.origin));
  }
  // Not FINAL: it would hide that a newer version is a deleted one.
  return query + fmt::format(" ORDER BY {}, {} DESC LIMIT 1 BY {} FORMAT RowBinary{}", key, version,
                             key, with_types ? "WithNamesAndTypes" : "");
}

bool ParseHeldRows(const TablePlan& plan, std::shared_ptr<const std::string> bytes, bool with_types,
                   HeldRows& held) {
  const MetaColumn* const nulls = plan.Find(Meta::kNullArrays);
  std::string_view in = *bytes;
  held.bytes.push_back(std::move(bytes));
  if (with_types && !TakeHeader(plan, in)) return false;
  while (!in.empty()) {
    HeldRow row;
    std::string_view value;
    for (const PlannedColumn& column : plan.columns) {
      if (!TakeValue(column.type, in, value)) return false;
      row.values.push_back(value);
    }
    if (nulls != nullptr) {
      if (!TakeValue(nulls->type, in, value)) return false;
      row.null_arrays = NamesOf(value);
    }
    if (!TakeValue(plan.Find(Meta::kVersion)->type, in, value)) return false;
    row.version = WholeOf(value);
    if (!TakeValue(plan.Find(Meta::kDeleted)->type, in, value)) return false;
    row.deleted = WholeOf(value) != 0;
    std::string key;
    for (const size_t i : plan.key) key += row.values[i];
    held.rows.insert_or_assign(std::move(key), std::move(row));
  }
  return true;
}

Result<HeldRows> ReadBases(Server& server, const ServerFacts& facts, const TablePlan& plan,
                           std::span<const WantedRow> wanted) {
  HeldRows held;
  if (wanted.empty()) return held;
  Statement statement;
  statement.query = BaseQuery(plan, wanted, facts.modern());
  constexpr std::string_view kJson = "output_format_binary_write_json_as_string";
  if (plan.sends_json && facts.Knows(kJson)) statement.settings.emplace_back(kJson, "1");
  HttpAnswer answer = server.Call(std::move(statement));
  if (answer.body_cut && wanted.size() > 1) {
    const size_t half = wanted.size() / 2;
    TW_ASSIGN_OR_RETURN(held, ReadBases(server, facts, plan, wanted.first(half)));
    TW_ASSIGN_OR_RETURN(HeldRows more, ReadBases(server, facts, plan, wanted.subspan(half)));
    held.bytes.insert(held.bytes.end(), more.bytes.begin(), more.bytes.end());
    held.rows.merge(more.rows);
    return held;
  }
  const Judgement judgement = Judge(answer, server.label(), false);
  const auto changed = [&] {
    return Error{
        Disposition::kRetry, "clickhouse_table_changed",
        fmt::format("table {} is not what it was any more; it is looked at again", plan.qualified)};
  };
  if (judgement.outcome == Outcome::kChanged) return changed();
  if (!judgement.good()) return ToError(judgement);
  auto bytes = std::make_shared<const std::string>(std::move(answer.body));
  if (!ParseHeldRows(plan, std::move(bytes), facts.modern(), held)) return changed();
  return held;
}

}  // namespace tailwater::clickhouse
