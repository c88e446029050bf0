// Sends rows as inserts, one at a time into each table, and says what became of each row.
//
// A row that the server refuses is found by halving the insert, some of them in one call. An insert
// carries a token made of all its bytes: the very same again is dropped by the server where it
// keeps such tokens, and anything else never is.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "clickhouse/server.h"
#include "clickhouse/table_plan.h"
#include "clickhouse/target_catalog.h"
#include "clickhouse/verdict_table.h"
#include "tailwater/metrics.h"

namespace tailwater::clickhouse {

// Rows for one table with the columns of one plan.
struct RowGroup {
  const TablePlan* plan = nullptr;
  std::string rows;
  struct Item {
    size_t number = 0;  // the caller's
    size_t begin = 0;   // in `rows`
    size_t end = 0;
  };
  std::vector<Item> items;
  bool replay =
      false;  // of records that a rewind brings again: always written, whatever came before
};

class Inserter {
 public:
  // All of these outlive it.
  Inserter(const ClickHouseConfig& config, const ServerFacts& facts, TargetCatalog& catalog,
           Metrics& metrics);

  // One judgement per item of each group, in order; of what is not kDone the reason. A group whose
  // target is not what it was is judged kChanged as a whole: plan it anew.
  std::vector<std::vector<Judgement>> Write(Server& server,
                                            std::span<const RowGroup* const> groups);

  // How long to wait before the next insert of a small batch into one of these tables.
  std::chrono::milliseconds Pace(std::span<const RowGroup* const> groups) const;

 private:
  using Clock = std::chrono::steady_clock;
  struct Range {
    size_t begin = 0;
    size_t end = 0;
  };
  struct Flight;
  Server::Pending Send(Server& server, const RowGroup& group, Range range);
  // What of a group is to be judged from the answer about all of it.
  void Settle(Server& server, const RowGroup& group, Range range, Judgement judgement, bool checked,
              std::vector<Judgement>& judgements);
  Judgement Finish(Server& server, const RowGroup& group, Range range, Server::Pending& pending);

  const ClickHouseConfig& config_;
  const ServerFacts& facts_;
  TargetCatalog& catalog_;
  std::map<std::string, Clock::time_point> last_insert_;  // by target
  size_t refusals_ = 0;                                   // rows, in this call
  Counter& requests_total_;
  Counter& throttled_total_;
  Counter& bytes_total_;
};

}  // namespace tailwater::clickhouse
