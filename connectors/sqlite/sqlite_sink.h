// Mirrors tables into one SQLite file: an embedded copy, with full-text search where it is asked
// for.
//
// Transactional: rows, offsets and log id are stored in one transaction, so even tables without a
// key are exact. A late or repeated change is harmless by its version (README.md). Threads: the
// sink's own; readers of the file are never blocked (WAL).
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "sqlite/mirror_table.h"
#include "sqlite/origin_catalog.h"
#include "sqlite/tombstones.h"
#include "support/sqlite.h"
#include "tailwater/config.h"
#include "tailwater/registry.h"
#include "tailwater/sink.h"

namespace tailwater {

struct SqliteSinkConfig {
  std::string path;
};
struct SqliteTableOptions {
  std::string table;                // in the file; empty: DefaultTarget()
  std::vector<std::string> search;  // columns of the full-text index <table>_search
};
const OptionTable& SqliteSinkOptions();
const OptionTable& SqliteTableOptionsTable();

class SqliteSink final : public Sink, public TransactionalSink {
 public:
  SqliteSink(SqliteSinkConfig config, TableRules<SqliteTableOptions> rules, SinkContext context);

  // kNeedsOperator "sqlite_foreign_file": the file belongs to another sink; "sqlite_newer_file".
  // From later calls, kNeedsOperator "sqlite_file_moved": the path names another file, or none.
  Status Open() override;
  Result<std::vector<Verdict>> Write(const DeliveryBatch& batch) override;
  Status Sweep(const SweepRequest& request) override;
  TransactionalSink* transactional() override { return this; }

  Result<Stored> StoredOffsets() override;
  Result<CommitOutcome> Commit(std::string_view log_id, const Offsets& expected,
                               const Offsets& next) override;
  void Rollback() override;

 private:
  Status CreateMeta();
  Status CheckFileIsInPlace() const;
  Status Begin();
  Result<Verdict> WriteOne(const Delivery& delivery);
  // kReject: this table cannot be mirrored as it is.
  // kNeedsOperator with a code of PrepareTarget(): it takes nothing of this table.
  Result<MirrorTable*> TableFor(const Change& change);
  struct Opened;
  Result<MirrorTable*> Prepare(const Change& change, Opened& tables);
  Result<bool> HoldsExpected(std::string_view log_id, const Offsets& expected, const Offsets& next);

  const SqliteSinkConfig config_;
  const TableRules<SqliteTableOptions> rules_;
  const std::string owner_;  // "pipeline/sink"
  const std::string name_;
  const SchemaChanges schema_changes_;
  const Logger logger_;
  Counter& omitted_total_;
  Counter& left_out_total_;

  sqlite::Database database_;
  uint64_t file_device_ = 0;
  uint64_t file_number_ = 0;
  int64_t file_schema_ = 0;  // SQLite's own count of changes to tables, when a transaction began
  OriginCatalog origins_;
  Tombstones tombstones_;
  sqlite::Statement put_offset_, put_log_id_;
  int commits_ = 0;
  bool rollback_failed_ = false;  // done again before anything else

  // Of the open transaction and those before it; dropped by a rollback, for DDL is rolled back too.
  struct Opened {
    Origin* origin = nullptr;
    std::unordered_map<uint64_t, std::unique_ptr<MirrorTable>> by_fingerprint;
    std::unordered_map<uint64_t, Error> refused;
    // It stopped in this batch: nothing that follows in it may be written.
    std::optional<Error> stopped;
    uint64_t stopped_in = 0;
  };
  std::map<std::pair<std::string, std::string>, Opened> tables_;
  // The schemas that each table was met with, whether or not the file took them.
  struct Met {
    int64_t newest = 0;  // version
    uint64_t newest_fingerprint = 0;
    std::unordered_map<uint64_t, int64_t> first;  // version, by fingerprint
  };
  std::map<std::pair<std::string, std::string>, Met> met_;
  uint64_t batches_ = 0;
  const TableSchema* last_schema_ = nullptr;  // of the batch at hand
  std::string_view last_source_;
  MirrorTable* last_table_ = nullptr;
};

}  // namespace tailwater
