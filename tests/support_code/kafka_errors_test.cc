#include <gmock/gmock.h>

#include <algorithm>
#include <set>
#include <string>

#include "support/kafka/client_handle.h"
#include "support/kafka/errors.h"

namespace tailwater::kafka {
namespace {

using ::testing::HasSubstr;

// client.h lists them.
const std::set<std::string_view> kCodes = {
    "kafka_unreachable",
    "kafka_timeout",
    "kafka_not_ready",
    "kafka_transaction_aborted",
    "kafka_authentication_failed",
    "kafka_tls_failed",
    "kafka_not_authorized",
    "kafka_topic_missing",
    "kafka_policy_violation",
    "kafka_disk_full",
    "kafka_settings_invalid",
    "kafka_version_unsupported",
    "kafka_record_too_large",
    "kafka_offset_out_of_range",
    "kafka_fenced",
    "kafka_client_failed",
};

class KafkaErrorRow : public ::testing::TestWithParam<ErrorRow> {};

TEST_P(KafkaErrorRow, SaysWhatItIsAndWhatToDo) {
  const ErrorRow& row = GetParam();
  EXPECT_TRUE(kCodes.count(row.code)) << row.code;
  EXPECT_NE(row.disposition, Disposition::kFatal);
  EXPECT_NE(row.disposition, Disposition::kCancelled);
  EXPECT_GE(row.advice.size(), 20u);
  EXPECT_EQ(std::count_if(ErrorTable().begin(), ErrorTable().end(),
                          [&](const ErrorRow& each) { return each.error == row.error; }),
            1);
  const Error error = MakeError(row.error, "committing");
  EXPECT_EQ(error.code, row.code);
  EXPECT_EQ(error.disposition, row.disposition);
  EXPECT_THAT(error.message, HasSubstr("committing: "));
  EXPECT_THAT(error.message, HasSubstr(std::string(row.advice)));
  // Each code has one disposition, so that runbooks can be keyed by it.
  for (const ErrorRow& other : ErrorTable()) {
    if (other.code == row.code) {
      EXPECT_EQ(other.disposition, row.disposition) << rd_kafka_err2name(other.error);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Table, KafkaErrorRow,
                         ::testing::ValuesIn(ErrorTable().begin(), ErrorTable().end()),
                         [](const auto& row) {
                           std::string name = rd_kafka_err2name(row.param.error);
                           return (row.param.error < 0 ? "Local" : "Broker") + name;
                         });

TEST(KafkaErrors, NamesEverythingThatBrokersSay) {
  // Codes of requests that we never make.
  const std::set<int> never = {61, 62, 63, 64, 65, 66, 67, 84, 85, 86, 91, 92, 93, 94, 95, 96, 97};
  std::set<int> named;
  for (const ErrorRow& row : ErrorTable()) named.insert(row.error);
  for (int error = -1; error < RD_KAFKA_RESP_ERR_END_ALL; ++error) {
    if (error == 0 || never.count(error)) continue;
    EXPECT_TRUE(named.count(error)) << rd_kafka_err2name(static_cast<rd_kafka_resp_err_t>(error));
  }
}

TEST(KafkaErrors, TellsApartWhatIsActedUponDifferently) {
  const auto code = [](rd_kafka_resp_err_t error) { return FindErrorRow(error).code; };
  EXPECT_EQ(code(RD_KAFKA_RESP_ERR__FENCED), "kafka_fenced");
  EXPECT_EQ(code(RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH), "kafka_fenced");
  EXPECT_EQ(code(RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION), "kafka_fenced");
  EXPECT_EQ(code(RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID), "kafka_fenced");
  EXPECT_EQ(code(RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE), "kafka_record_too_large");
  EXPECT_EQ(code(RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET), "kafka_offset_out_of_range");
  EXPECT_EQ(code(RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS), "kafka_not_ready");
  EXPECT_EQ(code(RD_KAFKA_RESP_ERR__AUTHENTICATION), "kafka_authentication_failed");
  EXPECT_EQ(code(RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR), "kafka_policy_violation");
  EXPECT_EQ(code(RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER), "kafka_client_failed");
}

TEST(KafkaErrors, BrokersThatHaveNotJoinedYetAreWaitedFor) {
  const auto error = [](std::string_view detail) {
    return MakeError(RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR, "making topic t", detail);
  };
  EXPECT_EQ(error("Unable to replicate the partition 1 time(s): All brokers are currently fenced, "
                  "or have all their log directories offline.")
                .disposition,
            Disposition::kRetry);
  EXPECT_EQ(error("The target replication factor of 3 cannot be reached because only 1 broker(s) "
                  "are registered.")
                .disposition,
            Disposition::kNeedsOperator);
}

TEST(KafkaErrors, WhatIsNotInTheTableIsAnsweredByANewClient) {
  const Error error = MakeError(static_cast<rd_kafka_resp_err_t>(250), "reading");
  EXPECT_EQ(error.code, "kafka_client_failed");
  EXPECT_EQ(error.disposition, Disposition::kRetry);
}

Result<std::unique_ptr<ClientHandle>> Client(const std::string& broker) {
  ClientOptions options;
  options.connection.brokers = {broker};
  return ClientHandle::Create(RD_KAFKA_PRODUCER, options, {});
}

TEST(KafkaClientHandle, ATimeoutSaysWhatTheBrokersSaidLast) {
  auto client = Client("127.0.0.1:1");
  ASSERT_TRUE(client);
  Error error;
  // The broker's refusal comes on a thread of its own.
  for (int tries = 0; tries < 100; ++tries) {
    const rd_kafka_metadata_t* metadata = nullptr;
    const rd_kafka_resp_err_t failure =
        rd_kafka_metadata((*client)->get(), 0, nullptr, &metadata, 100);
    ASSERT_NE(failure, RD_KAFKA_RESP_ERR_NO_ERROR);
    error = (*client)->Failure(failure, "asking for the brokers");
    if (error.code == "kafka_unreachable") break;
  }
  EXPECT_EQ(error.code, "kafka_unreachable");
  EXPECT_THAT(error.message, HasSubstr("asking for the brokers: brokers: "));
  EXPECT_THAT(error.message, HasSubstr("Connection refused"));
  EXPECT_FALSE((*client)->Trouble());
}

TEST(KafkaClientHandle, TheReasonOutlivesWhatFollowsFromIt) {
  auto client = Client("127.0.0.1:1");
  ASSERT_TRUE(client);
  (*client)->NoteError(RD_KAFKA_RESP_ERR__AUTHENTICATION,
                       "SASL authentication error: no such user");
  (*client)->NoteError(RD_KAFKA_RESP_ERR__TRANSPORT, "Disconnected");
  (*client)->NoteError(RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, "1/1 brokers are down");
  const Error error = (*client)->Failure(RD_KAFKA_RESP_ERR__TIMED_OUT, "waiting");
  EXPECT_EQ(error.code, "kafka_authentication_failed");
  EXPECT_THAT(error.message, HasSubstr("no such user"));
  ASSERT_TRUE((*client)->Trouble());
  EXPECT_EQ((*client)->Trouble()->code, "kafka_authentication_failed");
}

TEST(KafkaClientHandle, ARefusedSettingIsNamed) {
  ClientOptions options;
  options.connection.brokers = {"127.0.0.1:1"};
  options.connection.tls.mode = TlsMode::kVerifyFull;
  options.connection.tls.ca = "/no/such/file.pem";
  auto client = ClientHandle::Create(RD_KAFKA_PRODUCER, options, {});
  ASSERT_FALSE(client);
  EXPECT_EQ(client.error().code, "kafka_settings_invalid");
  EXPECT_THAT(client.error().message, HasSubstr("/no/such/file.pem"));
}

TEST(KafkaClientHandle, SaysWhyThereIsNoToken) {
  ClientOptions options;
  options.connection.brokers = {"127.0.0.1:1"};
  options.connection.sasl.mechanism = SaslMechanism::kOauthBearer;
  options.connection.sasl.token_command = {"sh", "-c", "echo 'vault is sealed' >&2; exit 3"};
  auto client = ClientHandle::Create(RD_KAFKA_PRODUCER, options, {});
  ASSERT_TRUE(client);
  std::optional<Error> trouble;
  for (int tries = 0; tries < 200 && !trouble; ++tries) {
    const rd_kafka_metadata_t* metadata = nullptr;
    (void)rd_kafka_metadata((*client)->get(), 0, nullptr, &metadata, 50);
    trouble = (*client)->Trouble();
  }
  ASSERT_TRUE(trouble);
  EXPECT_EQ(trouble->code, "kafka_token_command_failed");
  EXPECT_THAT(trouble->message, HasSubstr("exit code 3 and said 'vault is sealed'"));
}

}  // namespace
}  // namespace tailwater::kafka
