#include "webhook/client.h"

#include <string>
#include <system_error>

#include "support/text.h"
#include "support/tls_files.h"

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
  TW_TRY(CheckTlsFiles(config.ca_file, config.certificate_file, config.key_file));
  try {
    return std::make_unique<HttpClient>(ClientOptions(config));
  } catch (const std::system_error& error) {
    return Error{Disposition::kRetry, "webhook_no_resources",
                 std::string("the HTTP client cannot start: ") + error.what() +
                     "; raise the limits on open files and threads"};
  }
}

}  // namespace tailwater::webhook
