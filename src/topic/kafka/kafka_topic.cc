#include "topic/kafka/kafka_topic.h"

#include <thread>
#include <utility>

#include "support/kafka/admin.h"
#include "support/text.h"
#include "topic/kafka/check.h"
#include "topic/kafka/head.h"
#include "topic/kafka/reader.h"
#include "topic/kafka/state.h"
#include "topic/kafka/subscription.h"
#include "topic/kafka/writer.h"

namespace tailwater {
namespace {

constexpr std::chrono::milliseconds kLookAgain{20};

}  // namespace

KafkaTopic::KafkaTopic(KafkaSettings settings)
    : settings_(std::move(settings)),
      contested_(std::make_shared<std::atomic<bool>>(false)),
      sinks_(settings_) {}

KafkaTopic::~KafkaTopic() = default;

std::string KafkaTopic::Describe() const {
  return fmt::format("kafka {} at {}", settings_.topic, settings_.client.connection.Describe());
}

std::vector<Finding> KafkaTopic::Check() { return CheckKafkaTopic(settings_); }

Result<std::unique_ptr<TopicWriter>> KafkaTopic::OpenWriter(
    std::stop_token stop, const std::function<void(std::string holder)>& standby) {
  TW_ASSIGN_OR_RETURN(auto writer, KafkaWriter::Open(settings_, stop, standby, contested_));
  return std::unique_ptr<TopicWriter>(std::move(writer));
}

Result<std::shared_ptr<TopicReader>> KafkaTopic::OpenReader() {
  MutexLock lock(mutex_);
  if (auto reader = reader_.lock(); reader && !reader->replaced()) {
    return std::shared_ptr<TopicReader>(std::move(reader));
  }
  TW_ASSIGN_OR_RETURN(auto reader, KafkaReader::Open(settings_));
  reader_ = reader;
  return std::shared_ptr<TopicReader>(std::move(reader));
}

void KafkaTopic::KeepTogether(const std::string& sink) {
  MutexLock lock(mutex_);
  kept_together_.insert(sink);
}

Result<std::unique_ptr<Subscription>> KafkaTopic::Subscribe(
    const std::string& sink, std::stop_token, const std::function<void(std::string)>&) {
  if (sink == "state" || sink == "capture") {
    return Error{Disposition::kFatal, "topic_reserved_name",
                 fmt::format("a sink cannot be named '{}' beside a Kafka topic, whose own names "
                             "bear it; give the sink another name",
                             sink)};
  }
  bool together = false;
  {
    MutexLock lock(mutex_);
    together = kept_together_.contains(sink);
  }
  TW_ASSIGN_OR_RETURN(auto subscription, KafkaSubscription::Open(settings_, sink, together));
  return std::unique_ptr<Subscription>(std::move(subscription));
}

Result<Subscription::Stored> KafkaTopic::PeekOffsets(const std::string& sink) {
  return sinks_.Offsets(sink);
}

Result<Subscription::DeadLetterCounts> KafkaTopic::PeekDeadLetters(const std::string& sink) {
  return sinks_.CountDeadLetters(sink);
}

Result<DeadLetterPage> KafkaTopic::ListDeadLetters(const std::string& sink,
                                                   const DeadLetterFilter& filter,
                                                   std::optional<RecordPlace> from, size_t limit,
                                                   size_t max_bytes) {
  return sinks_.ListDeadLetters(sink, filter, from, limit, max_bytes);
}

Result<std::vector<std::string>> KafkaTopic::KnownSinks() { return sinks_.KnownSinks(); }

Result<std::map<std::string, std::string>> KafkaTopic::PeekState() {
  std::map<std::string, std::string> state;
  TW_ASSIGN_OR_RETURN(const auto admin,
                      kafka::Admin::Create(settings_.client, settings_.request_timeout));
  TW_ASSIGN_OR_RETURN(const auto facts, admin->FindTopic(settings_.StateTopic()));
  if (!facts) return state;
  TW_ASSIGN_OR_RETURN(state, ReadState(settings_, {}));
  state.erase(std::string(kTopicHeadKey));
  return state;
}

Status KafkaTopic::Destroy() {
  TW_ASSIGN_OR_RETURN(const auto admin,
                      kafka::Admin::Create(settings_.client, settings_.request_timeout));
  TW_ASSIGN_OR_RETURN(const std::vector<std::string> sinks, KnownSinks());
  TW_ASSIGN_OR_RETURN(const auto state, admin->FindTopic(settings_.StateTopic()));
  if (state) {
    TW_ASSIGN_OR_RETURN(const auto stored, ReadState(settings_, {}));
    if (const auto entry = stored.find(std::string(kTopicHeadKey)); entry != stored.end()) {
      TW_ASSIGN_OR_RETURN(const TopicHead head, ParseTopicHead(entry->second, settings_));
      TW_TRY(CheckTopicHead(head, head.partitions, settings_));
    }
  }
  std::vector<std::string> groups = {settings_.CaptureGroup()};
  std::vector<std::string> topics = {settings_.topic};
  for (const std::string& sink : sinks) {
    groups.push_back(settings_.SinkGroup(sink));
    topics.push_back(settings_.DeadLetterTopic(sink));
  }
  // The state goes last: until then it says whose the rest is.
  topics.push_back(settings_.StateTopic());
  // Nothing goes while anybody works with it.
  for (const std::string& group : groups) {
    TW_ASSIGN_OR_RETURN(const kafka::GroupFacts facts, admin->DescribeGroup(group));
    if (facts.members.empty()) continue;
    const kafka::GroupFacts::Member& member = facts.members.front();
    return Error{
        Disposition::kNeedsOperator, "topic_locked",
        fmt::format("group {} has a member, {} at {}; stop it, and try again ten seconds "
                    "later",
                    group, member.instance_id.empty() ? member.client_id : member.instance_id,
                    member.host)};
  }
  if (!settings_.create) {
    return Error{Disposition::kNeedsOperator, "topic_not_ours",
                 fmt::format("create is false, so these topics are not deleted either; have them "
                             "deleted by who made them: {}",
                             fmt::join(topics, ", "))};
  }
  for (const std::string& group : groups) TW_TRY(admin->DeleteGroup(group));
  for (const std::string& topic : topics) TW_TRY(admin->DeleteTopic(topic));
  // Brokers forget them a moment later: until then a topic that is made anew is mixed up with them.
  const auto deadline = std::chrono::steady_clock::now() + settings_.request_timeout;
  for (const std::string& topic : topics) {
    while (true) {
      TW_ASSIGN_OR_RETURN(const auto facts, admin->FindTopic(topic));
      if (!facts) break;
      if (std::chrono::steady_clock::now() >= deadline) {
        return Error{
            Disposition::kRetry, "kafka_timeout",
            fmt::format("{} was deleted, but the brokers still know it; try again later", topic)};
      }
      std::this_thread::sleep_for(kLookAgain);
    }
  }
  return {};
}

}  // namespace tailwater
