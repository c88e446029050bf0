#include "mysql/catalog.h"

#include "mysql/described_table.h"
#include "mysql/server_facts.h"
#include "support/text.h"

namespace tailwater::mysql {

Result<TableFacts> Catalog::Table(const TableName& table) {
  // A session that was idle for too long is opened anew here.
  TW_TRY(session_.Query("DO 0"));
  TW_ASSIGN_OR_RETURN(Connection * sql, session_.Get());
  TW_ASSIGN_OR_RETURN(TableFacts facts, ReadTableFacts(*sql, table));
  if (!facts.found) TW_TRY(CheckGone(table));
  return facts;
}

Status Catalog::CheckGone(const TableName& table) {
  const Result<Rows> probe =
      session_.Query(fmt::format("SELECT 1 FROM {}.{} LIMIT 0", Connection::QuoteName(table.schema),
                                 Connection::QuoteName(table.name)));
  if (probe || probe.error().code != "mysql_privilege_missing")
    return probe || probe.error().disposition != Disposition::kRetry ? Status()
                                                                     : Status(probe.error());
  TW_ASSIGN_OR_RETURN(Connection * sql, session_.Get());
  TW_ASSIGN_OR_RETURN(const std::string account, ReadAccount(*sql));
  return Error{Disposition::kNeedsOperator, "mysql_privilege_missing",
               fmt::format("the user may not see table {}, whose changes are in the log: GRANT "
                           "SELECT ON {}.* TO {};",
                           table.ToString(), Connection::QuoteName(table.schema), account)};
}

Result<std::string> Catalog::Charset(uint32_t collation) {
  if (charsets_.empty()) TW_TRY(ReadCharsets());
  const auto found = charsets_.find(collation);
  return found == charsets_.end() ? std::string() : found->second;
}

Status Catalog::ReadCharsets() {
  TW_ASSIGN_OR_RETURN(
      const Rows named,
      session_.Query("SELECT ID, CHARACTER_SET_NAME FROM information_schema.COLLATIONS WHERE ID IS "
                     "NOT NULL AND CHARACTER_SET_NAME IS NOT NULL"));
  for (int i = 0; i < named.size(); ++i) {
    charsets_[static_cast<uint32_t>(named.MaybeNumber(i, 0).value_or(0))] = named.String(i, 1);
  }
  // Now: the question may have taken a session anew.
  TW_ASSIGN_OR_RETURN(const Connection* const sql, session_.Get());
  // Collations that several character sets share have their ids there (uca1400).
  if (sql->flavour() == Flavour::kMariadb && sql->server_version() >= 101001) {
    TW_ASSIGN_OR_RETURN(
        const Rows shared,
        session_.Query("SELECT ID, CHARACTER_SET_NAME FROM "
                       "information_schema.COLLATION_CHARACTER_SET_APPLICABILITY WHERE ID IS NOT "
                       "NULL"));
    for (int i = 0; i < shared.size(); ++i) {
      charsets_[static_cast<uint32_t>(shared.MaybeNumber(i, 0).value_or(0))] = shared.String(i, 1);
    }
  }
  return {};
}

}  // namespace tailwater::mysql
