#include "model/delivery_model.h"

#include <algorithm>
#include <climits>
#include <utility>

#include "model/sqlite_model.h"
#include "support/text.h"

namespace tailwater::model {
namespace {

using namespace std::chrono_literals;

Error Injected() {
  return {Disposition::kRetry, "model_topic_down", "the model's topic is down, on purpose"};
}

std::string Describe(const ReadableRow& row) {
  std::string text;
  for (const auto& [column, value] : row) text += fmt::format("{}={} ", column, value);
  return text;
}

}  // namespace

DeliveryModel::DeliveryModel(std::string name, SinkKind kind, StubMemoryTopic& topic,
                             int32_t partitions, ManualClock& clock, std::mt19937_64& random,
                             std::vector<std::string>& violations, Coverage& coverage)
    : name_(std::move(name)),
      kind_(kind),
      topic_(topic),
      partitions_(partitions),
      clock_(clock),
      random_(random),
      violations_(violations),
      coverage_(coverage) {
  trouble_.one_in = [this](uint64_t n) { return !calm_ && OneIn(n); };
  trouble_.in_the_middle = [this] { InTheMiddle(); };
  trouble_.violations = &violations_;
  trouble_.coverage = &coverage_;
  if (kind_ == SinkKind::kSqlite) folder_ = std::make_unique<TemporaryFolder>();
}

void DeliveryModel::Violation(std::string what) {
  violations_.push_back(fmt::format("sink {}: {}", name_, what));
}

void DeliveryModel::Join() {
  Problems problems;
  SinkRunnerOptions options;
  options.batch_records = 1 + Below(OneIn(2) ? 10 : 200);
  options.window_records = options.batch_records + Below(200);
  options.read_bytes = 1 + Below(OneIn(2) ? 2000 : 50'000);
  options.clock = &clock_;
  options.random = [this] { return static_cast<double>(Below(1000)) / 1000; };
  auto process = std::make_unique<Process>();
  process->runner = std::make_unique<SinkRunner>(
      "model", name_, topic_,
      [this]() -> Result<std::unique_ptr<Sink>> {
        if (kind_ == SinkKind::kSqlite) {
          return NewTroubledSqliteMirror(*folder_ / "copy.db", name_, trouble_, &dying_, metrics_);
        }
        if (plain()) {
          return std::unique_ptr<Sink>(
              std::make_unique<PlainMirror>(target_, trouble_, kind_ == SinkKind::kCollapsing));
        }
        return std::unique_ptr<Sink>(std::make_unique<TransactionalMirror>(
            target_, trouble_, kind_ == SinkKind::kTransactional));
      },
      DeliveryRules{.tables = TableSelection::Parse(nullptr, problems)}, metrics_, options);
  processes_.push_back(std::move(process));
}

size_t DeliveryModel::PickIdle() {
  if (processes_.empty()) return 0;
  const size_t first = Below(processes_.size());
  for (size_t i = 0; i < processes_.size(); ++i) {
    const size_t index = (first + i) % processes_.size();
    if (!processes_[index]->stepping) return index;
  }
  return processes_.size();
}

void DeliveryModel::Step(Process& process) {
  process.stepping = true;
  const SinkRunner::StepResult result = process.runner->Step(0ms);
  process.stepping = false;
  if (result == SinkRunner::StepResult::kHalted) {
    const SinkStatus status = process.runner->Status();
    Violation(fmt::format("halted: {}: {} {}", status.code, status.message, status.record_id));
  }
  if (result == SinkRunner::StepResult::kWaiting) clock_.Advance(200ms);
}

void DeliveryModel::Step() {
  if (processes_.empty()) Join();
  const size_t index = PickIdle();
  if (index < processes_.size()) Step(*processes_[index]);
}

void DeliveryModel::InTheMiddle() {
  // Not too deep: a step in the middle of a step in the middle of a step.
  const auto busy = std::count_if(processes_.begin(), processes_.end(),
                                  [](const auto& process) { return process->stepping; });
  if (busy > 2) return;
  if (OneIn(2)) Rebalance();
  for (uint64_t steps = Below(6); steps > 0; --steps) {
    const size_t index = PickIdle();
    if (index >= processes_.size()) continue;
    ++coverage_["step in the middle of another's"];
    Step(*processes_[index]);
  }
}

void DeliveryModel::Kill(size_t index) {
  // What a dead process would still store, it can not: neither in the topic nor in the target.
  ++coverage_["delivery killed"];
  const Target before = target_;
  topic_.FailNextCommit(Injected(), INT_MAX);
  dying_ = true;
  processes_.erase(processes_.begin() + static_cast<std::ptrdiff_t>(index));
  topic_.FailNextCommit(Injected(), 0);
  target_ = before;
  dying_ = false;
}

void DeliveryModel::Stop(size_t index) {
  processes_.erase(processes_.begin() + static_cast<std::ptrdiff_t>(index));
}

void DeliveryModel::Rebalance() {
  ++coverage_["rebalanced"];
  if (OneIn(2)) return topic_.Rebalance(name_);
  std::vector<std::vector<int32_t>> partitions(processes_.size());
  if (partitions.empty()) return;
  for (int32_t partition = 0; partition < partitions_; ++partition) {
    partitions[Below(partitions.size())].push_back(partition);
  }
  topic_.Assign(name_, partitions);
}

void DeliveryModel::Rewind() {
  while (!processes_.empty()) Stop(0);
  Subscription::Update update;
  auto stored = topic_.PeekOffsets(name_);
  Offsets& offsets = plain() ? stored->offsets : target_.offsets;
  if (offsets.empty()) return;
  ++coverage_["rewound"];
  for (auto& [partition, offset] : offsets) {
    if (OneIn(3) || offset == 0) continue;
    int64_t& high = update.rewound_from[partition];
    high = std::max(offset, stored->rewound_from[partition]);
    offset = static_cast<int64_t>(Below(static_cast<uint64_t>(offset) + 1));
  }
  update.log_id = plain() ? stored->log_id : target_.log_id;
  update.offsets = offsets;
  auto subscription = topic_.Subscribe(name_, {}, [](const std::string&) {});
  const auto assignment = (*subscription)->Poll(0ms);
  topic_.FailNextCommit(Injected(), 0);
  if (const Status status = (*subscription)->Commit(assignment->generation, update); !status) {
    Violation("cannot be rewound: " + status.error().message);
  }
}

void DeliveryModel::Break() {
  const size_t index = PickIdle();
  const bool has_process = index < processes_.size();
  switch (Below(8)) {
    case 0:
      if (has_process) Kill(index);
      return;
    case 1:
      if (has_process) Stop(index);
      return;
    case 2:
    case 3:
      if (processes_.size() < (kind_ == SinkKind::kSqlite ? 1 : 3)) Join();
      return;
    case 4:
      return Rebalance();
    case 5:
      return topic_.FailNextRead(Injected());
    case 6:
      return topic_.FailNextCommit(Injected());
    default:
      if (plain() || kind_ == SinkKind::kTransactionalRewindable) Rewind();
  }
}

Offsets DeliveryModel::StoredOffsets() const {
  if (plain()) return topic_.PeekOffsets(name_)->offsets;
  return kind_ == SinkKind::kSqlite ? ReadSqliteOffsets(*folder_ / "copy.db") : target_.offsets;
}

bool DeliveryModel::AtEnd() {
  const auto ranges = (*topic_.OpenReader())->Ranges();
  const Offsets offsets = StoredOffsets();
  return std::all_of(ranges->begin(), ranges->end(), [&](const auto& range) {
    const auto offset = offsets.find(range.first);
    return offset != offsets.end() && offset->second == range.second.end;
  });
}

bool DeliveryModel::Finish() {
  calm_ = true;
  if (processes_.empty()) Join();
  for (auto& process : processes_) Step(*process);  // now each of them has joined the group
  std::vector<std::vector<int32_t>> partitions(processes_.size());
  for (int32_t partition = 0; partition < partitions_; ++partition) {
    partitions[static_cast<size_t>(partition) % partitions.size()].push_back(partition);
  }
  topic_.Assign(name_, partitions);
  for (size_t step = 0; step < 20'000 && violations_.empty(); ++step) {
    Step(*processes_[step % processes_.size()]);
    clock_.Advance(100ms);
    if (step % 8 == 7 && AtEnd()) return true;
  }
  return false;
}

void DeliveryModel::Check(const std::vector<std::unique_ptr<History>>& histories) {
  const auto counts = topic_.PeekDeadLetters(name_);
  for (const auto& [code, count] : counts->by_code) {
    Violation(fmt::format("{} dead letters with code {}", count, code));
  }
  Tables actual = target_.Rows();
  for (const auto& history : histories) {
    if (kind_ == SinkKind::kSqlite) {
      actual.merge(ReadSqliteMirror(*folder_ / "copy.db", *history, violations_));
    }
    for (const auto& [table, expected] : history->expected()) {
      const SchemaPtr& schema = history->schemas().at(table.second);
      const bool exact = kind_ == SinkKind::kTransactional || kind_ == SinkKind::kSqlite;
      if (schema->keyless() && !exact) continue;
      // Columns that the table has no more are nobody's business.
      std::set<std::string> columns;
      for (const Column& column : schema->columns()) columns.insert(column.name);
      std::multiset<ReadableRow> rows;
      for (ReadableRow row : actual[table]) {
        std::erase_if(row, [&](const auto& cell) { return !columns.contains(cell.first); });
        rows.insert(std::move(row));
      }
      if (rows == expected) continue;
      Violation(fmt::format("{}:{} holds {} rows, the source {}; they differ", table.first,
                            table.second, rows.size(), expected.size()));
      for (const ReadableRow& row : rows) {
        if (!expected.contains(row)) Violation("  only in the copy: " + Describe(row));
      }
      for (const ReadableRow& row : expected) {
        if (!rows.contains(row)) Violation("  only in the source: " + Describe(row));
      }
    }
  }
}

}  // namespace tailwater::model
