#include "config/load_config.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <tuple>

#include "config/config_files.h"
#include "config/config_hash.h"
#include "config/options.h"
#include "config/sink_options.h"
#include "config/source_options.h"
#include "config/yaml.h"
#include "sdk/suggest.h"
#include "support/text.h"

namespace tailwater {
namespace {

namespace fs = std::filesystem;

void CheckVersion(const ConfigNode& root, Problems& problems) {
  const ConfigNode* version = root.Find("version");
  if (version == nullptr) {
    problems.Add(root.location, "needs 'version: 1', the version of this file's format");
    return;
  }
  int64_t number = 1;
  ParseScalar(*version, number, problems);
  if (number != 1) {
    problems.Add(version->location,
                 fmt::format("version: {} is unknown; this release reads version 1", number));
  }
}

// Maps of named things: sources, sinks. Calls `read` for each with a good name.
template <class Read>
void ForEachNamed(const ConfigNode& section, std::string_view example, Problems& problems,
                  Read read) {
  if (section.kind != ConfigNode::Kind::kMap) {
    problems.Add(section.location, fmt::format("{}: must be a map of names, for example {}: {{…}}",
                                               section.path, example));
    return;
  }
  for (const ConfigNode::Entry& entry : section.entries) {
    const std::string problem = NameProblem(entry.key);
    if (!problem.empty()) problems.Add(entry.key_location, section.path + ": " + problem);
    if (entry.value.kind != ConfigNode::Kind::kMap) {
      problems.Add(entry.key_location, entry.value.path + ": must be a map with at least a 'type'");
    } else {
      read(entry);
    }
  }
}

// The connector type of a section; null, and a problem that lists all, if there is none of the
// name.
template <class Types>
auto FindType(const ConfigNode& section, const Location& location, const Types& types,
              Problems& problems) -> const typename Types::mapped_type* {
  std::string list;
  std::vector<std::string_view> names;
  for (const auto& [name, unused] : types) {
    names.push_back(name);
    list += (list.empty() ? "" : ", ") + name;
  }
  const ConfigNode* node = section.Find("type");
  if (node == nullptr) {
    problems.Add(location, section.path + ": needs 'type'; known are " + list);
    return nullptr;
  }
  std::string type;
  const size_t before = problems.list().size();
  ParseScalar(*node, type, problems);
  if (problems.list().size() != before) return nullptr;
  const auto found = types.find(type);
  if (found != types.end()) return &found->second;
  problems.Add(node->location, fmt::format("{}: unknown type '{}'{}; known are {}", node->path,
                                           type, DidYouMean(type, names), list));
  return nullptr;
}

class Loader {
 public:
  Loader(const Registry& registry, Problems& problems) : registry_(registry), problems_(problems) {}

  void ReadDaemon(const ConfigNode& root) {
    if (!IsMap(root)) return;
    CheckVersion(root, problems_);
    if (daemon_location_) {
      problems_.Add(root.location, "daemon settings are already in " + daemon_location_->file);
      return;
    }
    daemon_location_ = root.location;
    config_.daemon.hash = ConfigHash({root});
    const size_t before = problems_.list().size();
    ParseOptions(DaemonOptions(), root, {"version"}, &config_.daemon, problems_);
    if (problems_.list().size() == before) CheckDaemon(config_.daemon, root, problems_);
  }

  void ReadPipeline(const ConfigNode& root) {
    if (!IsMap(root)) return;
    CheckVersion(root, problems_);
    ParseOptions({}, root, {"version", "pipeline", "sources", "topic", "sinks"}, nullptr,
                 problems_);
    const ConfigNode* node = root.Find("pipeline");
    std::string name;
    if (node == nullptr) {
      problems_.Add(root.location, "needs 'pipeline', its name, for example pipeline: shop");
    } else {
      ParseScalar(*node, name, problems_);
      const std::string problem = name.empty() ? std::string() : NameProblem(name);
      if (!problem.empty()) problems_.Add(node->location, "pipeline: " + problem);
    }
    // Without a name the rest is checked all the same, as a pipeline of its own.
    Draft& draft = drafts_[name.empty() ? root.location.file : name];
    if (draft.config.name.empty()) {
      draft.config.name = name;
      draft.config.location = root.location;
    }
    ReadSources(root, draft);
    ReadTopic(root, draft);
    ReadSinks(root, draft);
    draft.files.push_back(root);
  }

  Config Finish(bool any_file_unread) {
    for (auto& [unused, draft] : drafts_) {
      PipelineConfig& pipeline = draft.config;
      if (draft.sources_location.line == 0 && !any_file_unread) {
        problems_.Add(pipeline.location, "needs 'sources', at least one");
      }
      if (draft.topic_location.line == 0 && !any_file_unread) {
        problems_.Add(pipeline.location,
                      "needs 'topic', for example topic: {type: local, path: /var/lib/tailwater/" +
                          (pipeline.name.empty() ? "shop" : pipeline.name) + "}");
      }
      FillTopicNames(pipeline);
      if (draft.sources_location.line != 0) CheckPatterns(draft);
      pipeline.hash = ConfigHash(draft.files);
      config_.pipelines.push_back(std::move(pipeline));
    }
    CheckTopicPlaces();
    return std::move(config_);
  }

 private:
  // What follows from the pipeline's name where it is left out.
  static void FillTopicNames(PipelineConfig& pipeline) {
    KafkaTopicConfig& kafka = pipeline.topic.kafka;
    if (kafka.name.empty()) kafka.name = "tailwater." + pipeline.name;
    if (kafka.scratch.empty()) {
      std::error_code error;
      kafka.scratch = (fs::temp_directory_path(error) / ("tailwater-" + pipeline.name)).string();
    }
  }

  struct Draft {
    PipelineConfig config;
    Location sources_location;
    Location topic_location;
    std::vector<ConfigNode> files;  // of this pipeline
    std::map<std::string, Location> sinks;
  };

  bool IsMap(const ConfigNode& root) {
    if (root.kind == ConfigNode::Kind::kMap) return true;
    problems_.Add(root.location, "must begin with 'version: 1'");
    return false;
  }

  void ReadSources(const ConfigNode& root, Draft& draft) {
    const ConfigNode* section = root.Find("sources");
    if (section == nullptr) return;
    if (draft.sources_location.line != 0) {
      problems_.Add(section->location, "sources: already declared in " +
                                           draft.sources_location.ToString() +
                                           "; another file of the pipeline can only add sinks");
    } else {
      draft.sources_location = section->location;
    }
    ForEachNamed(*section, "shop", problems_, [&](const ConfigNode::Entry& entry) {
      SourceConfig source;
      source.name = entry.key;
      source.location = entry.key_location;
      source.hash = ConfigHash({entry.value});
      source.type = FindType(entry.value, entry.key_location, registry_.sources(), problems_);
      if (source.type != nullptr) source.config = source.type->parse(entry.value, problems_);
      const SourceRules rules = ParseSourceRules(entry.value, problems_);
      source.snapshot = rules.snapshot;
      source.on_gap = rules.on_gap;
      source.tables = TableSelection::Parse(entry.value.Find("tables"), problems_);
      for (const TableEntry& table : source.tables.entries()) {
        if (table.options.kind == ConfigNode::Kind::kMap) {
          ParseOptions({}, table.options, {"match", "exclude"}, nullptr, problems_);
        }
        CheckSourcePattern(source.name, table, table.match);
        for (const TablePattern& pattern : table.exclude) {
          CheckSourcePattern(source.name, table, pattern);
        }
      }
      draft.config.sources.push_back(std::move(source));
    });
    if (section->kind == ConfigNode::Kind::kMap && section->entries.empty()) {
      problems_.Add(section->location, "sources: needs at least one");
    }
  }

  void CheckSourcePattern(const std::string& source, const TableEntry& entry,
                          const TablePattern& pattern) {
    if (!pattern.source.empty() && pattern.source != source) {
      problems_.Add(entry.options.location,
                    fmt::format("{}: '{}' names another source; only sinks choose between sources",
                                entry.options.path, pattern.ToString()));
    }
    CheckHasSchema(entry, pattern);
  }

  void CheckHasSchema(const TableEntry& entry, const TablePattern& pattern) {
    if (!pattern.has_wildcard() && pattern.glob.find('.') == pattern.glob.npos) {
      problems_.Add(
          entry.options.location,
          fmt::format(
              "{}: '{}' needs its schema (in MySQL its database) in front, for example public.{}",
              entry.options.path, pattern.glob, pattern.glob));
    }
  }

  void ReadTopic(const ConfigNode& root, Draft& draft) {
    const ConfigNode* section = root.Find("topic");
    if (section == nullptr) return;
    if (draft.topic_location.line != 0) {
      problems_.Add(section->location,
                    "topic: already declared in " + draft.topic_location.ToString());
      return;
    }
    draft.topic_location = section->location;
    ParseTopic(*section, draft.config.topic, problems_);
    draft.config.topic.location = section->location;
    draft.config.topic.hash = ConfigHash({*section});
  }

  void ReadSinks(const ConfigNode& root, Draft& draft) {
    const ConfigNode* section = root.Find("sinks");
    if (section == nullptr) return;
    ForEachNamed(*section, "search", problems_, [&](const ConfigNode::Entry& entry) {
      const auto [first, added] = draft.sinks.emplace(entry.key, entry.key_location);
      if (!added) {
        problems_.Add(entry.key_location,
                      fmt::format("{}: a sink of this name is already declared in {}",
                                  entry.value.path, first->second.ToString()));
      }
      if (entry.key == "capture" || entry.key == "changes") {
        problems_.Add(entry.key_location, entry.value.path +
                                              ": this name is reserved for the topic's own files; "
                                              "choose another one");
      }
      SinkConfig sink;
      sink.name = entry.key;
      sink.location = entry.key_location;
      sink.hash = ConfigHash({entry.value});
      sink.type = FindType(entry.value, entry.key_location, registry_.sinks(), problems_);
      if (sink.type != nullptr) sink.config = sink.type->parse(entry.value, problems_);
      // Problems of the tables are those that the type's parse() has found already.
      Problems repeated;
      TableSelection tables = TableSelection::Parse(entry.value.Find("tables"),
                                                    sink.type == nullptr ? problems_ : repeated);
      sink.rules =
          ParseDeliveryRules(entry.value, std::move(tables),
                             sink.type == nullptr ? SinkTraits() : sink.type->traits, problems_);
      draft.config.sinks.push_back(std::move(sink));
    });
  }

  // What can never match is a mistake that would otherwise show up as silence.
  void CheckPatterns(const Draft& draft) {
    std::vector<std::string_view> sources;
    for (const SourceConfig& source : draft.config.sources) sources.push_back(source.name);
    for (const SinkConfig& sink : draft.config.sinks) {
      for (const TableEntry& entry : sink.rules.tables.entries()) {
        CheckSinkPattern(draft, sources, entry, entry.match, true);
        for (const TablePattern& pattern : entry.exclude) {
          CheckSinkPattern(draft, sources, entry, pattern, false);
        }
      }
    }
  }

  void CheckSinkPattern(const Draft& draft, const std::vector<std::string_view>& sources,
                        const TableEntry& entry, const TablePattern& pattern, bool must_match) {
    if (!pattern.source.empty() &&
        std::find(sources.begin(), sources.end(), pattern.source) == sources.end()) {
      problems_.Add(entry.options.location,
                    fmt::format("{}: '{}' names the source '{}', which this pipeline lacks{}",
                                entry.options.path, pattern.ToString(), pattern.source,
                                DidYouMean(pattern.source, sources)));
      return;
    }
    CheckHasSchema(entry, pattern);
    if (!must_match || pattern.has_wildcard() || pattern.glob.find('.') == pattern.glob.npos)
      return;
    std::vector<std::string_view> captured;
    for (const SourceConfig& source : draft.config.sources) {
      if (!pattern.source.empty() && pattern.source != source.name) continue;
      if (source.tables.Selects(source.name, pattern.glob)) return;
      for (const TableEntry& table : source.tables.entries()) captured.push_back(table.match.glob);
    }
    problems_.Add(
        entry.options.location,
        fmt::format("{}: no source captures '{}'{}; add it to the source's tables",
                    entry.options.path, pattern.ToString(), DidYouMean(pattern.glob, captured)));
  }

  // Two pipelines in one topic would take each other's state for their own.
  void CheckTopicPlaces() {
    std::map<std::string, const PipelineConfig*> places;
    for (const PipelineConfig& pipeline : config_.pipelines) {
      const TopicConfig& topic = pipeline.topic;
      const bool kafka = topic.type == "kafka";
      if (!kafka && topic.path.empty()) continue;
      std::error_code error;
      const std::string place =
          kafka ? fmt::format("{} {}", topic.kafka.connection.Describe(), topic.kafka.name)
                : fs::weakly_canonical(topic.path, error).string();
      const auto [first, added] = places.emplace(place, &pipeline);
      if (added) continue;
      problems_.Add(topic.location,
                    fmt::format("topic.{}: '{}' is already used by the pipeline '{}'",
                                kafka ? "name" : "path", kafka ? topic.kafka.name : topic.path,
                                first->second->name));
    }
  }

  const Registry& registry_;
  Problems& problems_;
  Config config_;
  std::optional<Location> daemon_location_;
  std::map<std::string, Draft> drafts_;
};

}  // namespace

Config LoadConfig(const std::vector<std::string>& paths, const Registry& registry,
                  Problems& problems) {
  Problems found;
  Loader loader(registry, found);
  bool unread = false;
  for (const std::string& file : FindConfigFiles(paths, found)) {
    const std::optional<std::string> text = ReadConfigFile(file, found);
    const std::optional<ConfigNode> root = text ? ParseYaml(*text, file, found) : std::nullopt;
    if (!root) {
      unread = true;
    } else if (fs::path(file).filename() == kDaemonFile) {
      loader.ReadDaemon(*root);
    } else {
      loader.ReadPipeline(*root);
    }
  }
  Config config = loader.Finish(unread);
  if (config.pipelines.empty() && found.empty()) {
    found.Add({paths.empty() ? std::string() : paths[0], 0, 0},
              "no pipeline is declared; begin a file with 'version: 1' and 'pipeline: NAME'");
  }
  std::vector<Problem> sorted = found.list();
  std::stable_sort(sorted.begin(), sorted.end(), [](const Problem& a, const Problem& b) {
    return std::tie(a.location.file, a.location.line, a.location.column) <
           std::tie(b.location.file, b.location.line, b.location.column);
  });
  for (Problem& problem : sorted) problems.Add(problem.location, std::move(problem.message));
  return config;
}

const SourceConfig* PipelineConfig::FindSource(std::string_view source) const {
  for (const SourceConfig& candidate : sources) {
    if (candidate.name == source) return &candidate;
  }
  return nullptr;
}

const SinkConfig* PipelineConfig::FindSink(std::string_view sink) const {
  for (const SinkConfig& candidate : sinks) {
    if (candidate.name == sink) return &candidate;
  }
  return nullptr;
}

const PipelineConfig* Config::FindPipeline(std::string_view pipeline) const {
  for (const PipelineConfig& candidate : pipelines) {
    if (candidate.name == pipeline) return &candidate;
  }
  return nullptr;
}

}  // namespace tailwater
