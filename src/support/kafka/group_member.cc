#include "support/kafka/group_member.h"

#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <utility>

#include "support/kafka/client_handle.h"
#include "support/kafka/partition_list.h"
#include "support/text.h"

namespace tailwater::kafka {
namespace {

using namespace std::chrono_literals;
using SteadyClock = std::chrono::steady_clock;

using MembershipPtr = std::unique_ptr<rd_kafka_consumer_group_metadata_t,
                                      decltype(&rd_kafka_consumer_group_metadata_destroy)>;
using EventPtr = std::unique_ptr<rd_kafka_event_t, decltype(&rd_kafka_event_destroy)>;
using QueuePtr = std::unique_ptr<rd_kafka_queue_t, decltype(&rd_kafka_queue_destroy)>;

constexpr auto kLook = 20ms;
constexpr auto kFarewell = 100ms;  // for the request to be sent

Settings GroupSettings(const std::string& group) {
  return {{"group.id", group},
          {"enable.auto.commit", "false"},
          {"enable.auto.offset.store", "false"},
          {"auto.offset.reset", "error"},
          {"allow.auto.create.topics", "false"},
          {"isolation.level", "read_committed"}};  // also: wait for transactions' offsets
}

Settings MemberSettings(const GroupMemberOptions& options) {
  Settings settings = GroupSettings(options.group);
  const auto add = [&](const char* name, std::chrono::milliseconds value) {
    settings.emplace_back(name, std::to_string(value.count()));
  };
  // Cooperative assignment hangs and loops before librdkafka 2.6.1.
  settings.emplace_back("partition.assignment.strategy", "range");
  if (!options.instance_id.empty()) settings.emplace_back("group.instance.id", options.instance_id);
  add("session.timeout.ms", options.session_timeout);
  add("heartbeat.interval.ms", options.heartbeat_interval);
  add("max.poll.interval.ms", std::max(options.max_poll_interval, options.session_timeout));
  // A topic that was made just now is looked for this often.
  settings.emplace_back("topic.metadata.refresh.interval.ms", "30000");
  return settings;
}

Result<std::map<int32_t, CommittedOffset>> QueryCommitted(const ClientHandle& client,
                                                          const std::string& topic,
                                                          const std::string& group,
                                                          const std::vector<int32_t>& partitions,
                                                          std::chrono::milliseconds timeout) {
  const std::string doing = fmt::format("reading the offsets of group {}", group);
  PartitionList list(topic);
  for (const int32_t partition : partitions) list.Add(partition, RD_KAFKA_OFFSET_INVALID);
  const auto code = rd_kafka_committed(client.get(), list.get(), static_cast<int>(timeout.count()));
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return client.Failure(code, doing);
  std::map<int32_t, CommittedOffset> committed;
  for (const rd_kafka_topic_partition_t& entry : list.entries()) {
    if (entry.err != RD_KAFKA_RESP_ERR_NO_ERROR) return client.Failure(entry.err, doing);
    if (entry.offset < 0) continue;
    committed[entry.partition] = {
        entry.offset, std::string(static_cast<const char*>(entry.metadata), entry.metadata_size)};
  }
  return committed;
}

}  // namespace

class GroupMember::Impl {
 public:
  explicit Impl(GroupMemberOptions options) : options_(std::move(options)) {}
  ~Impl() {
    if (!client_) return;
    membership_.reset();
    if (options_.instance_id.empty()) Leave();
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  Status Start() {
    ClientHandle::Hooks hooks;
    hooks.opaque = this;
    hooks.configure = [](rd_kafka_conf_t* conf) {
      rd_kafka_conf_set_rebalance_cb(conf, [](rd_kafka_t*, rd_kafka_resp_err_t what,
                                              rd_kafka_topic_partition_list_t* list, void* opaque) {
        static_cast<Impl*>(ClientHandle::OpaqueOf(opaque))->Rebalance(what, list);
      });
    };
    TW_ASSIGN_OR_RETURN(client_, ClientHandle::Create(RD_KAFKA_CONSUMER, options_.client,
                                                      MemberSettings(options_), std::move(hooks)));
    rd_kafka_poll_set_consumer(client_->get());
    PartitionList topics(options_.topic);
    topics.Add(RD_KAFKA_PARTITION_UA, RD_KAFKA_OFFSET_INVALID);
    const auto code = rd_kafka_subscribe(client_->get(), topics.get());
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return client_->Failure(code, Doing("joining"));
    return {};
  }

  Result<Assignment> Poll(std::chrono::milliseconds timeout) {
    const auto deadline = SteadyClock::now() + timeout;
    while (true) {
      last_poll_ = SteadyClock::now().time_since_epoch();
      const bool wait = assignment_.partitions.empty();
      const auto left = std::max(
          0ms, std::chrono::ceil<std::chrono::milliseconds>(deadline - SteadyClock::now()));
      rd_kafka_message_t* message =
          rd_kafka_consumer_poll(client_->get(), wait ? static_cast<int>(left.count()) : 0);
      if (const auto failed = std::exchange(failure_, RD_KAFKA_RESP_ERR_NO_ERROR);
          failed != RD_KAFKA_RESP_ERR_NO_ERROR) {
        if (message != nullptr) rd_kafka_message_destroy(message);
        return client_->Failure(failed, Doing("taking part in a rebalance"));
      }
      if (message != nullptr) {
        const rd_kafka_resp_err_t code = message->err;
        rd_kafka_message_destroy(message);
        // The revocation that follows says it.
        if (code != RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED) {
          return client_->Failure(code, Doing("being a member"));
        }
        continue;
      }
      TW_TRY(CheckAlive());
      if (!assignment_.partitions.empty() || left <= 0ms) return assignment_;
    }
  }

  bool IsOwner() const {
    // A revocation that waits to be served hides that the group expelled us since.
    const auto silence = SteadyClock::now().time_since_epoch() - last_poll_.load();
    return owner_ && silence < options_.max_poll_interval &&
           rd_kafka_assignment_lost(client_->get()) == 0 &&
           rd_kafka_fatal_error(client_->get(), nullptr, 0) == RD_KAFKA_RESP_ERR_NO_ERROR;
  }

  Status Commit(const std::map<int32_t, CommittedOffset>& offsets) {
    const std::string doing = Doing("storing offsets");
    TW_TRY(CheckAlive());
    // Without a member id the broker would take offsets for an empty group from anybody.
    if (!IsOwner()) return client_->Failure(RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID, doing);
    PartitionList list(offsets_topic());
    for (const auto& [partition, committed] : offsets) {
      list.Add(partition, committed.offset, committed.metadata);
    }
    // A queue of its own: the answer to a commit that was given up finds nobody.
    const QueuePtr answers(rd_kafka_queue_new(client_->get()), &rd_kafka_queue_destroy);
    auto code = rd_kafka_commit_queue(client_->get(), list.get(), answers.get(), nullptr, nullptr);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return client_->Failure(code, doing);
    const EventPtr answer(
        rd_kafka_queue_poll(answers.get(), static_cast<int>(options_.commit_timeout.count())),
        &rd_kafka_event_destroy);
    if (answer == nullptr) return client_->Failure(RD_KAFKA_RESP_ERR__TIMED_OUT, doing);
    code = rd_kafka_event_error(answer.get());
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return client_->Failure(code, doing);
    const rd_kafka_topic_partition_list_t* stored =
        rd_kafka_event_topic_partition_list(answer.get());
    for (int i = 0; stored != nullptr && i < stored->cnt; ++i) {
      if (stored->elems[i].err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return client_->Failure(stored->elems[i].err, doing);
      }
    }
    return {};
  }

  const GroupMemberOptions& options() const { return options_; }
  const std::string& offsets_topic() const {
    return options_.offsets_topic.empty() ? options_.topic : options_.offsets_topic;
  }
  const ClientHandle& client() const { return *client_; }
  const rd_kafka_consumer_group_metadata_t* membership() const { return membership_.get(); }

 private:
  // Tells the group, so that it need not wait for the session's end. Bounded: closing the consumer
  // instead can wait for ever in librdkafka 2.0.2, where an assignment comes in just then.
  void Leave() {
    rd_kafka_unsubscribe(client_->get());
    const auto deadline = SteadyClock::now() + 1s;
    for (auto left = 0ms; owner_ || left < kFarewell; left += kLook) {
      if (SteadyClock::now() >= deadline) return;
      if (rd_kafka_message_t* message = rd_kafka_consumer_poll(client_->get(), kLook.count())) {
        rd_kafka_message_destroy(message);
      }
    }
  }

  std::string Doing(std::string_view what) const {
    return fmt::format("{} of group {}", what, options_.group);
  }

  Status CheckAlive() const {
    if (auto fatal = client_->Fatal()) return std::move(*fatal).Within(Doing("being a member"));
    return {};
  }

  // On the thread that polls. An assignment is answered with an empty list: the member stays, and
  // nothing is ever fetched.
  void Rebalance(rd_kafka_resp_err_t what, const rd_kafka_topic_partition_list_t* list) {
    rd_kafka_t* client = client_->get();
    const bool assigned = what == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
    owner_ = false;
    membership_.reset();
    assignment_.partitions.clear();
    ++assignment_.generation;
    for (int i = 0; assigned && i < list->cnt; ++i) {
      assignment_.partitions.push_back(list->elems[i].partition);
    }
    std::sort(assignment_.partitions.begin(), assignment_.partitions.end());
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
    if (assigned) {
      membership_.reset(rd_kafka_consumer_group_metadata(client));
      const PartitionList none(options_.topic);
      code = rd_kafka_assign(client, none.get());
      owner_ = !assignment_.partitions.empty();
    } else {
      code = rd_kafka_assign(client, nullptr);
    }
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) failure_ = code;
    rd_kafka_yield(client);  // Poll() answers at once
  }

  const GroupMemberOptions options_;
  std::unique_ptr<ClientHandle> client_;
  Assignment assignment_;
  MembershipPtr membership_{nullptr, &rd_kafka_consumer_group_metadata_destroy};
  rd_kafka_resp_err_t failure_ = RD_KAFKA_RESP_ERR_NO_ERROR;  // of the last rebalance
  std::atomic<bool> owner_ = false;
  std::atomic<SteadyClock::duration> last_poll_{};
};

GroupMember::GroupMember(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
GroupMember::~GroupMember() = default;

Result<std::unique_ptr<GroupMember>> GroupMember::Join(GroupMemberOptions options) {
  auto impl = std::make_unique<Impl>(std::move(options));
  TW_TRY(impl->Start());
  return std::unique_ptr<GroupMember>(new GroupMember(std::move(impl)));
}

Result<GroupMember::Assignment> GroupMember::Poll(std::chrono::milliseconds timeout) {
  return impl_->Poll(timeout);
}

bool GroupMember::IsOwner() const { return impl_->IsOwner(); }

Status GroupMember::Commit(const std::map<int32_t, CommittedOffset>& offsets) {
  return impl_->Commit(offsets);
}

Result<std::map<int32_t, CommittedOffset>> GroupMember::Committed(
    const std::vector<int32_t>& partitions, std::chrono::milliseconds timeout) {
  return QueryCommitted(impl_->client(), topic(), impl_->options().group, partitions, timeout);
}

const std::string& GroupMember::topic() const { return impl_->offsets_topic(); }

const rd_kafka_consumer_group_metadata_s* GroupMember::Metadata() const {
  return impl_->membership();
}

Result<std::map<int32_t, CommittedOffset>> PeekCommitted(const ClientOptions& client,
                                                         const std::string& topic,
                                                         const std::string& group,
                                                         const std::vector<int32_t>& partitions,
                                                         std::chrono::milliseconds timeout) {
  TW_ASSIGN_OR_RETURN(const auto handle,
                      ClientHandle::Create(RD_KAFKA_CONSUMER, client, GroupSettings(group)));
  return QueryCommitted(*handle, topic, group, partitions, timeout);
}

}  // namespace tailwater::kafka
