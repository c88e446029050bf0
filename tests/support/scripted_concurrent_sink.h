// A concurrent sink that does as it is told: what it is given stays in flight until the test, or
// the verdict of its target, says what becomes of it. Its Target outlives it. Thread-safe where a
// test finishes changes while a runner's thread works.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "support/scripted_sink.h"

namespace tailwater {

struct ScriptedFlights {
  struct Flight {
    uint64_t ticket = 0;
    std::string key;
    ScriptedTarget::Event event;
  };
  mutable std::mutex mutex;
  std::vector<Flight> flying;                    // in order of submission
  std::vector<ScriptedTarget::Event> submitted;  // all there ever were
  std::vector<ConcurrentSink::Finished> finished;
  std::function<void()> wake;
  std::optional<Error> error;  // of the next TakeFinished()
  size_t room = SIZE_MAX;      // in flight at once
  size_t cancels = 0;
  size_t keys_doubled = 0;  // a key had two changes in flight: never
  bool answers = true;      // at once, with the target's verdict; else Finish() does

  std::vector<int64_t> Flying() const {
    std::lock_guard lock(mutex);
    std::vector<int64_t> versions;
    for (const Flight& flight : flying) versions.push_back(flight.event.version);
    return versions;
  }
  std::vector<int64_t> Submitted() const {
    std::lock_guard lock(mutex);
    std::vector<int64_t> versions;
    for (const auto& event : submitted) versions.push_back(event.version);
    return versions;
  }
  void SetRoom(size_t changes) {
    std::unique_lock lock(mutex);
    room = changes;
    const auto call = wake;
    lock.unlock();
    if (call) call();
  }
};

class ScriptedConcurrentSink final : public ScriptedSink, public ConcurrentSink {
 public:
  ScriptedConcurrentSink(ScriptedTarget& target, ScriptedFlights& flights)
      : ScriptedSink(target, true), flights_(flights) {
    std::lock_guard lock(flights_.mutex);
    flights_.flying.clear();
    flights_.finished.clear();
  }
  ~ScriptedConcurrentSink() override {
    std::lock_guard lock(flights_.mutex);
    flights_.wake = nullptr;
  }

  ConcurrentSink* concurrent() override { return this; }
  Result<std::vector<Verdict>> Write(const DeliveryBatch&) override {
    return Error{Disposition::kFatal, "written_to", "a concurrent sink is never written to"};
  }

  void OnProgress(std::function<void()> wake) override {
    std::lock_guard lock(flights_.mutex);
    flights_.wake = std::move(wake);
  }
  size_t Room() const override {
    std::lock_guard lock(flights_.mutex);
    return flights_.room - std::min(flights_.room, flights_.flying.size());
  }
  void Submit(uint64_t ticket, const Delivery& delivery) override {
    std::unique_lock lock(flights_.mutex);
    for (const auto& flight : flights_.flying) {
      if (flight.key == delivery.key) ++flights_.keys_doubled;
    }
    ScriptedTarget::Event event{Id(*delivery.change),     delivery.change->operation,
                                delivery.change->version, delivery.partition,
                                delivery.offset,          delivery.replay};
    flights_.submitted.push_back(event);
    flights_.flying.push_back({ticket, std::string(delivery.key), std::move(event)});
    if (!flights_.answers) return;
    std::optional<Verdict> verdict;
    if (target_.verdict) verdict = target_.verdict(delivery);
    lock.unlock();
    Finish(target_, flights_, delivery.change->version, verdict.value_or(Verdict::Applied()));
  }
  Status TakeFinished(std::vector<Finished>& finished) override {
    std::lock_guard lock(flights_.mutex);
    for (Finished& done : flights_.finished) finished.push_back(std::move(done));
    flights_.finished.clear();
    if (flights_.error) return *std::exchange(flights_.error, std::nullopt);
    return {};
  }
  void CancelAll() override {
    std::lock_guard lock(flights_.mutex);
    ++flights_.cancels;
    flights_.flying.clear();
    flights_.finished.clear();
  }

  // The answer for the change of this version, any thread.
  static void Finish(ScriptedTarget& target, ScriptedFlights& flights, int64_t version,
                     Verdict verdict) {
    std::unique_lock lock(flights.mutex);
    const auto flight = std::find_if(flights.flying.begin(), flights.flying.end(),
                                     [&](const auto& one) { return one.event.version == version; });
    if (flight == flights.flying.end()) return;
    if (verdict.kind == Verdict::Kind::kApplied) target.events.push_back(flight->event);
    flights.finished.push_back({flight->ticket, std::move(verdict)});
    flights.flying.erase(flight);
    const auto wake = flights.wake;
    lock.unlock();
    if (wake) wake();
  }

 private:
  ScriptedFlights& flights_;
};

}  // namespace tailwater
