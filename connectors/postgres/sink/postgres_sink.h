// Mirrors tables into a Postgres database.
//
// Transactional: rows, offsets and log id are stored in one transaction, so even tables without a
// key are exact. A late or repeated change is harmless by its version (README.md). One process
// writes at a time. With `transactional: true` what is committed is whole transactions of the
// source: the runner cuts batches at frontier records (DeliveryRules::whole_transactions), and a
// Commit() between two of them leaves the target's transaction open.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "postgres/sink/origin_catalog.h"
#include "postgres/sink/postgres_sink_options.h"
#include "postgres/sink/stage_pool.h"
#include "postgres/sink/table_writer.h"
#include "postgres/sink/target_catalog.h"
#include "postgres/sink/target_session.h"
#include "postgres/sink/whole_transactions.h"
#include "tailwater/collapse.h"
#include "tailwater/registry.h"
#include "tailwater/sink.h"

namespace tailwater::postgres {

class PostgresSink final : public Sink, public TransactionalSink {
 public:
  PostgresSink(PostgresSinkConfig config, TableRules<PostgresTableOptions> rules,
               SinkContext context);

  Status Open() override;
  Result<std::vector<Verdict>> Write(const DeliveryBatch& batch) override;
  Status Sweep(const SweepRequest& request) override;
  TransactionalSink* transactional() override { return this; }

  Result<Stored> StoredOffsets() override;
  Status Assigned(std::span<const int32_t> partitions) override;
  Result<CommitOutcome> Commit(std::string_view log_id, const Offsets& expected,
                               const Offsets& next) override;
  void Rollback() override;

 private:
  struct Group;
  // Of the open transaction and those before it; dropped by a rollback, for DDL is rolled back too.
  struct Opened {
    Origin* origin = nullptr;
    std::unordered_map<uint64_t, std::unique_ptr<TableWriter>> by_fingerprint;
    std::unordered_map<uint64_t, Error> refused;  // in this batch
    // It stopped in this batch: nothing that follows in it may be written.
    std::optional<Error> stopped;
    uint64_t judged_in = 0;  // the batch that `refused` and `stopped` are of
  };
  using TableKey = std::pair<std::string, std::string>;  // source, table

  Status Begin();
  Status Reconnect();
  Status CheckTarget();
  void EndOtherWriter();
  void RollbackWhole();
  // kReject: this change cannot be written as its table is. kNeedsOperator with ConcernsTheTable()
  // or a code of PrepareTarget(): its table takes nothing.
  Result<TableWriter*> WriterFor(const Change& change);
  Result<TableWriter*> Prepare(const Change& change, Opened& table);
  void Retire(Opened& table);
  Status WriteGroup(Group& group, std::vector<Verdict>& verdicts);
  Result<CommitOutcome> Store(std::string_view log_id, const Offsets& expected,
                              const Offsets& next);
  SourceKind KindOf(std::string_view source) const;

  const PostgresSinkConfig config_;
  const TableRules<PostgresTableOptions> rules_;
  const std::string owner_;  // "pipeline/sink"
  const std::string name_;
  const SchemaChanges schema_changes_;
  std::map<std::string, SourceKind, std::less<>> kinds_;
  const Logger logger_;
  Counter& omitted_total_;
  Counter& left_out_total_;

  TargetSession session_;
  OriginCatalog origins_;
  TypeCatalog types_;
  StagePool stages_;
  std::string log_id_;  // as the target held it when the transaction began
  int commits_ = 0;
  std::string last_findings_;  // of CheckTarget(), so that nothing is said twice
  // The last commit met a deferred constraint: it is checked with each statement until the next
  // one.
  bool constraints_at_once_ = false;
  std::optional<WholeTransactions> whole_;

  Collapser collapser_;
  std::map<TableKey, Opened> tables_;
  std::vector<std::unique_ptr<TableWriter>> retired_;  // until the next batch
  // The schemas that each table was met with, whether or not the target took them.
  struct Met {
    int64_t newest = 0;  // version
    uint64_t newest_fingerprint = 0;
    std::unordered_map<uint64_t, int64_t> first;  // version, by fingerprint
  };
  std::map<TableKey, Met> met_;
  uint64_t batches_ = 0;
};

}  // namespace tailwater::postgres
