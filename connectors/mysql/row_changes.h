// What a row of the log becomes: inserts, updates, deletes, and the two records of a key change.
#pragma once

#include <cstdint>
#include <string>

#include "mysql/row_event.h"
#include "mysql/table_map.h"
#include "tailwater/change.h"
#include "tailwater/result.h"

namespace tailwater::mysql {

// Threads: one.
class RowChanges {
 public:
  // `event`: of `table`, which outlives the object; not a compressed one.
  static Result<RowChanges> Open(const Event& event, const LogFormat& format,
                                 const MappedTable& table);

  bool done() const { return rows_.done(); }
  // The next row into `batch`, which was cleared: operation, table, schema, part and rows of its
  // changes; none if the row is no change of the table (history, a sequence). kFatal: as
  // RowReader::Next(); "mysql_key_missing".
  Status Next(uint64_t ordinal, ChangeBatch& batch);

 private:
  RowChanges(const RowsHead& head, const MappedTable& table);
  Status Update(const RowImages& images, ChangeBatch& batch);
  Status Delete(std::span<const Value> before, ChangeBatch& batch);
  bool IsHistory(std::span<const Value> row) const;
  Result<bool> KeyChanged(const RowImages& images) const;
  // The old row as far as it may be shown: all of it, or the key alone.
  Result<std::span<const Value>> OldRow(std::span<const Value> before, ChangeBatch& batch) const;
  Change& Append(Operation operation, uint32_t part, ChangeBatch& batch) const;
  Error KeyMissing() const;

  RowReader rows_;
  RowKind kind_;
  const MappedTable* table_;
  bool before_whole_ = false;
  uint64_t ordinal_ = 0;
};

}  // namespace tailwater::mysql
