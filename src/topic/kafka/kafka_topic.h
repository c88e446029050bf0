// The topic on an Apache Kafka cluster: a topic of records, a compacted one of capture's state, one
// more per sink that puts records aside. Nothing is kept on local disk.
//
// See src/topic/kafka/README.md. Thread-safe; handles outlive it.
#pragma once

#include <memory>
#include <set>
#include <string>

#include "topic/kafka/lease.h"
#include "topic/kafka/settings.h"
#include "topic/kafka/sink_view.h"
#include "topic/topic.h"
#include "util/mutex.h"

namespace tailwater {

class KafkaReader;

class KafkaTopic final : public Topic {
 public:
  // Touches nothing yet.
  explicit KafkaTopic(KafkaSettings settings);
  ~KafkaTopic() override;

  std::string Describe() const override;
  std::vector<Finding> Check() override;
  Result<std::unique_ptr<TopicWriter>> OpenWriter(
      std::stop_token stop, const std::function<void(std::string holder)>& standby) override;
  Result<std::shared_ptr<TopicReader>> OpenReader() override TW_EXCLUDES(mutex_);
  // kFatal "topic_reserved_name": a sink named "state" or "capture" would meet our own names.
  void KeepTogether(const std::string& sink) override TW_EXCLUDES(mutex_);
  Result<std::unique_ptr<Subscription>> Subscribe(
      const std::string& sink, std::stop_token stop,
      const std::function<void(std::string holder)>& standby) override;
  Result<Subscription::Stored> PeekOffsets(const std::string& sink) override;
  Result<Subscription::DeadLetterCounts> PeekDeadLetters(const std::string& sink) override;
  Result<DeadLetterPage> ListDeadLetters(const std::string& sink, const DeadLetterFilter& filter,
                                         std::optional<RecordPlace> from, size_t limit,
                                         size_t max_bytes) override;
  Result<std::vector<std::string>> KnownSinks() override;
  Result<std::map<std::string, std::string>> PeekState() override;
  std::optional<uint64_t> StoredBytes() override { return std::nullopt; }
  // kNeedsOperator "topic_locked": capture or a sink still runs, or ended within its session;
  // "topic_of_other_pipeline", "topic_not_ours" (create: false).
  Status Destroy() override;

 private:
  const KafkaSettings settings_;
  const CaptureLease::Contested contested_;
  SinkView sinks_;
  Mutex mutex_;
  std::set<std::string> kept_together_ TW_GUARDED_BY(mutex_);  // sinks
  // One for all sinks of the process, as long as one of them holds it.
  std::weak_ptr<KafkaReader> reader_ TW_GUARDED_BY(mutex_);
};

}  // namespace tailwater
