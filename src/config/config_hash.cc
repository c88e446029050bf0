#include "config/config_hash.h"

#include <xxhash.h>

#include <algorithm>
#include <map>
#include <string_view>

#include "support/text.h"

namespace tailwater {
namespace {

// A text that does not depend on layout, comments and the order of keys.
void AppendCanonical(const ConfigNode& node, std::string& out) {
  out += std::to_string(static_cast<int>(node.kind));
  switch (node.kind) {
    case ConfigNode::Kind::kNull:
      return;
    case ConfigNode::Kind::kScalar:
      out += fmt::format("{}:{}", node.scalar.size(), node.scalar);
      return;
    case ConfigNode::Kind::kList:
      out += fmt::format("{}:", node.items.size());
      for (const ConfigNode& item : node.items) AppendCanonical(item, out);
      return;
    case ConfigNode::Kind::kMap: {
      std::map<std::string_view, const ConfigNode*> sorted;
      for (const ConfigNode::Entry& entry : node.entries) sorted.emplace(entry.key, &entry.value);
      out += fmt::format("{}:", sorted.size());
      for (const auto& [key, value] : sorted) {
        out += fmt::format("{}:{}", key.size(), key);
        AppendCanonical(*value, out);
      }
      return;
    }
  }
}

}  // namespace

std::string ConfigHash(const std::vector<ConfigNode>& files) {
  std::vector<std::string> texts;
  for (const ConfigNode& file : files) AppendCanonical(file, texts.emplace_back());
  std::sort(texts.begin(), texts.end());
  std::string all;
  for (const std::string& text : texts) all += text;
  return fmt::format("{:016x}", XXH3_64bits(all.data(), all.size()));
}

}  // namespace tailwater
