// Wakes those who wait for records: from the writer if it lives in this process, else by inotify on
// the wake file, which the writer touches after each commit. (The write-ahead log itself changes
// before its commit can be seen: woken by that, a reader would find nothing and sleep on.)
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>

#include "tailwater/result.h"
#include "util/mutex.h"

namespace tailwater::local {

// Thread-safe; shared by the handles of one LocalTopic.
class LogTail {
 public:
  // Counts commits seen. Read it, look at the log, then WaitFor() a change of it: no commit is
  // missed.
  uint64_t sequence();
  void WaitFor(uint64_t other_than, std::chrono::steady_clock::time_point deadline,
               const std::stop_token& stop);
  void Advance();

  // While a writer lives in this process, its word is enough.
  void AddWriter(int delta);
  bool has_writer();

 private:
  Mutex mutex_;
  CondVar changed_;
  uint64_t sequence_ TW_GUARDED_BY(mutex_) = 0;
  int writers_ TW_GUARDED_BY(mutex_) = 0;
};

// The writer's side of the wake file.
class WakeFile {
 public:
  explicit WakeFile(const std::string& path);
  ~WakeFile();
  WakeFile(const WakeFile&) = delete;
  WakeFile& operator=(const WakeFile&) = delete;
  // A lost touch costs a reader at most one poll, never a record.
  void Touch();

 private:
  int file_ = -1;
  uint64_t count_ = 0;
};

// One thread that advances `tail` when the wake file changes.
class WakeWatcher {
 public:
  WakeWatcher(std::string path, std::shared_ptr<LogTail> tail);
  ~WakeWatcher();

 private:
  void Run(const std::stop_token& stop);
  const std::string path_;
  const std::shared_ptr<LogTail> tail_;
  int stop_event_ = -1;
  std::jthread thread_;
};

}  // namespace tailwater::local
