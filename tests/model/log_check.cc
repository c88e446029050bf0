#include "model/log_check.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "codec/codec.h"
#include "support/text.h"

namespace tailwater::model {
namespace {

// position, ordinal, part
using Place = std::tuple<std::string, uint64_t, uint32_t>;

struct Expected {
  size_t entry = 0;
  size_t order = 0;  // in the source's history
  const LogEvent* event = nullptr;
  std::vector<int32_t> partitions;  // where it was found
};

struct SourceLog {
  const History* history = nullptr;
  std::map<Place, Expected> events;
  std::map<std::string, size_t> alone;         // messages outside of transactions -> times found
  std::map<std::string, size_t> entry_by_end;  // frontier -> entries up to there
};

// What was read of one source in one partition so far.
struct Progress {
  int64_t version = 0;
  size_t order = 0;
  size_t passed_entries = 0;                     // by the last frontier record
  std::map<std::string, uint64_t> schemas;       // table -> fingerprint
  std::map<std::string, int64_t> sweep_offsets;  // id of a TRUNCATE -> where its copy lies
};

bool SameRow(Row actual, const DatumRow& expected) {
  return std::equal(actual.begin(), actual.end(), expected.begin(), expected.end(),
                    [](const Value& a, const Datum& b) { return a == b.view(); });
}

class Checker {
 public:
  Checker(int32_t partitions, const std::vector<std::unique_ptr<History>>& histories,
          std::vector<std::string>& violations)
      : partitions_(partitions), violations_(violations) {
    for (const auto& history : histories) {
      SourceLog& log = sources_[history->source()];
      log.history = history.get();
      size_t order = 0;
      for (size_t entry = 0; entry < history->log().size(); ++entry) {
        const LogEntry& logged = history->log()[entry];
        log.entry_by_end[logged.end] = entry + 1;
        for (const LogEvent& event : logged.events) {
          if (logged.kind == LogEntry::Kind::kAlone) {
            log.alone[event.message] = 0;
          } else {
            log.events[{logged.position, event.ordinal, event.part}] = {entry, ++order, &event, {}};
          }
        }
      }
    }
  }

  void Read(const StubMemoryTopic& topic) {
    // Partition 0 last: its copy of a TRUNCATE lists the others'.
    for (int32_t partition = partitions_ - 1; partition >= 0; --partition) {
      for (const auto& record : topic.Records(partition)) {
        ChangeBatch batch;
        if (const Status status = decoder_.Decode(record.value, batch); !status) {
          Say("{}", status.error().message);
          continue;
        }
        CheckRecord(batch.changes()[0], record, partition);
      }
    }
    CheckCopies();
  }

 private:
  template <class... Args>
  void Say(fmt::format_string<Args...> format, Args&&... args) {
    violations_.push_back("log: " + fmt::format(format, std::forward<Args>(args)...));
  }

  void CheckRecord(const Change& change, const StubMemoryTopic::StoredRecord& record,
                   int32_t partition) {
    const auto source = sources_.find(std::string(change.source));
    if (source == sources_.end()) return Say("unknown source {}", change.source);
    SourceLog& log = source->second;
    Progress& progress = progress_[{source->first, partition}];
    const std::string id = Id(change);
    if (change.version <= progress.version) Say("{} has an older version than before it", id);
    progress.version = change.version;

    std::string key;
    encoder_.EncodeKey(change, key);
    if (key != record.key) Say("{} lies under another key", id);
    if (IsControl(change.operation)) {
      ++control_copies_[id][partition];
    } else if (PartitionOf(key, partitions_) != partition) {
      Say("{} lies in partition {}", id, partition);
    }

    switch (change.operation) {
      case Operation::kFrontier: {
        const auto entries = log.entry_by_end.find(std::string(change.frontier));
        if (entries != log.entry_by_end.end()) {
          if (entries->second < progress.passed_entries) Say("frontier {} goes back", id);
          progress.passed_entries = entries->second;
        }
        return;
      }
      case Operation::kSchema:
        progress.schemas[std::string(change.table)] = change.schema->fingerprint();
        return;
      default:
        break;
    }
    if (change.position == fmt::format("v{}", change.version)) {
      const auto message = log.alone.find(std::string(change.message_content));
      if (message == log.alone.end()) return Say("{} is of no message", id);
      if (++message->second > 1) Say("message '{}' twice", change.message_content);
      return;
    }
    const auto found = log.events.find({std::string(change.position), change.ordinal, change.part});
    if (found == log.events.end()) return Say("{} is of no event", id);
    CheckEvent(change, found->second, progress, partition);
    if (change.operation == Operation::kTruncate) CheckFence(change, record, partition);
  }

  void CheckEvent(const Change& change, Expected& expected, Progress& progress, int32_t partition) {
    const std::string id = Id(change);
    const LogEvent& event = *expected.event;
    expected.partitions.push_back(partition);
    if (expected.order <= progress.order) Say("{} is out of order", id);
    progress.order = expected.order;
    if (expected.entry < progress.passed_entries) Say("{} comes after its frontier record", id);
    if (change.operation != event.operation) Say("{} has another operation", id);
    if (!SameRow(change.before, event.before)) Say("{} has another old row", id);
    if (!SameRow(change.after, event.after)) Say("{} has another new row", id);
    if (change.message_content != event.message) Say("{} has another message", id);
    if (event.schema == nullptr) return;
    if (change.schema->fingerprint() != event.schema->fingerprint()) Say("{}: schema", id);
    const auto schema = progress.schemas.find(std::string(change.table));
    if (schema == progress.schemas.end() || schema->second != event.schema->fingerprint()) {
      Say("{} comes before the record of its schema", id);
    }
  }

  void CheckFence(const Change& change, const StubMemoryTopic::StoredRecord& record,
                  int32_t partition) {
    const std::string id = Id(change);
    const std::string source(change.source);
    progress_[{source, partition}].sweep_offsets[id] = record.offset;
    if (partition > 0) {
      if (!change.fence.empty()) Say("{}: a fence in partition {}", id, partition);
      return;
    }
    std::map<int32_t, int64_t> fence;
    for (const PartitionOffset& offset : change.fence) fence[offset.partition] = offset.offset;
    for (int32_t other = 1; other < partitions_; ++other) {
      if (!fence.contains(other) || fence[other] != progress_[{source, other}].sweep_offsets[id]) {
        Say("{}: the fence does not name its copy in partition {}", id, other);
      }
    }
  }

  void CheckCopies() {
    for (const auto& [id, copies] : control_copies_) {
      for (int32_t partition = 0; partition < partitions_; ++partition) {
        const auto copy = copies.find(partition);
        if (copy == copies.end() || copy->second != 1) {
          Say("control record {} is {} times in partition {}", id,
              copy == copies.end() ? 0 : copy->second, partition);
        }
      }
    }
    for (const auto& [name, log] : sources_) {
      for (const auto& [place, expected] : log.events) {
        const size_t copies =
            IsControl(expected.event->operation) ? static_cast<size_t>(partitions_) : 1;
        if (expected.partitions.size() != copies) {
          Say("{}:{}:{}:{} is {} times in the topic", name, std::get<0>(place), std::get<1>(place),
              std::get<2>(place), expected.partitions.size());
        }
      }
      for (const auto& [message, times] : log.alone) {
        if (times != 1) Say("message '{}' is {} times in the topic", message, times);
      }
    }
  }

  const int32_t partitions_;
  std::vector<std::string>& violations_;
  std::map<std::string, SourceLog> sources_;
  std::map<std::pair<std::string, int32_t>, Progress> progress_;
  std::map<std::string, std::map<int32_t, int>> control_copies_;
  Decoder decoder_;
  Encoder encoder_;
};

}  // namespace

void CheckLog(const StubMemoryTopic& topic, int32_t partitions,
              const std::vector<std::unique_ptr<History>>& histories,
              std::vector<std::string>& violations) {
  Checker(partitions, histories, violations).Read(topic);
}

}  // namespace tailwater::model
