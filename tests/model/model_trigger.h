// A concurrent sink in memory whose target remembers what it took: what a webhook's receiver sees.
// It answers late, in any order, refuses, fails and is away on purpose.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "model/model_sink.h"
#include "tailwater/sink.h"
#include "topic/topic.h"

namespace tailwater::model {

// It outlives the sinks that call it.
struct Receiver {
  struct Taken {
    std::string key;
    RecordPlace place;
    bool control = false;
  };
  std::vector<Taken> taken;       // in order, repeats too
  std::set<std::string> refused;  // keys of which it ever refused a change
};

class ModelTrigger final : public Sink, public ConcurrentSink {
 public:
  ModelTrigger(Receiver& receiver, Trouble& trouble) : receiver_(receiver), trouble_(trouble) {}
  ~ModelTrigger() override { CancelAll(); }

  Status Open() override;
  Result<std::vector<Verdict>> Write(const DeliveryBatch& batch) override;
  Status Sweep(const SweepRequest& request) override;
  bool wants_truncate_events() const override { return true; }
  ConcurrentSink* concurrent() override { return this; }

  void OnProgress(std::function<void()> wake) override { wake_ = std::move(wake); }
  size_t Room() const override;
  void Submit(uint64_t ticket, const Delivery& delivery) override;
  Status TakeFinished(std::vector<Finished>& finished) override;
  void CancelAll() override;

 private:
  static constexpr size_t kMost = 8;
  struct Call {
    uint64_t ticket = 0;
    Receiver::Taken change;
  };
  Verdict Answer(const Call& call);

  Receiver& receiver_;
  Trouble& trouble_;
  std::function<void()> wake_;
  std::deque<Call> calls_;
  bool away_ = false;
};

}  // namespace tailwater::model
