// The tables of sources that a file mirrors, each with a small number: the column
// _tailwater_origin. Several origins may share one target table.
//
// Also keeps, per origin, what makes late changes harmless once their row is gone: the version of
// the last sweep and of the newest delete. Part of the sink's transaction: after a rollback,
// Forget().
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "support/sqlite.h"
#include "tailwater/result.h"

namespace tailwater {

struct Origin {
  int64_t id = 0;
  std::string source;
  std::string table;            // of the source
  std::string target;           // in the file; empty until its first row or schema came
  int64_t schema_version = 0;   // of the change whose schema the target has
  int64_t swept_version = 0;    // rows older than this are gone, whenever they come
  int64_t deleted_version = 0;  // no delete left a tombstone newer than this
  bool changed = false;         // to be stored with the next commit
};

class OriginCatalog {
 public:
  Status Open(sqlite::Database& database);
  // Makes the origin known if it is not. Valid until Forget().
  Result<Origin*> Get(std::string_view source, std::string_view table);
  // Writes what changed.
  Status Store();
  void Forget();

 private:
  sqlite::Database* database_ = nullptr;
  sqlite::Statement find_, insert_, update_;
  std::map<std::pair<std::string, std::string>, std::unique_ptr<Origin>> origins_;
};

}  // namespace tailwater
