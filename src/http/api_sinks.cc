#include "http/api_sinks.h"

#include <algorithm>
#include <set>

#include "sdk/suggest.h"
#include "support/text.h"

namespace tailwater {

Result<ApiSink> FindApiSink(const ApiSinks& sinks, const HttpRequest& request) {
  const std::string& pipeline = request.captures[0];
  const std::string& name = request.captures[1];
  std::set<std::string_view> pipelines;
  std::vector<std::string_view> names;
  std::vector<ApiSink> all = sinks();
  for (ApiSink& sink : all) {
    pipelines.insert(sink.pipeline);
    if (sink.pipeline != pipeline) continue;
    if (sink.sink == name) return std::move(sink);
    names.push_back(sink.sink);
  }
  if (names.empty()) {
    const std::vector<std::string_view> known(pipelines.begin(), pipelines.end());
    return Error{Disposition::kReject, "pipeline_unknown",
                 fmt::format("there is no pipeline '{}' with sinks{}; there are: {}", pipeline,
                             DidYouMean(pipeline, known), fmt::join(known, ", "))};
  }
  return Error{Disposition::kReject, "sink_unknown",
               fmt::format("pipeline '{}' has no sink '{}'{}; there are: {}", pipeline, name,
                           DidYouMean(name, names), fmt::join(names, ", "))};
}

bool IsJson(const HttpRequest& request) {
  std::string type = request.content_type.substr(0, request.content_type.find(';'));
  type.erase(type.find_last_not_of(" \t") + 1);
  std::transform(type.begin(), type.end(), type.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return type == "application/json";
}

HttpResponse RefuseContentType() {
  return HttpError(415, "content_type_refused",
                   "send the request as JSON, with Content-Type: application/json");
}

HttpResponse RefuseSinkElsewhere() {
  return HttpError(409, "sink_elsewhere",
                   "this process captures only; ask the one that delivers to this sink");
}

HttpResponse SinkFailure(const Error& error) {
  if (error.code == "sink_busy") return HttpError(409, error.code, error.message);
  if (error.disposition == Disposition::kReject) {
    return HttpError(422, error.code, error.message);
  }
  const bool may_heal =
      error.disposition == Disposition::kRetry || error.disposition == Disposition::kNeedsOperator;
  return HttpError(may_heal ? 503 : 500, error.code, error.message);
}

}  // namespace tailwater
