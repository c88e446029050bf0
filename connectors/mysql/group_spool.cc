#include "mysql/group_spool.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "support/text.h"

namespace tailwater::mysql {
namespace {

constexpr size_t kSmallest = 64 << 10;  // stays in memory whatever the others hold
constexpr size_t kWindow = 256 << 10;   // read from a file at once
constexpr size_t kKept = 1 << 20;       // memory that waits for the next group

int OpenNameless(const std::string& folder) {
  const int file = open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (file >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)) return file;
  std::string name = folder + "/mysql-group-XXXXXX";  // a file system that has none without a name
  const int named = mkostemp(name.data(), O_CLOEXEC);
  if (named >= 0) unlink(name.c_str());
  return named;
}

}  // namespace

struct GroupSpool::Head {
  uint64_t passed;
  uint32_t size;
  uint32_t table;
  EventType type;
};

GroupSpool::~GroupSpool() {
  budget_.bytes -= counted_;
  if (file_ >= 0) close(file_);
}

Error GroupSpool::Failed(std::string_view what, int error) const {
  return {Disposition::kNeedsOperator, "mysql_spool_failed",
          fmt::format("cannot {} in {}, where a transaction that may still be undone is kept ({} "
                      "bytes so far): {}; make room there, reading goes on by itself",
                      what, budget_.folder, end(), std::strerror(error))};
}

void GroupSpool::SetMemory(size_t bytes) {
  memory_.resize(bytes);
  budget_.bytes = budget_.bytes - counted_ + bytes;
  counted_ = bytes;
}

Status GroupSpool::AppendToFile(std::string_view bytes) {
  if (file_ < 0) {
    file_ = OpenNameless(budget_.folder);
    if (file_ < 0) return Failed("make a file", errno);
  }
  while (!bytes.empty()) {
    const ssize_t written = pwrite(file_, bytes.data(), bytes.size(), static_cast<off_t>(in_file_));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return Failed("write", errno);
    in_file_ += static_cast<uint64_t>(written);
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return {};
}

Status GroupSpool::Flush() {
  TW_TRY(AppendToFile(memory_));
  SetMemory(0);
  return {};
}

Status GroupSpool::Write(std::string_view head, std::string_view body) {
  const size_t size = head.size() + body.size();
  if (memory_.size() + size > kSmallest && budget_.bytes + size > budget_.most_bytes) {
    TW_TRY(Flush());
    if (size > kSmallest) {
      TW_TRY(AppendToFile(head));
      return AppendToFile(body);
    }
  }
  memory_.append(head).append(body);
  SetMemory(memory_.size());
  return {};
}

Status GroupSpool::Add(EventType type, uint32_t table, std::string_view body) {
  Head head;
  std::memset(&head, 0, sizeof head);
  head.size = static_cast<uint32_t>(body.size());
  head.table = table;
  head.type = type;
  return Write({reinterpret_cast<const char*>(&head), sizeof head}, body);
}

Status GroupSpool::AddPassed(uint64_t rows) {
  Head head;
  std::memset(&head, 0, sizeof head);
  head.passed = rows;
  return Write({reinterpret_cast<const char*>(&head), sizeof head}, {});
}

Status GroupSpool::Truncate(uint64_t end) {
  if (end >= in_file_) {
    SetMemory(end - in_file_);
    return {};
  }
  SetMemory(0);
  in_file_ = end;
  if (ftruncate(file_, static_cast<off_t>(end)) != 0) return Failed("shorten a file", errno);
  return {};
}

// Makes the `bytes` behind read_ part of the window.
Status GroupSpool::Fill(size_t bytes) {
  if (read_ >= window_at_ && read_ + bytes <= window_at_ + window_.size()) return {};
  window_at_ = read_;
  window_.resize(std::min<uint64_t>(std::max(bytes, kWindow), in_file_ - read_));
  for (size_t got = 0; got < window_.size();) {
    const ssize_t count = pread(file_, window_.data() + got, window_.size() - got,
                                static_cast<off_t>(window_at_ + got));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return Failed("read", count < 0 ? errno : EIO);
    got += static_cast<size_t>(count);
  }
  return {};
}

Result<bool> GroupSpool::Next(Record& record) {
  if (read_ == end()) return false;
  const bool in_file = read_ < in_file_;
  Head head;
  if (in_file) TW_TRY(Fill(sizeof head));
  const char* from =
      in_file ? window_.data() + (read_ - window_at_) : memory_.data() + (read_ - in_file_);
  std::memcpy(&head, from, sizeof head);
  if (in_file) {
    TW_TRY(Fill(sizeof head + head.size));
    from = window_.data() + (read_ - window_at_);
  }
  record = {.type = head.type,
            .table = head.table,
            .passed = head.passed,
            .body = {from + sizeof head, head.size}};
  read_ += sizeof head + head.size;
  return true;
}

void GroupSpool::Clear() {
  SetMemory(0);
  if (memory_.capacity() > kKept) std::string().swap(memory_);
  if (window_.capacity() > kKept) std::string().swap(window_);
  window_.clear();
  window_at_ = 0;
  if (file_ >= 0) close(file_);
  file_ = -1;
  in_file_ = read_ = 0;
}

}  // namespace tailwater::mysql
