// Up to where a sink has passed each source: the minimum over its partitions of the last frontier
// record passed. Not thread-safe.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "pipeline/sink_status.h"
#include "tailwater/change.h"

namespace tailwater {

class FrontierTracker {
 public:
  // Forgets what was seen of partitions that are no longer ours, and waits for those that are new.
  void Assign(const std::vector<int32_t>& partitions);
  // A frontier record of this partition has a final verdict, as has all before it. True if the
  // source's frontier moved.
  bool Pass(int32_t partition, const Change& frontier);
  const std::map<std::string, SinkFrontier>& frontiers() const { return frontiers_; }

 private:
  std::set<int32_t> partitions_;
  std::map<std::string, std::map<int32_t, SinkFrontier>, std::less<>> seen_;
  std::map<std::string, SinkFrontier> frontiers_;
};

}  // namespace tailwater
