#include "snapshot/snapshot_status.h"

namespace tailwater {

std::string_view SnapshotStateName(SnapshotState state) {
  switch (state) {
    case SnapshotState::kWaiting:
      return "waiting";
    case SnapshotState::kCopying:
      return "copying";
    case SnapshotState::kThrottled:
      return "throttled";
    case SnapshotState::kPaused:
      return "paused";
    case SnapshotState::kBlocked:
      return "blocked";
    case SnapshotState::kDone:
      return "done";
    case SnapshotState::kCancelled:
      return "cancelled";
    case SnapshotState::kGone:
      return "gone";
  }
  return "unknown";
}

}  // namespace tailwater
