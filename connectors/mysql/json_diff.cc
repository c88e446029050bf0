#include "mysql/json_diff.h"

#include <algorithm>
#include <cstdint>
#include <deque>
#include <utility>
#include <vector>

#include "mysql/json_binary.h"
#include "mysql/wire_bytes.h"

namespace tailwater::mysql {
namespace {

enum class DiffKind : uint8_t { kReplace = 0, kInsert = 1, kRemove = 2 };

// A document in pieces that can be moved. Scalars stay bytes.
struct Node {
  JsonValue value;                // of a scalar; else only whether it is an object or an array
  std::vector<std::string> keys;  // objects, as many as children
  std::vector<Node> children;
};

// As the server orders members: short keys first, then by bytes.
bool KeyLess(std::string_view left, std::string_view right) {
  return left.size() != right.size() ? left.size() < right.size() : left < right;
}

bool Build(const JsonValue& value, int depth, size_t& budget, Node& out) {
  out.value = value;
  if (!value.is_object() && !value.is_array()) return true;
  JsonContainer container;
  if (depth >= kMostJsonDepth || !container.Open(value)) return false;
  if (budget < container.own_bytes()) return false;
  budget -= container.own_bytes();
  out.children.resize(container.count());
  for (uint32_t i = 0; i < container.count(); ++i) {
    if (value.is_object()) {
      std::string_view key;
      if (!container.Key(i, key) || budget < key.size()) return false;
      budget -= key.size();
      out.keys.emplace_back(key);
    }
    JsonValue element;
    if (!container.Element(i, element) || !Build(element, depth + 1, budget, out.children[i])) {
      return false;
    }
  }
  return true;
}

bool BuildDocument(std::string_view bytes, Node& out) {
  JsonValue value;
  size_t budget = bytes.size();
  return JsonValue::OfDocument(bytes, value) && Build(value, 0, budget, out);
}

bool Print(const Node& node, int depth, size_t& budget, std::string& out) {
  if (!node.value.is_object() && !node.value.is_array()) {
    return AppendJsonScalar(node.value, budget, out);
  }
  if (depth >= kMostJsonDepth) return false;
  out += node.value.is_object() ? '{' : '[';
  for (size_t i = 0; i < node.children.size(); ++i) {
    if (i != 0) out += ", ";
    if (node.value.is_object()) {
      AppendJsonString(node.keys[i], out);
      out += ": ";
    }
    if (!Print(node.children[i], depth + 1, budget, out)) return false;
  }
  out += node.value.is_object() ? '}' : ']';
  return true;
}

struct Step {
  bool is_index = false;
  uint64_t index = 0;
  std::string key;
};

void AppendUtf8(unsigned unit, std::string& out) {  // below 0x800: what the server escapes
  if (unit < 0x80) {
    out += static_cast<char>(unit);
  } else {
    out += static_cast<char>(0xC0 | unit >> 6);
    out += static_cast<char>(0x80 | (unit & 0x3F));
  }
}

// The inside of a quoted key, behind its opening quote.
bool TakeQuoted(std::string_view& rest, std::string& key) {
  while (!rest.empty() && rest[0] != '"') {
    char c = rest[0];
    rest.remove_prefix(1);
    if (c != '\\') {
      key += c;
      continue;
    }
    if (rest.empty()) return false;
    c = rest[0];
    rest.remove_prefix(1);
    static constexpr std::string_view kLetters = "\"\\/btnfr";
    static constexpr std::string_view kMeant = "\"\\/\b\t\n\f\r";
    const size_t which = kLetters.find(c);
    if (which != std::string_view::npos) {
      key += kMeant[which];
      continue;
    }
    if (c != 'u' || rest.size() < 4) return false;
    unsigned unit = 0;
    for (int i = 0; i < 4; ++i) {
      const char digit = rest[static_cast<size_t>(i)];
      const char lower = static_cast<char>(digit | 0x20);
      if (digit >= '0' && digit <= '9') {
        unit = unit << 4 | static_cast<unsigned>(digit - '0');
      } else if (lower >= 'a' && lower <= 'f') {
        unit = unit << 4 | static_cast<unsigned>(lower - 'a' + 10);
      } else {
        return false;
      }
    }
    if (unit >= 0x800) return false;
    AppendUtf8(unit, key);
    rest.remove_prefix(4);
  }
  if (rest.empty()) return false;
  rest.remove_prefix(1);
  return true;
}

// $.a."b c"[1].d
bool ParsePath(std::string_view path, std::vector<Step>& steps) {
  if (!path.starts_with('$')) return false;
  path.remove_prefix(1);
  while (!path.empty()) {
    Step step;
    const char c = path[0];
    path.remove_prefix(1);
    if (c == '[') {
      step.is_index = true;
      size_t digits = 0;
      while (digits < path.size() && path[digits] >= '0' && path[digits] <= '9') {
        step.index = step.index * 10 + static_cast<uint64_t>(path[digits++] - '0');
        if (step.index > UINT32_MAX) return false;
      }
      if (digits == 0 || digits == path.size() || path[digits] != ']') return false;
      path.remove_prefix(digits + 1);
    } else if (c == '.' && path.starts_with('"')) {
      path.remove_prefix(1);
      if (!TakeQuoted(path, step.key)) return false;
    } else if (c == '.') {
      const size_t size = std::min(path.find_first_of(".["), path.size());
      if (size == 0) return false;
      step.key = path.substr(0, size);
      path.remove_prefix(size);
    } else {
      return false;
    }
    steps.push_back(std::move(step));
  }
  return true;
}

// The place of a step's member among the children of `node`, or where it would be.
struct Place {
  bool fits = false;  // the node is of the kind that the step goes into
  bool found = false;
  size_t index = 0;
};
Place FindPlace(const Node& node, const Step& step) {
  Place place;
  place.fits = step.is_index ? node.value.is_array() : node.value.is_object();
  if (!place.fits) return place;
  if (step.is_index) {
    place.index = std::min<size_t>(step.index, node.children.size());
    place.found = step.index < node.children.size();
    return place;
  }
  const auto at = std::lower_bound(node.keys.begin(), node.keys.end(), step.key, KeyLess);
  place.index = static_cast<size_t>(at - node.keys.begin());
  place.found = at != node.keys.end() && *at == step.key;
  return place;
}

bool Apply(Node& root, DiffKind kind, std::string_view path, std::string_view document) {
  std::vector<Step> steps;
  Node replacement;
  if (!ParsePath(path, steps)) return false;
  if (kind != DiffKind::kRemove && !BuildDocument(document, replacement)) return false;
  if (steps.empty()) {
    if (kind != DiffKind::kReplace) return false;
    root = std::move(replacement);
    return true;
  }
  Node* parent = &root;
  for (size_t i = 0; i + 1 < steps.size(); ++i) {
    const Place place = FindPlace(*parent, steps[i]);
    if (!place.found) return false;
    parent = &parent->children[place.index];
  }
  const Step& last = steps.back();
  const Place place = FindPlace(*parent, last);
  if (!place.fits) return false;
  const auto at = static_cast<std::ptrdiff_t>(place.index);
  switch (kind) {
    case DiffKind::kReplace:
      if (!place.found) return false;
      parent->children[place.index] = std::move(replacement);
      return true;
    case DiffKind::kInsert:
      if (!last.is_index) {
        if (place.found) return false;
        parent->keys.insert(parent->keys.begin() + at, last.key);
      }
      parent->children.insert(parent->children.begin() + at, std::move(replacement));
      return true;
    case DiffKind::kRemove:
      if (!place.found) return false;
      if (!last.is_index) parent->keys.erase(parent->keys.begin() + at);
      parent->children.erase(parent->children.begin() + at);
      return true;
  }
  return false;
}

}  // namespace

bool ApplyJsonDiffs(std::string_view document, std::string_view diffs, std::string& out) {
  Node root;
  if (!BuildDocument(document, root)) return false;
  size_t budget = document.size() + diffs.size();
  while (!diffs.empty()) {
    uint8_t kind = 0;
    std::string_view path, value;
    if (!TakeInt(diffs, kind) || kind > 2 || !TakeLenencBytes(diffs, path)) return false;
    const auto diff = static_cast<DiffKind>(kind);
    if (diff != DiffKind::kRemove && !TakeLenencBytes(diffs, value)) return false;
    if (!Apply(root, diff, path, value)) return false;
  }
  return Print(root, 0, budget, out);
}

}  // namespace tailwater::mysql
