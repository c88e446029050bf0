#include "postgres/postgres_config.h"

#include <algorithm>
#include <charconv>
#include <string_view>

#include "postgres/watermarks.h"
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

// Percent-decoded; false if it is malformed.
bool Decode(std::string_view text, std::string& out) {
  out.clear();
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out.push_back(text[i]);
      continue;
    }
    unsigned value = 0;
    if (i + 2 >= text.size()) return false;
    const auto [end, error] = std::from_chars(&text[i + 1], &text[i + 1] + 2, value, 16);
    if (error != std::errc() || end != &text[i + 1] + 2) return false;
    out.push_back(static_cast<char>(value));
    i += 2;
  }
  return true;
}

bool ParsePort(std::string_view text, uint32_t& port) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc() && end == text.data() + text.size();
}

bool ValidName(const std::string& name) {
  if (name.empty() || name.size() > 63) return false;
  for (const char c : name)
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_')) return false;
  return true;
}

}  // namespace

const OptionTable& PostgresOptions() {
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
  static const OptionTable kOptions = {
      UrlOption(),
      Field("host", &C::host, "Host name or address, or the folder of a Unix socket."),
      Field("port", &C::port, "Port."),
      Field("database", &C::database, "Database to capture."),
      Field("user", &C::user, "Role with LOGIN and REPLICATION."),
      Field("password", &C::password, "Password of the role, as ${env:NAME} or ${file:/path}."),
      Section("tls", &C::tls, "TLS towards the server.", kTls),
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
      Field("connect_timeout", &C::connect_timeout, "Longest wait for a session."),
      Field("status_interval", &C::status_interval, "Longest silence towards the server."),
      Field("silence_timeout", &C::silence_timeout,
            "A server that answers nothing for so long is taken for dead. Decoding one huge "
            "transaction can be silent for minutes."),
  };
  return kOptions;
}

void ValidatePostgres(const PostgresConfig& config, const ConfigNode& section, Problems& problems) {
  const auto add = [&](std::string_view key, std::string message) {
    const ConfigNode* node = section.Find(key);
    const Location& at = node != nullptr ? node->location : section.location;
    problems.Add(at, section.path + (node != nullptr ? "." + std::string(key) : std::string()) +
                         ": " + std::move(message));
  };
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
  if (!config.slot.name.empty() && !ValidName(config.slot.name))
    add("slot", "name: only a-z, 0-9 and _, at most 63 characters");
  if (config.publication.name.size() > 63) add("publication", "name: at most 63 characters");
  if (!config.slot.create && config.slot.name.empty())
    add("slot", "create: false needs a name: whose slot is it?");
  if (!config.publication.create && config.publication.name.empty())
    add("publication", "create: false needs a name: whose publication is it?");
  if (config.tls.cert.empty() != config.tls.key.empty()) add("tls", "cert and key go together");
  if (!config.watermark_table.empty() && !ParseTableName(config.watermark_table))
    add("watermark_table", "write schema.name, for example public.tailwater_watermarks");
  if (config.copy_timeout < std::chrono::seconds(1)) add("copy_timeout", "must be at least 1s");
  if (config.connect_timeout < std::chrono::seconds(1))
    add("connect_timeout", "must be at least 1s");
  if (config.status_interval < std::chrono::milliseconds(100) ||
      config.status_interval > std::chrono::seconds(20))
    add("status_interval", "must be between 100ms and 20s: the server gives up after 60s");
  if (config.silence_timeout < std::chrono::seconds(30))
    add("silence_timeout", "must be at least 30s");
}

bool IsThisHost(const std::string& host) {
  return host.empty() || host[0] == '/' || host[0] == '@' || host == "localhost" || host == "::1" ||
         host.rfind("127.", 0) == 0;
}

bool ParsePostgresUrl(const std::string& url, PostgresConfig& config, std::string& problem) {
  std::string_view rest = url;
  constexpr std::string_view kExample = "write postgres://user@host:port/database";
  bool known = false;
  for (const std::string_view scheme : {"postgres://", "postgresql://"}) {
    if (rest.substr(0, scheme.size()) != scheme) continue;
    rest.remove_prefix(scheme.size());
    known = true;
    break;
  }
  if (!known) return problem = kExample, false;
  std::string_view parameters;
  if (const size_t mark = rest.find('?'); mark != std::string_view::npos) {
    parameters = rest.substr(mark + 1);
    rest = rest.substr(0, mark);
  }
  const size_t slash = rest.find('/');
  if (slash == std::string_view::npos || slash + 1 == rest.size())
    return problem = fmt::format("no database; {}", kExample), false;
  std::string_view authority = rest.substr(0, slash);
  if (const size_t at = authority.rfind('@'); at != std::string_view::npos) {
    const std::string_view user = authority.substr(0, at);
    if (user.find(':') != std::string_view::npos) {
      config.url.clear();  // is never shown
      return problem = "holds a password; URLs are printed, so set `password: ${env:NAME}`", false;
    }
    if (!Decode(user, config.user)) return problem = "bad %-code in the user's name", false;
    authority.remove_prefix(at + 1);
  }
  size_t colon = authority.rfind(':');
  if (!authority.empty() && authority[0] == '[') {  // [::1]:5432
    const size_t close = authority.find(']');
    if (close == std::string_view::npos) return problem = "no ']' behind the address", false;
    config.host = std::string(authority.substr(1, close - 1));
    colon = close + 1 < authority.size() && authority[close + 1] == ':' ? close + 1
                                                                        : std::string_view::npos;
  } else if (!Decode(authority.substr(0, colon), config.host)) {
    return problem = "bad %-code in the host's name", false;
  }
  if (config.host.empty()) config.host = "localhost";
  if (colon != std::string_view::npos) {
    if (!ParsePort(authority.substr(colon + 1), config.port))
      return problem = fmt::format("'{}' is no port", authority.substr(colon + 1)), false;
  }
  // A folder of Unix sockets does not fit before the slash: ?host=/run/postgresql&port=5432
  while (!parameters.empty()) {
    const std::string_view parameter = parameters.substr(0, parameters.find('&'));
    parameters.remove_prefix(std::min(parameters.size(), parameter.size() + 1));
    if (parameter.rfind("host=", 0) == 0) {
      if (!Decode(parameter.substr(5), config.host))
        return problem = "bad %-code in the host's name", false;
    } else if (parameter.rfind("port=", 0) == 0) {
      if (!ParsePort(parameter.substr(5), config.port))
        return problem = fmt::format("'{}' is no port", parameter.substr(5)), false;
    } else {
      return problem = "behind '?' only host and port are read; use the keys of this section",
             false;
    }
  }
  if (!Decode(rest.substr(slash + 1), config.database))
    return problem = "bad %-code in the database's name", false;
  return true;
}

}  // namespace tailwater::postgres
