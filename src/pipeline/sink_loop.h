// The state machine of one sink: SinkRunner's thread, or a test, calls Step() again and again.
//
// What it holds, in the order in which it is taken: the subscription (lease), the reader, the open
// sink, the assignment with one window per partition. A failure of the target as a whole keeps all
// of it and waits; a failure of the topic drops reader or assignment and takes them anew. Offsets
// of a transactional sink are the target's; the subscription then holds a copy for status.
// sink_loop.cc takes and gives these and turns failures into states; sink_loop_batch.cc does the
// way of one batch.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "pipeline/frontier_tracker.h"
#include "pipeline/partition_window.h"
#include "pipeline/record_selection.h"
#include "pipeline/sink_reporter.h"
#include "pipeline/sink_runner.h"

namespace tailwater {

class SinkLoop {
 public:
  SinkLoop(std::string pipeline, std::string sink, Topic& topic, SinkRunner::CreateSink create,
           DeliveryRules rules, Metrics& metrics, SinkRunnerOptions options);

  SinkRunner::StepResult Step(std::chrono::milliseconds timeout);
  void RequestStop() { stop_.request_stop(); }
  std::stop_token stop_token() const { return stop_.get_token(); }
  // After the last Step(): commits what is final and gives everything back.
  void Close();
  SinkReporter& reporter() { return reporter_; }
  const SinkReporter& reporter() const { return reporter_; }

 private:
  using StepResult = SinkRunner::StepResult;
  using Milliseconds = std::chrono::milliseconds;

  Result<StepResult> Advance(Milliseconds timeout);
  // Lease, reader, sink: each taken once.
  Status Prepare();
  // False: no partition is ours.
  Result<bool> Assign(Milliseconds timeout);
  Status LoadOffsets(const Subscription::Assignment& assignment);
  Result<int64_t> ResolveStart(int32_t partition, const PartitionRange& range);
  Status CheckRange(int32_t partition, int64_t offset, const PartitionRange& range);

  // Reads until a batch is full or the topic has no more at this moment; waits for the first record
  // at most `timeout`. True if something was read.
  Result<bool> Fill(Milliseconds timeout);
  // Once something was read: waits for more, up to batch_wait.
  Status FillLonger();
  Result<bool> ReadInto(PartitionWindow& window, Milliseconds timeout);
  bool HoldsNothing() const;                     // of what was read, all is committed
  int64_t ReplayBelow(int32_t partition) const;  // offset of the last rewind
  bool WantsMore(const PartitionWindow& window, bool read_already) const;

  // Collects deliveries up to a batch and runs the markers that are due. True if one moved.
  Result<bool> Collect();
  Result<bool> CollectFrom(PartitionWindow& window);
  enum class Marker : uint8_t { kDone, kWaiting };
  Result<Marker> RunMarker(PartitionWindow& window, WindowRecord& record);
  Result<bool> FencePassed(const Change& marker);

  Status Deliver();
  Status Judge(std::span<const Verdict> verdicts);
  Status JudgeTransaction(std::span<const Verdict> verdicts);
  void Settle(size_t index, const Verdict& verdict);
  void PutOff(size_t index, const Verdict& verdict);
  void NoteDeadLetter(const Delivery& delivery, const Verdict& verdict, uint32_t attempts);
  void ClearBaseMissing(std::string_view key);

  // Dead letters first, then the offsets. Not forced: offsets that only passed records of others
  // wait for idle_commit_interval.
  Status Commit(bool force);
  Status MirrorOffsets();
  Status CountDeadLetters();

  void Rollback();
  void DropAssignment();
  void LostAssignment(std::string_view reason);
  StepResult Fail(const Error& error);
  Error Halt(Disposition disposition, std::string_view code, std::string message,
             const Change* change = nullptr);
  Error HaltFor(const Verdict& verdict, const Change& change);
  void WaitFor(Milliseconds time);
  bool HasLanes() const;
  Milliseconds UntilNextLane(Milliseconds timeout) const;
  void ReportProgress();

  const std::string sink_name_;
  Topic& topic_;
  const SinkRunner::CreateSink create_;
  const DeliveryRules rules_;
  const SinkRunnerOptions options_;
  SystemClock system_clock_;
  const Clock& clock_;
  RandomSource random_;
  SinkReporter reporter_;
  std::stop_source stop_;
  bool halted_ = false;
  RecordSelection selection_;

  std::unique_ptr<Subscription> subscription_;
  std::shared_ptr<TopicReader> reader_;
  std::unique_ptr<Sink> sink_;
  bool opened_ = false;
  TransactionalSink* transaction_ = nullptr;  // of *sink_; null if it is not transactional

  bool assigned_ = false;
  uint64_t generation_ = 0;
  std::map<int32_t, PartitionWindow> windows_;
  Offsets rewound_from_;
  size_t next_partition_ = 0;  // whose turn it is to be read first
  FrontierTracker frontiers_;
  // Changed by sweeps and verdicts, stored with the next commit.
  Subscription::Update update_;
  // Some base_missing entries exist, maybe of earlier runs: whole rows clear them.
  bool base_missing_open_ = false;
  bool marker_moved_ = false;   // in this step: commit
  bool marker_waits_ = false;   // in this step: for its fence
  bool commit_failed_ = false;  // the last one; what it was to store is still in update_
  Clock::TimePoint last_commit_{};
  Clock::TimePoint last_mirror_{};
  bool mirror_is_behind_ = false;

  Backoff backoff_;  // of the target and the topic as a whole
  std::optional<Clock::TimePoint> not_before_;
  Milliseconds retry_after_{0};  // asked for by a verdict

  // The batch being built; the second vector says where each delivery stands in its window.
  struct Place {
    PartitionWindow* window;
    WindowRecord* record;
  };
  std::vector<Delivery> deliveries_;
  std::vector<Place> places_;
  size_t delivery_bytes_ = 0;
  std::set<std::string_view> put_off_;  // keys that this batch's verdicts put off
};

}  // namespace tailwater
