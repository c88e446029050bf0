// Where the changes of each table go, and as what.
#pragma once

#include <deque>
#include <functional>
#include <string_view>
#include <vector>

#include "tailwater/registry.h"
#include "webhook/endpoint.h"
#include "webhook/webhook_options.h"

namespace tailwater::webhook {

// One endpoint per URL; tables that share one share its breaker. One thread. The configuration
// outlives it.
class Routes {
 public:
  Routes(const WebhookConfig& config, const TableRules<WebhookTableOptions>& rules,
         const SinkContext& context, std::function<double()> random);

  struct Route {
    Endpoint* endpoint = nullptr;
    const Payload* payload = nullptr;
  };
  Route Find(std::string_view source, std::string_view table) const;
  std::deque<Endpoint>& endpoints() { return endpoints_; }
  const std::deque<Endpoint>& endpoints() const { return endpoints_; }

 private:
  const TableRules<WebhookTableOptions>& rules_;
  std::deque<Endpoint> endpoints_;
  Route default_;
  std::vector<Route> by_entry_;
};

}  // namespace tailwater::webhook
