// One sink with one or more processes that deliver to it: the engine's runner, stepped on one
// thread, over a target that outlives them. Processes die, stop, join and are rebalanced; a sink
// that can be rewound is.
#pragma once

#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "model/model_sink.h"
#include "model/model_trigger.h"
#include "pipeline/sink_runner.h"
#include "support/manual_clock.h"
#include "support/memory_topic.h"
#include "support/stub_metrics.h"
#include "support/temporary_folder.h"

namespace tailwater::model {

enum class SinkKind : uint8_t {
  kPlain,
  kCollapsing,     // plain, too
  kTransactional,  // keyless tables, too; is never rewound
  kTransactionalRewindable,
  kSqlite,            // the real one; one process at a time, as its file asks for
  kTrigger,           // concurrent; keeps the order behind what its receiver refuses
  kUnorderedTrigger,  // concurrent; goes on behind it
};

class DeliveryModel {
 public:
  DeliveryModel(std::string name, SinkKind kind, StubMemoryTopic& topic, int32_t partitions,
                ManualClock& clock, std::mt19937_64& random, std::vector<std::string>& violations,
                Coverage& coverage);

  const std::string& name() const { return name_; }
  // One step of one process.
  void Step();
  // A process dies or stops, another one joins, partitions move, the topic fails, or a rewind.
  void Break();
  // Nothing breaks any more; to the end of the topic. False: it does not get there.
  bool Finish();
  // The copy against what the sources hold.
  void Check(const std::vector<std::unique_ptr<History>>& histories);

 private:
  struct Process {
    std::unique_ptr<SinkRunner> runner;
    bool stepping = false;
  };

  uint64_t Below(uint64_t limit) { return random_() % limit; }
  bool OneIn(uint64_t n) { return Below(n) == 0; }
  void Violation(std::string what);
  void Join();
  void Step(Process& process);
  void Kill(size_t index);
  void Stop(size_t index);
  void Rebalance();
  void Rewind();
  void InTheMiddle();
  // A process that is not in the middle of a step; size() if there is none.
  size_t PickIdle();
  bool trigger() const {
    return kind_ == SinkKind::kTrigger || kind_ == SinkKind::kUnorderedTrigger;
  }
  bool plain() const {
    return kind_ == SinkKind::kPlain || kind_ == SinkKind::kCollapsing || trigger();
  }
  // A person replays all dead letters.
  void Requeue();
  // A person asks a process for this while it steps. False: not now.
  bool Ask(size_t index, const std::function<bool(SinkRunner&)>& request);
  void PauseOrResume(size_t index);
  void RewindLive(size_t index);
  void ResumeAll();
  void CheckReceiver();
  bool HasParked() const;
  bool AtEnd();
  Offsets StoredOffsets() const;

  const std::string name_;
  const SinkKind kind_;
  StubMemoryTopic& topic_;
  const int32_t partitions_;
  ManualClock& clock_;
  std::mt19937_64& random_;
  std::vector<std::string>& violations_;
  StubMetrics metrics_;
  Coverage& coverage_;
  Trouble trouble_;
  Target target_;
  Receiver receiver_;  // of triggers
  DeliveryRules rules_;
  bool rebalanced_ = false;
  bool calm_ = false;
  bool dying_ = false;
  bool closing_ = false;
  std::unique_ptr<TemporaryFolder> folder_;  // kSqlite
  std::vector<std::unique_ptr<Process>> processes_;
};

}  // namespace tailwater::model
