// The snapshots of one source during one of its runs: which tables are copied, in which chunks, by
// which workers, and how far they are.
//
// Threads: its workers, each with a SnapshotReader of its own; one more that plans, follows new
// tables and looks at the pressure. The SnapshotPort side from the stream's thread (or the time
// keeper) while it has the turn; everything else from any thread.
// Ownership: source, metrics and clock outlive it. It is made from the topic's state, and ends
// before the source's next run: what was not durable is planned again from the state.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "snapshot/snapshot_options.h"
#include "snapshot/snapshot_port.h"
#include "snapshot/snapshot_status.h"
#include "tailwater/log.h"
#include "tailwater/metrics.h"
#include "tailwater/source.h"
#include "util/backoff.h"
#include "util/clock.h"

namespace tailwater {

struct SnapshotRunOptions {
  std::string source;
  SnapshotOptions options;
  std::string log_name;  // of its logger
  // What has to be true of this run: the state holds no plan, but a frontier (an older release, or
  // copying was never asked for): its tables count as captured and not copied.
  bool captured_before = false;
  bool after_gap = false;  // every table is copied again, and swept
  std::function<SnapshotPressure()> pressure;
  std::function<std::vector<SnapshotSink>()> sinks;
  // Whether the topic still holds everything from its first record on.
  std::function<Result<bool>()> topic_is_whole;
  std::function<void()> wake;  // somebody waits for the turn: see CaptureWriter::Tick()

  BackoffOptions backoff{};                            // of readers, and of units that fail
  std::chrono::milliseconds pressure_interval{1'000};  // between looks at the pressure
  std::chrono::milliseconds log_interval{10'000};      // between lines of progress
  std::chrono::milliseconds answer_within{10'000};     // see Request()
};

class SnapshotRun final : public SnapshotPort {
 public:
  // From the topic's state. kNeedsOperator "state_newer", kFatal "state_malformed".
  static Result<std::unique_ptr<SnapshotRun>> Create(
      SnapshotRunOptions options, const std::map<std::string, std::string>& state, Source& source,
      Metrics& metrics, const Clock& clock);
  ~SnapshotRun() override;  // Stop()

  // Ends the workers and waits for them. Whoever waits in Request() is told.
  void Stop();

  // As Capture::RequestSnapshot() and ChangeSnapshot(). Wait for the turn and for the topic.
  Result<std::vector<SnapshotStatus>> Request(const SnapshotRequest& request);
  Status Change(std::optional<uint64_t> unit, SnapshotAction action);

  SnapshotsStatus GetStatus() const;
  // Everything that has to be copied by itself has been. For --until-caught-up.
  bool Settled() const;
  void UpdateGauges();

  // SnapshotPort
  void Streaming() override;
  SnapshotNotes TakeNotes(int64_t next_version) override;
  std::optional<std::string> OpenWindow(std::string_view chunk_id) override;
  std::optional<ReadyChunk> TakeChunk(std::string_view chunk_id) override;
  void Discard(std::string_view chunk_id, std::string_view why) override;
  void Refuse(std::string_view chunk_id, const Error& error) override;
  SnapshotNotes Publish(std::string_view chunk_id, uint64_t rows) override;
  CopyStep NextOfCopy(std::string_view chunk_id, std::chrono::milliseconds timeout) override;
  void RowsReplaced(std::string_view table, std::string_view why) override;
  void Durable() override;

 private:
  class Impl;
  SnapshotRun();
  std::unique_ptr<Impl> impl_;
};

}  // namespace tailwater
