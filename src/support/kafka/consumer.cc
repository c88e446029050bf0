#include "support/kafka/consumer.h"

#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <thread>
#include <utility>

#include "support/kafka/client_handle.h"
#include "support/kafka/partition_list.h"
#include "support/text.h"

namespace tailwater::kafka {
namespace {

using MessagePtr = std::unique_ptr<rd_kafka_message_t, decltype(&rd_kafka_message_destroy)>;
using QueuePtr = std::unique_ptr<rd_kafka_queue_t, decltype(&rd_kafka_queue_destroy)>;
using TopicPtr = std::unique_ptr<rd_kafka_topic_t, decltype(&rd_kafka_topic_destroy)>;

constexpr size_t kMessagesAtOnce = 512;
constexpr std::chrono::milliseconds kAskAgain{50};

Settings ConsumerSettings(const ConsumerOptions& options) {
  const auto number = [](size_t value) { return std::to_string(value); };
  return {{"enable.auto.commit", "false"},
          {"enable.auto.offset.store", "false"},
          {"auto.offset.reset", "error"},  // never a silent jump
          {"allow.auto.create.topics", "false"},
          {"isolation.level", options.read_committed ? "read_committed" : "read_uncommitted"},
          {"enable.partition.eof", "true"},
          {"check.crcs", "true"},
          {"queued.max.messages.kbytes", number(std::max<size_t>(1, options.queue_bytes >> 10))},
          {"fetch.message.max.bytes", number(options.fetch_bytes)},
          // All partitions of one broker together; librdkafka takes none below its
          // message.max.bytes.
          {"fetch.max.bytes",
           number(std::max({options.queue_bytes, options.fetch_bytes, size_t{1} << 20}))},
          {"fetch.wait.max.ms", number(static_cast<size_t>(options.fetch_wait.count()))},
          // After an error or an offset that cannot be read; a fetch that waits for the queue to
          // have room looks this often, too.
          {"fetch.error.backoff.ms", "100"}};
}

// A message's bytes, copied behind each other into one block: librdkafka's own buffers are shared
// by a whole fetch and cost some 500 bytes more per message.
class Block {
 public:
  explicit Block(size_t size) : data_(new char[size]) {}
  std::string_view Copy(const void* bytes, size_t size) {
    if (bytes == nullptr) return {};
    char* const to = data_.get() + used_;
    if (size > 0) std::memcpy(to, bytes, size);
    used_ += size;
    return {to, size};
  }

 private:
  std::unique_ptr<char[]> data_;
  size_t used_ = 0;
};

size_t BytesOf(const rd_kafka_message_t& message) { return message.key_len + message.len; }

// Calls `visit` with name, value and size of each header.
template <typename Visit>
void ForEachHeader(const rd_kafka_message_t& message, const Visit& visit) {
  rd_kafka_headers_t* headers = nullptr;
  if (rd_kafka_message_headers(&message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) return;
  const char* name = nullptr;
  const void* value = nullptr;
  size_t size = 0;
  for (size_t i = 0;
       rd_kafka_header_get_all(headers, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR;
       ++i) {
    visit(std::string_view(name), value, size);
  }
}

}  // namespace

class Consumer::Impl {
 public:
  explicit Impl(ConsumerOptions options) : options_(std::move(options)) {}
  ~Impl() {
    while (!streams_.empty()) Stop(streams_.begin()->first);
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  Status Connect() {
    TW_ASSIGN_OR_RETURN(client_, ClientHandle::Create(RD_KAFKA_CONSUMER, options_.client,
                                                      ConsumerSettings(options_)));
    topic_.reset(rd_kafka_topic_new(client_->get(), options_.topic.c_str(), nullptr));
    if (topic_ == nullptr) return client_->Failure(rd_kafka_last_error(), "opening the topic");
    return {};
  }

  Result<int32_t> Partitions(std::chrono::milliseconds timeout) {
    const std::string doing = "looking up topic " + options_.topic;
    const rd_kafka_metadata_t* found = nullptr;
    const auto code = rd_kafka_metadata(client_->get(), 0, topic_.get(), &found,
                                        static_cast<int>(timeout.count()));
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return client_->Failure(code, doing);
    const std::unique_ptr<const rd_kafka_metadata_t, decltype(&rd_kafka_metadata_destroy)> metadata(
        found, &rd_kafka_metadata_destroy);
    for (int i = 0; i < metadata->topic_cnt; ++i) {
      const rd_kafka_metadata_topic_t& topic = metadata->topics[i];
      if (options_.topic != topic.topic) continue;
      if (topic.err != RD_KAFKA_RESP_ERR_NO_ERROR) return client_->Failure(topic.err, doing);
      return topic.partition_cnt;
    }
    return client_->Failure(RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, doing);
  }

  Status Start(int32_t partition, int64_t offset) {
    Stop(partition);
    QueuePtr queue(rd_kafka_queue_new(client_->get()), &rd_kafka_queue_destroy);
    if (options_.on_ready) {
      rd_kafka_queue_cb_event_enable(
          queue.get(),
          [](rd_kafka_t*, void* self) { static_cast<Impl*>(self)->options_.on_ready(); }, this);
    }
    if (rd_kafka_consume_start_queue(topic_.get(), partition, offset, queue.get()) != 0) {
      return client_->Failure(rd_kafka_last_error(), Doing(partition));
    }
    streams_.emplace(partition, Stream{std::move(queue), {}, offset});
    return {};
  }

  void Stop(int32_t partition) {
    const auto stream = streams_.find(partition);
    if (stream == streams_.end()) return;
    rd_kafka_consume_stop(topic_.get(), partition);
    rd_kafka_queue_cb_event_enable(stream->second.queue.get(), nullptr, nullptr);
    streams_.erase(stream);
  }

  Taken Take(int32_t partition, size_t max_bytes);

  Result<std::map<int32_t, Watermarks>> QueryWatermarks(const std::vector<int32_t>& partitions,
                                                        std::chrono::milliseconds timeout) {
    std::map<int32_t, Watermarks> watermarks;
    TW_ASSIGN_OR_RETURN(const auto low, Query(partitions, RD_KAFKA_OFFSET_BEGINNING, timeout));
    TW_ASSIGN_OR_RETURN(const auto high, Query(partitions, RD_KAFKA_OFFSET_END, timeout));
    for (const int32_t partition : partitions) {
      watermarks[partition] = {low.at(partition), high.at(partition)};
    }
    return watermarks;
  }

  Result<std::optional<int64_t>> OffsetAt(int32_t partition, int64_t time_millis,
                                          std::chrono::milliseconds timeout) {
    TW_ASSIGN_OR_RETURN(const auto found,
                        Query({partition}, std::max<int64_t>(time_millis, 0), timeout));
    const int64_t offset = found.at(partition);
    return offset < 0 ? std::nullopt : std::optional<int64_t>(offset);
  }

  const ConsumerOptions& options() const { return options_; }
  const ClientHandle& client() const { return *client_; }

 private:
  struct Stream {
    QueuePtr queue;
    std::deque<MessagePtr> taken;  // off the queue, too much for the last Take()
    int64_t next_offset = 0;
  };

  std::string Doing(int32_t partition) const {
    return fmt::format("reading {}, partition {}", options_.topic, partition);
  }

  // As often as it takes while partitions have no leader: a topic may have been made just now. That
  // one is missing is the brokers' word: what the client knows by itself may be from an outage.
  Result<std::map<int32_t, int64_t>> Query(const std::vector<int32_t>& partitions, int64_t time,
                                           std::chrono::milliseconds timeout) {
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    while (true) {
      auto offsets = Ask(partitions, time, timeout);
      if (offsets) return offsets;
      Error error = std::move(offsets).error();
      if (error.code == "kafka_topic_missing") {
        TW_ASSIGN_OR_RETURN(const int32_t count, Partitions(timeout));
        for (const int32_t partition : partitions) {
          if (partition >= count) return error;
        }
        error = client_->Failure(RD_KAFKA_RESP_ERR__WAIT_CACHE,
                                 "asking for offsets of " + options_.topic);
      }
      if (error.code != "kafka_not_ready") return error;
      if (std::chrono::steady_clock::now() + kAskAgain >= deadline) return error;
      std::this_thread::sleep_for(kAskAgain);
    }
  }

  // One question per broker, for all of its partitions.
  Result<std::map<int32_t, int64_t>> Ask(const std::vector<int32_t>& partitions, int64_t time,
                                         std::chrono::milliseconds timeout) const {
    const std::string doing = "asking for offsets of " + options_.topic;
    const PartitionList list(options_.topic);
    for (const int32_t partition : partitions) list.Add(partition, time);
    const auto code =
        rd_kafka_offsets_for_times(client_->get(), list.get(), static_cast<int>(timeout.count()));
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return client_->Failure(code, doing);
    std::map<int32_t, int64_t> offsets;
    for (const rd_kafka_topic_partition_t& entry : list.entries()) {
      if (entry.err != RD_KAFKA_RESP_ERR_NO_ERROR) return client_->Failure(entry.err, doing);
      offsets[entry.partition] = entry.offset;
    }
    return offsets;
  }

  // Behind the last message that was taken off the queue, markers included; negative if none was.
  int64_t Position(int32_t partition) const {
    const PartitionList list(options_.topic);
    list.Add(partition, RD_KAFKA_OFFSET_INVALID);
    if (rd_kafka_position(client_->get(), list.get()) != RD_KAFKA_RESP_ERR_NO_ERROR) return -1;
    return list.entries()[0].err == RD_KAFKA_RESP_ERR_NO_ERROR ? list.entries()[0].offset : -1;
  }

  // Up to the messages of one batch; false: the queue is empty.
  bool TakeOff(Stream& stream) {
    rd_kafka_message_t* messages[kMessagesAtOnce];
    const auto count =
        rd_kafka_consume_batch_queue(stream.queue.get(), 0, messages, kMessagesAtOnce);
    for (ssize_t i = 0; i < count; ++i) {
      stream.taken.emplace_back(messages[i], &rd_kafka_message_destroy);
    }
    return count > 0;
  }

  const ConsumerOptions options_;
  std::unique_ptr<ClientHandle> client_;
  TopicPtr topic_{nullptr, &rd_kafka_topic_destroy};
  std::map<int32_t, Stream> streams_;
};

Taken Consumer::Impl::Take(int32_t partition, size_t max_bytes) {
  Stream& stream = streams_.at(partition);
  rd_kafka_poll(client_->get(), 0);
  Taken taken;
  taken.next_offset = stream.next_offset;
  std::vector<MessagePtr> messages;
  size_t header_bytes = 0;
  bool full = false;
  while (!full && !taken.error) {
    if (stream.taken.empty() && !TakeOff(stream)) break;
    const rd_kafka_message_t& message = *stream.taken.front();
    if (message.err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
      taken.next_offset = std::max(taken.next_offset, message.offset);
    } else if (message.err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      const auto* text = static_cast<const char*>(message.payload);
      client_->NoteError(message.err, text == nullptr ? "" : text);
      taken.error = client_->Failure(message.err, Doing(partition));
    } else {
      full = !messages.empty() && taken.bytes + BytesOf(message) > max_bytes;
      if (full) break;
      taken.bytes += BytesOf(message);
      if (options_.headers) {
        ForEachHeader(message, [&](std::string_view name, const void*, size_t size) {
          header_bytes += name.size() + size;
        });
      }
      taken.next_offset = message.offset + 1;
      messages.push_back(std::move(stream.taken.front()));
    }
    stream.taken.pop_front();
  }
  // Markers behind the last record come as no message, but they move the position.
  if (!full && !taken.error) {
    const int64_t position = Position(partition);
    if (position > taken.next_offset) {
      taken.next_offset = position;
    }
  }
  stream.next_offset = taken.next_offset;

  const auto block = std::make_shared<Block>(taken.bytes + header_bytes);
  taken.records.reserve(messages.size());
  for (const MessagePtr& message : messages) {
    IncomingRecord& record = taken.records.emplace_back();
    record.offset = message->offset;
    record.timestamp_millis = rd_kafka_message_timestamp(message.get(), nullptr);
    record.key = block->Copy(message->key, message->key_len);
    record.value = block->Copy(message->payload, message->len);
    if (options_.headers) {
      ForEachHeader(*message, [&](std::string_view name, const void* value, size_t size) {
        const std::string_view copy = block->Copy(name.data(), name.size());
        record.headers.emplace_back(copy, block->Copy(value, size));
      });
    }
  }
  taken.memory = block;
  return taken;
}

Consumer::Consumer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Consumer::~Consumer() = default;

Result<std::unique_ptr<Consumer>> Consumer::Create(ConsumerOptions options) {
  auto impl = std::make_unique<Impl>(std::move(options));
  TW_TRY(impl->Connect());
  return std::unique_ptr<Consumer>(new Consumer(std::move(impl)));
}

Result<int32_t> Consumer::Partitions(std::chrono::milliseconds timeout) {
  return impl_->Partitions(timeout);
}
Status Consumer::Start(int32_t partition, int64_t offset) {
  return impl_->Start(partition, offset);
}
void Consumer::Stop(int32_t partition) { impl_->Stop(partition); }
Taken Consumer::Take(int32_t partition, size_t max_bytes) {
  return impl_->Take(partition, max_bytes);
}
std::optional<Error> Consumer::Trouble() const { return impl_->client().Trouble(); }
Result<std::map<int32_t, Watermarks>> Consumer::QueryWatermarks(
    const std::vector<int32_t>& partitions, std::chrono::milliseconds timeout) {
  return impl_->QueryWatermarks(partitions, timeout);
}
Result<std::optional<int64_t>> Consumer::OffsetAt(int32_t partition, int64_t time_millis,
                                                  std::chrono::milliseconds timeout) {
  return impl_->OffsetAt(partition, time_millis, timeout);
}

}  // namespace tailwater::kafka
