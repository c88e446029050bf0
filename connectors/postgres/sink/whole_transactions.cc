#include "postgres/sink/whole_transactions.h"

namespace tailwater::postgres {

void WholeTransactions::Assigned(std::span<const int32_t> partitions) {
  now_ = {};
  for (const int32_t partition : partitions) now_.places[partition] = {};
  Keep();
  Forget();
}

void WholeTransactions::Saw(const DeliveryBatch& batch) {
  for (const Delivery& delivery : batch.deliveries) {
    const auto known = now_.places.find(delivery.partition);
    if (known == now_.places.end()) continue;  // of a record that was put aside
    Place& place = known->second;
    const Change& change = *delivery.change;
    if (change.operation == Operation::kFrontier) {
      place.frontier = change.version;
      place.behind = false;
      now_.marker = false;
    } else if (change.operation != Operation::kSchema) {
      place.behind = true;
    }
  }
}

bool WholeTransactions::at_end() const {
  if (now_.marker) return false;
  for (const auto& [partition, place] : now_.places) {
    if (place.behind || place.frontier != now_.places.begin()->second.frontier) return false;
  }
  return true;
}

bool WholeTransactions::Add(const Offsets& expected, const Offsets& next) {
  for (const auto& [partition, offset] : next) {
    const auto wanted = expected.find(partition);
    const auto handed = next_.find(partition);
    if (handed == next_.end()) {
      if (wanted != expected.end()) expected_[partition] = wanted->second;
    } else if (wanted == expected.end() || wanted->second != handed->second) {
      return false;
    }
    next_[partition] = offset;
  }
  return true;
}

void WholeTransactions::Forget() {
  expected_.clear();
  next_.clear();
}

}  // namespace tailwater::postgres
