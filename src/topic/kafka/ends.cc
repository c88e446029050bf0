#include "topic/kafka/ends.h"

#include <numeric>
#include <vector>

#include "support/kafka/consumer.h"

namespace tailwater {

Result<Offsets> QueryEnds(const KafkaSettings& settings, int32_t partitions) {
  kafka::ConsumerOptions options;
  options.client = settings.client;
  options.topic = settings.topic;
  options.read_committed = false;
  TW_ASSIGN_OR_RETURN(const auto consumer, kafka::Consumer::Create(options));
  TW_TRY(consumer->Partitions(settings.request_timeout));
  std::vector<int32_t> all(static_cast<size_t>(partitions));
  std::iota(all.begin(), all.end(), 0);
  TW_ASSIGN_OR_RETURN(const auto marks, consumer->QueryWatermarks(all, settings.request_timeout));
  Offsets ends;
  for (const auto& [partition, mark] : marks) ends[partition] = mark.high;
  return ends;
}

}  // namespace tailwater
