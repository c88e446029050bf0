// Stands between a client and a server: what it passes on can be held back, looked at and changed.
#pragma once

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace tailwater {

class TcpProxy {
 public:
  // Changes what a server sends before it is passed on.
  using Change = std::function<void(std::string&)>;
  explicit TcpProxy(int server_port, Change change = nullptr)
      : server_port_(server_port), change_(std::move(change)), listener_(Listen(port_)) {
    thread_ = std::jthread([this](std::stop_token stop) { Run(stop); });
  }
  ~TcpProxy() {
    thread_.request_stop();
    thread_.join();
    for (const auto& [client, server] : pairs_) {
      if (client >= 0) close(client);
      if (server >= 0) close(server);
    }
    close(listener_);
  }

  int port() const { return port_; }
  // Nothing is passed on any more, and nothing is closed.
  void Freeze() { frozen_ = true; }
  std::string from_clients() const {
    const std::lock_guard lock(mutex_);
    return from_clients_;
  }

  static int Listen(int& port) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (bind(fd, reinterpret_cast<sockaddr*>(&address), size) != 0 || listen(fd, 16) != 0 ||
        getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0)
      throw std::runtime_error("no port");
    port = ntohs(address.sin_port);
    return fd;
  }

 private:
  void Run(std::stop_token stop) {
    while (!stop.stop_requested()) {
      std::vector<pollfd> fds = {{listener_, POLLIN, 0}};
      if (!frozen_) {
        for (const auto& [client, server] : pairs_) {
          fds.push_back({client, POLLIN, 0});
          fds.push_back({server, POLLIN, 0});
        }
      }
      poll(fds.data(), fds.size(), 20);
      if (frozen_) continue;
      for (size_t i = 1; i < fds.size(); ++i) {
        if (fds[i].revents == 0) continue;
        auto& pair = pairs_[(i - 1) / 2];
        Pass(pair, i % 2 == 1);
      }
      if (fds[0].revents != 0) Accept();
    }
  }
  void Accept() {
    const int client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    const int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<uint16_t>(server_port_));
    if (connect(server, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      close(client);
      close(server);
      return;
    }
    pairs_.emplace_back(client, server);
  }
  void Pass(std::pair<int, int>& pair, bool from_client) {
    char buffer[65536];
    const ssize_t got =
        recv(from_client ? pair.first : pair.second, buffer, sizeof buffer, MSG_DONTWAIT);
    if (got <= 0) {
      close(pair.first);
      close(pair.second);
      pair = {-1, -1};
      return;
    }
    std::string bytes(buffer, static_cast<size_t>(got));
    if (from_client) {
      const std::lock_guard lock(mutex_);
      from_clients_ += bytes;
    } else if (change_) {
      change_(bytes);
    }
    size_t sent = 0;
    while (sent < bytes.size()) {
      const ssize_t count = send(from_client ? pair.second : pair.first, bytes.data() + sent,
                                 bytes.size() - sent, MSG_NOSIGNAL);
      if (count <= 0) return;
      sent += static_cast<size_t>(count);
    }
  }

  const int server_port_;
  const Change change_;
  int port_ = 0;
  const int listener_;
  std::vector<std::pair<int, int>> pairs_;
  std::atomic<bool> frozen_ = false;
  mutable std::mutex mutex_;
  std::string from_clients_;
  std::jthread thread_;
};

}  // namespace tailwater
