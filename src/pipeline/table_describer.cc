#include "pipeline/table_describer.h"

namespace tailwater {

DescribedTables TableDescriber::Describe() {
  MutexLock lock(mutex_);
  if (asked_ && clock_.Now() - *asked_ < kFreshFor) return tables_;
  tables_.clear();
  for (const auto& [source, ask] : sources_) {
    Result<std::vector<TableDescription>> tables = ask();
    if (tables) {
      tables_.emplace(source, *std::move(tables));
    } else {
      logger_.Info(
          "tables are not known yet: what sinks say of columns is checked at the changes",
          {{"source", source}, {"code", tables.error().code}, {"reason", tables.error().message}});
    }
  }
  asked_ = clock_.Now();
  return tables_;
}

}  // namespace tailwater
