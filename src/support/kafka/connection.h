// How a Kafka cluster is reached: brokers, TLS and SASL, by named options that the topic and the
// kafka sink share.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tailwater/config.h"

namespace tailwater::kafka {

// Named as in the postgres source.
enum class TlsMode : uint8_t {
  kAuto,  // on, unless every broker is on this host
  kDisable,
  kVerifyFull,  // certificate and host name
};

struct Tls {
  TlsMode mode = TlsMode::kAuto;
  std::string ca;  // PEM file; empty: the system's authorities
  std::string cert;
  std::string key;
  Secret key_password;
};

enum class SaslMechanism : uint8_t { kNone, kPlain, kScramSha256, kScramSha512, kOauthBearer };

struct Sasl {
  SaslMechanism mechanism = SaslMechanism::kNone;
  std::string username;
  Secret password;  // read again for each client that is made
  // oauthbearer: run (no shell) whenever a token is needed; prints one JSON object with
  // "access_token", "expires_in" (seconds) and, if the token does not say, "principal".
  std::vector<std::string> token_command;
};

struct Connection {
  std::vector<std::string> brokers;  // "host:port"
  Tls tls;
  Sasl sasl;

  bool UsesTls() const;
  std::string Describe() const;  // "kafka-1:9092, kafka-2:9092"
};

// brokers, tls, sasl: for Inlined().
OptionTable ConnectionOptions();
// Checks across fields.
void CheckConnection(const Connection& connection, const ConfigNode& section, Problems& problems);

}  // namespace tailwater::kafka
