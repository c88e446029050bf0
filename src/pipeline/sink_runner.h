// Carries the topic's records to one sink and moves the sink's offsets by its verdicts alone.
//
// One runner per sink. Step() does one bounded piece of work: take the lease, open the sink,
// resolve the start, read, write, commit. The runner's thread loops over it; tests call it
// themselves. Threads:   Step() from one thread at a time; Status() and PublishMetrics() from any
// thread;
//            Start(), RequestStop() and Stop() from the owner's. Stop() is safe twice and before
//            Start().
// Ownership: the runner owns the sink and its subscription; topic and metrics outlive it.
//
// Invariants: an offset is committed only after every record before it has a final verdict, and
// after the dead letters among them are durable. A log id that changed, or an offset outside the
// log, halts the sink with a gap; it never jumps. See README.md for the crash and rebalance table.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "pipeline/delivery_rules.h"
#include "pipeline/sink_status.h"
#include "tailwater/metrics.h"
#include "tailwater/sink.h"
#include "tailwater/tables.h"
#include "topic/topic.h"
#include "util/backoff.h"
#include "util/clock.h"

namespace tailwater {

struct SinkRunnerOptions {
  // One Write(): at most this much.
  size_t batch_records = 10'000;
  size_t batch_bytes = 4 << 20;
  // Once a batch has its first record, how long to wait for more. 0: take what is there.
  std::chrono::milliseconds batch_wait{0};
  // Records read but not committed, over all partitions; records of keys that retry count too.
  size_t window_records = 50'000;
  size_t window_bytes = 16 << 20;  // decoded
  size_t read_bytes = 1 << 20;     // one fetch
  // Offsets that only passed records of others are stored this often.
  std::chrono::milliseconds idle_commit_interval{1'000};
  // Of a ConcurrentSink: offsets behind verdicts are stored this often while changes are in flight,
  // and at once when none is. A crash repeats at most what came within it.
  std::chrono::milliseconds commit_interval{100};
  // Parked keys: how soon, and at most how rarely, the oldest record of each is tried again.
  BackoffOptions parked_backoff{std::chrono::milliseconds(5'000),
                                std::chrono::milliseconds(300'000)};
  // Tables without a key that the sink takes; asked before a transactional sink is rewound. Empty:
  // there are none.
  std::function<Result<std::vector<std::string>>()> keyless_tables;
  // Asked before the sink is made, with backoff until it agrees: whether conditions and mappings
  // fit the tables as the source's server describes them. May be empty.
  std::function<Status()> preflight;
  BackoffOptions backoff;  // of the target as a whole, and of each key that it puts off
  // Replaced by tests; null and empty mean the system's.
  const Clock* clock = nullptr;
  RandomSource random;
};

// Where to go back to.
struct RewindTarget {
  enum class Kind : uint8_t {
    kBeginning,  // the oldest records that the topic still holds
    kTime,       // the first record published at or after time_micros
    kOffsets,    // these offsets; a partition that is not named stays where it is
  };
  Kind kind = Kind::kBeginning;
  int64_t time_micros = 0;
  Offsets offsets;
};

// What a rewind does, or did.
struct RewindPlan {
  struct Move {
    int64_t from = 0;
    int64_t to = 0;
    bool operator==(const Move&) const = default;
  };
  std::map<int32_t, Move> moves;  // the partitions that move back; none: all stand there already
  uint64_t records = 0;           // are read again; less where offsets have holes
  bool replays_skipped =
      false;  // the sink takes no replays (`replay:`), so none reaches its target
};

class SinkRunner {
 public:
  using CreateSink = std::function<Result<std::unique_ptr<Sink>>()>;

  // `metrics` is already labelled with pipeline and sink.
  SinkRunner(std::string pipeline, std::string sink, Topic& topic, CreateSink create,
             DeliveryRules rules, Metrics& metrics, SinkRunnerOptions options = {});
  ~SinkRunner();
  SinkRunner(const SinkRunner&) = delete;
  SinkRunner& operator=(const SinkRunner&) = delete;

  enum class StepResult : uint8_t {
    kProgress,  // something was read, written or committed: call again at once
    kIdle,      // at the end of the topic, `timeout` passed
    kWaiting,   // a backoff, the lease or other partitions are waited for, `timeout` passed
    kHalted,    // see Status(); further steps do nothing
    kStopped,   // Stop() was called
  };
  // Waits at most about `timeout` if there is nothing to do. Only taking the lease may wait longer:
  // until it is ours, or Stop().
  StepResult Step(std::chrono::milliseconds timeout);

  void Start();
  // The call in progress is the last one. Returns at once, so that many sinks can end together.
  void RequestStop();
  // Waits for the call in progress, commits what is final, releases the lease.
  void Stop();

  // Asks the topic for its end, so the lag is true even while the sink is stuck in a call.
  SinkStatus Status() const;
  // Dead letters, by any thread, while the sink runs or waits for whatever: handed to the sink's
  // thread, which does it within its next step. kRetry "sink_busy" if that does not come within
  // `timeout`, or the sink is halted, stopped or not ours: nothing was done then.
  // Makes what matches due again, in order of each key; answers how many keys that are.
  Result<uint64_t> RequeueDeadLetters(const DeadLetterFilter& filter,
                                      std::chrono::milliseconds timeout);
  // Deletes what matches for ever; answers how many records that were.
  Result<uint64_t> DropDeadLetters(const DeadLetterFilter& filter,
                                   std::chrono::milliseconds timeout);
  // By a person, by any thread, as the calls above; of the partitions that are this process's:
  // where several share the sink, each is asked by itself. Durable: a paused sink stays so over
  // restarts, until it is resumed. It commits what is final, lets what is in flight come back,
  // keeps its lease and reads nothing. True: it was not so before.
  Result<bool> Pause(std::chrono::milliseconds timeout);
  Result<bool> Resume(std::chrono::milliseconds timeout);
  // Moves the sink back, in one commit; what is in flight is given up and comes again. Records
  // below the old place are replays from then on; stored dead and parked records that come again
  // are dropped. A paused sink stays paused. `dry_run`: only says what it would do. kReject
  // "rewind_refused": it would lose changes, or go to where the topic holds nothing;
  // "rewind_keyless": a transactional sink holds tables without keys.
  Result<RewindPlan> Rewind(const RewindTarget& to, bool dry_run,
                            std::chrono::milliseconds timeout);
  // Of these calls, those that wait for the next step; for tests that step by themselves.
  size_t waiting_requests() const;
  // Sets the gauges (lag, state) from Status(). Call it before every scrape.
  void PublishMetrics();

 private:
  const std::string thread_name_;
  std::unique_ptr<class SinkLoop> loop_;
  std::jthread thread_;
};

}  // namespace tailwater
