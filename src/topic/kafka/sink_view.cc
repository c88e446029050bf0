#include "topic/kafka/sink_view.h"

#include <numeric>
#include <set>
#include <string_view>

#include "support/kafka/admin.h"
#include "support/kafka/consumer.h"
#include "support/kafka/group_member.h"
#include "topic/kafka/sink_place.h"

namespace tailwater {
namespace {

// The partitions of a topic; nothing if it is not there.
Result<std::vector<int32_t>> PartitionsOf(kafka::Consumer& consumer,
                                          std::chrono::milliseconds timeout) {
  const auto count = consumer.Partitions(timeout);
  if (!count && count.error().code == "kafka_topic_missing") return std::vector<int32_t>();
  if (!count) return count.error();
  std::vector<int32_t> partitions(static_cast<size_t>(*count));
  std::iota(partitions.begin(), partitions.end(), 0);
  return partitions;
}

Result<std::unique_ptr<kafka::Consumer>> Asker(const KafkaSettings& settings,
                                               const std::string& topic) {
  kafka::ConsumerOptions options;
  options.client = settings.client;
  options.topic = topic;
  return kafka::Consumer::Create(std::move(options));
}

}  // namespace

Result<Subscription::Stored> SinkView::Offsets(const std::string& sink) {
  TW_ASSIGN_OR_RETURN(const auto asker, Asker(settings_, settings_.topic));
  TW_ASSIGN_OR_RETURN(const auto partitions, PartitionsOf(*asker, settings_.request_timeout));
  if (partitions.empty()) return Subscription::Stored();
  TW_ASSIGN_OR_RETURN(
      const auto committed,
      kafka::PeekCommitted(settings_.client, settings_.topic, settings_.SinkGroup(sink), partitions,
                           settings_.request_timeout));
  TW_ASSIGN_OR_RETURN(const SinkPlaces places, ParseSinkPlaces(committed));
  return Together(places);
}

Result<LetterStore*> SinkView::Letters(const std::string& sink) {
  TW_ASSIGN_OR_RETURN(const auto asker, Asker(settings_, settings_.DeadLetterTopic(sink)));
  TW_ASSIGN_OR_RETURN(const auto partitions, PartitionsOf(*asker, settings_.request_timeout));
  if (partitions.empty()) return static_cast<LetterStore*>(nullptr);
  TW_ASSIGN_OR_RETURN(const auto watermarks,
                      asker->QueryWatermarks(partitions, settings_.request_timeout));
  std::map<int32_t, int64_t> ends;
  for (const auto& [partition, marks] : watermarks) ends[partition] = marks.high;
  if (letters_ != nullptr && sink_ == sink && ends_ == ends) return letters_.get();
  letters_.reset();
  TW_ASSIGN_OR_RETURN(auto letters, LetterStore::Make());
  TW_TRY(letters->Load(settings_, sink, partitions, false));
  letters_ = std::move(letters);
  sink_ = sink;
  ends_ = std::move(ends);
  return letters_.get();
}

Result<Subscription::DeadLetterCounts> SinkView::CountDeadLetters(const std::string& sink) {
  MutexLock lock(mutex_);
  TW_ASSIGN_OR_RETURN(LetterStore* const letters, Letters(sink));
  if (letters == nullptr) return Subscription::DeadLetterCounts();
  return letters->table().Count();
}

Result<DeadLetterPage> SinkView::ListDeadLetters(const std::string& sink,
                                                 const DeadLetterFilter& filter,
                                                 std::optional<RecordPlace> from, size_t limit,
                                                 size_t max_bytes) {
  MutexLock lock(mutex_);
  TW_ASSIGN_OR_RETURN(LetterStore* const letters, Letters(sink));
  if (letters == nullptr) return DeadLetterPage();
  return letters->table().List(filter, from, limit, max_bytes);
}

Result<std::vector<std::string>> SinkView::KnownSinks() {
  TW_ASSIGN_OR_RETURN(const auto admin,
                      kafka::Admin::Create(settings_.client, settings_.request_timeout));
  TW_ASSIGN_OR_RETURN(const auto groups, admin->ListGroups());
  TW_ASSIGN_OR_RETURN(const auto topics, admin->ListTopics());
  const std::string prefix = settings_.SinkGroup("");
  std::set<std::string> sinks;
  const auto add = [&](std::string_view name, std::string_view suffix) {
    if (!name.starts_with(prefix) || !name.ends_with(suffix)) return;
    name.remove_prefix(prefix.size());
    name.remove_suffix(std::min(suffix.size(), name.size()));
    // Names of sinks hold no dot: what does belongs to another topic.
    if (!name.empty() && name.find('.') == std::string_view::npos) sinks.emplace(name);
  };
  for (const std::string& group : groups) {
    if (group != settings_.CaptureGroup()) add(group, "");
  }
  for (const std::string& topic : topics) add(topic, ".dlq");
  return std::vector<std::string>(sinks.begin(), sinks.end());
}

}  // namespace tailwater
