#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/output.h"
#include "config/load_config.h"
#include "config/reference.h"
#include "support/text.h"

namespace tailwater {
namespace {

using nlohmann::ordered_json;

struct ValidateOptions {
  std::vector<std::string> paths;
  bool list_connectors = false;
  bool reference = false;
  OutputFormat format = OutputFormat::kText;
};

int ListConnectors(const Registry& registry, OutputFormat format) {
  if (format == OutputFormat::kJson) {
    ordered_json json = {{"sources", ordered_json::array()}, {"sinks", ordered_json::array()}};
    for (const auto& [name, type] : registry.sources()) {
      json["sources"].push_back({{"type", name}, {"summary", type.summary}});
    }
    for (const auto& [name, type] : registry.sinks()) {
      json["sinks"].push_back({{"type", name}, {"summary", type.summary}});
    }
    fmt::print("{}\n", json.dump());
    return kExitDone;
  }
  fmt::print("Sources\n");
  for (const auto& [name, type] : registry.sources())
    fmt::print("  {:<12} {}\n", name, type.summary);
  fmt::print("Sinks\n");
  for (const auto& [name, type] : registry.sinks()) fmt::print("  {:<12} {}\n", name, type.summary);
  return kExitDone;
}

void PrintJson(const Config& config, const Problems& problems) {
  ordered_json json = {{"problems", ordered_json::array()}, {"pipelines", ordered_json::array()}};
  for (const Problem& problem : problems.list()) {
    json["problems"].push_back({{"file", problem.location.file},
                                {"line", problem.location.line},
                                {"column", problem.location.column},
                                {"message", problem.message}});
  }
  if (problems.empty()) {
    for (const PipelineConfig& pipeline : config.pipelines) {
      ordered_json sources = ordered_json::array();
      for (const SourceConfig& source : pipeline.sources) {
        sources.push_back({{"name", source.name}, {"type", source.type->type}});
      }
      ordered_json sinks = ordered_json::array();
      for (const SinkConfig& sink : pipeline.sinks) {
        sinks.push_back({{"name", sink.name}, {"type", sink.type->type}});
      }
      json["pipelines"].push_back({{"name", pipeline.name},
                                   {"hash", pipeline.hash},
                                   {"sources", std::move(sources)},
                                   {"sinks", std::move(sinks)}});
    }
  }
  fmt::print("{}\n", json.dump());
}

int Validate(const ValidateOptions& options, const Registry& registry) {
  if (options.list_connectors) return ListConnectors(registry, options.format);
  if (options.reference) {
    fmt::print("{}", Reference(registry));
    return kExitDone;
  }
  if (options.paths.empty()) {
    fmt::print(stderr,
               "tailwater validate: name a file or a folder, for example tailwater validate "
               "shop.yaml\n");
    return kExitConfiguration;
  }
  Problems problems;
  const Config config = LoadConfig(options.paths, registry, problems);
  if (options.format == OutputFormat::kJson) {
    PrintJson(config, problems);
  } else if (problems.empty()) {
    for (const PipelineConfig& pipeline : config.pipelines) {
      fmt::print("pipeline {}: {}, {}: no problems\n", pipeline.name,
                 Counted(pipeline.sources.size(), "source"),
                 Counted(pipeline.sinks.size(), "sink"));
    }
  } else {
    for (const Problem& problem : problems.list()) fmt::print(stderr, "{}\n", problem.ToString());
    fmt::print(stderr, "{}\n", Counted(problems.list().size(), "problem"));
  }
  return problems.empty() ? kExitDone : kExitConfiguration;
}

}  // namespace

void AddValidateCommand(CommandLine& line) {
  auto options = std::make_shared<ValidateOptions>();
  CLI::App* command =
      line.app.add_subcommand("validate", "Check configuration files without connecting anywhere");
  command->footer(
      "Every problem of every file is printed at once as file:line:column, in the form that "
      "editors\n"
      "jump to. 'tailwater check' looks at the servers as well.\n\n"
      "Examples:\n"
      "  tailwater validate shop.yaml\n"
      "  tailwater validate /etc/tailwater\n"
      "  tailwater validate --list-connectors\n"
      "  tailwater validate --reference | less");
  command->add_option("FILE", options->paths, "Configuration files or folders")->type_name("");
  command->add_flag("--list-connectors", options->list_connectors,
                    "List the types of sources and sinks instead");
  command->add_flag("--reference", options->reference,
                    "Print every option with help, type and default instead");
  AddOutputOption(*command, options->format);
  command->callback([&line, options] {
    line.run = [&line, options] { return Validate(*options, line.registry); };
  });
}

}  // namespace tailwater
