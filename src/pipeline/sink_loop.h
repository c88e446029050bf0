// The state machine of one sink: SinkRunner's thread, or a test, calls Step() again and again.
//
// What it holds, in the order in which it is taken: the subscription (lease), the reader, the open
// sink, the assignment with one window per partition. A failure of the target as a whole keeps all
// of it and waits; a failure of the topic drops reader or assignment and takes them anew. Offsets
// of a transactional sink are the target's; the subscription then holds a copy for status.
//
// sink_loop.cc takes and gives these and turns failures into states; sink_loop_read.cc fills the
// windows; sink_loop_batch.cc writes batches, sink_loop_concurrent.cc keeps many changes in flight;
// sink_loop_verdicts.cc says what becomes of a record; sink_loop_replay.cc tries stored records
// again; sink_loop_commit.cc stores what was decided; sink_loop_requests.cc does what other threads
// asked for.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <stop_token>
#include <string>
#include <unordered_map>
#include <vector>

#include "pipeline/dead_letter_office.h"
#include "pipeline/frontier_tracker.h"
#include "pipeline/key_lanes.h"
#include "pipeline/partition_window.h"
#include "pipeline/record_selection.h"
#include "pipeline/sink_mailbox.h"
#include "pipeline/sink_reporter.h"
#include "pipeline/sink_runner.h"
#include "pipeline/target_pause.h"
#include "pipeline/wakeup.h"

namespace tailwater {

class SinkLoop {
 public:
  SinkLoop(std::string pipeline, std::string sink, Topic& topic, SinkRunner::CreateSink create,
           DeliveryRules rules, Metrics& metrics, SinkRunnerOptions options);

  SinkRunner::StepResult Step(std::chrono::milliseconds timeout);
  void RequestStop() { stop_.request_stop(); }
  // After the last Step(): commits what is final and gives everything back.
  void Close();
  SinkReporter& reporter() { return reporter_; }
  const SinkReporter& reporter() const { return reporter_; }
  SinkMailbox& mailbox() { return mailbox_; }

  // --- sink_loop_requests.cc: jobs of the mailbox, as SinkRunner's calls of these names ---
  Result<uint64_t> Requeue(const DeadLetterFilter& filter);
  Result<uint64_t> Drop(const DeadLetterFilter& filter);
  Result<bool> Pause();
  Result<bool> Resume();
  Result<RewindPlan> Rewind(const RewindTarget& to, bool dry_run);

 private:
  using StepResult = SinkRunner::StepResult;
  using Milliseconds = std::chrono::milliseconds;
  // A record on its way: where it stands, and the lane that it is the head of, if it has one.
  struct Place {
    WindowRecord* record = nullptr;
    Lane* lane = nullptr;
  };

  // --- sink_loop.cc ---
  Result<StepResult> Advance(Milliseconds timeout);
  Result<StepResult> AdvanceBatch(Milliseconds timeout);
  // Lease and reader, then the sink once it has partitions to write for: each taken once.
  Status TakeLease();
  Status OpenSink();
  // False: no partition is ours.
  Result<bool> Assign(Milliseconds timeout);
  Status LoadOffsets(const Subscription::Assignment& assignment);
  Result<int64_t> ResolveStart(int32_t partition, const PartitionRange& range);
  Status CheckRange(int32_t partition, int64_t offset, const PartitionRange& range);
  void Rollback();
  void DropAssignment();
  void LostAssignment(std::string_view reason);
  StepResult Fail(const Error& error);
  Error Halt(Disposition disposition, std::string_view code, std::string message,
             const Change* change = nullptr);
  Error HaltWithoutVerdict(const Change& change);
  // Waits; ends early when something was asked of the sink's thread.
  void WaitFor(Milliseconds time);
  Milliseconds UntilDue(Milliseconds timeout) const;
  void ReportProgress();
  void Publish();

  // --- sink_loop_read.cc ---
  // Reads until a batch is full or the topic has no more at this moment; waits for the first record
  // at most `timeout`. True if something was read.
  Result<bool> Fill(Milliseconds timeout);
  // Once something was read: waits for more, up to batch_wait.
  Status FillLonger();
  // What is there; never waits.
  Result<bool> ReadInto(PartitionWindow& window);
  bool Readable(const PartitionWindow& window) const;
  bool HoldsNothing() const;                     // of what was read, all is committed
  int64_t ReplayBelow(int32_t partition) const;  // offset of the last rewind
  bool WantsMore(const PartitionWindow& window, bool read_already) const;

  // --- sink_loop_batch.cc ---
  // Collects deliveries up to a batch and runs the markers that are due. True if one moved.
  Result<bool> Collect();
  void CollectLanes();
  Result<bool> CollectFrom(PartitionWindow& window);
  bool IsMarker(Operation operation) const;
  // A marker comes after all that stands before it, and nothing overtakes it. False: it waits.
  Result<bool> PassMarker(WindowRecord& record);
  Result<bool> FencePassed(const Change& marker);
  bool BatchIsFull() const;
  // Of whole transactions: the partition has come to a frontier that others have not.
  bool AwaitsFrontier(int32_t partition) const;
  // What was handed over is committed: partitions go on past the frontier that all have come to.
  void PassFrontiers();
  Status Deliver();
  Status Judge(std::span<const Verdict> verdicts);
  Status JudgeTransaction(std::span<const Verdict> verdicts);

  // --- sink_loop_concurrent.cc ---
  Result<StepResult> AdvanceConcurrent(Milliseconds timeout);
  // What was read goes to its lanes, what may go to the sink, what is final to the store.
  Result<bool> HandOver();
  // Hands new records to their lanes. True if something moved.
  Result<bool> Distribute();
  Result<bool> DistributeFrom(PartitionWindow& window);
  Result<bool> Submit();
  Result<bool> SubmitLive();
  Result<bool> SubmitStored();
  Result<bool> TakeVerdicts();
  void JudgeLive(Lane& lane, const Verdict& verdict);
  // The target takes nothing at the moment.
  void PauseTarget(const Verdict& verdict, const std::string& id);
  Status CommitWhenDue();
  void CancelFlights();

  // --- sink_loop_verdicts.cc ---
  Delivery DeliveryOf(const WindowRecord& record) const;
  // What becomes of a record that nobody has taken, if its table is stopped.
  enum class OfStopped : uint8_t {
    kGoes,   // as any other
    kTaken,  // parked, or nothing has to be done about it
    kWaits,  // and what stands behind it in its partition
  };
  OfStopped HoldStopped(WindowRecord& record);
  // The sink's answer to a control record of a stopped table.
  bool IsHandled(const Change& change, const Verdict& verdict) const;
  void SettleHandled(const Place& place);
  void Settle(const Place& place, const Verdict& verdict);
  // False: no more dead letters may be stored, the sink has to wait in front of it.
  bool Reject(const Place& place, const Verdict& verdict);
  Error WaitInFront(const Verdict& verdict, const Change& change) const;
  void PutOff(const Place& place, const Verdict& verdict);
  // The failing lane waits, or is parked.
  void RestLane(Lane& lane);
  // The head of a busy lane was decided.
  void FinishLane(Lane& lane);
  // A waiting lane's time has come.
  void WakeLane(Lane& lane);
  void WakeLanes();
  // False: no more may be parked.
  bool ParkLane(Lane& lane);
  void ParkOrHold(WindowRecord& record);
  void Park(WindowRecord& record);
  // Lanes behind stored records that are gone, or that take more now.
  void ReleaseHeld();

  // --- sink_loop_replay.cc ---
  // Tries stored records that are due. True if there were any.
  Result<bool> ReplayStored();
  struct StoredBatch;
  Result<StoredBatch> CollectStored();
  Status JudgeStored(const StoredBatch& batch, std::span<const Verdict> verdicts);
  // False: the whole transaction has to come again.
  Result<bool> CommitStored(const StoredBatch& batch, std::span<const Verdict> verdicts);

  // --- sink_loop_requests.cc ---
  // The partitions that are ours, once what was decided about them is stored. kRetry "sink_busy":
  // none are, or not now.
  Result<Subscription::Assignment> Settled();
  Status SetPaused(bool paused);
  // What is stored was changed by a request.
  void StoredChanged(const std::vector<std::string>& keys);
  // Lets what is in flight come back and stores it, then waits.
  Result<StepResult> StandPaused(Milliseconds timeout);
  // Where each of our partitions stands, by whoever keeps the offsets.
  Result<Subscription::Stored> StoredPlace(const Subscription::Assignment& assignment);
  Result<RewindPlan> PlanRewind(const RewindTarget& to, const Subscription::Assignment& assignment,
                                const Subscription::Stored& stored);
  Status RefuseKeylessTables();
  Status MoveBack(uint64_t generation, const Subscription::Stored& stored, const RewindPlan& plan);

  // --- sink_loop_commit.cc ---
  // Dead letters first, then the offsets. Not forced: offsets that only passed records of others
  // wait for idle_commit_interval.
  Status Commit(bool force);
  Status MirrorOffsets();

  const std::string sink_name_;
  Topic& topic_;
  const SinkRunner::CreateSink create_;
  const DeliveryRules rules_;
  const SinkRunnerOptions options_;
  SystemClock system_clock_;
  const Clock& clock_;
  RandomSource random_;
  SinkReporter reporter_;
  Wakeup wakeup_;
  SinkMailbox mailbox_;
  std::stop_source stop_;
  std::stop_callback<std::function<void()>> wake_to_stop_;
  bool halted_ = false;
  RecordSelection selection_;

  std::unique_ptr<Subscription> subscription_;
  std::shared_ptr<TopicReader> reader_;
  std::unique_ptr<Sink> sink_;
  bool preflown_ = false;
  bool opened_ = false;
  TransactionalSink* transaction_ = nullptr;  // of *sink_; null if it is not transactional
  ConcurrentSink* concurrent_ = nullptr;      // of *sink_; null if it is not concurrent

  bool assigned_ = false;
  bool paused_ = false;  // as stored when the assignment was taken; no window is open then
  uint64_t generation_ = 0;
  std::map<int32_t, PartitionWindow> windows_;
  KeyLanes lanes_;
  DeadLetterOffice office_;
  Decoder decoder_;  // of stored records
  Offsets rewound_from_;
  size_t next_partition_ = 0;  // whose turn it is to be read first
  FrontierTracker frontiers_;
  bool marker_moved_ = false;   // in this step: commit
  bool marker_waits_ = false;   // in this step: for its fence
  bool commit_failed_ = false;  // the last one; what it was to store is still to be stored
  bool settled_ = false;        // a record of a window, since the last commit
  // Of whole transactions: the version of the frontier record that a partition waits at, committed
  // and not yet; whether the target's transaction is open between two of them.
  std::map<int32_t, int64_t> at_frontier_;
  std::map<int32_t, int64_t> reached_frontier_;
  bool in_transaction_ = false;
  Clock::TimePoint last_commit_{};
  Clock::TimePoint last_mirror_{};
  bool mirror_is_behind_ = false;

  Backoff backoff_;  // of the target and the topic as a whole
  std::optional<Clock::TimePoint> not_before_;
  Milliseconds retry_after_{0};  // asked for by a verdict
  std::string failed_id_;        // of the record that the next failure is about
  TargetPause pause_;

  // The batch being built, or the part of the last one that comes again.
  std::vector<Place> batch_;
  size_t batch_bytes_ = 0;
  std::vector<Delivery> deliveries_;
  // The batch holds a refused record that no more room is for: nothing joins it.
  bool probing_ = false;

  // Of a concurrent sink: what is at the target.
  struct Flight {
    Lane* lane = nullptr;    // null: a stored record
    std::string stored_key;  // of a stored record
    RecordPlace place{};
    Clock::TimePoint since{};
    int64_t source_time_micros = 0;
  };
  std::unordered_map<uint64_t, Flight> flights_;
  uint64_t next_ticket_ = 1;
  bool stored_turn_ = false;             // stored and live records take turns
  std::map<int32_t, int64_t> barriers_;  // offset of the TRUNCATE that a partition waits for
  // Keys whose live TRUNCATE goes once their stored record is back; their lanes are busy.
  std::set<std::string, std::less<>> behind_stored_;
  std::optional<Clock::TimePoint> paused_until_;
  Backoff pause_backoff_;
  std::vector<ConcurrentSink::Finished> finished_;
};

}  // namespace tailwater
