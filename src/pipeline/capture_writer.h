// One source's ChangeWriter: encodes each change straight into the batch that goes to the topic,
// numbers it, and keeps the checkpoint in step. Lives for one run of the source.
//
// Threads: the ChangeWriter calls and Finish() from the source's thread; Tick() from the time
// keeper; answers come on the topic's thread. Source and time keeper take turns: between Begin()
// (or any other call) and the next Flush() the writer is the source's, after it Tick() may publish
// the frontier record that is still due, and store what the snapshots noted. Ownership: checkpoint,
// gate, reporter, snapshots, options and clock outlive the writer; the writer outlives everything
// in flight (WaitAnswered(), or the gate's end).
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "codec/codec.h"
#include "pipeline/capture_options.h"
#include "pipeline/column_omitter.h"
#include "pipeline/source_reporter.h"
#include "pipeline/topic_gate.h"
#include "snapshot/chunk_window.h"
#include "snapshot/snapshot_port.h"
#include "tailwater/log.h"
#include "tailwater/source.h"
#include "util/clock.h"
#include "util/mutex.h"

namespace tailwater {

class CaptureWriter final : public ChangeWriter {
 public:
  struct Hooks {
    std::function<void(DurableFrontier)> release;  // topic's thread
    std::function<void()> topic_failed;            // topic's thread, once
    std::function<void()> wake;                    // source's thread: Tick() has something to do
    SnapshotPort* snapshots = nullptr;             // null: this source copies nothing
  };
  // `stop` ends the waiting of Establish().
  CaptureWriter(std::string source, Checkpoint& checkpoint, TopicGate& gate,
                SourceReporter& reporter, const CaptureOptions& options, const Clock& clock,
                Hooks hooks, std::stop_token stop);

  Status Establish(const SourceIdentity& identity,
                   const std::optional<Position>& frontier) override;
  bool WaitForRoom(std::chrono::milliseconds timeout) override;
  Status Begin(const Transaction& transaction) override;
  Status Append(const Change& change) override;
  Status Commit(std::string_view frontier) override;
  Status AppendAlone(const Change& change, std::string_view frontier) override;
  Status OnWatermark(const Watermark& mark) override;
  Result<bool> ServeCopy(std::string_view chunk_id, std::chrono::milliseconds timeout) override;
  Status AdvanceIdle(std::string_view frontier) override;
  Status RowsReplaced(std::string_view table, std::string_view why) override;
  Status Flush() override;

  // Stores the checkpoint as it is, durably before it returns. Outside of a transaction.
  Status StoreCheckpoint();

  // The run is over: drops an open transaction and publishes what was committed before it.
  void Finish();
  // Until everything in flight was answered; false if `stop` came first.
  bool WaitAnswered(const std::stop_token& stop) TW_EXCLUDES(answer_mutex_);
  // The topic's error, if a batch was refused or failed.
  std::optional<Error> topic_error() const TW_EXCLUDES(answer_mutex_);
  // The frontier moved, or a part became durable, since the run began.
  bool made_progress() const { return progress_.load(std::memory_order_relaxed); }

  // Publishes a frontier record that is due, and what the snapshots want stored; when to come
  // again, if a frontier record will be due later.
  std::optional<Clock::TimePoint> Tick() TW_EXCLUDES(turn_mutex_);

 private:
  struct Place {  // in the batch
    size_t records = 0;
    size_t bytes = 0;
  };

  Status Check();
  Status Fail(Error error);
  Status Sticky(Status status);  // as Fail(), if it is one
  void Heard();                  // from the server: it streams
  void TakeTurn() TW_EXCLUDES(turn_mutex_);
  void EndTurn() TW_EXCLUDES(turn_mutex_);

  Status AdvanceIdleInTurn(std::string_view frontier);
  // Errors of these are not sticky: what is appended may be taken back.
  Status AppendRecord(const Change& change);
  Status AppendSchemaRecord(const TableSchema& schema);
  // False: dropped by the window.
  Result<bool> AppendSnapshotRow(const Change& read, SnapshotMark mark, std::string_view addressee,
                                 ChunkWindow* window);
  bool IsDropped(const Change& read, ChunkWindow& window);
  Status AppendMarker(const SnapshotMarker& marker);
  void AppendFrontierRecord();
  void ClearRecord(Operation operation);  // but for what a run's records have in common
  // Encodes record_ into the batch; `key_size` bytes of key lie there already, from `start`.
  Status Encode(size_t start, size_t key_size);
  void SetVersionPosition();
  Status TooLarge(size_t bytes) const;
  // Leaves columns out until the record fits; how many bytes it has then.
  Result<size_t> Shrink(size_t start, size_t key_size, size_t bytes);
  Status NoKey(uint32_t column) const;

  bool SnapshotsWantTurn() const {
    return hooks_.snapshots != nullptr && hooks_.snapshots->wants_turn();
  }
  // Notes of the snapshots go into the batch: counted before they are asked for, see Answered().
  void ExpectNotes() TW_EXCLUDES(answer_mutex_);
  Status PutNotes(SnapshotNotes notes);
  Status TakeNotesIfWanted();
  Status OnHighWatermark(const Watermark& mark);
  // A batch of its own, with `before` in front. `window` null: of a copy, which needs none.
  Status PublishChunk(std::string_view chunk_id, const ReadyChunk& ready,
                      std::span<const SnapshotMarker> before, ChunkWindow* window);
  Status AppendChunk(const ReadyChunk& ready, std::span<const SnapshotMarker> before,
                     ChunkWindow* window, uint64_t& rows);

  Status FinishSkip();
  bool PartIsDue();
  Status CutPart();
  Status Cut(bool part);
  void Answered(Result<AppendReceipt> answer, bool part, bool notes) TW_EXCLUDES(answer_mutex_);
  bool FrontierRecordIsDue(Clock::TimePoint now) const {
    return now - last_frontier_record_ >= options_.frontier_interval;
  }
  size_t batch_bytes() { return batch_.buffer().size(); }
  bool batch_empty() const { return batch_.records().empty(); }
  void Touch();

  const std::string source_;
  const Logger logger_;
  Checkpoint& checkpoint_;
  TopicGate& gate_;
  SourceReporter& reporter_;
  const CaptureOptions& options_;
  const Clock& clock_;
  const Hooks hooks_;
  const std::stop_token stop_;
  const uint64_t generation_;  // of the gate, when this run began
  const int32_t partitions_;
  const size_t max_record_bytes_;

  bool heard_ = false;
  std::optional<Error> error_;  // sticky: after it every call answers the same
  Encoder encoder_;
  const std::shared_ptr<BatchPool> pool_;
  AppendBatch batch_;
  Change record_;  // the one being encoded; constant fields are set once
  ColumnOmitter omitter_;
  std::set<std::string, std::less<>> told_of_omitting_;  // tables, once per run
  char version_position_[24];
  Clock::TimePoint batch_started_{};
  Clock::TimePoint last_frontier_record_{};
  Clock::TimePoint last_cut_{};
  Clock::TimePoint last_idle_cut_{};
  bool idle_announced_ = false;
  bool frontier_record_pending_ =
      false;                       // the topic lacks a frontier record for what was published
  bool checkpoint_dirty_ = false;  // the frontier moved without a record
  bool notes_in_batch_ = false;    // of the snapshots: to be stored soon
  SourceReporter::Taken taken_;    // of the batch so far
  std::vector<std::unique_ptr<ChunkWindow>> windows_;  // open ones, seldom more than workers

  // The open transaction.
  bool open_ = false;
  std::string position_;
  std::string transaction_id_;
  int64_t commit_time_micros_ = 0;
  Place begin_;                // where the batch stood at its beginning, or after the last cut
  OperationCounts counts_{};   // since begin_
  uint64_t events_ = 0;        // handed over so far, the published ones included
  uint64_t last_ordinal_ = 0;  // of the last of them
  uint64_t hash_ = 0;          // over all of them
  uint64_t published_bytes_ = 0;
  bool part_published_ = false;
  bool cut_wanted_ = false;

  // What the topic already holds of the first transaction.
  std::optional<PartialTransaction> resumed_;
  bool skipping_ = false;

  Mutex turn_mutex_;
  bool source_turn_ = true;  // written under turn_mutex_, by the source's thread only
  bool wake_asked_ TW_GUARDED_BY(turn_mutex_) = false;

  mutable Mutex answer_mutex_;
  CondVar answered_;
  size_t in_flight_ TW_GUARDED_BY(answer_mutex_) = 0;
  size_t undurable_notes_ TW_GUARDED_BY(answer_mutex_) = 0;  // batches with notes, this one too
  std::optional<Error> topic_error_ TW_GUARDED_BY(answer_mutex_);
  std::atomic<bool> failed_ = false;
  std::atomic<bool> progress_ = false;
};

}  // namespace tailwater
