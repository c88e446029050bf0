// Named places where a test build kills itself, to prove that a crash there loses and doubles
// nothing.
//
//   TW_CRASH_POINT("published_not_released");
//
// In builds with TAILWATER_CRASH_POINTS the environment variable TAILWATER_CRASH_POINT=name or
// name:n makes the n-th pass (from 1) of that name raise SIGKILL; in all other builds the macro is
// nothing. Stands at every durable boundary. Thread-safe.
#pragma once

#include <string_view>

namespace tailwater {

// Called through the macro only.
void PassCrashPoint(std::string_view name);

}  // namespace tailwater

#ifdef TAILWATER_CRASH_POINTS
#define TW_CRASH_POINT(name) ::tailwater::PassCrashPoint(name)
#else
#define TW_CRASH_POINT(name) static_cast<void>(0)
#endif
