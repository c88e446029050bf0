// Mirrors tables into search indices of OpenSearch or Elasticsearch: a document per row.
//
// A plain sink and no ConcurrentSink: bulk requests and reads of bases want whole batches,
// collapsed to one operation per row; of these any number may be in flight in any order, so Write()
// sends several bulks at a time and waits for them. A late or repeated change is harmless by its
// version, which is the document's (README.md). Threads: the sink's own, and the HTTP client's.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "opensearch/base_reader.h"
#include "opensearch/bulk_writer.h"
#include "opensearch/cluster.h"
#include "opensearch/index_catalog.h"
#include "opensearch/opensearch_options.h"
#include "opensearch/table_plan.h"
#include "tailwater/collapse.h"
#include "tailwater/registry.h"
#include "tailwater/sink.h"

namespace tailwater::opensearch {

class OpenSearchSink final : public Sink {
 public:
  OpenSearchSink(OpenSearchConfig config, TableRules<OpenSearchTableOptions> rules,
                 SinkContext context);

  // kNeedsOperator "http_certificate_unreadable", "secret_unreadable", "opensearch_wrong_server",
  // "opensearch_too_old", "opensearch_credentials_refused"; kRetry while no node can be reached.
  Status Open() override;
  Result<std::vector<Verdict>> Write(const DeliveryBatch& batch) override;
  Status Sweep(const SweepRequest& request) override;

 private:
  struct Pass;  // one collapsed batch on its way
  struct Partial;
  struct Sent;
  using PlanOrError = Result<TablePlan>;

  // Per delivery, in order; a change that is refused among others of its row takes them with it.
  std::vector<Verdict> WriteCollapsed(const DeliveryBatch& batch);
  // The same, with the changes of a refused row one by one.
  std::vector<Verdict> WriteIsolating(const DeliveryBatch& batch);
  void Plan(Pass& pass, size_t number);
  void PlanRow(Pass& pass, size_t number, const TablePlan& plan);
  void OverlayBases(Pass& pass);
  void OverlayBase(Pass& pass, const Partial& partial, const HeldDocument& held);
  void Send(Pass& pass);
  Verdict VerdictOf(const Judgement& judgement, const std::string& index);
  // Documents whose next change was refused are no base any more; the mark outlives a restart.
  void MarkRefused(Pass& pass, std::span<const size_t> refused);
  void Reject(Pass& pass, size_t number, Error error);
  PlanOrError& PlanOf(const Change& change);
  // The source has changed the table since this change.
  bool IsOutdated(const Change& change, const std::string& origin);
  // What of the row the change itself says: columns that did not change are in the old row, if the
  // log sent that. True if nothing is missing.
  bool Image(const CollapsedChange& item, const TablePlan& plan, std::vector<Value>& row);

  const OpenSearchConfig config_;
  const TableRules<OpenSearchTableOptions> rules_;
  const Logger logger_;
  ServerFacts server_;
  std::unique_ptr<Cluster> cluster_;
  IndexCatalog catalog_;
  BulkWriter bulk_;
  Collapser collapser_;
  std::unordered_map<std::string, PlanOrError> plans_;  // by source and schema
  // The newest schema that each table was met with, by origin.
  struct Met {
    int64_t version = 0;
    uint64_t fingerprint = 0;
    bool keyed = false;  // one of them had a key
  };
  std::unordered_map<std::string, Met> met_;
  const SchemaChanges schema_changes_;
  Counter& omitted_total_;
  Counter& left_out_total_;
  Counter& bases_total_;
};

}  // namespace tailwater::opensearch
