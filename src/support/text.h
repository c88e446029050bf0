// fmt under one name: formatting for engine and connectors.
#pragma once

#include <spdlog/fmt/fmt.h>
#if FMT_VERSION >= 110000
#include <spdlog/fmt/ranges.h>  // where fmt::join() went
#endif
