#include "support/http_failure.h"

#include <algorithm>

#include "support/text.h"

namespace tailwater {
namespace {

bool Has(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

// libcurl and OpenSSL say what is wrong; this adds what to do about it.
std::string_view TlsAdvice(std::string_view detail) {
  if (Has(detail, "has expired")) return "renew the server's certificate";
  if (Has(detail, "not yet valid")) return "check the clocks of both machines";
  if (Has(detail, "self-signed") || Has(detail, "self signed") ||
      Has(detail, "unable to get local issuer") || Has(detail, "unable to get issuer")) {
    return "give the authority that signed it as the certificate authority file, or have the "
           "server send its whole chain";
  }
  if (Has(detail, "subject name") || Has(detail, "does not match")) {
    return "use the name that the certificate was issued for, or have it issued for this one";
  }
  if (Has(detail, "revoked")) return "replace the server's certificate";
  if (Has(detail, "wrong version number") || Has(detail, "http request")) {
    return "the server does not speak TLS on this port: check the port, or write http://";
  }
  if (Has(detail, "protocol version") || Has(detail, "unsupported protocol") ||
      Has(detail, "no protocols available")) {
    return "the server has to speak TLS 1.2 or newer";
  }
  if (Has(detail, "alert")) {
    return "the server refused the client: check that the client's certificate and key are given, "
           "valid and trusted there";
  }
  return "check the server's certificate and its TLS settings";
}

std::string TimeoutText(HttpPhase phase, const HttpClientOptions& options) {
  switch (phase) {
    case HttpPhase::kConnecting:
      return fmt::format(
          "did not take the connection within {} ms: check that it runs and that no firewall drops "
          "packets, or raise the connect timeout",
          std::min(options.connect_timeout, options.timeout).count());
    case HttpPhase::kAwaiting:
      return fmt::format(
          "had not begun its reply when the whole call had taken {} ms: look at its load, or raise "
          "the timeout",
          options.timeout.count());
    case HttpPhase::kOverdue:
      return fmt::format(
          "did not begin its reply within {} ms of the request: look at its load, or raise the "
          "timeout for the first byte",
          options.first_byte_timeout.count());
    case HttpPhase::kReceiving:
      return fmt::format(
          "had not ended its reply when the whole call had taken {} ms: look at its load, or raise "
          "the timeout",
          options.timeout.count());
  }
  return {};
}

HttpFailure Reset(const std::string& peer, std::string_view detail) {
  return {"http_reset",
          fmt::format("{} ended the connection before its reply was complete ({}): look at the "
                      "server's log, and at proxies in between",
                      peer, detail)};
}

HttpFailure Malformed(const std::string& peer, std::string_view detail) {
  return {"http_reply_malformed",
          fmt::format("what {} replied is not HTTP ({}): check that the URL's port is that of an "
                      "HTTP server",
                      peer, detail)};
}

HttpFailure TlsFailed(const std::string& peer, std::string_view detail) {
  return {"http_tls_failed",
          fmt::format("no TLS with {} ({}): {}", peer, detail, TlsAdvice(detail))};
}

std::string CertificateFiles(const HttpClientOptions& options) {
  if (options.key_file.empty()) return options.certificate_file;
  return options.certificate_file + " and " + options.key_file;
}

}  // namespace

HttpFailure DescribeHttpFailure(CURLcode result, HttpPhase phase, const std::string& peer,
                                std::string_view detail, const HttpClientOptions& options) {
  if (detail.empty()) detail = curl_easy_strerror(result);
  const bool connected = phase != HttpPhase::kConnecting;
  switch (result) {
    case CURLE_URL_MALFORMAT:
      return {"http_url_invalid",
              fmt::format("the URL is not one ({}): write http:// or https://, a host and a path",
                          detail)};
    case CURLE_COULDNT_RESOLVE_HOST:
      return {"http_name_unknown",
              fmt::format("the name of {} cannot be resolved: check the URL and this machine's "
                          "resolver",
                          peer)};
    case CURLE_OPERATION_TIMEDOUT:
      return {"http_timeout", fmt::format("{} {}", peer, TimeoutText(phase, options))};
    case CURLE_SSL_CACERT_BADFILE:
      return {
          "http_certificate_unreadable",
          fmt::format("the certificate authorities cannot be read from {} ({}): check that the "
                      "file is there, readable, and PEM",
                      options.ca_file.empty() ? "the system's files" : options.ca_file, detail)};
    case CURLE_SSL_CERTPROBLEM:
      return {
          "http_certificate_unreadable",
          fmt::format("the client's certificate and key cannot be used from {} ({}): check that "
                      "the files are there, readable, PEM, and belong together",
                      CertificateFiles(options), detail)};
    case CURLE_SSL_CONNECT_ERROR:
      if (Has(detail, "SSL_ERROR_SYSCALL") || Has(detail, "reset by peer")) {
        return Reset(peer, detail);
      }
      return TlsFailed(peer, detail);
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_USE_SSL_FAILED:
    case CURLE_SSL_CLIENTCERT:
      return TlsFailed(peer, detail);
    case CURLE_UNSUPPORTED_PROTOCOL:  // HTTP/0.9 and unknown versions of HTTP
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_HTTP2:
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_OUT_OF_MEMORY:  // a header line above libcurl's bound
      if (connected) return Malformed(peer, detail);
      break;
    case CURLE_RECV_ERROR:
      // With TLS 1.3 the server judges the client's certificate after the handshake.
      if (Has(detail, "alert")) return TlsFailed(peer, detail);
      if (Has(detail, "chunk")) return Malformed(peer, detail);
      break;
    default:
      break;
  }
  if (connected) return Reset(peer, detail);
  return {"http_connect_failed",
          fmt::format("no connection to {} ({}): check that the server runs there and that a "
                      "firewall lets this machine through",
                      peer, detail)};
}

}  // namespace tailwater
