// Capture as a whole with scripted sources: the engine's checkpoint, gate and writer, driven step
// by step on one thread, so that a seed repeats itself. Plays the part of the source connectors,
// of their servers (which send again what was not confirmed), and of the process that dies.
#pragma once

#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "model/history.h"
#include "model/model_sink.h"
#include "pipeline/capture_writer.h"
#include "pipeline/source_reporter.h"
#include "pipeline/topic_gate.h"
#include "support/manual_clock.h"
#include "support/memory_topic.h"
#include "support/stub_metrics.h"

namespace tailwater::model {

class CaptureModel {
 public:
  CaptureModel(StubMemoryTopic& topic, const std::vector<std::unique_ptr<History>>& histories,
               ManualClock& clock, std::mt19937_64& random, std::vector<std::string>& violations,
               Coverage& coverage);
  ~CaptureModel();

  // One small piece of work of some source, or of the topic.
  void Step();
  // Something breaks: a session, the topic, the whole process.
  void Break();
  // To the end of every history, all of it published. False: it does not get there.
  bool Finish();

 private:
  // One source: its place in the history, and the run of its writer.
  struct Half {
    const History* history = nullptr;
    size_t entry = 0;  // next of the log
    size_t event = 0;  // next of the open transaction
    bool open = false;
    std::string released;  // what the server was told to forget
    std::unique_ptr<SourceReporter> reporter;
    std::unique_ptr<Checkpoint> checkpoint;
    std::unique_ptr<CaptureWriter> writer;
  };

  uint64_t Below(uint64_t limit) { return random_() % limit; }
  bool OneIn(uint64_t n) { return Below(n) == 0; }
  void Violation(const Half& half, std::string what);

  void StartProcess();
  void KillProcess();
  void StartRun(Half& half);
  // Ends the run as a source does that lost its server. False: the topic had failed.
  bool EndRun(Half& half);
  bool AtEnd(const Half& half) const { return half.entry == half.history->log().size(); }
  Status Establish(Half& half, const ResumePoint& resume);
  // The next call of the source; an error ends its run.
  Status Advance(Half& half);
  Status AppendEvent(Half& half, const LogEvent& event);
  void Released(Half& half, DurableFrontier frontier);
  void Pump();

  StubMemoryTopic& topic_;
  ManualClock& clock_;
  std::mt19937_64& random_;
  std::vector<std::string>& violations_;
  Coverage& coverage_;
  CaptureOptions options_;
  StubMetrics metrics_;
  std::stop_source stop_;
  std::vector<std::unique_ptr<Half>> halves_;
  std::unique_ptr<TopicGate> gate_;
  bool hurry_ = false;  // the topic answers at once
  bool calm_ = false;   // nothing breaks any more
};

}  // namespace tailwater::model
