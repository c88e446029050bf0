#include "sdk/expand.h"
#include "tailwater/config.h"

namespace tailwater {

Result<std::string> Secret::Read() const {
  Expansion expansion = Expand(expression_, ExpandFiles::kYes);
  if (!expansion.problem.empty()) {
    return Error{Disposition::kNeedsOperator, "secret_unreadable", std::move(expansion.problem)};
  }
  return std::move(expansion.text);
}

}  // namespace tailwater
