// Writes the stream to topics of a Kafka cluster, each record exactly once.
//
// Transactional: records, offsets and the owners of topics are stored in one Kafka transaction per
// input partition, under the transactional id tailwater.<pipeline>.<sink>.<partition>. Whoever
// takes a partition over fences the earlier writer first and reads the offsets after that
// (README.md). Threads: the sink's own.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "kafka/kafka_options.h"
#include "kafka/offset_store.h"
#include "kafka/record_maker.h"
#include "kafka/target_topics.h"
#include "support/kafka/producer.h"
#include "tailwater/registry.h"
#include "tailwater/sink.h"

namespace tailwater::kafka_sink {

class KafkaSink final : public Sink, public TransactionalSink {
 public:
  KafkaSink(KafkaConfig config, TableRules<KafkaTableOptions> rules, SinkContext context);
  ~KafkaSink() override;

  Status Open() override;
  // kNeedsOperator "kafka_topic_shared": two tables would lie in one topic because their names
  // differ in what no topic can be called.
  Result<std::vector<Verdict>> Write(const DeliveryBatch& batch) override;
  // A re-snapshot's end means nothing to readers of a topic.
  Status Sweep(const SweepRequest&) override { return {}; }
  bool wants_truncate_events() const override { return true; }
  TransactionalSink* transactional() override { return this; }

  Status Assigned(std::span<const int32_t> partitions) override;
  Result<Stored> StoredOffsets() override;
  // One transaction per partition. If one fails, those before it are stored and those behind it are
  // not: the offsets say which, and are read again.
  Result<CommitOutcome> Commit(std::string_view log_id, const Offsets& expected,
                               const Offsets& next) override;
  void Rollback() override;

 private:
  struct Writer {  // of one input partition
    std::unique_ptr<kafka::Producer> producer;
    bool open = false;                          // a transaction
    std::map<std::string, size_t> unflushed;    // bytes that may become one batch, per topic
    std::map<std::string, std::string> owners;  // of topics that this transaction claims
  };
  struct Place {  // of a record in the input
    int32_t partition = 0;
    int64_t offset = 0;
    auto operator<=>(const Place&) const = default;
  };
  // Where a table goes.
  struct Route {
    std::string topic;
    bool table_in_key = false;
    bool exclusive = false;  // no other table may have this topic
    std::string owner;       // "shop:public.orders"
  };

  Result<Writer*> WriterFor(int32_t partition);
  Result<const StoredRecords*> Held();
  Result<bool> HoldsExpected(std::string_view log_id, const Offsets& expected, const Offsets& next);
  const Route& RouteOf(const Change& change);
  const Route& FindRoute(const Change& change);
  bool SharesTopic(const TopicTemplate& topic, size_t entry) const;
  Status Claim(const Route& route, Writer& writer);

  Result<std::vector<Verdict>> WriteAll(const DeliveryBatch& batch);
  Result<Verdict> WriteOne(const Delivery& delivery, const Change* other_half);
  Status Send(Writer& writer, const TargetTopic& target, int32_t partition, const MadeRecord& made,
              bool alone);
  Status SendOffset(Writer& writer, int32_t partition, const StoredPlace& place);
  Status CommitOne(Writer& writer, int32_t partition, const StoredPlace& place);
  Status FlushAll();
  // After a failure: what to do about the writer, and what the runner is told.
  Error Failed(int32_t partition, Error error);

  const KafkaConfig config_;
  const TableRules<KafkaTableOptions> rules_;
  const kafka::ClientOptions client_;
  const std::string id_;  // tailwater.<pipeline>.<sink>
  const std::string offsets_topic_;
  const Logger logger_;
  Counter& omitted_total_;
  TargetTopics targets_;
  RecordMaker maker_;

  std::map<int32_t, Writer> writers_;
  std::optional<StoredRecords> held_;  // as last read, and written since
  std::map<std::pair<std::string, std::string>, Route> routes_;
  const Route* last_route_ = nullptr;
  std::string last_source_, last_table_;
  std::deque<MadeRecord> sent_;  // their values are in librdkafka's hands

  bool lost_ =
      false;  // another process writes one of our partitions: nothing counts until Commit()
  bool careful_ = false;  // the cluster refused a batch for its size: find the record
  std::map<Place, std::string> refused_;  // too large for the target, as the target itself said
};

}  // namespace tailwater::kafka_sink
