#include <condition_variable>
#include <mutex>

#include "support/kafka/consumer.h"
#include "support/text.h"

namespace tailwater::kafka {
namespace {

using namespace std::chrono_literals;
using SteadyClock = std::chrono::steady_clock;

constexpr size_t kBytesAtOnce = 1 << 20;

// Told by librdkafka, waited for by the reader.
class Bell {
 public:
  void Ring() {
    const std::lock_guard lock(mutex_);
    rung_ = true;
    changed_.notify_all();
  }
  // Returns at once if it was rung since the last time.
  void Wait(std::stop_token stop, SteadyClock::time_point until) {
    std::unique_lock lock(mutex_);
    changed_.wait_until(lock, stop, until, [&] { return rung_; });
    rung_ = false;
  }

 private:
  std::mutex mutex_;
  std::condition_variable_any changed_;
  bool rung_ = false;
};

Status ReadUpTo(const ClientOptions& client, bool committed_end, const std::string& topic,
                int32_t partition, const std::stop_token& stop, std::chrono::milliseconds timeout,
                const std::function<Status(const IncomingRecord&)>& visit) {
  const auto deadline = SteadyClock::now() + timeout;
  const auto left = [&] {
    return std::max(1ms,
                    std::chrono::ceil<std::chrono::milliseconds>(deadline - SteadyClock::now()));
  };
  Bell bell;
  ConsumerOptions options;
  options.client = client;
  options.topic = topic;
  options.headers = true;
  options.fetch_wait = 20ms;  // the end is told soon, and this takes no long time
  options.read_committed = committed_end;
  Watermarks marks;
  {
    TW_ASSIGN_OR_RETURN(const auto asker, Consumer::Create(options));
    TW_TRY(asker->Partitions(left()));
    TW_ASSIGN_OR_RETURN(const auto all, asker->QueryWatermarks({partition}, left()));
    marks = all.at(partition);
  }
  if (marks.low >= marks.high) return {};
  options.read_committed = true;
  options.on_ready = [&bell] { bell.Ring(); };
  TW_ASSIGN_OR_RETURN(const auto consumer, Consumer::Create(options));
  TW_TRY(consumer->Partitions(left()));
  TW_TRY(consumer->Start(partition, marks.low));
  while (!stop.stop_requested()) {
    const Taken taken = consumer->Take(partition, kBytesAtOnce);
    for (const IncomingRecord& record : taken.records) {
      if (record.offset < marks.high) TW_TRY(visit(record));
    }
    if (taken.next_offset >= marks.high) return {};
    if (taken.error) return *taken.error;
    if (!taken.records.empty()) continue;
    if (SteadyClock::now() >= deadline) {
      return Error{Disposition::kRetry, "kafka_timeout",
                   fmt::format("{}, partition {} was read up to offset {} of {} in {} ms; a "
                               "transaction is open there, or the cluster is slow; it is tried "
                               "again",
                               topic, partition, taken.next_offset, marks.high, timeout.count())};
    }
    bell.Wait(stop, std::min(deadline, SteadyClock::now() + 1s));
  }
  return Error{Disposition::kCancelled, "stopped", "stopped while reading " + topic};
}

}  // namespace

Status ReadToEnd(const ClientOptions& client, const std::string& topic, int32_t partition,
                 std::stop_token stop, std::chrono::milliseconds timeout,
                 const std::function<Status(const IncomingRecord&)>& visit) {
  return ReadUpTo(client, false, topic, partition, stop, timeout, visit);
}

Status ReadStable(const ClientOptions& client, const std::string& topic, int32_t partition,
                  std::stop_token stop, std::chrono::milliseconds timeout,
                  const std::function<Status(const IncomingRecord&)>& visit) {
  return ReadUpTo(client, true, topic, partition, stop, timeout, visit);
}

}  // namespace tailwater::kafka
