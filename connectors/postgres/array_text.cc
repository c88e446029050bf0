// Array text ("[0:1]={{1,NULL},{\"a b\",c}}") to the wire form of array.h.
#include <array>
#include <charconv>
#include <string>

#include "postgres/value_parsers.h"
#include "tailwater/array.h"

namespace tailwater::postgres {
namespace {

struct Shape {
  size_t dimensions = 0;
  std::array<ArrayDimension, kMaxArrayDimensions> dimension{};
};

// "[0:1][-2:3]=" in front of the braces. False: malformed.
bool ReadBounds(std::string_view& text, Shape& shape) {
  while (text.starts_with('[')) {
    if (shape.dimensions == kMaxArrayDimensions) return false;
    const char* const end = text.data() + text.size();
    int32_t lower = 0, upper = 0;
    auto [colon, lower_error] = std::from_chars(text.data() + 1, end, lower);
    if (lower_error != std::errc() || colon == end || *colon != ':') return false;
    auto [bracket, upper_error] = std::from_chars(colon + 1, end, upper);
    if (upper_error != std::errc() || bracket == end || *bracket != ']') return false;
    const int64_t length = int64_t{upper} - lower + 1;
    if (length < 1 || length > INT32_MAX) return false;
    shape.dimension[shape.dimensions++] = {static_cast<uint32_t>(length), lower};
    text.remove_prefix(static_cast<size_t>(bracket + 1 - text.data()));
  }
  if (shape.dimensions == 0) return true;
  if (!text.starts_with('=')) return false;
  text.remove_prefix(1);
  return true;
}

// Reads one element at `next`: quoted, with backslashes, or bare. `element` views the text, or
// `scratch` where something was escaped. False: malformed.
bool ReadElement(const char*& next, const char* end, char delimiter, std::string& scratch,
                 std::string_view& element, bool& is_null) {
  is_null = false;
  if (*next != '"') {
    const char* const begin = next;
    while (next != end && *next != delimiter && *next != '}') {
      if (*next == '"' || *next == '{' || *next == '\\') return false;
      ++next;
    }
    element = {begin, static_cast<size_t>(next - begin)};
    is_null = element == "NULL";
    return !element.empty();
  }
  const char* const begin = ++next;
  while (next != end && *next != '"' && *next != '\\') ++next;
  element = {begin, static_cast<size_t>(next - begin)};
  if (next != end && *next == '\\') {
    scratch.assign(element);
    while (next != end && *next != '"') {
      if (*next == '\\' && ++next == end) return false;
      scratch.push_back(*next++);
    }
    element = scratch;
  }
  if (next == end) return false;
  ++next;  // the closing quote
  return true;
}

// Walks over the braces and calls `on_element(text, is_null)` for each element in row-major order.
// Fills the lengths that `shape` lacks on the way and checks that the array is rectangular.
template <class OnElement>
bool Walk(std::string_view text, char delimiter, std::string& scratch, Shape& shape,
          OnElement on_element) {
  const bool bounds_given = shape.dimensions != 0;
  std::array<uint32_t, kMaxArrayDimensions> count{};
  std::array<bool, kMaxArrayDimensions> known{};
  if (bounds_given) known.fill(true);
  const char* next = text.data();
  const char* const end = next + text.size();
  size_t depth = 0;       // braces open
  size_t leaf_depth = 0;  // depth of elements, once one was seen
  bool value_expected = true;
  while (next != end) {
    if (value_expected && *next == '{') {
      if (depth == kMaxArrayDimensions || (leaf_depth != 0 && depth == leaf_depth)) return false;
      count[depth++] = 0;
      ++next;
      continue;
    }
    if (value_expected) {
      if (depth == 0 || (leaf_depth != 0 && depth != leaf_depth)) return false;
      leaf_depth = depth;
      std::string_view element;
      bool is_null;
      if (!ReadElement(next, end, delimiter, scratch, element, is_null)) return false;
      if (++count[depth - 1] == 0 || !on_element(element, is_null)) return false;
      value_expected = false;
      continue;
    }
    if (*next == delimiter) {
      value_expected = true;
    } else if (*next == '}') {
      --depth;
      ArrayDimension& dimension = shape.dimension[depth];
      if (!known[depth]) {
        known[depth] = true;
        dimension.length = count[depth];
      } else if (dimension.length != count[depth]) {
        return false;
      }
      if (depth == 0) {
        if (next + 1 != end) return false;
        if (bounds_given) return shape.dimensions == leaf_depth;
        shape.dimensions = leaf_depth;
        return true;
      }
      ++count[depth - 1];
    } else {
      return false;
    }
    ++next;
  }
  return false;
}

}  // namespace

bool ParseArray(const ValueParser& parser, std::string_view text, ChangeBatch& batch, Value& out) {
  // Kept between calls, so that a row with arrays allocates nothing either.
  thread_local std::string wire, scratch;
  if (wire.capacity() > kKeptArrayBytes) wire = {};
  if (scratch.capacity() > kKeptArrayBytes) scratch = {};
  wire.clear();
  if (text == "{}") {
    out = Value::Array({});
    return true;
  }
  Shape shape;
  if (!ReadBounds(text, shape)) return false;
  if (!Walk(text, parser.delimiter, scratch, shape, [](std::string_view, bool) { return true; })) {
    return false;
  }
  ArrayWriter writer(wire);
  for (size_t i = 0; i < shape.dimensions; ++i) writer.AddDimension(shape.dimension[i]);
  Shape again = shape;
  const bool parsed =
      Walk(text, parser.delimiter, scratch, again, [&](std::string_view element, bool is_null) {
        Value value = Value::Null();
        if (!is_null && !(*parser.element)(element, batch, value)) return false;
        writer.AddElement(value);
        return true;
      });
  if (!parsed) return false;
  out = Value::Array(batch.arena().Copy(wire));
  return true;
}

}  // namespace tailwater::postgres
