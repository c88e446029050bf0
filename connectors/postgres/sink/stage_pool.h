// Temporary tables that batches are copied into: one per list of columns, emptied by each commit.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "postgres/sink/target_session.h"

namespace tailwater::postgres {

struct Stage {
  std::string name;      // quoted
  bool used = false;     // holds rows of this transaction
  bool settled = false;  // its creation is committed
};

class StagePool {
 public:
  explicit StagePool(TargetSession& session) : session_(session) {}

  // `columns`: as CREATE TABLE takes them. Valid until Forget() or a rollback.
  Result<std::shared_ptr<Stage>> Get(const std::string& columns);
  // Makes it empty.
  Status Clear(Stage& stage);
  // Every commit empties all of them, so they must not become many. In no transaction.
  bool crowded() const;
  Status DropAll();

  void Committed();
  void RolledBack();
  // To a savepoint, behind parts of the transaction that stay: so do the rows that they copied.
  void RolledBackToPart();
  void Forget();  // another session

 private:
  TargetSession& session_;
  std::map<std::string, std::shared_ptr<Stage>> stages_;
  uint64_t next_ = 1;
  size_t made_ = 0;  // in this session, whether or not a rollback took them back
};

}  // namespace tailwater::postgres
