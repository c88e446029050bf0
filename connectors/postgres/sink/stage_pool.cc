#include "postgres/sink/stage_pool.h"

#include "support/text.h"

namespace tailwater::postgres {
namespace {

constexpr size_t kMostStages = 64;

}  // namespace

Result<std::shared_ptr<Stage>> StagePool::Get(const std::string& columns) {
  if (const auto known = stages_.find(columns); known != stages_.end()) return known->second;
  auto stage = std::make_shared<Stage>();
  stage->name = fmt::format("pg_temp.tailwater_stage_{}", next_++);
  TW_TRY(session_.Run(
      fmt::format("CREATE TEMPORARY TABLE {} ({}) ON COMMIT DELETE ROWS", stage->name, columns)));
  stages_.emplace(columns, stage);
  ++made_;
  return stage;
}

Status StagePool::Clear(Stage& stage) {
  if (stage.used) TW_TRY(session_.Run("TRUNCATE " + stage.name));
  stage.used = false;
  return {};
}

bool StagePool::crowded() const { return made_ > kMostStages; }

Status StagePool::DropAll() {
  Forget();
  TW_TRY(session_.Run("DISCARD TEMPORARY"));
  return {};
}

void StagePool::Forget() {
  stages_.clear();
  made_ = 0;
}

void StagePool::Committed() {
  for (auto& [columns, stage] : stages_) {
    stage->used = false;
    stage->settled = true;
  }
}

void StagePool::RolledBack() {
  std::erase_if(stages_, [](const auto& entry) { return !entry.second->settled; });
  for (auto& [columns, stage] : stages_) stage->used = false;
}

void StagePool::RolledBackToPart() {
  // What an earlier part made is there still, and forgotten: the next commit empties it.
  std::erase_if(stages_, [](const auto& entry) { return !entry.second->settled; });
  for (auto& [columns, stage] : stages_) stage->used = true;
}

}  // namespace tailwater::postgres
