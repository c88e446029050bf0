// What a clickhouse sink has in hand while it writes a batch. For the sink's own sources.
#pragma once

#include <list>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "clickhouse/clickhouse_sink.h"

namespace tailwater::clickhouse {

// A row that is laid over the one that the target holds.
struct ClickHouseSink::Partial {
  size_t number = 0;  // of the item
  const TablePlan* plan = nullptr;
  WantedRow wanted;
  std::vector<Value> row;
};

struct ClickHouseSink::Pass {
  std::span<const CollapsedChange> items;
  std::vector<Verdict> verdicts;  // per item; kNone: not decided
  std::vector<Partial> partials;
  std::list<RowGroup> groups;
  size_t bytes = 0;                         // in the groups
  std::map<std::string, Error> stopped;     // tables, by origin: nothing more of them
  std::map<std::string, Error> put_off;     // targets of which nothing is to be had now
  std::map<const TablePlan*, Error> unfit;  // schemas whose rows are refused one by one
  // Targets that were looked at again because a value does not fit: why it is tried again.
  std::map<const TablePlan*, std::optional<Error>> checked;
  std::optional<Error> down;    // it answers nobody
  std::vector<size_t> refused;  // items
  std::vector<size_t> unknown;  // items whose insert may or may not have arrived
};

inline Verdict Unavailable(const Error& error) {
  return Verdict::Unavailable(error.code, error.message, {},
                              error.disposition == Disposition::kNeedsOperator);
}

}  // namespace tailwater::clickhouse
