#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/load.h"
#include "cli/output.h"
#include "monitor/metrics_registry.h"
#include "support/text.h"

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

struct Checked {
  std::string pipeline;
  std::string source;
  std::string type;
  std::vector<Finding> findings;

  size_t Count(Finding::Severity severity) const {
    size_t count = 0;
    for (const Finding& finding : findings) count += finding.severity == severity ? 1 : 0;
    return count;
  }
};

Checked CheckSource(const PipelineConfig& pipeline, const SourceConfig& source) {
  Checked checked{pipeline.name, source.name, source.type->type, {}};
  MetricsRegistry metrics;
  auto tools =
      source.type->tools(source.config, SourceContext{pipeline.name, source.name, source.tables, "",
                                                      Logger("check"), metrics.root()});
  auto findings = tools ? (*tools)->Check() : Result<std::vector<Finding>>(tools.error());
  if (findings) {
    checked.findings = *std::move(findings);
  } else {
    checked.findings.push_back({Finding::Severity::kError, std::string(findings.error().code),
                                "server", findings.error().message, ""});
  }
  return checked;
}

void PrintJson(const std::vector<Checked>& all) {
  ordered_json json = {{"sources", ordered_json::array()}};
  for (const Checked& checked : all) {
    ordered_json findings = ordered_json::array();
    for (const Finding& finding : checked.findings) {
      findings.push_back({{"severity", SeverityName(finding.severity)},
                          {"code", finding.code},
                          {"subject", finding.subject},
                          {"message", finding.message},
                          {"remedy", finding.remedy}});
    }
    json["sources"].push_back({{"pipeline", checked.pipeline},
                               {"source", checked.source},
                               {"type", checked.type},
                               {"errors", checked.Count(Finding::Severity::kError)},
                               {"warnings", checked.Count(Finding::Severity::kWarning)},
                               {"findings", std::move(findings)}});
  }
  fmt::print("{}\n", json.dump(-1, ' ', false, ordered_json::error_handler_t::replace));
}

// severity  subject  message, broken to the width; then what to run, ready to be copied.
void PrintText(const Checked& checked, const Palette& palette) {
  fmt::print("{}{}{} (pipeline {}, {})\n", palette.bold, checked.source, palette.off,
             checked.pipeline, checked.type);
  constexpr size_t kSeverityWidth = 9;  // "warning" and two blanks
  size_t subject_width = 0;
  for (const Finding& finding : checked.findings) {
    subject_width = std::max(subject_width, std::min<size_t>(40, DisplayWidth(finding.subject)));
  }
  const size_t indent = 2 + kSeverityWidth + subject_width + 2;
  const size_t terminal = TerminalWidth(STDOUT_FILENO);
  const size_t width = terminal == 0 ? 100 : std::max<size_t>(40, terminal - 1);
  const size_t text_width = width > indent + 30 ? width - indent : 30;
  for (const Finding& finding : checked.findings) {
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
    for (const std::string& line : Wrapped(finding.message, text_width)) {
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

int Check(const std::vector<std::string>& paths, OutputFormat format, const Registry& registry) {
  const auto config = LoadOrReport(paths, registry);
  if (!config) return kExitConfiguration;
  std::vector<Checked> all;
  for (const PipelineConfig& pipeline : config->pipelines) {
    for (const SourceConfig& source : pipeline.sources) {
      all.push_back(CheckSource(pipeline, source));
    }
  }
  if (format == OutputFormat::kJson) {
    PrintJson(all);
  } else {
    const Palette palette = Palette::For(STDOUT_FILENO);
    for (size_t i = 0; i < all.size(); ++i) {
      if (i > 0) fmt::print("\n");
      PrintText(all[i], palette);
    }
  }
  for (const Checked& checked : all) {
    if (checked.Count(Finding::Severity::kError) > 0) return kExitNeedsOperator;
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
      line.app.add_subcommand("check", "Look at the source servers and say what is missing");
  command->footer(
      "Reads only. Prints what was found about server, role, tables and columns, with the exact "
      "SQL\n"
      "to run where something is missing. Ends with 3 if anything must be fixed first.\n\n"
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
