#include "support/kafka/producer.h"

#include <algorithm>
#include <array>
#include <thread>

#include "support/kafka/producer_impl.h"
#include "support/text.h"

namespace tailwater::kafka {
namespace {

using SteadyClock = std::chrono::steady_clock;
using namespace std::chrono_literals;

// Beside key and value: headers, and what the protocol adds.
constexpr size_t kRecordOverhead = 64 << 10;
constexpr size_t kLargestMessage = 1'000'000'000;  // librdkafka's own bound
constexpr auto kSlice = 500ms;  // between looks at what the brokers say, and at stop requests
constexpr auto kLastWords = 1s;

int Millis(SteadyClock::duration duration) {
  return static_cast<int>(std::max<int64_t>(
      0, std::chrono::duration_cast<std::chrono::milliseconds>(duration).count()));
}

int SliceUntil(SteadyClock::time_point deadline) {
  return std::max(1, std::min(Millis(deadline - SteadyClock::now()), Millis(kSlice)));
}

Error Cancelled() { return Error{Disposition::kCancelled, "cancelled", "stopped"}; }

}  // namespace

Producer::Impl::~Impl() {
  if (handle_ == nullptr) return;
  if (open_ && !handle_->Fatal()) (void)Abort(kLastWords);
  rd_kafka_purge(handle_->get(), RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT |
                                     RD_KAFKA_PURGE_F_NON_BLOCKING);
  for (const auto& [name, topic] : topics_) rd_kafka_topic_destroy(topic);
}

Status Producer::Impl::Start() {
  const size_t message = std::min(options_.max_record_bytes + kRecordOverhead, kLargestMessage);
  const size_t queue = std::max(options_.queue_bytes, message) * 2;  // we wait before it does
  const auto timeout = options_.transaction_timeout.count();
  const Settings settings = {
      {"transactional.id", options_.transactional_id},
      {"transaction.timeout.ms", std::to_string(timeout)},
      // An outage that outlasts the transaction ends it; what was queued is read again.
      {"message.timeout.ms", std::to_string(timeout)},
      {"socket.timeout.ms", std::to_string(std::max<int64_t>(1000, timeout - 1000))},
      {"compression.codec", options_.compression},
      {"linger.ms", std::to_string(options_.linger.count())},
      {"message.max.bytes", std::to_string(message)},
      {"batch.size", std::to_string(std::min<size_t>(message, 1'000'000))},
      {"queue.buffering.max.kbytes", std::to_string(std::min<size_t>(queue / 1024, 2'000'000))},
      {"queue.buffering.max.messages", "10000000"},
  };
  ClientHandle::Hooks hooks;
  hooks.opaque = this;
  // As events and not through a callback: flush then waits for the last report itself instead of
  // looking for it every 10 ms.
  hooks.configure = [](rd_kafka_conf_t* conf) {
    rd_kafka_conf_set_events(
        conf, RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_OAUTHBEARER_TOKEN_REFRESH);
  };
  hooks.on_event = [this](rd_kafka_event_t* event) {
    if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_DR) HandleDelivered(event);
  };
  TW_ASSIGN_OR_RETURN(handle_, ClientHandle::Create(RD_KAFKA_PRODUCER, options_.client, settings,
                                                    std::move(hooks)));
  return {};
}

void Producer::Impl::HandleDelivered(rd_kafka_event_t* event) {
  const std::lock_guard lock(mutex_);
  const rd_kafka_topic_t* last_topic = nullptr;
  std::map<int32_t, int64_t>* offsets = nullptr;
  while (const rd_kafka_message_t* message = rd_kafka_event_message_next(event)) {
    queued_bytes_ -= message->len + message->key_len;
    --queued_records_;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
      if (message->rkt != last_topic) {
        last_topic = message->rkt;
        offsets = &delivered_[rd_kafka_topic_name(message->rkt)];
      }
      int64_t& offset = (*offsets)[message->partition];
      offset = std::max(offset, message->offset);
      continue;
    }
    // What we drop ourselves is no news.
    if (failed_ || message->err == RD_KAFKA_RESP_ERR__PURGE_QUEUE ||
        message->err == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT) {
      continue;
    }
    failed_ = handle_->Failure(message->err,
                               fmt::format("a record for {}-{} was not stored",
                                           rd_kafka_topic_name(message->rkt), message->partition));
  }
  room_.notify_all();
}

rd_kafka_topic_t* Producer::Impl::TopicHandle(const std::string& topic) {
  rd_kafka_topic_t*& handle = topics_[topic];
  if (handle == nullptr) handle = rd_kafka_topic_new(handle_->get(), topic.c_str(), nullptr);
  return handle;
}

std::optional<Error> Producer::Impl::FailedRecord() const {
  const std::lock_guard lock(mutex_);
  return failed_;
}

Error Producer::Impl::Refused(rd_kafka_error_t* error, std::string_view doing) const {
  const bool fatal = rd_kafka_error_is_fatal(error) != 0;
  const bool abort = rd_kafka_error_txn_requires_abort(error) != 0;
  Error failure = handle_->Failure(error, doing);
  if (fatal) {
    if (auto cause = handle_->Fatal()) return std::move(*cause).Within(doing);
    return failure;
  }
  // A record that was not stored is the better reason.
  if (auto record = FailedRecord()) failure = std::move(*record).Within(doing);
  if (abort && failure.disposition == Disposition::kRetry && failure.code != "kafka_fenced") {
    failure.code = "kafka_transaction_aborted";
  }
  return failure;
}

Status Producer::Impl::Init(const std::stop_token& stop, std::chrono::milliseconds timeout) {
  const std::string doing =
      fmt::format("taking over transactional id '{}'", options_.transactional_id);
  const auto deadline = SteadyClock::now() + timeout;
  while (true) {
    if (stop.stop_requested()) return Cancelled();
    rd_kafka_error_t* error = rd_kafka_init_transactions(handle_->get(), SliceUntil(deadline));
    if (error == nullptr) return {};
    const bool again = rd_kafka_error_is_retriable(error) != 0;
    Error failure = handle_->Failure(error, doing);
    if (!again || SteadyClock::now() >= deadline) return failure;
    // Waiting longer would not help.
    if (auto trouble = handle_->Trouble()) return std::move(*trouble).Within(doing);
  }
}

Status Producer::Impl::Prepare(const std::string& topic, std::chrono::milliseconds timeout) {
  const std::string doing = fmt::format("finding the leaders of topic {}", topic);
  const auto deadline = SteadyClock::now() + timeout;
  rd_kafka_topic_t* handle = TopicHandle(topic);
  rd_kafka_resp_err_t answer = RD_KAFKA_RESP_ERR__TIMED_OUT;  // the last that was one
  while (true) {
    const rd_kafka_metadata_t* metadata = nullptr;
    rd_kafka_resp_err_t error =
        rd_kafka_metadata(handle_->get(), 0, handle, &metadata, SliceUntil(deadline));
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR) {
      error = metadata->topic_cnt == 1 ? metadata->topics[0].err
                                       : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
      for (int i = 0; error == RD_KAFKA_RESP_ERR_NO_ERROR && i < metadata->topics[0].partition_cnt;
           ++i) {
        if (metadata->topics[0].partitions[i].leader < 0) {
          error = RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE;
        }
      }
      rd_kafka_metadata_destroy(metadata);
      if (error == RD_KAFKA_RESP_ERR_NO_ERROR) return {};
    }
    if (!IsSilence(error)) answer = error;
    // A topic that was just made is unknown for a moment.
    const bool again = FindErrorRow(error).disposition == Disposition::kRetry ||
                       error == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    if (!again || SteadyClock::now() >= deadline) return handle_->Failure(answer, doing);
    if (auto trouble = handle_->Trouble()) return std::move(*trouble).Within(doing);
    std::this_thread::sleep_for(20ms);
  }
}

Status Producer::Impl::Begin() {
  {
    const std::lock_guard lock(mutex_);
    failed_.reset();
    for (auto& [topic, offsets] : delivered_) offsets.clear();
  }
  if (rd_kafka_error_t* error = rd_kafka_begin_transaction(handle_->get())) {
    return handle_->Failure(error, "beginning a transaction");
  }
  open_ = true;
  return {};
}

Status Producer::Impl::WaitForRoom(size_t bytes) {
  const auto deadline = SteadyClock::now() + options_.transaction_timeout + 5s;
  std::unique_lock lock(mutex_);
  while (!failed_ && queued_bytes_ > 0 && queued_bytes_ + bytes > options_.queue_bytes) {
    if (SteadyClock::now() >= deadline) {
      lock.unlock();
      return handle_->Failure(RD_KAFKA_RESP_ERR__TIMED_OUT, "waiting for records to be stored");
    }
    room_.wait_for(lock, 100ms);
  }
  if (failed_) return Error(*failed_);
  return {};
}

Status Producer::Impl::Send(const std::string& topic, const OutgoingRecord& record) {
  const size_t bytes = record.key.size() + record.value.size();
  const auto doing = [&] { return fmt::format("sending to {}-{}", topic, record.partition); };
  if (bytes > options_.max_record_bytes) {
    return MakeError(RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, doing(),
                     fmt::format("a record of {} bytes, and at most {} are allowed", bytes,
                                 options_.max_record_bytes));
  }
  TW_TRY(WaitForRoom(bytes));

  rd_kafka_headers_t* headers = nullptr;
  if (!record.headers.empty()) {
    headers = rd_kafka_headers_new(record.headers.size());
    for (const auto& [name, value] : record.headers) {
      rd_kafka_header_add(headers, name.data(), static_cast<ssize_t>(name.size()), value.data(),
                          static_cast<ssize_t>(value.size()));
    }
  }
  std::array<rd_kafka_vu_t, 7> parts{};
  size_t count = 0;
  const auto add = [&](rd_kafka_vtype_t type) -> rd_kafka_vu_t& {
    parts[count].vtype = type;
    return parts[count++];
  };
  add(RD_KAFKA_VTYPE_RKT).u.rkt = TopicHandle(topic);
  add(RD_KAFKA_VTYPE_PARTITION).u.i32 = record.partition;
  add(RD_KAFKA_VTYPE_MSGFLAGS).u.i = 0;  // the value stays where it is
  add(RD_KAFKA_VTYPE_TIMESTAMP).u.i64 = record.timestamp_millis;
  add(RD_KAFKA_VTYPE_KEY).u.mem = {const_cast<char*>(record.key.data()), record.key.size()};
  add(RD_KAFKA_VTYPE_VALUE).u.mem = {const_cast<char*>(record.value.data()), record.value.size()};
  if (headers != nullptr) add(RD_KAFKA_VTYPE_HEADERS).u.headers = headers;

  const auto deadline = SteadyClock::now() + options_.transaction_timeout + 5s;
  queued_bytes_ += bytes;
  ++queued_records_;
  while (rd_kafka_error_t* error = rd_kafka_produceva(handle_->get(), parts.data(), count)) {
    if (rd_kafka_error_code(error) == RD_KAFKA_RESP_ERR__QUEUE_FULL &&
        SteadyClock::now() < deadline) {
      rd_kafka_error_destroy(error);
      std::unique_lock lock(mutex_);
      room_.wait_for(lock, 10ms);
      continue;
    }
    queued_bytes_ -= bytes;
    --queued_records_;
    if (headers != nullptr) rd_kafka_headers_destroy(headers);
    return Refused(error, doing());
  }
  return {};
}

Status Producer::Impl::Flush() {
  // Records time out before this does.
  const auto timeout = options_.transaction_timeout + 5s;
  const rd_kafka_resp_err_t error = rd_kafka_flush(handle_->get(), Millis(timeout));
  if (error == RD_KAFKA_RESP_ERR_NO_ERROR) {
    // The last reports may still be on their way through librdkafka's thread.
    std::unique_lock lock(mutex_);
    room_.wait_for(lock, 5s, [&] { return queued_records_ == 0; });
  }
  if (auto failed = FailedRecord()) return std::move(*failed);
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return handle_->Failure(error, "waiting for records to be stored");
  }
  return {};
}

Status Producer::Impl::SendOffsets(const rd_kafka_topic_partition_list_t* offsets,
                                   const rd_kafka_consumer_group_metadata_t* group) {
  const auto deadline = SteadyClock::now() + options_.transaction_timeout;
  while (rd_kafka_error_t* error = rd_kafka_send_offsets_to_transaction(
             handle_->get(), offsets, group, Millis(deadline - SteadyClock::now()))) {
    const bool again = rd_kafka_error_is_retriable(error) != 0;
    Error failure = Refused(error, "adding offsets to the transaction");
    if (!again || SteadyClock::now() >= deadline) return failure;
    std::this_thread::sleep_for(20ms);
  }
  return {};
}

Status Producer::Impl::Commit() {
  if (Status flushed = Flush(); !flushed) {
    Error failure = std::move(flushed).error();
    if (failure.disposition == Disposition::kRetry && failure.code != "kafka_fenced" &&
        failure.code != "kafka_client_failed") {
      failure.code = "kafka_transaction_aborted";
    }
    return failure;
  }
  const auto deadline = SteadyClock::now() + options_.transaction_timeout + 5s;
  while (rd_kafka_error_t* error =
             rd_kafka_commit_transaction(handle_->get(), SliceUntil(deadline) * 2)) {
    const bool again = rd_kafka_error_is_retriable(error) != 0;
    const bool abort = rd_kafka_error_txn_requires_abort(error) != 0;
    Error failure = Refused(error, "committing a transaction");
    if (again && SteadyClock::now() < deadline) {
      std::this_thread::sleep_for(5ms);
      continue;
    }
    if (abort || failure.code == "kafka_fenced") return failure;
    // It may be stored, or be stored yet.
    failure.disposition = Disposition::kRetry;
    failure.code = "kafka_commit_undecided";
    open_ = false;
    return failure;
  }
  open_ = false;
  return {};
}

Status Producer::Impl::Abort(std::chrono::milliseconds timeout) {
  if (!open_) return {};
  const auto deadline = SteadyClock::now() + timeout;
  while (rd_kafka_error_t* error =
             rd_kafka_abort_transaction(handle_->get(), SliceUntil(deadline) * 2)) {
    const bool again = rd_kafka_error_is_retriable(error) != 0;
    Error failure = handle_->Failure(error, "aborting a transaction");
    if (!again || SteadyClock::now() >= deadline) {
      open_ = false;
      return failure;
    }
    std::this_thread::sleep_for(5ms);
  }
  open_ = false;
  return {};
}

const std::map<int32_t, int64_t>& Producer::Impl::delivered(const std::string& topic) const {
  static const std::map<int32_t, int64_t> kNone;
  const std::lock_guard lock(mutex_);
  const auto found = delivered_.find(topic);
  return found == delivered_.end() ? kNone : found->second;
}

Producer::Producer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Producer::~Producer() = default;

Result<std::unique_ptr<Producer>> Producer::Create(ProducerOptions options) {
  auto impl = std::make_unique<Impl>(std::move(options));
  TW_TRY(impl->Start());
  return std::unique_ptr<Producer>(new Producer(std::move(impl)));
}

Status Producer::Init(std::stop_token stop, std::chrono::milliseconds timeout) {
  return impl_->Init(stop, timeout);
}
Status Producer::Prepare(const std::string& topic, std::chrono::milliseconds timeout) {
  return impl_->Prepare(topic, timeout);
}
Status Producer::Begin() { return impl_->Begin(); }
Status Producer::Send(const std::string& topic, const OutgoingRecord& record) {
  return impl_->Send(topic, record);
}
Status Producer::Flush() { return impl_->Flush(); }
Status Producer::Commit() { return impl_->Commit(); }
Status Producer::Abort() { return impl_->Abort(impl_->options().transaction_timeout); }
const std::map<int32_t, int64_t>& Producer::delivered(const std::string& topic) const {
  return impl_->delivered(topic);
}
size_t Producer::queued_bytes() const { return impl_->queued_bytes(); }

}  // namespace tailwater::kafka
