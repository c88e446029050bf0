#include "support/tls_files.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <memory>

#include "support/text.h"

namespace tailwater {
namespace {

Error Unreadable(std::string_view option, const std::string& file) {
  const unsigned long code = ERR_peek_last_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  ERR_clear_error();
  return {Disposition::kNeedsOperator, "http_certificate_unreadable",
          fmt::format("{}: {} cannot be used: {}; check path, permissions and that it is PEM",
                      option, file, reason == nullptr ? "OpenSSL does not say why" : reason)};
}

}  // namespace

Status CheckTlsFiles(const std::string& ca_file, const std::string& certificate_file,
                     const std::string& key_file) {
  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_client_method()),
                                                                  &SSL_CTX_free);
  if (context == nullptr) {
    return Error{Disposition::kRetry, "http_no_resources", "OpenSSL has no memory"};
  }
  ERR_clear_error();
  if (!ca_file.empty() && SSL_CTX_load_verify_file(context.get(), ca_file.c_str()) != 1) {
    return Unreadable("ca_file", ca_file);
  }
  if (certificate_file.empty()) return {};
  if (SSL_CTX_use_certificate_chain_file(context.get(), certificate_file.c_str()) != 1) {
    return Unreadable("certificate_file", certificate_file);
  }
  if (SSL_CTX_use_PrivateKey_file(context.get(), key_file.c_str(), SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_check_private_key(context.get()) != 1) {
    return Unreadable("key_file", key_file);
  }
  return {};
}

}  // namespace tailwater
