// An exclusive lock on a file, held by one process: who captures, and who owns a sink.
//
// flock() on an open file: the kernel lets go of it when the process ends, however it ends. The
// file holds the owner's process id, for people.
#pragma once

#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>

#include "tailwater/result.h"

namespace tailwater::local {

class FileLock {
 public:
  FileLock(FileLock&& other) noexcept : file_(std::exchange(other.file_, -1)) {}
  FileLock& operator=(FileLock&& other) noexcept;
  ~FileLock();

  // Nothing if somebody else holds it. The folder must exist.
  static Result<std::optional<FileLock>> Try(const std::string& path);
  // Waits for it; calls `standby` once with the holder if it has to. kCancelled if stopped first.
  static Result<FileLock> Wait(const std::string& path, const std::stop_token& stop,
                               const std::function<void(std::string holder)>& standby);
  // "process 1234", as the file says.
  static std::string Holder(const std::string& path);

 private:
  explicit FileLock(int file) : file_(file) {}
  int file_ = -1;
};

}  // namespace tailwater::local
