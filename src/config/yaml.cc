#include "config/yaml.h"

#include <yaml-cpp/yaml.h>

#include <map>

namespace tailwater {
namespace {

// Anchors let a few lines stand for very much, and for themselves.
constexpr int kMaxDepth = 50;
constexpr int kMaxNodes = 100'000;

class Converter {
 public:
  Converter(const std::string& file, Problems& problems) : file_(file), problems_(problems) {}

  ConfigNode Convert(const YAML::Node& node, const std::string& path, const Location& fallback,
                     int depth) {
    ConfigNode out;
    out.path = path;
    out.location = At(node.Mark(), fallback);
    if (depth > kMaxDepth || ++nodes_ > kMaxNodes) {
      if (!too_large_) {
        problems_.Add(out.location, "too large or nested too deeply; is an anchor used in itself?");
      }
      too_large_ = true;
      return out;
    }
    const std::string& tag = node.Tag();
    if (!tag.empty() && tag != "?" && tag != "!" && !tag.starts_with("tag:yaml.org,2002:")) {
      problems_.Add(out.location, Prefix(path) + "the tag '" + tag + "' is not known; remove it");
    }
    switch (node.Type()) {
      case YAML::NodeType::Undefined:
      case YAML::NodeType::Null:
        out.location = fallback.line > 0 ? fallback : out.location;
        break;
      case YAML::NodeType::Scalar:
        out.kind = ConfigNode::Kind::kScalar;
        out.scalar = node.Scalar();
        out.quoted = tag == "!";
        break;
      case YAML::NodeType::Sequence:
        out.kind = ConfigNode::Kind::kList;
        for (size_t i = 0; i < node.size(); ++i) {
          out.items.push_back(
              Convert(node[i], path + "[" + std::to_string(i) + "]", out.location, depth + 1));
        }
        break;
      case YAML::NodeType::Map:
        out.kind = ConfigNode::Kind::kMap;
        ConvertMap(node, out, depth);
        break;
    }
    return out;
  }

 private:
  void ConvertMap(const YAML::Node& node, ConfigNode& out, int depth) {
    std::map<std::string, Location> seen;
    for (const auto& pair : node) {
      const Location location = At(pair.first.Mark(), out.location);
      if (!pair.first.IsScalar()) {
        problems_.Add(location, Prefix(out.path) + "a key must be a plain text");
        continue;
      }
      const std::string key = pair.first.Scalar();
      const auto [first, added] = seen.emplace(key, location);
      if (!added) {
        problems_.Add(location, Prefix(out.path) + "'" + key +
                                    "' is written twice; the first one is in line " +
                                    std::to_string(first->second.line));
        continue;
      }
      const std::string path = out.path.empty() ? key : out.path + "." + key;
      out.entries.push_back({key, location, Convert(pair.second, path, location, depth + 1)});
    }
  }

  Location At(const YAML::Mark& mark, const Location& fallback) const {
    if (mark.is_null()) return fallback;
    return {file_, mark.line + 1, mark.column + 1};
  }

  static std::string Prefix(const std::string& path) { return path.empty() ? path : path + ": "; }

  const std::string& file_;
  Problems& problems_;
  int nodes_ = 0;
  bool too_large_ = false;
};

}  // namespace

std::optional<ConfigNode> ParseYaml(const std::string& text, const std::string& file,
                                    Problems& problems) {
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(text);
    if (documents.empty()) {
      problems.Add({file, 0, 0}, "the file is empty");
      return std::nullopt;
    }
    if (documents.size() > 1) {
      problems.Add({file, documents[1].Mark().line + 1, documents[1].Mark().column + 1},
                   "a second document begins here; put it into a file of its own");
    }
    return Converter(file, problems).Convert(documents[0], "", {file, 1, 1}, 0);
  } catch (const YAML::Exception& error) {
    Location location{file, 0, 0};
    if (!error.mark.is_null()) location = {file, error.mark.line + 1, error.mark.column + 1};
    problems.Add(location, "no valid YAML: " + error.msg);
    return std::nullopt;
  }
}

}  // namespace tailwater
