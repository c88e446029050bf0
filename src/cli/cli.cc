#include "cli/cli.h"

#include <algorithm>
#include <cstdio>
#include <exception>

#include "cli/command.h"
#include "cli/exit_code.h"
#include "sdk/suggest.h"
#include "support/text.h"

namespace tailwater {
namespace {

constexpr char kAbout[] =
    "Tailwater: one log in, one topic, any number of sinks out.\n"
    "Reads a database's change log once, keeps it in a topic, and carries it to every sink at its\n"
    "own pace.";

constexpr char kExitCodes[] =
    "Exit codes: 0 done, 1 other, 2 configuration, 3 needs an operator, 4 gap.\n"
    "'tailwater COMMAND --help' shows options and examples of a command.";

std::vector<std::string> CommandNames(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands({})) names.push_back(command->get_name());
  return names;
}

// `parent`: the command whose part was asked for; empty or " NAME".
int ReportUnknown(const std::string& command, const std::vector<std::string>& names,
                  const std::string& parent = "") {
  fmt::print(stderr, "tailwater{}: {}{}; there are {}\n", parent,
             command.empty() ? "a command is missing" : "unknown command '" + command + "'",
             DidYouMean(command, {names.begin(), names.end()}), fmt::join(names, ", "));
  fmt::print(stderr, "Run 'tailwater{} --help' for help.\n", parent);
  return kExitConfiguration;
}

// What CLI11 says, and what may have been meant.
int ReportUsage(const CLI::App& app, const CLI::ParseError& error, int argc, char** argv) {
  if (error.get_exit_code() == 0) return app.exit(error);  // --help
  const std::vector<std::string> names = CommandNames(app);
  const std::string first = argc > 1 ? argv[1] : "";
  const bool known = std::find(names.begin(), names.end(), first) != names.end();
  if (argc < 2) {
    fmt::print(stderr, "{}", app.help());
    return kExitConfiguration;
  }
  if (!known && !first.starts_with('-')) return ReportUnknown(first, names);
  if (known) {
    const std::vector<std::string> parts = CommandNames(*app.get_subcommand(first));
    const std::string second = argc > 2 ? argv[2] : "";
    if (!parts.empty() && std::find(parts.begin(), parts.end(), second) == parts.end()) {
      return ReportUnknown(second, parts, " " + first);
    }
  }
  fmt::print(stderr, "tailwater{}: {}\n", known ? " " + first : "", error.what());
  fmt::print(stderr, "Run 'tailwater{} --help' for help.\n", known ? " " + first : "");
  return kExitConfiguration;
}

// Listed here, but turned into --help before anything is parsed.
void AddHelpCommand(CommandLine& line) {
  line.app.add_subcommand("help", "Show help, or the help of a command")
      ->footer("Examples:\n  tailwater help\n  tailwater help tail");
}

}  // namespace

void AddOutputOption(CLI::App& command, OutputFormat& format) {
  AddChoice<OutputFormat>(command, "-o,--output", format, "How to print: text or json",
                          {{"text", OutputFormat::kText}, {"json", OutputFormat::kJson}})
      ->type_name("FORMAT");
}

int RunCommandLine(int argc, char** argv, const Registry& registry) {
  CLI::App app(kAbout, "tailwater");
  app.footer(kExitCodes);
  app.require_subcommand(1);
  app.get_formatter()->column_width(34);
  CommandLine line{app, registry, {}};
  AddRunCommand(line);
  AddValidateCommand(line);
  AddCheckCommand(line);
  AddStatusCommand(line);
  AddTailCommand(line);
  AddSourcesCommand(line);
  AddSinksCommand(line);
  AddHandoverCommand(line);
  AddDeadLettersCommand(line);
  AddDestroyCommand(line);
  AddVersionCommand(line);
  AddHelpCommand(line);
  std::vector<char*> arguments(argv, argv + argc);
  char help[] = "--help";
  if (argc >= 2 && std::string_view(argv[1]) == "help") {
    const std::vector<std::string> names = CommandNames(app);
    if (argc >= 3 && std::find(names.begin(), names.end(), argv[2]) == names.end()) {
      return ReportUnknown(argv[2], names);
    }
    arguments.erase(arguments.begin() + 1);
    arguments.push_back(help);
    argc = static_cast<int>(arguments.size());
  }
  try {
    app.parse(argc, arguments.data());
  } catch (const CLI::ParseError& error) {
    return ReportUsage(app, error, argc, arguments.data());
  }
  try {
    return line.run();
  } catch (const std::exception& error) {
    fmt::print(stderr, "tailwater: unexpected failure: {}\n", error.what());
    return kExitOther;
  }
}

}  // namespace tailwater
