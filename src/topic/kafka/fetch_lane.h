// One client that reads partitions of the topic, each from a place of its own on, for the sinks
// that are there.
//
// A lane reads on only when somebody asks for what comes next: the foremost sink moves it, those
// behind it read what it holds. Not thread-safe: KafkaReader's lock.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "support/kafka/consumer.h"
#include "topic/kafka/batch_chain.h"

namespace tailwater {

class FetchLane {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  struct Options {
    kafka::ClientOptions client;
    std::string topic;
    size_t partition_bytes = 0;      // held of each partition; as much again is fetched ahead
    std::function<void()> on_ready;  // as that of kafka::Consumer
  };

  static Result<std::unique_ptr<FetchLane>> Open(Options options);

  bool Reads(int32_t partition) const { return streams_.contains(partition); }
  bool Covers(int32_t partition, int64_t offset) const;
  int64_t End(int32_t partition) const { return streams_.at(partition).chain.end(); }
  bool idle() const { return streams_.empty(); }

  Status Start(int32_t partition, int64_t offset, TimePoint now);
  // Whether Read() has something to say; takes over what came. Covers() must hold, as for Read().
  bool Look(int32_t partition, int64_t offset, size_t max_bytes, TimePoint now);
  // Null: nothing has come yet. After an error the partition is no longer read.
  Result<std::shared_ptr<const ReadBatch>> Read(int32_t partition, int64_t offset, size_t max_bytes,
                                                TimePoint now);
  // Stops reading what nobody asked for since.
  void StopIdle(TimePoint since);

  kafka::Consumer& consumer() { return *consumer_; }

 private:
  struct Stream {
    BatchChain chain;
    TimePoint last_use;
    std::optional<Error> error;  // behind the chain's end
  };
  explicit FetchLane(Options options) : options_(std::move(options)) {}
  void Stop(int32_t partition);
  void Take(int32_t partition, Stream& stream, size_t max_bytes);

  const Options options_;
  std::unique_ptr<kafka::Consumer> consumer_;
  std::map<int32_t, Stream> streams_;
};

}  // namespace tailwater
