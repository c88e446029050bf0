#include "http/sink_routes.h"

#include <charconv>
#include <optional>
#include <utility>

#include "http/json_body.h"
#include "support/text.h"
#include "util/timestamp.h"

namespace tailwater {
namespace {

Json Head(const ApiSink& sink) { return {{"pipeline", sink.pipeline}, {"sink", sink.sink}}; }

Result<RewindTarget> ParseOffsets(const Json& json) {
  RewindTarget target{RewindTarget::Kind::kOffsets};
  for (const auto& [key, value] : json.items()) {
    int32_t partition = -1;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), partition);
    if (error != std::errc() || end != key.data() + key.size() || partition < 0) {
      return Invalid(fmt::format("'{}' is no partition", key));
    }
    if (!value.is_number_unsigned()) {
      return Invalid(fmt::format("the offset of partition {} is no number", partition));
    }
    target.offsets[partition] = value.get<int64_t>();
  }
  if (target.offsets.empty()) return Invalid("'to' names no partition");
  return target;
}

Result<RewindTarget> ParseTo(const Json& body) {
  const auto to = body.find("to");
  if (to == body.end()) {
    return Invalid(R"('to' is missing: "beginning", a time, or {"0": 1234} by partition)");
  }
  if (to->is_object()) return ParseOffsets(*to);
  if (to->is_string()) {
    const auto& text = to->get_ref<const std::string&>();
    if (text == "beginning") return RewindTarget{RewindTarget::Kind::kBeginning};
    if (const auto micros = ParseTimestamp(text)) {
      return RewindTarget{RewindTarget::Kind::kTime, *micros};
    }
  }
  return Invalid(
      R"('to' is neither "beginning", nor a time with its zone (2026-11-21T09:30:00Z), nor {"0": 1234} by partition)");
}

class SinkApi {
 public:
  explicit SinkApi(ApiSinks sinks) : sinks_(std::move(sinks)) {}

  HttpResponse Switch(const HttpRequest& request, ApiSink::Switch ApiSink::*call,
                      const char* done) const {
    if (!IsJson(request)) return RefuseContentType();
    const auto sink = FindApiSink(sinks_, request);
    if (!sink) return HttpError(404, sink.error().code, sink.error().message);
    const Json body = Json::parse(request.body, nullptr, false);
    if (const Status known = CheckKeys(body, {}); !known) return BadRequest(known.error());
    if (!((*sink).*call)) return RefuseSinkElsewhere();
    const auto changed = ((*sink).*call)(kSinkTimeout);
    if (!changed) return SinkFailure(changed.error());
    Json json = Head(*sink);
    json[done] = true;
    json["changed"] = *changed;
    return Answer(json);
  }

  HttpResponse Rewind(const HttpRequest& request) const {
    if (!IsJson(request)) return RefuseContentType();
    const auto sink = FindApiSink(sinks_, request);
    if (!sink) return HttpError(404, sink.error().code, sink.error().message);
    const Json body = Json::parse(request.body, nullptr, false);
    if (const Status known = CheckKeys(body, {"to", "dry_run"}); !known) {
      return BadRequest(known.error());
    }
    const auto target = ParseTo(body);
    if (!target) return BadRequest(target.error());
    if (body.contains("dry_run") && !body["dry_run"].is_boolean()) {
      return BadRequest(Invalid("'dry_run' is neither true nor false"));
    }
    const bool dry_run = body.value("dry_run", false);
    if (!sink->rewind) return RefuseSinkElsewhere();
    const auto plan = sink->rewind(*target, dry_run, kSinkTimeout);
    if (!plan) return SinkFailure(plan.error());
    Json json = Head(*sink);
    json["dry_run"] = dry_run;
    json["records"] = plan->records;
    json["replays_skipped"] = plan->replays_skipped;
    json["partitions"] = Json::array();
    for (const auto& [partition, move] : plan->moves) {
      json["partitions"].push_back(
          {{"partition", partition}, {"from", move.from}, {"to", move.to}});
    }
    return Answer(json);
  }

 private:
  const ApiSinks sinks_;
};

}  // namespace

void AddSinkRoutes(HttpServer& server, ApiSinks sinks) {
  const auto api = std::make_shared<SinkApi>(std::move(sinks));
  const std::string base = "/api/v1/pipelines/([^/]+)/sinks/([^/]+)";
  server.Handle("POST", base + "/pause", [api](const HttpRequest& request) {
    return api->Switch(request, &ApiSink::pause, "paused");
  });
  server.Handle("POST", base + "/resume", [api](const HttpRequest& request) {
    return api->Switch(request, &ApiSink::resume, "resumed");
  });
  server.Handle("POST", base + "/rewind",
                [api](const HttpRequest& request) { return api->Rewind(request); });
}

}  // namespace tailwater
