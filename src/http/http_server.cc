#include "http/http_server.h"

#include <httplib.h>
#include <openssl/crypto.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <regex>
#include <utility>

#include "http/listen_address.h"
#include "support/text.h"
#include "tailwater/log.h"
#include "util/thread_name.h"

namespace tailwater {
namespace {

constexpr std::chrono::seconds kSocketTimeout{5};
constexpr size_t kMaxBodyBytes = 1 << 20;

// The host of a Host header, without port and brackets.
std::string HostName(const std::string& header) {
  if (header.starts_with('[')) return header.substr(1, header.find(']') - 1);
  return header.substr(0, header.find(':'));
}

// Takes the same time for every wrong token of the right length.
bool SameSecret(const std::string& left, const std::string& right) {
  return left.size() == right.size() && CRYPTO_memcmp(left.data(), right.data(), left.size()) == 0;
}

void Send(const HttpResponse& from, httplib::Response& to) {
  to.status = from.status;
  to.set_header("Cache-Control", "no-store");
  to.set_header("X-Content-Type-Options", "nosniff");
  for (const auto& [name, value] : from.headers) to.set_header(name, value);
  to.set_content(from.body, from.content_type);
}

HttpRequest Translate(const httplib::Request& from, bool authorized) {
  HttpRequest request;
  for (size_t i = 1; i < from.matches.size(); ++i)
    request.captures.push_back(from.matches[i].str());
  for (const auto& [name, value] : from.params) request.parameters.emplace(name, value);
  request.body = from.body;
  request.content_type = from.get_header_value("Content-Type");
  request.authorized = authorized;
  return request;
}

}  // namespace

HttpResponse HttpError(int status, std::string_view code, std::string_view message) {
  return {status, "application/json",
          nlohmann::json{{"error", {{"code", code}, {"message", message}}}}.dump(
              -1, ' ', false, nlohmann::json::error_handler_t::replace) +
              "\n"};
}

class HttpServer::Impl {
 public:
  explicit Impl(const Options& options) : token_(options.token) {
    server_.new_task_queue = [threads = options.threads] {
      return new httplib::ThreadPool(static_cast<size_t>(threads));  // httplib owns it
    };
    // One request per connection: an idle one would hold a thread, and httplib polls it.
    server_.set_keep_alive_max_count(1);
    server_.set_read_timeout(kSocketTimeout);
    server_.set_write_timeout(kSocketTimeout);
    server_.set_payload_max_length(kMaxBodyBytes);
    // Not httplib's SO_REUSEPORT, with which two daemons would share a port in silence.
    server_.set_socket_options([](socket_t socket) {
      const int yes = 1;
      setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    });
    server_.set_error_handler([this](const httplib::Request& request, httplib::Response& response) {
      if (!response.body.empty()) return;
      if (const std::string methods = MethodsOf(request.path);
          response.status == 404 && !methods.empty()) {
        HttpResponse refused =
            HttpError(405, "method_not_allowed", "this page answers to " + methods);
        refused.headers["Allow"] = methods;
        return Send(refused, response);
      }
      Send(response.status == 404
               ? HttpError(404, "not_found", "no such page; / lists what there is")
               : HttpError(response.status, "bad_request", "the request cannot be answered"),
           response);
    });
    server_.set_exception_handler(
        [this](const httplib::Request& request, httplib::Response& response, std::exception_ptr e) {
          std::string what = "unknown exception";
          try {
            std::rethrow_exception(std::move(e));
          } catch (const std::exception& exception) {
            what = exception.what();
          } catch (...) {
          }
          logger_.Error("request failed", {{"path", request.path}, {"error", what}});
          Send(HttpError(500, "internal", "the request failed; the log says why"), response);
        });
  }

  httplib::Server& server() { return server_; }
  void AddMethod(const std::string& method, const std::string& pattern) {
    methods_.emplace_back(method == "GET" ? "GET, HEAD" : method, std::regex(pattern));
  }
  void set_check_host(bool check) { check_host_ = check; }

  httplib::Server::Handler Wrap(Handler handler, Access access) {
    return [this, handler = std::move(handler), access](const httplib::Request& request,
                                                        httplib::Response& response) {
      const std::string host = HostName(request.get_header_value("Host"));
      if (check_host_ && !host.empty() && !IsLoopback(host)) {
        return Send(HttpError(403, "host_refused",
                              "this server is for its own machine only; ask for localhost, or "
                              "set `token` in tailwater.yaml"),
                    response);
      }
      const bool authorized = Authorized(request);
      if (!authorized && access == Access::kToken) {
        response.set_header("WWW-Authenticate", "Bearer");
        return Send(HttpError(401, "unauthorized",
                              "send the token: Authorization: Bearer TOKEN (see `token` in "
                              "tailwater.yaml)"),
                    response);
      }
      Send(handler(Translate(request, authorized)), response);
    };
  }

 private:
  // What a path answers to; empty if it is none of ours.
  std::string MethodsOf(const std::string& path) const {
    std::string methods;
    for (const auto& [method, pattern] : methods_) {
      if (!std::regex_match(path, pattern)) continue;
      methods += (methods.empty() ? "" : ", ") + method;
    }
    return methods;
  }

  bool Authorized(const httplib::Request& request) const {
    if (token_.empty()) return true;
    const Result<std::string> token = token_.Read();
    if (!token) {
      logger_.Error("token cannot be read", {{"error", token.error().message}});
      return false;
    }
    return !token->empty() &&
           SameSecret(request.get_header_value("Authorization"), "Bearer " + *token);
  }

  const Secret token_;
  const Logger logger_{"http"};
  bool check_host_ = false;
  std::vector<std::pair<std::string, std::regex>> methods_;  // of every route
  httplib::Server server_;
};

HttpServer::HttpServer(Options options)
    : options_(std::move(options)), impl_(std::make_unique<Impl>(options_)) {}

HttpServer::~HttpServer() { Stop(); }

void HttpServer::Handle(const std::string& method, const std::string& pattern, Handler handler,
                        Access access) {
  httplib::Server& server = impl_->server();
  impl_->AddMethod(method, pattern);
  httplib::Server::Handler wrapped = impl_->Wrap(std::move(handler), access);
  if (method == "POST") {
    server.Post(pattern, std::move(wrapped));
  } else if (method == "DELETE") {
    server.Delete(pattern, std::move(wrapped));
  } else {
    server.Get(pattern, std::move(wrapped));
  }
}

Status HttpServer::Start() {
  TW_ASSIGN_OR_RETURN(ListenAddress address, ParseListenAddress(options_.listen));
  if (options_.token.empty()) {
    if (!address.loopback) {
      return Error{Disposition::kNeedsOperator, "http_token_missing",
                   fmt::format("listen: {} can be reached from other machines, so it needs a "
                               "token; set `token: ${{file:/path}}` in tailwater.yaml, or listen "
                               "on 127.0.0.1:{}",
                               address.ToString(), address.port)};
    }
    impl_->set_check_host(true);
  } else {
    TW_ASSIGN_OR_RETURN(const std::string token, options_.token.Read());
    if (token.empty()) {
      return Error{Disposition::kNeedsOperator, "http_token_missing",
                   "the configured token is empty; put one into its variable or file"};
    }
  }

  httplib::Server& server = impl_->server();
  errno = 0;
  if (address.port == 0) {
    const int port = server.bind_to_any_port(address.host);
    if (port > 0) address.port = static_cast<uint16_t>(port);
  } else if (!server.bind_to_port(address.host, address.port)) {
    const int error = errno;
    if (error == EADDRINUSE) {
      return Error{Disposition::kNeedsOperator, "listen_address_in_use",
                   fmt::format("another process listens on {}; stop it, or choose another address "
                               "with --listen",
                               address.ToString())};
    }
    return Error{
        Disposition::kNeedsOperator, "listen_failed",
        fmt::format("cannot listen on {}: {}; choose another address with --listen",
                    address.ToString(), error == 0 ? "the name is unknown" : std::strerror(error))};
  }
  if (address.port == 0) {
    return Error{
        Disposition::kNeedsOperator, "listen_failed",
        fmt::format("cannot listen on {}; choose another address with --listen", address.host)};
  }
  address_ = address.ToString();
  thread_ = std::jthread([&server] {
    NameThread("tw-http");
    server.listen_after_bind();
  });
  // httplib forgets a stop() that comes before its loop has begun.
  while (!server.is_running()) std::this_thread::sleep_for(std::chrono::microseconds(50));
  return {};
}

void HttpServer::Stop() {
  if (!thread_.joinable()) return;
  impl_->server().stop();
  thread_.join();
}

}  // namespace tailwater
