#include "postgres/postgres_config.h"

#include <string_view>
#include <utility>

#include "postgres/watermarks.h"
#include "support/database_url.h"
#include "support/text.h"

namespace tailwater::postgres {
namespace {

OptionSpec UrlOption() {
  OptionSpec spec = Field("url", &PostgresConfig::url,
                          "postgres://user@host:port/database; in place of host, port, database "
                          "and user. Never holds the password.");
  spec.parse = [](const ConfigNode& node, void* opaque, Problems& problems) {
    auto& config = *static_cast<PostgresConfig*>(opaque);
    ParseScalar(node, config.url, problems);
    std::string problem;
    if (!config.url.empty() && !ParsePostgresUrl(config.url, config, problem))
      problems.Add(node.location, node.path + ": " + problem);
  };
  return spec;
}

bool ValidName(const std::string& name) {
  if (name.empty() || name.size() > 63) return false;
  for (const char c : name)
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_')) return false;
  return true;
}

}  // namespace

const OptionTable& PostgresServerOptions() {
  using C = PostgresConfig;
  static const OptionTable kTls = {
      Choice("mode", &C::Tls::mode,
             "auto verifies fully to another host and prefers TLS to this one.",
             {{"auto", TlsMode::kAuto},
              {"disable", TlsMode::kDisable},
              {"prefer", TlsMode::kPrefer},
              {"require", TlsMode::kRequire},
              {"verify-ca", TlsMode::kVerifyCa},
              {"verify-full", TlsMode::kVerifyFull}}),
      Field("ca", &C::Tls::ca, "File of trusted certificates; the system's if empty."),
      Field("cert", &C::Tls::cert, "File of the client's certificate."),
      Field("key", &C::Tls::key, "File of the client's private key."),
  };
  static const OptionTable kOptions = {
      UrlOption(),
      Field("host", &C::host, "Host name or address, or the folder of a Unix socket."),
      Field("port", &C::port, "Port."),
      Field("database", &C::database, "Name of the database."),
      Field("user", &C::user, "Role to log in as."),
      Field("password", &C::password, "Password of the role, as ${env:NAME} or ${file:/path}."),
      Section("tls", &C::tls, "TLS towards the server.", kTls),
      Field("connect_timeout", &C::connect_timeout, "Longest wait for a session."),
  };
  return kOptions;
}

const OptionTable& PostgresOptions() {
  using C = PostgresConfig;
  static const OptionTable kSlot = {
      Field("name", &C::Slot::name, "Name of the slot; tailwater_<pipeline>__<source> if empty."),
      Field("create", &C::Slot::create, "false: somebody else makes the slot."),
      Field("failover", &C::Slot::failover,
            "Create the slot so that standbys can keep a copy (Postgres 17 and later)."),
  };
  static const OptionTable kPublication = {
      Field("name", &C::Publication::name,
            "Name of the publication; tailwater_<pipeline>__<source> if empty."),
      Field("create", &C::Publication::create,
            "false: somebody else makes the publication; it is only verified."),
  };
  static const OptionTable kOwn = {
      Section("slot", &C::slot, "The replication slot.", kSlot),
      Section("publication", &C::publication, "The publication.", kPublication),
      Field("messages", &C::messages,
            "Prefixes of logical messages (pg_logical_emit_message) to publish; Postgres 14 and "
            "later."),
      Choice(
          "format", &C::format,
          "How the server sends values: text, or binary (Postgres 14 and later, if every captured "
          "column has a binary form; else text, with a warning). The values are the same. auto is "
          "binary without the warning. Snapshots choose by table: a column without a binary form "
          "is sent as text beside the others, and auto copies in binary only where that is less "
          "work.",
          {{"auto", ValueFormat::kAuto},
           {"text", ValueFormat::kText},
           {"binary", ValueFormat::kBinary}}),
      Field("read_back", &C::read_back,
            "Read columns that the log left out of a key change back from the table. Needs SELECT "
            "on it; without, they are marked omitted."),
      Field("watermark_table", &C::watermark_table,
            "Table that snapshots write their marks to, as schema.name; made if it can be. Empty: "
            "logical messages, and on Postgres 12 and 13, which lack them, "
            "public.tailwater_watermarks."),
      Field("copy_timeout", &C::copy_timeout,
            "Longest statement of a snapshot on the server; a chunk that takes longer is read "
            "again."),
      Field("status_interval", &C::status_interval, "Longest silence towards the server."),
      Field("silence_timeout", &C::silence_timeout,
            "A server that answers nothing for so long is taken for dead. Decoding one huge "
            "transaction can be silent for minutes."),
  };
  static const OptionTable kOptions = [] {
    OptionTable all = PostgresServerOptions();
    all.insert(all.end(), kOwn.begin(), kOwn.end());
    return all;
  }();
  return kOptions;
}

namespace {

// Adds a problem at a key of the section, or at the section where the key is missing.
struct At {
  const ConfigNode& section;
  Problems& problems;
  void operator()(std::string_view key, const std::string& message) const {
    const ConfigNode* node = section.Find(key);
    const Location& at = node != nullptr ? node->location : section.location;
    const std::string name = node != nullptr ? "." + std::string(key) : std::string();
    problems.Add(at, section.path + name + ": " + message);
  }
};

}  // namespace

void ValidatePostgresServer(const PostgresConfig& config, const ConfigNode& section,
                            Problems& problems) {
  const At add{section, problems};
  if (section.Find("url") != nullptr) {
    for (const std::string_view key : {"host", "port", "database", "user"}) {
      if (section.Find(key) != nullptr)
        add(key, fmt::format("'url' already says so; remove 'url' or '{}'", key));
    }
  }
  const bool url_broken = section.Find("url") != nullptr && config.database.empty();
  if (config.database.empty() && !url_broken)
    add("database", "missing: set 'database', or 'url: postgres://user@host:port/database'");
  if (config.user.empty() && !url_broken)
    add("user", "missing: set 'user', or 'url: postgres://user@host:port/database'");
  if (config.host.empty()) add("host", "must not be empty");
  if (config.port == 0 || config.port > 65535) add("port", "must be between 1 and 65535");
  if (config.tls.cert.empty() != config.tls.key.empty()) add("tls", "cert and key go together");
  if (config.connect_timeout < std::chrono::seconds(1))
    add("connect_timeout", "must be at least 1s");
}

void ValidatePostgres(const PostgresConfig& config, const ConfigNode& section, Problems& problems) {
  ValidatePostgresServer(config, section, problems);
  const At add{section, problems};
  if (!config.slot.name.empty() && !ValidName(config.slot.name))
    add("slot", "name: only a-z, 0-9 and _, at most 63 characters");
  if (config.publication.name.size() > 63) add("publication", "name: at most 63 characters");
  if (!config.slot.create && config.slot.name.empty())
    add("slot", "create: false needs a name: whose slot is it?");
  if (!config.publication.create && config.publication.name.empty())
    add("publication", "create: false needs a name: whose publication is it?");
  if (!config.watermark_table.empty() && !ParseTableName(config.watermark_table))
    add("watermark_table", "write schema.name, for example public.tailwater_watermarks");
  if (config.copy_timeout < std::chrono::seconds(1)) add("copy_timeout", "must be at least 1s");
  if (config.status_interval < std::chrono::milliseconds(100) ||
      config.status_interval > std::chrono::seconds(20))
    add("status_interval", "must be between 100ms and 20s: the server gives up after 60s");
  if (config.silence_timeout < std::chrono::seconds(30))
    add("silence_timeout", "must be at least 30s");
}

bool ParsePostgresUrl(const std::string& url, PostgresConfig& config, std::string& problem) {
  constexpr std::string_view kExample = "postgres://user@host:port/database";
  auto parsed = ParseDatabaseUrl(url, {"postgres://", "postgresql://"}, kExample, problem);
  if (!parsed) return config.url.clear(), false;  // it may hold a password, and is never shown
  if (parsed->database.empty())
    return problem = fmt::format("no database; write {}", kExample), false;
  config.user = std::move(parsed->user);
  config.host = std::move(parsed->host);
  config.database = std::move(parsed->database);
  if (parsed->port) config.port = *parsed->port;
  // A folder of Unix sockets does not fit before the slash: ?host=/run/postgresql&port=5432
  for (const auto& [name, value] : parsed->parameters) {
    if (name == "host") {
      config.host = value;
    } else if (name == "port") {
      if (!ParsePort(value, config.port))
        return problem = fmt::format("'{}' is no port", value), false;
    } else {
      return problem = "behind '?' only host and port are read; use the keys of this section",
             false;
    }
  }
  return true;
}

}  // namespace tailwater::postgres
