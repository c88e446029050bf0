#include "http/source_routes.h"

#include <algorithm>
#include <utility>

#include "http/api_sinks.h"
#include "http/json_body.h"
#include "monitor/status.h"
#include "sdk/suggest.h"
#include "support/text.h"

namespace tailwater {
namespace {

Status TakeText(const Json& body, const char* key, std::string& to) {
  const auto found = body.find(key);
  if (found == body.end() || found->is_null()) return {};
  if (!found->is_string()) return Invalid(fmt::format("'{}' is no text", key));
  to = found->get<std::string>();
  return {};
}

class SourceApi {
 public:
  explicit SourceApi(ApiPipelines pipelines) : pipelines_(std::move(pipelines)) {}

  HttpResponse Sources(const HttpRequest& request) const {
    const auto pipeline = FindPipeline(request.captures[0]);
    if (!pipeline) return NotFound(pipeline.error());
    const PipelineStatus status = pipeline->status();
    Json json = {{"pipeline", pipeline->name}, {"sources", Json::array()}};
    if (status.capture) {
      for (const SourceStatus& source : status.capture->sources) {
        Json entry = {
            {"name", source.name}, {"type", source.type}, {"state", SourceStateName(source.state)}};
        if (!source.code.empty()) entry["code"] = source.code;
        if (!source.message.empty()) entry["message"] = source.message;
        entry["snapshots"] = SnapshotsJson(source.snapshots, false);
        json["sources"].push_back(std::move(entry));
      }
    }
    return Answer(json);
  }

  HttpResponse Snapshots(const HttpRequest& request) const {
    const auto pipeline = FindPipeline(request.captures[0]);
    if (!pipeline) return NotFound(pipeline.error());
    const auto source = FindSource(*pipeline, request.captures[1]);
    if (!source) return NotFound(source.error());
    Json json = {{"pipeline", pipeline->name}, {"source", source->name}};
    json.update(SnapshotsJson(source->snapshots, true));
    return Answer(json);
  }

  HttpResponse Request(const HttpRequest& request) const {
    if (!IsJson(request)) return RefuseContentType();
    const auto pipeline = FindPipeline(request.captures[0]);
    if (!pipeline) return NotFound(pipeline.error());
    const auto source = FindSource(*pipeline, request.captures[1]);
    if (!source) return NotFound(source.error());
    const Json body = Json::parse(request.body, nullptr, false);
    SnapshotRequest wanted;
    const auto parse = [&]() -> Status {
      TW_TRY(CheckKeys(body, {"table", "where", "sink"}));
      TW_TRY(TakeText(body, "table", wanted.table));
      TW_TRY(TakeText(body, "where", wanted.where));
      TW_TRY(TakeText(body, "sink", wanted.addressee));
      if (wanted.table.empty()) return Invalid("'table' is missing, for example public.orders");
      return {};
    };
    if (const Status parsed = parse(); !parsed) return BadRequest(parsed.error());
    const auto answer = pipeline->request_snapshot(source->name, wanted);
    if (!answer) return SinkFailure(answer.error());
    Json json = {{"pipeline", pipeline->name}, {"source", source->name}, {"units", Json::array()}};
    for (const SnapshotStatus& unit : *answer) json["units"].push_back(SnapshotJson(unit));
    return Answer(json);
  }

  HttpResponse Change(const HttpRequest& request, SnapshotAction action, const char* done) const {
    if (!IsJson(request)) return RefuseContentType();
    const auto pipeline = FindPipeline(request.captures[0]);
    if (!pipeline) return NotFound(pipeline.error());
    const auto source = FindSource(*pipeline, request.captures[1]);
    if (!source) return NotFound(source.error());
    const Json body = Json::parse(request.body, nullptr, false);
    if (const Status known = CheckKeys(body, {"unit"}); !known) return BadRequest(known.error());
    std::optional<uint64_t> unit;
    if (const auto found = body.find("unit"); found != body.end()) {
      if (!found->is_number_unsigned()) return BadRequest(Invalid("'unit' is no number"));
      unit = found->get<uint64_t>();
    }
    if (const Status changed = pipeline->change_snapshot(source->name, unit, action); !changed) {
      return SinkFailure(changed.error());
    }
    Json json = {{"pipeline", pipeline->name}, {"source", source->name}, {done, true}};
    if (unit) json["unit"] = *unit;
    return Answer(json);
  }

 private:
  Result<ApiPipeline> FindPipeline(const std::string& name) const {
    std::vector<ApiPipeline> all = pipelines_();
    std::vector<std::string_view> names;
    for (ApiPipeline& pipeline : all) {
      if (pipeline.name == name) return std::move(pipeline);
      names.push_back(pipeline.name);
    }
    return Error{Disposition::kReject, "pipeline_unknown",
                 fmt::format("there is no pipeline '{}'{}; there are: {}", name,
                             DidYouMean(name, names), fmt::join(names, ", "))};
  }

  static Result<SourceStatus> FindSource(const ApiPipeline& pipeline, const std::string& name) {
    PipelineStatus status = pipeline.status();
    if (!status.capture) {
      return Error{Disposition::kReject, "source_elsewhere",
                   "this process delivers only; ask the one that captures"};
    }
    std::vector<std::string_view> names;
    for (SourceStatus& source : status.capture->sources) {
      if (source.name == name) return std::move(source);
      names.push_back(source.name);
    }
    return Error{Disposition::kReject, "source_unknown",
                 fmt::format("pipeline '{}' has no source '{}'{}; there are: {}", pipeline.name,
                             name, DidYouMean(name, names), fmt::join(names, ", "))};
  }

  const ApiPipelines pipelines_;
};

}  // namespace

void AddSourceRoutes(HttpServer& server, ApiPipelines pipelines) {
  const auto api = std::make_shared<SourceApi>(std::move(pipelines));
  const std::string sources = "/api/v1/pipelines/([^/]+)/sources";
  const std::string snapshots = sources + "/([^/]+)/snapshots";
  server.Handle("GET", sources,
                [api](const HttpRequest& request) { return api->Sources(request); });
  server.Handle("GET", snapshots,
                [api](const HttpRequest& request) { return api->Snapshots(request); });
  server.Handle("POST", snapshots,
                [api](const HttpRequest& request) { return api->Request(request); });
  server.Handle("POST", snapshots + "/pause", [api](const HttpRequest& request) {
    return api->Change(request, SnapshotAction::kPause, "paused");
  });
  server.Handle("POST", snapshots + "/resume", [api](const HttpRequest& request) {
    return api->Change(request, SnapshotAction::kResume, "resumed");
  });
  server.Handle("POST", snapshots + "/cancel", [api](const HttpRequest& request) {
    return api->Change(request, SnapshotAction::kCancel, "cancelled");
  });
}

}  // namespace tailwater
