// The embedded topic: a folder with an SQLite log, one more file per sink, and locks.
//
// One partition. See src/topic/local/README.md for who writes what. Thread-safe; handles outlive
// it.
#pragma once

#include <memory>
#include <string>

#include "topic/local/log_file.h"
#include "topic/local/options.h"
#include "topic/topic.h"
#include "util/mutex.h"

namespace tailwater {

namespace local {
class LocalReader;
class LogTail;
}  // namespace local

class LocalTopic final : public Topic {
 public:
  using Options = LocalTopicOptions;
  // Touches nothing yet.
  explicit LocalTopic(Options options);
  ~LocalTopic() override;

  std::string Describe() const override;
  Result<std::unique_ptr<TopicWriter>> OpenWriter(
      std::stop_token stop, const std::function<void(std::string holder)>& standby) override;
  Result<std::shared_ptr<TopicReader>> OpenReader() override;
  // kFatal "topic_reserved_name": a sink named "changes" or "capture" would meet our own files.
  Result<std::unique_ptr<Subscription>> Subscribe(
      const std::string& sink, std::stop_token stop,
      const std::function<void(std::string holder)>& standby) override;
  Result<Subscription::Stored> PeekOffsets(const std::string& sink) override;
  Result<Subscription::DeadLetterCounts> PeekDeadLetters(const std::string& sink) override;
  Result<DeadLetterPage> ListDeadLetters(const std::string& sink, const DeadLetterFilter& filter,
                                         std::optional<RecordPlace> from, size_t limit,
                                         size_t max_bytes) override;
  Result<std::vector<std::string>> KnownSinks() override;
  Result<std::map<std::string, std::string>> PeekState() override;
  std::optional<uint64_t> StoredBytes() override;
  // kNeedsOperator "topic_locked": capture or a sink still runs. Removes only files of the topic's
  // own, and the folder if nothing else is in it.
  Status Destroy() override;

 private:
  const Options options_;
  const local::Paths paths_;
  const std::shared_ptr<local::LogTail> tail_;
  Mutex mutex_;
  // One for all sinks of the process, as long as one of them holds it.
  std::weak_ptr<local::LocalReader> reader_ TW_GUARDED_BY(mutex_);
};

}  // namespace tailwater
