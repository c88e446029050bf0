#include "tailwater/change.h"

#include <algorithm>
#include <charconv>

namespace tailwater {
namespace {

constexpr size_t kFirstBlockBytes = 4 << 10;
constexpr size_t kLargestBlockBytes = 1 << 20;
constexpr size_t kKeptBytes = 1 << 20;  // what an arena holds on to over Clear()

template <class T>
void AppendNumber(T number, std::string& out) {
  char buffer[24];
  const auto result = std::to_chars(buffer, buffer + sizeof buffer, number);
  out.append(buffer, result.ptr);
}

}  // namespace

std::string_view OperationName(Operation operation) {
  switch (operation) {
    case Operation::kInsert:
      return "insert";
    case Operation::kUpdate:
      return "update";
    case Operation::kDelete:
      return "delete";
    case Operation::kTruncate:
      return "truncate";
    case Operation::kRead:
      return "read";
    case Operation::kSchema:
      return "schema";
    case Operation::kMessage:
      return "message";
    case Operation::kFrontier:
      return "frontier";
    case Operation::kSweep:
      return "sweep";
  }
  return "unknown";
}

void AppendId(const Change& change, std::string& out) {
  out += change.source;
  out += ':';
  AppendNumber(change.epoch, out);
  out += ':';
  out += change.position;
  out += ':';
  AppendNumber(change.ordinal, out);
  out += ':';
  AppendNumber(change.part, out);
}

std::string Id(const Change& change) {
  std::string id;
  AppendId(change, id);
  return id;
}

char* Arena::AllocateSlow(size_t bytes) {
  while (next_block_ < blocks_.size()) {  // kept over Clear()
    Block& block = blocks_[next_block_++];
    if (block.size < bytes) continue;
    current_ = block.data.get();
    current_size_ = block.size;
    used_ = bytes;
    return current_;
  }
  const size_t doubled = kFirstBlockBytes << std::min<size_t>(blocks_.size(), 8);
  const size_t size = std::max(bytes, std::min(doubled, kLargestBlockBytes));
  blocks_.push_back({std::unique_ptr<char[]>(new char[size]), size});
  next_block_ = blocks_.size();
  capacity_ += size;
  current_ = blocks_.back().data.get();
  current_size_ = size;
  used_ = bytes;
  return current_;
}

void Arena::Clear() {
  size_t kept = 0;
  std::erase_if(blocks_, [&](const Block& block) {
    if (kept + block.size > kKeptBytes) return true;
    kept += block.size;
    return false;
  });
  capacity_ = kept;
  next_block_ = 0;
  current_ = nullptr;
  current_size_ = 0;
  used_ = 0;
}

}  // namespace tailwater
