// What `status`, the API and metrics show of snapshots, and what can be asked of them. Plain data,
// copied out. What is unknown is absent.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tailwater/result.h"
#include "tailwater/tables.h"

namespace tailwater {

// What somebody asks to be copied.
struct SnapshotRequest {
  std::string table;      // "public.orders"
  std::string where;      // SQL condition; empty: all rows, and rows that are gone are removed
  std::string addressee;  // name of the only sink meant; empty: all
};

enum class SnapshotState : uint8_t {
  kWaiting,  // in the queue, or for transactions that were open; `waits_for` says which
  kCopying,
  kThrottled,  // `waits_for` says what is exceeded
  kPaused,     // by a person
  kBlocked,    // `code` and `message` say what a person has to do; tried again by itself
  kDone,
  kCancelled,
  kGone,  // the table was dropped or renamed meanwhile
};
// "waiting", "copying", "throttled", "paused", "blocked", "done", "cancelled", "gone".
std::string_view SnapshotStateName(SnapshotState state);

// One table on its way: a unit.
struct SnapshotStatus {
  uint64_t id = 0;  // of the unit, counted per source
  SnapshotRequest request;
  std::string reason;  // "initial", "added", "requested", "gap", "sink", "rows_replaced"
  SnapshotState state = SnapshotState::kWaiting;
  std::string waits_for;
  std::string code;
  std::string message;
  uint64_t rows = 0;   // published
  uint64_t bytes = 0;  // that the server sent for them
  std::optional<uint64_t> estimated_rows;
  std::optional<uint64_t> estimated_bytes;
  std::optional<double> rows_per_second;  // lately
  std::optional<double> seconds_left;
  uint64_t chunks = 0;
  uint64_t chunks_again = 0;  // read once more: table changed under them, or an invisible commit
  int64_t requested_micros = 0;
  std::optional<int64_t> started_micros;
  std::optional<int64_t> ended_micros;
};

enum class SnapshotAction : uint8_t { kPause, kResume, kCancel };

// Why copying might have to wait. What is unknown is absent.
struct SnapshotPressure {
  std::optional<uint64_t> retained_log_bytes;    // kept by the server for us
  std::optional<uint64_t> safe_log_bytes;        // until it discards what we need
  std::optional<double> lag_seconds;             // of the source's oldest change outside the topic
  std::optional<uint64_t> slowest_sink_records;  // that it is behind
};

// A sink that begins with a snapshot (`start: snapshot`).
struct SnapshotSink {
  std::string name;
  TableSelection tables;
};

// A captured table whose rows are others than the stream told, and that no copy is under way of:
// what sinks hold of it is not what it holds.
struct StaleTable {
  std::string table;
  std::string why;
  int64_t since_micros = 0;
};

struct SnapshotsStatus {
  std::vector<SnapshotStatus> units;  // those that have not ended, then the last ones that have
  uint64_t tables_copied = 0;         // tables that hold a complete copy
  uint64_t tables_waiting = 0;        // units that have not ended
  std::vector<StaleTable> stale;  // empty but where nothing is copied by itself, or was cancelled
  // Nothing is left that has to be copied by itself, and what was copied is durable. False as long
  // as nobody could look.
  bool settled = false;
  std::string throttled_by;  // why all copying waits now; empty: it does not
  std::string code;          // of what keeps all of it from going on, beside the stream's own state
  std::string message;
  Disposition disposition = Disposition::kRetry;  // of `code`
  // Over the units that have not ended.
  uint64_t rows = 0;
  std::optional<uint64_t> estimated_rows;
  std::optional<double> rows_per_second;
  std::optional<double> seconds_left;
};

}  // namespace tailwater
