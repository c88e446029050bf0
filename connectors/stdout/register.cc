#include "stdout/register.h"

#include "stdout/stdout_sink.h"
#include "tailwater/registry.h"

namespace tailwater {

void RegisterStdout(Registry& registry) {
  registry.AddSink<StdoutSinkConfig, NoTableOptions>(
      {.type = "stdout",
       .summary = "One line of JSON per change, to standard output or a file.",
       .options = StdoutSinkOptions(),
       .table_options = {},
       .traits = {.default_start = StartAt::kEnd},
       .validate = {},
       .create = [](const StdoutSinkConfig& config, TableRules<NoTableOptions>,
                    SinkContext context) -> Result<std::unique_ptr<Sink>> {
         return std::unique_ptr<Sink>(std::make_unique<StdoutSink>(config, context.metrics));
       }});
}

}  // namespace tailwater
