#include "topic/kafka/subscription.h"

#include <algorithm>
#include <numeric>
#include <set>
#include <utility>

#include "support/kafka/consumer.h"
#include "support/text.h"

namespace tailwater {
namespace {

// Records that one transaction drops.
constexpr size_t kDropsPerStep = 1'000;

Error NotOwner(uint64_t generation, std::string_view why) {
  return Error{Disposition::kRetry, "not_owner",
               fmt::format("generation {} does not own what it changes: {}; it is polled again",
                           generation, why)};
}

Error NotCreated(const KafkaSettings& settings) {
  return Error{
      Disposition::kRetry, "topic_not_created",
      fmt::format("there is no topic {} yet; it appears once capture runs", settings.topic)};
}

bool TouchesLetters(const Subscription::Update& update) {
  return update.rewind || !update.add.empty() || !update.remove.empty() ||
         !update.clear_base_missing.empty() || !update.sweeps.empty();
}

}  // namespace

KafkaSubscription::KafkaSubscription(KafkaSettings settings, std::string sink, int32_t partitions,
                                     bool together)
    : settings_(std::move(settings)),
      sink_(std::move(sink)),
      together_(together),
      all_(static_cast<size_t>(partitions)),
      writer_(settings_, sink_, partitions) {
  std::iota(all_.begin(), all_.end(), 0);
}

Result<std::unique_ptr<KafkaSubscription>> KafkaSubscription::Open(const KafkaSettings& settings,
                                                                   const std::string& sink,
                                                                   bool together) {
  kafka::ConsumerOptions options;
  options.client = settings.client;
  options.topic = settings.topic;
  TW_ASSIGN_OR_RETURN(const auto asker, kafka::Consumer::Create(std::move(options)));
  const auto partitions = asker->Partitions(settings.request_timeout);
  if (!partitions && partitions.error().code == "kafka_topic_missing") return NotCreated(settings);
  if (!partitions) return partitions.error();
  std::unique_ptr<KafkaSubscription> subscription(
      new KafkaSubscription(settings, sink, *partitions, together));
  TW_TRY(subscription->Join());
  return subscription;
}

Status KafkaSubscription::Join() {
  kafka::GroupMemberOptions options;
  options.client = settings_.client;
  options.topic = together_ ? settings_.StateTopic() : settings_.topic;
  options.offsets_topic = settings_.topic;
  options.group = settings_.SinkGroup(sink_);
  options.instance_id = settings_.instance;
  options.commit_timeout = settings_.request_timeout;
  TW_ASSIGN_OR_RETURN(member_, kafka::GroupMember::Join(std::move(options)));
  stale_ = true;
  return {};
}

Result<Subscription::Assignment> KafkaSubscription::Poll(std::chrono::milliseconds timeout) {
  if (member_ == nullptr) TW_TRY(Join());
  auto polled = member_->Poll(timeout);
  if (!polled) {
    if (polled.error().code == "kafka_fenced" || polled.error().code == "kafka_client_failed") {
      member_.reset();  // over; the next call joins anew
    }
    if (polled.error().code == "kafka_topic_missing") {
      // Made a moment ago, and not known to every broker yet; a new member looks at once.
      member_.reset();
      return NotCreated(settings_);
    }
    return std::move(polled).error().Within("sink " + sink_);
  }
  if (!stale_ && polled->generation == member_generation_) return assignment_;
  member_generation_ = polled->generation;
  stale_ = true;  // until all is read
  ++assignment_.generation;
  assignment_.partitions = std::move(polled->partitions);
  if (together_ && !assignment_.partitions.empty()) assignment_.partitions = all_;
  places_.clear();
  letters_.reset();
  if (auto taken = TakeOver(); !taken) {
    assignment_.partitions.clear();
    return std::move(taken).error();
  }
  stale_ = false;
  return assignment_;
}

Status KafkaSubscription::TakeOver() {
  TW_ASSIGN_OR_RETURN(letters_, LetterStore::Make());
  if (assignment_.partitions.empty()) return {};
  TW_ASSIGN_OR_RETURN(const bool found,
                      letters_->Load(settings_, sink_, assignment_.partitions, true));
  TW_ASSIGN_OR_RETURN(const auto committed,
                      member_->Committed(assignment_.partitions, settings_.request_timeout));
  TW_ASSIGN_OR_RETURN(places_, ParseSinkPlaces(committed));
  for (const int32_t partition : assignment_.partitions) {
    places_.try_emplace(partition);
    if (found || !places_[partition].letters) continue;
    // Brokers that have just started may not know it yet.
    return Error{
        Disposition::kRetry, "kafka_topic_missing",
        fmt::format("{} holds dead or parked records of the sink, but the cluster does not "
                    "know it; it is looked for again. If it was deleted, rewind the sink "
                    "after resetting the group {}",
                    settings_.DeadLetterTopic(sink_), settings_.SinkGroup(sink_))};
  }
  return {};
}

Status KafkaSubscription::CheckOwner(uint64_t generation) const {
  if (generation != assignment_.generation) return NotOwner(generation, "it is over");
  if (stale_ || member_ == nullptr) return NotOwner(generation, "what is stored is not known");
  if (assignment_.partitions.empty()) return NotOwner(generation, "no partition is assigned");
  if (!member_->IsOwner()) return NotOwner(generation, "the group has given its partitions away");
  return {};
}

bool KafkaSubscription::Owns(const Update& update) const {
  bool owned = true;
  for (const auto& [partition, offset] : update.offsets) owned &= places_.contains(partition);
  for (const auto& [partition, offset] : update.rewound_from) owned &= places_.contains(partition);
  for (const DeadLetter& letter : update.add) owned &= places_.contains(letter.partition);
  for (const RecordPlace& place : update.remove) owned &= places_.contains(place.partition);
  return owned;
}

SinkPlaces KafkaSubscription::Moved(const Update& update) const {
  SinkPlaces places = places_;
  for (auto& [partition, place] : places) {
    // Offsets of another log mean nothing in this one.
    if (!update.log_id.empty() && place.log_id != update.log_id) {
      place.log_id = update.log_id;
      place.offset.reset();
      place.rewound_from.reset();
    }
    if (update.paused) place.paused = *update.paused;
  }
  for (const auto& [partition, offset] : update.offsets) places[partition].offset = offset;
  for (const auto& [partition, from] : update.rewound_from) places[partition].rewound_from = from;
  return places;
}

Status KafkaSubscription::Commit(uint64_t generation, const Update& update) {
  TW_TRY(CheckOwner(generation));
  if (!Owns(update)) return NotOwner(generation, "it names a partition of somebody else");
  SinkPlaces places = Moved(update);
  if (!TouchesLetters(update)) return CommitPlaces(std::move(places));
  return Change(
      [&](DeadLetterTable& table) -> Status {
        TW_TRY(table.Apply(update));
        return {};
      },
      std::move(places));
}

Status KafkaSubscription::Change(const std::function<Status(DeadLetterTable&)>& change,
                                 SinkPlaces places) {
  bool published = false;
  const auto publish = [&](const LetterStore::Changes& changes) -> Status {
    if (changes.empty()) return CommitPlaces(std::move(places));
    std::set<int32_t> touched;
    for (const DeadLetter& letter : changes.put) touched.insert(letter.partition);
    for (const RecordPlace& place : changes.gone) touched.insert(place.partition);
    std::map<int32_t, kafka::CommittedOffset> offsets;
    for (auto& [partition, place] : places) {
      if (touched.contains(partition)) place.letters = true;
      // Also where it stays: only offsets fence a transaction.
      if (touched.contains(partition) || place != places_.at(partition)) {
        offsets[partition] = place.Encode();
      }
    }
    if (Status stored = writer_.Publish(changes, *member_, offsets); !stored) {
      return Refused(std::move(stored).error(), writer_.undecided());
    }
    published = true;
    places_ = std::move(places);
    return {};
  };
  Status status = letters_->Change(change, publish);
  // The copy does not have what the topic has.
  if (!status && published) stale_ = true;
  return status;
}

Status KafkaSubscription::CommitPlaces(SinkPlaces places) {
  std::map<int32_t, kafka::CommittedOffset> offsets;
  for (const auto& [partition, place] : places) {
    if (place != places_.at(partition)) offsets[partition] = place.Encode();
  }
  if (!offsets.empty()) {
    if (Status stored = member_->Commit(offsets); !stored) {
      const std::string_view code = stored.error().code;
      return Refused(std::move(stored).error(),
                     code == "kafka_timeout" || code == "kafka_client_failed");
    }
  }
  places_ = std::move(places);
  return {};
}

Error KafkaSubscription::Refused(Error error, bool undecided) {
  const uint64_t generation = assignment_.generation;
  if (error.code == "kafka_fenced") {
    // Decided: nothing was stored. The next Poll() tells what is ours.
    stale_ = true;
    return NotOwner(generation, error.message);
  }
  if (undecided) {
    stale_ = true;
    return NotOwner(generation, "whether it was stored is not known: " + error.message);
  }
  return error;
}

Result<SinkPlaces> KafkaSubscription::LoadGroup() {
  // A member without partitions may be waiting to join, and a broker answers its questions behind
  // that: for as long as another member does not come to the rebalance.
  const bool member = member_ != nullptr && !assignment_.partitions.empty();
  TW_ASSIGN_OR_RETURN(
      const auto committed,
      member ? member_->Committed(all_, settings_.request_timeout)
             : kafka::PeekCommitted(settings_.client, settings_.topic, settings_.SinkGroup(sink_),
                                    all_, settings_.request_timeout));
  return ParseSinkPlaces(committed);
}

Result<Subscription::Stored> KafkaSubscription::Load() {
  if (!stale_ && !places_.empty()) return Together(places_);
  TW_ASSIGN_OR_RETURN(const SinkPlaces places, LoadGroup());
  return Together(places);
}

Result<Offsets> KafkaSubscription::GroupOffsets() {
  TW_ASSIGN_OR_RETURN(const SinkPlaces places, LoadGroup());
  // Of our log: what others have not moved to it yet, they have not passed.
  const std::string log_id = Together(places_).log_id;
  Offsets offsets;
  for (const auto& [partition, place] : places) {
    if (place.offset && (log_id.empty() || place.log_id == log_id))
      offsets[partition] = *place.offset;
  }
  return offsets;
}

Result<Subscription::DeadLetterCounts> KafkaSubscription::CountDeadLetters() {
  if (letters_ == nullptr) return DeadLetterCounts();
  return letters_->table().Count();
}

Result<std::vector<Subscription::BlockedKey>> KafkaSubscription::BlockedKeys(
    size_t limit, std::optional<RecordPlace> after) {
  if (letters_ == nullptr) return std::vector<BlockedKey>();
  return letters_->table().BlockedKeys(limit, after);
}

Result<std::vector<DeadLetter>> KafkaSubscription::LoadBlocked(const std::string& key,
                                                               size_t max_records,
                                                               size_t max_bytes) {
  if (letters_ == nullptr) return std::vector<DeadLetter>();
  return letters_->table().LoadBlocked(key, max_records, max_bytes);
}

Result<std::vector<std::string>> KafkaSubscription::Requeue(uint64_t generation,
                                                            const DeadLetterFilter& filter) {
  TW_TRY(CheckOwner(generation));
  std::vector<std::string> keys;
  TW_TRY(Change(
      [&](DeadLetterTable& table) -> Status {
        TW_ASSIGN_OR_RETURN(keys, table.Requeue(filter));
        return {};
      },
      places_));
  return keys;
}

Result<uint64_t> KafkaSubscription::DropDeadLetters(uint64_t generation,
                                                    const DeadLetterFilter& filter) {
  TW_TRY(CheckOwner(generation));
  uint64_t dropped = 0;
  while (true) {
    uint64_t step = 0;
    TW_TRY(Change(
        [&](DeadLetterTable& table) -> Status {
          TW_ASSIGN_OR_RETURN(step, table.Drop(filter, kDropsPerStep));
          return {};
        },
        places_));
    dropped += step;
    if (step < kDropsPerStep) return dropped;
  }
}

}  // namespace tailwater
