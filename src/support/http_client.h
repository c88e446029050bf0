// An HTTP client for many calls at a time: libcurl's multi interface on a thread of its own.
//
// For sinks that speak HTTP. Connections are kept alive and shared; over TLS, HTTP/2 where the
// server has it. TLS is verified fully, always. No redirect is ever followed, no proxy taken from
// the environment, no cookie kept, nothing decompressed. Where a name leads is decided once per
// connection, by `guard`, and that very address is connected to; of several addresses, those that
// the guard refuses are passed over. A kept-alive connection that turns out to be dead before
// anything of a reply came is replaced and the request sent again. Threads: any; `done` is called
// on the client's own thread, once per call, and must not block. Destroying the client ends what is
// in flight; no `done` comes then.
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
  std::chrono::milliseconds connect_timeout{5'000};  // name, connect, TLS
  std::chrono::milliseconds first_byte_timeout{
      15'000};                                // from the request's end to the status line
  std::chrono::milliseconds timeout{30'000};  // all of it
  // Calls under way at a time, and connections open at a time. Calls beyond wait in the client, in
  // order; their timeouts have not begun.
  size_t max_connections = 256;
  size_t max_reply_bytes = 65'536;  // a longer body is cut off, and the connection closed
  bool http2 = true;                // over TLS only
  AddressGuard guard;
  // PEM files, read at each new connection so that they may rotate; a connection lives 5 minutes at
  // most. `ca_file` stands in place of the system's authorities. Empty: the system's authorities
  // (read again every 10 minutes), no client certificate.
  std::string ca_file;
  std::string certificate_file;
  std::string key_file;
  // Stands in for the system's resolver if set: the addresses of a name, asked before each call, on
  // the client's thread. Tests use it.
  std::function<std::vector<std::string>(std::string_view host)> resolve;
};

struct HttpCall {
  std::string method = "POST";
  std::string url;  // http or https
  // Names and values as sent; a value with a control character makes the call fail with
  // "http_header_invalid" before anything is sent, and so does a header that belongs to the client:
  // Connection, Content-Length, Expect, TE, Transfer-Encoding, Upgrade.
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
};

struct HttpAnswer {
  int status = 0;    // of the final reply; 0 = there was none, see `failure`
  std::string body;  // at most max_reply_bytes
  bool body_cut = false;
  // Retry-After as time from now, of either form, at most 24 h; absent if there is none or it makes
  // no sense.
  std::optional<std::chrono::milliseconds> retry_after;
  // Why there is no complete reply: a static code, and words that end with what to do. They hold
  // host, port and file names only. Both empty: `status` and `body` are the reply (or its
  // beginning: body_cut). With a code, `status` and `body` are what had come by then.
  //   http_url_invalid             neither http:// nor https://, or no host; nothing was sent
  //   http_header_invalid          a header or the method; nothing was sent
  //   http_name_unknown            the resolver has no address for the name
  //   http_address_refused         the guard refused every address of the name; nothing was sent
  //   http_connect_failed          refused, unreachable, or no memory or file descriptors
  //   http_tls_failed              expired, self-signed, wrong name, too old, client not trusted
  //   http_certificate_unreadable  one of the configured files, named; nothing was sent
  //   http_timeout                 the text says which: connection, reply's begin, reply's end
  //   http_reset                   the connection ended before the reply was complete
  //   http_reply_malformed         what came is not HTTP, or its headers are out of all bounds
  std::string_view code;
  std::string failure;
  std::chrono::microseconds duration{0};
};

class HttpClient {
 public:
  // Throws std::system_error if the process is out of file descriptors or threads.
  explicit HttpClient(HttpClientOptions options);
  ~HttpClient();  // not from `done`
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  void Send(HttpCall call, std::function<void(HttpAnswer)> done);
  // Ends everything in flight; returns at once, and no `done` of an earlier Send() begins after it
  // returned (one that has begun may still be running). Any thread, `done` too.
  void CancelAll();

 private:
  class Loop;
  std::unique_ptr<Loop> loop_;
};

}  // namespace tailwater
