// The daemon's HTTP server: a few routes, few threads, no wake-ups while nobody asks.
//
// Threads:   one that accepts and `threads` that answer; handlers run on those, several at a time.
//            Handle() before Start(); Stop() from the owner's thread.
// Safety:    a loopback address is open to this machine; requests that name another host are
//            refused, so that no web page can reach the server through its visitor's browser. Any
//            other address needs a token, which every request but the probes then has to present
//            (Authorization: Bearer …).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tailwater/config.h"
#include "tailwater/result.h"

namespace tailwater {

struct HttpRequest {
  std::vector<std::string> captures;  // groups of the route's pattern
  std::multimap<std::string, std::string> parameters;
  std::string body;
  std::string content_type;  // of the body, as it was sent
  bool authorized = false;   // false only on open routes
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::map<std::string, std::string> headers = {};  // further ones
};

// {"error": {"code": …, "message": …}}
HttpResponse HttpError(int status, std::string_view code, std::string_view message);

class HttpServer {
 public:
  using Handler = std::function<HttpResponse(const HttpRequest&)>;
  struct Options {
    std::string listen = "127.0.0.1:4680";
    Secret token;
    int threads = 2;
  };
  enum class Access : uint8_t {
    kToken,  // the token, if one is configured
    kOpen,   // probes: never a token
  };

  explicit HttpServer(Options options);
  ~HttpServer();  // Stop()
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // `pattern` is a regular expression over the whole path. HEAD is answered as GET is; a method
  // that no route of a path has, with 405 and what there is.
  void Handle(const std::string& method, const std::string& pattern, Handler handler,
              Access access = Access::kToken);

  // Listens when it returns OK. kNeedsOperator "listen_invalid", "http_token_missing",
  // "secret_unreadable", "listen_address_in_use", "listen_failed".
  Status Start();
  void Stop();  // answers what has begun; safe twice and before Start()

  // After Start(): with the port that was chosen if it was 0.
  const std::string& address() const { return address_; }

 private:
  class Impl;
  Options options_;
  std::unique_ptr<Impl> impl_;
  std::string address_;
  std::jthread thread_;
};

}  // namespace tailwater
