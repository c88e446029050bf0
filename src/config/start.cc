#include "config/options.h"
#include "util/timestamp.h"

namespace tailwater {
namespace {

struct StartMap {
  std::string time;
  int64_t offset = -1;
};

}  // namespace

void ParseStart(const ConfigNode& node, StartSpec& out, Problems& problems) {
  static const OptionTable kOptions = {
      Field("time", &StartMap::time, "Begin at the first change published at or after it."),
      Field("offset", &StartMap::offset, "Begin at this offset of the topic."),
  };
  if (node.kind != ConfigNode::Kind::kMap) {
    const int choice = ParseChoice(
        node, {"snapshot", "beginning", "end", "{time: 2026-11-21T09:30:00Z}", "{offset: 1234}"},
        problems);
    if (choice == 0) out = {StartSpec::Kind::kSnapshot};
    if (choice == 1) out = {StartSpec::Kind::kBeginning};
    if (choice == 2) out = {StartSpec::Kind::kEnd};
    if (choice > 2) problems.Add(node.location, node.path + ": write it without quotes");
    return;
  }
  StartMap map;
  const size_t before = problems.list().size();
  ParseOptions(kOptions, node, {}, &map, problems);
  if (problems.list().size() != before) return;
  const ConfigNode* time = node.Find("time");
  const ConfigNode* offset = node.Find("offset");
  if ((time == nullptr) == (offset == nullptr)) {
    problems.Add(node.location, node.path + ": needs either 'time' or 'offset'");
  } else if (time != nullptr) {
    const auto micros = ParseTimestamp(map.time);
    if (micros) {
      out = {StartSpec::Kind::kTime, *micros, 0};
    } else {
      problems.Add(time->location,
                   time->path + ": '" + map.time +
                       "' is not a time with its zone, for example 2026-11-21T09:30:00Z");
    }
  } else if (map.offset < 0) {
    problems.Add(offset->location, offset->path + ": must not be negative");
  } else {
    out = {StartSpec::Kind::kOffset, 0, map.offset};
  }
}

std::string NameProblem(const std::string& name) {
  constexpr size_t kLongest = 24;
  bool good = !name.empty() && name.size() <= kLongest && name[0] >= 'a' && name[0] <= 'z' &&
              name.back() != '_' && name.find("__") == name.npos;
  for (const char c : name) {
    good = good && ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_');
  }
  if (good) return {};
  return "'" + name +
         "' cannot be a name: use at most 24 lower-case letters, digits and single underscores, "
         "and "
         "begin with a letter";
}

}  // namespace tailwater
