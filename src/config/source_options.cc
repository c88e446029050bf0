#include "config/source_options.h"

#include "support/text.h"

namespace tailwater {
namespace {

constexpr uint32_t kMostWorkers = 16;
constexpr uint32_t kMostRows = 1'000'000;
constexpr uint64_t kSmallestChunk = 64 << 10;
constexpr uint64_t kLargestChunk = 64 << 20;

}  // namespace

const OptionTable& SourceOptions() {
  using S = SnapshotOptions;
  static const OptionTable kSnapshot = {
      Choice("mode", &S::mode,
             "initial: every captured table is copied once, at the first start or when it is "
             "added. never: only what `tailwater sources snapshot` asks for.",
             {{"initial", SnapshotMode::kInitial}, {"never", SnapshotMode::kNever}}),
      Field("workers", &S::workers,
            "Chunks that are read at the same time, each on a session of its own."),
      Field("chunk_rows", &S::chunk_rows, "Rows of a chunk. A restart repeats one per worker."),
      Field("chunk_size", &S::chunk_size,
            "A chunk of wide rows ends at this size; each worker holds one in memory."),
      Field("max_retained_log", &S::max_retained_log,
            "Copying waits while the server keeps more log than this for us. 0: it does not look."),
      Field("max_lag", &S::max_lag,
            "Copying waits while the oldest change that is not in the topic is older. 0s: it does "
            "not look."),
      Field("max_sink_lag", &S::max_sink_lag,
            "Copying waits while the slowest sink is more records behind. 0: it does not look."),
      Field("follow_interval", &S::follow_interval,
            "How often to look for new tables that the patterns of `tables` select."),
  };
  static const OptionTable kOptions = {
      Section("snapshot", &SourceRules::snapshot,
              "Rows that are in the tables already: copied in chunks inside the running stream, "
              "resumable at any time.",
              kSnapshot),
      Choice("on_gap", &SourceRules::on_gap,
             "What to do when the server's log no longer holds what is needed. halt: wait for a "
             "person. resnapshot: start anew behind the gap and copy all tables again, deletes "
             "included.",
             {{"halt", GapPolicy::kHalt}, {"resnapshot", GapPolicy::kResnapshot}}),
  };
  return kOptions;
}

SourceRules ParseSourceRules(const ConfigNode& section, Problems& problems) {
  SourceRules rules;
  for (const OptionSpec& option : SourceOptions()) {
    if (const ConfigNode* node = section.Find(option.name)) option.parse(*node, &rules, problems);
  }
  const ConfigNode* snapshot = section.Find("snapshot");
  if (snapshot == nullptr) return rules;
  const auto check = [&](std::string_view key, uint64_t value, uint64_t least, uint64_t most) {
    const ConfigNode* node = snapshot->Find(key);
    if (node == nullptr || (value >= least && value <= most)) return;
    problems.Add(node->location, fmt::format("{}: must be from {} to {}", node->path, least, most));
  };
  check("workers", rules.snapshot.workers, 1, kMostWorkers);
  check("chunk_rows", rules.snapshot.chunk_rows, 1, kMostRows);
  check("chunk_size", rules.snapshot.chunk_size.bytes, kSmallestChunk, kLargestChunk);
  const ConfigNode* follow = snapshot->Find("follow_interval");
  if (follow != nullptr && rules.snapshot.follow_interval < std::chrono::milliseconds(100)) {
    problems.Add(follow->location, follow->path + ": must be at least 100ms");
  }
  return rules;
}

}  // namespace tailwater
