// A sink that keeps what it is given in memory and answers as it is told: once plain, once
// transactional with offsets of its own. Its Target outlives it, as a server outlives a process.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tailwater/sink.h"

namespace tailwater {

struct ScriptedTarget {
  struct Event {
    std::string id;
    Operation operation;
    int64_t version = 0;
    int32_t partition = 0;
    int64_t offset = 0;
    bool replay = false;
  };
  std::vector<Event> events;        // as applied, in order; of a transaction once it committed
  std::vector<std::string> sweeps;  // "public.orders<7"
  std::vector<size_t> batches;      // sizes of all Write() calls
  int opens = 0;
  std::vector<std::string> calls;  // of a transactional sink: "assigned 0,1", "stored offsets"
  int rollbacks = 0;
  // Transactional: what is stored with the data.
  TransactionalSink::Stored stored;

  // Answers of the next calls, first come first served; none: success.
  std::deque<Error> open_errors;
  std::deque<Error> write_errors;
  std::deque<Error> sweep_errors;
  std::deque<Error> commit_errors;
  // The verdict of a delivery; none: applied.
  std::function<std::optional<Verdict>(const Delivery&)> verdict;
  std::function<void()> before_commit;
  size_t verdicts_to_forget = 0;  // cut off the end of the next answer
  bool throws = false;

  std::vector<int64_t> Versions() const {
    std::vector<int64_t> versions;
    for (const Event& event : events) versions.push_back(event.version);
    return versions;
  }
};

class ScriptedSink : public Sink {
 public:
  explicit ScriptedSink(ScriptedTarget& target, bool wants_truncate_events = false)
      : target_(target), wants_truncate_events_(wants_truncate_events) {}

  Status Open() override {
    ++target_.opens;
    return Next(target_.open_errors);
  }

  Result<std::vector<Verdict>> Write(const DeliveryBatch& batch) override {
    target_.batches.push_back(batch.deliveries.size());
    if (target_.throws) throw std::runtime_error("scripted");
    TW_TRY(Next(target_.write_errors));
    std::vector<Verdict> verdicts;
    for (const Delivery& delivery : batch.deliveries) {
      std::optional<Verdict> verdict;
      if (target_.verdict) verdict = target_.verdict(delivery);
      verdicts.push_back(verdict.value_or(Verdict::Applied()));
      if (verdicts.back().kind == Verdict::Kind::kApplied &&
          delivery.change->operation != Operation::kFrontier) {
        Applied({Id(*delivery.change), delivery.change->operation, delivery.change->version,
                 delivery.partition, delivery.offset, delivery.replay});
      }
    }
    verdicts.resize(verdicts.size() - std::exchange(target_.verdicts_to_forget, 0));
    return verdicts;
  }

  Status Sweep(const SweepRequest& request) override {
    TW_TRY(Next(target_.sweep_errors));
    Swept(std::string(request.table) + "<" + std::to_string(request.version));
    return {};
  }

  bool wants_truncate_events() const override { return wants_truncate_events_; }

 protected:
  virtual void Applied(ScriptedTarget::Event event) { target_.events.push_back(std::move(event)); }
  virtual void Swept(std::string sweep) { target_.sweeps.push_back(std::move(sweep)); }
  static Status Next(std::deque<Error>& errors) {
    if (errors.empty()) return {};
    Error error = std::move(errors.front());
    errors.pop_front();
    return error;
  }

  ScriptedTarget& target_;
  bool wants_truncate_events_;
};

class ScriptedTransactionalSink final : public ScriptedSink, public TransactionalSink {
 public:
  explicit ScriptedTransactionalSink(ScriptedTarget& target) : ScriptedSink(target) {}

  TransactionalSink* transactional() override { return this; }
  Status Assigned(std::span<const int32_t> partitions) override {
    std::string call = "assigned";
    for (const int32_t partition : partitions) call += " " + std::to_string(partition);
    target_.calls.push_back(std::move(call));
    return {};
  }
  Result<Stored> StoredOffsets() override {
    target_.calls.push_back("stored offsets");
    return target_.stored;
  }

  Result<CommitOutcome> Commit(std::string_view log_id, const Offsets& expected,
                               const Offsets& next) override {
    if (target_.before_commit) std::exchange(target_.before_commit, nullptr)();
    if (!target_.commit_errors.empty()) return Next(target_.commit_errors).error();
    for (const auto& [partition, offset] : next) {
      const auto held = target_.stored.offsets.find(partition);
      const auto wanted = expected.find(partition);
      const bool same = held == target_.stored.offsets.end()
                            ? wanted == expected.end()
                            : wanted != expected.end() && wanted->second == held->second;
      if (!same) {
        Rollback();
        return CommitOutcome::kLost;
      }
    }
    target_.stored.log_id = log_id;
    for (const auto& [partition, offset] : next) target_.stored.offsets[partition] = offset;
    for (auto& event : open_events_) target_.events.push_back(std::move(event));
    for (auto& sweep : open_sweeps_) target_.sweeps.push_back(std::move(sweep));
    open_events_.clear();
    open_sweeps_.clear();
    return CommitOutcome::kCommitted;
  }

  void Rollback() override {
    if (!open_events_.empty() || !open_sweeps_.empty()) ++target_.rollbacks;
    open_events_.clear();
    open_sweeps_.clear();
  }

 private:
  void Applied(ScriptedTarget::Event event) override { open_events_.push_back(std::move(event)); }
  void Swept(std::string sweep) override { open_sweeps_.push_back(std::move(sweep)); }

  std::vector<ScriptedTarget::Event> open_events_;
  std::vector<std::string> open_sweeps_;
};

}  // namespace tailwater
