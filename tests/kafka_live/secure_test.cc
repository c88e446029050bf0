// TLS, SASL and ACLs, against a cluster that has them.

#include <gmock/gmock.h>

#include "support/kafka/admin.h"
#include "support/kafka/producer.h"
#include "support/matchers.h"
#include "support/server_process.h"
#include "topic/kafka/check.h"
#include "topic/kafka/kafka_topic.h"

namespace tailwater::kafka {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Field;
using ::testing::HasSubstr;

class KafkaSecure : public ::testing::Test {
 protected:
  static const nlohmann::json& Server() {
    static ServerProcess server("tests/servers/kafka.py", {"--secure"});
    return server.state();
  }
  static ClientOptions Tls() {
    ClientOptions options;
    options.client_id = "test";
    options.connection.brokers = {Server().at("tls_brokers")};
    options.connection.tls.mode = TlsMode::kVerifyFull;
    options.connection.tls.ca = Server().at("ca");
    return options;
  }
  static ClientOptions User(SaslMechanism mechanism, const std::string& user,
                            const std::string& password) {
    ClientOptions options = Tls();
    options.connection.brokers = {Server().at("sasl_brokers")};
    options.connection.sasl.mechanism = mechanism;
    options.connection.sasl.username = user;
    options.connection.sasl.password = Secret(password);
    return options;
  }
  static ClientOptions Token(const std::string& script) {
    ClientOptions options = User(SaslMechanism::kOauthBearer, "", "");
    options.connection.sasl.token_command = {"/usr/bin/python3", "-c", script};
    return options;
  }
  static Result<int32_t> Brokers(const ClientOptions& options) {
    TW_ASSIGN_OR_RETURN(const auto admin, Admin::Create(options, 10s));
    return admin->BrokerCount();
  }
};

TEST_F(KafkaSecure, TlsIsVerified) {
  EXPECT_OK(Brokers(Tls()));
  ClientOptions untrusted = Tls();
  untrusted.connection.tls.ca.clear();  // the system's authorities do not know ours
  const auto refused = Brokers(untrusted);
  ASSERT_THAT(refused, IsErrorWith("kafka_tls_failed"));
  EXPECT_EQ(refused.error().disposition, Disposition::kNeedsOperator);
  EXPECT_THAT(refused.error().message, HasSubstr("check tls"));
}

TEST_F(KafkaSecure, APortThatWantsTlsSaysSo) {
  ClientOptions plain = Tls();
  plain.connection.tls = {.mode = TlsMode::kDisable};
  const auto refused = Brokers(plain);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("security.protocol"));
}

TEST_F(KafkaSecure, PasswordsAreCheckedAndAWrongOneIsNoTimeout) {
  EXPECT_OK(Brokers(User(SaslMechanism::kPlain, "tailwater", "tailwater-secret")));
  const auto begin = std::chrono::steady_clock::now();
  const auto refused = Brokers(User(SaslMechanism::kPlain, "tailwater", "wrong"));
  ASSERT_THAT(refused, IsErrorWith("kafka_authentication_failed"));
  EXPECT_THAT(refused.error().message, HasSubstr("under sasl"));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 8s);
}

TEST_F(KafkaSecure, TokensComeFromTheCommand) {
  const auto token = Token(R"(
import base64, json, time
part = lambda value: base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")
now = int(time.time())
print(json.dumps({"access_token": part({"alg": "none"}) + "." + part({"sub": "tailwater", "iat": now, "exp": now + 300}) + ".",
                  "expires_in": 300}))
)");
  EXPECT_OK(Brokers(token));
  const auto refused = Brokers(Token("import sys; sys.exit('no credentials')"));
  ASSERT_THAT(refused, IsErrorWith("kafka_token_command_failed"));
  EXPECT_THAT(refused.error().message, HasSubstr("no credentials"));
}

TEST_F(KafkaSecure, WhatAUserMayNotDoIsNamed) {
  const ClientOptions nobody = User(SaslMechanism::kPlain, "nobody", "nobody-secret");
  auto admin = Admin::Create(nobody, 10s);
  ASSERT_OK(admin);
  const Status made = (*admin)->CreateTopic({"forbidden", 1, 1, {}});
  ASSERT_THAT(made, IsErrorWith("kafka_not_authorized"));
  EXPECT_THAT(made.error().message, HasSubstr("kafka-acls"));
  EXPECT_THAT((*admin)->DescribeGroup("forbidden"), IsErrorWith("kafka_not_authorized"));
  ProducerOptions options;
  options.client = nobody;
  options.transactional_id = "forbidden";
  auto producer = Producer::Create(options);
  ASSERT_OK(producer);
  const Status fenced = (*producer)->Init({}, 10s);
  ASSERT_THAT(fenced, IsErrorWith("kafka_not_authorized"));
  EXPECT_THAT(fenced.error().message, HasSubstr("--transactional-id"));

  KafkaSettings settings;
  settings.client = nobody;
  settings.pipeline = "shop";
  settings.topic = "tailwater.forbidden";
  settings.replication = 1;
  EXPECT_THAT(CheckKafkaTopic(settings),
              Contains(AllOf(Field(&Finding::severity, Finding::Severity::kError),
                             Field(&Finding::code, std::string("kafka_not_authorized")))));
  const auto writer = KafkaTopic(settings).OpenWriter({}, {});
  ASSERT_THAT(writer, IsErrorWith("kafka_not_authorized"));
  EXPECT_EQ(writer.error().disposition, Disposition::kNeedsOperator);
}

}  // namespace
}  // namespace tailwater::kafka
