#include "webhook/client.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <string>
#include <system_error>

#include "support/text.h"

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

Error Unreadable(std::string_view option, const std::string& file) {
  const unsigned long code = ERR_peek_last_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  ERR_clear_error();
  return {Disposition::kNeedsOperator, "http_certificate_unreadable",
          fmt::format("{}: {} cannot be used: {}; check path, permissions and that it is PEM",
                      option, file, reason == nullptr ? "OpenSSL does not say why" : reason)};
}

Status CheckTlsFiles(const WebhookConfig& config) {
  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_client_method()),
                                                                  &SSL_CTX_free);
  if (context == nullptr) {
    return Error{Disposition::kRetry, "webhook_no_resources", "OpenSSL has no memory"};
  }
  ERR_clear_error();
  if (!config.ca_file.empty() &&
      SSL_CTX_load_verify_file(context.get(), config.ca_file.c_str()) != 1) {
    return Unreadable("ca_file", config.ca_file);
  }
  if (config.certificate_file.empty()) return {};
  if (SSL_CTX_use_certificate_chain_file(context.get(), config.certificate_file.c_str()) != 1) {
    return Unreadable("certificate_file", config.certificate_file);
  }
  if (SSL_CTX_use_PrivateKey_file(context.get(), config.key_file.c_str(), SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_check_private_key(context.get()) != 1) {
    return Unreadable("key_file", config.key_file);
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<HttpClient>> OpenClient(const WebhookConfig& config) {
  TW_TRY(CheckTlsFiles(config));
  try {
    return std::make_unique<HttpClient>(ClientOptions(config));
  } catch (const std::system_error& error) {
    return Error{Disposition::kRetry, "webhook_no_resources",
                 std::string("the HTTP client cannot start: ") + error.what() +
                     "; raise the limits on open files and threads"};
  }
}

}  // namespace tailwater::webhook
