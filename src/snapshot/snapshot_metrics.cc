#include "snapshot/snapshot_metrics.h"

#include <string>

namespace tailwater {
namespace {

constexpr const char* kTables = "tailwater_snapshot_tables";
constexpr const char* kTablesHelp =
    "Snapshots of tables that have not ended, by their state; done: tables that are copied; stale: "
    "tables whose rows were replaced and that nothing copies.";

}  // namespace

SnapshotMetrics::SnapshotMetrics(Metrics& metrics)
    : rows_(metrics.GetCounter("tailwater_snapshot_rows_total",
                               "Rows that snapshots have published.")),
      bytes_(metrics.GetCounter("tailwater_snapshot_bytes_total",
                                "Bytes that the server sent for rows of snapshots.")),
      chunks_(metrics.GetCounter("tailwater_snapshot_chunks_total",
                                 "Chunks of snapshots that were published.")),
      chunks_again_(metrics.GetCounter(
          "tailwater_snapshot_chunks_again_total",
          "Chunks that were read once more, for their table changed under them.")),
      tables_done_(metrics.GetGauge(kTables, kTablesHelp, {{"state", "done"}})),
      tables_stale_(metrics.GetGauge(kTables, kTablesHelp, {{"state", "stale"}})),
      rows_estimated_(metrics.GetGauge("tailwater_snapshot_rows_estimated",
                                       "Rows of the tables that are being copied, by the server's "
                                       "statistics.")),
      rows_done_(
          metrics.GetGauge("tailwater_snapshot_rows_done", "Of these, rows that are published.")),
      seconds_left_(metrics.GetGauge("tailwater_snapshot_seconds_left",
                                     "Until the copying ends, at the pace of the last half "
                                     "minute.")),
      throttled_(metrics.GetGauge("tailwater_snapshot_throttled",
                                  "1 while copying waits for the log, the stream, a sink or the "
                                  "server.")) {
  for (size_t i = 0; i < kStates.size(); ++i) {
    tables_[i] = &metrics.GetGauge(kTables, kTablesHelp,
                                   {{"state", std::string(SnapshotStateName(kStates[i]))}});
  }
}

void SnapshotMetrics::Published(uint64_t rows, uint64_t bytes) {
  rows_.Add(static_cast<double>(rows));
  bytes_.Add(static_cast<double>(bytes));
  chunks_.Add();
}

void SnapshotMetrics::Show(const SnapshotsStatus& status) {
  std::array<double, kStates.size()> counts{};
  for (const SnapshotStatus& unit : status.units) {
    for (size_t i = 0; i < kStates.size(); ++i) counts[i] += unit.state == kStates[i] ? 1 : 0;
  }
  for (size_t i = 0; i < kStates.size(); ++i) tables_[i]->Set(counts[i]);
  tables_done_.Set(static_cast<double>(status.tables_copied));
  tables_stale_.Set(static_cast<double>(status.stale.size()));
  const bool copying = status.tables_waiting > 0;
  rows_estimated_.Set(copying && status.estimated_rows
                          ? std::optional(static_cast<double>(*status.estimated_rows))
                          : std::nullopt);
  rows_done_.Set(copying ? std::optional(static_cast<double>(status.rows)) : std::nullopt);
  seconds_left_.Set(copying ? status.seconds_left : std::nullopt);
  throttled_.Set(status.throttled_by.empty() ? 0.0 : 1.0);
}

void SnapshotMetrics::Clear() {
  for (Gauge* gauge : tables_) gauge->Clear();
  for (Gauge* gauge : {&tables_done_, &tables_stale_, &rows_estimated_, &rows_done_, &seconds_left_,
                       &throttled_}) {
    gauge->Clear();
  }
}

}  // namespace tailwater
