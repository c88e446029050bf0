#include "tailwater/tables.h"

#include <algorithm>

namespace tailwater {
namespace {

// `*` any run, `?` one character: linear in practice, quadratic at worst, never exponential.
bool GlobMatches(std::string_view glob, std::string_view text) {
  size_t g = 0;
  size_t t = 0;
  size_t star = std::string_view::npos;
  size_t star_text = 0;
  while (t < text.size()) {
    if (g < glob.size() && glob[g] == '*') {
      star = g++;
      star_text = t;
    } else if (g < glob.size() && (glob[g] == '?' || glob[g] == text[t])) {
      ++g;
      ++t;
    } else if (star != std::string_view::npos) {
      g = star + 1;
      t = ++star_text;
    } else {
      return false;
    }
  }
  return glob.find_first_not_of('*', g) == std::string_view::npos;
}

// What may stand before the colon: a source's name. A colon inside of a table's name is no prefix,
// for the schema and the dot, or a quote, stand before it.
bool IsSourceName(std::string_view text) {
  return !text.empty() && text[0] >= 'a' && text[0] <= 'z' &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
         });
}

void Add(const ConfigNode& node, const std::string& message, Problems& problems) {
  problems.Add(node.location, node.path + ": " + message);
}

std::optional<TablePattern> ParsePattern(const ConfigNode& node, Problems& problems) {
  std::string text;
  const size_t before = problems.list().size();
  ParseScalar(node, text, problems);
  if (problems.list().size() != before) return std::nullopt;
  TablePattern pattern;
  const size_t colon = text.find(':');
  if (colon != text.npos && IsSourceName(std::string_view(text).substr(0, colon))) {
    pattern.source = text.substr(0, colon);
    text.erase(0, colon + 1);
  }
  if (text.empty()) {
    Add(node, "is empty; write a table's name or a pattern, for example public.*", problems);
    return std::nullopt;
  }
  pattern.glob = std::move(text);
  return pattern;
}

std::optional<TableEntry> ParseEntry(const ConfigNode& node, Problems& problems) {
  TableEntry entry;
  entry.options = node;
  if (node.kind != ConfigNode::Kind::kMap) {
    auto pattern = ParsePattern(node, problems);
    if (!pattern) return std::nullopt;
    entry.match = *std::move(pattern);
    return entry;
  }
  const ConfigNode* match = node.Find("match");
  if (match == nullptr) {
    Add(node, "needs 'match', for example {match: public.*}", problems);
    return std::nullopt;
  }
  auto pattern = ParsePattern(*match, problems);
  if (pattern) entry.match = *pattern;
  if (const ConfigNode* exclude = node.Find("exclude")) {
    if (exclude->kind != ConfigNode::Kind::kList) {
      Add(*exclude, "must be a list, for example [public.secrets]", problems);
    }
    for (const ConfigNode& item : exclude->items) {
      if (auto excluded = ParsePattern(item, problems)) {
        entry.exclude.push_back(*std::move(excluded));
      }
    }
  }
  if (!pattern) return std::nullopt;
  return entry;
}

}  // namespace

bool TablePattern::Matches(std::string_view source_name, std::string_view table) const {
  return (source.empty() || source == source_name) && GlobMatches(glob, table);
}

bool TablePattern::has_wildcard() const { return glob.find_first_of("*?") != glob.npos; }

std::string TablePattern::ToString() const { return source.empty() ? glob : source + ":" + glob; }

TableSelection TableSelection::Parse(const ConfigNode* node, Problems& problems) {
  TableSelection selection;
  if (node == nullptr) {
    TableEntry everything;
    everything.match.glob = "*";
    selection.entries_.push_back(std::move(everything));
    return selection;
  }
  if (node->kind == ConfigNode::Kind::kNull) {
    Add(*node, "has no value; list tables, or remove the line to select every table", problems);
    return selection;
  }
  if (node->kind != ConfigNode::Kind::kList) {
    Add(*node, "must be a list, for example [public.orders, {match: public.user_*}]", problems);
    return selection;
  }
  if (node->items.empty()) {
    Add(*node, "selects no table; remove the line to select every table", problems);
  }
  for (const ConfigNode& item : node->items) {
    if (auto entry = ParseEntry(item, problems)) selection.entries_.push_back(*std::move(entry));
  }
  return selection;
}

std::optional<size_t> TableSelection::Find(std::string_view source, std::string_view table) const {
  for (size_t i = entries_.size(); i-- > 0;) {
    const TableEntry& entry = entries_[i];
    if (!entry.match.Matches(source, table)) continue;
    const bool excluded =
        std::any_of(entry.exclude.begin(), entry.exclude.end(),
                    [&](const TablePattern& pattern) { return pattern.Matches(source, table); });
    if (!excluded) return i;
  }
  return std::nullopt;
}

}  // namespace tailwater
