// Answers `applied` to everything; the bytes that went by are counted.
#pragma once

#include <memory>
#include <vector>

#include "tailwater/metrics.h"
#include "tailwater/sink.h"

namespace tailwater {

struct BlackholeSinkConfig {};

class BlackholeSink final : public Sink {
 public:
  explicit BlackholeSink(Metrics& metrics)
      : bytes_total_(metrics.GetCounter("tailwater_sink_bytes_written_total",
                                        "Bytes of the records that the target took.")) {}

  Status Open() override { return {}; }

  Result<std::vector<Verdict>> Write(const DeliveryBatch& batch) override {
    size_t bytes = 0;
    for (const Delivery& delivery : batch.deliveries) bytes += delivery.value.size();
    bytes_total_.Add(static_cast<double>(bytes));
    return std::vector<Verdict>(batch.deliveries.size(), Verdict::Applied());
  }

  Status Sweep(const SweepRequest&) override { return {}; }

 private:
  Counter& bytes_total_;
};

}  // namespace tailwater
