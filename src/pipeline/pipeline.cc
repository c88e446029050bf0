#include "pipeline/pipeline.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "checkpoint/checkpoint.h"
#include "sdk/suggest.h"
#include "support/text.h"
#include "tailwater/log.h"
#include "topic/open_topic.h"

namespace tailwater {
namespace {

// An empty folder for what a source spools.
Result<std::string> PrepareScratch(const std::string& path) {
  std::error_code error;
  std::filesystem::remove_all(path, error);
  if (!error) std::filesystem::create_directories(path, error);
  if (error) {
    return Error{Disposition::kNeedsOperator, "scratch_unusable",
                 fmt::format("folder {} cannot be emptied: {}; make it writable for this user",
                             path, error.message())};
  }
  return path;
}

PipelineConfig WithoutSinks(PipelineConfig config) {
  config.sinks.clear();
  return config;
}

}  // namespace

std::string_view PipelineHalfName(PipelineHalf half) {
  switch (half) {
    case PipelineHalf::kBoth:
      return "both";
    case PipelineHalf::kCapture:
      return "capture";
    case PipelineHalf::kDeliver:
      return "deliver";
  }
  return "unknown";
}

Result<std::unique_ptr<Pipeline>> Pipeline::Create(PipelineConfig config, PipelineOptions options,
                                                   MetricsRegistry& metrics, const Clock& clock) {
  TW_ASSIGN_OR_RETURN(std::unique_ptr<Topic> topic,
                      OpenTopic(config.topic, config.name, options.instance));
  return std::make_unique<Pipeline>(std::move(config), std::move(options), std::move(topic),
                                    metrics, clock);
}

Pipeline::Pipeline(PipelineConfig config, PipelineOptions options, std::unique_ptr<Topic> topic,
                   MetricsRegistry& metrics, const Clock& clock)
    : config_(WithoutSinks(config)),
      options_(std::move(options)),
      metrics_(metrics),
      clock_(clock),
      logger_(config_.name),
      topic_(std::move(topic)),
      topic_stored_bytes_(metrics.Scoped({{"pipeline", config_.name}})
                              .GetGauge("tailwater_topic_stored_bytes",
                                        "Bytes that the topic's records take where they lie.")),
      topic_records_(
          metrics.Scoped({{"pipeline", config_.name}})
              .GetGauge("tailwater_topic_records",
                        "Records that can be read from the topic, over all partitions.")),
      tables_(TableAsks(), logger_, clock_),
      known_sinks_([this] { return topic_->KnownSinks(); }) {
  metrics.Show({{"pipeline", config_.name}});
  for (SinkConfig& sink : config.sinks) sinks_.push_back(MakeSink(std::move(sink)));
  if (captures()) {
    std::vector<CaptureSource> sources;
    for (const SourceConfig& source : config_.sources) {
      sources.push_back(SourceFor(source));
      watchers_.push_back(std::make_unique<LogWatcher>(
          config_.name + "." + source.name, [this, &source] { return CreateTools(source); },
          metrics_.Scoped({{"pipeline", config_.name}, {"source", source.name}}), clock_,
          options_.watchers, [this, name = source.name] { return PlaceOf(name); }));
    }
    CaptureOptions capture = options_.capture;
    capture.log_prefix = config_.name + ".";
    capture_ = std::make_unique<Capture>(*topic_, std::move(sources),
                                         metrics_.Scoped({{"pipeline", config_.name}}), clock_,
                                         std::move(capture));
  }
}

std::shared_ptr<PipelineSink> Pipeline::MakeSink(SinkConfig config) {
  auto made = std::make_shared<PipelineSink>(PipelineSink{std::move(config), nullptr});
  if (!delivers()) return made;
  const SinkConfig& sink = made->config;
  std::vector<SourceFacts> sources;
  for (const SourceConfig& source : config_.sources) {
    sources.push_back({source.name, source.type->type, source.type->database(source.config)});
  }
  const Labels labels = {{"pipeline", config_.name}, {"sink", sink.name}};
  metrics_.Show(labels);
  Metrics& scope = metrics_.Scoped(labels);
  SinkContext context{config_.name,
                      sink.name,
                      sink.rules.tables,
                      Logger(config_.name + "." + sink.name),
                      scope,
                      std::move(sources),
                      sink.rules.schema_changes};
  // The runner's thread asks these: it ends before the sink and the pipeline do.
  SinkRunnerOptions options = options_.sinks;
  options.keyless_tables = [this, &sink] { return KeylessTables(sink); };
  if (NeedsTables(sink)) options.preflight = [this, &sink] { return CheckSinkRules(sink); };
  made->runner = std::make_unique<SinkRunner>(
      config_.name, sink.name, *topic_,
      [type = sink.type, parsed = sink.config, context] { return type->create(parsed, context); },
      sink.rules, scope, std::move(options));
  return made;
}

Pipeline::~Pipeline() { Stop(std::chrono::milliseconds(0)); }

SourceContext Pipeline::ContextFor(const SourceConfig& source, std::string scratch_dir) const {
  return {config_.name,
          source.name,
          source.tables,
          std::move(scratch_dir),
          Logger(config_.name + "." + source.name),
          metrics_.Scoped({{"pipeline", config_.name}, {"source", source.name}}),
          config_.topic.type == "kafka"};
}

CaptureSource Pipeline::SourceFor(const SourceConfig& source) const {
  const std::string scratch = config_.topic.ScratchDir() + "/" + source.name;
  return {source.name,
          source.type->type,
          [this, &source, scratch]() -> Result<std::unique_ptr<Source>> {
            TW_ASSIGN_OR_RETURN(std::string folder, PrepareScratch(scratch));
            return source.type->create(source.config, ContextFor(source, std::move(folder)));
          },
          &metrics_.Scoped({{"pipeline", config_.name}, {"source", source.name}}),
          source.snapshot,
          source.on_gap,
          [this, name = source.name] { return PressureOn(name); },
          [this] { return SnapshotSinks(); }};
}

LogWatcher::Place Pipeline::PlaceOf(const std::string& source) const {
  for (const SourceStatus& status : capture_->GetStatus().sources) {
    if (status.name == source) return {status.frontier, status.frontier_time_micros.value_or(0)};
  }
  return {};
}

SnapshotPressure Pipeline::PressureOn(const std::string& source) const {
  SnapshotPressure pressure;
  for (size_t i = 0; i < watchers_.size(); ++i) {
    if (config_.sources[i].name != source) continue;
    watchers_[i]->Refresh();  // ten seconds are long for a log that is about to end
    if (const auto health = watchers_[i]->GetStatus().health) {
      pressure.retained_log_bytes = health->retained_bytes;
      pressure.safe_log_bytes = health->safe_bytes;
    }
  }
  for (const auto& sink : sinks()) {
    if (!sink->runner) continue;
    const std::optional<int64_t> lag = sink->runner->Status().lag_records;
    if (!lag || *lag < 0) continue;
    pressure.slowest_sink_records =
        std::max(pressure.slowest_sink_records.value_or(0), static_cast<uint64_t>(*lag));
  }
  return pressure;
}

std::vector<SnapshotSink> Pipeline::SnapshotSinks() const {
  std::vector<SnapshotSink> with_snapshot;
  for (const auto& sink : sinks()) {
    const DeliveryRules& rules = sink->config.rules;
    if (rules.start.kind != StartSpec::Kind::kSnapshot || !rules.snapshot) continue;
    with_snapshot.push_back({sink->config.name, rules.tables});
  }
  return with_snapshot;
}

Result<std::vector<SnapshotStatus>> Pipeline::RequestSnapshot(const std::string& source,
                                                              const SnapshotRequest& request) {
  TW_TRY(CheckCaptures());
  if (!request.addressee.empty()) {
    const auto sink = FindSink(request.addressee);
    std::vector<std::string> names;
    for (const auto& each : sinks()) names.push_back(each->config.name);
    if (sink == nullptr) {
      return Error{Disposition::kReject, "sink_unknown",
                   fmt::format("pipeline '{}' has no sink '{}'{}", config_.name, request.addressee,
                               DidYouMean(request.addressee, {names.begin(), names.end()}))};
    }
    const DeliveryRules& rules = sink->config.rules;
    if (!rules.snapshot) {
      return Error{Disposition::kReject, "sink_takes_no_snapshot",
                   fmt::format("sink '{}' takes no rows of snapshots; set `snapshot: true` in its "
                               "options and reload",
                               request.addressee)};
    }
    if (!rules.tables.Selects(source, request.table)) {
      return Error{Disposition::kReject, "sink_takes_no_table",
                   fmt::format("the `tables` of sink '{}' do not select {}", request.addressee,
                               request.table)};
    }
  }
  return capture_->RequestSnapshot(source, request);
}

Status Pipeline::ChangeSnapshot(const std::string& source, std::optional<uint64_t> unit,
                                SnapshotAction action) {
  TW_TRY(CheckCaptures());
  return capture_->ChangeSnapshot(source, unit, action);
}

Status Pipeline::CheckCaptures() const {
  if (capture_) return {};
  return Error{Disposition::kReject, "source_elsewhere",
               "this process delivers only; ask the one that captures"};
}

Result<std::unique_ptr<SourceTools>> Pipeline::CreateTools(const SourceConfig& source) const {
  return source.type->tools(source.config, ContextFor(source, {}));
}

std::map<std::string, TableDescriber::Ask> Pipeline::TableAsks() const {
  std::map<std::string, TableDescriber::Ask> asks;
  for (const SourceConfig& source : config_.sources) {
    asks[source.name] = [this, &source]() -> Result<std::vector<TableDescription>> {
      TW_ASSIGN_OR_RETURN(const std::unique_ptr<SourceTools> tools, CreateTools(source));
      return tools->DescribeTables();
    };
  }
  return asks;
}

Status Pipeline::CheckSinkRules(const SinkConfig& sink) {
  std::string wrong;
  size_t errors = 0;
  std::vector<std::string> warnings;
  for (const RuleFinding& finding : CheckRules(sink, tables_.Describe(), config_.sources.size())) {
    if (finding.finding.severity == Finding::Severity::kError) {
      wrong += fmt::format("{}({}) {}", errors == 0 ? "" : " ", errors + 1, finding.ToString());
      ++errors;
    } else if (finding.finding.severity == Finding::Severity::kWarning) {
      warnings.push_back(finding.ToString());
    }
  }
  if (errors > 0) {
    return Error{Disposition::kNeedsOperator, "sink_rules_do_not_fit",
                 fmt::format("what the sink says of columns does not fit the tables: {}", wrong)};
  }
  for (const std::string& warning : warnings) {
    logger_.Warn("a sink's rules", {{"sink", sink.name}, {"finding", warning}});
  }
  return {};
}

Result<std::vector<std::string>> Pipeline::KeylessTables(const SinkConfig& sink) {
  const DescribedTables described = tables_.Describe();
  std::vector<std::string> keyless;
  for (const SourceConfig& source : config_.sources) {
    const auto tables = described.find(source.name);
    if (tables == described.end()) {
      return Error{
          Disposition::kRetry, "tables_unknown",
          fmt::format("the server of source '{}' does not say now which of its tables have "
                      "keys; nothing was done, try again when it answers",
                      source.name)};
    }
    for (const TableDescription& table : tables->second) {
      if (!table.schema->keyless() ||
          !sink.rules.tables.Selects(source.name, table.schema->table()))
        continue;
      keyless.push_back(source.name + ":" + table.schema->table());
    }
  }
  return keyless;
}

void Pipeline::Start() {
  Announce();
  for (const auto& sink : sinks()) {
    if (sink->runner) sink->runner->Start();
  }
  if (capture_) capture_->Start();
  for (const auto& watcher : watchers_) watcher->Start();
}

void Pipeline::Announce() {
  for (const auto& sink : sinks()) Announce(sink->config);
}

void Pipeline::Announce(const SinkConfig& sink) const {
  if (!delivers()) return;
  logger_.Info("sink delivers",
               {{"sink", sink.name}, {"type", sink.type->type}, {"topic", topic_->Describe()}});
}

void Pipeline::AddSink(SinkConfig sink) {
  const std::shared_ptr<PipelineSink> made = MakeSink(std::move(sink));
  {
    MutexLock lock(mutex_);
    sinks_.push_back(made);
  }
  Announce(made->config);
  if (made->runner) made->runner->Start();
}

void Pipeline::RemoveSink(std::string_view name) {
  const std::shared_ptr<PipelineSink> sink = FindSink(name);
  if (sink == nullptr) return;
  if (sink->runner) sink->runner->Stop();
  metrics_.Hide({{"pipeline", config_.name}, {"sink", sink->config.name}});
  MutexLock lock(mutex_);
  std::erase(sinks_, sink);
}

void Pipeline::ReplaceSink(SinkConfig sink) {
  const std::shared_ptr<PipelineSink> old = FindSink(sink.name);
  if (old == nullptr) return AddSink(std::move(sink));
  // It gives its lease back before the next one asks for it.
  if (old->runner) old->runner->Stop();
  const std::shared_ptr<PipelineSink> made = MakeSink(std::move(sink));
  {
    MutexLock lock(mutex_);
    std::replace(sinks_.begin(), sinks_.end(), old, made);
  }
  Announce(made->config);
  if (made->runner) made->runner->Start();
}

void Pipeline::Stop(std::chrono::milliseconds drain) {
  for (const auto& watcher : watchers_) watcher->RequestStop();
  if (capture_) capture_->Stop(drain);
  for (const auto& sink : sinks()) {
    if (sink->runner) sink->runner->RequestStop();
  }
  for (const auto& sink : sinks()) {
    if (sink->runner) sink->runner->Stop();
  }
  for (const auto& watcher : watchers_) watcher->Stop();
}

std::vector<std::shared_ptr<PipelineSink>> Pipeline::sinks() const {
  MutexLock lock(mutex_);
  return sinks_;
}

std::shared_ptr<PipelineSink> Pipeline::FindSink(std::string_view name) const {
  for (const auto& sink : sinks()) {
    if (sink->config.name == name) return sink;
  }
  return nullptr;
}

std::vector<std::string> Pipeline::OrphanSinks() {
  auto known = known_sinks_.Get();
  if (!known) return {};  // nobody can tell now
  std::erase_if(*known, [this](const std::string& name) { return FindSink(name) != nullptr; });
  return *std::move(known);
}

void Pipeline::GiveUpDraining() {
  if (capture_) capture_->RequestStop();
}

// Status must not wait for a cluster that is away. A topic on this machine never is.
bool Pipeline::MayOpenReader() const {
  if (config_.topic.type != "kafka") return true;
  if (capture_ && capture_->GetStatus().phase == CapturePhase::kRunning) return true;
  const auto all = sinks();
  return std::any_of(all.begin(), all.end(), [](const auto& sink) {
    return sink->runner && sink->runner->Status().lag_records.has_value();
  });
}

TopicStatus Pipeline::GetTopicStatus() {
  TopicStatus status;
  status.location = topic_->Describe();
  status.stored_bytes = topic_->StoredBytes();
  const bool may_open = MayOpenReader();
  std::shared_ptr<TopicReader> reader;
  {
    MutexLock lock(mutex_);
    if (!reader_ && may_open) {
      if (auto opened = topic_->OpenReader()) reader_ = *std::move(opened);
    }
    reader = reader_;
  }
  if (!reader) return status;
  auto ranges = reader->KnownRanges();
  if (!ranges) {  // unknown now; another log next time, perhaps
    if (config_.topic.type == "kafka") return status;  // opening it anew would wait for the cluster
    MutexLock lock(mutex_);
    reader_ = nullptr;
    return status;
  }
  status.log_id = reader->log_id();
  status.ranges = *std::move(ranges);
  return status;
}

PipelineStatus Pipeline::GetStatus() {
  PipelineStatus status;
  status.name = config_.name;
  status.half = options_.half;
  status.topic = GetTopicStatus();
  if (capture_) status.capture = capture_->GetStatus();
  for (size_t i = 0; i < watchers_.size(); ++i) {
    status.logs.emplace(config_.sources[i].name, watchers_[i]->GetStatus());
  }
  for (const auto& running : sinks()) {
    if (!running->runner) continue;
    status.sinks.push_back({running->config.type->type, running->runner->Status()});
  }
  return status;
}

void Pipeline::RefreshLogs() {
  for (const auto& watcher : watchers_) watcher->Refresh();
}

void Pipeline::PublishMetrics() {
  if (capture_) capture_->PublishMetrics();
  for (const auto& sink : sinks()) {
    if (sink->runner) sink->runner->PublishMetrics();
  }
  const TopicStatus topic = GetTopicStatus();
  topic_stored_bytes_.Set(topic.stored_bytes
                              ? std::optional<double>(static_cast<double>(*topic.stored_bytes))
                              : std::nullopt);
  if (topic.ranges.empty()) {
    topic_records_.Clear();
    return;
  }
  double records = 0;
  for (const auto& [partition, range] : topic.ranges)
    records += static_cast<double>(range.end - range.begin);
  topic_records_.Set(records);
}

}  // namespace tailwater
