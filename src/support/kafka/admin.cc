#include "support/kafka/admin.h"

#include <algorithm>
#include <array>
#include <functional>
#include <utility>

#include "support/kafka/client_handle.h"
#include "support/text.h"

namespace tailwater::kafka {
namespace {

using SteadyClock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto kSlice = 500ms;  // between looks at what the brokers say

// librdkafka frees what a request to a group's coordinator refers to when the request times out,
// and uses it again when the coordinator comes back: its assertion then ends the process (2.0.2,
// rd_kafka_admin_coord_request). So these never time out in the client: who asked stops waiting,
// and the request ends with its answer, or with the client.
constexpr auto kLongestOfClient = 1h;  // what librdkafka takes at most

bool AsksCoordinator(rd_kafka_admin_op_t kind) {
  return kind == RD_KAFKA_ADMIN_OP_DELETEGROUPS || kind == RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS;
}

template <class T, void (*Destroy)(T*)>
struct Deleter {
  void operator()(T* object) const { Destroy(object); }
};
template <class T, void (*Destroy)(T*)>
using Owned = std::unique_ptr<T, Deleter<T, Destroy>>;

using Event = Owned<rd_kafka_event_t, rd_kafka_event_destroy>;
using Queue = Owned<rd_kafka_queue_t, rd_kafka_queue_destroy>;
using AdminOptions = Owned<rd_kafka_AdminOptions_t, rd_kafka_AdminOptions_destroy>;
using TopicHandle = Owned<rd_kafka_topic_t, rd_kafka_topic_destroy>;
using ConfigResource = Owned<rd_kafka_ConfigResource_t, rd_kafka_ConfigResource_destroy>;

std::string TextOf(const char* text) { return text == nullptr ? std::string() : text; }

struct MetadataDeleter {
  void operator()(const rd_kafka_metadata_t* metadata) const {
    rd_kafka_metadata_destroy(metadata);
  }
};
using Metadata = std::unique_ptr<const rd_kafka_metadata_t, MetadataDeleter>;

}  // namespace

class Admin::Impl {
 public:
  Impl(std::unique_ptr<ClientHandle> handle, std::chrono::milliseconds timeout)
      : timeout_(timeout), handle_(std::move(handle)) {}

  // Of one topic, of all of them, or (neither) of the brokers alone.
  Result<Metadata> Ask(const std::string& doing, rd_kafka_topic_t* topic, bool all_topics) {
    const auto deadline = SteadyClock::now() + timeout_;
    while (true) {
      const rd_kafka_metadata_t* metadata = nullptr;
      const rd_kafka_resp_err_t error =
          rd_kafka_metadata(rk(), all_topics ? 1 : 0, topic, &metadata, Slice(deadline));
      if (error == RD_KAFKA_RESP_ERR_NO_ERROR) return Metadata(metadata);
      TW_TRY(MayGoOn(error, doing, deadline));
    }
  }

  // One request of the admin interface: `send` starts it on the queue.
  Result<Event> Request(
      const std::string& doing, rd_kafka_admin_op_t kind,
      const std::function<void(rd_kafka_AdminOptions_t*, rd_kafka_queue_t*)>& send) {
    const AdminOptions options(rd_kafka_AdminOptions_new(rk(), kind));
    std::array<char, 256> text{};
    const auto client_timeout = AsksCoordinator(kind) ? kLongestOfClient : timeout_;
    const int millis = static_cast<int>(client_timeout / 1ms);
    if (rd_kafka_AdminOptions_set_request_timeout(options.get(), millis, text.data(),
                                                  text.size()) != RD_KAFKA_RESP_ERR_NO_ERROR) {
      return MakeError(RD_KAFKA_RESP_ERR__INVALID_ARG, doing, text.data());
    }
    if (kind == RD_KAFKA_ADMIN_OP_CREATETOPICS || kind == RD_KAFKA_ADMIN_OP_DELETETOPICS ||
        kind == RD_KAFKA_ADMIN_OP_DELETERECORDS) {
      (void)rd_kafka_AdminOptions_set_operation_timeout(options.get(), millis, text.data(),
                                                        text.size());
    }
    const Queue queue(rd_kafka_queue_new(rk()));
    send(options.get(), queue.get());
    const auto deadline = SteadyClock::now() + timeout_ + (AsksCoordinator(kind) ? 0s : 1s);
    while (true) {
      Event event(rd_kafka_queue_poll(queue.get(), Slice(deadline)));
      if (event == nullptr) {
        TW_TRY(MayGoOn(RD_KAFKA_RESP_ERR__TIMED_OUT, doing, deadline));
        continue;
      }
      const rd_kafka_resp_err_t error = rd_kafka_event_error(event.get());
      if (error == RD_KAFKA_RESP_ERR_NO_ERROR) return event;
      return handle_->Failure(error, doing, TextOf(rd_kafka_event_error_string(event.get())));
    }
  }

  Result<std::map<std::string, std::string>> Describe(const std::string& doing,
                                                      rd_kafka_ResourceType_t type,
                                                      const std::string& name) {
    const ConfigResource resource(rd_kafka_ConfigResource_new(type, name.c_str()));
    rd_kafka_ConfigResource_t* asked = resource.get();
    TW_ASSIGN_OR_RETURN(const Event event,
                        Request(doing, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS,
                                [&](rd_kafka_AdminOptions_t* options, rd_kafka_queue_t* queue) {
                                  rd_kafka_DescribeConfigs(rk(), &asked, 1, options, queue);
                                }));
    size_t count = 0;
    const rd_kafka_ConfigResource_t** answers = rd_kafka_DescribeConfigs_result_resources(
        rd_kafka_event_DescribeConfigs_result(event.get()), &count);
    std::map<std::string, std::string> settings;
    for (size_t i = 0; i < count; ++i) {
      const rd_kafka_resp_err_t error = rd_kafka_ConfigResource_error(answers[i]);
      if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return Failure(error, doing, rd_kafka_ConfigResource_error_string(answers[i]));
      }
      size_t entries = 0;
      const rd_kafka_ConfigEntry_t** entry = rd_kafka_ConfigResource_configs(answers[i], &entries);
      for (size_t j = 0; j < entries; ++j) {
        settings[rd_kafka_ConfigEntry_name(entry[j])] =
            TextOf(rd_kafka_ConfigEntry_value(entry[j]));
      }
    }
    return settings;
  }

  Error Failure(rd_kafka_resp_err_t error, const std::string& doing, const char* text) const {
    return handle_->Failure(error, doing, TextOf(text));
  }
  rd_kafka_t* rk() const { return handle_->get(); }

 private:
  static int Slice(SteadyClock::time_point deadline) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - SteadyClock::now());
    return static_cast<int>(std::clamp<int64_t>(left.count(), 1, kSlice / 1ms));
  }
  // Whether to go on waiting after `error`.
  Status MayGoOn(rd_kafka_resp_err_t error, const std::string& doing,
                 SteadyClock::time_point deadline) const {
    if (auto trouble = handle_->Trouble()) return std::move(*trouble).Within(doing);
    if (FindErrorRow(error).disposition != Disposition::kRetry || SteadyClock::now() >= deadline) {
      return handle_->Failure(error, doing);
    }
    return {};
  }

  const std::chrono::milliseconds timeout_;
  const std::unique_ptr<ClientHandle> handle_;
};

Admin::Admin(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Admin::~Admin() = default;

Result<std::unique_ptr<Admin>> Admin::Create(ClientOptions options,
                                             std::chrono::milliseconds timeout) {
  TW_ASSIGN_OR_RETURN(auto handle, ClientHandle::Create(RD_KAFKA_PRODUCER, options, {}));
  return std::unique_ptr<Admin>(new Admin(std::make_unique<Impl>(std::move(handle), timeout)));
}

Result<int32_t> Admin::BrokerCount() {
  TW_ASSIGN_OR_RETURN(const Metadata metadata,
                      impl_->Ask("asking for the brokers", nullptr, false));
  return metadata->broker_cnt;
}

Result<std::optional<TopicFacts>> Admin::FindTopic(const std::string& topic) {
  const std::string doing = fmt::format("looking at topic {}", topic);
  const TopicHandle handle(rd_kafka_topic_new(impl_->rk(), topic.c_str(), nullptr));
  TW_ASSIGN_OR_RETURN(const Metadata metadata, impl_->Ask(doing, handle.get(), false));
  if (metadata->topic_cnt != 1) return std::optional<TopicFacts>();
  const rd_kafka_metadata_topic_t& found = metadata->topics[0];
  switch (found.err) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
    case RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE:
      break;
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
      return std::optional<TopicFacts>();
    default:
      return impl_->Failure(found.err, doing, nullptr);
  }
  if (found.partition_cnt == 0) return std::optional<TopicFacts>();
  return std::optional(TopicFacts{found.partition_cnt, found.partitions[0].replica_cnt});
}

Result<std::vector<std::string>> Admin::ListTopics() {
  TW_ASSIGN_OR_RETURN(const Metadata metadata, impl_->Ask("listing the topics", nullptr, true));
  std::vector<std::string> topics;
  for (int i = 0; i < metadata->topic_cnt; ++i) topics.emplace_back(metadata->topics[i].topic);
  std::sort(topics.begin(), topics.end());
  return topics;
}

Status Admin::CreateTopic(const TopicSpec& spec) { return CreateTopic(spec, false); }
Status Admin::CheckCreateTopic(const TopicSpec& spec) { return CreateTopic(spec, true); }

Status Admin::CreateTopic(const TopicSpec& spec, bool only_check) {
  const std::string doing = fmt::format("making topic {}", spec.name);
  std::array<char, 512> text{};
  const Owned<rd_kafka_NewTopic_t, rd_kafka_NewTopic_destroy> topic(rd_kafka_NewTopic_new(
      spec.name.c_str(), spec.partitions, spec.replication, text.data(), text.size()));
  if (topic == nullptr) {
    return MakeError(RD_KAFKA_RESP_ERR__INVALID_ARG, doing, text.data());
  }
  for (const auto& [name, value] : spec.settings) {
    const rd_kafka_resp_err_t error =
        rd_kafka_NewTopic_set_config(topic.get(), name.c_str(), value.c_str());
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) return MakeError(error, doing);
  }
  rd_kafka_NewTopic_t* asked = topic.get();
  TW_ASSIGN_OR_RETURN(
      const Event event,
      impl_->Request(doing, RD_KAFKA_ADMIN_OP_CREATETOPICS,
                     [&](rd_kafka_AdminOptions_t* options, rd_kafka_queue_t* queue) {
                       if (only_check) {
                         std::array<char, 256> why{};
                         (void)rd_kafka_AdminOptions_set_validate_only(options, 1, why.data(),
                                                                       why.size());
                       }

                       rd_kafka_CreateTopics(impl_->rk(), &asked, 1, options, queue);
                     }));
  size_t count = 0;
  const rd_kafka_topic_result_t** answers =
      rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event.get()), &count);
  for (size_t i = 0; i < count; ++i) {
    const rd_kafka_resp_err_t error = rd_kafka_topic_result_error(answers[i]);
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR || error == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) {
      continue;
    }
    return impl_->Failure(error, doing, rd_kafka_topic_result_error_string(answers[i]));
  }
  return {};
}

Result<std::map<std::string, std::string>> Admin::TopicSettings(const std::string& topic) {
  return impl_->Describe(fmt::format("reading the settings of topic {}", topic),
                         RD_KAFKA_RESOURCE_TOPIC, topic);
}

Result<std::map<std::string, std::string>> Admin::BrokerSettings() {
  const std::string doing = "reading the settings of a broker";
  TW_ASSIGN_OR_RETURN(const Metadata metadata, impl_->Ask(doing, nullptr, false));
  if (metadata->broker_cnt == 0) return MakeError(RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE, doing);
  return impl_->Describe(doing, RD_KAFKA_RESOURCE_BROKER, std::to_string(metadata->brokers[0].id));
}

Status Admin::DeleteTopic(const std::string& topic) {
  const std::string doing = fmt::format("deleting topic {}", topic);
  const Owned<rd_kafka_DeleteTopic_t, rd_kafka_DeleteTopic_destroy> request(
      rd_kafka_DeleteTopic_new(topic.c_str()));
  rd_kafka_DeleteTopic_t* asked = request.get();
  TW_ASSIGN_OR_RETURN(
      const Event event,
      impl_->Request(doing, RD_KAFKA_ADMIN_OP_DELETETOPICS,
                     [&](rd_kafka_AdminOptions_t* options, rd_kafka_queue_t* queue) {
                       rd_kafka_DeleteTopics(impl_->rk(), &asked, 1, options, queue);
                     }));
  size_t count = 0;
  const rd_kafka_topic_result_t** answers =
      rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event.get()), &count);
  for (size_t i = 0; i < count; ++i) {
    const rd_kafka_resp_err_t error = rd_kafka_topic_result_error(answers[i]);
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR || error == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) {
      continue;
    }
    return impl_->Failure(error, doing, rd_kafka_topic_result_error_string(answers[i]));
  }
  return {};
}

Status Admin::DeleteGroup(const std::string& group) {
  const std::string doing = fmt::format("deleting group {}", group);
  const Owned<rd_kafka_DeleteGroup_t, rd_kafka_DeleteGroup_destroy> request(
      rd_kafka_DeleteGroup_new(group.c_str()));
  rd_kafka_DeleteGroup_t* asked = request.get();
  TW_ASSIGN_OR_RETURN(
      const Event event,
      impl_->Request(doing, RD_KAFKA_ADMIN_OP_DELETEGROUPS,
                     [&](rd_kafka_AdminOptions_t* options, rd_kafka_queue_t* queue) {
                       rd_kafka_DeleteGroups(impl_->rk(), &asked, 1, options, queue);
                     }));
  size_t count = 0;
  const rd_kafka_group_result_t** answers =
      rd_kafka_DeleteGroups_result_groups(rd_kafka_event_DeleteGroups_result(event.get()), &count);
  for (size_t i = 0; i < count; ++i) {
    const rd_kafka_error_t* error = rd_kafka_group_result_error(answers[i]);
    if (error == nullptr || rd_kafka_error_code(error) == RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND) {
      continue;
    }
    return impl_->Failure(rd_kafka_error_code(error), doing, rd_kafka_error_string(error));
  }
  return {};
}

Result<std::vector<std::string>> Admin::ListGroups() {
  const std::string doing = "listing the groups";
  TW_ASSIGN_OR_RETURN(
      const Event event,
      impl_->Request(doing, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPS,
                     [&](rd_kafka_AdminOptions_t* options, rd_kafka_queue_t* queue) {
                       rd_kafka_ListConsumerGroups(impl_->rk(), options, queue);
                     }));
  const auto* result = rd_kafka_event_ListConsumerGroups_result(event.get());
  size_t count = 0;
  const rd_kafka_error_t** errors = rd_kafka_ListConsumerGroups_result_errors(result, &count);
  if (count > 0) {
    return impl_->Failure(rd_kafka_error_code(errors[0]), doing, rd_kafka_error_string(errors[0]));
  }
  const rd_kafka_ConsumerGroupListing_t** listed =
      rd_kafka_ListConsumerGroups_result_valid(result, &count);
  std::vector<std::string> groups;
  for (size_t i = 0; i < count; ++i) {
    groups.emplace_back(rd_kafka_ConsumerGroupListing_group_id(listed[i]));
  }
  std::sort(groups.begin(), groups.end());
  return groups;
}

Result<GroupFacts> Admin::DescribeGroup(const std::string& group) {
  const std::string doing = fmt::format("looking at group {}", group);
  const char* asked = group.c_str();
  TW_ASSIGN_OR_RETURN(
      const Event event,
      impl_->Request(doing, RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS,
                     [&](rd_kafka_AdminOptions_t* options, rd_kafka_queue_t* queue) {
                       rd_kafka_DescribeConsumerGroups(impl_->rk(), &asked, 1, options, queue);
                     }));
  size_t count = 0;
  const rd_kafka_ConsumerGroupDescription_t** described =
      rd_kafka_DescribeConsumerGroups_result_groups(
          rd_kafka_event_DescribeConsumerGroups_result(event.get()), &count);
  GroupFacts facts;
  for (size_t i = 0; i < count; ++i) {
    const rd_kafka_error_t* error = rd_kafka_ConsumerGroupDescription_error(described[i]);
    if (error != nullptr) {
      if (rd_kafka_error_code(error) == RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND) continue;
      return impl_->Failure(rd_kafka_error_code(error), doing, rd_kafka_error_string(error));
    }
    const size_t members = rd_kafka_ConsumerGroupDescription_member_count(described[i]);
    for (size_t j = 0; j < members; ++j) {
      const rd_kafka_MemberDescription_t* member =
          rd_kafka_ConsumerGroupDescription_member(described[i], j);
      GroupFacts::Member each;
      each.client_id = TextOf(rd_kafka_MemberDescription_client_id(member));
      each.host = TextOf(rd_kafka_MemberDescription_host(member));
      each.instance_id = TextOf(rd_kafka_MemberDescription_group_instance_id(member));
      const rd_kafka_MemberAssignment_t* assignment = rd_kafka_MemberDescription_assignment(member);
      const rd_kafka_topic_partition_list_t* partitions =
          assignment == nullptr ? nullptr : rd_kafka_MemberAssignment_partitions(assignment);
      for (int k = 0; partitions != nullptr && k < partitions->cnt; ++k) {
        each.partitions.push_back(partitions->elems[k].partition);
      }
      facts.members.push_back(std::move(each));
    }
  }
  return facts;
}

Status Admin::DeleteRecords(const std::string& topic, int32_t partition, int64_t before) {
  const std::string doing = fmt::format("deleting records of {}-{}", topic, partition);
  const Owned<rd_kafka_topic_partition_list_t, rd_kafka_topic_partition_list_destroy> list(
      rd_kafka_topic_partition_list_new(1));
  rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), partition)->offset = before;
  const Owned<rd_kafka_DeleteRecords_t, rd_kafka_DeleteRecords_destroy> request(
      rd_kafka_DeleteRecords_new(list.get()));
  rd_kafka_DeleteRecords_t* asked = request.get();
  TW_ASSIGN_OR_RETURN(
      const Event event,
      impl_->Request(doing, RD_KAFKA_ADMIN_OP_DELETERECORDS,
                     [&](rd_kafka_AdminOptions_t* options, rd_kafka_queue_t* queue) {
                       rd_kafka_DeleteRecords(impl_->rk(), &asked, 1, options, queue);
                     }));
  const rd_kafka_topic_partition_list_t* offsets =
      rd_kafka_DeleteRecords_result_offsets(rd_kafka_event_DeleteRecords_result(event.get()));
  for (int i = 0; i < offsets->cnt; ++i) {
    if (offsets->elems[i].err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      return impl_->Failure(offsets->elems[i].err, doing, nullptr);
    }
  }
  return {};
}

}  // namespace tailwater::kafka
