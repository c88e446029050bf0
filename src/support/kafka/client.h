// What producers, consumers and admins are all made of: one rd_kafka_t with its settings, its log
// and its last words.
//
// librdkafka's types stay in .cc files; other files of this folder include client_handle.h, nobody
// else does. Each handle logs through its Logger (broker trouble rate-limited) and remembers the
// last error of its brokers, so that a call that ran into its timeout can say why: connection
// refused, authentication failed, certificate not trusted.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/kafka/connection.h"
#include "tailwater/log.h"
#include "tailwater/result.h"

namespace tailwater::kafka {

struct ClientOptions {
  Connection connection;
  std::string client_id;  // "tailwater-shop"; shows in the brokers' logs and quotas
  Logger logger{"kafka"};
};

// A record's header: a name, and bytes.
using Header = std::pair<std::string_view, std::string_view>;

// Error codes that all parts of this folder use; each message says what to do.
//   kRetry           kafka_unreachable, kafka_timeout, kafka_not_ready (leader election, loading
//                    coordinator, too few replicas in sync), kafka_transaction_aborted (abort, then
//                    do it again)
//   kNeedsOperator   kafka_authentication_failed, kafka_tls_failed, kafka_not_authorized (names the
//                    ACL), kafka_topic_missing, kafka_token_command_failed, kafka_policy_violation,
//                    kafka_disk_full, kafka_settings_invalid, kafka_version_unsupported
//   kReject          kafka_record_too_large
//   kGap             kafka_offset_out_of_range
//   kRetry           kafka_fenced: another client took our transactional id or group membership
//   kRetry           kafka_commit_undecided: whether the transaction is stored is not known
//   kRetry           kafka_client_failed: fatal to this handle; make a new one
// The code of an error is never decided outside of errors.cc.

}  // namespace tailwater::kafka
