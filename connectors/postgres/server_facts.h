// What a look at the server's catalogs tells: the server itself, the slot, the publication, tables.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "postgres/connection.h"
#include "postgres/lsn.h"
#include "tailwater/result.h"
#include "tailwater/schema.h"
#include "tailwater/tables.h"

namespace tailwater::postgres {

struct ServerFacts {
  std::string system_identifier;
  uint32_t timeline = 0;
  Lsn wal_end;  // flushed
  uint32_t database_oid = 0;
  bool in_recovery = false;
  std::string wal_level;
};
Result<ServerFacts> ReadServer(Connection& replication, Connection& sql);

struct SlotFacts {
  std::string name;
  std::string plugin;
  std::string database;
  bool temporary = false;
  bool active = false;
  int64_t active_pid = 0;
  std::optional<Lsn> restart;    // none: invalidated
  std::optional<Lsn> confirmed;  // none: being created
  std::string wal_status;        // empty before 13
  std::optional<int64_t> safe_wal_size;
  std::string invalidation_reason;  // 17 and later
  bool conflicting = false;         // 16 and later: a standby's slot that recovery stood against

  bool lost() const { return wal_status == "lost" || !invalidation_reason.empty() || !restart; }
  // Of a lost one: the server's word for it with the setting that did it.
  std::string WhyLost() const;
};
Result<std::optional<SlotFacts>> ReadSlot(Connection& sql, const std::string& name);

struct TableFacts {
  uint32_t oid = 0;
  uint32_t schema_oid = 0;
  TableName name;
  std::string quoted;  // for SQL
  char kind = 'r';     // r, p (partitioned)
  char persistence = 'p';
  char identity = 'd';       // relreplident
  bool primary_key = false;  // valid and immediate
  bool identity_index = false;
  std::vector<uint32_t> ancestors;  // a partition's parents
  bool can_select = false;

  // Postgres can name the row that was updated or deleted; without, it refuses UPDATE and DELETE
  // once the table is published.
  bool has_identity() const {
    return identity == 'f' || (identity == 'd' && primary_key) ||
           (identity == 'i' && identity_index);
  }
};
// Every ordinary and partitioned table outside the system schemas; `only` that one, if it is there.
Result<std::vector<TableFacts>> ReadTables(Connection& sql, const TableName* only = nullptr);

struct PublicationFacts {
  uint32_t oid = 0;
  bool all_tables = false;
  bool via_root = false;
  bool whole = false;  // insert, update, delete and truncate
  std::string comment;
  std::set<uint32_t> listed;   // tables that stand in it by name
  std::set<uint32_t> schemas;  // 15 and later: TABLES IN SCHEMA

  // Whether changes of the table come under its own name. Worked out from the catalogs:
  // pg_publication_tables waits for whoever holds a lock on any of the tables.
  bool Publishes(const TableFacts& table, const std::vector<TableFacts>& all) const;
};
Result<std::optional<PublicationFacts>> ReadPublication(Connection& sql, const std::string& name);

// A reason why a selected table cannot be captured, with the SQL that removes it.
struct TableProblem {
  std::string code;
  std::string table;
  std::string message;
  std::string remedy;
};

struct SelectedTables {
  std::vector<const TableFacts*>
      tables;                          // into `all`; a partition only where no parent is selected
  std::vector<std::string> unmatched;  // entries without a wildcard that name no table
};
// `mark_table` is never selected.
SelectedTables SelectTables(const std::vector<TableFacts>& all, const TableSelection& selection,
                            const std::string& source, const TableName& mark_table);
// No identity, unlogged, partitions that disagree with their root, partitioned on 12.
std::vector<TableProblem> FindTableProblems(const std::vector<TableFacts>& all,
                                            const TableFacts& table, int major_version);

// Transactions that were open when a slot is being created, oldest first: "pid 123 (open for
// 00:05:00, idle in transaction): UPDATE …". The server waits for them.
Result<std::string> DescribeOpenTransactions(Connection& sql);

}  // namespace tailwater::postgres
