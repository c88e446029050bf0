#include "webhook/client.h"

#include "support/http_target.h"

namespace tailwater::webhook {
namespace {

HttpClientOptions ClientOptions(const WebhookConfig& config) {
  HttpClientOptions options;
  options.connect_timeout = config.timeouts.connect;
  options.first_byte_timeout = config.timeouts.first_byte;
  options.timeout = config.timeouts.total;
  options.max_connections = config.in_flight;
  options.guard = MakeGuard(config);
  options.ca_file = config.ca_file;
  options.certificate_file = config.certificate_file;
  options.key_file = config.key_file;
  return options;
}

}  // namespace

Result<std::unique_ptr<HttpClient>> OpenClient(const WebhookConfig& config) {
  return OpenHttpClient(ClientOptions(config));
}

}  // namespace tailwater::webhook
