// Which sink of a running daemon is meant.
#pragma once

#include <string>
#include <string_view>

#include "cli/api_client.h"
#include "tailwater/result.h"

namespace tailwater {

struct RunningSink {
  std::string pipeline;
  std::string sink;
};

// Finds the sink among those that the daemon runs. An empty name or pipeline stands for the only
// one there is. kReject "sink_unknown": it is unknown or ambiguous; the message names all.
Result<RunningSink> FindRunningSink(const ApiAddress& api, const std::string& pipeline,
                                    const std::string& sink);

// Of the API: "/api/v1/pipelines/shop/sinks/hooks".
std::string SinkPath(const RunningSink& sink);

}  // namespace tailwater
