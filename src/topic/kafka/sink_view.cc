#include "topic/kafka/sink_view.h"

#include <algorithm>
#include <numeric>
#include <set>
#include <string_view>
#include <thread>
#include <utility>

#include "support/kafka/admin.h"
#include "support/kafka/consumer.h"
#include "support/kafka/group_member.h"
#include "topic/kafka/sink_place.h"

namespace tailwater {
namespace {

constexpr std::chrono::milliseconds kPatience{1'000};
constexpr std::chrono::milliseconds kLookAgain{5};

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
                                               const std::string& topic, bool committed = true) {
  kafka::ConsumerOptions options;
  options.client = settings.client;
  options.topic = topic;
  options.read_committed = committed;
  return kafka::Consumer::Create(std::move(options));
}

using Ends = std::map<int32_t, int64_t>;

Result<Ends> EndsOf(kafka::Consumer& asker, const std::vector<int32_t>& partitions,
                    std::chrono::milliseconds timeout) {
  TW_ASSIGN_OR_RETURN(const auto watermarks, asker.QueryWatermarks(partitions, timeout));
  Ends ends;
  for (const auto& [partition, marks] : watermarks) ends[partition] = marks.high;
  return ends;
}

bool Reaches(const Ends& ends, const Ends& others) {
  return std::all_of(others.begin(), others.end(),
                     [&](const auto& other) { return ends.at(other.first) >= other.second; });
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
  // A commit is answered a moment before readers see it: what lies there now is waited for, but not
  // for a transaction that stays open.
  TW_ASSIGN_OR_RETURN(const auto peeker, Asker(settings_, settings_.DeadLetterTopic(sink), false));
  TW_ASSIGN_OR_RETURN(const Ends written, EndsOf(*peeker, partitions, settings_.request_timeout));
  TW_ASSIGN_OR_RETURN(Ends ends, EndsOf(*asker, partitions, settings_.request_timeout));
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (!Reaches(ends, written) && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(kLookAgain);
    TW_ASSIGN_OR_RETURN(ends, EndsOf(*asker, partitions, settings_.request_timeout));
  }
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
