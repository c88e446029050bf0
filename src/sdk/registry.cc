#include "tailwater/registry.h"

#include <algorithm>

namespace tailwater {

bool HasOptionNamed(const OptionTable& table, const std::vector<std::string_view>& names) {
  return std::any_of(table.begin(), table.end(), [&](const OptionSpec& option) {
    return std::find(names.begin(), names.end(), option.name) != names.end();
  });
}

const SourceType* Registry::FindSource(std::string_view type) const {
  const auto found = sources_.find(type);
  return found == sources_.end() ? nullptr : &found->second;
}

const SinkType* Registry::FindSink(std::string_view type) const {
  const auto found = sinks_.find(type);
  return found == sinks_.end() ? nullptr : &found->second;
}

}  // namespace tailwater
