#include "support/crash_point.h"

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <string>

namespace tailwater {
namespace {

struct Armed {
  Armed() {
    const char* setting = std::getenv("TAILWATER_CRASH_POINT");
    if (setting == nullptr) return;
    name = setting;
    if (const size_t colon = name.find(':'); colon != std::string::npos) {
      passes_left = std::strtol(name.c_str() + colon + 1, nullptr, 10);
      name.resize(colon);
    }
  }
  std::string name;
  std::atomic<long> passes_left = 1;
};

}  // namespace

void PassCrashPoint(std::string_view name) {
  static Armed armed;
  if (armed.name.empty() || armed.name != name) return;
  if (armed.passes_left.fetch_sub(1) == 1) std::raise(SIGKILL);
}

}  // namespace tailwater
