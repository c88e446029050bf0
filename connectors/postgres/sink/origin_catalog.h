// The tables of sources that this sink has met: which target each has, and what makes late changes
// harmless once their row is gone (the version of the last sweep and of the newest delete). Also
// the columns that each had, and since when.
//
// Part of the sink's transaction: after a rollback, Forget().
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "postgres/sink/target_session.h"
#include "tailwater/schema.h"

namespace tailwater::postgres {

struct Origin {
  int64_t id = 0;
  std::string source;
  std::string table;            // of the source
  TableName target;             // empty until its first row or schema came
  int64_t schema_version = 0;   // of the change whose schema the target has
  int64_t swept_version = 0;    // rows older than this are gone, whenever they come
  int64_t deleted_version = 0;  // no delete left a tombstone newer than this
  bool changed = false;         // to be stored with the next commit
};

struct KnownColumn {
  std::string type;   // of the source
  int64_t since = 0;  // rows that are older never held a value of it
  bool dropped = false;
};
using ColumnHistory = std::map<std::string, KnownColumn>;  // by name

class OriginCatalog {
 public:
  // `sink` is "pipeline/name". `session` outlives this.
  OriginCatalog(TargetSession& session, std::string state_schema, std::string sink);

  // Makes the origin known if it is not. Valid until Forget().
  Result<Origin*> Get(std::string_view source, std::string_view table);
  // The other origin, of any sink, that is written to this target.
  Result<std::optional<std::string>> OtherWriter(const Origin& origin, const TableName& target);
  Status Store();
  // The targets that this sink has written to.
  Status AddTargets(std::set<std::pair<std::string, std::string>>& tables);
  void Forget() { origins_.clear(); }

  Result<ColumnHistory> Columns(const Origin& origin);
  Status PutColumn(const Origin& origin, const std::string& name, const std::string& type,
                   int64_t since, std::optional<int64_t> dropped);
  Status ForgetColumns(const Origin& origin);

 private:
  TargetSession& session_;
  const std::string schema_;  // quoted
  const std::string sink_;
  std::map<std::pair<std::string, std::string>, std::unique_ptr<Origin>> origins_;
};

}  // namespace tailwater::postgres
