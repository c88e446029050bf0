// While it lives, no file of this process takes another byte: a full disk without a disk.
#pragma once

#include <sys/resource.h>

#include <csignal>
#include <cstdio>

namespace tailwater {

class FullDisk {
 public:
  FullDisk() {
    std::fflush(nullptr);
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before_);
    rlimit limit = before_;
    limit.rlim_cur = 0;
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FullDisk() { setrlimit(RLIMIT_FSIZE, &before_); }
  FullDisk(const FullDisk&) = delete;
  FullDisk& operator=(const FullDisk&) = delete;

 private:
  rlimit before_{};
};

}  // namespace tailwater
