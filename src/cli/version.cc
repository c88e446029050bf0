#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "support/text.h"
#include "util/build_info.h"

namespace tailwater {

void AddVersionCommand(CommandLine& line) {
  auto format = std::make_shared<OutputFormat>(OutputFormat::kText);
  CLI::App* command = line.app.add_subcommand("version", "Print version and revision");
  AddOutputOption(*command, *format);
  command->footer("Examples:\n  tailwater version\n  tailwater version -o json");
  command->callback([&line, format] {
    line.run = [format] {
      if (*format == OutputFormat::kJson) {
        const nlohmann::ordered_json json = {{"version", BuildVersion()},
                                             {"revision", BuildRevision()}};
        fmt::print("{}\n", json.dump());
      } else {
        fmt::print("tailwater {} ({})\n", BuildVersion(), BuildRevision());
      }
      return 0;
    };
  });
}

}  // namespace tailwater
