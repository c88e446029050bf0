#include "mysql/mysql_config.h"

#include <string_view>
#include <utility>

#include "support/database_url.h"
#include "support/text.h"

namespace tailwater::mysql {
namespace {

constexpr std::string_view kExample = "mysql://user@host:port/database";

OptionSpec UrlOption() {
  OptionSpec spec = Field("url", &MysqlConfig::url,
                          "mysql://user@host:port/database (mariadb:// too); in place of host, "
                          "port, database and user. The database may be left out: "
                          "mysql://cdc@db1:3306. A Unix socket: "
                          "mysql://cdc@/shop?socket=/run/mysqld/mysqld.sock. Never holds the "
                          "password.");
  spec.parse = [](const ConfigNode& node, void* opaque, Problems& problems) {
    auto& config = *static_cast<MysqlConfig*>(opaque);
    ParseScalar(node, config.url, problems);
    std::string problem;
    if (!config.url.empty() && !ParseMysqlUrl(config.url, config, problem))
      problems.Add(node.location, node.path + ": " + problem);
  };
  return spec;
}

}  // namespace

const OptionTable& MysqlOptions() {
  using C = MysqlConfig;
  static const OptionTable kTls = {
      Choice("mode", &C::Tls::mode,
             "auto verifies fully to another host and prefers TLS to this one. The certificate "
             "that MySQL makes for itself names no host: with it, give `ca` and verify-ca, or its "
             "`fingerprint`.",
             {{"auto", TlsMode::kAuto},
              {"disable", TlsMode::kDisable},
              {"prefer", TlsMode::kPrefer},
              {"require", TlsMode::kRequire},
              {"verify-ca", TlsMode::kVerifyCa},
              {"verify-full", TlsMode::kVerifyFull}}),
      Field("ca", &C::Tls::ca,
            "File of trusted certificates, for example /etc/ssl/rds-global-bundle.pem; the "
            "system's if empty."),
      Field("cert", &C::Tls::cert, "File of the client's certificate."),
      Field("key", &C::Tls::key, "File of the client's private key."),
      Field("fingerprint", &C::Tls::fingerprint,
            "SHA-256 or SHA-1 of the server's certificate in place of `ca`, as `openssl x509 "
            "-noout -fingerprint -sha256 -in server-cert.pem` prints it: 5F:0E:…; no other "
            "certificate is taken."),
  };
  static const OptionTable kOptions = {
      UrlOption(),
      Field("host", &C::host,
            "Host name or address, or the file of a Unix socket: /run/mysqld/mysqld.sock."),
      Field("port", &C::port, "Port."),
      Field("database", &C::database,
            "The database that is named where an event's form tells one per source. May be empty: "
            "`tables` name theirs, for example shop.orders or shop.*."),
      Field("user", &C::user,
            "Account with REPLICATION SLAVE, REPLICATION CLIENT (MariaDB: BINLOG MONITOR), and "
            "SELECT on what is captured; `tailwater check` prints the GRANTs."),
      Field("password", &C::password, "Its password, as ${env:NAME} or ${file:/path}."),
      Section("tls", &C::tls, "TLS towards the server.", kTls),
      Field("server_public_key", &C::server_public_key,
            "File with the server's RSA key (SELECT @@caching_sha2_password_public_key_path, or "
            "SHOW STATUS LIKE 'Caching_sha2_password_rsa_public_key'), for logins without TLS. It "
            "is never fetched over the network: whoever answers could then read the password."),
      Field("server_id", &C::server_id,
            "Our number among the server's replicas, from 1 to 4294967295 and used by nobody else, "
            "for example 5401. 0: derived from the names of pipeline and source."),
      Choice(
          "zero_dates", &C::zero_dates,
          "What a date that is none becomes, such as 0000-00-00 or 2024-00-10: the server's "
          "text, NULL, or a halt that names table and column.",
          {{"text", ZeroDates::kText}, {"as_null", ZeroDates::kNull}, {"halt", ZeroDates::kHalt}}),
      Choice("invalid_text", &C::invalid_text,
             "What bytes become that are not text in their column's character set: a halt that "
             "names table and column, the bytes themselves, or text with U+FFFD in their place.",
             {{"halt", InvalidText::kHalt},
              {"bytes", InvalidText::kBytes},
              {"replace", InvalidText::kReplace}}),
      Field("copy_timeout", &C::copy_timeout,
            "Longest statement of a snapshot on the server; a chunk that takes longer is read "
            "again."),
      Field("connect_timeout", &C::connect_timeout, "Longest wait for a session."),
      Field("silence_timeout", &C::silence_timeout,
            "A server that sends nothing for so long, not even the heartbeats that it was asked "
            "for, is taken for dead."),
  };
  return kOptions;
}

std::string FingerprintDigits(const std::string& fingerprint) {
  std::string digits;
  for (const char c : fingerprint) {
    if (c == ':' || c == ' ') continue;
    if (c >= 'A' && c <= 'F') {
      digits.push_back(static_cast<char>(c - 'A' + 'a'));
    } else if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')) {
      digits.push_back(c);
    } else {
      return {};
    }
  }
  return digits.size() == 40 || digits.size() == 64 ? digits : std::string();
}

TlsMode EffectiveTlsMode(const MysqlConfig& config) {
  if (config.tls.mode != TlsMode::kAuto) return config.tls.mode;
  if (!config.host.empty() && config.host[0] == '/') return TlsMode::kDisable;
  if (!config.tls.fingerprint.empty()) return TlsMode::kRequire;
  return IsThisHost(config.host) ? TlsMode::kPrefer : TlsMode::kVerifyFull;
}

void ValidateMysql(const MysqlConfig& config, const ConfigNode& section, Problems& problems) {
  const auto add = [&](std::string_view key, std::string message) {
    const ConfigNode* node = section.Find(key);
    const Location& at = node != nullptr ? node->location : section.location;
    problems.Add(at, section.path + (node != nullptr ? "." + std::string(key) : std::string()) +
                         ": " + std::move(message));
  };
  const bool has_url = section.Find("url") != nullptr;
  if (has_url) {
    for (const std::string_view key : {"host", "port", "database", "user"}) {
      if (section.Find(key) != nullptr)
        add(key, fmt::format("'url' already says so; remove 'url' or '{}'", key));
    }
  }
  const bool url_broken = has_url && config.url.empty();
  if (config.user.empty() && !url_broken)
    add("user", fmt::format("missing: set 'user', or 'url: {}'", kExample));
  if (config.host.empty()) add("host", "must not be empty");
  if (config.host.find(',') != std::string::npos || config.host.find("://") != std::string::npos)
    add(has_url ? "url" : "host", "one host, without a scheme: for example db1.internal");
  if (config.port == 0 || config.port > 65535)
    add(has_url ? "url" : "port", "the port must be between 1 and 65535");
  const bool is_socket = !config.host.empty() && config.host[0] == '/';
  if (is_socket && config.tls.mode != TlsMode::kAuto && config.tls.mode != TlsMode::kDisable &&
      config.tls.mode != TlsMode::kPrefer)
    add("tls", "a Unix socket needs no TLS: remove `mode`");
  if (config.tls.cert.empty() != config.tls.key.empty()) add("tls", "cert and key go together");
  if (!config.tls.fingerprint.empty()) {
    if (FingerprintDigits(config.tls.fingerprint).empty())
      add("tls", "fingerprint: 64 hexadecimal digits (SHA-256) or 40 (SHA-1), with or without ':'");
    if (!config.tls.ca.empty()) add("tls", "fingerprint takes the place of ca: keep one of them");
    if (config.tls.mode != TlsMode::kAuto && config.tls.mode != TlsMode::kRequire)
      add("tls", "fingerprint needs TLS, and names the certificate itself: leave out `mode`");
  }
  if (config.copy_timeout < std::chrono::seconds(1)) add("copy_timeout", "must be at least 1s");
  if (config.connect_timeout < std::chrono::seconds(1))
    add("connect_timeout", "must be at least 1s");
  if (config.silence_timeout < std::chrono::seconds(5))
    add("silence_timeout", "must be at least 5s: heartbeats come twice a second");
}

bool ParseMysqlUrl(const std::string& url, MysqlConfig& config, std::string& problem) {
  auto parsed = ParseDatabaseUrl(url, {"mysql://", "mariadb://"}, kExample, problem);
  if (!parsed) return config.url.clear(), false;  // it may hold a password, and is never shown
  config.user = std::move(parsed->user);
  config.host = std::move(parsed->host);
  config.database = std::move(parsed->database);
  if (parsed->port) config.port = *parsed->port;
  for (const auto& [name, value] : parsed->parameters) {
    if (name != "socket")
      return problem = "behind '?' only socket is read; use the keys of this section", false;
    if (value.empty() || value[0] != '/')
      return problem = "socket: a path, for example /run/mysqld/mysqld.sock", false;
    config.host = value;
  }
  return true;
}

}  // namespace tailwater::mysql
