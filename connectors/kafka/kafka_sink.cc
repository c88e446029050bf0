#include "kafka/kafka_sink.h"

#include <algorithm>
#include <array>

#include "kafka/partitioner.h"
#include "support/crash_point.h"
#include "support/text.h"

namespace tailwater::kafka_sink {
namespace {

using namespace std::chrono_literals;

constexpr auto kInitTimeout = 30s;
constexpr auto kPrepareTimeout = 10s;
constexpr size_t kQueueBytes = 32 << 20;
constexpr size_t kMostRecordBytes = 64 << 20;
// Beside key, value and headers: the header of a batch and of a record.
constexpr size_t kBatchOverhead = 256;
// librdkafka makes no larger batches of records that are smaller than that.
constexpr size_t kMostBatchBytes = 1'000'000;
constexpr size_t kMostRoutes = 100'000;

// The change itself is the reason, not the cluster: the rest of the batch may go on.
bool ConcernsTheChangeAlone(const Error& error) {
  return error.disposition == Disposition::kReject || error.code == "record_malformed";
}

int64_t NowMicros() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::string WithDefault(const std::string& text, std::string other) {
  return text.empty() ? std::move(other) : text;
}

// The halves of key changes of which both stand in the batch.
class KeyChanges {
 public:
  explicit KeyChanges(const DeliveryBatch& batch) {
    for (const Delivery& delivery : batch.deliveries) {
      const Change& change = *delivery.change;
      if (change.part == 1 && change.operation == Operation::kInsert) Add(change);
    }
    if (halves_.empty()) return;
    for (const Delivery& delivery : batch.deliveries) {
      const Change& change = *delivery.change;
      if (change.part != 0 || change.operation != Operation::kDelete) continue;
      const auto found = halves_.find(IdentityOf(change));
      if (found != halves_.end()) found->second.second = &change;
    }
  }
  const Change* OtherHalf(const Change& change) const {
    if (halves_.empty()) return nullptr;
    const auto found = halves_.find(IdentityOf(change));
    if (found == halves_.end()) return nullptr;
    const auto& [created, deleted] = found->second;
    if (created == nullptr || deleted == nullptr) return nullptr;
    if (&change == created) return deleted;
    return &change == deleted ? created : nullptr;
  }

 private:
  using Identity =
      std::tuple<std::string_view, std::string_view, uint32_t, std::string_view, uint64_t>;
  static Identity IdentityOf(const Change& change) {
    return {change.source, change.table, change.epoch, change.position, change.ordinal};
  }
  void Add(const Change& change) { halves_[IdentityOf(change)].first = &change; }

  std::map<Identity, std::pair<const Change*, const Change*>> halves_;
};

}  // namespace

KafkaSink::KafkaSink(KafkaConfig config, TableRules<KafkaTableOptions> rules, SinkContext context)
    : config_(std::move(config)),
      rules_(std::move(rules)),
      client_{config_.connection, "tailwater-" + context.pipeline + "-" + context.name,
              context.logger},
      id_("tailwater." + context.pipeline + "." + context.name),
      offsets_topic_(WithDefault(config_.offsets_topic, LegalTopicName(id_ + ".offsets"))),
      logger_(context.logger),
      omitted_total_(
          context.metrics.GetCounter("tailwater_sink_omitted_columns_total",
                                     "Columns written as NULL because the record lacked them.")),
      targets_(client_, config_.create),
      maker_(config_, context.sources) {}

KafkaSink::~KafkaSink() {
  // Producers let go of the values first.
  writers_.clear();
}

Status KafkaSink::Open() {
  Rollback();
  writers_.clear();
  held_.reset();
  TW_TRY(targets_.Open());
  return targets_.PrepareOffsetsTopic(offsets_topic_);
}

// Fences whoever wrote this partition before.
Result<KafkaSink::Writer*> KafkaSink::WriterFor(int32_t partition) {
  Writer& writer = writers_[partition];
  if (writer.producer != nullptr) return &writer;
  writer = {};
  kafka::ProducerOptions options;
  options.client = client_;
  options.transactional_id = fmt::format("{}.{}", id_, partition);
  options.compression = config_.compression;
  options.transaction_timeout = config_.transaction_timeout;
  options.queue_bytes = kQueueBytes;
  options.max_record_bytes = kMostRecordBytes;
  TW_ASSIGN_OR_RETURN(auto producer, kafka::Producer::Create(std::move(options)));
  TW_TRY(producer->Init(std::stop_token(), kInitTimeout));
  TW_TRY(producer->Prepare(offsets_topic_, kPrepareTimeout));
  writer.producer = std::move(producer);
  held_.reset();  // what the earlier writer stored last may be more than was read
  return &writer;
}

Status KafkaSink::Assigned(std::span<const int32_t> partitions) {
  Rollback();
  std::erase_if(writers_, [&](const auto& writer) {
    return std::find(partitions.begin(), partitions.end(), writer.first) == partitions.end();
  });
  for (const int32_t partition : partitions) {
    TW_ASSIGN_OR_RETURN(Writer* const writer, WriterFor(partition));
    static_cast<void>(writer);
  }
  held_.reset();  // other partitions' owners went on meanwhile
  return {};
}

Result<const StoredRecords*> KafkaSink::Held() {
  if (!held_) {
    TW_ASSIGN_OR_RETURN(held_, ReadStoredRecords(client_, offsets_topic_));
  }
  return &*held_;
}

Result<TransactionalSink::Stored> KafkaSink::StoredOffsets() {
  // A writer that was given up may have a commit that nobody knows the end of: it is ended here.
  for (auto& [partition, writer] : writers_) {
    TW_ASSIGN_OR_RETURN(Writer* const made, WriterFor(partition));
    static_cast<void>(made);
  }
  held_.reset();
  TW_ASSIGN_OR_RETURN(const StoredRecords* const held, Held());
  Stored stored;
  for (const auto& [partition, place] : held->places) {
    if (!stored.log_id.empty() && stored.log_id != place.log_id) {
      return Error{
          Disposition::kNeedsOperator, "kafka_offsets_mixed",
          fmt::format("topic {} holds offsets of two logs, {} and {}; two pipelines of one "
                      "name write to this cluster: give one of them another name, or "
                      "another offsets_topic",
                      offsets_topic_, stored.log_id, place.log_id)};
    }
    stored.log_id = place.log_id;
    stored.offsets[partition] = place.next_offset;
  }
  return stored;
}

bool KafkaSink::SharesTopic(const TopicTemplate& topic, size_t entry) const {
  if (topic.names_table()) return false;
  const auto& entries = rules_.selection.entries();
  if (entry >= entries.size() || entries[entry].match.has_wildcard()) return true;
  // One table each: shared if another entry says the same.
  for (size_t i = 0; i < entries.size(); ++i) {
    const TopicOption& other = rules_.options[i].topic;
    const std::string& text = other.configured ? other.name.text() : config_.topic.name.text();
    if (i != entry && text == topic.text()) return true;
  }
  return false;
}

const KafkaSink::Route& KafkaSink::RouteOf(const Change& change) {
  if (last_route_ != nullptr && last_source_ == change.source && last_table_ == change.table) {
    return *last_route_;
  }
  last_source_ = change.source;
  last_table_ = change.table;
  return *(last_route_ = &FindRoute(change));
}

const KafkaSink::Route& KafkaSink::FindRoute(const Change& change) {
  const std::pair<std::string, std::string> key(change.source, change.table);
  const auto found = routes_.find(key);
  if (found != routes_.end()) return found->second;
  if (routes_.size() >= kMostRoutes) routes_.clear();
  Route route;
  const std::string source = WithDefault(config_.server_name, std::string(change.source));
  route.owner = fmt::format("{}:{}", change.source, change.table);
  if (change.schema == nullptr) {
    route.topic = LegalTopicName(source + ".message");
    route.exclusive = true;
    route.owner = source + ":(messages)";
  } else {
    const auto entry = rules_.selection.Find(change.source, change.table);
    const bool own = entry && rules_.options[*entry].topic.configured;
    const TopicTemplate& topic = own ? rules_.options[*entry].topic.name : config_.topic.name;
    route.topic = topic.Name(source, change.schema->name());
    route.table_in_key = SharesTopic(topic, entry.value_or(SIZE_MAX));
    route.exclusive = topic.names_table();
  }
  return routes_.emplace(key, std::move(route)).first->second;
}

// A topic belongs to the table that it was first written for, in all processes and for ever.
Status KafkaSink::Claim(const Route& route, Writer& writer) {
  if (!route.exclusive) return {};
  TW_ASSIGN_OR_RETURN(const StoredRecords* const held, Held());
  const std::string* owner = nullptr;
  if (const auto found = held->owners.find(route.topic); found != held->owners.end()) {
    owner = &found->second;
  }
  for (const auto& [partition, other] : writers_) {
    const auto found = other.owners.find(route.topic);
    if (owner == nullptr && found != other.owners.end()) owner = &found->second;
  }
  if (owner == nullptr) {
    writer.owners[route.topic] = route.owner;
    return {};
  }
  if (*owner == route.owner) return {};
  return Error{
      Disposition::kNeedsOperator, "kafka_topic_shared",
      fmt::format("{} and {} would both lie in topic {}; name one's topic under tables:, {{match: "
                  "…, topic: …}}, or write a topic without {{table}} if they are to share it",
                  *owner, route.owner, route.topic)};
}

Result<std::vector<Verdict>> KafkaSink::Write(const DeliveryBatch& batch) {
  auto verdicts = WriteAll(batch);
  if (!verdicts) Rollback();
  return verdicts;
}

Result<std::vector<Verdict>> KafkaSink::WriteAll(const DeliveryBatch& batch) {
  const KeyChanges key_changes(batch);
  std::vector<Verdict> verdicts;
  verdicts.reserve(batch.deliveries.size());
  for (const Delivery& delivery : batch.deliveries) {
    if (lost_) {
      verdicts.push_back(Verdict::Applied());  // Commit() will say that nothing is
      continue;
    }
    auto verdict = WriteOne(delivery, key_changes.OtherHalf(*delivery.change));
    if (verdict) {
      verdicts.push_back(*std::move(verdict));
    } else if (ConcernsTheChangeAlone(verdict.error())) {
      verdicts.push_back(
          Verdict::Rejected(verdict.error().code, std::move(verdict.error().message)));
    } else if (lost_) {
      verdicts.push_back(Verdict::Applied());
    } else {
      return std::move(verdict).error();
    }
  }
  if (const uint64_t omitted = maker_.TakeOmitted()) {
    omitted_total_.Add(static_cast<double>(omitted));
  }
  if (Status flushed = FlushAll(); !flushed && !lost_) return std::move(flushed).error();
  if (!lost_) sent_.clear();
  return verdicts;
}

Result<Verdict> KafkaSink::WriteOne(const Delivery& delivery, const Change* other_half) {
  const Change& change = *delivery.change;
  switch (change.operation) {
    case Operation::kSchema:
    case Operation::kFrontier:
    case Operation::kSweep:
      return Verdict::Applied();
    case Operation::kTruncate:
      // One of its copies in the partitions.
      if (delivery.partition != 0) return Verdict::Applied();
      break;
    case Operation::kInsert:
    case Operation::kUpdate:
    case Operation::kDelete:
    case Operation::kRead:
    case Operation::kMessage:
      break;
  }
  if (const auto refused = refused_.find({delivery.partition, delivery.offset});
      refused != refused_.end()) {
    return Verdict::Rejected("kafka_record_too_large", refused->second);
  }
  const Route& route = RouteOf(change);
  MadeRecord& made = sent_.emplace_back();
  TW_TRY(maker_.Make(delivery, route.topic, route.table_in_key, other_half, NowMicros(), made));
  TW_ASSIGN_OR_RETURN(Writer* const writer, WriterFor(delivery.partition));
  TW_ASSIGN_OR_RETURN(const TargetTopic* const target, targets_.Get(route.topic));
  if (!made.has_key && target->compacted) {
    return Error{Disposition::kReject, "kafka_key_missing",
                 fmt::format("a {} of {} has no key, and topic {} is compacted: it takes none "
                             "without; use a topic with cleanup.policy=delete",
                             OperationName(change.operation), change.table, route.topic)};
  }
  const auto too_large = [&](std::string_view why) {
    return fmt::format(
        "{} of {}: a record of {} bytes is too large for topic {}, which takes "
        "batches of {} (max.message.bytes){}",
        OperationName(change.operation), route.owner, made.bytes(), route.topic,
        target->max_message_bytes, why);
  };
  if (made.bytes() > kMostRecordBytes) {
    return Error{Disposition::kReject, "kafka_record_too_large",
                 too_large(fmt::format("; and no record may have more than {}", kMostRecordBytes))};
  }
  TW_TRY(Claim(route, *writer));
  // What has no key stays in the order of its table.
  const int32_t partition =
      PartitionOfKey(made.has_key ? std::string_view(made.key) : delivery.key, target->partitions);
  // One that only its compression can make fit, if that: nothing else must be refused with it.
  const bool alone = careful_ || made.bytes() + kBatchOverhead > target->max_message_bytes;
  if (Status sent = Send(*writer, *target, partition, made, alone); !sent) {
    Error error = std::move(sent).error();
    if (alone && error.code == "kafka_record_too_large") {
      // The transaction is spoilt: it is written again without this one.
      refused_[{delivery.partition, delivery.offset}] = too_large("");
      return Failed(delivery.partition,
                    Error{Disposition::kRetry, "kafka_transaction_aborted",
                          too_large("; the batch is written again without it")});
    }
    return Failed(delivery.partition, std::move(error));
  }
  return Verdict::Applied();
}

Status KafkaSink::Send(Writer& writer, const TargetTopic& target, int32_t partition,
                       const MadeRecord& made, bool alone) {
  if (!writer.open) {
    TW_TRY(writer.producer->Begin());
    writer.open = true;
  }
  const auto known = writer.unflushed.find(target.name);
  if (known == writer.unflushed.end()) {
    TW_TRY(writer.producer->Prepare(target.name, kPrepareTimeout));
  }
  // What is flushed together may become one batch, which the topic would refuse as a whole.
  size_t& unflushed = writer.unflushed[target.name];
  const size_t bytes = made.bytes() + kBatchOverhead;
  if (alone || (target.max_message_bytes < kMostBatchBytes + kBatchOverhead &&
                unflushed + bytes > target.max_message_bytes)) {
    TW_TRY(writer.producer->Flush());
    for (auto& [topic, count] : writer.unflushed) count = 0;
  }
  unflushed += bytes;
  std::vector<kafka::Header> headers;
  headers.reserve(made.headers.size());
  for (const auto& [name, value] : made.headers) headers.emplace_back(name, value);
  kafka::OutgoingRecord record;
  record.partition = partition;
  if (made.has_key) record.key = made.key;
  record.value = made.body();
  record.headers = headers;
  TW_TRY(writer.producer->Send(target.name, record));
  if (made.tombstone) {
    record.value = {};
    record.headers = {};
    TW_TRY(writer.producer->Send(target.name, record));
  }
  if (alone) {
    TW_TRY(writer.producer->Flush());
    unflushed = 0;
  }
  return {};
}

Status KafkaSink::FlushAll() {
  for (auto& [partition, writer] : writers_) {
    if (!writer.open) continue;
    if (Status flushed = writer.producer->Flush(); !flushed) {
      return Failed(partition, std::move(flushed).error());
    }
    for (auto& [topic, bytes] : writer.unflushed) bytes = 0;
  }
  return {};
}

Error KafkaSink::Failed(int32_t partition, Error error) {
  if (error.code == "kafka_record_too_large") {
    // Which one is not said: the batch is written again, one record at a time.
    careful_ = true;
    error.disposition = Disposition::kRetry;
    error.code = "kafka_transaction_aborted";
  }
  if (error.code == "kafka_fenced") lost_ = true;
  targets_.Forget();  // made smaller, or deleted, under our hands
  // A producer of which one record failed would trip over its gap in the next transaction.
  Writer& writer = writers_[partition];
  writer.producer.reset();
  writer.open = false;
  held_.reset();
  return error;
}

Result<bool> KafkaSink::HoldsExpected(std::string_view log_id, const Offsets& expected,
                                      const Offsets& next) {
  TW_ASSIGN_OR_RETURN(const StoredRecords* const held, Held());
  for (const auto& [partition, place] : held->places) {
    if (place.log_id != log_id) return false;
  }
  for (const auto& [partition, offset] : next) {
    const auto place = held->places.find(partition);
    const auto wanted = expected.find(partition);
    if ((place == held->places.end()) != (wanted == expected.end())) return false;
    if (place != held->places.end() && place->second.next_offset != wanted->second) return false;
  }
  return true;
}

Result<CommitOutcome> KafkaSink::Commit(std::string_view log_id, const Offsets& expected,
                                        const Offsets& next) {
  const auto lose = [&] {
    Rollback();
    held_.reset();
    return CommitOutcome::kLost;
  };
  if (lost_) return lose();
  // Fenced before they are compared, or an earlier writer could still move them.
  for (const auto& [partition, offset] : next) {
    TW_ASSIGN_OR_RETURN(Writer* const writer, WriterFor(partition));
    static_cast<void>(writer);
  }
  TW_ASSIGN_OR_RETURN(const bool ours, HoldsExpected(log_id, expected, next));
  if (!ours) return lose();
  TW_CRASH_POINT("kafka_sink_before_commit");
  bool claimed = false;
  for (const auto& [partition, offset] : next) {
    Writer& writer = writers_[partition];
    const StoredPlace place{std::string(log_id), offset};
    if (Status committed = CommitOne(writer, partition, place); !committed) {
      // Whatever the end of this one is, the next writer of the partition finds it.
      Error error = Failed(partition, std::move(committed).error());
      const bool lost = lost_;
      Rollback();
      held_.reset();
      if (lost) return CommitOutcome::kLost;
      return error;
    }
    if (held_) held_->places[partition] = place;
    claimed = claimed || !writer.owners.empty();
    if (held_) held_->owners.merge(writer.owners);
    writer.owners.clear();
    TW_CRASH_POINT("kafka_sink_between_commits");
  }
  // Two processes may have claimed one topic at the same moment: the later one sees it now.
  if (claimed) held_.reset();
  careful_ = false;
  std::erase_if(refused_, [&](const auto& refused) {
    const auto passed = next.find(refused.first.partition);
    return passed != next.end() && refused.first.offset < passed->second;
  });
  return CommitOutcome::kCommitted;
}

Status KafkaSink::CommitOne(Writer& writer, int32_t partition, const StoredPlace& place) {
  if (!writer.open) {
    TW_TRY(writer.producer->Begin());
    writer.open = true;
  }
  // Copies that outlive the commit.
  std::deque<std::string> values;
  const auto send = [&](const std::string& key, std::string value) {
    kafka::OutgoingRecord record;
    record.key = key;
    record.value = values.emplace_back(std::move(value));
    return writer.producer->Send(offsets_topic_, record);
  };
  Status sent = send(PlaceKey(partition), PlaceValue(place));
  for (auto owner = writer.owners.begin(); sent && owner != writer.owners.end(); ++owner) {
    sent = send(OwnerKey(owner->first), OwnerValue(owner->second));
  }
  if (!sent || !(sent = writer.producer->Commit())) {
    writer.producer.reset();  // lets go of the values
    writer.open = false;
    return sent;
  }
  writer.open = false;
  return {};
}

void KafkaSink::Rollback() {
  for (auto& [partition, writer] : writers_) {
    writer.owners.clear();
    if (writer.producer == nullptr) writer.open = false;
    if (!writer.open) continue;
    writer.open = false;
    for (auto& [topic, bytes] : writer.unflushed) bytes = 0;
    if (!writer.producer->Abort()) {
      writer.producer.reset();
      held_.reset();
    }
  }
  lost_ = false;
  sent_.clear();
}

}  // namespace tailwater::kafka_sink
