// Why a record of the topic does not reach a sink: the `reason` label of
// tailwater_sink_filtered_total.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace tailwater {

enum class FilterReason : uint8_t {
  kTable,      // its `tables:` do not select it
  kAddressee,  // meant for another sink
  kSnapshot,   // a snapshot row, and `snapshot: false`
  kReplay,     // below the mark of the last rewind, and `replay: false`
  kWhen,       // its `when:` is not true
  kControl,    // the engine itself deals with it
};

inline constexpr std::array<std::string_view, 6> kFilterReasonNames = {
    "table", "addressee", "snapshot", "replay", "when", "control"};
inline constexpr size_t kFilterReasons = kFilterReasonNames.size();

// How many, by reason.
using FilterCounts = std::array<uint64_t, kFilterReasons>;

}  // namespace tailwater
