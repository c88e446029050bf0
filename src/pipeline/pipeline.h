// One pipeline: its topic, its capture half, one runner per sink and one log watcher per source.
//
// Starts from the far end (sinks, then capture) and stops from the near end. Parts are strangers to
// each other: what halts one shows in its status and stops no other. Sinks come and go while the
// rest runs.
// Threads:   Start(), Stop(), AddSink(), RemoveSink() and ReplaceSink() from the owner's, one at a
//            time; everything else from any thread.
// Ownership: owns all parts; configuration's types, metrics and clock outlive it. Who looks at a
//            sink shares it: it lives on, stopped, while somebody does.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config/pipeline_config.h"
#include "monitor/log_watcher.h"
#include "monitor/metrics_registry.h"
#include "pipeline/capture.h"
#include "pipeline/pipeline_status.h"
#include "pipeline/sink_runner.h"
#include "pipeline/table_describer.h"
#include "tailwater/result.h"
#include "util/clock.h"
#include "util/known_answer.h"
#include "util/mutex.h"

namespace tailwater {

struct PipelineOptions {
  PipelineHalf half = PipelineHalf::kBoth;
  std::string instance;  // of this process; see OpenTopic()
  CaptureOptions capture;
  SinkRunnerOptions sinks;
  LogWatcherOptions watchers;
};

struct PipelineSink {
  SinkConfig config;
  std::unique_ptr<SinkRunner> runner;  // null: this process does not deliver
};

class Pipeline {
 public:
  // Touches nothing outside of the process yet.
  static Result<std::unique_ptr<Pipeline>> Create(PipelineConfig config, PipelineOptions options,
                                                  MetricsRegistry& metrics, const Clock& clock);
  // With a topic of the caller's; for tests.
  Pipeline(PipelineConfig config, PipelineOptions options, std::unique_ptr<Topic> topic,
           MetricsRegistry& metrics, const Clock& clock);
  ~Pipeline();  // Stop(0)
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;

  // Says in the log what each part will do. Not after a stop.
  void Start();
  // Ends capture cleanly, waiting at most `drain` for what it accepted to become durable, then the
  // sinks, each after the call in progress. Safe twice and before Start().
  void Stop(std::chrono::milliseconds drain);
  // No longer waits for sources that drain. Returns at once.
  void GiveUpDraining();

  // Without sinks: these are in sinks().
  const PipelineConfig& config() const { return config_; }
  PipelineHalf half() const { return options_.half; }
  bool captures() const { return options_.half != PipelineHalf::kDeliver; }
  bool delivers() const { return options_.half != PipelineHalf::kCapture; }

  Topic& topic() const { return *topic_; }
  // In the order of the configuration; added ones last.
  std::vector<std::shared_ptr<PipelineSink>> sinks() const TW_EXCLUDES(mutex_);
  // Null if there is no such sink.
  std::shared_ptr<PipelineSink> FindSink(std::string_view name) const TW_EXCLUDES(mutex_);

  // After Start(): begins where `start:` says, or where it was when it last ran.
  void AddSink(SinkConfig sink) TW_EXCLUDES(mutex_);
  // Stops it after the call in progress; its place in the topic stays, its metrics do not.
  void RemoveSink(std::string_view name) TW_EXCLUDES(mutex_);
  // Stops the sink of this name and starts it anew from its committed place.
  void ReplaceSink(SinkConfig sink) TW_EXCLUDES(mutex_);
  // Names of sinks that have a place in the topic and are none of ours. Asks the topic.
  std::vector<std::string> OrphanSinks();

  // As Capture's; and kReject if this process does not capture, or the sink meant is none of ours
  // or would not take the rows.
  Result<std::vector<SnapshotStatus>> RequestSnapshot(const std::string& source,
                                                      const SnapshotRequest& request);
  Status ChangeSnapshot(const std::string& source, std::optional<uint64_t> unit,
                        SnapshotAction action);

  PipelineStatus GetStatus() TW_EXCLUDES(mutex_);
  // Somebody reads status or metrics: the watchers look again soon.
  void RefreshLogs();
  // Sets the gauges that are only true at one moment. Call it before every scrape.
  void PublishMetrics() TW_EXCLUDES(mutex_);
  // Tools of one source, on connections of their own.
  Result<std::unique_ptr<SourceTools>> CreateTools(const SourceConfig& source) const;
  // Whether conditions and mappings of a sink fit the tables as they are now, for its runner to ask
  // before it makes the sink. kNeedsOperator "sink_rules_do_not_fit" with all that is wrong. OK
  // where the servers cannot be asked: then the first change of a table tells.
  Status CheckSinkRules(const SinkConfig& sink);
  // "source:table" of those that the sink takes and that have no key. kRetry "tables_unknown": a
  // server does not answer.
  Result<std::vector<std::string>> KeylessTables(const SinkConfig& sink);

 private:
  void Announce();
  void Announce(const SinkConfig& sink) const;
  std::shared_ptr<PipelineSink> MakeSink(SinkConfig sink);
  std::map<std::string, TableDescriber::Ask> TableAsks() const;
  SourceContext ContextFor(const SourceConfig& source, std::string scratch_dir) const;
  CaptureSource SourceFor(const SourceConfig& source) const;
  LogWatcher::Place PlaceOf(const std::string& source) const;
  SnapshotPressure PressureOn(const std::string& source) const TW_EXCLUDES(mutex_);
  std::vector<SnapshotSink> SnapshotSinks() const TW_EXCLUDES(mutex_);
  Status CheckCaptures() const;
  bool MayOpenReader() const TW_EXCLUDES(mutex_);
  TopicStatus GetTopicStatus() TW_EXCLUDES(mutex_);

  const PipelineConfig config_;  // without sinks
  const PipelineOptions options_;
  MetricsRegistry& metrics_;
  const Clock& clock_;
  const Logger logger_;
  const std::unique_ptr<Topic> topic_;
  Gauge& topic_stored_bytes_;
  Gauge& topic_records_;

  TableDescriber tables_;
  KnownAnswer<std::vector<std::string>> known_sinks_;  // that have a place in the topic

  mutable Mutex mutex_;
  std::shared_ptr<TopicReader> reader_
      TW_GUARDED_BY(mutex_);  // for status; null until there is a log

  std::vector<std::shared_ptr<PipelineSink>> sinks_ TW_GUARDED_BY(mutex_);
  std::unique_ptr<Capture> capture_;
  std::vector<std::unique_ptr<LogWatcher>> watchers_;  // as config_.sources
};

}  // namespace tailwater
