// From what is written to typed values.
#include <charconv>
#include <cmath>
#include <limits>
#include <span>

#include "sdk/expand.h"
#include "tailwater/config.h"

namespace tailwater {
namespace {

void Add(const ConfigNode& node, std::string message, Problems& problems) {
  problems.Add(node.location, node.path.empty() ? message : node.path + ": " + message);
}

std::string Quote(const std::string& text) { return "'" + text + "'"; }

bool IsScalar(const ConfigNode& node, std::string_view wanted, Problems& problems) {
  switch (node.kind) {
    case ConfigNode::Kind::kScalar:
      return true;
    case ConfigNode::Kind::kNull:
      Add(node, "has no value; write " + std::string(wanted) + ", or remove the line", problems);
      return false;
    case ConfigNode::Kind::kList:
      Add(node, "is a list, but " + std::string(wanted) + " is wanted", problems);
      return false;
    case ConfigNode::Kind::kMap:
      Add(node, "is a map, but " + std::string(wanted) + " is wanted", problems);
      return false;
  }
  return false;
}

// The text with its variables replaced.
bool Text(const ConfigNode& node, std::string_view wanted, std::string& out, Problems& problems) {
  if (!IsScalar(node, wanted, problems)) return false;
  Expansion expansion = Expand(node.scalar, ExpandFiles::kNo);
  if (!expansion.problem.empty()) {
    Add(node, std::move(expansion.problem), problems);
    return false;
  }
  out = std::move(expansion.text);
  return true;
}

template <class Number>
void ParseWhole(const ConfigNode& node, Number& out, Problems& problems) {
  std::string text;
  if (!Text(node, "a whole number", text, problems)) return;
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc::result_out_of_range) {
    Add(node,
        Quote(text) + " is out of range; allowed are " +
            std::to_string(std::numeric_limits<Number>::min()) + " to " +
            std::to_string(std::numeric_limits<Number>::max()),
        problems);
  } else if (error != std::errc() || end != text.data() + text.size()) {
    Add(node,
        Quote(text) + " is not a whole number" +
            (std::is_unsigned_v<Number> ? " from 0 on, for example 10" : ", for example 10"),
        problems);
  } else {
    out = value;
  }
}

struct Unit {
  std::string_view name;
  uint64_t factor;
};

// "30s": a whole number and a unit. `example` shows the user how it is done.
bool ParseWithUnit(const ConfigNode& node, const std::string& text, std::span<const Unit> units,
                   std::string_view noun, const std::string& example_unit, uint64_t& out,
                   Problems& problems) {
  uint64_t number = 0;
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, number);
  const std::string_view unit(end, static_cast<size_t>(last - end));
  std::string names;
  for (const Unit& known : units) {
    if (known.name == unit && error == std::errc()) {
      if (__builtin_mul_overflow(number, known.factor, &out) ||
          out > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
        Add(node, Quote(text) + " is too large", problems);
        return false;
      }
      return true;
    }
    names += (names.empty() ? "" : ", ") + std::string(known.name);
  }
  if (error == std::errc() && unit.empty()) {
    Add(node, Quote(text) + " needs a unit, for example " + text + example_unit, problems);
  } else if (error == std::errc()) {
    Add(node,
        Quote(text) + " is no " + std::string(noun) + ": write a whole number and one of " + names,
        problems);
  } else {
    Add(node, Quote(text) + " is no " + std::string(noun) + ", for example 30" + example_unit,
        problems);
  }
  return false;
}

constexpr Unit kTimeUnits[] = {
    {"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}};
constexpr Unit kSizeUnits[] = {{"B", 1},
                               {"kB", 1000},
                               {"KB", 1000},
                               {"MB", 1'000'000},
                               {"GB", 1'000'000'000},
                               {"TB", 1'000'000'000'000},
                               {"KiB", 1ull << 10},
                               {"MiB", 1ull << 20},
                               {"GiB", 1ull << 30},
                               {"TiB", 1ull << 40}};

}  // namespace

void ParseScalar(const ConfigNode& node, std::string& out, Problems& problems) {
  Text(node, "a text", out, problems);
}

void ParseScalar(const ConfigNode& node, bool& out, Problems& problems) {
  std::string text;
  if (!Text(node, "true or false", text, problems)) return;
  if (text == "true" || text == "false") {
    out = text == "true";
  } else {
    Add(node, Quote(text) + " must be true or false", problems);
  }
}

void ParseScalar(const ConfigNode& node, int64_t& out, Problems& problems) {
  ParseWhole(node, out, problems);
}
void ParseScalar(const ConfigNode& node, int32_t& out, Problems& problems) {
  ParseWhole(node, out, problems);
}
void ParseScalar(const ConfigNode& node, uint32_t& out, Problems& problems) {
  ParseWhole(node, out, problems);
}

void ParseScalar(const ConfigNode& node, double& out, Problems& problems) {
  std::string text;
  if (!Text(node, "a number", text, problems)) return;
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) {
    Add(node, Quote(text) + " is not a number, for example 0.5", problems);
  } else {
    out = value;
  }
}

void ParseScalar(const ConfigNode& node, std::chrono::milliseconds& out, Problems& problems) {
  std::string text;
  uint64_t value = 0;
  if (Text(node, "a duration", text, problems) &&
      ParseWithUnit(node, text, kTimeUnits, "duration", "s", value, problems)) {
    out = std::chrono::milliseconds(value);
  }
}

void ParseScalar(const ConfigNode& node, std::chrono::seconds& out, Problems& problems) {
  const size_t before = problems.list().size();
  std::chrono::milliseconds value{0};
  ParseScalar(node, value, problems);
  if (problems.list().size() != before) return;
  if (value % std::chrono::seconds(1) != std::chrono::milliseconds(0)) {
    Add(node, Quote(node.scalar) + " must be whole seconds, for example 1s", problems);
  } else {
    out = std::chrono::duration_cast<std::chrono::seconds>(value);
  }
}

void ParseScalar(const ConfigNode& node, ByteSize& out, Problems& problems) {
  std::string text;
  if (!Text(node, "a size", text, problems)) return;
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool plain = error == std::errc() && end == text.data() + text.size();
  if (plain || ParseWithUnit(node, text, kSizeUnits, "size", "MiB", value, problems)) {
    out.bytes = value;
  }
}

void ParseScalar(const ConfigNode& node, Secret& out, Problems& problems) {
  if (!IsScalar(node, "a text, ${env:NAME} or ${file:/path}", problems)) return;
  std::string problem = CheckExpansion(node.scalar, ExpandFiles::kYes);
  if (problem.empty()) {
    out = Secret(node.scalar);
  } else {
    Add(node, std::move(problem), problems);
  }
}

void ParseScalar(const ConfigNode& node, std::vector<std::string>& out, Problems& problems) {
  if (node.kind != ConfigNode::Kind::kList) {
    Add(node, "must be a list, for example [one, two]", problems);
    return;
  }
  const size_t before = problems.list().size();
  std::vector<std::string> values;
  for (const ConfigNode& item : node.items) ParseScalar(item, values.emplace_back(), problems);
  if (problems.list().size() == before) out = std::move(values);
}

}  // namespace tailwater
