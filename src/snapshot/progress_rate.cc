#include "snapshot/progress_rate.h"

namespace tailwater {
namespace {

using namespace std::chrono_literals;

constexpr auto kWindow = 30s;
constexpr auto kSampleInterval = 500ms;
constexpr auto kShortest = 500ms;  // less time than this tells nothing

}  // namespace

void ProgressRate::Add(Clock::TimePoint now, uint64_t amount) {
  if (samples_.empty()) samples_.push_back({now, total_});
  total_ += amount;
  if (samples_.size() > 1 && now - samples_[samples_.size() - 2].time < kSampleInterval) {
    samples_.back() = {now, total_};
  } else {
    samples_.push_back({now, total_});
  }
  while (samples_.size() > 2 && now - samples_[1].time > kWindow) samples_.pop_front();
}

std::optional<double> ProgressRate::PerSecond(Clock::TimePoint now) const {
  if (samples_.size() < 2) return std::nullopt;
  // Of the window's samples; what stopped long ago is slow, not fast.
  const Sample* first = &samples_.front();
  for (const Sample& sample : samples_) {
    if (now - sample.time <= kWindow) break;
    first = &sample;
  }
  const std::chrono::duration<double> over = now - first->time;
  if (over < kShortest) return std::nullopt;
  return static_cast<double>(total_ - first->total) / over.count();
}

}  // namespace tailwater
