#include "http/reload_route.h"

#include <utility>

#include "http/api_sinks.h"
#include "http/json_body.h"
#include "support/text.h"

namespace tailwater {

void AddReloadRoute(HttpServer& server, std::function<Result<ReloadReport>()> reload) {
  server.Handle("POST", "/api/v1/reload", [reload = std::move(reload)](const HttpRequest& request) {
    if (!IsJson(request)) return RefuseContentType();
    const auto report = reload();
    if (!report) return HttpError(503, report.error().code, report.error().message);
    Json json;
    if (!report->problems.empty()) {
      json["error"] = {
          {"code", "configuration_invalid"},
          {"message", fmt::format("the files are invalid, what runs stays as it is: {}",
                                  fmt::join(report->problems, "; "))}};
      json["problems"] = report->problems;
      return Answer(json, 422);
    }
    json["outcomes"] = Json::array();
    for (const ReloadOutcome& outcome : report->outcomes) {
      Json entry = {{"what", outcome.what}, {"outcome", outcome.outcome}};
      if (outcome.where.line > 0) entry["where"] = outcome.where.ToString();
      if (!outcome.message.empty()) entry["message"] = outcome.message;
      json["outcomes"].push_back(std::move(entry));
    }
    return Answer(json);
  });
}

}  // namespace tailwater
