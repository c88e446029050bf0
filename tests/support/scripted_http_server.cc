#include "support/scripted_http_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

#include "support/text.h"

namespace tailwater {
namespace {

sockaddr_in Loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  return address;
}

int Bind(int& port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = Loopback(0);
  socklen_t length = sizeof address;
  if (fd == -1 || bind(fd, reinterpret_cast<sockaddr*>(&address), length) != 0 ||
      getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0) {
    throw std::runtime_error("no port to listen on");
  }
  port = ntohs(address.sin_port);
  return fd;
}

int Listen(int backlog, int& port) {
  const int fd = Bind(port);
  if (listen(fd, backlog) != 0) throw std::runtime_error("cannot listen");
  return fd;
}

using Context = std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)>;

Context NewContext(const ScriptedHttpServerTls& tls) {
  Context context(SSL_CTX_new(TLS_server_method()), &SSL_CTX_free);
  if (SSL_CTX_use_certificate_chain_file(context.get(), tls.certificate_file.c_str()) != 1 ||
      SSL_CTX_use_PrivateKey_file(context.get(), tls.key_file.c_str(), SSL_FILETYPE_PEM) != 1) {
    throw std::runtime_error("the server's certificate cannot be used");
  }
  SSL_CTX_set_max_proto_version(context.get(), tls.newest_version);
  if (tls.http2) {
    SSL_CTX_set_alpn_select_cb(
        context.get(),
        [](SSL*, const unsigned char** chosen, unsigned char* length, const unsigned char* offered,
           unsigned int offered_length, void*) {
          static constexpr unsigned char kHttp2[] = "\2h2";
          return SSL_select_next_proto(const_cast<unsigned char**>(chosen), length, kHttp2, 3,
                                       offered, offered_length) == OPENSSL_NPN_NEGOTIATED
                     ? SSL_TLSEXT_ERR_OK
                     : SSL_TLSEXT_ERR_NOACK;
        },
        nullptr);
  }
  if (!tls.client_ca_file.empty()) {
    if (SSL_CTX_load_verify_locations(context.get(), tls.client_ca_file.c_str(), nullptr) != 1) {
      throw std::runtime_error("the clients' authority cannot be used");
    }
    SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  }
  return context;
}

}  // namespace

std::optional<std::string> ScriptedHttpServer::Request::Header(std::string_view name) const {
  for (size_t line = head.find("\r\n"); line != std::string::npos;
       line = head.find("\r\n", line + 2)) {
    const char* start = &head[line + 2];
    if (strncasecmp(start, name.data(), name.size()) == 0 && start[name.size()] == ':') {
      const size_t value = head.find_first_not_of(' ', line + 2 + name.size() + 1);
      return head.substr(value, head.find("\r\n", value) - value);
    }
  }
  return std::nullopt;
}

size_t ScriptedHttpServer::Connection::ReadSome() {
  char buffer[65'536];
  const ssize_t count =
      ssl_ != nullptr ? SSL_read(ssl_, buffer, sizeof buffer) : recv(fd_, buffer, sizeof buffer, 0);
  if (count <= 0) return 0;
  unread_.append(buffer, static_cast<size_t>(count));
  return static_cast<size_t>(count);
}

std::optional<ScriptedHttpServer::Request> ScriptedHttpServer::Connection::Read() {
  size_t end = 0;
  while ((end = unread_.find("\r\n\r\n")) == std::string::npos) {
    if (ReadSome() == 0) return std::nullopt;
  }
  Request request{.head = unread_.substr(0, end + 4)};
  unread_.erase(0, end + 4);
  const size_t length =
      std::strtoul(request.Header("Content-Length").value_or("0").c_str(), nullptr, 10);
  while (unread_.size() < length) {
    if (ReadSome() == 0) return std::nullopt;
  }
  request.body = unread_.substr(0, length);
  unread_.erase(0, length);
  return request;
}

bool ScriptedHttpServer::Connection::Write(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ssl_ != nullptr
                              ? SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size()))
                              : send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (count <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(count));
  }
  return true;
}

bool ScriptedHttpServer::Connection::Reply(int status, std::string_view body,
                                           std::string_view header_lines) {
  return Write(fmt::format("HTTP/1.1 {} Scripted\r\nContent-Length: {}\r\n{}\r\n{}", status,
                           body.size(), header_lines, body));
}

void ScriptedHttpServer::Connection::WaitUntilClosed() {
  while (ReadSome() != 0) unread_.clear();
}

std::string ScriptedHttpServer::Connection::ReadBytes(size_t size) {
  while (unread_.size() < size && ReadSome() != 0) continue;
  std::string bytes = unread_.substr(0, size);
  unread_.erase(0, size);
  return bytes;
}

bool ScriptedHttpServer::Connection::Pause(std::chrono::milliseconds time) {
  pollfd closed{.fd = fd_, .events = POLLRDHUP};
  return poll(&closed, 1, static_cast<int>(time.count())) == 0;
}

void ScriptedHttpServer::Connection::WaitWithoutReading() {
  while (Pause(std::chrono::hours(1))) continue;
}

void ScriptedHttpServer::Connection::Reset() { reset_ = true; }

ScriptedHttpServer::Script ScriptedHttpServer::Always(int status, std::string body,
                                                      std::string header_lines) {
  return [=](Connection& connection) {
    while (connection.Read()) {
      if (!connection.Reply(status, body, header_lines)) return;
    }
  };
}

ScriptedHttpServer::ScriptedHttpServer(Script script, std::optional<ScriptedHttpServerTls> tls)
    : script_(std::move(script)), tls_(std::move(tls)), listener_(Listen(1'024, port_)) {
  accepting_ = std::jthread([this] { Accept(); });
}

ScriptedHttpServer::~ScriptedHttpServer() {
  shutdown(listener_, SHUT_RDWR);
  accepting_.join();
  {
    const std::lock_guard lock(mutex_);
    for (const int fd : open_) shutdown(fd, SHUT_RDWR);
  }
  serving_.clear();
  close(listener_);
}

std::string ScriptedHttpServer::Url(std::string_view path, std::string_view host) const {
  return fmt::format("{}://{}:{}{}", tls_ ? "https" : "http", host, port_, path);
}

void ScriptedHttpServer::Accept() {
  while (true) {
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd == -1 && errno == ECONNABORTED) continue;
    if (fd == -1) return;
    const int at_once = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof at_once);
    Connection connection;
    connection.number = connections_++;
    connection.fd_ = fd;
    {
      const std::lock_guard lock(mutex_);
      open_.push_back(fd);
    }
    serving_.emplace_back([this, connection] { Serve(connection); });
  }
}

void ScriptedHttpServer::Serve(Connection connection) {
  // OpenSSL writes without MSG_NOSIGNAL.
  sigset_t broken_pipe;
  sigemptyset(&broken_pipe);
  sigaddset(&broken_pipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &broken_pipe, nullptr);

  std::optional<Context> context;
  bool ready = true;
  if (tls_) {
    context = NewContext(*tls_);
    connection.ssl_ = SSL_new(context->get());
    SSL_set_fd(connection.ssl_, connection.fd_);
    ready = SSL_accept(connection.ssl_) == 1;
  }
  if (ready) script_(connection);
  if (connection.reset_) {
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    setsockopt(connection.fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  } else {
    // What was not read would turn the close into a reset, which could overtake the last words.
    if (ready && connection.ssl_ != nullptr) SSL_shutdown(connection.ssl_);
    shutdown(connection.fd_, SHUT_WR);
    char ignored[4'096];
    while (recv(connection.fd_, ignored, sizeof ignored, 0) > 0) continue;
  }
  SSL_free(connection.ssl_);
  const std::lock_guard lock(mutex_);
  open_.remove(connection.fd_);
  close(connection.fd_);
}

FullListenQueue::FullListenQueue() {
  sockets_.push_back(Listen(0, port_));
  const sockaddr_in address = Loopback(port_);
  // More than the shortest queue there is; the handshake on loopback is over when connect()
  // returns.
  for (int i = 0; i < 8; ++i) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    sockets_.push_back(fd);
    connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  }
}

FullListenQueue::~FullListenQueue() {
  for (const int fd : sockets_) close(fd);
}

int ClosedPort() {
  int port = 0;
  close(Bind(port));
  return port;
}

}  // namespace tailwater
