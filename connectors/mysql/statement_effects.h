// What a statement of the log does to tables of ours, as far as the log does not show it in rows.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "mysql/log_events.h"
#include "mysql/sql_statement.h"
#include "mysql/table_facts.h"
#include "tailwater/result.h"

namespace tailwater::mysql {

// Threads: one.
class StatementEffects {
 public:
  struct Effects {
    struct Replaced {
      TableName table;
      std::string_view why;
    };
    std::vector<Replaced> replaced;
    std::vector<TableName> truncated;
    // Another table than the catalog told of, or with other columns.
    bool described_anew = false;
  };

  StatementEffects(std::function<bool(const TableName&)> selects, CatalogFacts& facts)
      : selects_(std::move(selects)), facts_(facts) {}

  // lower_case_table_names = 1.
  void FoldNames(bool fold) { fold_names_ = fold; }

  // With the names as table maps have them. Errors: what CatalogFacts says.
  Result<SqlStatement> Read(const QueryEvent& query, Flavour flavour);

  // Of one that took effect, in the order of the log: what is dropped is remembered until something
  // of that name is made. kGap "mysql_statement_format", kFatal "mysql_statement_unknown".
  Result<Effects> Of(const SqlStatement& statement);

 private:
  bool Selects(const TableName& table) const { return !selects_ || selects_(table); }
  Result<QueryEvent> InUtf8(const QueryEvent& query);
  void Fold(SqlStatement& statement) const;
  Effects OfSchemaChange(const SqlStatement& statement);

  const std::function<bool(const TableName&)> selects_;
  CatalogFacts& facts_;
  bool fold_names_ = false;
  std::set<TableName> dropped_;  // ours that went; made again, they hold other rows
  std::set<std::string> dropped_databases_;
  std::string utf8_;
};

}  // namespace tailwater::mysql
