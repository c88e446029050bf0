// What `status`, the readiness probe and the console show of the capture half. Plain data, copied
// out.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "snapshot/snapshot_status.h"
#include "tailwater/position.h"
#include "tailwater/result.h"

namespace tailwater {

enum class SourceState : uint8_t {
  kStarting,       // connecting; nothing heard from the server yet
  kStreaming,      // reading the log
  kRetrying,       // failed, will heal: trying again at next_retry_micros
  kNeedsOperator,  // will not heal alone; probed slowly, goes on by itself once it works
  kGap,     // halted: changes between frontier and log cannot be had any more; `code` names the gap
  kFailed,  // halted: our own bug, or input that we do not know; position frozen
  kStopped,  // as asked, or not begun
};
// "starting", "streaming", "retrying", "needs_operator", "gap", "failed", "stopped".
std::string_view SourceStateName(SourceState state);

// What is unknown is absent.
// Changes that were lost, and passed by a new start (`on_gap: resnapshot`).
struct GapStatus {
  std::string code;
  std::string message;
  std::optional<Position> from;  // durable in front of it
  std::optional<Position> to;    // where the source began anew; absent until it has
  int64_t at_micros = 0;         // of the new start, Unix time
  uint32_t epoch = 0;            // that began with it
};

struct SourceStatus {
  std::string name;
  std::string type;
  SourceState state = SourceState::kStopped;
  int64_t since_micros = 0;  // in this state, Unix time
  std::string code;          // of the error that led here; empty while all is well
  std::string message;
  std::optional<int64_t> next_retry_micros;
  uint64_t reconnects = 0;  // times that the source was started again

  SourceIdentity identity;
  std::optional<Position> frontier;                // durable in the topic, with all before it
  std::optional<int64_t> frontier_time_micros;     // commit time of the transaction that ends there
  std::optional<int64_t> checkpoint_saved_micros;  // when it was stored
  std::optional<Position> received;           // end of the last transaction taken from the source
  std::optional<int64_t> last_commit_micros;  // its commit time
  std::optional<double> lag_seconds;          // age of the oldest commit that is not durable yet
  uint32_t epoch = 0;
  int64_t last_version = 0;  // durable

  uint64_t transactions = 0;               // received since the start of this process
  std::map<std::string, uint64_t> events;  // by operation name, since the start of this process
  uint64_t records = 0;          // durable since the start of this process, control copies included
  uint64_t in_flight_bytes = 0;  // handed to the topic, not durable yet

  struct InProgress {
    std::string position;
    uint64_t events = 0;  // durable
  };
  std::optional<InProgress> in_progress;  // a transaction of which a part is durable

  SnapshotsStatus snapshots;
  std::vector<GapStatus> gaps;  // the last ones, in their order
};

enum class CapturePhase : uint8_t {
  kStarting,       // opening the topic
  kStandby,        // another process captures; waiting for the lease
  kRunning,        // the lease is ours; see the sources
  kRetrying,       // the topic cannot be opened, trying again
  kNeedsOperator,  // the same, and a person has to act
  kFailed,         // halted
  kStopping,
  kStopped,
};
// "starting", "standby", "running", "retrying", "needs_operator", "failed", "stopping", "stopped".
std::string_view CapturePhaseName(CapturePhase state);

struct CaptureStatus {
  CapturePhase phase = CapturePhase::kStopped;
  Disposition disposition = Disposition::kFatal;  // kFailed: gap or fatal
  int64_t since_micros = 0;
  std::string code;
  std::string message;
  std::string lease_holder;           // kStandby
  std::string log_id;                 // kRunning
  uint64_t queued_bytes = 0;          // in front of the topic
  std::vector<SourceStatus> sources;  // in configuration order
};

}  // namespace tailwater
