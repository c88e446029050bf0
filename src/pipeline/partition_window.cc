#include "pipeline/partition_window.h"

#include <utility>

namespace tailwater {

int64_t PartitionWindow::passed_offset() const {
  const WindowRecord* open = first_open();
  return open == nullptr ? read_offset_ : open->offset;
}

const WindowRecord* PartitionWindow::first_open() const {
  for (size_t i = head_; i < records_.size(); ++i) {
    if (!records_[i].final) return &records_[i];
  }
  return nullptr;
}

void PartitionWindow::Add(std::shared_ptr<const ReadBatch> batch, std::span<const Change> changes,
                          std::span<const uint32_t> selected, int64_t next_offset) {
  for (const uint32_t index : selected) {
    const ReadBatch::Record& record = batch->records[index];
    records_.push_back({&changes[index], record.key, record.value, record.offset, false});
  }
  read_offset_ = next_offset;
  if (selected.empty()) return;
  bytes_ += batch->bytes;
  chunks_.push_back({std::move(batch), selected.size()});
}

void PartitionWindow::ReleaseChunks() {
  while (!chunks_.empty() && chunks_.front().remaining == 0) {
    bytes_ -= chunks_.front().batch->bytes;
    chunks_.pop_front();
  }
}

void PartitionWindow::Compact() {
  if (head_ == records_.size()) {
    records_.clear();
    head_ = 0;
  } else if (head_ > 1024 && head_ > records_.size() / 2) {
    records_.erase(records_.begin(), records_.begin() + static_cast<ptrdiff_t>(head_));
    head_ = 0;
  }
}

}  // namespace tailwater
