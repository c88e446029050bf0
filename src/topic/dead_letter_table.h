// The dead letters of one sink in an SQLite database: their tables, and what is asked of them. In
// <sink>.db of the local topic; in a temporary copy of what the kafka topic keeps.
//
// One row per record, found by place, id, key, table and age. Counts per state and code are kept by
// triggers, so that asking costs the same with none and with a hundred thousand. Not thread-safe;
// failures are those of SQLite, the caller names them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "support/sqlite.h"
#include "topic/topic.h"

namespace tailwater {

// Tables, indexes and triggers of the newest format.
extern const char kDeadLetterTables[];
// From format 1, which knew dead records only, to the newest. Within the caller's transaction.
Status UpgradeDeadLettersFrom1(sqlite::Database& file);
// Lets this connection read a file of format 1 as if it were the newest; the file stays as it is.
Status ShowDeadLettersOf1(sqlite::Database& file);

class DeadLetterTable {
 public:
  // `file` outlives this.
  explicit DeadLetterTable(sqlite::Database& file) : file_(&file) {}

  Result<Subscription::DeadLetterCounts> Count();
  Result<DeadLetterPage> List(const DeadLetterFilter& filter, std::optional<RecordPlace> from,
                              size_t limit, size_t max_bytes);
  Result<std::vector<Subscription::BlockedKey>> BlockedKeys(size_t limit,
                                                            std::optional<RecordPlace> after);
  Result<std::vector<DeadLetter>> LoadBlocked(const std::string& key, size_t max_records,
                                              size_t max_bytes);

  // Those whose places the query names, in order.
  Result<std::vector<DeadLetter>> LoadPlaces(std::string_view query);

  // These three within the caller's write transaction.
  // What an update does to dead letters: sweeps, clears, removals, additions. True: rows went.
  Result<bool> Apply(const Subscription::Update& update);
  Result<std::vector<std::string>> Requeue(const DeadLetterFilter& filter);
  // Deletes at most `limit` of what matches; answers how many.
  Result<uint64_t> Drop(const DeadLetterFilter& filter, size_t limit);

 private:
  Result<bool> Remove(const Subscription::Update& update);
  Status Add(const std::vector<DeadLetter>& letters);
  // The statement in `slot`, prepared at its first use.
  Result<sqlite::Statement*> Prepared(sqlite::Statement& slot, std::string_view sql);

  sqlite::Database* file_;
  sqlite::Statement count_, oldest_, blocked_keys_, load_blocked_;
  sqlite::Statement drop_behind_, drop_sweep_, drop_base_missing_, drop_place_;
  sqlite::Statement make_room_, replace_base_missing_, put_;
};

}  // namespace tailwater
