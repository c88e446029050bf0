// The inside of SnapshotRun: one mutex around the plan and the chunks that are under way, the
// stream's side (snapshot_chunks.cc), the threads (snapshot_threads.cc), and what people ask
// (snapshot_run.cc).
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "snapshot/snapshot_metrics.h"
#include "snapshot/snapshot_plan.h"
#include "snapshot/snapshot_run.h"
#include "snapshot/throttle.h"
#include "util/mutex.h"

namespace tailwater {

class SnapshotRun::Impl {
 public:
  Impl(SnapshotRunOptions options, std::unique_ptr<SnapshotPlan> plan, Source& source,
       Metrics& metrics, const Clock& clock, std::atomic<bool>& wants_turn);
  ~Impl() { Stop(); }

  void Stop() TW_EXCLUDES(mutex_);
  Result<std::vector<SnapshotStatus>> Request(const SnapshotRequest& request) TW_EXCLUDES(mutex_);
  Status Change(std::optional<uint64_t> unit, SnapshotAction action) TW_EXCLUDES(mutex_);
  SnapshotsStatus GetStatus() const TW_EXCLUDES(mutex_);
  void UpdateGauges() TW_EXCLUDES(mutex_);

  // --- the stream's side ---
  void Streaming() TW_EXCLUDES(mutex_);
  SnapshotNotes TakeNotes(int64_t next_version) TW_EXCLUDES(mutex_);
  std::optional<std::string> OpenWindow(std::string_view chunk_id) TW_EXCLUDES(mutex_);
  std::optional<ReadyChunk> TakeChunk(std::string_view chunk_id) TW_EXCLUDES(mutex_);
  void Discard(std::string_view chunk_id, std::string_view why) TW_EXCLUDES(mutex_);
  void Refuse(std::string_view chunk_id, const Error& error) TW_EXCLUDES(mutex_);
  SnapshotNotes Publish(std::string_view chunk_id, uint64_t rows) TW_EXCLUDES(mutex_);
  CopyStep NextOfCopy(std::string_view chunk_id, std::chrono::milliseconds timeout)
      TW_EXCLUDES(mutex_);
  void RowsReplaced(std::string_view table, std::string_view why) TW_EXCLUDES(mutex_);
  void Durable() TW_EXCLUDES(mutex_);

 private:
  // A chunk between the low watermark and its end.
  struct UnderWay {
    enum class Stage : uint8_t { kReading, kReady, kTaken, kPublished, kDiscarded };
    SnapshotJob job;
    Stage stage = Stage::kReading;
    std::optional<Chunk> chunk;  // kReady
    SnapshotPlan::Outcome outcome;
    std::string why;               // kDiscarded
    std::optional<Error> refused;  // by the topic; kDiscarded

    // A copy in one piece. The last chunk is only known as such once the copy has ended, so one
    // is held back.
    std::deque<Chunk> queue;
    bool copied = false;  // all rows came
    bool failed = false;  // no more will come
    bool begun = false;   // the first was handed to the stream
    bool ended = false;   // the last was
  };
  using UnderWayMap = std::map<std::string, UnderWay, std::less<>>;

  SnapshotPlan::Now Now() const { return {clock_.Now(), clock_.UnixMicros()}; }
  // The plan has something to store: asks for the turn.
  void Nudge() TW_EXCLUDES(mutex_);
  Error NotStreaming() const;

  // --- threads ---
  void RunGuarded(size_t who, const std::function<void()>& body);
  void Plan();
  // Copies come only when they are asked for, and none is.
  bool NothingIsAsked() TW_EXCLUDES(mutex_);
  Status Look(std::unique_ptr<SnapshotReader>& reader) TW_EXCLUDES(mutex_);
  Status Settle(SnapshotReader& reader) TW_EXCLUDES(mutex_);
  // Takes in what is new. Both threads and Request() call it.
  Status Meet(const std::vector<SnapshotTable>& tables) TW_EXCLUDES(mutex_);

  void Work(size_t number);
  std::optional<SnapshotJob> WaitForJob(bool has_reader) TW_EXCLUDES(mutex_);
  void LookAtPressure() TW_EXCLUDES(mutex_);
  // `chunk_id`: the chunk that it was at; its window is to be closed if this fails.
  Status Do(SnapshotJob job, SnapshotReader& reader, std::string& chunk_id) TW_EXCLUDES(mutex_);
  Status DoRange(const SnapshotJob& job, SnapshotReader& reader, std::string& chunk_id)
      TW_EXCLUDES(mutex_);
  Status DoWhole(const SnapshotJob& job, SnapshotReader& reader, std::string& chunk_id)
      TW_EXCLUDES(mutex_);
  Status CopyRows(const std::string& id, const SnapshotJob& job, Chunk chunk) TW_EXCLUDES(mutex_);
  std::string NewChunk(const SnapshotJob& job) TW_EXCLUDES(mutex_);
  // The job goes back; what becomes of its unit depends on the error.
  void Fail(const SnapshotJob& job, const Error& error) TW_EXCLUDES(mutex_);
  void Pause(std::chrono::milliseconds pause, std::string why) TW_EXCLUDES(mutex_);
  // False if the run ended first.
  bool Sleep(std::chrono::milliseconds delay);
  // `who` cannot go on at all; nothing: it can again. 0: the planning thread.
  void SetTrouble(size_t who, std::optional<Error> error) TW_EXCLUDES(mutex_);
  void LogProgress(const SnapshotJob& job) TW_EXCLUDES(mutex_);

  UnderWay* FindWanted(std::string_view chunk_id) TW_REQUIRES(mutex_);
  SnapshotsStatus GetStatusLocked() const TW_REQUIRES(mutex_);
  bool SettledLocked() const TW_REQUIRES(mutex_);
  // Until what the plan wants to store now is durable.
  Status WaitDurable() TW_EXCLUDES(mutex_);

  const SnapshotRunOptions options_;
  Source& source_;
  const Clock& clock_;
  const Logger logger_;
  SnapshotMetrics metrics_;
  std::atomic<bool>& wants_turn_;
  const std::string run_id_;
  std::stop_source stop_;

  mutable Mutex mutex_;
  CondVar changed_;
  const std::unique_ptr<SnapshotPlan> plan_ TW_GUARDED_BY(mutex_);
  UnderWayMap under_way_ TW_GUARDED_BY(mutex_);
  uint64_t last_chunk_ TW_GUARDED_BY(mutex_) = 0;
  std::set<std::pair<std::string, std::string>> settled_tables_
      TW_GUARDED_BY(mutex_);                        // with their identity
  std::string settling_for_ TW_GUARDED_BY(mutex_);  // whom the open transactions belong to
  std::optional<Clock::TimePoint> settle_logged_ TW_GUARDED_BY(mutex_);
  bool looked_ TW_GUARDED_BY(mutex_) = false;  // at tables and sinks, all of it
  bool look_now_ TW_GUARDED_BY(mutex_) = false;
  bool useless_ TW_GUARDED_BY(mutex_) = false;              // this source cannot copy, and need not
  std::map<size_t, Error> troubles_ TW_GUARDED_BY(mutex_);  // by thread

  Throttle throttle_ TW_GUARDED_BY(mutex_);
  bool looking_at_pressure_ TW_GUARDED_BY(mutex_) = false;
  std::optional<Clock::TimePoint> pressure_seen_ TW_GUARDED_BY(mutex_);
  std::string slow_ TW_GUARDED_BY(mutex_);  // why workers leave the server alone
  uint32_t pausing_ TW_GUARDED_BY(mutex_) = 0;

  // What was put into batches, and of that what is durable.
  uint64_t noted_ TW_GUARDED_BY(mutex_) = 0;
  uint64_t durable_ TW_GUARDED_BY(mutex_) = 0;
  uint64_t takes_ TW_GUARDED_BY(mutex_) = 0;  // calls of TakeNotes()

  ProgressRate rate_ TW_GUARDED_BY(mutex_);
  bool copying_ TW_GUARDED_BY(mutex_) = false;  // and its end was not told yet
  uint64_t units_logged_ TW_GUARDED_BY(mutex_) = 0;
  std::optional<Clock::TimePoint> logged_ TW_GUARDED_BY(mutex_);

  bool streaming_ TW_GUARDED_BY(mutex_) = false;
  bool stopped_ TW_GUARDED_BY(mutex_) = false;
  uint32_t visitors_ TW_GUARDED_BY(mutex_) = 0;  // in Request(), with a reader of their own
  std::vector<std::jthread> threads_;
};

}  // namespace tailwater
