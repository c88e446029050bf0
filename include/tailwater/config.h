// How a connector describes, gets and never leaks its configuration.
//
// A connector's configuration is a plain struct with defaults and one option table. The table
// parses, validates, redacts and documents (`tailwater validate --reference`). Parsing never stops
// at the first problem: each one is added to a Problems list with file, line and column, and
// nothing starts while the list is not empty.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "tailwater/result.h"

namespace tailwater {

struct Location {
  std::string file;
  int line = 0;                  // from 1; 0 = not from a file
  int column = 0;                // from 1
  std::string ToString() const;  // "config/orders.yaml:5:7"
};

struct Problem {
  Location location;
  std::string message;  // "sources.orders: unknown key 'databse' (did you mean 'database'?)"
  std::string ToString() const;  // "config/orders.yaml:5:7: sources.orders: unknown key …"
};

class Problems {
 public:
  void Add(const Location& location, std::string message) {
    list_.push_back({location, std::move(message)});
  }
  bool empty() const { return list_.empty(); }
  const std::vector<Problem>& list() const { return list_; }

 private:
  std::vector<Problem> list_;
};

// A parsed YAML value with the place where it stands. Copyable; independent of the YAML library.
struct ConfigNode {
  enum class Kind : uint8_t { kNull, kScalar, kList, kMap };
  struct Entry;
  Kind kind = Kind::kNull;
  Location location;
  std::string path;               // "sources.orders.tables[0]", for messages
  std::string scalar;             // kScalar, as written (quotes removed, ${…} not replaced)
  bool quoted = false;            // kScalar: it stood in quotes, so 'true' and '1' are text
  std::vector<ConfigNode> items;  // kList
  std::vector<Entry>
      entries;  // kMap, in file order; duplicate keys are reported when the file is read

  const ConfigNode* Find(std::string_view key) const;  // kMap; null if absent
};
struct ConfigNode::Entry {
  std::string key;
  Location key_location;
  ConfigNode value;
};

// A value that is never printed. Written plainly, as ${env:NAME} or as ${file:/path} (one trailing
// newline is dropped). Read() looks the variable or the file up anew, so that a rotated secret is
// used at the next connect.
class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string expression) : expression_(std::move(expression)) {}
  bool empty() const { return expression_.empty(); }
  // kNeedsOperator "secret_unreadable": the variable is not set or the file cannot be read; the
  // message names it.
  Result<std::string> Read() const;
  std::string ToString() const { return expression_.empty() ? "" : "***"; }

 private:
  std::string expression_;
};

// A number of bytes, written 512, 64KiB, 100MB, 1GiB.
struct ByteSize {
  uint64_t bytes = 0;
  auto operator<=>(const ByteSize&) const = default;
};

enum Requirement : uint8_t { kOptional, kRequired };

// One row of an option table, type-erased: what the help shows, and how a node becomes a member of
// the struct.
struct OptionSpec {
  std::string name;
  std::string help;
  std::string
      type;  // "text", "duration", "size", "whole number", "true or false", "list of text", "a | b"
  std::string default_text;  // as YAML; empty if there is none
  bool required = false;
  bool secret = false;
  std::vector<OptionSpec> options;  // of a Section()
  std::function<void(const ConfigNode& node, void* config, Problems& problems)> parse;
};
using OptionTable = std::vector<OptionSpec>;

// Fills `config` from a map node: unknown keys (with a suggestion), missing required keys and bad
// values become problems. `also_known` names keys that somebody else reads (`type`, `tables`).
void ParseOptions(const OptionTable& table, const ConfigNode& section,
                  const std::vector<std::string_view>& also_known, void* config,
                  Problems& problems);

// Conversions used by Field(); each reports into `problems` and leaves `out` alone on failure.
// Strings replace ${env:NAME}.
void ParseScalar(const ConfigNode& node, std::string& out, Problems& problems);
void ParseScalar(const ConfigNode& node, bool& out, Problems& problems);
void ParseScalar(const ConfigNode& node, int64_t& out, Problems& problems);
void ParseScalar(const ConfigNode& node, int32_t& out, Problems& problems);
void ParseScalar(const ConfigNode& node, uint32_t& out, Problems& problems);
void ParseScalar(const ConfigNode& node, double& out, Problems& problems);
void ParseScalar(const ConfigNode& node, std::chrono::milliseconds& out,
                 Problems& problems);  // 250ms, 30s, 5m, 2h, 7d
void ParseScalar(const ConfigNode& node, std::chrono::seconds& out, Problems& problems);
void ParseScalar(const ConfigNode& node, ByteSize& out, Problems& problems);
void ParseScalar(const ConfigNode& node, Secret& out, Problems& problems);
void ParseScalar(const ConfigNode& node, std::vector<std::string>& out, Problems& problems);
template <class T>
void ParseScalar(const ConfigNode& node, std::optional<T>& out, Problems& problems) {
  T value{};
  const size_t before = problems.list().size();
  ParseScalar(node, value, problems);
  if (problems.list().size() == before) out = std::move(value);
}

// How a default is shown in help and reference.yaml.
std::string ConfigText(const std::string& value);
std::string ConfigText(bool value);
std::string ConfigText(int64_t value);
std::string ConfigText(int32_t value);
std::string ConfigText(uint32_t value);
std::string ConfigText(double value);
std::string ConfigText(std::chrono::milliseconds value);
std::string ConfigText(std::chrono::seconds value);
std::string ConfigText(const ByteSize& value);
std::string ConfigText(const Secret& value);
std::string ConfigText(const std::vector<std::string>& value);
template <class T>
std::string ConfigText(const std::optional<T>& value) {
  return value ? ConfigText(*value) : std::string();
}

std::string_view ConfigTypeName(const std::string*);
std::string_view ConfigTypeName(const bool*);
std::string_view ConfigTypeName(const int64_t*);
std::string_view ConfigTypeName(const int32_t*);
std::string_view ConfigTypeName(const uint32_t*);
std::string_view ConfigTypeName(const double*);
std::string_view ConfigTypeName(const std::chrono::milliseconds*);
std::string_view ConfigTypeName(const std::chrono::seconds*);
std::string_view ConfigTypeName(const ByteSize*);
std::string_view ConfigTypeName(const Secret*);
std::string_view ConfigTypeName(const std::vector<std::string>*);
template <class T>
std::string_view ConfigTypeName(const std::optional<T>*) {
  return ConfigTypeName(static_cast<const T*>(nullptr));
}

template <class Config, class Member>
OptionSpec Field(std::string name, Member Config::*member, std::string help,
                 Requirement requirement = kOptional) {
  OptionSpec spec;
  spec.name = std::move(name);
  spec.help = std::move(help);
  spec.type = ConfigTypeName(static_cast<const Member*>(nullptr));
  spec.default_text = requirement == kRequired ? std::string() : ConfigText(Config{}.*member);
  spec.required = requirement == kRequired;
  spec.secret = std::is_same_v<Member, Secret>;
  spec.parse = [member](const ConfigNode& node, void* config, Problems& problems) {
    ParseScalar(node, static_cast<Config*>(config)->*member, problems);
  };
  return spec;
}

// Finds `text` among `names`, or adds the problem that lists them; -1 if not found.
int ParseChoice(const ConfigNode& node, const std::vector<std::string>& names, Problems& problems);

// A member with a closed set of values: Choice("mode", &C::mode, "…", {{"mirror", Mode::kMirror},
// {"log", Mode::kLog}}).
template <class Config, class Enum>
OptionSpec Choice(std::string name, Enum Config::*member, std::string help,
                  std::vector<std::pair<std::string, Enum>> choices) {
  OptionSpec spec;
  spec.name = std::move(name);
  spec.help = std::move(help);
  std::vector<std::string> names;
  for (const auto& [text, value] : choices) {
    spec.type += (spec.type.empty() ? "" : " | ") + text;
    if (Config{}.*member == value) spec.default_text = text;
    names.push_back(text);
  }
  spec.parse = [member, names, choices](const ConfigNode& node, void* config, Problems& problems) {
    const int index = ParseChoice(node, names, problems);
    if (index >= 0)
      static_cast<Config*>(config)->*member = choices[static_cast<size_t>(index)].second;
  };
  return spec;
}

// A map of options inside of the section, `slot: {name: …, create: false}`; the member is a struct
// with a table of its own.
template <class Config, class Member>
OptionSpec Section(std::string name, Member Config::*member, std::string help, OptionTable table) {
  OptionSpec spec;
  spec.name = std::move(name);
  spec.help = std::move(help);
  spec.type = "map";
  spec.options = table;
  spec.parse = [member, table = std::move(table)](const ConfigNode& node, void* config,
                                                  Problems& problems) {
    ParseOptions(table, node, {}, &(static_cast<Config*>(config)->*member), problems);
  };
  return spec;
}

// The options of a struct that is a member, standing in the section itself: what several connectors
// share (brokers, tls, sasl) is declared once.
template <class Config, class Member>
OptionTable Inlined(Member Config::*member, OptionTable table) {
  for (OptionSpec& spec : table) {
    spec.parse = [member, parse = std::move(spec.parse)](const ConfigNode& node, void* config,
                                                         Problems& problems) {
      parse(node, &(static_cast<Config*>(config)->*member), problems);
    };
  }
  return table;
}

}  // namespace tailwater
