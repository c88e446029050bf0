// TW_CRASH_POINT for the engine; connectors include support/crash_point.h themselves.
#pragma once

#include "support/crash_point.h"  // IWYU pragma: export
