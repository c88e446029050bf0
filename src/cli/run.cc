#include "cli/run.h"

#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "cli/exit_code.h"
#include "cli/load.h"
#include "cli/process_events.h"
#include "cli/reloader.h"
#include "http/daemon_routes.h"
#include "http/http_server.h"
#include "http/listen_address.h"
#include "http/reload_route.h"
#include "monitor/metrics_registry.h"
#include "pipeline/catch_up.h"
#include "pipeline/pipeline_set.h"
#include "support/text.h"
#include "tailwater/log.h"
#include "util/build_info.h"
#include "util/clock.h"
#include "util/mutex.h"

namespace tailwater {
namespace {

using namespace std::chrono_literals;
using SteadyTime = std::chrono::steady_clock::time_point;

// How long a part may hang on after it no longer drains, before the process ends without it.
// Everything durable is safe at any instant: the next start goes on from there.
constexpr std::chrono::seconds kGrace{5};
// What a client of the API waits for the outcome of a reload.
constexpr std::chrono::seconds kReloadTimeout{20};

// Few threads allocate at a time: an arena for each would only keep memory from being reused.
void LimitMemory() {
  mallopt(M_ARENA_MAX, 2);
  mallopt(M_TRIM_THRESHOLD, 1 << 20);
  mallopt(M_MMAP_THRESHOLD, 256 << 10);
}

PipelineHalf HalfOf(RunOptions::Half half) {
  switch (half) {
    case RunOptions::Half::kBoth:
      return PipelineHalf::kBoth;
    case RunOptions::Half::kCapture:
      return PipelineHalf::kCapture;
    case RunOptions::Half::kDeliver:
      return PipelineHalf::kDeliver;
  }
  return PipelineHalf::kBoth;
}

// Names this process where several share a topic: another one of the same host listens elsewhere.
std::string InstanceName(const RunOptions& options, const DaemonConfig& daemon) {
  if (options.instance) return *options.instance;
  if (!daemon.instance.empty()) return daemon.instance;
  char host[256] = {};
  if (gethostname(host, sizeof host - 1) != 0) host[0] = '\0';
  const auto address = ParseListenAddress(options.listen.value_or(daemon.listen));
  return fmt::format("{}-{}", host, address ? address->port : 0);
}

class Daemon {
 public:
  Daemon(const RunOptions& options, const Registry& registry, Config config)
      : options_(options), registry_(registry), config_(std::move(config)) {}

  int Run() {
    logger_.Info("tailwater starts", {{"version", BuildVersion()}, {"revision", BuildRevision()}});
    for (const PipelineConfig& pipeline : config_.pipelines) {
      auto created = MakePipeline(pipeline);
      if (!created) {
        logger_.Error("pipeline cannot start", {{"pipeline", pipeline.name},
                                                {"code", created.error().code},
                                                {"message", created.error().message}});
        return ExitCodeFor(created.error().disposition);
      }
      pipelines_.Add(*std::move(created));
    }
    if (const int code = StartHttp(); code != kExitDone) return code;
    for (const auto& pipeline : pipelines_.All()) pipeline->Start();
    if (options_.until_caught_up) {
      StartCatchUps();
    } else {
      reloader_.Start();
    }
    return RunUntilStopped();
  }

 private:
  Result<std::shared_ptr<Pipeline>> MakePipeline(const PipelineConfig& config) {
    PipelineOptions options;
    options.half = HalfOf(options_.only);
    options.instance = InstanceName(options_, config_.daemon);
    options.capture.part_bytes = config.topic.transaction_size.bytes;
    options.capture.omit_oversize_columns = config.topic.oversize == OversizePolicy::kOmitColumns;
    // A frontier record behind the end of an idle log is what a catch-up waits for.
    if (options_.until_caught_up) options.capture.idle_advance_interval = 100ms;
    TW_ASSIGN_OR_RETURN(std::unique_ptr<Pipeline> pipeline,
                        Pipeline::Create(config, std::move(options), metrics_, clock_));
    return std::shared_ptr<Pipeline>(std::move(pipeline));
  }

  int StartHttp() {
    HttpServer::Options http{options_.listen.value_or(config_.daemon.listen), config_.daemon.token};
    http_ = std::make_unique<HttpServer>(std::move(http));
    AddDaemonRoutes(*http_, pipelines_, metrics_, clock_);
    AddReloadRoute(*http_, [this]() -> Result<ReloadReport> {
      if (!options_.until_caught_up) return reloader_.Reload(kReloadTimeout);
      return Error{Disposition::kRetry, "reload_busy",
                   "this run ends by itself and does not reload"};
    });
    const Status started = http_->Start();
    if (started) {
      logger_.Info("listening", {{"address", http_->address()}});
      return kExitDone;
    }
    // A job beside a daemon can do without.
    if (started.error().code == "listen_address_in_use" && options_.until_caught_up &&
        !options_.listen) {
      logger_.Warn("no metrics and status for this run",
                   {{"code", started.error().code}, {"message", started.error().message}});
      return kExitDone;
    }
    fmt::print(stderr, "tailwater run: {}\n", started.error().message);
    return kExitConfiguration;
  }

  void StartCatchUps() {
    for (const auto& pipeline : pipelines_.All())
      catch_ups_.push_back(std::make_unique<CatchUp>(*pipeline));
    {
      MutexLock lock(mutex_);
      behind_ = catch_ups_.size();
    }
    for (const auto& catch_up : catch_ups_) {
      catch_up->Start([this](const Status& status) {
        MutexLock lock(mutex_);
        --behind_;
        if (!status && !failure_) failure_ = status.error();
        events_.Wake();
      });
    }
  }

  // The end that `--until-caught-up` has come to, if any.
  std::optional<int> CaughtUp() {
    MutexLock lock(mutex_);
    if (failure_) {
      logger_.Error("cannot catch up", {{"code", failure_->code},
                                        {"disposition", DispositionName(failure_->disposition)},
                                        {"message", failure_->message}});
      return ExitCodeFor(failure_->disposition);
    }
    if (behind_ > 0) return std::nullopt;
    logger_.Info("caught up");
    return kExitDone;
  }

  int RunUntilStopped() {
    for (;;) {
      switch (events_.Wait()) {
        case ProcessEvents::Event::kStop:
          logger_.Info("stopping; a second signal stops without draining");
          return Stop(options_.until_caught_up ? kExitOther : kExitDone);
        case ProcessEvents::Event::kReload:
          if (options_.until_caught_up) {
            logger_.Warn("this run ends by itself and does not reload");
          } else {
            reloader_.Request();
          }
          break;
        case ProcessEvents::Event::kWoken:
          if (const std::optional<int> code = CaughtUp()) return Stop(*code);
          break;
        case ProcessEvents::Event::kTimeout:
          break;
      }
    }
  }

  int Stop(int code) {
    catch_ups_.clear();
    const std::chrono::milliseconds drain = config_.daemon.shutdown_timeout;
    std::jthread stopper([this, drain] {
      reloader_.Stop();  // from here on nobody but this thread changes a pipeline
      std::vector<std::jthread> each;
      for (const auto& pipeline : pipelines_.All()) {
        each.emplace_back([pipeline, drain] { pipeline->Stop(drain); });
      }
      each.clear();
      MutexLock lock(mutex_);
      stopped_ = true;
      events_.Wake();
    });
    SteadyTime deadline = std::chrono::steady_clock::now() + drain + kGrace;
    for (;;) {
      const ProcessEvents::Event event = events_.Wait(deadline);
      if (event == ProcessEvents::Event::kStop) {
        logger_.Warn("not draining any longer");
        for (const auto& pipeline : pipelines_.All()) pipeline->GiveUpDraining();
        deadline = std::min(deadline, std::chrono::steady_clock::now() + kGrace);
      } else if (event == ProcessEvents::Event::kTimeout) {
        logger_.Error("a part hangs in a call; ending without it, nothing durable is lost");
        std::_Exit(kExitOther);
      }
      MutexLock lock(mutex_);
      if (stopped_) break;
    }
    stopper.join();
    http_->Stop();
    logger_.Info("stopped");
    return code;
  }

  const RunOptions& options_;
  const Registry& registry_;
  const Config config_;
  const SystemClock clock_;
  const Logger logger_{"daemon"};
  ProcessEvents events_;
  MetricsRegistry metrics_;

  Mutex mutex_;
  size_t behind_ TW_GUARDED_BY(mutex_) = 0;
  std::optional<Error> failure_ TW_GUARDED_BY(mutex_);
  bool stopped_ TW_GUARDED_BY(mutex_) = false;

  PipelineSet pipelines_;
  Reloader reloader_{
      options_,   registry_, config_,
      pipelines_, metrics_,  [this](const PipelineConfig& config) { return MakePipeline(config); }};
  std::vector<std::unique_ptr<CatchUp>> catch_ups_;
  std::unique_ptr<HttpServer> http_;  // its handlers look at the pipelines
};

}  // namespace

int RunDaemon(const RunOptions& options, const Registry& registry) {
  LimitMemory();
  std::optional<Config> config = LoadOrReport(options.paths, registry);
  if (!config) return kExitConfiguration;
  if (config->pipelines.empty()) {
    fmt::print(stderr, "tailwater run: no pipeline in {}; 'tailwater run --help' has examples\n",
               fmt::join(options.paths, ", "));
    return kExitConfiguration;
  }
  SetUpLog(options.log_level.value_or(config->daemon.log_level),
           options.log_format.value_or(config->daemon.log_format));
  return Daemon(options, registry, *std::move(config)).Run();
}

}  // namespace tailwater
