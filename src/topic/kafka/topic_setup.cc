#include "topic/kafka/topic_setup.h"

#include <thread>

#include "support/text.h"
#include "topic/kafka/ends.h"
#include "topic/kafka/head.h"
#include "topic/kafka/state.h"
#include "topic/kafka/topic_review.h"
#include "topic/kafka/topic_specs.h"

namespace tailwater {
namespace {

Error NotCreated(const kafka::TopicSpec& spec) {
  std::string settings;
  for (const auto& [name, value] : spec.settings) {
    settings += fmt::format(" --config {}={}", name, value);
  }
  return Error{Disposition::kNeedsOperator, "topic_not_created",
               fmt::format("topic {} is not there, and create is false; make it: kafka-topics "
                           "--create --topic {} --partitions {} --replication-factor {}{}",
                           spec.name, spec.name, spec.partitions, spec.replication, settings)};
}

Status Make(kafka::Admin& admin, const KafkaSettings& settings, const kafka::TopicSpec& spec) {
  if (!settings.create) return NotCreated(spec);
  TW_ASSIGN_OR_RETURN(const int32_t brokers, admin.BrokerCount());
  if (brokers == 0) {
    return Error{Disposition::kRetry, "kafka_not_ready",
                 fmt::format("making topic {}: no broker has joined the cluster yet; it is tried "
                             "again",
                             spec.name)};
  }
  if (spec.replication > brokers) {
    return Error{
        Disposition::kNeedsOperator, "topic_replication_too_high",
        fmt::format("topic {} is to have {} replicas, and the cluster has {} broker{}; "
                    "write replication: {} under topic, or start the missing brokers",
                    spec.name, spec.replication, brokers, brokers == 1 ? "" : "s", brokers)};
  }
  TW_TRY(admin.CreateTopic(spec));
  // Brokers learn of it one after the other.
  const auto deadline = std::chrono::steady_clock::now() + settings.request_timeout;
  while (true) {
    TW_ASSIGN_OR_RETURN(const auto made, admin.FindTopic(spec.name));
    if (made || std::chrono::steady_clock::now() >= deadline) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  settings.client.logger.Info(
      "topic made",
      {{"topic", spec.name}, {"partitions", spec.partitions}, {"replication", spec.replication}});
  return {};
}

}  // namespace

Error StateLost(const KafkaSettings& settings) {
  return Error{Disposition::kGap, "topic_state_lost",
               fmt::format("topic {} holds records, but what capture stored in {} is gone: nobody "
                           "knows up to where they go. Restore it, or begin a new topic: give "
                           "another name, and snapshot",
                           settings.topic, settings.StateTopic())};
}

Result<std::map<std::string, std::string>> EnsureTopic(kafka::Admin& admin,
                                                       const KafkaSettings& settings,
                                                       const kafka::TopicSpec& spec) {
  TW_ASSIGN_OR_RETURN(auto facts, admin.FindTopic(spec.name));
  if (!facts) {
    TW_TRY(Make(admin, settings, spec));
    return spec.settings;
  }
  std::map<std::string, std::string> is;
  if (auto told = admin.TopicSettings(spec.name)) {
    is = *std::move(told);
  } else if (told.error().code != "kafka_not_authorized") {
    return std::move(told).error();
  } else {
    settings.client.logger.Warn("a topic's settings cannot be checked",
                                {{"topic", spec.name}, {"message", told.error().message}});
  }
  for (const TopicDifference& difference : ReviewTopic(spec, *facts, is)) {
    if (difference.refused) {
      return Error{Disposition::kNeedsOperator, difference.code,
                   fmt::format("{}; {}", difference.message, difference.remedy)};
    }
    settings.client.logger.Warn("a topic is not as configured", {{"code", difference.code},
                                                                 {"message", difference.message},
                                                                 {"remedy", difference.remedy}});
  }
  return is;
}

Result<TopicLayout> SetUpTopics(kafka::Admin& admin, const KafkaSettings& settings) {
  TW_ASSIGN_OR_RETURN(const auto records, admin.FindTopic(settings.topic));
  TW_ASSIGN_OR_RETURN(const auto state, admin.FindTopic(settings.StateTopic()));
  // Nothing is made beside what is left of a topic.
  if (records && !state) {
    TW_ASSIGN_OR_RETURN(const Offsets ends, QueryEnds(settings, records->partitions));
    for (const auto& [partition, end] : ends) {
      if (end > 0) return StateLost(settings);
    }
  }
  if (state && !records) {
    TW_ASSIGN_OR_RETURN(const auto stored, ReadState(settings, {}));
    if (stored.count(std::string(kTopicHeadKey)) > 0) {
      return Error{Disposition::kGap, "topic_records_lost",
                   fmt::format("{} says what topic {} holds, but that topic is gone; begin anew: "
                               "give another name, or delete {} as well, and snapshot",
                               settings.StateTopic(), settings.topic, settings.StateTopic())};
    }
  }
  TW_ASSIGN_OR_RETURN(const auto is, EnsureTopic(admin, settings, RecordTopicSpec(settings)));
  TW_TRY(EnsureTopic(admin, settings, StateTopicSpec(settings)));
  return TopicLayout{settings.partitions, RecordBytesOf(is, settings)};
}

}  // namespace tailwater
