// Reads documents by id, as they are now: realtime, whether or not a refresh came since.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "opensearch/cluster.h"
#include "opensearch/document.h"
#include "opensearch/verdict_table.h"

namespace tailwater::opensearch {

struct HeldDocument {
  Judgement judgement;  // not good: it could not be read
  bool found = false;
  int64_t version = 0;
  int64_t refused = 0;  // a change of this version was refused; 0: none
  std::string source;   // JSON
};

// One per place, in order; as many at a time as one answer holds.
std::vector<HeldDocument> ReadDocuments(Cluster& cluster, std::span<const DocumentPlace> places);

}  // namespace tailwater::opensearch
