// Knows whether what was written so far ends where transactions of the source end: every partition
// has brought the same frontier record, and nothing behind it.
//
// Until then the target's transaction stays open over several batches. What was handed over is kept
// here meanwhile: to the runner it counts as committed, to the target nothing is.
#pragma once

#include <cstdint>
#include <map>
#include <span>

#include "tailwater/sink.h"

namespace tailwater::postgres {

class WholeTransactions {
 public:
  void Assigned(std::span<const int32_t> partitions);
  void Saw(const DeliveryBatch& batch);
  // A sweep, which stands in every partition.
  void SawMarker() { now_.marker = true; }
  // What was seen is handed over; or it was taken back, or was none of the partitions' own.
  void Keep() { kept_ = now_; }
  void Back() { now_ = kept_; }
  bool at_end() const;

  // What the runner takes for committed.
  bool open() const { return !next_.empty(); }
  const Offsets& expected() const { return expected_; }
  const Offsets& next() const { return next_; }
  // False: what the runner expects is not what was handed over.
  bool Add(const Offsets& expected, const Offsets& next);
  void Forget();

 private:
  struct Place {
    int64_t frontier = 0;  // version of the last frontier record
    bool behind = false;   // something came after it
  };
  struct Seen {
    std::map<int32_t, Place> places;
    bool marker = false;
  };
  Seen now_, kept_;
  Offsets expected_, next_;
};

}  // namespace tailwater::postgres
