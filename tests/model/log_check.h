// Reads a whole topic and says what is wrong with it: something missing, doubled, out of order, or
// other than the history has it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "model/history.h"
#include "support/memory_topic.h"

namespace tailwater::model {

void CheckLog(const StubMemoryTopic& topic, int32_t partitions,
              const std::vector<std::unique_ptr<History>>& histories,
              std::vector<std::string>& violations);

}  // namespace tailwater::model
