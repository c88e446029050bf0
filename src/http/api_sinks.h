// The sinks that the API can be asked about, found anew for every request: they come and go.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "http/http_server.h"
#include "pipeline/sink_runner.h"
#include "topic/topic.h"

namespace tailwater {

struct ApiSink {
  using Milliseconds = std::chrono::milliseconds;
  using Change = std::function<Result<uint64_t>(const DeadLetterFilter& filter, Milliseconds)>;
  using Switch = std::function<Result<bool>(Milliseconds)>;
  using Rewind = std::function<Result<RewindPlan>(const RewindTarget&, bool dry_run, Milliseconds)>;

  std::string pipeline;
  std::string sink;
  std::shared_ptr<Topic> topic;
  // As SinkRunner's calls of these names; empty if this process does not run the sink. What they
  // need lives as long as they do.
  Change requeue = {};
  Change drop = {};
  Switch pause = {};
  Switch resume = {};
  Rewind rewind = {};
};
using ApiSinks = std::function<std::vector<ApiSink>()>;

// How long a sink may take to come to a request: it may be in a call to its target.
inline constexpr std::chrono::milliseconds kSinkTimeout{10'000};

// That of the request's two captures: pipeline and sink. "pipeline_unknown", "sink_unknown".
Result<ApiSink> FindApiSink(const ApiSinks& sinks, const HttpRequest& request);

// A form of a foreign page can be sent without asking, but not as JSON.
bool IsJson(const HttpRequest& request);
HttpResponse RefuseContentType();
HttpResponse RefuseSinkElsewhere();
// What went wrong behind the API.
HttpResponse SinkFailure(const Error& error);

}  // namespace tailwater
