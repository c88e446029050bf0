#include "webhook/routes.h"

#include <string>
#include <utility>

namespace tailwater::webhook {
namespace {

EndpointUrl UrlOf(const WebhookConfig& config) {
  std::string problem;
  return EndpointUrl::Parse(config.url, problem).value_or(EndpointUrl{.text = config.url});
}

}  // namespace

Routes::Routes(const WebhookConfig& config, const TableRules<WebhookTableOptions>& rules,
               const SinkContext& context, std::function<double()> random)
    : config_(config),
      rules_(rules),
      endpoint_(UrlOf(config), UrlOf(config).label(),
                {config.breaker.failures,
                 config.breaker.pause,
                 {config.retry.initial, config.retry.max},
                 std::move(random)},
                context.metrics, context.logger) {}

const Payload& Routes::PayloadOf(std::string_view source, std::string_view table) const {
  const WebhookTableOptions* own = rules_.Find(source, table);
  return own != nullptr && own->payload.configured ? own->payload : config_.payload;
}

}  // namespace tailwater::webhook
