#include "tailwater/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <ctime>

#include "sdk/log_setup.h"

namespace tailwater {
namespace {

std::atomic<LogFormat> log_format{LogFormat::kText};

// Never destroyed: threads may still log while statics are torn down.
spdlog::logger& ProcessLogger() {
  static auto* const kLogger = [] {
    auto* logger =
        new spdlog::logger("tailwater", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    logger->set_pattern("%v");
    logger->set_level(spdlog::level::info);
    logger->flush_on(spdlog::level::trace);
    return logger;
  }();
  return *kLogger;
}

spdlog::level::level_enum SpdlogLevel(int level) {
  switch (level) {
    case 1:
      return spdlog::level::debug;
    case 2:
      return spdlog::level::info;
    case 3:
      return spdlog::level::warn;
    case 4:
      return spdlog::level::err;
    default:
      return spdlog::level::off;
  }
}

std::string_view LevelName(int level) {
  constexpr std::string_view kNames[] = {"debug", "info", "warn", "error"};
  return kNames[std::clamp(level, 1, 4) - 1];
}

std::string Now() {
  const auto now = std::chrono::system_clock::now();
  const auto millis =
      std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count();
  const std::time_t seconds = millis / 1000;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", parts.tm_year + 1900,
                     parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                     millis % 1000);
}

bool IsControlCharacter(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

// The escapes of JSON, which serve text as well.
void AppendEscaped(std::string_view text, bool quotes, std::string& line) {
  for (const char c : text) {
    if (c == '\n') {
      line += "\\n";
    } else if (c == '\t') {
      line += "\\t";
    } else if (c == '\r') {
      line += "\\r";
    } else if (IsControlCharacter(c)) {
      line += fmt::format("\\u{:04x}", static_cast<unsigned>(static_cast<unsigned char>(c)));
    } else if (quotes && (c == '"' || c == '\\')) {
      line += '\\';
      line += c;
    } else {
      line += c;
    }
  }
}

void AppendQuoted(std::string_view text, std::string& line) {
  line += '"';
  AppendEscaped(text, true, line);
  line += '"';
}

bool NeedsQuotesInLine(std::string_view value) {
  return value.empty() || std::any_of(value.begin(), value.end(), [](char c) {
           return c == ' ' || c == '"' || c == '=' || IsControlCharacter(c);
         });
}

std::string TextLine(int level, std::string_view component, std::string_view event,
                     Logger::Fields fields) {
  std::string line = fmt::format("{} {} {}: ", Now(), LevelName(level), component);
  AppendEscaped(event, false, line);
  for (const LogField& field : fields) {
    line += ' ';
    line += field.key;
    line += '=';
    if (NeedsQuotesInLine(field.value)) {
      AppendQuoted(field.value, line);
    } else {
      line += field.value;
    }
  }
  return line;
}

std::string JsonLine(int level, std::string_view component, std::string_view event,
                     Logger::Fields fields) {
  std::string line =
      fmt::format(R"({{"time":"{}","level":"{}","component":)", Now(), LevelName(level));
  AppendQuoted(component, line);
  line += ",\"event\":";
  AppendQuoted(event, line);
  for (const LogField& field : fields) {
    line += ',';
    AppendQuoted(field.key, line);
    line += ':';
    AppendQuoted(field.value, line);
  }
  line += '}';
  return line;
}

}  // namespace

void SetUpLog(LogLevel level, LogFormat format) {
  log_format = format;
  ProcessLogger().set_level(SpdlogLevel(static_cast<int>(level)));
}

void Logger::Write(int level, std::string_view event, Fields fields) const {
  spdlog::logger& logger = ProcessLogger();
  const spdlog::level::level_enum spdlog_level = SpdlogLevel(level);
  if (!logger.should_log(spdlog_level)) return;
  const std::string line = log_format == LogFormat::kJson
                               ? JsonLine(level, component_, event, fields)
                               : TextLine(level, component_, event, fields);
  logger.log(spdlog_level, spdlog::string_view_t(line.data(), line.size()));
}

}  // namespace tailwater
