// A sink's dead and parked records as this process knows them: a temporary copy, in an SQLite
// database without a name, of what lies in <topic>.<sink>.dlq. Not thread-safe.
#pragma once

#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "support/sqlite.h"
#include "topic/dead_letter_table.h"
#include "topic/kafka/settings.h"
#include "topic/topic.h"

namespace tailwater {

class LetterStore {
 public:
  static Result<std::unique_ptr<LetterStore>> Make();

  // Reads partitions of the dead letter topic. For their owner: to the very end, transactions that
  // are open waited for. Otherwise what is stable now. False: there is no such topic.
  Result<bool> Load(const KafkaSettings& settings, const std::string& sink,
                    const std::vector<int32_t>& partitions, bool owner);

  DeadLetterTable& table() { return table_; }

  // What changed, for the topic: letters as they are now, and places where none is any more.
  struct Changes {
    std::vector<DeadLetter> put;
    std::vector<RecordPlace> gone;
    bool empty() const { return put.empty() && gone.empty(); }
  };
  // Changes the copy, hands what changed to `publish`, and keeps it only if that succeeds.
  Status Change(const std::function<Status(DeadLetterTable&)>& change,
                const std::function<Status(const Changes&)>& publish);

 private:
  explicit LetterStore(sqlite::Database database)
      : database_(std::move(database)), table_(database_) {}
  Status LoadPartition(const KafkaSettings& settings, const std::string& sink, int32_t partition,
                       bool owner);
  Result<Changes> Collect();

  sqlite::Database database_;
  DeadLetterTable table_;
};

}  // namespace tailwater
