#include "postgres/mark_writer.h"

#include "postgres/server_facts.h"
#include "support/text.h"

namespace tailwater::postgres {
namespace {

Error WithRemedy(Error error, std::string_view remedy) {
  if (error.disposition == Disposition::kRetry) return error;
  return Error{Disposition::kNeedsOperator, "pg_watermark_table",
               fmt::format("snapshots need a table for their marks on this server: {} ({})", remedy,
                           error.message)};
}

}  // namespace

Status MarkWriter::Prepare(Connection& sql) {
  if (sql.major_version() < 14) by_table_ = true;
  if (!by_table_) return {};
  const std::string table = sql.QuoteName(table_.schema) + "." + sql.QuoteName(table_.name);
  const std::string create =
      fmt::format("CREATE TABLE {} (reader int PRIMARY KEY, mark text NOT NULL)", table);
  const std::string publish =
      fmt::format("ALTER PUBLICATION {} ADD TABLE {}", sql.QuoteName(names_.publication), table);
  TW_ASSIGN_OR_RETURN(const Rows role, sql.Query("select quote_ident(current_user)"));
  const std::string by_hand = fmt::format(
      "{}; GRANT USAGE ON SCHEMA {} TO {}; GRANT SELECT, INSERT, UPDATE ON {} TO {}; {};", create,
      sql.QuoteName(table_.schema), role.Text(0, 0), table, role.Text(0, 0), publish);

  TW_ASSIGN_OR_RETURN(std::vector<TableFacts> found, ReadTables(sql, &table_));
  if (found.empty()) {
    if (Result<Rows> created = sql.Query(create); !created) {
      // Another reader may have made it at the same moment.
      TW_ASSIGN_OR_RETURN(found, ReadTables(sql, &table_));
      if (found.empty()) return WithRemedy(std::move(created).error(), by_hand);
    }
    TW_ASSIGN_OR_RETURN(found, ReadTables(sql, &table_));
    if (found.empty()) {
      return Error{Disposition::kRetry, "pg_table_missing",
                   "the table of watermarks vanished as soon as it was made; trying again"};
    }
  }
  TW_ASSIGN_OR_RETURN(const auto publication, ReadPublication(sql, names_.publication));
  if (!publication) {
    return Error{Disposition::kRetry, "pg_publication_missing",
                 "the publication is gone; the stream will say so; trying again"};
  }
  if (publication->Publishes(found[0], found)) return {};
  Result<Rows> added = Error{Disposition::kNeedsOperator, "pg_watermark_table",
                             "the publication is not ours to change"};
  if (publication->comment == names_.tag) added = sql.Query(publish);
  if (!added) return WithRemedy(std::move(added).error(), publish + ";");
  return {};
}

Status MarkWriter::Write(Connection& sql, const std::string& text) {
  if (!by_table_) {
    TW_TRY(sql.Query("select pg_logical_emit_message(true, $1, $2)",
                     {std::string(kMarkPrefix), text}));
    return {};
  }
  // One row per session: the table stays small.
  Result<Rows> written = sql.Query(
      fmt::format("insert into {}.{} (reader, mark) values (pg_backend_pid(), $1) on conflict "
                  "(reader) do update set mark = excluded.mark",
                  sql.QuoteName(table_.schema), sql.QuoteName(table_.name)),
      {text});
  if (!written) {
    return WithRemedy(std::move(written).error(),
                      fmt::format("GRANT SELECT, INSERT, UPDATE ON {}.{} TO the role;",
                                  sql.QuoteName(table_.schema), sql.QuoteName(table_.name)));
  }
  return {};
}

}  // namespace tailwater::postgres
