// The tables of which a sink's target takes nothing until a person acts: Verdict::table_stopped.
//
// Their records are parked without asking the sink; one stored key at a time asks, and once the
// target takes its record the table is live. Kept in memory only: after a restart the first record
// tells. Not thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pipeline/sink_status.h"
#include "tailwater/change.h"
#include "tailwater/sink.h"
#include "util/backoff.h"
#include "util/clock.h"

namespace tailwater {

// The source and the table that a record key begins with; empty if it is none.
std::pair<std::string_view, std::string_view> TableOfKey(std::string_view key);

class StoppedTables {
 public:
  struct Table {
    StoppedTable status;
    Backoff backoff;
    Clock::TimePoint next_probe{};
    bool parking = false;  // records of it are about to be stored
    bool stored = false;   // some are: one of them asks the target
    bool has_probe() const { return parking || stored; }
  };

  StoppedTables(const Clock& clock, RandomSource random);

  bool empty() const { return tables_.empty(); }
  Table* Find(std::string_view source, std::string_view table);
  Table* FindByKey(std::string_view key);
  // The target said so. True: it was not known.
  bool Stop(std::string_view source, std::string_view table, const Verdict& verdict);
  void Erase(Table& table);
  void Clear() { tables_.clear(); }

  // Whether a stored record of the table has to wait; if not, it is the one that asks.
  bool MustWait(Table& table);
  // A person wants it asked at once.
  void Hurry(Table& table);

  // What was about to be stored is, or never will be.
  void Committed();
  void Discarded();

  std::vector<Table*> All();
  std::vector<StoppedTable> Statuses() const;

 private:
  const Clock& clock_;
  const RandomSource random_;
  std::map<std::pair<std::string, std::string>, Table> tables_;
};

}  // namespace tailwater
