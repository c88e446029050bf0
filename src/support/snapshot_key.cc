#include "support/snapshot_key.h"

#include <charconv>

#include "support/text.h"

namespace tailwater {
namespace {

// One part of a name, up to the dot behind it or the end.
bool TakeName(std::string_view& text, std::string& part) {
  part.clear();
  if (text.empty() || text[0] != '"') {
    const size_t end = text.find('.');
    part = text.substr(0, end);
    text.remove_prefix(part.size());
    return !part.empty() && part.find('"') == std::string::npos;
  }
  for (text.remove_prefix(1); !text.empty(); text.remove_prefix(1)) {
    if (text[0] == '"') {
      text.remove_prefix(1);
      if (text.empty() || text[0] != '"') return !part.empty();
    }
    part.push_back(text[0]);
  }
  return false;
}

void AppendPart(std::string_view part, std::string& out) {
  out += fmt::format("{}:{}", part.size(), part);
}

bool TakePart(std::string_view& text, std::string& part) {
  size_t size = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), size);
  if (error != std::errc() || end == text.data() + text.size() || *end != ':') return false;
  text.remove_prefix(static_cast<size_t>(end - text.data()) + 1);
  if (size > text.size()) return false;
  part = text.substr(0, size);
  text.remove_prefix(size);
  return true;
}

}  // namespace

std::optional<TableName> ParseTableName(std::string_view text) {
  TableName name;
  if (!TakeName(text, name.schema) || text.empty() || text[0] != '.') return std::nullopt;
  text.remove_prefix(1);
  if (!TakeName(text, name.name) || !text.empty()) return std::nullopt;
  return name;
}

SnapshotKey PackKey(std::string_view signature, const std::vector<std::string>& values) {
  SnapshotKey key;
  AppendPart(signature, key);
  for (const std::string& value : values) AppendPart(value, key);
  return key;
}

std::optional<std::vector<std::string>> UnpackKey(const SnapshotKey& key,
                                                  std::string_view signature, size_t columns) {
  std::string_view text = key;
  std::string found;
  if (!TakePart(text, found) || found != signature) return std::nullopt;
  std::vector<std::string> values(columns);
  for (std::string& value : values) {
    if (!TakePart(text, value)) return std::nullopt;
  }
  if (!text.empty()) return std::nullopt;
  return values;
}

}  // namespace tailwater
