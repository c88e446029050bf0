#include "topic/kafka/head.h"

#include <random>

#include "support/text.h"
#include "topic/kafka/head.pb.h"

namespace tailwater {
namespace {

constexpr uint32_t kHeadFormat = 1;

std::string RandomLogId() {
  std::random_device random;
  const auto word = [&] { return uint64_t{random()} << 32 | random(); };
  return fmt::format("{:016x}{:016x}", word(), word());
}

}  // namespace

TopicHead TopicHead::Make(const KafkaSettings& settings, int32_t partitions, int64_t now_micros) {
  return {RandomLogId(), settings.pipeline, partitions, now_micros};
}

std::string TopicHead::Encode() const {
  state::v1::TopicHead wire;
  wire.set_format(kHeadFormat);
  wire.set_log_id(log_id);
  wire.set_pipeline(pipeline);
  wire.set_partitions(partitions);
  wire.set_created_micros(created_micros);
  return wire.SerializeAsString();
}

Result<TopicHead> ParseTopicHead(std::string_view value, const KafkaSettings& settings) {
  state::v1::TopicHead wire;
  if (!wire.ParseFromArray(value.data(), static_cast<int>(value.size())) || wire.format() == 0) {
    return Error{Disposition::kFatal, "topic_corrupt",
                 fmt::format("what {} holds under '{}' is no head of a topic; if another program "
                             "uses this topic, give the pipeline another topic name",
                             settings.StateTopic(), kTopicHeadKey)};
  }
  if (wire.format() > kHeadFormat) {
    return Error{Disposition::kNeedsOperator, "topic_format_newer",
                 fmt::format("{} was written by a newer Tailwater (format {}, this one knows {}); "
                             "install that version",
                             settings.topic, wire.format(), kHeadFormat)};
  }
  return TopicHead{wire.log_id(), wire.pipeline(), wire.partitions(), wire.created_micros()};
}

Status CheckTopicHead(const TopicHead& head, int32_t partitions, const KafkaSettings& settings) {
  if (head.pipeline != settings.pipeline) {
    return Error{Disposition::kNeedsOperator, "topic_of_other_pipeline",
                 fmt::format("topic {} belongs to pipeline '{}', this one is '{}'; give it another "
                             "topic name",
                             settings.topic, head.pipeline, settings.pipeline)};
  }
  if (head.partitions != partitions) {
    return Error{
        Disposition::kNeedsOperator, "topic_partitions_changed",
        fmt::format("topic {} has {} partitions and was made with {}: keys would move to others "
                    "and lose their order. Begin a new topic: give another name, and snapshot",
                    settings.topic, partitions, head.partitions)};
  }
  return {};
}

}  // namespace tailwater
