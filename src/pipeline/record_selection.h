// Which records of a read batch are for one sink: by table and addressee, from the record headers,
// so that a batch of other tables is not even decoded. Not thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tailwater/result.h"
#include "tailwater/tables.h"
#include "topic/topic.h"

namespace tailwater {

class RecordSelection {
 public:
  RecordSelection(TableSelection tables, std::string sink)
      : tables_(std::move(tables)), sink_(std::move(sink)) {}

  // Sinks that take events have no rows that a sweep could remove.
  void set_skip_sweeps(bool skip) { skip_sweeps_ = skip; }

  // Indexes of the records that are for this sink; valid until the next call. Frontier records
  // always are.
  Result<std::span<const uint32_t>> Select(const ReadBatch& batch);

 private:
  bool Selects(std::string_view source, std::string_view table);

  TableSelection tables_;
  std::string sink_;
  bool skip_sweeps_ = false;
  std::vector<uint32_t> selected_;
  std::map<std::string, std::map<std::string, bool, std::less<>>, std::less<>> known_;
  // The last answer: consecutive records mostly are of one table.
  std::string last_source_;
  std::string last_table_;
  bool last_answer_ = false;
  bool has_last_ = false;
};

}  // namespace tailwater
