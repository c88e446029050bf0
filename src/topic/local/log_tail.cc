#include "topic/local/log_tail.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <utility>

namespace tailwater::local {

namespace {

// Without inotify (the system's limit is reached) readers look this often.
constexpr int kPollMillis = 50;

}  // namespace

uint64_t LogTail::sequence() {
  MutexLock lock(mutex_);
  return sequence_;
}

void LogTail::WaitFor(uint64_t other_than, std::chrono::steady_clock::time_point deadline,
                      const std::stop_token& stop) {
  MutexLock lock(mutex_);
  while (sequence_ == other_than && !stop.stop_requested() &&
         std::chrono::steady_clock::now() < deadline) {
    changed_.WaitUntil(mutex_, stop, deadline);
  }
}

void LogTail::Advance() {
  MutexLock lock(mutex_);
  ++sequence_;
  changed_.NotifyAll();
}

void LogTail::AddWriter(int delta) {
  MutexLock lock(mutex_);
  writers_ += delta;
}

bool LogTail::has_writer() {
  MutexLock lock(mutex_);
  return writers_ > 0;
}

WakeFile::WakeFile(const std::string& path)
    : file_(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640)) {
  Touch();
}

WakeFile::~WakeFile() {
  if (file_ >= 0) close(file_);
}

void WakeFile::Touch() {
  ++count_;
  if (file_ >= 0) [[maybe_unused]]
    const ssize_t hint = pwrite(file_, &count_, sizeof count_, 0);
}

WakeWatcher::WakeWatcher(std::string path, std::shared_ptr<LogTail> tail)
    : path_(std::move(path)),
      tail_(std::move(tail)),
      stop_event_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      thread_([this](std::stop_token stop) { Run(stop); }) {}

WakeWatcher::~WakeWatcher() {
  thread_.request_stop();
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(stop_event_, &one, sizeof one);
  thread_.join();
  close(stop_event_);
}

void WakeWatcher::Run(const std::stop_token& stop) {
  const int inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
  const bool watching = inotify >= 0 && inotify_add_watch(inotify, path_.c_str(), IN_MODIFY) >= 0;
  pollfd files[] = {{stop_event_, POLLIN, 0}, {inotify, POLLIN, 0}};
  while (!stop.stop_requested()) {
    poll(files, watching ? 2 : 1, watching && stop_event_ >= 0 ? -1 : kPollMillis);
    if (watching) {
      alignas(inotify_event) char events[4096];
      while (read(inotify, events, sizeof events) > 0) {
      }
    }
    if (!stop.stop_requested() && !tail_->has_writer()) tail_->Advance();
  }
  if (inotify >= 0) close(inotify);
}

}  // namespace tailwater::local
