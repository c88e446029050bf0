#include "http/daemon_routes.h"

#include <string>
#include <utility>

#include "http/dead_letter_routes.h"
#include "monitor/process_metrics.h"
#include "monitor/status.h"
#include "support/text.h"
#include "util/build_info.h"
#include "util/mutex.h"

namespace tailwater {
namespace {

using Pipelines = std::vector<std::unique_ptr<Pipeline>>;

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

std::vector<DeadLetterSink> DeadLetterSinks(const Pipelines& pipelines) {
  std::vector<DeadLetterSink> sinks;
  for (const auto& pipeline : pipelines) {
    for (const SinkConfig& config : pipeline->config().sinks) {
      DeadLetterSink& sink = sinks.emplace_back();
      sink.pipeline = pipeline->config().name;
      sink.sink = config.name;
      sink.topic = &pipeline->topic();
      if (SinkRunner* runner = pipeline->FindSink(config.name)) {
        sink.requeue = [runner](const DeadLetterFilter& filter, std::chrono::milliseconds timeout) {
          return runner->RequeueDeadLetters(filter, timeout);
        };
        sink.drop = [runner](const DeadLetterFilter& filter, std::chrono::milliseconds timeout) {
          return runner->DropDeadLetters(filter, timeout);
        };
      }
    }
  }
  return sinks;
}

}  // namespace

void AddDaemonRoutes(HttpServer& server, const Pipelines& pipelines, MetricsRegistry& metrics,
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
        for (const auto& pipeline : pipelines) {
          for (ReadyCheck& check : CheckReadiness(pipeline->GetStatus()))
            checks.push_back(std::move(check));
        }
        return HttpResponse{IsReady(checks) ? 200 : 503, "application/json", ReadinessJson(checks)};
      },
      HttpServer::Access::kOpen);
  server.Handle("GET", "/api/v1/status",
                [&pipelines, &clock, started = clock.UnixMicros()](const HttpRequest&) {
                  DaemonStatus status{started, clock.UnixMicros(), {}};
                  for (const auto& pipeline : pipelines) {
                    pipeline->RefreshLogs();
                    status.pipelines.push_back(pipeline->GetStatus());
                  }
                  return HttpResponse{200, "application/json", StatusJson(status)};
                });
  server.Handle(
      "GET", "/metrics",
      [&pipelines, &metrics, scraper = std::make_shared<Scraper>(metrics)](const HttpRequest&) {
        MutexLock lock(scraper->mutex);
        for (const auto& pipeline : pipelines) {
          pipeline->RefreshLogs();
          pipeline->PublishMetrics();
        }
        scraper->process.Update();
        return HttpResponse{200, "text/plain; version=0.0.4; charset=utf-8", metrics.Expose()};
      });
  AddDeadLetterRoutes(server, DeadLetterSinks(pipelines), clock);
}

}  // namespace tailwater
