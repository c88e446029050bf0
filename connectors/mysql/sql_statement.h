// What a statement in the log does to what we capture: just enough of it is read. Schemas come from
// table maps, never from here.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mysql/log_events.h"
#include "mysql/log_position.h"
#include "tailwater/schema.h"

namespace tailwater::mysql {

struct SqlStatement {
  enum class Kind : uint8_t {
    kNothing,  // touches no rows of tables: GRANT, CREATE USER, ANALYZE, SET, indexes, views, …
    kBegin,
    kCommit,
    kRollback,
    kSavepoint,         // `name`
    kRollbackTo,        // `name`
    kReleaseSavepoint,  // `name`
    kXaStart,           // `xid`; in place of BEGIN
    kXaEnd,
    kXaPrepare,
    kXaCommit,    // `xid`, `one_phase`
    kXaRollback,  // `xid`
    kTruncate,    // `tables`
    // ALTER, CREATE, DROP TABLE or DATABASE, ADD COLUMN, …: the next table map tells what came of
    // it. `tables`: whose rows are other ones behind it, and not in the log: RENAME onto a name,
    // CREATE OR REPLACE, EXCHANGE, TRUNCATE and DROP PARTITION, IMPORT TABLESPACE, ALTER IGNORE; an
    // ALTER that rewrites values is not among them: the values are the same. A table that is
    // dropped and made again: `dropped`, then `created`.
    kSchemaChange,
    // INSERT, UPDATE, DELETE, REPLACE, LOAD, CALL, CREATE … SELECT with the rows not in the log:
    // statement format. `tables` as far as they can be told.
    kRowsByStatement,
    kUnknown,  // cannot be told: halts if it may touch a captured table
  };
  Kind kind = Kind::kUnknown;
  std::string name;
  std::string xid;  // as XaPrepareEvent::xid
  bool one_phase = false;
  std::vector<TableName> tables;  // unquoted; without a database: the session's
  std::string_view why;           // kSchemaChange: what replaced the rows of `tables`, for people
  // kSchemaChange by RENAME (TABLE, or ALTER … RENAME TO): from, to; in the statement's order.
  std::vector<std::pair<TableName, TableName>> renamed;
  TableName altered;               // ALTER TABLE; empty: none
  std::vector<TableName> created;  // made, or (IF NOT EXISTS) there already
  std::vector<TableName> dropped;  // or renamed away: the name is free
  std::string dropped_database;
};

// Comments, /*!80000 … */ and /*M!100100 … */, SET STATEMENT … FOR, backticks, ANSI_QUOTES by
// `sql_mode`, NO_BACKSLASH_ESCAPES. The SQL is ASCII where it matters, or UTF-8: who calls has
// converted it. Never fails: what it does not know is kUnknown. Temporary tables are nothing.
SqlStatement ReadStatement(const QueryEvent& query, Flavour flavour);

}  // namespace tailwater::mysql
