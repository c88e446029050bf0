#include "cli/reloader.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "config/load_config.h"
#include "support/text.h"
#include "util/thread_name.h"

namespace tailwater {

Reloader::Reloader(const RunOptions& options, const Registry& registry, Config running,
                   PipelineSet& pipelines, MetricsRegistry& metrics, Create create)
    : options_(options),
      registry_(registry),
      pipelines_(pipelines),
      metrics_(metrics),
      create_(std::move(create)),
      running_(std::move(running)) {}

Reloader::~Reloader() { Stop(); }

void Reloader::Start() {
  thread_ = std::jthread([this] {
    NameThread("tw-reload");
    Run();
  });
}

void Reloader::Request() {
  MutexLock lock(mutex_);
  ++requested_;
  changed_.NotifyAll();
}

Result<ReloadReport> Reloader::Reload(std::chrono::milliseconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  MutexLock lock(mutex_);
  const uint64_t mine = ++requested_;
  changed_.NotifyAll();
  while (done_ < mine) {
    if (stopping_) {
      return Error{Disposition::kRetry, "reload_busy",
                   "the daemon stops; see its log for what was done"};
    }
    if (std::chrono::steady_clock::now() >= deadline) {
      return Error{Disposition::kRetry, "reload_busy",
                   "the reload goes on, but takes long: a part that stops is in a call; see the "
                   "log for the outcome"};
    }
    changed_.WaitUntil(mutex_, deadline);
  }
  return last_;
}

void Reloader::Stop() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    changed_.NotifyAll();
  }
  if (thread_.joinable()) thread_.join();
}

bool Reloader::Stopping() const {
  MutexLock lock(mutex_);
  return stopping_;
}

void Reloader::Run() {
  for (;;) {
    uint64_t begun = 0;
    {
      MutexLock lock(mutex_);
      while (!stopping_ && requested_ == done_) changed_.Wait(mutex_);
      if (stopping_) return;
      begun = requested_;
    }
    ReloadReport report;
    try {
      report = Apply();
    } catch (const std::exception& exception) {
      report.outcomes.push_back({"reload",
                                 "failed",
                                 {},
                                 fmt::format("exception: {}; please report it", exception.what())});
    }
    Log(report);
    MutexLock lock(mutex_);
    last_ = std::move(report);
    done_ = begun;
    changed_.NotifyAll();
  }
}

ReloadReport Reloader::Apply() {
  ReloadReport report;
  Problems problems;
  const Config next = LoadConfig(options_.paths, registry_, problems);
  if (!problems.empty()) {
    for (const Problem& problem : problems.list()) report.problems.push_back(problem.ToString());
    return report;
  }
  for (const ReloadStep& step : PlanReload(running_, next)) {
    if (Stopping()) break;
    report.outcomes.push_back(Do(step, next));
  }
  return report;
}

ReloadOutcome Reloader::Do(const ReloadStep& step, const Config& next) {
  using Kind = ReloadStep::Kind;
  ReloadOutcome outcome{step.what, "", step.where, step.message};
  const auto running =
      std::find_if(running_.pipelines.begin(), running_.pipelines.end(),
                   [&](const PipelineConfig& pipeline) { return pipeline.name == step.pipeline; });
  const PipelineConfig* const wanted = next.FindPipeline(step.pipeline);
  const std::shared_ptr<Pipeline> pipeline = pipelines_.Find(step.pipeline);
  // What of the files is true from here on.
  const auto merge = [&] { *running = MergeReloaded(*running, *wanted); };
  switch (step.kind) {
    case Kind::kRejected:
      outcome.outcome = "rejected";
      break;
    case Kind::kApplied:
      SetUpLog(options_.log_level.value_or(next.daemon.log_level),
               options_.log_format.value_or(next.daemon.log_format));
      running_.daemon.log_level = next.daemon.log_level;
      running_.daemon.log_format = next.daemon.log_format;
      running_.daemon.hash = next.daemon.hash;
      outcome.outcome = "applied";
      break;
    case Kind::kRemovePipeline:
      pipeline->Stop(running_.daemon.shutdown_timeout);
      pipelines_.Remove(step.pipeline);
      metrics_.Hide({{"pipeline", step.pipeline}});
      running_.pipelines.erase(running);
      outcome.outcome = "removed";
      outcome.message =
          "what it owns on its servers stays and holds back their logs: `tailwater destroy` drops "
          "it";
      break;
    case Kind::kAddPipeline: {
      auto created = create_(*wanted);
      if (!created) {
        outcome.outcome = "failed";
        outcome.message = fmt::format("{}: {}", created.error().code, created.error().message);
        break;
      }
      pipelines_.Add(*created);
      (*created)->Start();
      running_.pipelines.push_back(*wanted);
      outcome.outcome = "added";
      break;
    }
    case Kind::kRemoveSink:
      pipeline->RemoveSink(step.sink);
      merge();
      outcome.outcome = "removed";
      outcome.message = "its place in the topic stays";
      break;
    case Kind::kReplaceSink:
      pipeline->ReplaceSink(*wanted->FindSink(step.sink));
      merge();
      outcome.outcome = "restarted";
      break;
    case Kind::kAddSink:
      pipeline->AddSink(*wanted->FindSink(step.sink));
      merge();
      outcome.outcome = "added";
      break;
  }
  return outcome;
}

void Reloader::Log(const ReloadReport& report) const {
  for (const std::string& problem : report.problems) {
    logger_.Error("configuration is invalid", {{"problem", problem}});
  }
  if (!report.problems.empty()) {
    logger_.Error("reload refused: what runs stays as it is");
    return;
  }
  for (const ReloadOutcome& outcome : report.outcomes) {
    const Logger::Fields fields = {
        {"what", outcome.what},
        {"outcome", outcome.outcome},
        {"where", outcome.where.line > 0 ? outcome.where.ToString() : std::string()},
        {"message", outcome.message}};
    if (outcome.outcome == "rejected") {
      logger_.Warn("reloaded", fields);
    } else if (outcome.outcome == "failed") {
      logger_.Error("reloaded", fields);
    } else {
      logger_.Info("reloaded", fields);
    }
  }
  if (report.outcomes.empty()) logger_.Info("reloaded; nothing has changed");
}

}  // namespace tailwater
