// Collapses a batch to the last change per key, for sinks that write rows in bulk.
//
// Later images are laid over earlier ones: a column that is `unchanged` keeps what an earlier
// change of the same batch said, never across a delete. What stays `unchanged` then has its base in
// the target. Deterministic: items stand in the order in which their keys first appear.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tailwater/sink.h"

namespace tailwater {

// Of a row: insert, update, delete, read. Everything else is of a table, or of no table.
bool IsRowOperation(Operation operation);

struct CollapsedChange {
  const Delivery* last = nullptr;  // the change that decides: operation, version, schema, key
  Row after;           // the image to write, columns as last->change->schema; empty for deletes
  bool whole = false;  // no column of `after` is unchanged
  bool base_gone =
      false;  // a delete of the key stands before `last` in the batch: there is no base
};

class Collapser {
 public:
  // Keyed rows collapse; records of keyless tables, control records and messages stay one item
  // each, at their place. A change older than one before it (by version, same key) is left out.
  // The result is valid until the next call and as long as the batch.
  std::span<const CollapsedChange> Collapse(const DeliveryBatch& batch);

  // Per delivery of the batch, the item that decides its verdict, or kSuperseded if it was left out
  // as older.
  static constexpr uint32_t kSuperseded = UINT32_MAX;
  std::span<const uint32_t> item_of() const { return item_of_; }

  // One verdict per item becomes one per delivery: those that an item stands for get its verdict.
  std::vector<Verdict> Expand(std::span<const Verdict> item_verdicts) const;

 private:
  Row Overlay(const Change& older, Row older_row, const Change& newer);

  std::unordered_map<std::string_view, uint32_t> index_;
  std::vector<CollapsedChange> items_;
  std::vector<uint32_t> item_of_;
  ChangeBatch rows_;
};

}  // namespace tailwater
