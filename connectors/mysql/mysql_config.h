// The options of a `type: mysql` source: MySQL and MariaDB alike.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "tailwater/config.h"

namespace tailwater::mysql {

enum class TlsMode : uint8_t {
  kAuto,  // verify-full to another host, prefer to this one
  kDisable,
  kPrefer,
  kRequire,
  kVerifyCa,
  kVerifyFull
};

// DATE, DATETIME and TIMESTAMP values that are no dates: 0000-00-00, 2024-00-10.
enum class ZeroDates : uint8_t {
  kText,  // the server's text, with the column's type name
  kNull,  // written as_null: a bare null is no value in YAML
  kHalt
};

// Bytes that are not text of their column's character set.
enum class InvalidText : uint8_t {
  kHalt,
  kBytes,    // the value comes as bytes
  kReplace,  // U+FFFD for each
};

struct MysqlConfig {
  struct Tls {
    TlsMode mode = TlsMode::kAuto;
    std::string ca;
    std::string cert;
    std::string key;
    std::string fingerprint;  // SHA-256 or SHA-1 of the server's certificate, in place of a CA
  };

  std::string url;
  // A path that starts with '/' is a Unix socket; "localhost" is none, it is the name of an
  // address.
  std::string host = "localhost";
  uint32_t port = 3306;
  std::string database;  // what SourceFacts tell sinks; may be empty
  std::string user;
  Secret password;  // read again at every connect
  Tls tls;
  std::string server_public_key;  // file with the server's RSA key: a login without TLS
  uint32_t server_id = 0;         // 0: derived from pipeline and source
  ZeroDates zero_dates = ZeroDates::kText;
  InvalidText invalid_text = InvalidText::kHalt;
  std::chrono::milliseconds copy_timeout = std::chrono::minutes(5);
  std::chrono::milliseconds connect_timeout = std::chrono::seconds(10);
  std::chrono::milliseconds silence_timeout = std::chrono::minutes(1);
};

const OptionTable& MysqlOptions();

// Checks across fields.
void ValidateMysql(const MysqlConfig& config, const ConfigNode& section, Problems& problems);

// mysql://user@host:port/database (mariadb:// too) into the fields; false and `problem` if it is
// not one. A password in it is refused: URLs are printed.
bool ParseMysqlUrl(const std::string& url, MysqlConfig& config, std::string& problem);

// What kAuto comes to for this host; a Unix socket has no TLS.
TlsMode EffectiveTlsMode(const MysqlConfig& config);

// The digits of a fingerprint in lower case: 64 of SHA-256, 40 of SHA-1; empty: it is none.
std::string FingerprintDigits(const std::string& fingerprint);

}  // namespace tailwater::mysql
