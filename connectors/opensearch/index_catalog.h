// The indices that the sink writes to: made when they are missing, followed when a table gets new
// columns, and what they remember of sweeps.
//
// Indices that were made here say so in their mapping's `_meta`; others are used as they are, but
// for the field `_tailwater` that sweeps need. `_meta` also holds, per origin, below which version
// rows are gone: so what was swept does not come back after a restart either.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "opensearch/cluster.h"
#include "opensearch/json_view.h"
#include "opensearch/table_plan.h"
#include "tailwater/log.h"

namespace tailwater::opensearch {

class IndexCatalog {
 public:
  // All of these outlive it.
  IndexCatalog(const OpenSearchConfig& config, const ServerFacts& server, const Logger& logger)
      : config_(config), server_(server), logger_(logger) {}

  // Makes sure that the index of the table is there and has its fields. kNeedsOperator
  // "opensearch_index_missing" (with create: false), "opensearch_index_unfit",
  // "opensearch_index_refused", or as JudgeAnswer(). Asks the server once per table and schema.
  Status Prepare(Cluster& cluster, const TablePlan& plan, const TableSchema& schema);
  // Is there such an index?
  Result<bool> Look(Cluster& cluster, const std::string& index);
  // Asks anew next time.
  void Forget(const std::string& index) { indices_.erase(index); }

  // Rows of the origin that are older are gone.
  int64_t SweptVersion(std::string_view origin) const;
  // Remembers it, in the index as well if there is one.
  Status RememberSweep(Cluster& cluster, const std::string& index, const std::string& origin,
                       int64_t version);

 private:
  struct Index {
    bool ours = false;
    std::string meta;                                     // `_meta`, as JSON; empty: none
    std::set<std::string> fields;                         // on the first level of the mapping
    std::set<std::pair<std::string, uint64_t>> prepared;  // origin and schema
  };
  // Null: there is none.
  Result<Index*> Load(Cluster& cluster, const std::string& name);
  Status Read(const std::string& name, JsonView answer, Index& index);
  Status Create(Cluster& cluster, const TablePlan& plan, const TableSchema& schema);
  Status AddFields(Cluster& cluster, const TablePlan& plan, const TableSchema& schema,
                   Index& index);
  Status AddMetaField(Cluster& cluster, const std::string& name);
  // `_meta` with what is known of sweeps, and the user's own entries.
  std::string MetaOf(const Index& index, const std::set<std::string>& origins) const;

  const OpenSearchConfig& config_;
  const ServerFacts& server_;
  const Logger& logger_;
  std::map<std::string, Index> indices_;
  std::map<std::string, int64_t, std::less<>> swept_;  // by origin
  std::set<std::string> warned_;                       // of what was said once
};

}  // namespace tailwater::opensearch
