#include "http/daemon_routes.h"

#include <string>
#include <utility>

#include "http/dead_letter_routes.h"
#include "http/sink_routes.h"
#include "http/source_routes.h"
#include "monitor/process_metrics.h"
#include "monitor/status.h"
#include "support/text.h"
#include "util/build_info.h"
#include "util/mutex.h"

namespace tailwater {
namespace {

constexpr char kPage[] = R"(<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Tailwater</title>
<style>body {{ font: 16px/1.5 sans-serif; margin: 3em auto; max-width: 40em; padding: 0 1em }}</style>
<h1>Tailwater</h1>
<p>Version {}, revision {}.</p>
<ul>
<li><a href="/api/v1/status">/api/v1/status</a>: where every source and sink stands, as JSON
    (<code>tailwater status</code> prints it for people)
<li><a href="/metrics">/metrics</a>: for Prometheus
<li><a href="/readyz">/readyz</a>: whether every stage works, one check each
<li><a href="/livez">/livez</a>: whether the process turns
</ul>
)";

// One scrape at a time: the process counters keep what they counted.
struct Scraper {
  explicit Scraper(MetricsRegistry& registry) : process(registry.root()) {}
  Mutex mutex;
  ProcessMetrics process TW_GUARDED_BY(mutex);
};

// Each call holds on to what it needs, until its answer is sent.
std::vector<ApiSink> SinksOf(const PipelineSet& pipelines) {
  std::vector<ApiSink> sinks;
  for (const auto& pipeline : pipelines.All()) {
    for (const auto& running : pipeline->sinks()) {
      ApiSink& sink = sinks.emplace_back();
      sink.pipeline = pipeline->config().name;
      sink.sink = running->config.name;
      sink.topic = std::shared_ptr<Topic>(pipeline, &pipeline->topic());
      if (!running->runner) continue;
      const auto bind = [pipeline, running](auto call) {
        return [pipeline, running, call](const auto&... arguments) {
          return (running->runner.get()->*call)(arguments...);
        };
      };
      sink.requeue = bind(&SinkRunner::RequeueDeadLetters);
      sink.drop = bind(&SinkRunner::DropDeadLetters);
      sink.pause = bind(&SinkRunner::Pause);
      sink.resume = bind(&SinkRunner::Resume);
      sink.rewind = bind(&SinkRunner::Rewind);
    }
  }
  return sinks;
}

std::vector<ApiPipeline> PipelinesOf(const PipelineSet& pipelines) {
  std::vector<ApiPipeline> all;
  for (const auto& pipeline : pipelines.All()) {
    all.push_back({pipeline->config().name, [pipeline] { return pipeline->GetStatus(); },
                   [pipeline](const std::string& source, const SnapshotRequest& request) {
                     return pipeline->RequestSnapshot(source, request);
                   },
                   [pipeline](const std::string& source, std::optional<uint64_t> unit,
                              SnapshotAction action) {
                     return pipeline->ChangeSnapshot(source, unit, action);
                   }});
  }
  return all;
}

}  // namespace

void AddDaemonRoutes(HttpServer& server, const PipelineSet& pipelines, MetricsRegistry& metrics,
                     const Clock& clock) {
  server.Handle("GET", "/", [](const HttpRequest&) {
    return HttpResponse{200, "text/html; charset=utf-8",
                        fmt::format(kPage, BuildVersion(), BuildRevision())};
  });
  server.Handle(
      "GET", "/livez",
      [](const HttpRequest&) {
        return HttpResponse{200, "application/json", "{\"live\": true}\n"};
      },
      HttpServer::Access::kOpen);
  server.Handle(
      "GET", "/readyz",
      [&pipelines](const HttpRequest&) {
        std::vector<ReadyCheck> checks;
        for (const auto& pipeline : pipelines.All()) {
          for (ReadyCheck& check : CheckReadiness(pipeline->GetStatus()))
            checks.push_back(std::move(check));
        }
        return HttpResponse{IsReady(checks) ? 200 : 503, "application/json", ReadinessJson(checks)};
      },
      HttpServer::Access::kOpen);
  server.Handle("GET", "/api/v1/status",
                [&pipelines, &clock, started = clock.UnixMicros()](const HttpRequest&) {
                  DaemonStatus status{started, clock.UnixMicros(), {}};
                  for (const auto& pipeline : pipelines.All()) {
                    pipeline->RefreshLogs();
                    status.pipelines.push_back(pipeline->GetStatus());
                    status.pipelines.back().orphan_sinks = pipeline->OrphanSinks();
                  }
                  return HttpResponse{200, "application/json", StatusJson(status)};
                });
  server.Handle(
      "GET", "/metrics",
      [&pipelines, &metrics, scraper = std::make_shared<Scraper>(metrics)](const HttpRequest&) {
        MutexLock lock(scraper->mutex);
        for (const auto& pipeline : pipelines.All()) {
          pipeline->RefreshLogs();
          pipeline->PublishMetrics();
        }
        scraper->process.Update();
        return HttpResponse{200, "text/plain; version=0.0.4; charset=utf-8", metrics.Expose()};
      });
  const auto sinks = [&pipelines] { return SinksOf(pipelines); };
  AddDeadLetterRoutes(server, sinks, clock);
  AddSinkRoutes(server, sinks);
  AddSourceRoutes(server, [&pipelines] { return PipelinesOf(pipelines); });
}

}  // namespace tailwater
