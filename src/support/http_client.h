// An HTTP client for many calls at a time: libcurl's multi interface on a thread of its own.
//
// For sinks that speak HTTP. Connections are kept alive and shared; over TLS, HTTP/2 where the
// server has it. TLS is verified fully, always. No redirect is ever followed, no proxy taken from the
// environment, no cookie kept. Where a name leads is decided once per connection, by `guard`, and
// that very address is connected to. Threads: any; `done` is called on the client's own thread, once
// per call, and must not block. Destroying the client ends what is in flight; no `done` comes then.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/address_guard.h"
#include "tailwater/config.h"
#include "tailwater/result.h"

namespace tailwater {

struct HttpClientOptions {
  std::chrono::milliseconds connect_timeout{5'000};      // name, connect, TLS
  std::chrono::milliseconds first_byte_timeout{15'000};  // from the request's end to the status line
  std::chrono::milliseconds timeout{30'000};             // all of it
  size_t max_connections = 256;    // in all; calls beyond wait in the client
  size_t max_reply_bytes = 65'536; // a longer body is cut off, and the connection closed
  bool http2 = true;               // over TLS only
  AddressGuard guard;
  // PEM files, read at each new connection so that they may rotate. Empty: the system's authorities,
  // no client certificate.
  std::string ca_file;
  std::string certificate_file;
  std::string key_file;
};

struct HttpCall {
  std::string method = "POST";
  std::string url;  // http or https
  // Names and values as sent; a value with a control character makes the call fail with
  // "http_header_invalid" before anything is sent.
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
};

struct HttpAnswer {
  int status = 0;  // of the final reply; 0 = there was none, see `failure`
  std::string body;  // at most max_reply_bytes
  bool body_cut = false;
  // Retry-After as seconds from now, of either form; absent if there is none or it makes no sense.
  std::optional<std::chrono::milliseconds> retry_after;
  // Why there is no complete reply: a static code ("http_address_refused", "http_name_unknown",
  // "http_connect_failed", "http_tls_failed", "http_timeout", "http_reset", "http_reply_malformed",
  // "http_header_invalid", "http_certificate_unreadable"), and words that end with what to do.
  // Empty: `status` and `body` are the reply.
  std::string_view code;
  std::string failure;
  std::chrono::microseconds duration{0};
};

class HttpClient {
 public:
  explicit HttpClient(HttpClientOptions options);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  void Send(HttpCall call, std::function<void(HttpAnswer)> done);
  // Ends everything in flight; returns at once, and no `done` of an earlier Send() begins after it
  // returned.
  void CancelAll();

 private:
  class Loop;
  std::unique_ptr<Loop> loop_;
};

}  // namespace tailwater
