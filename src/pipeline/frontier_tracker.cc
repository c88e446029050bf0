#include "pipeline/frontier_tracker.h"

#include <utility>

namespace tailwater {

void FrontierTracker::Assign(const std::vector<int32_t>& partitions) {
  // What was passed says nothing of a partition that is new.
  for (const int32_t partition : partitions) {
    if (!partitions_.contains(partition)) frontiers_.clear();
  }
  partitions_ = {partitions.begin(), partitions.end()};
  for (auto& [source, by_partition] : seen_) {
    std::erase_if(by_partition,
                  [&](const auto& entry) { return !partitions_.contains(entry.first); });
  }
}

bool FrontierTracker::Pass(int32_t partition, const Change& frontier) {
  auto source = seen_.find(frontier.source);
  if (source == seen_.end()) source = seen_.try_emplace(std::string(frontier.source)).first;
  auto& by_partition = source->second;
  by_partition[partition] = {std::string(frontier.frontier), frontier.version,
                             frontier.source_time_micros};
  if (by_partition.size() < partitions_.size()) return false;
  const SinkFrontier* least = nullptr;
  for (const auto& [number, seen] : by_partition) {
    if (least == nullptr || seen.version < least->version) least = &seen;
  }
  SinkFrontier& passed = frontiers_[source->first];
  if (least->version <= passed.version) return false;
  passed = *least;
  return true;
}

}  // namespace tailwater
