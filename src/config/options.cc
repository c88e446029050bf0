// The option tables of what is no connector, and the checks across their fields.
#include "config/options.h"

#include "config/load_config.h"
#include "http/listen_address.h"

namespace tailwater {
namespace {

void AddTo(const ConfigNode& section, std::string_view key, const std::string& message,
           Problems& problems) {
  const ConfigNode* node = section.Find(key);
  const std::string path =
      section.path.empty() ? std::string(key) : section.path + "." + std::string(key);
  problems.Add(node == nullptr ? section.location : node->location, path + ": " + message);
}

}  // namespace

const OptionTable& TopicOptions() {
  using C = TopicConfig;
  static const OptionTable kOptions = [] {
    OptionSpec type;
    type.name = "type";
    type.help = "Where the changes are kept: local is an embedded log on this machine.";
    type.type = "local";
    type.default_text = "local";
    type.parse = [](const ConfigNode& node, void* config, Problems& problems) {
      const std::vector<std::string> types = {"local"};
      const int index = ParseChoice(node, types, problems);
      if (index >= 0) static_cast<C*>(config)->type = types[static_cast<size_t>(index)];
    };
    return OptionTable{
        std::move(type),
        Field("path", &C::path,
              "Folder of the log and of the sinks' places in it, on a disk that survives restarts. "
              "No other pipeline may use it.",
              kRequired),
        Field("retention", &C::retention,
              "How long changes can be read again. A sink that is further behind has a gap. "
              "0s: no limit."),
        Field("max_size", &C::max_size,
              "Size of the stored changes beyond which the oldest are removed before `retention` "
              "is over. 0: no limit."),
        Field("flush_interval", &C::flush_interval,
              "Longest time that a change waits for others to share one write to the disk."),
        Field("flush_size", &C::flush_size, "Changes of this size are written without waiting."),
        Field(
            "queue_size", &C::queue_size,
            "Changes that may wait in memory while the disk is busy; the source waits beyond it."),
        Field("max_record_size", &C::max_record_size,
              "Largest change that is taken. A larger one halts its source."),
        Field("transaction_size", &C::transaction_size,
              "A transaction of the source larger than this is published in parts, in constant "
              "memory."),
    };
  }();
  return kOptions;
}

void CheckTopic(const TopicConfig& config, const ConfigNode& section, Problems& problems) {
  if (section.Find("path") != nullptr && config.path.empty()) {
    AddTo(section, "path", "is empty; name a folder, for example /var/lib/tailwater/shop",
          problems);
  }
  if (config.retention.count() != 0 && config.retention < std::chrono::minutes(1)) {
    AddTo(section, "retention", "must be at least 1m, or 0s for no limit", problems);
  }
  if (config.max_size.bytes != 0 && config.max_size.bytes < (16u << 20)) {
    AddTo(section, "max_size", "must be at least 16MiB, or 0 for no limit", problems);
  }
  if (config.flush_interval > std::chrono::seconds(10)) {
    AddTo(section, "flush_interval", "must be at most 10s", problems);
  }
  const auto within = [&](std::string_view key, ByteSize size, ByteSize least, ByteSize most) {
    if (size < least || size > most) {
      AddTo(section, key, "must be from " + ConfigText(least) + " to " + ConfigText(most),
            problems);
    }
  };
  within("flush_size", config.flush_size, {1 << 10}, {256 << 20});
  within("queue_size", config.queue_size, {1 << 20}, {16ull << 30});
  within("max_record_size", config.max_record_size, {1 << 10}, {512 << 20});
  within("transaction_size", config.transaction_size, {1 << 10}, {1 << 30});
}

const OptionTable& DaemonOptions() {
  using C = DaemonConfig;
  static const OptionTable kOptions = {
      Field(
          "listen", &C::listen,
          "Address and port of metrics, health and the API. Anything but a loopback address needs "
          "a token."),
      Field("token", &C::token, "What clients of the API must send as a bearer token."),
      Choice("log_level", &C::log_level, "Least important lines that are logged.",
             {{"debug", LogLevel::kDebug},
              {"info", LogLevel::kInfo},
              {"warn", LogLevel::kWarn},
              {"error", LogLevel::kError}}),
      Choice("log_format", &C::log_format, "Form of the log lines on standard error.",
             {{"text", LogFormat::kText}, {"json", LogFormat::kJson}}),
      Field("shutdown_timeout", &C::shutdown_timeout,
            "How long a stop waits for what is in flight. Nothing is lost beyond it."),
  };
  return kOptions;
}

void CheckDaemon(const DaemonConfig& config, const ConfigNode& section, Problems& problems) {
  const auto address = ParseListenAddress(config.listen);
  if (!address) {
    AddTo(section, "listen", address.error().message, problems);
  } else if (!address->loopback && config.token.empty()) {
    AddTo(
        section, "listen",
        "'" + config.listen + "' is reachable from elsewhere: set a token, or listen on 127.0.0.1",
        problems);
  }
}

}  // namespace tailwater
