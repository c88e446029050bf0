#include "cli/process_events.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <system_error>

namespace tailwater {

ProcessEvents::ProcessEvents() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  signal_fd_ = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
  wake_fd_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (signal_fd_ < 0 || wake_fd_ < 0)
    throw std::system_error(errno, std::generic_category(), "signalfd or eventfd");
}

ProcessEvents::~ProcessEvents() {
  close(signal_fd_);
  close(wake_fd_);
}

ProcessEvents::Event ProcessEvents::Wait(
    std::optional<std::chrono::steady_clock::time_point> deadline) {
  for (;;) {
    int timeout = -1;
    if (deadline) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(
          *deadline - std::chrono::steady_clock::now());
      if (left.count() <= 0) return Event::kTimeout;
      timeout = static_cast<int>(std::min<int64_t>(left.count(), 3'600'000));
    }
    pollfd sources[] = {{signal_fd_, POLLIN, 0}, {wake_fd_, POLLIN, 0}};
    if (poll(sources, 2, timeout) <= 0) continue;
    signalfd_siginfo signal{};
    if (read(signal_fd_, &signal, sizeof signal) == sizeof signal)
      return signal.ssi_signo == SIGHUP ? Event::kReload : Event::kStop;
    uint64_t count = 0;
    if (read(wake_fd_, &count, sizeof count) == sizeof count) return Event::kWoken;
  }
}

void ProcessEvents::Wake() {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(wake_fd_, &one, sizeof one);  // full = awake
}

}  // namespace tailwater
