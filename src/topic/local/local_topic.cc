#include "topic/local/local_topic.h"

#include <algorithm>
#include <filesystem>

#include "support/text.h"
#include "topic/local/file_lock.h"
#include "topic/local/log_tail.h"
#include "topic/local/reader.h"
#include "topic/local/sink_file.h"
#include "topic/local/writer.h"

namespace tailwater {

using local::FileLock;
using local::LocalReader;
using local::LocalSubscription;
using local::LocalWriter;
using local::SinkFile;

namespace {

namespace fs = std::filesystem;

const Clock& TheSystemClock() {
  static const SystemClock kClock;
  return kClock;
}

LocalTopicOptions WithDefaults(LocalTopicOptions options) {
  if (options.clock == nullptr) options.clock = &TheSystemClock();
  while (options.path.size() > 1 && options.path.back() == '/') options.path.pop_back();
  return options;
}

Error Locked(const std::string& path) {
  return Error{
      Disposition::kNeedsOperator, "topic_locked",
      fmt::format("{} is held by {}; stop it, then try again", path, FileLock::Holder(path))};
}

Status Remove(const std::string& path) {
  std::error_code error;
  fs::remove(path, error);
  if (!error) return {};
  return Error{Disposition::kNeedsOperator, "topic_read_only",
               fmt::format("cannot remove {}: {}; let this user write to the folder", path,
                           error.message())};
}

Status RemoveDatabase(const std::string& path) {
  // The write-ahead log first: what is left of it would be taken for that of a new file.
  for (const char* suffix : {"-wal", "-shm", ""}) TW_TRY(Remove(path + suffix));
  return {};
}

}  // namespace

LocalTopic::LocalTopic(Options options)
    : options_(WithDefaults(std::move(options))),
      paths_{options_.path},
      tail_(std::make_shared<local::LogTail>()) {}

LocalTopic::~LocalTopic() = default;

std::string LocalTopic::Describe() const { return "local " + paths_.folder; }

Result<std::unique_ptr<TopicWriter>> LocalTopic::OpenWriter(
    std::stop_token stop, const std::function<void(std::string holder)>& standby) {
  TW_TRY(local::MakeFolder(paths_.folder));
  TW_ASSIGN_OR_RETURN(FileLock lock, FileLock::Wait(paths_.capture_lock(), stop, standby));
  TW_ASSIGN_OR_RETURN(auto writer, LocalWriter::Open(paths_, options_, std::move(lock), tail_));
  return std::unique_ptr<TopicWriter>(std::move(writer));
}

Result<std::shared_ptr<TopicReader>> LocalTopic::OpenReader() {
  MutexLock lock(mutex_);
  if (auto reader = reader_.lock()) return std::shared_ptr<TopicReader>(std::move(reader));
  TW_ASSIGN_OR_RETURN(auto reader, LocalReader::Open(paths_, tail_));
  reader_ = reader;
  return std::shared_ptr<TopicReader>(std::move(reader));
}

Result<std::unique_ptr<Subscription>> LocalTopic::Subscribe(
    const std::string& sink, std::stop_token stop,
    const std::function<void(std::string holder)>& standby) {
  if (sink == "changes" || sink == "capture") {
    return Error{Disposition::kFatal, "topic_reserved_name",
                 fmt::format("a sink cannot be named '{}' beside a local topic, whose own file "
                             "bears that name; give the sink another name",
                             sink)};
  }
  TW_TRY(local::MakeFolder(paths_.folder));
  TW_ASSIGN_OR_RETURN(FileLock lock, FileLock::Wait(paths_.sink_lock(sink), stop, standby));
  TW_ASSIGN_OR_RETURN(SinkFile file, SinkFile::OpenForWriting(paths_, sink));
  return std::unique_ptr<Subscription>(
      std::make_unique<LocalSubscription>(std::move(file), std::move(lock)));
}

Result<Subscription::Stored> LocalTopic::PeekOffsets(const std::string& sink) {
  TW_ASSIGN_OR_RETURN(auto file, SinkFile::OpenForReading(paths_, sink));
  if (!file) return Subscription::Stored();
  return file->Load();
}

Result<Subscription::DeadLetterCounts> LocalTopic::PeekDeadLetters(const std::string& sink) {
  TW_ASSIGN_OR_RETURN(auto file, SinkFile::OpenForReading(paths_, sink));
  if (!file) return Subscription::DeadLetterCounts();
  return file->CountDeadLetters();
}

Result<DeadLetterPage> LocalTopic::ListDeadLetters(const std::string& sink,
                                                   const DeadLetterFilter& filter,
                                                   std::optional<RecordPlace> from, size_t limit,
                                                   size_t max_bytes) {
  TW_ASSIGN_OR_RETURN(auto file, SinkFile::OpenForReading(paths_, sink));
  if (!file) return DeadLetterPage();
  return file->ListDeadLetters(filter, from, limit, max_bytes);
}

Result<std::vector<std::string>> LocalTopic::KnownSinks() {
  std::vector<std::string> sinks;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(paths_.folder, error)) {
    if (entry.path().extension() != ".db" || entry.path() == paths_.changes()) continue;
    // Other databases may lie here too. A sink's file has a lock beside it; anything else is not
    // even opened, for it may be in use.
    const std::string sink = entry.path().stem().string();
    std::error_code missing;
    if (!fs::exists(paths_.sink_lock(sink), missing)) continue;
    auto file = SinkFile::OpenForReading(paths_, sink);
    if (!file) {
      if (file.error().code == "topic_foreign_file" || file.error().code == "topic_corrupt") {
        continue;
      }
      return std::move(file).error();
    }
    if (*file) sinks.push_back(sink);
  }
  std::sort(sinks.begin(), sinks.end());
  return sinks;
}

Result<std::map<std::string, std::string>> LocalTopic::PeekState() {
  const auto peek = [&]() -> Result<std::map<std::string, std::string>> {
    std::map<std::string, std::string> state;
    TW_ASSIGN_OR_RETURN(auto log, local::OpenLogForReading(paths_));
    if (!log) return state;
    TW_ASSIGN_OR_RETURN(auto select, log->Prepare("SELECT key, value FROM state", false));
    while (true) {
      TW_ASSIGN_OR_RETURN(const bool row, select.Step());
      if (!row) return state;
      state.emplace(select.Text(0), select.Blob(1));
    }
  };
  auto state = peek();
  if (!state) return local::TopicError(std::move(state).error(), "local topic");
  return state;
}

std::optional<uint64_t> LocalTopic::StoredBytes() {
  uint64_t bytes = 0;
  for (const char* suffix : {"", "-wal"}) {
    std::error_code error;
    const auto size = fs::file_size(paths_.changes() + suffix, error);
    if (!error) bytes += size;
  }
  return bytes;
}

Status LocalTopic::Destroy() {
  std::error_code error;
  if (!fs::exists(paths_.folder, error)) return {};
  // Every lock is taken before the first file goes.
  TW_ASSIGN_OR_RETURN(const auto capture, FileLock::Try(paths_.capture_lock()));
  if (!capture) return Locked(paths_.capture_lock());
  TW_ASSIGN_OR_RETURN(const std::vector<std::string> sinks, KnownSinks());
  std::vector<FileLock> locks;
  for (const std::string& sink : sinks) {
    TW_ASSIGN_OR_RETURN(auto lock, FileLock::Try(paths_.sink_lock(sink)));
    if (!lock) return Locked(paths_.sink_lock(sink));
    locks.push_back(std::move(*lock));
  }
  for (const std::string& sink : sinks) {
    TW_TRY(RemoveDatabase(paths_.sink(sink)));
    TW_TRY(Remove(paths_.sink_lock(sink)));
  }
  TW_TRY(RemoveDatabase(paths_.changes()));
  TW_TRY(Remove(paths_.wake()));
  TW_TRY(Remove(paths_.capture_lock()));
  fs::remove(paths_.folder, error);  // only if nothing else is in it
  return {};
}

}  // namespace tailwater
