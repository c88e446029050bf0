// What other processes may know of the sinks of a topic, without owning anything: places, dead
// letters, names. For status and lists.
//
// The dead letters that were read last are kept, and read again only when there is more: pages of a
// long list cost one reading. Threads: any.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "topic/kafka/letter_store.h"
#include "topic/kafka/settings.h"
#include "topic/topic.h"
#include "util/mutex.h"

namespace tailwater {

class SinkView {
 public:
  explicit SinkView(KafkaSettings settings) : settings_(std::move(settings)) {}

  // Empty where the topic or the sink is not known.
  Result<Subscription::Stored> Offsets(const std::string& sink);
  Result<Subscription::DeadLetterCounts> CountDeadLetters(const std::string& sink)
      TW_EXCLUDES(mutex_);
  Result<DeadLetterPage> ListDeadLetters(const std::string& sink, const DeadLetterFilter& filter,
                                         std::optional<RecordPlace> from, size_t limit,
                                         size_t max_bytes) TW_EXCLUDES(mutex_);
  // Of whom there is a group or a dead letter topic.
  Result<std::vector<std::string>> KnownSinks();

 private:
  // Nothing: there are none.
  Result<LetterStore*> Letters(const std::string& sink) TW_REQUIRES(mutex_);

  const KafkaSettings settings_;
  Mutex mutex_;
  std::string sink_ TW_GUARDED_BY(mutex_);  // whose letters are kept
  std::map<int32_t, int64_t> ends_ TW_GUARDED_BY(mutex_);
  std::unique_ptr<LetterStore> letters_ TW_GUARDED_BY(mutex_);
};

}  // namespace tailwater
