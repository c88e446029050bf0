// How a sink's windows fill.
#include <algorithm>
#include <numeric>
#include <utility>

#include "pipeline/sink_loop.h"

namespace tailwater {
namespace {

using namespace std::chrono_literals;

// How soon a marker looks again whether the group has passed its fence: nobody tells, for others
// may own the partitions that it waits for, and each look is a question to the topic.
constexpr std::chrono::milliseconds kFenceTurn{50};

}  // namespace

Result<bool> SinkLoop::Fill(Milliseconds timeout) {
  std::vector<PartitionWindow*> turn;
  for (auto& [partition, window] : windows_) turn.push_back(&window);
  std::rotate(turn.begin(), turn.begin() + static_cast<ptrdiff_t>(next_partition_++ % turn.size()),
              turn.end());

  bool any = false;
  for (bool more = true; more && !stop_.stop_requested();) {
    more = false;
    for (PartitionWindow* window : turn) {
      if (!WantsMore(*window, any)) continue;
      TW_ASSIGN_OR_RETURN(const bool read, ReadInto(*window));
      if (read) any = more = true;
    }
    // Records of others only: commit that much first, so that a sink of few tables moves on.
    if (HoldsNothing()) break;
  }
  if (any || timeout <= 0ms || stop_.stop_requested()) return any;
  const Milliseconds wait = marker_waits_ ? std::min(timeout, kFenceTurn) : timeout;
  Offsets wanted;
  for (const PartitionWindow* window : turn) {
    if (Readable(*window)) wanted[window->partition()] = window->read_offset();
  }
  if (wanted.empty()) {
    WaitFor(wait);
    return false;
  }
  if (!reader_->WaitForAny(wanted, wait, wakeup_.token())) return false;
  for (PartitionWindow* window : turn) {
    if (!Readable(*window)) continue;
    TW_ASSIGN_OR_RETURN(const bool read, ReadInto(*window));
    any |= read;
  }
  return any;
}

bool SinkLoop::Readable(const PartitionWindow& window) const {
  return WantsMore(window, false) && (!window.blocked() || HoldsNothing());
}

bool SinkLoop::WantsMore(const PartitionWindow& window, bool read_already) const {
  const size_t share = windows_.size();
  if (concurrent_ != nullptr || !lanes_.empty()) {
    // Keys that wait stay in the window: read past them, a fetch per step, up to its bounds.
    return !read_already && window.size() < std::max<size_t>(1, options_.window_records / share) &&
           window.memory_bytes() < std::max<size_t>(1, options_.window_bytes / share);
  }
  return window.size() < std::max<size_t>(1, options_.batch_records / share) &&
         window.bytes() < std::max<size_t>(1, options_.batch_bytes / share);
}

Status SinkLoop::FillLonger() {
  const Clock::TimePoint deadline = clock_.Now() + options_.batch_wait;
  while (!stop_.stop_requested()) {
    size_t records = 0;
    for (const auto& [partition, window] : windows_) records += window.size();
    const auto left = std::chrono::ceil<Milliseconds>(deadline - clock_.Now());
    if (records == 0 || records >= options_.batch_records || left <= 0ms) break;
    TW_ASSIGN_OR_RETURN(const bool read, Fill(left));
    if (!read && windows_.size() == 1) break;
  }
  return {};
}

Result<bool> SinkLoop::ReadInto(PartitionWindow& window) {
  if (window.blocked() && !HoldsNothing()) return false;
  auto read = reader_->Read(window.partition(), window.read_offset(), options_.read_bytes, 0ms,
                            stop_.get_token());
  if (!read) {
    if (read.error().disposition == Disposition::kCancelled) return false;
    if (read.error().disposition == Disposition::kGap) {
      TW_ASSIGN_OR_RETURN(const auto ranges, reader_->Ranges());
      const auto range = ranges.find(window.partition());
      if (range != ranges.end())
        TW_TRY(CheckRange(window.partition(), window.read_offset(), range->second));
    } else {
      reader_.reset();  // opened anew after the backoff
      DropAssignment();
    }
    return std::move(read).error();
  }
  std::shared_ptr<const ReadBatch> batch = *std::move(read);
  if (batch == nullptr || batch->next_offset == window.read_offset()) return false;
  TW_ASSIGN_OR_RETURN(RecordSelection::Selected selected,
                      selection_.Select(*batch, ReplayBelow(window.partition())));
  reporter_.Read(
      std::accumulate(selected.filtered.begin(), selected.filtered.end(), selected.records.size()));
  reporter_.Filtered(selected.filtered);
  std::span<const Change> changes;
  if (!selected.records.empty()) {
    TW_ASSIGN_OR_RETURN(changes, batch->Changes());
  }
  const bool moved = selected.next_offset != window.read_offset();
  window.Add(std::move(batch), changes, selected.records, selected.next_offset);
  window.set_blocked(selected.blocked.has_value());
  if (selected.blocked && HoldsNothing()) return *std::move(selected.blocked);
  return moved;
}

bool SinkLoop::HoldsNothing() const {
  return std::all_of(windows_.begin(), windows_.end(),
                     [](const auto& entry) { return entry.second.size() == 0; });
}

int64_t SinkLoop::ReplayBelow(int32_t partition) const {
  const auto rewound = rewound_from_.find(partition);
  return rewound == rewound_from_.end() ? INT64_MIN : rewound->second;
}

}  // namespace tailwater
