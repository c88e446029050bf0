// Wakes a thread that waits in poll(): a stop request, or a frontier to confirm.
#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>
#include <stop_token>

namespace tailwater {

// Threads: any.
class Wakeup {
 public:
  Wakeup() : fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
  ~Wakeup() {
    if (fd_ >= 0) close(fd_);
  }
  Wakeup(const Wakeup&) = delete;
  Wakeup& operator=(const Wakeup&) = delete;

  void Wake() const {
    const uint64_t one = 1;
    [[maybe_unused]] const auto written = write(fd_, &one, sizeof one);  // full = already awake
  }
  void Drain() const {
    uint64_t count;
    [[maybe_unused]] const auto got = read(fd_, &count, sizeof count);
  }
  int fd() const { return fd_; }

 private:
  int fd_;
};

// What ends a wait on a connection early. Without a wakeup, a stop is noticed within a second.
struct Interrupt {
  std::stop_token stop;
  const Wakeup* wakeup = nullptr;
};

}  // namespace tailwater
