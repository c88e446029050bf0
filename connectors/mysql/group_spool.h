// Row events of a group that may still be undone, or is not decided yet: kept as the bytes they
// came in, in memory up to a budget that all spools share, then in a file that has no name, so that
// nothing is left behind whatever happens.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "mysql/binlog_event.h"
#include "tailwater/result.h"

namespace tailwater::mysql {

// What the spools of one decoder share. Outlives them.
struct SpoolBudget {
  std::string folder;     // of the files
  size_t most_bytes = 0;  // in memory, all spools together
  size_t bytes = 0;
};

// Threads: one. kNeedsOperator "mysql_spool_failed": the disk is full, or not ours to write.
class GroupSpool {
 public:
  struct Record {
    EventType type{};
    uint32_t table = 0;     // the caller's number of it
    uint64_t passed = 0;    // rows that count and are not kept; then there is no event
    std::string_view body;  // of the event; until the next call
  };

  explicit GroupSpool(SpoolBudget& budget) : budget_(budget) {}
  ~GroupSpool();
  GroupSpool(const GroupSpool&) = delete;
  GroupSpool& operator=(const GroupSpool&) = delete;

  Status Add(EventType type, uint32_t table, std::string_view body);
  Status AddPassed(uint64_t rows);
  bool empty() const { return end() == 0; }
  // Behind the last record: where a savepoint stands.
  uint64_t end() const { return in_file_ + memory_.size(); }
  // Drops what was added behind `end`.
  Status Truncate(uint64_t end);

  // From the first record on. Nothing may be added then until Clear().
  void Rewind() { read_ = 0; }
  // False: that was the last one.
  Result<bool> Next(Record& record);

  // Empty again; memory is kept for the next group, unless it was a large one.
  void Clear();

 private:
  struct Head;
  Status Write(std::string_view head, std::string_view body);
  Status Flush();
  Status AppendToFile(std::string_view bytes);
  Status Fill(size_t bytes);
  void SetMemory(size_t bytes);
  Error Failed(std::string_view what, int error) const;

  SpoolBudget& budget_;
  std::string memory_;  // what follows the file's part
  size_t counted_ = 0;  // of memory_, in the budget
  int file_ = -1;
  uint64_t in_file_ = 0;  // ends between two records
  uint64_t read_ = 0;
  std::string window_;  // of the file, around what is read
  uint64_t window_at_ = 0;
};

}  // namespace tailwater::mysql
