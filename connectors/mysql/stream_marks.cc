#include "mysql/stream_marks.h"

#include <algorithm>
#include <utility>

namespace tailwater::mysql {
namespace {

using std::chrono::milliseconds;

// Between two looks of the stream's thread at its server while it is held.
constexpr auto kServe = milliseconds(100);

Error Stopped() { return {Disposition::kCancelled, "stopped", "asked to stop"}; }

}  // namespace

bool StreamMarks::Place::Covers(const LogPosition& target) const {
  if (target.form() == LogPosition::Form::kFile) {
    return !end.file.empty() && !end.Before(target.file());
  }
  if (target.form() != position.form()) return false;
  if (target.form() == LogPosition::Form::kMariadbGtid) {
    return position.mariadb().Contains(target.mariadb());
  }
  if (position.mysql().Contains(target.mysql())) return true;
  if (position.undecided().empty()) return false;
  MysqlGtidSet came = position.mysql();
  for (const GroupId& group : position.undecided()) {
    if (const auto* gtid = std::get_if<MysqlGtid>(&group)) came.Add(*gtid);
  }
  return came.Contains(target.mysql());
}

Error StreamMarks::Gone() const {
  return {Disposition::kRetry, "mysql_stream_gone",
          "the stream has ended while a table was copied; the copy goes on with the next one"};
}

void StreamMarks::Changed() {
  due_.store(true, std::memory_order_release);
  wakeup_.Wake();
  changed_.notify_all();
}

template <class Done>
Status StreamMarks::Await(std::unique_lock<std::mutex>& lock, std::stop_token stop,
                          const Done& done) {
  const uint64_t stream = stream_;
  if (!streaming_) return Gone();
  changed_.wait(lock, stop, [&] { return done() || !streaming_ || stream_ != stream; });
  if (!streaming_ || stream_ != stream) return Gone();
  return done() ? Status() : Stopped();
}

Result<StreamMarks::Place> StreamMarks::Low(const std::string& chunk_id, std::stop_token stop) {
  std::unique_lock lock(mutex_);
  if (!streaming_) return Gone();
  chunks_[chunk_id].low_wanted = true;
  Changed();
  const auto shown = [&] {
    const auto found = chunks_.find(chunk_id);
    return found != chunks_.end() && found->second.low.has_value();
  };
  if (Status waited = Await(lock, std::move(stop), shown); !waited) {
    return std::move(waited).error();
  }
  return *chunks_.at(chunk_id).low;
}

void StreamMarks::High(const std::string& chunk_id, std::optional<LogPosition> covers) {
  std::lock_guard lock(mutex_);
  if (!streaming_) return;
  Chunk& chunk = chunks_[chunk_id];
  chunk.low_wanted = false;
  chunk.high_wanted = true;
  // Of an earlier stream: this one has not shown the low watermark.
  chunk.covers = chunk.low ? std::move(covers) : std::nullopt;
  Changed();
}

void StreamMarks::Forget(const std::string& chunk_id) {
  std::lock_guard lock(mutex_);
  chunks_.erase(chunk_id);
}

Status StreamMarks::WaitFor(const LogPosition& target, std::stop_token stop) {
  std::unique_lock lock(mutex_);
  Waiter waiter{&target, {}};
  waiters_.push_back(&waiter);
  Changed();
  Status waited = Await(lock, std::move(stop), [&] { return waiter.met.has_value(); });
  std::erase(waiters_, &waiter);
  return waited;
}

Result<StreamMarks::Place> StreamMarks::Where(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  Waiter waiter{nullptr, {}};
  waiters_.push_back(&waiter);
  Changed();
  Status waited = Await(lock, std::move(stop), [&] { return waiter.met.has_value(); });
  std::erase(waiters_, &waiter);
  if (!waited) return std::move(waited).error();
  return *waiter.met;
}

bool StreamMarks::Take(const std::string& chunk_id) {
  std::lock_guard lock(mutex_);
  if (hold_ != Hold::kNone) return false;
  hold_ = Hold::kTaken;
  held_by_ = chunk_id;
  return true;
}

Result<StreamMarks::Place> StreamMarks::Pause(const std::string& chunk_id, std::stop_token stop) {
  std::unique_lock lock(mutex_);
  if (held_by_ != chunk_id || !streaming_) return Gone();
  hold_ = Hold::kPause;
  paused_at_.reset();
  Changed();
  if (Status waited = Await(lock, std::move(stop), [&] { return paused_at_.has_value(); });
      !waited) {
    return std::move(waited).error();
  }
  return *paused_at_;
}

void StreamMarks::HoldAt(const std::string& chunk_id, LogPosition target) {
  std::lock_guard lock(mutex_);
  if (held_by_ != chunk_id) return;
  hold_ = Hold::kAt;
  hold_at_ = std::move(target);
  Changed();
}

void StreamMarks::Leave(const std::string& chunk_id) {
  std::lock_guard lock(mutex_);
  if (held_by_ != chunk_id) return;
  hold_ = Hold::kNone;
  held_by_.clear();
  Changed();
}

void StreamMarks::Begin(std::string server) {
  std::lock_guard lock(mutex_);
  ++stream_;
  streaming_ = true;
  server_ = std::move(server);
  chunks_.clear();
  hold_ = Hold::kNone;
  held_by_.clear();
  changed_.notify_all();
}

void StreamMarks::End() {
  std::lock_guard lock(mutex_);
  streaming_ = false;
  chunks_.clear();
  hold_ = Hold::kNone;
  held_by_.clear();
  changed_.notify_all();
}

Result<bool> StreamMarks::Show(const LogPosition& position, const FilePosition& end,
                               ChangeWriter& out) {
  if (!due_.load(std::memory_order_acquire)) return true;
  std::string server;
  {
    std::lock_guard lock(mutex_);
    server = server_;
  }
  return ShowDue({position, end, std::move(server)}, out);
}

// What the writer is told it is told without the lock: it may publish a chunk, or wait for rows.
Result<bool> StreamMarks::ShowDue(const Place& place, ChangeWriter& out) {
  struct Mark {
    Watermark::Kind kind;
    std::string chunk_id;
    bool sound = true;
  };
  std::vector<Mark> marks;
  std::string copy;
  {
    std::unique_lock lock(mutex_);
    for (auto& [id, chunk] : chunks_) {
      if (chunk.low_wanted && !chunk.low) {
        marks.push_back({Watermark::Kind::kLow, id});
      } else if (chunk.high_wanted && (!chunk.covers || place.Covers(*chunk.covers))) {
        marks.push_back({Watermark::Kind::kHigh, id, chunk.covers.has_value()});
      }
    }
  }
  for (const Mark& mark : marks) TW_TRY(out.OnWatermark({mark.kind, mark.chunk_id, mark.sound}));
  std::unique_lock lock(mutex_);
  for (const Mark& mark : marks) {
    const auto found = chunks_.find(mark.chunk_id);
    if (found == chunks_.end()) continue;
    if (mark.kind == Watermark::Kind::kHigh) {
      chunks_.erase(found);
    } else {
      found->second.low = place;
    }
  }
  for (Waiter* const waiter : waiters_) {
    if (!waiter->met && (waiter->target == nullptr || place.Covers(*waiter->target)))
      waiter->met = place;
  }
  if (hold_ == Hold::kPause) {
    hold_ = Hold::kPaused;
    paused_at_ = place;
  }
  changed_.notify_all();
  if (hold_ == Hold::kPaused) {
    // Marks that come meanwhile are shown at the next call.
    const auto paused = [&] { return hold_ != Hold::kPaused; };
    changed_.wait_for(lock, std::stop_token(), milliseconds(5), paused);
    return false;
  }
  if (hold_ == Hold::kAt && place.Covers(*hold_at_)) {
    copy = held_by_;
    lock.unlock();
    TW_ASSIGN_OR_RETURN(const bool ended, out.ServeCopy(copy, kServe));
    if (ended) Leave(copy);
    return false;
  }
  // Nothing is due any more when the last one has been shown.
  const bool due =
      hold_ != Hold::kNone || !waiters_.empty() ||
      std::any_of(chunks_.begin(), chunks_.end(), [](const auto& entry) {
        return entry.second.high_wanted || (entry.second.low_wanted && !entry.second.low);
      });
  due_.store(due, std::memory_order_release);
  return true;
}

}  // namespace tailwater::mysql
