#include "topic/kafka/check.h"

#include <map>
#include <string>
#include <utility>

#include "support/kafka/admin.h"
#include "support/text.h"
#include "topic/kafka/head.h"
#include "topic/kafka/state.h"
#include "topic/kafka/topic_review.h"
#include "topic/kafka/topic_specs.h"

namespace tailwater {
namespace {

using Severity = Finding::Severity;

constexpr std::chrono::seconds kPatience{10};

class TopicCheck {
 public:
  explicit TopicCheck(const KafkaSettings& settings) : settings_(settings) {
    settings_.request_timeout = kPatience;
  }

  std::vector<Finding> Run() {
    auto admin = kafka::Admin::Create(settings_.client, kPatience);
    if (!admin) return Refused("brokers", std::move(admin).error());
    admin_ = *std::move(admin);
    const std::string brokers = settings_.client.connection.Describe();
    const auto count = admin_->BrokerCount();
    if (!count) return Refused(brokers, count.error());
    brokers_ = *count;
    Add(Severity::kOk, "brokers", brokers,
        fmt::format("{} broker{} reachable", brokers_, brokers_ == 1 ? "" : "s"));
    Look(RecordTopicSpec(settings_));
    const bool made = Look(StateTopicSpec(settings_));
    if (made) ReadHead();
    if (settings_.replication < 3) {
      Add(Severity::kWarning, "topic_replication_low", settings_.topic,
          fmt::format("with {} replica{}, what was acknowledged may be lost with one broker",
                      settings_.replication, settings_.replication == 1 ? "" : "s"),
          "write replication: 3 under topic before the topic is made");
    }
    if (made) FindHolder();
    return std::move(findings_);
  }

 private:
  void Add(Severity severity, std::string code, std::string subject, std::string message,
           std::string remedy = {}) {
    findings_.push_back(
        {severity, std::move(code), std::move(subject), std::move(message), std::move(remedy)});
  }
  std::vector<Finding> Refused(const std::string& subject, const Error& error) {
    Fail(subject, error);
    return std::move(findings_);
  }
  void Fail(const std::string& subject, const Error& error) {
    Add(Severity::kError, std::string(error.code), subject, error.message);
  }

  // Whether the topic is there.
  bool Look(const kafka::TopicSpec& spec) {
    const auto facts = admin_->FindTopic(spec.name);
    if (!facts) {
      Fail(spec.name, facts.error());
      return false;
    }
    if (!*facts) {
      LookWhetherItCanBeMade(spec);
      return false;
    }
    Add(Severity::kOk, "topic", spec.name,
        fmt::format("{} partitions, {} replicas", (*facts)->partitions, (*facts)->replication));
    const auto is = admin_->TopicSettings(spec.name);
    if (!is) {
      Add(Severity::kWarning, std::string(is.error().code), spec.name, is.error().message);
    }
    const std::map<std::string, std::string> none;
    for (const TopicDifference& difference : ReviewTopic(spec, **facts, is ? *is : none)) {
      Add(difference.refused ? Severity::kError : Severity::kWarning, std::string(difference.code),
          spec.name, difference.message, difference.remedy);
    }
    if (is) LookAtDurability(spec.name, **facts, *is);
    return true;
  }

  void LookAtDurability(const std::string& topic, const kafka::TopicFacts& facts,
                        const std::map<std::string, std::string>& is) {
    const auto in_sync = is.find("min.insync.replicas");
    if (facts.replication >= 2 && in_sync != is.end() && in_sync->second == "1") {
      Add(Severity::kWarning, "topic_min_insync_low", topic,
          "min.insync.replicas is 1: a record is acknowledged while one broker alone has it",
          fmt::format("kafka-configs --alter --topic {} --add-config min.insync.replicas=2",
                      topic));
    }
  }

  void LookWhetherItCanBeMade(const kafka::TopicSpec& spec) {
    if (!settings_.create) {
      Add(Severity::kError, "topic_not_created", spec.name, "is not there, and create is false",
          fmt::format("kafka-topics --create --topic {} --partitions {} --replication-factor {}{}",
                      spec.name, spec.partitions, spec.replication, Configs(spec)));
      return;
    }
    if (spec.replication > brokers_) {
      Add(Severity::kError, "topic_replication_too_high", spec.name,
          fmt::format("is to have {} replicas, and the cluster has {} broker{}", spec.replication,
                      brokers_, brokers_ == 1 ? "" : "s"),
          fmt::format("write replication: {} under topic, or start the missing brokers", brokers_));
      return;
    }
    if (const Status could = admin_->CheckCreateTopic(spec); !could) {
      Fail(spec.name, could.error());
      return;
    }
    Add(Severity::kInfo, "topic_will_be_made", spec.name, "is not there yet; capture makes it");
  }

  static std::string Configs(const kafka::TopicSpec& spec) {
    std::string text;
    for (const auto& [name, value] : spec.settings) {
      text += fmt::format(" --config {}={}", name, value);
    }
    return text;
  }

  void ReadHead() {
    const std::string topic = settings_.StateTopic();
    const auto stored = ReadState(settings_, {});
    if (!stored) return Fail(topic, stored.error());
    const auto entry = stored->find(std::string(kTopicHeadKey));
    if (entry == stored->end()) return;  // capture writes it, or says what is lost
    const auto head = ParseTopicHead(entry->second, settings_);
    if (!head) return Fail(topic, head.error());
    const Status status = CheckTopicHead(*head, settings_.partitions, settings_);
    if (!status) return Fail(topic, status.error());
    Add(Severity::kOk, "topic_head", topic, fmt::format("log {}", head->log_id));
  }

  void FindHolder() {
    const auto group = admin_->DescribeGroup(settings_.CaptureGroup());
    if (!group) {
      // A cluster that never had a group has no coordinator yet.
      Add(group.error().disposition == Disposition::kRetry ? Severity::kInfo : Severity::kError,
          std::string(group.error().code), settings_.CaptureGroup(), group.error().message);
      return;
    }
    for (const auto& member : group->members) {
      Add(Severity::kInfo, "topic_lease", settings_.CaptureGroup(),
          fmt::format("held by {} at {}",
                      member.instance_id.empty() ? member.client_id : member.instance_id,
                      member.host));
    }
  }

  KafkaSettings settings_;
  std::unique_ptr<kafka::Admin> admin_;
  int32_t brokers_ = 0;
  std::vector<Finding> findings_;
};

}  // namespace

std::vector<Finding> CheckKafkaTopic(const KafkaSettings& settings) {
  return TopicCheck(settings).Run();
}

}  // namespace tailwater
