#include "tailwater/config.h"

#include <algorithm>

#include "sdk/suggest.h"

namespace tailwater {

std::string Location::ToString() const {
  if (line == 0) return file;
  return file + ':' + std::to_string(line) + ':' + std::to_string(column);
}

std::string Problem::ToString() const {
  const std::string place = location.ToString();
  return place.empty() ? message : place + ": " + message;
}

const ConfigNode* ConfigNode::Find(std::string_view key) const {
  for (const Entry& entry : entries) {
    if (entry.key == key) return &entry.value;
  }
  return nullptr;
}

void ParseOptions(const OptionTable& table, const ConfigNode& section,
                  const std::vector<std::string_view>& also_known, void* config,
                  Problems& problems) {
  const std::string prefix = section.path.empty() ? std::string() : section.path + ": ";
  if (section.kind != ConfigNode::Kind::kMap) {
    problems.Add(section.location, prefix + "must be a map of options, one 'name: value' per line");
    return;
  }
  std::vector<std::string_view> known(also_known);
  for (const OptionSpec& option : table) known.push_back(option.name);

  for (const ConfigNode::Entry& entry : section.entries) {
    const auto option = std::find_if(table.begin(), table.end(), [&](const OptionSpec& candidate) {
      return candidate.name == entry.key;
    });
    if (option != table.end()) {
      option->parse(entry.value, config, problems);
    } else if (std::find(known.begin(), known.end(), entry.key) == known.end()) {
      std::string message = prefix + "unknown key '" + entry.key + "'";
      const std::string suggestion = DidYouMean(entry.key, known);
      if (!suggestion.empty()) {
        message += suggestion;
      } else if (known.empty()) {
        message += "; no options are known here";
      } else {
        message += "; known are ";
        std::sort(known.begin(), known.end());
        for (size_t i = 0; i < known.size(); ++i) {
          message += (i == 0 ? "" : ", ") + std::string(known[i]);
        }
      }
      problems.Add(entry.key_location, std::move(message));
    }
  }
  for (const OptionSpec& option : table) {
    if (option.required && section.Find(option.name) == nullptr) {
      problems.Add(section.location, prefix + "needs '" + option.name + "': " + option.help);
    }
  }
}

int ParseChoice(const ConfigNode& node, const std::vector<std::string>& names, Problems& problems) {
  std::string text;
  const size_t before = problems.list().size();
  ParseScalar(node, text, problems);
  if (problems.list().size() != before) return -1;
  const auto found = std::find(names.begin(), names.end(), text);
  if (found != names.end()) return static_cast<int>(found - names.begin());

  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "" : ", ") + name;
  problems.Add(node.location,
               node.path + ": '" + text + "' is unknown" +
                   DidYouMean(text, std::vector<std::string_view>(names.begin(), names.end())) +
                   "; known are " + list);
  return -1;
}

}  // namespace tailwater
