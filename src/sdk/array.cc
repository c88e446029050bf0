#include "tailwater/array.h"

#include <limits>

#include "sdk/value_wire.h"
#include "sdk/wire.h"

namespace tailwater {
namespace {

constexpr uint32_t kDimensionsField = 1;
constexpr uint32_t kElementsField = 2;

Error Malformed() {
  return {Disposition::kFatal, "record_malformed",
          "an array value cannot be read; the topic is damaged or was written by a newer version: "
          "check its disk, or upgrade"};
}

bool ReadDimension(std::string_view bytes, ArrayDimension& dimension) {
  dimension = {.length = 0, .lower_bound = 0};
  wire::Reader reader(bytes);
  for (wire::Field field; reader.Next(field);) {
    if (field.number > 2) continue;
    if (field.type != wire::kVarint || field.number_value > std::numeric_limits<uint32_t>::max()) {
      return false;
    }
    if (field.number == 1) {
      dimension.length = static_cast<uint32_t>(field.number_value);
    } else {
      dimension.lower_bound = static_cast<int32_t>(wire::UnZigZag(field.number_value));
    }
  }
  return reader.ok();
}

}  // namespace

void ArrayWriter::AddDimension(ArrayDimension dimension) {
  char buffer[16];
  char* end = buffer;
  if (dimension.length != 0) {
    *end++ = wire::Tag(1, wire::kVarint);
    end = wire::PutVarint(end, dimension.length);
  }
  if (dimension.lower_bound != 0) {
    *end++ = wire::Tag(2, wire::kVarint);
    end = wire::PutVarint(end, wire::ZigZag32(dimension.lower_bound));
  }
  wire::AppendDelimited(out_, kDimensionsField, {buffer, static_cast<size_t>(end - buffer)});
}

void ArrayWriter::AddElement(const Value& element) {
  const size_t size = wire::ValueSize(element);
  const size_t start = out_.size();
  out_.resize(start + 1 + wire::DelimitedSize(size));
  char* out = out_.data() + start;
  *out++ = wire::Tag(kElementsField, wire::kBytes);
  wire::PutValue(wire::PutVarint(out, size), element);
}

Result<ArrayView> ReadArray(std::string_view wire_array) {
  ArrayView view;
  std::vector<size_t> interval_elements;
  wire::Reader reader(wire_array);
  for (wire::Field field; reader.Next(field);) {
    if (field.number > kElementsField) continue;
    if (field.type != wire::kBytes) return Malformed();
    if (field.number == kDimensionsField) {
      if (!ReadDimension(field.bytes, view.dimensions.emplace_back())) return Malformed();
      continue;
    }
    Interval interval;
    bool is_interval;
    if (!wire::ReadValue(field.bytes, view.elements.emplace_back(), interval, is_interval)) {
      return Malformed();
    }
    if (is_interval) {
      interval_elements.push_back(view.elements.size() - 1);
      view.intervals.push_back(interval);
    }
  }
  if (!reader.ok()) return Malformed();
  for (size_t i = 0; i < interval_elements.size(); ++i) {  // their addresses are settled only now
    view.elements[interval_elements[i]] = Value::OfInterval(&view.intervals[i]);
  }
  uint64_t expected = view.dimensions.empty() ? 0 : 1;
  for (const ArrayDimension& dimension : view.dimensions) {
    expected *= dimension.length;
    if (expected > view.elements.size()) return Malformed();
  }
  if (expected != view.elements.size()) return Malformed();
  return view;
}

}  // namespace tailwater
