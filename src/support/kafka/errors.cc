#include "support/kafka/errors.h"

#include <algorithm>
#include <array>

#include "support/text.h"

namespace tailwater::kafka {
namespace {

constexpr Disposition kRetry = Disposition::kRetry;
constexpr Disposition kNeedsOperator = Disposition::kNeedsOperator;

constexpr std::string_view kUnreachable =
    "check that the brokers run at the configured addresses, that the addresses they advertise can "
    "be reached from here, and that no firewall is in between; it is tried again";
constexpr std::string_view kTimeout =
    "look at the brokers' load and at the network to them; it is tried again";
constexpr std::string_view kNotReady =
    "the cluster is electing a leader or loading; it is tried again";
constexpr std::string_view kReplicas =
    "fewer replicas are in sync than min.insync.replicas asks for: bring the missing brokers back; "
    "it is tried again";
constexpr std::string_view kCredentials =
    "check the user, the password and the mechanism under sasl, and that the brokers know them";
constexpr std::string_view kTls =
    "check tls: the authority's certificate, the names in the brokers' certificates, the client's "
    "certificate and key, and that this port speaks TLS";
constexpr std::string_view kMissing =
    "check the topic's name; capture makes it unless create is false, and this user may not see it "
    "without an ACL that allows Describe";
constexpr std::string_view kFenced =
    "another process uses the same transactional id or group membership, and goes on in place of "
    "this one";
constexpr std::string_view kNewClient = "a new client is made, which reads back what is stored";
constexpr std::string_view kTooLarge =
    "the record is larger than the topic takes: raise the topic's max.message.bytes, or make the "
    "record smaller";
constexpr std::string_view kVersion =
    "the brokers have to be Apache Kafka 2.5 or newer, or compatible with it";
constexpr std::string_view kPolicy = "change what the message names, or have the cluster allow it";
constexpr std::string_view kSettings = "correct the setting that the message names";
constexpr std::string_view kStorage =
    "a broker cannot write its log: look at its disks and its log; it is tried again";
constexpr std::string_view kAborted = "the transaction is given up and done again";

// Order: as in rdkafka.h.
constexpr auto kTable = std::to_array<ErrorRow>({
    {RD_KAFKA_RESP_ERR__BAD_MSG, kRetry, "kafka_client_failed", kNewClient},
    {RD_KAFKA_RESP_ERR__BAD_COMPRESSION, kRetry, "kafka_client_failed", kNewClient},
    {RD_KAFKA_RESP_ERR__DESTROY, kRetry, "kafka_client_failed", kNewClient},
    {RD_KAFKA_RESP_ERR__FAIL, kRetry, "kafka_client_failed", kNewClient},
    {RD_KAFKA_RESP_ERR__TRANSPORT, kRetry, "kafka_unreachable", kUnreachable},
    {RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE, kRetry, "kafka_client_failed",
     "this machine is out of memory, threads or file descriptors: look at its limits"},
    {RD_KAFKA_RESP_ERR__RESOLVE, kRetry, "kafka_unreachable",
     "the broker's name cannot be resolved: check it, and this machine's resolver; it is tried "
     "again"},
    {RD_KAFKA_RESP_ERR__MSG_TIMED_OUT, kRetry, "kafka_timeout", kTimeout},
    {RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION, kNeedsOperator, "kafka_topic_missing", kMissing},
    {RD_KAFKA_RESP_ERR__FS, kNeedsOperator, "kafka_settings_invalid",
     "check that the file is there and can be read"},
    {RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, kNeedsOperator, "kafka_topic_missing", kMissing},
    {RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, kRetry, "kafka_unreachable", kUnreachable},
    {RD_KAFKA_RESP_ERR__INVALID_ARG, kNeedsOperator, "kafka_settings_invalid", kSettings},
    {RD_KAFKA_RESP_ERR__TIMED_OUT, kRetry, "kafka_timeout", kTimeout},
    {RD_KAFKA_RESP_ERR__QUEUE_FULL, kRetry, "kafka_timeout", kTimeout},
    {RD_KAFKA_RESP_ERR__ISR_INSUFF, kRetry, "kafka_not_ready", kReplicas},
    {RD_KAFKA_RESP_ERR__NODE_UPDATE, kRetry, "kafka_not_ready", kNotReady},
    {RD_KAFKA_RESP_ERR__SSL, kNeedsOperator, "kafka_tls_failed", kTls},
    {RD_KAFKA_RESP_ERR__WAIT_COORD, kRetry, "kafka_not_ready", kNotReady},
    {RD_KAFKA_RESP_ERR__UNKNOWN_GROUP, kRetry, "kafka_fenced", kFenced},
    {RD_KAFKA_RESP_ERR__IN_PROGRESS, kRetry, "kafka_not_ready", kNotReady},
    {RD_KAFKA_RESP_ERR__PREV_IN_PROGRESS, kRetry, "kafka_not_ready", kNotReady},
    {RD_KAFKA_RESP_ERR__CONFLICT, kRetry, "kafka_client_failed", kNewClient},
    {RD_KAFKA_RESP_ERR__STATE, kRetry, "kafka_client_failed", kNewClient},
    {RD_KAFKA_RESP_ERR__AUTHENTICATION, kNeedsOperator, "kafka_authentication_failed",
     kCredentials},
    {RD_KAFKA_RESP_ERR__OUTDATED, kRetry, "kafka_not_ready", kNotReady},
    {RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE, kRetry, "kafka_timeout", kTimeout},
    {RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE, kNeedsOperator, "kafka_version_unsupported", kVersion},
    {RD_KAFKA_RESP_ERR__WAIT_CACHE, kRetry, "kafka_not_ready", kNotReady},
    {RD_KAFKA_RESP_ERR__INTR, kRetry, "kafka_timeout", kTimeout},
    {RD_KAFKA_RESP_ERR__PARTIAL, kRetry, "kafka_not_ready", kNotReady},
    {RD_KAFKA_RESP_ERR__UNDERFLOW, kRetry, "kafka_client_failed", kNewClient},
    {RD_KAFKA_RESP_ERR__RETRY, kRetry, "kafka_not_ready", kNotReady},
    {RD_KAFKA_RESP_ERR__PURGE_QUEUE, kRetry, "kafka_transaction_aborted", kAborted},
    {RD_KAFKA_RESP_ERR__PURGE_INFLIGHT, kRetry, "kafka_transaction_aborted", kAborted},
    {RD_KAFKA_RESP_ERR__FATAL, kRetry, "kafka_client_failed", kNewClient},
    {RD_KAFKA_RESP_ERR__INCONSISTENT, kRetry, "kafka_client_failed", kNewClient},
    {RD_KAFKA_RESP_ERR__GAPLESS_GUARANTEE, kRetry, "kafka_client_failed", kNewClient},
    {RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED, kRetry, "kafka_fenced",
     "this process was stalled for longer than its group waits; its partitions went to another"},
    {RD_KAFKA_RESP_ERR__NOT_CONFIGURED, kRetry, "kafka_client_failed", kNewClient},
    {RD_KAFKA_RESP_ERR__FENCED, kRetry, "kafka_fenced", kFenced},
    {RD_KAFKA_RESP_ERR__ASSIGNMENT_LOST, kRetry, "kafka_fenced", kFenced},
    {RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET, Disposition::kGap, "kafka_offset_out_of_range",
     "the topic no longer holds this offset"},
    {RD_KAFKA_RESP_ERR_UNKNOWN, kRetry, "kafka_not_ready",
     "the broker gave no reason; its log has it. It is tried again"},
    {RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE, Disposition::kGap, "kafka_offset_out_of_range",
     "the topic no longer holds this offset"},
    {RD_KAFKA_RESP_ERR_INVALID_MSG, kRetry, "kafka_transaction_aborted",
     "a batch was damaged on its way, or the topic is compacted and a record has no key; the "
     "transaction is done again"},
    {RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, kNeedsOperator, "kafka_topic_missing", kMissing},
    {RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE, Disposition::kReject, "kafka_record_too_large", kTooLarge},
    {RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, kRetry, "kafka_not_ready", kNotReady},
    {RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, kRetry, "kafka_not_ready", kNotReady},
    {RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, kRetry, "kafka_timeout", kTimeout},
    {RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE, kRetry, "kafka_not_ready", kNotReady},
    {RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE, kRetry, "kafka_not_ready", kNotReady},
    {RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, Disposition::kReject, "kafka_record_too_large",
     kTooLarge},
    {RD_KAFKA_RESP_ERR_STALE_CTRL_EPOCH, kRetry, "kafka_not_ready", kNotReady},
    {RD_KAFKA_RESP_ERR_OFFSET_METADATA_TOO_LARGE, kNeedsOperator, "kafka_policy_violation",
     "raise the brokers' offset.metadata.max.bytes to 4096 or more"},
    {RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION, kRetry, "kafka_unreachable", kUnreachable},
    {RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS, kRetry, "kafka_not_ready", kNotReady},
    {RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE, kRetry, "kafka_not_ready", kNotReady},
    {RD_KAFKA_RESP_ERR_NOT_COORDINATOR, kRetry, "kafka_not_ready", kNotReady},
    {RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION, kNeedsOperator, "kafka_settings_invalid",
     "a topic's name takes letters, digits, '.', '_' and '-', at most 249, and must not differ "
     "from another's in '.' and '_' alone"},
    {RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE, Disposition::kReject, "kafka_record_too_large",
     "the record is larger than the topic's segment.bytes: raise it, or make the record smaller"},
    {RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, kRetry, "kafka_not_ready", kReplicas},
    {RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND, kRetry, "kafka_not_ready", kReplicas},
    {RD_KAFKA_RESP_ERR_INVALID_REQUIRED_ACKS, kRetry, "kafka_client_failed", kNewClient},
    {RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION, kRetry, "kafka_fenced", kFenced},
    {RD_KAFKA_RESP_ERR_INCONSISTENT_GROUP_PROTOCOL, kNeedsOperator, "kafka_policy_violation",
     "another program uses this group with another protocol: stop it, or give the topic another "
     "name"},
    {RD_KAFKA_RESP_ERR_INVALID_GROUP_ID, kNeedsOperator, "kafka_settings_invalid", kSettings},
    {RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID, kRetry, "kafka_fenced", kFenced},
    {RD_KAFKA_RESP_ERR_INVALID_SESSION_TIMEOUT, kNeedsOperator, "kafka_policy_violation",
     "the brokers' group.min.session.timeout.ms and group.max.session.timeout.ms have to allow 6 s "
     "to 10 s"},
    {RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS, kRetry, "kafka_fenced", kFenced},
    {RD_KAFKA_RESP_ERR_INVALID_COMMIT_OFFSET_SIZE, kNeedsOperator, "kafka_policy_violation",
     "raise the brokers' offset.metadata.max.bytes to 4096 or more"},
    {RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, kNeedsOperator, "kafka_not_authorized",
     "allow this user Read, Write, Describe, DescribeConfigs and, for what Tailwater makes and "
     "destroys, Create and Delete on the topic: kafka-acls --add --topic … --allow-principal …"},
    {RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, kNeedsOperator, "kafka_not_authorized",
     "allow this user Read, Describe and Delete on the group: kafka-acls --add --group … "
     "--allow-principal …"},
    {RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, kNeedsOperator, "kafka_not_authorized",
     "allow this user IdempotentWrite on the cluster, and Create unless the topics exist: "
     "kafka-acls --add --cluster --allow-principal …"},
    {RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP, kNeedsOperator, "kafka_policy_violation",
     "the topic refuses the record's timestamp: check the clocks, and the topic's "
     "message.timestamp.before.max.ms and message.timestamp.after.max.ms"},
    {RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM, kNeedsOperator, "kafka_authentication_failed",
     "choose a mechanism under sasl that the brokers offer on this port"},
    {RD_KAFKA_RESP_ERR_ILLEGAL_SASL_STATE, kNeedsOperator, "kafka_authentication_failed",
     "the brokers ask for no SASL on this port, or for another mechanism: check the port and sasl"},
    {RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION, kNeedsOperator, "kafka_version_unsupported", kVersion},
    {RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS, kRetry, "kafka_not_ready",
     "another process made it at the same moment; it is looked at again"},
    {RD_KAFKA_RESP_ERR_INVALID_PARTITIONS, kNeedsOperator, "kafka_policy_violation", kPolicy},
    {RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR, kNeedsOperator, "kafka_policy_violation",
     "the replication factor is larger than the number of brokers: lower it, or add brokers"},
    {RD_KAFKA_RESP_ERR_INVALID_REPLICA_ASSIGNMENT, kNeedsOperator, "kafka_policy_violation",
     kPolicy},
    {RD_KAFKA_RESP_ERR_INVALID_CONFIG, kNeedsOperator, "kafka_policy_violation", kPolicy},
    {RD_KAFKA_RESP_ERR_NOT_CONTROLLER, kRetry, "kafka_not_ready", kNotReady},
    {RD_KAFKA_RESP_ERR_INVALID_REQUEST, kNeedsOperator, "kafka_policy_violation", kPolicy},
    {RD_KAFKA_RESP_ERR_UNSUPPORTED_FOR_MESSAGE_FORMAT, kNeedsOperator, "kafka_version_unsupported",
     kVersion},
    {RD_KAFKA_RESP_ERR_POLICY_VIOLATION, kNeedsOperator, "kafka_policy_violation", kPolicy},
    {RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, kRetry, "kafka_client_failed", kNewClient},
    {RD_KAFKA_RESP_ERR_DUPLICATE_SEQUENCE_NUMBER, kRetry, "kafka_client_failed", kNewClient},
    {RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH, kRetry, "kafka_fenced", kFenced},
    {RD_KAFKA_RESP_ERR_INVALID_TXN_STATE, kRetry, "kafka_client_failed", kNewClient},
    {RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING, kRetry, "kafka_client_failed", kNewClient},
    {RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT, kNeedsOperator, "kafka_policy_violation",
     "raise the brokers' transaction.max.timeout.ms to 10 s or more"},
    {RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS, kRetry, "kafka_not_ready",
     "an earlier transaction is being ended; it is tried again"},
    {RD_KAFKA_RESP_ERR_TRANSACTION_COORDINATOR_FENCED, kRetry, "kafka_not_ready", kNotReady},
    {RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED, kNeedsOperator,
     "kafka_not_authorized",
     "allow this user Write and Describe on the transactional id: kafka-acls --add "
     "--transactional-id … --allow-principal …"},
    {RD_KAFKA_RESP_ERR_SECURITY_DISABLED, kNeedsOperator, "kafka_settings_invalid",
     "the brokers have no authorizer: remove what asks for one"},
    {RD_KAFKA_RESP_ERR_OPERATION_NOT_ATTEMPTED, kRetry, "kafka_transaction_aborted", kAborted},
    {RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR, kNeedsOperator, "kafka_disk_full", kStorage},
    {RD_KAFKA_RESP_ERR_LOG_DIR_NOT_FOUND, kNeedsOperator, "kafka_disk_full", kStorage},
    {RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED, kNeedsOperator, "kafka_authentication_failed",
     kCredentials},
    {RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID, kRetry, "kafka_client_failed", kNewClient},
    {RD_KAFKA_RESP_ERR_REASSIGNMENT_IN_PROGRESS, kRetry, "kafka_not_ready", kNotReady},
    {RD_KAFKA_RESP_ERR_NON_EMPTY_GROUP, kNeedsOperator, "kafka_policy_violation",
     "the group still has members: stop them, then try again"},
    {RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND, kRetry, "kafka_fenced", kFenced},
    {RD_KAFKA_RESP_ERR_FETCH_SESSION_ID_NOT_FOUND, kRetry, "kafka_not_ready", kNotReady},
    {RD_KAFKA_RESP_ERR_INVALID_FETCH_SESSION_EPOCH, kRetry, "kafka_not_ready", kNotReady},
    {RD_KAFKA_RESP_ERR_LISTENER_NOT_FOUND, kRetry, "kafka_not_ready", kNotReady},
    {RD_KAFKA_RESP_ERR_TOPIC_DELETION_DISABLED, kNeedsOperator, "kafka_policy_violation",
     "the brokers' delete.topic.enable is off: turn it on, or have somebody delete the topic"},
    {RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH, kRetry, "kafka_not_ready", kNotReady},
    {RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH, kRetry, "kafka_not_ready", kNotReady},
    {RD_KAFKA_RESP_ERR_UNSUPPORTED_COMPRESSION_TYPE, kNeedsOperator, "kafka_version_unsupported",
     "these brokers do not know this compression: choose another"},
    {RD_KAFKA_RESP_ERR_STALE_BROKER_EPOCH, kRetry, "kafka_not_ready", kNotReady},
    {RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE, kRetry, "kafka_not_ready", kNotReady},
    {RD_KAFKA_RESP_ERR_MEMBER_ID_REQUIRED, kRetry, "kafka_not_ready", kNotReady},
    {RD_KAFKA_RESP_ERR_PREFERRED_LEADER_NOT_AVAILABLE, kRetry, "kafka_not_ready", kNotReady},
    {RD_KAFKA_RESP_ERR_GROUP_MAX_SIZE_REACHED, kNeedsOperator, "kafka_policy_violation",
     "the group has as many members as the brokers' group.max.size allows: raise it"},
    {RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID, kRetry, "kafka_fenced", kFenced},
    {RD_KAFKA_RESP_ERR_ELIGIBLE_LEADERS_NOT_AVAILABLE, kRetry, "kafka_not_ready", kNotReady},
    {RD_KAFKA_RESP_ERR_INVALID_RECORD, kNeedsOperator, "kafka_policy_violation",
     "the brokers refuse the record: if the topic is compacted or checks schemas, it is not ours"},
    {RD_KAFKA_RESP_ERR_UNSTABLE_OFFSET_COMMIT, kRetry, "kafka_not_ready",
     "offsets of a transaction are being committed; it is tried again"},
    {RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED, kRetry, "kafka_not_ready",
     "the user's quota is used up; it is tried again"},
    {RD_KAFKA_RESP_ERR_PRODUCER_FENCED, kRetry, "kafka_fenced", kFenced},
});

constexpr ErrorRow kOther = {RD_KAFKA_RESP_ERR__FAIL, kRetry, "kafka_client_failed", kNewClient};

}  // namespace

std::span<const ErrorRow> ErrorTable() { return kTable; }

const ErrorRow& FindErrorRow(rd_kafka_resp_err_t error) {
  const auto* row = std::find_if(kTable.begin(), kTable.end(),
                                 [&](const ErrorRow& each) { return each.error == error; });
  return row == kTable.end() ? kOther : *row;
}

Error MakeError(rd_kafka_resp_err_t error, std::string_view doing, std::string_view detail) {
  const ErrorRow& row = FindErrorRow(error);
  if (detail.empty()) detail = rd_kafka_err2str(error);
  // Brokers that have just started, or fell silent, count as none for a while.
  if (error == RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR &&
      detail.find("currently fenced") != detail.npos) {
    return Error{Disposition::kRetry, "kafka_not_ready",
                 fmt::format("{}: {}: {}", doing, detail, kNotReady)};
  }
  return Error{row.disposition, row.code, fmt::format("{}: {}: {}", doing, detail, row.advice)};
}

bool IsSilence(rd_kafka_resp_err_t error) {
  switch (error) {
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
    case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT:
    case RD_KAFKA_RESP_ERR__WAIT_COORD:
    case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
    case RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE:
      return true;
    default:
      return false;
  }
}

}  // namespace tailwater::kafka
