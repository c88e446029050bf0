// Mirrors tables into ClickHouse, a row per version of which the newest counts, or writes every
// change there as a row (`mode: changelog`).
//
// A plain sink: Write() answers once the server has stored what it was given. Repeated and late
// changes are harmless by their version, in a changelog by their identity (README.md). Threads: the
// sink's own, and the HTTP client's.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "clickhouse/base_reader.h"
#include "clickhouse/clickhouse_options.h"
#include "clickhouse/inserter.h"
#include "clickhouse/row_writer.h"
#include "clickhouse/schema_history.h"
#include "clickhouse/server.h"
#include "clickhouse/sink_state.h"
#include "clickhouse/table_plan.h"
#include "clickhouse/target_catalog.h"
#include "tailwater/collapse.h"
#include "tailwater/registry.h"
#include "tailwater/sink.h"

namespace tailwater::clickhouse {

class ClickHouseSink final : public Sink {
 public:
  ClickHouseSink(ClickHouseConfig config, TableRules<ClickHouseTableOptions> rules,
                 SinkContext context);

  // kNeedsOperator "http_certificate_unreadable", "secret_unreadable",
  // "clickhouse_database_missing", "clickhouse_table_unfit", or what the server refuses; kRetry
  // while none can be reached.
  Status Open() override;
  Result<std::vector<Verdict>> Write(const DeliveryBatch& batch) override;
  Status Sweep(const SweepRequest& request) override;
  bool wants_truncate_events() const override { return config_.mode == Mode::kChangelog; }

 private:
  struct Pass;  // one collapsed batch on its way
  struct Partial;
  using Deliveries = std::span<const Delivery>;

  Status CheckTables();
  // Per delivery, in order.
  std::vector<Verdict> WriteFrozenFirst(Deliveries deliveries);
  // The changes of a row that was refused among others are tried one by one.
  std::vector<Verdict> WriteIsolating(Deliveries deliveries);
  std::vector<Verdict> WriteOnce(Deliveries deliveries);
  std::span<const CollapsedChange> Items(Deliveries deliveries);
  void Plan(Pass& pass, size_t number);
  void PlanRow(Pass& pass, size_t number, const TablePlan& plan);
  // The row as far as the change itself says it. True: nothing is missing.
  static bool Image(const CollapsedChange& item, const TablePlan& plan, std::vector<Value>& row);
  void OverlayBases(Pass& pass);
  void OverlayBasesOf(Pass& pass, const TablePlan& plan, std::span<Partial> partials);
  void Send(Pass& pass);
  // Marks refused rows: what builds on them later has no base.
  void RememberRefused(Pass& pass);
  void Refuse(Pass& pass, size_t number, const TablePlan& plan, Error error);
  void Put(Pass& pass, size_t number, const TablePlan& plan, std::string row);
  // All that is in hand goes to the server.
  void Flush(Pass& pass);
  static std::string PlanKey(const Change& change);
  Result<TablePlan>& PlanOf(const Change& change);

  const ClickHouseConfig config_;
  const TableRules<ClickHouseTableOptions> rules_;
  const Logger logger_;
  ServerFacts facts_;
  std::unique_ptr<Server> server_;
  SinkState state_;
  TargetCatalog catalog_;
  RowWriter writer_;
  Inserter inserter_;
  Collapser collapser_;
  std::vector<CollapsedChange> uncollapsed_;  // of a changelog
  std::vector<uint32_t> item_of_;             // per delivery of the last WriteOnce()
  SchemaHistory schemas_;
  std::unordered_map<std::string, Result<TablePlan>> plans_;  // by source and schema
  std::set<std::string> forgotten_;                           // targets to be planned anew
  std::map<std::string, uint64_t> synchronized_;  // by target: Server::changes() at that time
  // Of a small batch, until it has waited: inserts keep their interval, once per call.
  bool may_wait_ = false;
  // What was in inserts of which nobody knows the outcome, by partition and offset: it goes first
  // and by itself next time, so that the insert is the same.
  std::set<std::pair<int32_t, int64_t>> frozen_;
  Counter& bases_total_;
};

}  // namespace tailwater::clickhouse
