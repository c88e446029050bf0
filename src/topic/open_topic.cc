#include "topic/open_topic.h"

#include "support/text.h"
#include "topic/local/local_topic.h"

namespace tailwater {

Result<std::unique_ptr<Topic>> OpenTopic(const TopicConfig& config, const std::string& pipeline,
                                         const std::string& instance) {
  static_cast<void>(instance);
  if (config.type == "local") {
    LocalTopic::Options options;
    options.path = config.path;
    options.retention = config.retention;
    options.max_bytes = config.max_size.bytes;
    options.flush_interval = config.flush_interval;
    options.flush_bytes = config.flush_size.bytes;
    options.capacity_bytes = config.queue_size.bytes;
    options.max_record_bytes = config.max_record_size.bytes;
    return std::unique_ptr<Topic>(std::make_unique<LocalTopic>(std::move(options)));
  }
  return Error{Disposition::kFatal, "topic_type_unknown",
               fmt::format("pipeline {}: there is no topic of type '{}'; write type: local",
                           pipeline, config.type)};
}

}  // namespace tailwater
