#include "cli/running_sink.h"

#include <utility>
#include <vector>

#include "cli/json_fields.h"
#include "sdk/suggest.h"
#include "support/text.h"
#include "support/url_encoding.h"

namespace tailwater {

std::string SinkPath(const RunningSink& sink) {
  return fmt::format("/api/v1/pipelines/{}/sinks/{}", EncodedForUrl(sink.pipeline),
                     EncodedForUrl(sink.sink));
}

Result<RunningSink> FindRunningSink(const ApiAddress& api, const std::string& pipeline,
                                    const std::string& sink) {
  TW_ASSIGN_OR_RETURN(const Json status, GetJson(api, "/api/v1/status"));
  if (!status.is_object() || !status.contains("pipelines")) {
    return Error{Disposition::kFatal, "daemon_answer",
                 "the daemon answers something unexpected; is it of another release?"};
  }
  std::vector<std::pair<std::string, std::string>> fitting;  // pipeline, sink
  std::vector<std::string> all;
  std::vector<std::string_view> names;
  std::vector<std::string> found_names;
  for (const Json& candidate : status["pipelines"]) {
    const std::string name = TextOf(candidate, "name");
    if (!candidate.is_object() || !candidate.contains("sinks")) continue;
    for (const Json& each : candidate["sinks"]) {
      const std::string sink_name = TextOf(each, "name");
      all.push_back(sink_name + " (pipeline " + name + ")");
      found_names.push_back(sink_name);
      if (!pipeline.empty() && name != pipeline) continue;
      if (!sink.empty() && sink_name != sink) continue;
      fitting.emplace_back(name, sink_name);
    }
  }
  if (fitting.size() == 1) {
    return RunningSink{fitting[0].first, fitting[0].second};
  }
  names.assign(found_names.begin(), found_names.end());
  const std::string list = all.empty() ? "the daemon delivers to no sink"
                                       : fmt::format("there are {}", fmt::join(all, ", "));
  std::string message;
  if (sink.empty()) {
    message = all.empty() ? list : "name the sink; " + list;
  } else if (fitting.empty()) {
    message = fmt::format("no sink '{}'{}{}; {}", sink,
                          pipeline.empty() ? "" : " in a pipeline '" + pipeline + "'",
                          DidYouMean(sink, names), list);
  } else {
    message = fmt::format("several pipelines have a sink '{}'; choose one with --pipeline; {}",
                          sink, list);
  }
  return Error{Disposition::kReject, "sink_unknown", std::move(message)};
}

}  // namespace tailwater
