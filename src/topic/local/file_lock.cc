#include "topic/local/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>

#include "support/text.h"
#include "util/backoff.h"

namespace tailwater::local {

namespace {

// The kernel wakes nobody who waits with a stop request, so a standby asks this often.
constexpr std::chrono::milliseconds kPollInterval{100};

Error SystemError(const std::string& path, std::string_view doing) {
  const int code = errno;
  if (code == ENOSPC || code == EDQUOT) {
    return Error{
        Disposition::kNeedsOperator, "topic_disk_full",
        fmt::format("{} of {}: {}; free space on this disk", doing, path, std::strerror(code))};
  }
  return Error{Disposition::kNeedsOperator, "topic_cannot_open",
               fmt::format("{} of {}: {}; let this user write to the topic's folder", doing, path,
                           std::strerror(code))};
}

}  // namespace

FileLock& FileLock::operator=(FileLock&& other) noexcept {
  std::swap(file_, other.file_);
  return *this;
}

FileLock::~FileLock() {
  if (file_ >= 0) close(file_);
}

Result<std::optional<FileLock>> FileLock::Try(const std::string& path) {
  while (true) {
    FileLock lock(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640));
    if (lock.file_ < 0) return SystemError(path, "open");
    if (flock(lock.file_, LOCK_EX | LOCK_NB) != 0) {
      if (errno == EINTR) continue;
      if (errno == EWOULDBLOCK) return std::optional<FileLock>();
      return SystemError(path, "lock");
    }
    // Whoever destroyed the topic meanwhile has removed the file that we locked: take the new one.
    struct stat opened {};
    struct stat named {};
    if (fstat(lock.file_, &opened) != 0) return SystemError(path, "stat");
    if (stat(path.c_str(), &named) != 0 || named.st_ino != opened.st_ino ||
        named.st_dev != opened.st_dev) {
      continue;
    }
    const std::string owner = fmt::format("{}\n", getpid());
    if (ftruncate(lock.file_, 0) != 0 ||
        pwrite(lock.file_, owner.data(), owner.size(), 0) != static_cast<ssize_t>(owner.size())) {
      return SystemError(path, "write");
    }
    return std::optional<FileLock>(std::move(lock));
  }
}

Result<FileLock> FileLock::Wait(const std::string& path, const std::stop_token& stop,
                                const std::function<void(std::string holder)>& standby) {
  bool told = false;
  while (true) {
    TW_ASSIGN_OR_RETURN(std::optional<FileLock> lock, Try(path));
    if (lock) return std::move(*lock);
    if (!told && standby) standby(Holder(path));
    told = true;
    if (!WaitUnlessStopped(kPollInterval, stop)) {
      return Error{Disposition::kCancelled, "cancelled",
                   fmt::format("stopped while {} was held by {}", path, Holder(path))};
    }
  }
}

std::string FileLock::Holder(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return "nobody";
  char owner[32] = {};
  const ssize_t size = read(file, owner, sizeof owner - 1);
  close(file);
  std::string_view text(owner, size > 0 ? static_cast<size_t>(size) : 0);
  while (!text.empty() && text.back() == '\n') text.remove_suffix(1);
  if (text.empty()) return "another process";
  return fmt::format("process {}", text);
}

}  // namespace tailwater::local
