// The other end of the webhook bench: takes POSTs on loopback, notes when each arrived, answers 204
// after a fixed time.
//
//   webhook_receiver DELAY_MICROSECONDS
//
// Prints its port, then reads commands from stdin: "report" prints "MARKER ARRIVAL" per request
// since the last one, where MARKER is the number behind the first "marker" in the body and ARRIVAL
// is microseconds since 1970, and a line "end COUNT MOST_IN_FLIGHT"; the end of stdin ends it. One
// thread: as little of the machine as the bench can spare.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace {

constexpr std::string_view kReply = "HTTP/1.1 204 No Content\r\n\r\n";

int64_t NowMicros() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec * 1'000'000 + now.tv_nsec / 1000;
}

struct Arrival {
  int64_t marker;
  int64_t at;
};

class Receiver {
 public:
  explicit Receiver(int64_t delay_micros) : delay_(delay_micros) {}

  int Run() {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    if (bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        listen(listener_, 1024) != 0 ||
        getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
      std::perror("webhook_receiver");
      return 1;
    }
    std::printf("%d\n", ntohs(address.sin_port));
    std::fflush(stdout);
    epoll_ = epoll_create1(0);
    Watch(listener_);
    Watch(STDIN_FILENO);
    std::vector<epoll_event> events(512);
    while (true) {
      const int count =
          epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), UntilNextReply());
      for (int i = 0; i < count; ++i) {
        const int fd = events[static_cast<size_t>(i)].data.fd;
        if (fd == listener_) {
          Accept();
        } else if (fd != STDIN_FILENO) {
          Read(fd);
        } else if (!Obey()) {
          return 0;
        }
      }
      ReplyDue();
    }
  }

 private:
  void Watch(int fd) const {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
  }

  void Accept() {
    for (int fd; (fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK)) >= 0;) {
      const int on = 1;
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
      Watch(fd);
    }
  }

  void Read(int fd) {
    char buffer[65536];
    std::string& input = inputs_[fd];
    while (true) {
      const ssize_t got = read(fd, buffer, sizeof(buffer));
      if (got > 0) {
        input.append(buffer, static_cast<size_t>(got));
        if (static_cast<size_t>(got) < sizeof(buffer)) break;
        continue;
      }
      if (got < 0 && errno == EAGAIN) break;
      std::erase_if(due_, [fd](const Due& due) { return due.fd == fd; });
      inputs_.erase(fd);
      close(fd);
      return;
    }
    while (TakeRequest(fd, input)) {
    }
  }

  bool TakeRequest(int fd, std::string& input) {
    const size_t head = input.find("\r\n\r\n");
    if (head == std::string::npos) return false;
    size_t length = 0;
    for (const char* name : {"Content-Length: ", "content-length: "}) {
      const size_t at = input.find(name);
      if (at < head) length = std::strtoul(input.c_str() + at + std::strlen(name), nullptr, 10);
    }
    if (input.size() < head + 4 + length) return false;
    const size_t mark = input.find("\"marker\"", head);
    int64_t marker = -1;
    if (mark != std::string::npos) {
      const size_t digits = input.find_first_of("0123456789", mark);
      if (digits != std::string::npos) marker = std::strtoll(input.c_str() + digits, nullptr, 10);
    }
    const int64_t now = NowMicros();
    arrivals_.push_back({marker, now});
    input.erase(0, head + 4 + length);
    due_.push_back({now + delay_, fd});
    most_ = std::max(most_, due_.size());
    return true;
  }

  int UntilNextReply() const {
    if (due_.empty()) return -1;
    const int64_t left = due_.front().at - NowMicros();
    return left <= 0 ? 0 : static_cast<int>((left + 999) / 1000);
  }

  void ReplyDue() {
    while (!due_.empty() && due_.front().at <= NowMicros()) {
      const int fd = due_.front().fd;
      due_.pop_front();
      if (write(fd, kReply.data(), kReply.size()) < 0 && errno != EPIPE && errno != ECONNRESET)
        std::perror("write");
    }
  }

  bool Obey() {
    char line[256];
    const ssize_t got = read(STDIN_FILENO, line, sizeof(line));
    if (got <= 0) return false;
    for (const Arrival& arrival : arrivals_)
      std::printf("%lld %lld\n", static_cast<long long>(arrival.marker),
                  static_cast<long long>(arrival.at));
    std::printf("end %zu %zu\n", arrivals_.size(), most_);
    std::fflush(stdout);
    arrivals_.clear();
    most_ = 0;
    return true;
  }

  struct Due {
    int64_t at;
    int fd;
  };
  const int64_t delay_;
  int listener_ = -1;
  int epoll_ = -1;
  std::map<int, std::string> inputs_;
  std::deque<Due> due_;
  std::vector<Arrival> arrivals_;
  size_t most_ = 0;
};

}  // namespace

int main(int argc, char** argv) { return Receiver(argc > 1 ? std::atoll(argv[1]) : 0).Run(); }
