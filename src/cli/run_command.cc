#include "cli/command.h"
#include "cli/run.h"

namespace tailwater {

void AddRunCommand(CommandLine& line) {
  auto options = std::make_shared<RunOptions>();
  CLI::App* command = line.app.add_subcommand("run", "Run the pipelines of files or a folder");
  command->footer(
      "Examples:\n"
      "  tailwater run shop.yaml\n"
      "  tailwater run /etc/tailwater                  every *.yaml; tailwater.yaml holds "
      "settings\n"
      "  tailwater run shop.yaml --until-caught-up     end when every sink has all there is now\n"
      "  tailwater run shop.yaml --only capture        read the database, deliver elsewhere\n"
      "  tailwater run shop.yaml --only deliver        share the delivery with others (topic: "
      "kafka)");
  command->add_option("FILE", options->paths, "Configuration files or folders")
      ->required()
      ->type_name("");
  AddChoice<RunOptions::Half>(
      *command, "--only", options->only, "Run one half: capture or deliver",
      {{"capture", RunOptions::Half::kCapture}, {"deliver", RunOptions::Half::kDeliver}})
      ->type_name("HALF");
  command->add_flag("--until-caught-up", options->until_caught_up,
                    "End when every sink has what the source held at the start");
  command
      ->add_option("--listen", options->listen,
                   "Address of metrics and API, for example 127.0.0.1:4680")
      ->type_name("ADDRESS");
  command
      ->add_option("--instance", options->instance,
                   "Name of this process among those of the pipeline; host name and port of "
                   "--listen if left out")
      ->type_name("NAME");
  AddChoice<LogLevel>(*command, "--log-level", options->log_level, "debug, info, warn or error",
                      {{"debug", LogLevel::kDebug},
                       {"info", LogLevel::kInfo},
                       {"warn", LogLevel::kWarn},
                       {"error", LogLevel::kError}})
      ->type_name("LEVEL");
  AddChoice<LogFormat>(*command, "--log-format", options->log_format, "text or json",
                       {{"text", LogFormat::kText}, {"json", LogFormat::kJson}})
      ->type_name("FORMAT");
  command->callback([&line, options] {
    line.run = [&line, options] { return RunDaemon(*options, line.registry); };
  });
}

}  // namespace tailwater
