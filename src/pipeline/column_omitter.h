// `oversize: omit_columns`: leaves the largest columns outside of the key out of a change that is
// too large for the topic, marked as omitted in both of its images. Not thread-safe.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "tailwater/change.h"

namespace tailwater {

class ColumnOmitter {
 public:
  // Largest first, until the columns left out took at least `bytes`. Answers their names; none, and
  // the change as it was, if even all of them do not take that much. The change's rows then lie in
  // this object, until the next call.
  std::vector<std::string> Omit(Change& change, size_t bytes);

 private:
  std::vector<Value> before_;
  std::vector<Value> after_;
};

}  // namespace tailwater
