// Waits for what `run --until-caught-up` promises: every source's frontier has reached its server's
// flushed end of log as it was at the start, what is copied by itself has been, and every sink has passed a frontier record behind it,
// or the end that the topic had then.
// A part that needs a person is not waited for: the others get to their ends first, then it is
// named.
//
// Threads: one of its own between Start() and destruction. The pipeline outlives it.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "pipeline/pipeline.h"
#include "tailwater/log.h"
#include "tailwater/result.h"

namespace tailwater {

struct CatchUpOptions {
  std::chrono::milliseconds poll_interval{20};
  BackoffOptions backoff;
};

class CatchUp {
 public:
  explicit CatchUp(Pipeline& pipeline, CatchUpOptions options = {});

  // Calls `done` once, from the own thread, unless it is destroyed before: OK when caught up, else
  // why that will not come about without a person.
  void Start(std::function<void(Status)> done);

 private:
  struct Target {
    const SourceConfig* source = nullptr;
    std::unique_ptr<SourceTools> tools;
    Position end;
    // The last position that was compared, so that each is compared once.
    std::map<std::string, Position> compared;  // by sink; "" = the source's own frontier
    std::map<std::string, bool> reached;
    bool copied = false;  // nothing was left to be copied by itself
    bool copies = false;  // something was copied in this run
    // Ends of the topic's partitions, seen after capture had published all up to `end`, copies too.
    std::optional<Offsets> published;
  };

  Status Run(const std::stop_token& stop);
  Status FindTarget(Target& target, const std::stop_token& stop);
  Result<bool> HasReached(Target& target, const std::string& who,
                          const std::optional<Position>& position);
  Result<bool> HasReached(Target& target, const PipelineStatus& status);
  static bool HasPassed(const Target& target, const SinkStatus& sink);
  void FindEnds(Target& target);
  bool OthersHavePassed(const Target& target, const SinkStatus& sink);

  Pipeline& pipeline_;
  const CatchUpOptions options_;
  const Logger logger_;
  std::jthread thread_;
};

}  // namespace tailwater
