// How the process's log lines look; called once by main() before anything is logged. Not installed.
#pragma once

#include <cstdint>

namespace tailwater {

enum class LogLevel : uint8_t { kDebug = 1, kInfo = 2, kWarn = 3, kError = 4, kOff = 5 };
enum class LogFormat : uint8_t {
  kText,  // 2026-01-31T12:00:00.123Z info capture: streaming started slot=orders
  kJson,  // {"time":"…","level":"info","component":"capture","event":"streaming started",…}
};

// One line per event on stderr, whatever the values hold. Thread-safe. Before the first call: info,
// text.
void SetUpLog(LogLevel level, LogFormat format);

}  // namespace tailwater
