// Calls per second of the HTTP client against a server that does next to nothing, on kept-alive
// loopback connections, and what one call costs in CPU on the client's side (the server's thread
// is subtracted): all calls busy, and few busy beside many that wait for a slow server.
//   cmake --preset bench && cmake --build build/bench --target http_client_bench &&
//   build/bench/bench/http_client_bench
#include <arpa/inet.h>
#include <benchmark/benchmark.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <functional>
#include <latch>
#include <string>
#include <string_view>
#include <thread>

#include "support/http_client.h"
#include "support/text.h"

namespace tailwater {
namespace {

double CpuSeconds(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

// Takes each read for one request, and answers 200; requests to /held get no answer.
class MinimalServer {
 public:
  MinimalServer() {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    listener_ = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener_, reinterpret_cast<sockaddr*>(&address), length) != 0 ||
        listen(listener_, 1'024) != 0 ||
        getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length) != 0) {
      std::abort();
    }
    port_ = ntohs(address.sin_port);
    thread_ = std::jthread([this] { Run(); });
    started_.wait();
  }
  ~MinimalServer() {
    shutdown(listener_, SHUT_RDWR);
    thread_.join();
    close(listener_);
  }
  int port() const { return port_; }
  double CpuSeconds() const { return tailwater::CpuSeconds(cpu_clock_); }

 private:
  void Run() {
    pthread_getcpuclockid(pthread_self(), &cpu_clock_);
    started_.count_down();
    const int epoll = epoll_create1(0);
    const auto watch = [&](int fd) {
      epoll_event event{EPOLLIN, {.fd = fd}};
      epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    };
    watch(listener_);
    std::array<epoll_event, 256> events;
    std::array<char, 16'384> buffer;
    constexpr std::string_view kReply = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    for (bool running = true; running;) {
      const int count = epoll_wait(epoll, events.data(), events.size(), -1);
      for (int i = 0; i < count; ++i) {
        const int fd = events[static_cast<size_t>(i)].data.fd;
        if (fd == listener_) {
          const int accepted = accept(listener_, nullptr, nullptr);
          running = accepted != -1;
          const int at_once = 1;
          setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof at_once);
          if (running) watch(accepted);
        } else if (const ssize_t size = recv(fd, buffer.data(), buffer.size(), 0); size <= 0) {
          close(fd);
        } else if (!std::string_view(buffer.data(), static_cast<size_t>(size))
                        .starts_with("POST /held")) {
          send(fd, kReply.data(), kReply.size(), MSG_NOSIGNAL);
        }
      }
    }
    close(epoll);
  }

  int listener_ = -1;
  int port_ = 0;
  clockid_t cpu_clock_ = 0;
  std::latch started_{1};
  std::jthread thread_;
};

// Range 0: calls in flight that are answered; 1: that are not.
void BM_Calls(benchmark::State& state) {
  MinimalServer server;
  HttpClientOptions options;
  options.first_byte_timeout = options.timeout = std::chrono::minutes(10);  // of the held ones
  options.guard = AddressGuard({*AddressRange::Parse("127.0.0.1")});
  HttpClient client(options);
  HttpCall call{
      .url = fmt::format("http://127.0.0.1:{}/hooks/downgrade", server.port()),
      .headers = {{"content-type", "application/json"},
                  {"webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"},
                  {"webhook-timestamp", "1614265330"},
                  {"webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="}},
      .body = std::string(500, 'x')};

  HttpCall held = call;
  held.url = fmt::format("http://127.0.0.1:{}/held", server.port());
  for (int64_t i = 0; i < state.range(1); ++i) client.Send(held, [](const HttpAnswer&) {});

  const int64_t calls = 20'000;
  std::atomic<int64_t> failed = 0;
  std::function<void(int64_t, std::latch&)> run = [&](int64_t left, std::latch& done) {
    client.Send(call, [&, left](const HttpAnswer& answer) {
      if (answer.status != 200) ++failed;
      if (left > 1) {
        run(left - 1, done);
      } else {
        done.count_down();
      }
    });
  };
  const auto run_all = [&](int64_t count) {
    std::latch done(state.range(0));
    for (int64_t i = 0; i < state.range(0); ++i) run(count / state.range(0), done);
    done.wait();
  };
  run_all(state.range(0));  // connects
  const double process = CpuSeconds(CLOCK_PROCESS_CPUTIME_ID), served = server.CpuSeconds();
  for (auto _ : state) run_all(calls);
  const auto done =
      static_cast<double>(state.iterations() * (calls / state.range(0)) * state.range(0));
  if (failed != 0) state.SkipWithError("calls failed");
  state.SetItemsProcessed(static_cast<int64_t>(done));
  const double client_cpu =
      CpuSeconds(CLOCK_PROCESS_CPUTIME_ID) - process - (server.CpuSeconds() - served);
  state.counters["client_cpu_us"] = 1e6 * client_cpu / done;
  state.counters["server_cpu_us"] = 1e6 * (server.CpuSeconds() - served) / done;
}
BENCHMARK(BM_Calls)
    ->ArgNames({"in_flight", "held"})
    ->Args({1, 0})
    ->Args({16, 0})
    ->Args({256, 0})
    ->Args({4, 252})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace tailwater
