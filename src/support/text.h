// fmt under one name: formatting for engine and connectors.
#pragma once

#include <spdlog/fmt/fmt.h>
