#include "pipeline/partition_window.h"

#include <utility>

namespace tailwater {

int64_t PartitionWindow::passed_offset() const {
  const WindowRecord* open = first_open();
  return open == nullptr ? read_offset_ : open->offset;
}

const WindowRecord* PartitionWindow::first_open() const {
  while (first_open_ < records_.size() && records_[first_open_].final) ++first_open_;
  return first_open_ < records_.size() ? &records_[first_open_] : nullptr;
}

void PartitionWindow::Add(std::shared_ptr<const ReadBatch> batch, std::span<const Change> changes,
                          std::span<const uint32_t> selected, int64_t next_offset) {
  for (const uint32_t index : selected) {
    const ReadBatch::Record& record = batch->records[index];
    records_.push_back({.window = this,
                        .change = &changes[index],
                        .key = record.key,
                        .value = record.value,
                        .offset = record.offset});
  }
  read_offset_ = next_offset;
  if (selected.empty()) return;
  open_ += selected.size();
  const size_t memory = batch->memory_bytes();
  bytes_ += batch->bytes;
  memory_bytes_ += memory;
  chunks_.push_back({std::move(batch), selected.size(), memory});
}

void PartitionWindow::Finish(WindowRecord& record) {
  record.final = true;
  --open_;
}

void PartitionWindow::Reopen() {
  for (WindowRecord& record : records_) record.final = false;
  next_ = first_open_ = 0;
  open_ = records_.size();
}

void PartitionWindow::DropFront() {
  if (!records_.front().final) --open_;
  records_.pop_front();
  if (next_ > 0) --next_;
  if (first_open_ > 0) --first_open_;
  if (--chunks_.front().remaining > 0) return;
  bytes_ -= chunks_.front().batch->bytes;
  memory_bytes_ -= chunks_.front().memory_bytes;
  chunks_.pop_front();
}

}  // namespace tailwater
