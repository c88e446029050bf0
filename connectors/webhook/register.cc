#include "webhook/register.h"

#include "tailwater/registry.h"
#include "webhook/batch_sink.h"
#include "webhook/webhook_options.h"
#include "webhook/webhook_sink.h"

namespace tailwater {

void RegisterWebhook(Registry& registry) {
  using webhook::WebhookConfig;
  using webhook::WebhookTableOptions;
  registry.AddSink<WebhookConfig, WebhookTableOptions>(
      {.type = "webhook",
       .summary =
           "A signed HTTP call per change, in order per row, for agents and other receivers.",
       .options = webhook::WebhookOptions(),
       .table_options = webhook::WebhookTableOptionsTable(),
       .traits = {.default_start = StartAt::kEnd, .trigger = true},
       .validate = webhook::ValidateWebhook,
       .column_uses = webhook::WebhookColumnUses,
       .create = [](const WebhookConfig& config, TableRules<WebhookTableOptions> rules,
                    SinkContext context) -> Result<std::unique_ptr<Sink>> {
         if (config.batch.size > 1) {
           return std::unique_ptr<Sink>(
               std::make_unique<webhook::BatchSink>(config, std::move(rules), std::move(context)));
         }
         return std::unique_ptr<Sink>(
             std::make_unique<webhook::WebhookSink>(config, std::move(rules), std::move(context)));
       }});
}

}  // namespace tailwater
