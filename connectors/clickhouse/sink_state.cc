#include "clickhouse/sink_state.h"

#include <algorithm>
#include <charconv>

#include "clickhouse/sql_text.h"
#include "support/text.h"

namespace tailwater::clickhouse {
namespace {

int64_t Number(const std::string& text) {
  int64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

}  // namespace

std::string HexOf(std::string_view bytes) {
  std::string out;
  out.reserve(2 * bytes.size());
  for (const char c : bytes) {
    constexpr char kDigits[] = "0123456789abcdef";
    out += kDigits[static_cast<unsigned char>(c) >> 4];
    out += kDigits[static_cast<unsigned char>(c) & 15];
  }
  return out;
}

std::string RefusedKey(std::string_view hex, int64_t version) {
  return fmt::format("{}:{:019}", hex, version);
}

std::string SinkState::Table() const {
  return Name(config_.database) + "." + Name(config_.state_table);
}

Status SinkState::Open(Server& server) {
  TW_ASSIGN_OR_RETURN(const auto databases,
                      server.Rows(fmt::format("SELECT name FROM system.databases WHERE name = {}",
                                              Quoted(config_.database)),
                                  1));
  if (databases.empty()) {
    return Error{Disposition::kNeedsOperator, "clickhouse_database_missing",
                 fmt::format("{} has no database '{}', or the user may not see it: correct "
                             "`database`, or run CREATE DATABASE {}",
                             server.label(), config_.database, Name(config_.database))};
  }
  TW_ASSIGN_OR_RETURN(
      const auto tables,
      server.Rows(fmt::format("SELECT name FROM system.tables WHERE database = {} AND name = {}",
                              Quoted(config_.database), Quoted(config_.state_table)),
                  1));
  if (!tables.empty()) return {};
  const std::string create = fmt::format(
      "CREATE TABLE IF NOT EXISTS {} (target String, origin String, kind String, key String, "
      "version UInt64) ENGINE = ReplacingMergeTree(version) ORDER BY (target, origin, kind, key){}",
      Table(), facts_.modern() ? fmt::format(" SETTINGS {}", kDurableTable) : "");
  if (!config_.create) {
    return Error{
        Disposition::kNeedsOperator, "clickhouse_state_missing",
        fmt::format("the sink's own table is not there and create is false: run {}", create)};
  }
  return server.Execute(create);
}

void SinkState::Note(const Entry& entry, Known& known) const {
  known.adopted = known.adopted || entry.kind == "column";
  known.made = known.made || entry.kind == "made";
  if (entry.kind == "swept") known.swept = std::max(known.swept, entry.version);
  if (entry.kind == "column") {
    Column& column = known.columns[entry.key];
    column.since = std::max(column.since, entry.version);
  }
  if (entry.kind == "dropped") {
    Column& column = known.columns[entry.key];
    column.dropped = std::max(column.dropped, entry.version);
  }
}

Result<SinkState::Known*> SinkState::Load(Server& server, const std::string& origin,
                                          const std::string& target) {
  TW_ASSIGN_OR_RETURN(
      const auto rows,
      server.Rows(fmt::format("SELECT kind, key, max(version) FROM {} WHERE target = {} AND "
                              "origin = {} AND kind != 'refused' GROUP BY kind, key",
                              Table(), Quoted(target), Quoted(origin)),
                  3));
  Known& known = known_[{origin, target}];
  // A sweep that was noted without being stored is not forgotten.
  const int64_t swept = known.swept;
  known = {};
  known.swept = swept;
  for (const auto& row : rows) Note({row.at(0), row.at(1), Number(row.at(2))}, known);
  return &known;
}

int64_t SinkState::SweptVersion(const std::string& origin, const std::string& target) const {
  const auto found = known_.find({origin, target});
  return found == known_.end() ? 0 : found->second.swept;
}

Status SinkState::Store(Server& server, const std::string& origin, const std::string& target,
                        std::span<const Entry> entries) {
  if (entries.empty()) return {};
  Statement statement;
  statement.query =
      fmt::format("INSERT INTO {} (target, origin, kind, key, version) VALUES ", Table());
  for (size_t i = 0; i < entries.size(); ++i) {
    statement.query +=
        fmt::format("{}({}, {}, {}, {}, {})", i == 0 ? "" : ", ", Quoted(target), Quoted(origin),
                    Quoted(entries[i].kind), Quoted(entries[i].key), entries[i].version);
  }
  if (facts_.Knows("async_insert")) statement.settings.emplace_back("async_insert", "0");
  if (facts_.Knows("insert_deduplicate"))
    statement.settings.emplace_back("insert_deduplicate", "0");
  HttpAnswer answer = server.Call(std::move(statement));
  const Judgement judgement = JudgeInsert(std::move(answer), server.label(), false);
  if (!judgement.good()) {
    return ToError(judgement).Within("table " + Table());
  }
  Known& known = known_[{origin, target}];
  for (const Entry& entry : entries) Note(entry, known);
  return {};
}

Result<std::set<std::string>> SinkState::RefusedWithin(Server& server, const std::string& origin,
                                                       const std::string& target,
                                                       std::span<const Span> spans) {
  std::set<std::string> refused;
  std::string within;
  for (const Span& span : spans) {
    within += fmt::format("{}(key > {} AND key < {})", within.empty() ? "" : " OR ",
                          Quoted(RefusedKey(span.key, span.after)),
                          Quoted(RefusedKey(span.key, span.before)));
  }
  if (within.empty()) return refused;
  TW_ASSIGN_OR_RETURN(
      const auto rows,
      server.Rows(fmt::format("SELECT DISTINCT substring(key, 1, position(key, ':') - 1) FROM {} "
                              "WHERE target = {} AND origin = {} AND kind = 'refused' AND ({})",
                              Table(), Quoted(target), Quoted(origin), within),
                  1));
  for (const auto& row : rows) refused.insert(row.at(0));
  return refused;
}

}  // namespace tailwater::clickhouse
