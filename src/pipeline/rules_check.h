// Whether what a sink's configuration says about columns (conditions of its table entries, mappings
// of its connector) fits the tables as their sources' servers describe them. Pure.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "config/pipeline_config.h"
#include "tailwater/config.h"
#include "tailwater/source.h"

namespace tailwater {

// By source; a source whose server could not be asked is not there.
using DescribedTables = std::map<std::string, std::vector<TableDescription>>;

struct RuleFinding {
  Finding finding;    // its subject is the table
  Location location;  // of the words at fault
  std::string path;   // "sinks.downgrades.tables[0].when"
  // One line: "shop.yaml:17:15: sinks.downgrades.tables[0].when: …; remedy".
  std::string ToString() const;
};

// Whether there is anything that tables could contradict.
bool NeedsTables(const SinkConfig& sink);

// In the order of the entries, then of the tables. `sources`: how many the pipeline has; a table
// that no entry finds is told only if all of them were described.
std::vector<RuleFinding> CheckRules(const SinkConfig& sink, const DescribedTables& tables,
                                    size_t sources);

}  // namespace tailwater
