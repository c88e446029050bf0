#include "pipeline/sink_runner.h"

#include <utility>

#include "pipeline/sink_loop.h"
#include "pipeline/sink_mailbox.h"
#include "util/thread_name.h"

namespace tailwater {

using namespace std::chrono_literals;

SinkRunner::SinkRunner(std::string pipeline, std::string sink, Topic& topic, CreateSink create,
                       DeliveryRules rules, Metrics& metrics, SinkRunnerOptions options)
    : thread_name_("tw-to-" + sink),
      loop_(std::make_unique<SinkLoop>(std::move(pipeline), std::move(sink), topic,
                                       std::move(create), std::move(rules), metrics,
                                       std::move(options))) {}

SinkRunner::~SinkRunner() { Stop(); }

SinkRunner::StepResult SinkRunner::Step(std::chrono::milliseconds timeout) {
  return loop_->Step(timeout);
}

void SinkRunner::Start() {
  thread_ = std::jthread([this] {
    NameThread(thread_name_);
    // What was only passed is committed a moment later; after that there is nothing to wake up for.
    constexpr int kStepsUntilQuiet = 3;
    int quiet = 0;
    for (;;) {
      switch (loop_->Step(quiet < kStepsUntilQuiet ? 1s : 10s)) {
        case StepResult::kProgress:
          quiet = 0;
          continue;
        case StepResult::kIdle:
          ++quiet;
          continue;
        case StepResult::kWaiting:
          quiet = 0;
          continue;
        case StepResult::kHalted:
        case StepResult::kStopped:
          return;
      }
    }
  });
}

void SinkRunner::RequestStop() { loop_->RequestStop(); }

void SinkRunner::Stop() {
  RequestStop();
  if (thread_.joinable()) thread_.join();
  loop_->Close();
}

Result<uint64_t> SinkRunner::RequeueDeadLetters(const DeadLetterFilter& filter,
                                                std::chrono::milliseconds timeout) {
  return loop_->mailbox().Ask<uint64_t>([&] { return loop_->Requeue(filter); }, timeout);
}

Result<uint64_t> SinkRunner::DropDeadLetters(const DeadLetterFilter& filter,
                                             std::chrono::milliseconds timeout) {
  return loop_->mailbox().Ask<uint64_t>([&] { return loop_->Drop(filter); }, timeout);
}

Result<bool> SinkRunner::Pause(std::chrono::milliseconds timeout) {
  return loop_->mailbox().Ask<bool>([&] { return loop_->Pause(); }, timeout);
}

Result<bool> SinkRunner::Resume(std::chrono::milliseconds timeout) {
  return loop_->mailbox().Ask<bool>([&] { return loop_->Resume(); }, timeout);
}

Result<RewindPlan> SinkRunner::Rewind(const RewindTarget& to, bool dry_run,
                                      std::chrono::milliseconds timeout) {
  return loop_->mailbox().Ask<RewindPlan>([&] { return loop_->Rewind(to, dry_run); }, timeout);
}

size_t SinkRunner::waiting_requests() const { return loop_->mailbox().waiting(); }

SinkStatus SinkRunner::Status() const { return loop_->reporter().Status(); }

void SinkRunner::PublishMetrics() { loop_->reporter().PublishMetrics(); }

}  // namespace tailwater
