// A server that does on each connection what a test's script says: well-behaved HTTP or anything
// else, over TCP or TLS.
//
// Each connection runs its script on a thread of its own. The server listens on 127.0.0.1 on a free
// port; destroying it ends all connections, so that no script waits for ever.
#pragma once

#include <openssl/ssl.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

namespace tailwater {

struct ScriptedHttpServerTls {
  // PEM files, read anew for each connection.
  std::string certificate_file;
  std::string key_file;
  std::string client_ca_file;  // not empty: clients have to show a certificate of this authority
  int newest_version = TLS1_3_VERSION;
  bool http2 = false;  // agreed to when the client offers it; the script has to speak it
};

class ScriptedHttpServer {
 public:
  struct Request {
    std::string head;  // with the request line and the blank line
    std::string body;
    // The value of the first header of that name, as written.
    std::optional<std::string> Header(std::string_view name) const;
  };

  class Connection {
   public:
    int number = 0;  // of the server's connections, from 0
    // Reads one request; nothing once the client has closed.
    std::optional<Request> Read();
    // False once the client has closed.
    bool Write(std::string_view bytes);
    // "HTTP/1.1 <status> …" with Content-Length and these header lines ("Name: value\r\n").
    bool Reply(int status, std::string_view body = "", std::string_view header_lines = "");
    void WaitUntilClosed();  // reading on
    // The next `size` bytes; fewer once the client has closed.
    std::string ReadBytes(size_t size);
    // Lets `time` pass without reading; false if the client has closed by then.
    bool Pause(std::chrono::milliseconds time);
    // Until the client closes, without reading.
    void WaitWithoutReading();
    // Ends the connection with a TCP reset instead of a FIN.
    void Reset();

   private:
    friend class ScriptedHttpServer;
    size_t ReadSome();
    int fd_ = -1;
    SSL* ssl_ = nullptr;
    bool reset_ = false;
    std::string unread_;
  };
  using Script = std::function<void(Connection&)>;

  explicit ScriptedHttpServer(Script script, std::optional<ScriptedHttpServerTls> tls = {});
  ~ScriptedHttpServer();
  ScriptedHttpServer(const ScriptedHttpServer&) = delete;
  ScriptedHttpServer& operator=(const ScriptedHttpServer&) = delete;

  // Answers each request with `status` until the client closes.
  static Script Always(int status, std::string body = "", std::string header_lines = "");

  int port() const { return port_; }
  int connections() const { return connections_; }
  // http or https, 127.0.0.1 or `host`.
  std::string Url(std::string_view path = "/", std::string_view host = "127.0.0.1") const;

 private:
  void Accept();
  void Serve(Connection connection);

  Script script_;
  std::optional<ScriptedHttpServerTls> tls_;
  int port_ = 0;
  int listener_ = -1;  // set with port_, so after it
  std::atomic<int> connections_ = 0;
  std::mutex mutex_;
  std::list<int> open_;  // guarded by mutex_
  std::list<std::jthread> serving_;
  std::jthread accepting_;
};

// A port that takes no connection and refuses none: its queue is full.
class FullListenQueue {
 public:
  FullListenQueue();
  ~FullListenQueue();
  FullListenQueue(const FullListenQueue&) = delete;
  FullListenQueue& operator=(const FullListenQueue&) = delete;
  int port() const { return port_; }

 private:
  std::list<int> sockets_;
  int port_ = 0;
};

// A port of 127.0.0.1 on which nobody listens.
int ClosedPort();

}  // namespace tailwater
