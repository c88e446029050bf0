#include "webhook/routes.h"

#include <map>
#include <string>

#include "support/text.h"

namespace tailwater::webhook {

Routes::Routes(const WebhookConfig& config, const TableRules<WebhookTableOptions>& rules,
               const SinkContext& context, std::function<double()> random)
    : rules_(rules) {
  const EndpointOptions options{config.breaker.failures,
                                config.breaker.pause,
                                {config.retry.initial, config.retry.max},
                                std::move(random)};
  std::map<std::string, Endpoint*> by_url;
  std::map<std::string, int> labels;
  const auto endpoint = [&](const std::string& text) {
    Endpoint*& known = by_url[text];
    if (known != nullptr) return known;
    std::string problem;
    EndpointUrl url = EndpointUrl::Parse(text, problem).value_or(EndpointUrl{.text = text});
    // Paths may be secret, so endpoints of one host are numbered.
    std::string label = url.label();
    if (const int others = labels[label]++; others > 0) label += fmt::format("#{}", others + 1);
    known = &endpoints_.emplace_back(std::move(url), std::move(label), options, context.metrics,
                                     context.logger);
    return known;
  };
  default_ = {endpoint(config.url), &config.payload};
  for (const WebhookTableOptions& entry : rules_.options) {
    by_entry_.push_back({entry.url.empty() ? default_.endpoint : endpoint(entry.url),
                         entry.payload.configured ? &entry.payload : default_.payload});
  }
}

Routes::Route Routes::Find(std::string_view source, std::string_view table) const {
  const auto entry = rules_.selection.Find(source, table);
  return entry && *entry < by_entry_.size() ? by_entry_[*entry] : default_;
}

}  // namespace tailwater::webhook
