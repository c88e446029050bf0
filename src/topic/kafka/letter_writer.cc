#include "topic/kafka/letter_writer.h"

#include <random>
#include <thread>
#include <utility>

#include "support/kafka/admin.h"
#include "support/text.h"
#include "topic/kafka/dead_letter_record.h"
#include "topic/kafka/topic_specs.h"

namespace tailwater {
namespace {

constexpr std::chrono::seconds kUntilKnown{10};
constexpr std::chrono::milliseconds kLookAgain{50};

}  // namespace

LetterWriter::LetterWriter(const KafkaSettings& settings, std::string sink, int32_t partitions)
    : settings_(settings),
      sink_(std::move(sink)),
      partitions_(partitions),
      topic_(settings.DeadLetterTopic(sink_)),
      transactional_id_(settings.SinkTransactionalId(sink_)) {
  // Members without a name would fence each other under one id.
  if (settings.instance.empty()) transactional_id_ += fmt::format("{:08x}", std::random_device()());
}

Status LetterWriter::Open() {
  if (producer_ != nullptr) return {};
  if (settings_.create) {
    TW_ASSIGN_OR_RETURN(const auto admin,
                        kafka::Admin::Create(settings_.client, settings_.request_timeout));
    TW_TRY(admin->CreateTopic(DeadLetterTopicSpec(settings_, sink_, partitions_)));
  }
  kafka::ProducerOptions options;
  options.client = settings_.client;
  options.transactional_id = transactional_id_;
  options.compression = settings_.compression;
  options.max_record_bytes = settings_.MaxMessageBytes();
  TW_ASSIGN_OR_RETURN(auto producer, kafka::Producer::Create(std::move(options)));
  TW_TRY(producer->Init({}, settings_.request_timeout));
  const auto deadline = std::chrono::steady_clock::now() + kUntilKnown;
  while (true) {
    const Status known = producer->Prepare(topic_, settings_.request_timeout);
    if (known) break;
    // A topic that was made just now is not known to every broker at once.
    const bool wait = settings_.create && known.error().code == "kafka_topic_missing" &&
                      std::chrono::steady_clock::now() < deadline;
    if (!wait) return known.error();
    std::this_thread::sleep_for(kLookAgain);
  }
  producer_ = std::move(producer);
  return {};
}

Status LetterWriter::Publish(const LetterStore::Changes& changes, const kafka::GroupMember& member,
                             const std::map<int32_t, kafka::CommittedOffset>& offsets) {
  undecided_ = false;
  TW_TRY(Open());
  Status status = producer_->Begin();
  if (status) status = Send(changes);
  // Stored before the offsets join: whoever takes the partitions over sees these records in the log
  // and waits for what becomes of them, or fences the offsets, and with them the transaction.
  if (status) status = producer_->Flush();
  if (status) status = producer_->SendOffsets(member, offsets);
  bool committing = false;
  if (status) {
    committing = true;
    status = producer_->Commit();
  }
  if (status) return {};
  const bool aborted =
      (!committing || status.error().code == "kafka_transaction_aborted") && producer_->Abort();
  if (!aborted) {
    undecided_ = committing;
    producer_.reset();  // the next one ends what this one left open
  }
  return std::move(status).error().Within("storing dead letters in " + topic_);
}

Status LetterWriter::Send(const LetterStore::Changes& changes) {
  for (const RecordPlace& place : changes.gone) {
    const std::string key = DeadLetterRecord::KeyOf(place.offset);
    TW_TRY(producer_->Send(topic_, {.partition = place.partition, .key = key}));
  }
  for (const DeadLetter& letter : changes.put) {
    const DeadLetterRecord record(letter);
    TW_TRY(producer_->Send(topic_, {.partition = letter.partition,
                                    .key = record.key(),
                                    .value = std::string_view(letter.value),
                                    .headers = record.headers()}));
  }
  return {};
}

}  // namespace tailwater
