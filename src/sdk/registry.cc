#include "tailwater/registry.h"

namespace tailwater {

const SourceType* Registry::FindSource(std::string_view type) const {
  const auto found = sources_.find(type);
  return found == sources_.end() ? nullptr : &found->second;
}

const SinkType* Registry::FindSink(std::string_view type) const {
  const auto found = sinks_.find(type);
  return found == sinks_.end() ? nullptr : &found->second;
}

}  // namespace tailwater
