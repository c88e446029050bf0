// Where the changes go, and as what each table's.
#pragma once

#include <functional>
#include <string_view>

#include "tailwater/registry.h"
#include "webhook/endpoint.h"
#include "webhook/webhook_options.h"

namespace tailwater::webhook {

// One endpoint: receivers are kept apart by giving each a sink of its own. One thread. The
// configuration outlives it.
class Routes {
 public:
  Routes(const WebhookConfig& config, const TableRules<WebhookTableOptions>& rules,
         const SinkContext& context, std::function<double()> random);

  const Payload& PayloadOf(std::string_view source, std::string_view table) const;
  Endpoint& endpoint() { return endpoint_; }
  const Endpoint& endpoint() const { return endpoint_; }

 private:
  const WebhookConfig& config_;
  const TableRules<WebhookTableOptions>& rules_;
  Endpoint endpoint_;
};

}  // namespace tailwater::webhook
