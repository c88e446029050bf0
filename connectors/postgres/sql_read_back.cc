#include "postgres/sql_read_back.h"

#include <poll.h>

#include <algorithm>
#include <chrono>
#include <optional>

#include "support/text.h"

namespace tailwater::postgres {

Result<ReadBackAnswer> SqlReadBack::Read(const ReadBackRequest& request) {
  if (!enabled_) return ReadBackAnswer{};
  reads_.Add();
  bool key_as_text = false;
  auto next_keep_alive = std::chrono::steady_clock::now() + std::chrono::seconds(1);
  // A commit is streamed before it is visible: usually for microseconds, but for as long as a
  // synchronous standby takes.
  for (int pause_ms = 1;; pause_ms = std::min(pause_ms * 2, 100)) {
    Result<std::optional<ReadBackAnswer>> answer = TryRead(request, key_as_text);
    if (!answer && answer.error().code == "pg_operator_missing" && !key_as_text) {
      key_as_text = true;  // slower, but every type has a text
      continue;
    }
    const bool changed_under_us = !answer && (answer.error().code == "pg_column_missing" ||
                                              answer.error().code == "pg_table_missing");
    if (!answer && !changed_under_us) {
      return std::move(answer).error().Within("reading back from table " + request.schema->table());
    }
    if (answer && *answer) return **std::move(answer);
    const Interrupt& interrupt = session_.interrupt();
    if (interrupt.stop.stop_requested())
      return Error{Disposition::kCancelled, "stopped", "asked to stop"};
    if (std::chrono::steady_clock::now() >= next_keep_alive) {
      session_.KeepAlive();
      next_keep_alive = std::chrono::steady_clock::now() + std::chrono::seconds(1);
    }
    poll(nullptr, 0, pause_ms);
  }
}

Result<std::optional<ReadBackAnswer>> SqlReadBack::TryRead(const ReadBackRequest& request,
                                                           bool key_as_text) {
  TW_ASSIGN_OR_RETURN(
      const Rows now,
      session_.Query("select format('%I.%I', n.nspname, c.relname), a.attname, "
                     "quote_ident(a.attname) from pg_class c "
                     "join pg_namespace n on n.oid = c.relnamespace "
                     "join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not "
                     "a.attisdropped where c.oid = $1::oid",
                     {std::to_string(request.relation_oid)}));
  ReadBackAnswer answer;
  if (now.empty()) return std::optional(std::move(answer));  // the table is gone
  const auto quoted = [&](const std::string& column) -> std::string {
    for (int i = 0; i < now.size(); ++i)
      if (now.Text(i, 1) == column) return now.String(i, 2);
    return {};
  };

  const auto& columns = request.schema->columns();
  const auto& key = request.schema->key_columns();
  TW_ASSIGN_OR_RETURN(Connection * connection, session_.Get());
  const int version = connection->major_version();
  // Begin names the low 32 bits of the transaction's number; the whole number is the nearest one to
  // the newest, on either side of it. Parameter 1 is the transaction, the key follows.
  const char* functions[2][3] = {
      {"txid_visible_in_snapshot", "txid_current_snapshot()", "txid_snapshot_xmax"},
      {"pg_visible_in_snapshot", "pg_current_snapshot()", "pg_snapshot_xmax"}};
  const auto& [visible, snapshot, newest] = functions[version >= 13 ? 1 : 0];
  const std::string newest_number = fmt::format("{}({})::text::int8", newest, snapshot);
  const std::string whole_xid =
      fmt::format("{0} + (($1::int8 - ({0} & 4294967295) + 2147483648) & 4294967295) - 2147483648",
                  newest_number);
  std::string select = version >= 13
                           ? fmt::format("{}(({})::text::xid8, {})", visible, whole_xid, snapshot)
                           : fmt::format("{}({}, {})", visible, whole_xid, snapshot);
  select.insert(0, "select ");
  select += ", r.here";
  std::string inner = "select true as here";
  answer.values.resize(request.columns.size());
  answer.gone.resize(request.columns.size(), false);
  std::vector<size_t> asked;
  for (size_t i = 0; i < request.columns.size(); ++i) {
    const std::string name = quoted(columns[request.columns[i]].name);
    if (name.empty()) {
      answer.gone[i] = true;
      continue;
    }
    inner += fmt::format(", {} as c{}", name, i);
    select += fmt::format(", r.c{}", i);
    asked.push_back(i);
  }
  std::vector<std::string> parameters = {std::to_string(request.xid)};
  std::vector<int> formats = {0};
  std::string where;
  for (size_t i = 0; i < key.size(); ++i) {
    const std::string name = quoted(columns[key[i]].name);
    if (name.empty()) return std::optional(ReadBackAnswer{});  // the key is no more
    where += fmt::format("{}{}{} = ${}", i == 0 ? "" : " and ", name, key_as_text ? "::text" : "",
                         i + 2);
    parameters.emplace_back(request.key[i].bytes);
    formats.push_back(request.key[i].binary ? 1 : 0);
  }
  TW_ASSIGN_OR_RETURN(
      const Rows rows,
      session_.Query(fmt::format("{} from (select) o left join ({} from {} where {} limit 1) r on "
                                 "true",
                                 select, inner, now.Text(0, 0), where),
                     parameters, formats));
  if (!rows.Bool(0, 0)) return std::optional<ReadBackAnswer>();
  if (!rows.Bool(0, 1)) return std::optional(ReadBackAnswer{});  // the row is gone
  answer.found = true;
  for (size_t i = 0; i < asked.size(); ++i)
    answer.values[asked[i]] = rows.MaybeText(0, static_cast<int>(i) + 2);
  return std::optional(std::move(answer));
}

}  // namespace tailwater::postgres
