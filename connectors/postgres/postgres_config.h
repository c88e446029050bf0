// The options of a `type: postgres` source.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "tailwater/config.h"

namespace tailwater::postgres {

enum class TlsMode : uint8_t {
  kAuto,  // verify-full to another host, prefer to this one
  kDisable,
  kPrefer,
  kRequire,
  kVerifyCa,
  kVerifyFull
};

enum class ValueFormat : uint8_t {
  kAuto,  // binary where that is possible
  kText,
  kBinary,  // the same, and a warning where it is not
};

struct PostgresConfig {
  struct Tls {
    TlsMode mode = TlsMode::kAuto;
    std::string ca;  // empty: the system's
    std::string cert;
    std::string key;
  };
  struct Slot {
    std::string name;  // empty: tailwater_<pipeline>__<source>
    bool create = true;
    bool failover = true;  // 17 and later
  };
  struct Publication {
    std::string name;  // empty: tailwater_<pipeline>__<source>
    bool create = true;
  };

  std::string url;
  std::string host = "localhost";  // a path that starts with '/': a folder of Unix sockets
  uint32_t port = 5432;
  std::string database;
  std::string user;
  Secret password;  // read again at every connect
  Tls tls;
  Slot slot;
  Publication publication;
  std::vector<std::string> messages;  // prefixes of logical messages to publish
  ValueFormat format = ValueFormat::kAuto;
  bool read_back = true;
  std::string watermark_table;  // empty: messages, where the server has them (14 and later)
  std::chrono::milliseconds copy_timeout = std::chrono::minutes(5);
  std::chrono::milliseconds connect_timeout = std::chrono::seconds(10);
  std::chrono::milliseconds status_interval = std::chrono::seconds(10);
  std::chrono::milliseconds silence_timeout = std::chrono::minutes(10);
};

// What a session needs, of a source or of a sink: url, host, port, database, user, password, tls,
// connect_timeout. The member of a sink's configuration is a PostgresConfig, too.
const OptionTable& PostgresServerOptions();
void ValidatePostgresServer(const PostgresConfig& config, const ConfigNode& section,
                            Problems& problems);

const OptionTable& PostgresOptions();

// Checks across fields.
void ValidatePostgres(const PostgresConfig& config, const ConfigNode& section, Problems& problems);

// postgres://user@host:port/database into the fields; false and `problem` if it is not one. A
// password in it is refused: URLs are printed.
bool ParsePostgresUrl(const std::string& url, PostgresConfig& config, std::string& problem);

}  // namespace tailwater::postgres
