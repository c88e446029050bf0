// Writes each change as one line of JSON (support/change_json.h).
//
// An event sink: it starts at the end of the topic unless told otherwise, and delivers TRUNCATE as
// an event. At least once: after a crash the last lines may come again; "id" tells them apart.
// Threads: the sink's own; several stdout sinks may share standard output, for a batch is written
// with one call, or few.
#pragma once

#include <string>
#include <vector>

#include "tailwater/config.h"
#include "tailwater/metrics.h"
#include "tailwater/sink.h"

namespace tailwater {

struct StdoutSinkConfig {
  std::string path;  // empty: standard output
};
const OptionTable& StdoutSinkOptions();

class StdoutSink final : public Sink {
 public:
  StdoutSink(StdoutSinkConfig config, Metrics& metrics);
  ~StdoutSink() override;

  // kNeedsOperator "stdout_cannot_open".
  Status Open() override;
  // kRetry "stdout_write_failed" (a closed pipe, a full disk): the batch comes again, and with it
  // maybe the lines that were written before the failure.
  Result<std::vector<Verdict>> Write(const DeliveryBatch& batch) override;
  Status Sweep(const SweepRequest&) override { return {}; }
  bool wants_truncate_events() const override { return true; }

 private:
  Status WriteOut();

  const StdoutSinkConfig config_;
  Counter& bytes_total_;
  int file_ = -1;
  bool line_was_cut_ = false;  // a write failed in mid-line
  std::string lines_;
};

}  // namespace tailwater
