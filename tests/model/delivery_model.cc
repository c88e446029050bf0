#include "model/delivery_model.h"

#include <algorithm>
#include <climits>
#include <future>
#include <thread>
#include <utility>

#include "codec/codec.h"
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
  Problems problems;
  rules_.tables = TableSelection::Parse(nullptr, problems);
  if (!plain()) return;
  rules_.max_lane_wait = std::chrono::milliseconds(OneIn(3) ? 60'000 : Below(2'000));
  if (OneIn(3)) rules_.park_limit = Below(20);
  if (!trigger()) return;
  rules_.keeps_order_behind_dead = kind_ == SinkKind::kTrigger;
  rules_.halt_after = OneIn(2) ? 1'000'000 : Below(5);
}

void DeliveryModel::Violation(std::string what) {
  violations_.push_back(fmt::format("sink {}: {}", name_, what));
}

void DeliveryModel::Join() {
  rebalanced_ = rebalanced_ || !processes_.empty();
  SinkRunnerOptions options;
  options.batch_records = 1 + Below(OneIn(2) ? 10 : 200);
  options.window_records = options.batch_records + Below(200);
  options.read_bytes = 1 + Below(OneIn(2) ? 2000 : 50'000);
  options.parked_backoff = {100ms, 1s};
  options.clock = &clock_;
  options.random = [this] { return static_cast<double>(Below(1000)) / 1000; };
  auto process = std::make_unique<Process>();
  process->runner = std::make_unique<SinkRunner>(
      "model", name_, topic_,
      [this]() -> Result<std::unique_ptr<Sink>> {
        if (kind_ == SinkKind::kSqlite) {
          return NewTroubledSqliteMirror(*folder_ / "copy.db", name_, trouble_, &dying_, metrics_);
        }
        if (trigger()) {
          return std::unique_ptr<Sink>(std::make_unique<ModelTrigger>(receiver_, trouble_));
        }
        if (plain()) {
          return std::unique_ptr<Sink>(
              std::make_unique<PlainMirror>(target_, trouble_, kind_ == SinkKind::kCollapsing));
        }
        return std::unique_ptr<Sink>(std::make_unique<TransactionalMirror>(
            target_, trouble_, kind_ == SinkKind::kTransactional));
      },
      rules_, metrics_, options);
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
  const SinkStatus status = process.runner->Status();
  if (status.read != status.applied + status.superseded + status.filtered + status.dead +
                         status.parked + status.waiting) {
    Violation(
        fmt::format("{} records were read, {} applied, {} superseded, {} filtered, {} dead, "
                    "{} parked, {} wait",
                    status.read, status.applied, status.superseded, status.filtered, status.dead,
                    status.parked, status.waiting));
  }
  if (status.parked > 0) ++coverage_["step behind a parked key"];
  if (status.state == SinkState::kWaitingOperator) ++coverage_["step in front of a refused change"];
  if (status.replayed > 0) ++coverage_["step behind a replay"];
  if (result == SinkRunner::StepResult::kHalted) {
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
  if (closing_) return;
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
  Stop(index);
  topic_.FailNextCommit(Injected(), 0);
  if (!trigger()) target_ = before;
  dying_ = false;
}

void DeliveryModel::Stop(size_t index) {
  closing_ = true;  // its last calls to the target come while it leaves the list
  processes_.erase(processes_.begin() + static_cast<std::ptrdiff_t>(index));
  closing_ = false;
}

void DeliveryModel::Rebalance() {
  ++coverage_["rebalanced"];
  rebalanced_ = true;
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

void DeliveryModel::Requeue() {
  while (!processes_.empty()) Stop(0);
  ++coverage_["dead letters requeued"];
  auto subscription = topic_.Subscribe(name_, {}, [](const std::string&) {});
  const auto assignment = (*subscription)->Poll(0ms);
  if (const auto keys = (*subscription)->Requeue(assignment->generation, {}); !keys) {
    Violation("cannot be requeued: " + keys.error().message);
  }
}

bool DeliveryModel::Ask(size_t index, const std::function<bool(SinkRunner&)>& request) {
  Process& process = *processes_[index];
  auto answer = std::async(std::launch::async, [&] { return request(*process.runner); });
  // Posted before the first step, so that a seed is always the same world.
  while (process.runner->waiting_requests() == 0 &&
         answer.wait_for(0ms) != std::future_status::ready) {
    std::this_thread::yield();
  }
  if (process.runner->waiting_requests() > 0) Step(process);
  return answer.get();
}

void DeliveryModel::PauseOrResume(size_t index) {
  if (topic_.PeekOffsets(name_)->paused) {
    if (Ask(index, [](SinkRunner& runner) { return runner.Resume(1min).has_value(); })) {
      ++coverage_["resumed"];
    }
  } else if (Ask(index, [](SinkRunner& runner) { return runner.Pause(1min).has_value(); })) {
    ++coverage_["paused"];
  }
}

void DeliveryModel::RewindLive(size_t index) {
  RewindTarget to{RewindTarget::Kind::kOffsets};
  for (const auto& [partition, offset] : StoredOffsets()) {
    if (OneIn(3))
      to.offsets[partition] = static_cast<int64_t>(Below(static_cast<uint64_t>(offset) + 1));
  }
  if (OneIn(4)) to = {RewindTarget::Kind::kBeginning};
  const bool done = Ask(index, [&](SinkRunner& runner) {
    const auto plan = runner.Rewind(to, false, 1min);
    return plan && !plan->moves.empty();
  });
  if (done) ++coverage_["rewound while it runs"];
}

void DeliveryModel::ResumeAll() {
  for (int round = 0; round < 100 && topic_.PeekOffsets(name_)->paused; ++round) {
    PauseOrResume(static_cast<size_t>(round) % processes_.size());
    clock_.Advance(100ms);
  }
  if (topic_.PeekOffsets(name_)->paused) Violation("cannot be resumed");
}

bool DeliveryModel::HasParked() const {
  const std::vector<DeadLetter> letters = topic_.DeadLetters(name_);
  return std::any_of(letters.begin(), letters.end(),
                     [](const DeadLetter& letter) { return letter.code != kBaseMissing; });
}

void DeliveryModel::Break() {
  const size_t index = PickIdle();
  const bool has_process = index < processes_.size();
  const bool rewindable = plain() || kind_ == SinkKind::kTransactionalRewindable;
  switch (Below(trigger() ? 11 : 10)) {
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
    case 7:
      if (has_process) PauseOrResume(index);
      return;
    case 8:
      if (has_process && rewindable) RewindLive(index);
      return;
    case 10:
      return Requeue();
    default:
      if (rewindable) Rewind();
  }
}

Offsets DeliveryModel::StoredOffsets() const {
  if (plain()) return topic_.PeekOffsets(name_)->offsets;
  return kind_ == SinkKind::kSqlite ? ReadSqliteOffsets(*folder_ / "copy.db") : target_.offsets;
}

bool DeliveryModel::AtEnd() {
  const auto ranges = (*topic_.OpenReader())->Ranges();
  const Offsets offsets = StoredOffsets();
  return !HasParked() && std::all_of(ranges->begin(), ranges->end(), [&](const auto& range) {
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
  ResumeAll();
  for (size_t step = 0; step < 20'000 && violations_.empty(); ++step) {
    if (trigger() && step % 1'000 == 999) {  // what was refused is taken now
      Requeue();
      Join();
    }
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
  if (trigger()) return CheckReceiver();
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

// No record vanishes, and those of a key come in order: each for the first time behind all before
// it, and the newest of all at the end.
void DeliveryModel::CheckReceiver() {
  std::set<RecordPlace> taken;
  std::map<std::string, std::pair<RecordPlace, RecordPlace>> first_and_last;  // newest, last
  for (const Receiver::Taken& change : receiver_.taken) {
    const bool first_time = taken.insert(change.place).second;
    if (change.control) continue;
    const auto [entry, is_new] = first_and_last.try_emplace(change.key, change.place, change.place);
    auto& [newest, last] = entry->second;
    last = change.place;
    if (is_new || !first_time) continue;
    const bool ordered = kind_ == SinkKind::kTrigger || !receiver_.refused.contains(change.key);
    if (ordered && change.place < newest) {
      Violation(fmt::format("partition {}: offset {} came first behind offset {} of its key",
                            change.place.partition, change.place.offset, newest.offset));
    }
    newest = std::max(newest, change.place);
  }
  for (const auto& [key, places] : first_and_last) {
    const bool ordered = kind_ == SinkKind::kTrigger || !receiver_.refused.contains(key);
    // A process that lost its partition may be late.
    if (ordered && !rebalanced_ && places.first != places.second) {
      Violation(fmt::format("partition {}: the last of a key is offset {}, the newest {}",
                            places.first.partition, places.second.offset, places.first.offset));
    }
  }
  for (int32_t partition = 0; partition < partitions_; ++partition) {
    for (const auto& record : topic_.Records(partition)) {
      const auto headers = PeekHeaders(record.value);
      if (IsControl(headers->operation) &&
          (headers->operation != Operation::kTruncate || partition != 0)) {
        continue;
      }
      if (!taken.contains({partition, record.offset})) {
        Violation(fmt::format("partition {}: offset {} never came", partition, record.offset));
      }
    }
  }
}

}  // namespace tailwater::model
