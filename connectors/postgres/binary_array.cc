// An array in binary form to the wire form of array.h: dimensions, then elements, each behind its
// length.
#include <cstdint>
#include <string>

#include "postgres/big_endian.h"
#include "postgres/binary_values.h"
#include "tailwater/array.h"

namespace tailwater::postgres {
namespace {

constexpr size_t kHeader = 12;              // dimensions, whether there are NULLs, element type
constexpr uint64_t kMaxElements = 1 << 27;  // the server's own limit

}  // namespace

bool DecodeArray(const ValueParser& parser, std::string_view bytes, ChangeBatch& batch,
                 Value& out) {
  // Kept between calls, so that a row with arrays allocates nothing.
  thread_local std::string wire;
  if (wire.capacity() > kKeptArrayBytes) wire = {};
  wire.clear();
  if (bytes.size() < kHeader) return false;
  const auto dimensions = LoadBig<uint32_t>(bytes.data());
  if (dimensions > kMaxArrayDimensions || bytes.size() < kHeader + size_t{8} * dimensions)
    return false;
  ArrayWriter writer(wire);
  uint64_t elements = dimensions == 0 ? 0 : 1;
  const char* next = bytes.data() + kHeader;
  for (uint32_t i = 0; i < dimensions; ++i, next += 8) {
    const auto length = LoadBig<uint32_t>(next);
    elements *= length;
    if (elements > kMaxElements) return false;
    writer.AddDimension({length, LoadBig<int32_t>(next + 4)});
  }
  const char* const end = bytes.data() + bytes.size();
  for (uint64_t i = 0; i < elements; ++i) {
    if (end - next < 4) return false;
    const auto size = LoadBig<int32_t>(next);
    next += 4;
    Value value = Value::Null();
    if (size != -1) {
      if (size < 0 || size > end - next) return false;
      if (!parser.element->decode(*parser.element, {next, static_cast<size_t>(size)}, batch,
                                  value)) {
        return false;
      }
      next += size;
    }
    writer.AddElement(value);
  }
  if (next != end) return false;
  out = Value::Array(elements == 0 ? std::string_view() : batch.arena().Copy(wire));
  return true;
}

}  // namespace tailwater::postgres
