#include "tailwater/result.h"

namespace tailwater {

std::string_view DispositionName(Disposition disposition) {
  switch (disposition) {
    case Disposition::kRetry:
      return "retry";
    case Disposition::kNeedsOperator:
      return "needs_operator";
    case Disposition::kReject:
      return "reject";
    case Disposition::kGap:
      return "gap";
    case Disposition::kFatal:
      return "fatal";
    case Disposition::kCancelled:
      return "cancelled";
  }
  return "unknown";
}

}  // namespace tailwater
