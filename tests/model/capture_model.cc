#include "model/capture_model.h"

#include <cstdlib>
#include <utility>

#include "checkpoint/state.pb.h"
#include "support/text.h"

namespace tailwater::model {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kConsistentPoint = "0/100";

// Of a position as the history writes it: an LSN, a GTID, a set of GTIDs.
uint64_t PlaceOf(std::string_view text) {
  const bool lsn = text.find('/') != text.npos;
  return std::strtoull(std::string(text.substr(text.find_last_of("/:-") + 1)).c_str(), nullptr,
                       lsn ? 16 : 10);
}

// The engine's way to the topic. Establish() waits for its answer on the thread that would give
// it: a hurried topic answers then.
class HurriedWriter final : public TopicWriter {
 public:
  HurriedWriter(std::unique_ptr<TopicWriter> writer, StubMemoryTopic& topic, const bool& hurry)
      : writer_(std::move(writer)), topic_(topic), hurry_(hurry) {}
  int32_t partitions() const override { return writer_->partitions(); }
  const std::string& log_id() const override { return writer_->log_id(); }
  Result<std::map<std::string, std::string>> LoadState() override { return writer_->LoadState(); }
  Result<Offsets> Ends() override { return writer_->Ends(); }
  size_t max_record_bytes() const override { return writer_->max_record_bytes(); }
  void Append(AppendBatch batch, AppendDone done) override {
    writer_->Append(std::move(batch), std::move(done));
  }
  bool WaitForRoom(std::chrono::milliseconds timeout) override {
    return writer_->WaitForRoom(timeout);
  }
  size_t queued_bytes() const override { return writer_->queued_bytes(); }
  void Flush() override {
    writer_->Flush();
    if (hurry_) topic_.RunPending();
  }
  Status Recover() override { return writer_->Recover(); }

 private:
  std::unique_ptr<TopicWriter> writer_;
  StubMemoryTopic& topic_;
  const bool& hurry_;
};

Error Injected() {
  return {Disposition::kRetry, "model_topic_down", "the model's topic is down, on purpose"};
}

}  // namespace

CaptureModel::CaptureModel(StubMemoryTopic& topic,
                           const std::vector<std::unique_ptr<History>>& histories,
                           ManualClock& clock, std::mt19937_64& random,
                           std::vector<std::string>& violations, Coverage& coverage)
    : topic_(topic), clock_(clock), random_(random), violations_(violations), coverage_(coverage) {
  options_.batch_bytes = 1 + Below(OneIn(2) ? 500 : 20'000);
  options_.part_bytes = 1 + Below(OneIn(2) ? 500 : 20'000);
  for (const auto& history : histories) {
    auto half = std::make_unique<Half>();
    half->history = history.get();
    half->reporter = std::make_unique<SourceReporter>(history->source(), "model", metrics_, clock_);
    halves_.push_back(std::move(half));
  }
}

CaptureModel::~CaptureModel() { KillProcess(); }

void CaptureModel::Violation(const Half& half, std::string what) {
  violations_.push_back(fmt::format("source {}: {}", half.history->source(), what));
}

void CaptureModel::StartProcess() {
  auto writer = topic_.OpenWriter(stop_.get_token(), [](const std::string&) {});
  if (!writer) {
    violations_.push_back("the writer cannot be opened: " + writer.error().message);
    return;
  }
  gate_ = std::make_unique<TopicGate>(
      std::make_unique<HurriedWriter>(*std::move(writer), topic_, hurry_));
}

void CaptureModel::KillProcess() {
  if (gate_ == nullptr) return;
  topic_.Crash();
  for (auto& half : halves_) {
    half->writer.reset();
    half->checkpoint.reset();
  }
  gate_.reset();
}

void CaptureModel::StartRun(Half& half) {
  topic_.RunPending();  // recovery waits until nothing is in flight
  if (!gate_->Recover(stop_.get_token())) return;
  const auto state = gate_->writer().LoadState();
  const auto ends = gate_->writer().Ends();
  auto checkpoint = Checkpoint::Load(half.history->source(), "model", *state,
                                     gate_->writer().log_id(), *ends, clock_);
  if (!checkpoint) {
    Violation(half, "the checkpoint cannot be loaded: " + checkpoint.error().message);
    return;
  }
  half.reporter->ForgetInFlight();
  half.checkpoint = *std::move(checkpoint);
  half.writer = std::make_unique<CaptureWriter>(
      half.history->source(), *half.checkpoint, *gate_, *half.reporter, options_, clock_,
      CaptureWriter::Hooks{
          .release = [this,
                      &half](DurableFrontier frontier) { Released(half, std::move(frontier)); },
          .topic_failed = [] {},
          .wake = [] {}},
      stop_.get_token());
  half.open = false;
  half.event = 0;
  const ResumePoint& resume = half.checkpoint->resume_point();
  if (!resume.frontier) {
    half.entry = 0;
    if (!Establish(half, resume)) EndRun(half);
    return;
  }
  // The server sends what ended behind the frontier.
  const std::vector<LogEntry>& log = half.history->log();
  half.entry = 0;
  while (half.entry < log.size() &&
         PlaceOf(log[half.entry].end) <= PlaceOf(resume.frontier->text)) {
    ++half.entry;
  }
  if (PlaceOf(half.released) > PlaceOf(resume.frontier->text)) {
    Violation(half, fmt::format("the server was told to forget up to {}, but the frontier is {}",
                                half.released, resume.frontier->text));
  }
  if (resume.in_progress) {
    ++coverage_["resumed inside a transaction"];
    size_t next = half.entry;
    while (next < log.size() && log[next].kind != LogEntry::Kind::kTransaction) ++next;
    if (next == log.size() || log[next].position != resume.in_progress->text) {
      Violation(half, fmt::format("transaction {} is in progress, but the frontier is {}",
                                  resume.in_progress->text, resume.frontier->text));
    }
  }
}

Status CaptureModel::Establish(Half& half, const ResumePoint& resume) {
  const SourceIdentity identity = {{"slot", "model"}};
  hurry_ = true;
  Status status;
  if (resume.identity.empty()) status = half.writer->Establish(identity, std::nullopt);
  if (status && !calm_ && OneIn(4)) status = Injected();  // the session was lost in between
  if (status) status = half.writer->Establish(identity, Position{std::string(kConsistentPoint)});
  hurry_ = false;
  return status;
}

bool CaptureModel::EndRun(Half& half) {
  half.writer->Finish();
  topic_.RunPending();
  const bool clean = !half.writer->topic_error();
  half.writer.reset();
  half.checkpoint.reset();
  return clean;
}

void CaptureModel::Released(Half& half, DurableFrontier frontier) {
  const std::string& text = frontier.position().text;
  if (!half.released.empty() && PlaceOf(text) < PlaceOf(half.released)) {
    Violation(half, fmt::format("released {} after {}", text, half.released));
  }
  ++coverage_["frontier released"];
  half.released = text;
  state::v1::CaptureState state;
  if (!state.ParseFromString(topic_.State()[CheckpointKey(half.history->source())]) ||
      PlaceOf(state.frontier()) < PlaceOf(text)) {
    Violation(half, fmt::format("released {}, but {} is durable", text, state.frontier()));
  }
}

Status CaptureModel::AppendEvent(Half& half, const LogEvent& event) {
  std::vector<Value> before, after;
  for (const Datum& datum : event.before) before.push_back(datum.view());
  for (const Datum& datum : event.after) after.push_back(datum.view());
  Change change;
  change.operation = event.operation;
  change.schema = event.schema.get();
  if (event.schema != nullptr) change.table = event.schema->table();
  change.ordinal = event.ordinal;
  change.part = event.part;
  change.before = before;
  change.after = after;
  if (event.operation == Operation::kMessage) {
    change.message_prefix = "model";
    change.message_content = event.message;
  }
  const LogEntry& entry = half.history->log()[half.entry];
  if (entry.kind == LogEntry::Kind::kAlone) {
    change.source_time_micros = entry.time_micros;
    return half.writer->AppendAlone(change, entry.end);
  }
  return half.writer->Append(change);
}

Status CaptureModel::Advance(Half& half) {
  if (AtEnd(half)) {
    TW_TRY(half.writer->Flush());
    return half.writer->AdvanceIdle(half.history->log().back().end);
  }
  if (OneIn(12)) return half.writer->Flush();  // no more input at this moment
  const LogEntry& entry = half.history->log()[half.entry];
  switch (entry.kind) {
    case LogEntry::Kind::kIdle:
      TW_TRY(half.writer->AdvanceIdle(entry.end));
      ++half.entry;
      return {};
    case LogEntry::Kind::kAlone:
      TW_TRY(AppendEvent(half, entry.events[0]));
      ++half.entry;
      return {};
    case LogEntry::Kind::kTransaction:
      break;
  }
  if (!half.open) {
    TW_TRY(half.writer->Begin({entry.position, "77", entry.time_micros}));
    half.open = true;
    half.event = 0;
    return {};
  }
  if (half.event < entry.events.size()) {
    TW_TRY(AppendEvent(half, entry.events[half.event]));
    ++half.event;
    return {};
  }
  TW_TRY(half.writer->Commit(entry.end));
  half.open = false;
  ++half.entry;
  return {};
}

void CaptureModel::Pump() {
  if (OneIn(3)) {
    topic_.StoreWithoutCompleting(Below(3));
  } else {
    topic_.RunPending(Below(4));
  }
}

void CaptureModel::Step() {
  if (gate_ == nullptr) StartProcess();
  if (gate_ == nullptr) return;
  if (OneIn(4)) Pump();
  Half& half = *halves_[Below(halves_.size())];
  if (half.writer == nullptr) StartRun(half);
  if (half.writer == nullptr) return;
  if (OneIn(10)) half.writer->Tick();
  for (uint64_t calls = 1 + Below(8); calls > 0; --calls) {
    const Status status = Advance(half);
    if (status) continue;
    if (status.error().code != Injected().code) {
      Violation(half, fmt::format("{}: {}", status.error().code, status.error().message));
    }
    EndRun(half);
    return;
  }
}

void CaptureModel::Break() {
  switch (Below(5)) {
    case 0:
      ++coverage_["append failed"];
      return topic_.FailNextAppend(Injected());
    case 1:
      ++coverage_["answer of the topic lost"];
      return topic_.LoseNextAnswer(Injected());
    case 2: {  // a session is lost
      Half& half = *halves_[Below(halves_.size())];
      ++coverage_["session lost"];
      if (half.writer != nullptr) EndRun(half);
      return;
    }
    case 3:
      return topic_.FailRecover(Injected(), 1);
    default:
      ++coverage_["capture killed"];
      return KillProcess();
  }
}

bool CaptureModel::Finish() {
  calm_ = true;
  for (size_t step = 0; step < 200'000 && violations_.empty(); ++step) {
    clock_.Advance(1ms);
    bool done = gate_ != nullptr;
    for (const auto& half : halves_) done = done && half->writer != nullptr && AtEnd(*half);
    if (!done) {
      Step();
      continue;
    }
    bool clean = true;
    for (auto& half : halves_) clean = EndRun(*half) && clean;
    if (clean) return topic_.queued() == 0;
  }
  return false;
}

}  // namespace tailwater::model
