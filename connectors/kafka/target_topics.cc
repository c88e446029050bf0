#include "kafka/target_topics.h"

#include <charconv>
#include <thread>

#include "support/text.h"

namespace tailwater::kafka_sink {
namespace {

using namespace std::chrono_literals;

// A stop waits so long at most while the cluster is away.
constexpr auto kTimeout = 10s;
// What a broker takes unless it is told otherwise.
constexpr size_t kDefaultMaxMessageBytes = 1'048'588;

}  // namespace

TargetTopics::TargetTopics(kafka::ClientOptions client, CreateOption create)
    : client_(std::move(client)), create_(std::move(create)) {}

Status TargetTopics::Open() {
  Forget();
  admin_.reset();
  TW_ASSIGN_OR_RETURN(admin_, kafka::Admin::Create(client_, kTimeout));
  TW_ASSIGN_OR_RETURN(const int32_t brokers, admin_->BrokerCount());
  static_cast<void>(brokers);
  return {};
}

Result<kafka::TopicFacts> TargetTopics::FindOrMake(const kafka::TopicSpec& spec,
                                                   std::string_view advice) {
  TW_ASSIGN_OR_RETURN(auto facts, admin_->FindTopic(spec.name));
  if (facts) return *facts;
  if (!create_.enabled) {
    return Error{Disposition::kNeedsOperator, "kafka_topic_missing",
                 fmt::format("topic {} does not exist, and create: false makes none; {}", spec.name,
                             advice)};
  }
  if (Status made = admin_->CreateTopic(spec); !made) {
    Error error = std::move(made).error();
    // A request that cannot be granted is not granted later either.
    if (error.disposition == Disposition::kFatal) error.disposition = Disposition::kNeedsOperator;
    return std::move(error).Within("topic " + spec.name);
  }
  client_.logger.Info("topic created", {{"topic", spec.name}, {"partitions", spec.partitions}});
  // Brokers hear of it one after the other.
  const auto deadline = std::chrono::steady_clock::now() + 10s;
  do {
    TW_ASSIGN_OR_RETURN(facts, admin_->FindTopic(spec.name));
    if (facts) return *facts;
    std::this_thread::sleep_for(20ms);
  } while (std::chrono::steady_clock::now() < deadline);
  return Error{
      Disposition::kRetry, "kafka_not_ready",
      fmt::format("topic {} was made, but no broker knows it yet; looking again", spec.name)};
}

Result<const TargetTopic*> TargetTopics::Get(const std::string& topic) {
  const auto found = topics_.find(topic);
  if (found != topics_.end()) return &found->second;
  TW_ASSIGN_OR_RETURN(const kafka::TopicFacts facts,
                      FindOrMake({topic, create_.partitions, create_.replication, create_.settings},
                                 "make it, or let this sink do it with create: {partitions: …}"));
  TargetTopic target{topic, facts.partitions, kDefaultMaxMessageBytes, false};
  auto settings = admin_->TopicSettings(topic);
  if (settings) {
    if (const auto policy = settings->find("cleanup.policy"); policy != settings->end()) {
      target.compacted = policy->second.find("compact") != std::string::npos;
    }
    if (const auto limit = settings->find("max.message.bytes"); limit != settings->end()) {
      const std::string& text = limit->second;
      std::from_chars(text.data(), text.data() + text.size(), target.max_message_bytes);
    }
  } else if (settings.error().code != "kafka_not_authorized") {
    return std::move(settings).error();  // who may not look is told by the broker what is too large
  }
  return &topics_.emplace(topic, target).first->second;
}

Status TargetTopics::PrepareOffsetsTopic(const std::string& topic) {
  TW_ASSIGN_OR_RETURN(const kafka::TopicFacts facts,
                      FindOrMake({topic, 1, create_.replication, {{"cleanup.policy", "compact"}}},
                                 "the sink keeps its offsets there: make it with one partition and "
                                 "cleanup.policy=compact"));
  TW_ASSIGN_OR_RETURN(const auto settings, admin_->TopicSettings(topic));
  const auto policy = settings.find("cleanup.policy");
  if (facts.partitions == 1 && policy != settings.end() && policy->second == "compact") return {};
  return Error{
      Disposition::kNeedsOperator, "kafka_offsets_topic_unfit",
      fmt::format("topic {} has {} partitions and cleanup.policy={}; the sink's offsets need one "
                  "partition and cleanup.policy=compact, or they would be lost",
                  topic, facts.partitions, policy == settings.end() ? "?" : policy->second)};
}

}  // namespace tailwater::kafka_sink
