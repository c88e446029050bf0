#include "blackhole/register.h"

#include "blackhole/blackhole_sink.h"
#include "tailwater/registry.h"

namespace tailwater {

void RegisterBlackhole(Registry& registry) {
  registry.AddSink<BlackholeSinkConfig, NoTableOptions>(
      {.type = "blackhole",
       .summary = "Takes every change and keeps nothing; for tests and measurements.",
       .options = {},
       .table_options = {},
       .traits = {},
       .validate = {},
       .create = [](const BlackholeSinkConfig&, TableRules<NoTableOptions>,
                    SinkContext context) -> Result<std::unique_ptr<Sink>> {
         return std::unique_ptr<Sink>(std::make_unique<BlackholeSink>(context.metrics));
       }});
}

}  // namespace tailwater
