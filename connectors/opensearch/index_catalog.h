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
#include "tailwater/sink.h"

namespace tailwater::opensearch {

class IndexCatalog {
 public:
  // All of these outlive it.
  IndexCatalog(const OpenSearchConfig& config, const ServerFacts& server, const Logger& logger,
               SchemaChanges policy, std::string sink)
      : config_(config),
        server_(server),
        logger_(logger),
        policy_(policy),
        sink_(std::move(sink)) {}

  // Makes sure that the index of the table is there and has its fields. kNeedsOperator
  // "opensearch_index_missing" (with create: false), "opensearch_index_unfit",
  // "opensearch_index_refused", or as JudgeAnswer(). Asks the server once per table and schema.
  // "schema_incompatible", "schema_change_halted": as kNeedsOperator it concerns the table until
  // somebody did what the message says, as kReject the change alone. `outdated`: the source has
  // changed the table since; such a change makes nothing and stops nothing. Takes fields out of the
  // plan that the index lacks and is not to get.
  Status Prepare(Cluster& cluster, TablePlan& plan, const TableSchema& schema, bool outdated);
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
    std::map<std::string, std::string> fields;            // type, on the first level of the mapping
    std::map<std::string, std::string> keys;              // by origin: what documents are found by
    std::set<std::pair<std::string, uint64_t>> prepared;  // origin and schema
  };
  // Null: there is none.
  Result<Index*> Load(Cluster& cluster, const std::string& name);
  Status Read(const std::string& name, JsonView answer, Index& index);
  Status Create(Cluster& cluster, const TablePlan& plan, const TableSchema& schema);
  Status FollowKey(Cluster& cluster, const TablePlan& plan, const TableSchema& schema,
                   Index& index);
  Status FollowFields(Cluster& cluster, TablePlan& plan, const TableSchema& schema, bool first_use,
                      Index& index);
  Status AddFields(Cluster& cluster, const TablePlan& plan, const std::string& properties);
  Status StoreMeta(Cluster& cluster, const std::string& name, Index& index,
                   const std::set<std::string>& origins);
  // How to get all rows into the index again.
  std::string CopyAgain(const TablePlan& plan, const TableSchema& schema) const;
  Error Refuse(std::string_view code, const TablePlan& plan, const TableSchema& schema,
               std::string_view what);
  Status AddMetaField(Cluster& cluster, const std::string& name);
  // `_meta` with what is known of sweeps, and the user's own entries.
  std::string MetaOf(const Index& index, const std::set<std::string>& origins) const;

  const OpenSearchConfig& config_;
  const ServerFacts& server_;
  const Logger& logger_;
  const SchemaChanges policy_;
  const std::string sink_;
  std::map<std::string, Index> indices_;
  std::map<std::string, int64_t, std::less<>> swept_;  // by origin
  std::set<std::string> warned_;                       // of what was said once
};

}  // namespace tailwater::opensearch
