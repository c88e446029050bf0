#include "model/model_trigger.h"

#include <algorithm>
#include <utility>

namespace tailwater::model {

using namespace std::chrono_literals;

Status ModelTrigger::Open() {
  if (trouble_.one_in(10)) {
    return Error{Disposition::kRetry, "model_target_down", "the receiver is away, on purpose"};
  }
  return {};
}

Result<std::vector<Verdict>> ModelTrigger::Write(const DeliveryBatch&) {
  trouble_.violations->push_back("a concurrent sink was written to");
  return Error{Disposition::kFatal, "written_to", "a concurrent sink was written to"};
}

Status ModelTrigger::Sweep(const SweepRequest&) {
  trouble_.violations->push_back("a sink of events was told to sweep");
  return {};
}

size_t ModelTrigger::Room() const {
  // Half open: one call tells whether it is back.
  const size_t most = away_ ? 1 : kMost;
  return most - std::min(most, calls_.size());
}

void ModelTrigger::Submit(uint64_t ticket, const Delivery& delivery) {
  if (Room() == 0) trouble_.violations->push_back("a change was submitted without room");
  for (const Call& call : calls_) {
    if (call.change.key == delivery.key) {
      trouble_.violations->push_back("two changes of a key are in flight");
    }
  }
  if (calls_.size() > 1) trouble_.Count("calls at the same time");
  calls_.push_back({ticket,
                    {std::string(delivery.key),
                     {delivery.partition, delivery.offset},
                     IsControl(delivery.change->operation)}});
}

Verdict ModelTrigger::Answer(const Call& call) {
  if (trouble_.one_in(30)) {
    trouble_.Count("receiver away");
    away_ = true;
    return Verdict::Unavailable("model_away", "away, on purpose", trouble_.one_in(2) ? 300ms : 0ms);
  }
  away_ = false;
  if (trouble_.one_in(12)) {
    trouble_.Count("call put off");
    return Verdict::Retry("model_key_busy", "this key is busy, on purpose");
  }
  if (trouble_.one_in(25)) {
    trouble_.Count("call refused");
    receiver_.refused.insert(call.change.key);
    return Verdict::Rejected("model_refused", "refused, on purpose");
  }
  receiver_.taken.push_back(call.change);
  return Verdict::Applied();
}

Status ModelTrigger::TakeFinished(std::vector<Finished>& finished) {
  if (trouble_.one_in(40)) trouble_.in_the_middle();
  for (size_t i = 0; i < calls_.size();) {
    if (trouble_.one_in(2)) {
      ++i;  // not yet
      continue;
    }
    const Call call = std::move(calls_[i]);
    calls_.erase(calls_.begin() + static_cast<std::ptrdiff_t>(i));
    finished.push_back({call.ticket, Answer(call)});
  }
  return {};
}

void ModelTrigger::CancelAll() {
  for (const Call& call : calls_) {
    if (!trouble_.one_in(2)) continue;
    trouble_.Count("call given up and taken");
    receiver_.taken.push_back(call.change);
  }
  calls_.clear();
}

}  // namespace tailwater::model
