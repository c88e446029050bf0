// What every command of the command line is made of.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "sdk/suggest.h"
#include "tailwater/registry.h"

namespace tailwater {

// Where commands register themselves: each adds one subcommand with its options and sets `run` to
// what the command does once everything is parsed.
struct CommandLine {
  CLI::App& app;
  const Registry& registry;
  std::function<int()> run;  // of the command that was chosen; returns the exit code
};

void AddRunCommand(CommandLine& line);
void AddValidateCommand(CommandLine& line);
void AddCheckCommand(CommandLine& line);
void AddStatusCommand(CommandLine& line);
void AddTailCommand(CommandLine& line);
void AddSourcesCommand(CommandLine& line);
void AddSinksCommand(CommandLine& line);
void AddDeadLettersCommand(CommandLine& line);
void AddDestroyCommand(CommandLine& line);
void AddVersionCommand(CommandLine& line);
void AddHandoverCommand(CommandLine& line);  // of `sources`

// An option with a closed set of values; a wrong one is answered with what there is.
template <class Value, class Target>
CLI::Option* AddChoice(CLI::App& command, const std::string& name, Target& target,
                       const std::string& help,
                       const std::vector<std::pair<std::string, Value>>& choices) {
  return command.add_option_function<std::string>(
      name,
      [name, choices, &target](const std::string& text) {
        std::vector<std::string_view> names;
        std::string list;
        for (const auto& [choice, value] : choices) {
          if (choice == text) {
            target = value;
            return;
          }
          names.push_back(choice);
          list += (list.empty() ? "" : ", ") + choice;
        }
        throw CLI::ValidationError(
            name, "'" + text + "' is unknown" + DidYouMean(text, names) + "; there are " + list);
      },
      help);
}

// -o text|json.
enum class OutputFormat : uint8_t { kText, kJson };
void AddOutputOption(CLI::App& command, OutputFormat& format);

}  // namespace tailwater
