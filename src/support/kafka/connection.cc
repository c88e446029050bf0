#include "support/kafka/connection.h"

#include <algorithm>

#include "support/text.h"

namespace tailwater::kafka {
namespace {

bool IsThisHost(std::string_view broker) {
  std::string_view host = broker.substr(0, broker.rfind(':'));
  if (!host.empty() && host.front() == '[') host = host.substr(1, host.size() - 2);
  return host == "localhost" || host == "::1" || host.rfind("127.", 0) == 0;
}

bool IsBroker(const std::string& broker) {
  const size_t colon = broker.rfind(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == broker.size()) return false;
  if (broker.find_first_of("/, \t") != std::string::npos) return false;
  const std::string port = broker.substr(colon + 1);
  return port.size() <= 5 && port.find_first_not_of("0123456789") == std::string::npos &&
         std::stoi(port) > 0 && std::stoi(port) < 65536;
}

}  // namespace

bool Connection::UsesTls() const {
  switch (tls.mode) {
    case TlsMode::kAuto:
      return !std::all_of(brokers.begin(), brokers.end(), IsThisHost) || !tls.ca.empty() ||
             !tls.cert.empty();
    case TlsMode::kDisable:
      return false;
    case TlsMode::kVerifyFull:
      return true;
  }
  return true;
}

std::string Connection::Describe() const { return fmt::format("{}", fmt::join(brokers, ", ")); }

OptionTable ConnectionOptions() {
  static const OptionTable kTls = {
      Choice("mode", &Tls::mode,
             "auto: verify-full unless every broker is on this host. verify-full: the certificate "
             "and the host name in it.",
             {{"auto", TlsMode::kAuto},
              {"disable", TlsMode::kDisable},
              {"verify-full", TlsMode::kVerifyFull}}),
      Field("ca", &Tls::ca, "Trusted certificates, PEM; the system's if empty."),
      Field("cert", &Tls::cert, "Client certificate, PEM."),
      Field("key", &Tls::key, "Its key, PEM."),
      Field("key_password", &Tls::key_password, "Password of the key."),
  };
  static const OptionTable kSasl = {
      Choice("mechanism", &Sasl::mechanism, "How the client proves who it is.",
             {{"none", SaslMechanism::kNone},
              {"plain", SaslMechanism::kPlain},
              {"scram-sha-256", SaslMechanism::kScramSha256},
              {"scram-sha-512", SaslMechanism::kScramSha512},
              {"oauthbearer", SaslMechanism::kOauthBearer}}),
      Field("username", &Sasl::username, "User of plain and scram."),
      Field("password", &Sasl::password, "Password of plain and scram."),
      Field("token_command", &Sasl::token_command,
            "oauthbearer: program and arguments that print a token as JSON: "
            "{\"access_token\": \"…\", \"expires_in\": 300, \"principal\": \"tailwater\"}. Run "
            "without a shell, again before each token expires."),
  };
  return {
      Field("brokers", &Connection::brokers,
            "Some brokers of the cluster, host:port; the others are found through them.",
            kRequired),
      Section("tls", &Connection::tls, "TLS towards the brokers.", kTls),
      Section("sasl", &Connection::sasl, "Authentication towards the brokers.", kSasl),
  };
}

void CheckConnection(const Connection& connection, const ConfigNode& section, Problems& problems) {
  const auto add = [&](std::string_view key, const std::string& message) {
    const ConfigNode* node = section.Find(key);
    problems.Add(node == nullptr ? section.location : node->location,
                 section.path + "." + std::string(key) + ": " + message);
  };
  if (section.Find("brokers") != nullptr && connection.brokers.empty()) {
    add("brokers", "is empty; name a broker, for example kafka-1.internal:9092");
  }
  for (const std::string& broker : connection.brokers) {
    if (!IsBroker(broker)) {
      add("brokers", fmt::format("'{}' is no broker; write host:port, for example "
                                 "kafka-1.internal:9092",
                                 broker));
    }
  }
  if (connection.tls.cert.empty() != connection.tls.key.empty()) {
    add("tls", "cert and key go together");
  }
  const Sasl& sasl = connection.sasl;
  switch (sasl.mechanism) {
    case SaslMechanism::kNone:
      if (!sasl.username.empty() || !sasl.password.empty() || !sasl.token_command.empty()) {
        add("sasl", "needs a mechanism: plain, scram-sha-256, scram-sha-512 or oauthbearer");
      }
      break;
    case SaslMechanism::kPlain:
    case SaslMechanism::kScramSha256:
    case SaslMechanism::kScramSha512:
      if (sasl.username.empty() || sasl.password.empty()) {
        add("sasl", "this mechanism needs username and password");
      }
      if (!sasl.token_command.empty()) add("sasl", "token_command belongs to oauthbearer");
      if (sasl.mechanism == SaslMechanism::kPlain && !connection.UsesTls() &&
          !std::all_of(connection.brokers.begin(), connection.brokers.end(), IsThisHost)) {
        add("sasl", "plain would send the password in clear text: use TLS or scram");
      }
      break;
    case SaslMechanism::kOauthBearer:
      if (sasl.token_command.empty()) add("sasl", "oauthbearer needs token_command");
      break;
  }
}

}  // namespace tailwater::kafka
