// What status, metrics and `--until-caught-up` know of one sink: a copy, taken at one moment.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tailwater/result.h"
#include "tailwater/sink.h"

namespace tailwater {

enum class SinkState : uint8_t {
  kStopped,          // not started, or stopped on request
  kStandby,          // another process holds the sink's lease, or no partition is ours
  kRunning,          // delivering, or idle at the end of the topic
  kRetrying,         // the target, the topic or some keys fail; tries again by itself
  kWaitingOperator,  // the target, or a refused record, needs a person; probes slowly and goes on
  kPaused,           // by a person, until a person resumes it; reads nothing, keeps its place
  kHalted,           // a gap or a broken contract; goes on after a restart only
};

// "stopped", "standby", "running", "retrying", "waiting_operator", "paused", "halted": the
// `state` label.
std::string_view SinkStateName(SinkState state);

// The last frontier record of a source that every partition of the sink has passed: all of the
// source's changes up to `position` have final verdicts.
struct SinkFrontier {
  std::string position;
  int64_t version = 0;
  int64_t source_time_micros = 0;  // 0 = unknown
  bool operator==(const SinkFrontier&) const = default;
};

// A table of which the target takes nothing until a person acts; the others of the sink go on.
struct StoppedTable {
  std::string source;
  std::string table;
  std::string code;
  std::string reason;        // what to do
  int64_t since_micros = 0;  // wall clock
  uint64_t parked = 0;       // records that wait, in order per key
};

struct SinkStatus {
  std::string sink;
  SinkState state = SinkState::kStopped;
  // Of the last failure, while the state is not running: what the runbook and a person need.
  std::optional<Disposition> disposition;
  std::string code;
  std::string message;
  std::string record_id;  // tailwater.id of the record that halted the sink; may be empty
  std::optional<int64_t> next_retry_micros;  // wall clock; absent unless something is scheduled

  std::string log_id;
  Offsets offsets;                     // committed: next offset per partition that is ours
  std::optional<int64_t> lag_records;  // topic records not yet committed; absent = unknown
  // Age of the oldest change that is not yet committed; 0 only if there is none.
  std::optional<double> lag_seconds;
  std::optional<double> call_seconds;  // how long the call to the target in progress has taken

  // Since the start of this process.
  // No record vanishes: read = applied + superseded + filtered + dead + parked + waiting, always.
  uint64_t read = 0;  // records taken from the topic, each once unless it was given back unread
  uint64_t applied = 0;
  uint64_t superseded = 0;
  uint64_t filtered = 0;   // other tables, other sinks, `when`, snapshot rows, replays, and control
                           // records that the runner itself dealt with
  uint64_t dead = 0;       // became dead letters, base_missing among them
  uint64_t parked = 0;     // were put aside behind a key that fails
  uint64_t waiting = 0;    // now: read, and without a final verdict
  uint64_t in_flight = 0;  // now: of those, at the target
  uint64_t rejected = 0;   // of the dead: without base_missing
  uint64_t base_missing = 0;  // of the dead: partial rows whose base the sink does not hold
  uint64_t replayed = 0;      // stored dead and parked records that the target took later
  uint64_t retries = 0;

  std::map<std::string, uint64_t> dead_letters;  // stored now, by code; empty = none
  uint64_t dead_stored = 0;    // stored now: wait for a person; without base_missing
  uint64_t parked_stored = 0;  // stored now: tried again by themselves
  std::optional<int64_t> oldest_stored_micros;
  std::vector<StoppedTable> stopped_tables;       // now
  std::map<std::string, SinkFrontier> frontiers;  // by source; absent until one passed
};

}  // namespace tailwater
