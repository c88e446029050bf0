// `start:` of a sink: where it begins when a partition is assigned for the first time.
#pragma once

#include <cstdint>

namespace tailwater {

struct StartSpec {
  enum class Kind : uint8_t {
    kSnapshot,   // the oldest record that the topic still holds; capture copies the tables for this
                 // sink if that is not all there ever was
    kBeginning,  // the oldest record that the topic still holds
    kEnd,        // only what is published from then on
    kTime,       // the first record published at or after time_micros
    kOffset,     // this offset, in every partition
  };
  Kind kind = Kind::kBeginning;
  int64_t time_micros = 0;  // kTime: since 1970-01-01 UTC
  int64_t offset = 0;       // kOffset
  bool operator==(const StartSpec&) const = default;
};

}  // namespace tailwater
