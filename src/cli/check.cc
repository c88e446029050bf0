#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/load.h"
#include "cli/output.h"
#include "monitor/metrics_registry.h"
#include "pipeline/rules_check.h"
#include "support/text.h"
#include "topic/open_topic.h"

namespace tailwater {
namespace {

using nlohmann::ordered_json;

std::string_view SeverityName(Finding::Severity severity) {
  switch (severity) {
    case Finding::Severity::kOk:
      return "ok";
    case Finding::Severity::kInfo:
      return "info";
    case Finding::Severity::kWarning:
      return "warning";
    case Finding::Severity::kError:
      return "error";
  }
  return "error";
}

std::string_view Colour(Finding::Severity severity, const Palette& palette) {
  switch (severity) {
    case Finding::Severity::kOk:
      return palette.green;
    case Finding::Severity::kInfo:
      return palette.cyan;
    case Finding::Severity::kWarning:
      return palette.yellow;
    case Finding::Severity::kError:
      return palette.red;
  }
  return palette.red;
}

// A source or a sink, and what was found about it.
struct Checked {
  std::string pipeline;
  std::string name;
  std::string type;
  std::vector<RuleFinding> findings;  // of a source without a place
  bool asks_tables = false;           // a sink: it has conditions or mappings

  size_t Count(Finding::Severity severity) const {
    return static_cast<size_t>(std::count_if(
        findings.begin(), findings.end(),
        [&](const RuleFinding& finding) { return finding.finding.severity == severity; }));
  }
};

struct CheckedAll {
  std::vector<Checked> topics;
  std::vector<Checked> sources;
  std::vector<Checked> sinks;
};

Checked CheckTopic(const PipelineConfig& pipeline) {
  Checked checked{pipeline.name, pipeline.topic.type, pipeline.topic.type, {}};
  auto topic = OpenTopic(pipeline.topic, pipeline.name);
  if (!topic) {
    checked.findings.push_back({{Finding::Severity::kError, std::string(topic.error().code),
                                 "topic", topic.error().message, ""},
                                {},
                                {}});
    return checked;
  }
  checked.name = (*topic)->Describe();
  for (Finding& finding : (*topic)->Check()) {
    checked.findings.push_back({std::move(finding), {}, {}});
  }
  return checked;
}

// Also adds the source's tables, if its server tells them.
Checked CheckSource(const PipelineConfig& pipeline, const SourceConfig& source,
                    DescribedTables& tables, std::map<std::string, std::string>& unknown) {
  Checked checked{pipeline.name, source.name, source.type->type, {}};
  MetricsRegistry metrics;
  auto tools =
      source.type->tools(source.config, SourceContext{pipeline.name, source.name, source.tables, "",
                                                      Logger("check"), metrics.root()});
  auto findings = tools ? (*tools)->Check() : Result<std::vector<Finding>>(tools.error());
  if (findings) {
    for (Finding& finding : *findings) checked.findings.push_back({std::move(finding), {}, {}});
  } else {
    checked.findings.push_back({{Finding::Severity::kError, std::string(findings.error().code),
                                 "server", findings.error().message, ""},
                                {},
                                {}});
  }
  auto described =
      tools ? (*tools)->DescribeTables() : Result<std::vector<TableDescription>>(tools.error());
  if (described) {
    tables.emplace(source.name, *std::move(described));
  } else {
    unknown.emplace(source.name, described.error().message);
  }
  return checked;
}

Checked CheckSink(const PipelineConfig& pipeline, const SinkConfig& sink,
                  const DescribedTables& tables,
                  const std::map<std::string, std::string>& unknown) {
  Checked checked{pipeline.name, sink.name, sink.type->type, {}, NeedsTables(sink)};
  checked.findings = CheckRules(sink, tables, pipeline.sources.size());
  if (!checked.asks_tables) return checked;
  const std::string path = "sinks." + sink.name;
  for (const auto& [source, reason] : unknown) {
    checked.findings.push_back(
        {{Finding::Severity::kWarning, "tables_unknown", source,
          "its tables are not known, so nothing was checked against them: " + reason, ""},
         sink.location,
         path});
  }
  if (checked.Count(Finding::Severity::kError) == 0 && !tables.empty()) {
    checked.findings.push_back({{Finding::Severity::kOk, "sink_rules_fit", "tables",
                                 "conditions and mappings fit the tables as they are", ""},
                                {},
                                {}});
  }
  return checked;
}

ordered_json AsJson(const std::vector<Checked>& all, const char* kind) {
  ordered_json list = ordered_json::array();
  for (const Checked& checked : all) {
    ordered_json findings = ordered_json::array();
    for (const auto& [finding, location, path] : checked.findings) {
      ordered_json json = {{"severity", SeverityName(finding.severity)},
                           {"code", finding.code},
                           {"subject", finding.subject},
                           {"message", finding.message},
                           {"remedy", finding.remedy}};
      if (location.line > 0) {
        json["path"] = path;
        json["file"] = location.file;
        json["line"] = location.line;
        json["column"] = location.column;
      }
      findings.push_back(std::move(json));
    }
    list.push_back({{"pipeline", checked.pipeline},
                    {kind, checked.name},
                    {"type", checked.type},
                    {"errors", checked.Count(Finding::Severity::kError)},
                    {"warnings", checked.Count(Finding::Severity::kWarning)},
                    {"findings", std::move(findings)}});
  }
  return list;
}

void PrintJson(const CheckedAll& all) {
  const ordered_json json = {{"topics", AsJson(all.topics, "topic")},
                             {"sources", AsJson(all.sources, "source")},
                             {"sinks", AsJson(all.sinks, "sink")}};
  fmt::print("{}\n", json.dump(-1, ' ', false, ordered_json::error_handler_t::replace));
}

// severity  subject  message, broken to the width; then what to run, ready to be copied.
void PrintText(const Checked& checked, std::string_view kind, const Palette& palette) {
  fmt::print("{}{}{} ({} of pipeline {}, {})\n", palette.bold, checked.name, palette.off, kind,
             checked.pipeline, checked.type);
  constexpr size_t kSeverityWidth = 9;  // "warning" and two blanks
  size_t subject_width = 0;
  for (const RuleFinding& found : checked.findings) {
    subject_width =
        std::max(subject_width, std::min<size_t>(40, DisplayWidth(found.finding.subject)));
  }
  const size_t indent = 2 + kSeverityWidth + subject_width + 2;
  const size_t terminal = TerminalWidth(STDOUT_FILENO);
  const size_t width = terminal == 0 ? 100 : std::max<size_t>(40, terminal - 1);
  const size_t text_width = width > indent + 30 ? width - indent : 30;
  for (const auto& [finding, location, path] : checked.findings) {
    const std::string message =
        location.line > 0 ? fmt::format("{}: {}: {}", location.ToString(), path, finding.message)
                          : finding.message;
    const std::string subject = Printable(finding.subject);
    const size_t used = DisplayWidth(subject);
    fmt::print("  {}{:<9}{}{}", Colour(finding.severity, palette), SeverityName(finding.severity),
               palette.off, subject);
    if (used > subject_width) {
      fmt::print("\n{:{}}", "", indent);
    } else {
      fmt::print("{:{}}", "", subject_width - used + 2);
    }
    bool first = true;
    for (const std::string& line : Wrapped(message, text_width)) {
      fmt::print("{:{}}{}\n", "", first ? 0 : indent, Printable(line));
      first = false;
    }
    if (first) fmt::print("\n");
    if (finding.remedy.empty()) continue;
    for (size_t at = 0; at < finding.remedy.size();) {
      const size_t end = std::min(finding.remedy.find('\n', at), finding.remedy.size());
      fmt::print("{:{}}{}{}{}\n", "", indent, palette.bold,
                 Printable(std::string_view(finding.remedy).substr(at, end - at)), palette.off);
      at = end + 1;
    }
  }
  const size_t errors = checked.Count(Finding::Severity::kError);
  const size_t warnings = checked.Count(Finding::Severity::kWarning);
  if (errors > 0) {
    fmt::print("  {}{} to be fixed before it can run{}{}\n", palette.red, Counted(errors, "error"),
               palette.off,
               warnings > 0 ? fmt::format(", {}", Counted(warnings, "warning")) : std::string());
  } else {
    fmt::print("  {}ready to run{}{}\n", palette.green, palette.off,
               warnings > 0 ? fmt::format(", {}", Counted(warnings, "warning")) : std::string());
  }
}

void PrintText(const CheckedAll& all) {
  const Palette palette = Palette::For(STDOUT_FILENO);
  bool first = true;
  const auto print = [&](const Checked& checked, std::string_view kind) {
    if (!std::exchange(first, false)) fmt::print("\n");
    PrintText(checked, kind, palette);
  };
  for (const Checked& topic : all.topics) {
    if (!topic.findings.empty()) print(topic, "topic");
  }
  for (const Checked& source : all.sources) print(source, "source");
  for (const Checked& sink : all.sinks) {
    if (!sink.findings.empty()) print(sink, "sink");
  }
}

int Check(const std::vector<std::string>& paths, OutputFormat format, const Registry& registry) {
  const auto config = LoadOrReport(paths, registry);
  if (!config) return kExitConfiguration;
  CheckedAll all;
  for (const PipelineConfig& pipeline : config->pipelines) {
    all.topics.push_back(CheckTopic(pipeline));
    DescribedTables tables;
    std::map<std::string, std::string> unknown;  // sources, and why
    for (const SourceConfig& source : pipeline.sources) {
      all.sources.push_back(CheckSource(pipeline, source, tables, unknown));
    }
    for (const SinkConfig& sink : pipeline.sinks) {
      all.sinks.push_back(CheckSink(pipeline, sink, tables, unknown));
    }
  }
  if (format == OutputFormat::kJson) {
    PrintJson(all);
  } else {
    PrintText(all);
  }
  for (const std::vector<Checked>* part : {&all.topics, &all.sources, &all.sinks}) {
    for (const Checked& checked : *part) {
      if (checked.Count(Finding::Severity::kError) > 0) return kExitNeedsOperator;
    }
  }
  return kExitDone;
}

}  // namespace

void AddCheckCommand(CommandLine& line) {
  struct Options {
    std::vector<std::string> paths;
    OutputFormat format = OutputFormat::kText;
  };
  auto options = std::make_shared<Options>();
  CLI::App* command =
      line.app.add_subcommand("check", "Look at servers and topics and say what is missing");
  command->footer(
      "Reads only. Prints what was found about a topic in Kafka (settings, rights, what would be\n"
      "made), then about server, role, tables and columns, with the exact SQL to run where\n"
      "something is missing; then whether conditions and mappings of the sinks fit the tables.\n"
      "Ends with 3 if anything must be fixed first.\n\n"
      "Examples:\n"
      "  tailwater check shop.yaml\n"
      "  tailwater check shop.yaml -o json");
  command->add_option("FILE", options->paths, "Configuration files or folders")
      ->required()
      ->type_name("");
  AddOutputOption(*command, options->format);
  command->callback([&line, options] {
    line.run = [&line, options] { return Check(options->paths, options->format, line.registry); };
  });
}

}  // namespace tailwater
