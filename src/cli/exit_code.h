// What the process's exit code tells scripts.
#pragma once

#include "tailwater/result.h"

namespace tailwater {

enum ExitCode : int {
  kExitDone = 0,
  kExitOther = 1,
  kExitConfiguration = 2,
  kExitNeedsOperator = 3,
  kExitGap = 4,
};

inline ExitCode ExitCodeFor(Disposition disposition) {
  switch (disposition) {
    case Disposition::kNeedsOperator:
      return kExitNeedsOperator;
    case Disposition::kGap:
      return kExitGap;
    case Disposition::kRetry:
    case Disposition::kReject:
    case Disposition::kFatal:
    case Disposition::kCancelled:
      return kExitOther;
  }
  return kExitOther;
}

}  // namespace tailwater
