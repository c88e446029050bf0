// Array values: bytes() of a ValueType::kArray is a wire-form tailwater.v1.Array. Sources write it,
// sinks read it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tailwater/change.h"
#include "tailwater/result.h"

namespace tailwater {

struct ArrayDimension {
  uint32_t length = 0;
  int32_t lower_bound = 1;
  bool operator==(const ArrayDimension&) const = default;
};

// Appends to `out`: all dimensions first, then the elements in row-major order (values and NULLs;
// no nested arrays).
class ArrayWriter {
 public:
  explicit ArrayWriter(std::string& out) : out_(out) {}
  void AddDimension(ArrayDimension dimension);
  void AddElement(const Value& element);

 private:
  std::string& out_;
};

struct ArrayView {
  std::vector<ArrayDimension> dimensions;  // none: the empty array
  std::vector<Value> elements;  // views into the array's bytes; intervals live in `intervals`
  std::vector<Interval> intervals;
};
// kFatal "record_malformed".
Result<ArrayView> ReadArray(std::string_view wire_array);

}  // namespace tailwater
