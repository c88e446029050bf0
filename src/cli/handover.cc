// `tailwater sources handover`: a source goes on from another server that holds the same rows.
//
// Nothing is stored before equality is proven, and then all of it in one transaction of the topic:
// whatever ends this before leaves a topic that still belongs to the old server.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <fstream>
#include <future>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stop_token>
#include <thread>

#include "checkpoint/checkpoint.h"
#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/load.h"
#include "cli/output.h"
#include "config/yaml.h"
#include "monitor/metrics_registry.h"
#include "pipeline/capture.h"
#include "sdk/log_setup.h"
#include "sdk/suggest.h"
#include "support/crash_point.h"
#include "support/text.h"
#include "topic/open_topic.h"
#include "util/clock.h"

namespace tailwater {
namespace {

using namespace std::chrono_literals;
using nlohmann::ordered_json;
using SteadyClock = std::chrono::steady_clock;

constexpr auto kOperator = Disposition::kNeedsOperator;
// How long a source may be without its server before we give up.
constexpr std::chrono::seconds kServerPatience{30};
// Nothing may be written on the old server for at least so long.
constexpr std::chrono::seconds kQuietTime{1};
constexpr auto kPoll = 20ms;

struct HandoverOptions {
  std::vector<std::string> arguments;  // FILE…, then [PIPELINE/]SOURCE
  std::string from_url;
  std::string from_password;
  bool skip_proof = false;
  bool dry_run = false;
  OutputFormat format = OutputFormat::kText;
};

// Takes what a source establishes on its first start, and ends it before it reads anything.
class EstablishOnly final : public ChangeWriter {
 public:
  // `accept` judges the identity before anything is created.
  explicit EstablishOnly(std::function<Status(const SourceIdentity&)> accept)
      : accept_(std::move(accept)) {}

  Status Establish(const SourceIdentity& identity,
                   const std::optional<Position>& frontier) override {
    TW_TRY(accept_(identity));
    began_ = true;
    if (!frontier) return {};
    identity_ = identity;
    frontier_ = frontier;
    return Ended();
  }
  bool WaitForRoom(std::chrono::milliseconds) override { return true; }
  Status Begin(const Transaction&) override { return Ended(); }
  Status Append(const Change&) override { return Ended(); }
  Status Commit(std::string_view) override { return Ended(); }
  Status AppendAlone(const Change&, std::string_view) override { return Ended(); }
  Status OnWatermark(const Watermark&) override { return Ended(); }
  Result<bool> ServeCopy(std::string_view, std::chrono::milliseconds) override { return Ended(); }
  Status AdvanceIdle(std::string_view) override { return Ended(); }
  Status RowsReplaced(std::string_view, std::string_view) override { return Ended(); }
  Status Flush() override { return Ended(); }

  bool began() const { return began_; }
  const SourceIdentity& identity() const { return identity_; }
  const std::optional<Position>& frontier() const { return frontier_; }

 private:
  static Error Ended() { return {Disposition::kCancelled, "established", "all is there"}; }
  const std::function<Status(const SourceIdentity&)> accept_;
  SourceIdentity identity_;
  std::optional<Position> frontier_;
  bool began_ = false;
};

std::string ValueOf(const SourceIdentity& identity, const std::string& key) {
  const auto found = identity.find(key);
  return found == identity.end() ? std::string() : found->second;
}

// The section of the source as it stands in its file, so that it can be read again with another
// address.
Result<ConfigNode> ReadSection(const SourceConfig& source) {
  std::ifstream file(source.location.file);
  std::stringstream text;
  text << file.rdbuf();
  Problems problems;
  const auto document = ParseYaml(text.str(), source.location.file, problems);
  const ConfigNode* sources = document ? document->Find("sources") : nullptr;
  const ConfigNode* section = sources ? sources->Find(source.name) : nullptr;
  if (section == nullptr) {
    return Error{
        Disposition::kFatal, "handover_failed",
        fmt::format("{} does not hold source '{}' any more", source.location.file, source.name)};
  }
  return *section;
}

class Handover {
 public:
  Handover(const PipelineConfig& pipeline, const SourceConfig& source,
           const HandoverOptions& options)
      : pipeline_(pipeline),
        source_(source),
        options_(options),
        text_(options.format == OutputFormat::kText),
        terminal_(text_ && isatty(STDERR_FILENO) != 0),
        palette_(Palette::For(STDOUT_FILENO)) {}

  int Run() {
    Status status = Prepare();
    if (status && !options_.dry_run) {
      status = Move();
      if (!status) CleanUp();
    }
    EndLine();
    if (!text_) PrintJson(status);
    if (!status) return ReportError(status.error());
    return kExitDone;
  }

 private:
  SourceContext Context() const {
    return {pipeline_.name,
            source_.name,
            source_.tables,
            pipeline_.topic.ScratchDir() + "/" + source_.name,
            Logger(pipeline_.name + "." + source_.name),
            metrics_.root(),
            pipeline_.topic.type == "kafka"};
  }

  // Looks at everything, changes nothing.
  Status Prepare() {
    // What is handed over is a slot and a publication, on a server without any of them so far.
    if (source_.type->type != "postgres") {
      return Error{
          kOperator, "handover_not_applicable",
          fmt::format("source '{}' is of type {}, whose servers keep no place for it: there "
                      "is nothing to hand over. With GTIDs, write the other server's "
                      "address into the file and run: it goes on if that server has "
                      "everything that is captured, and names what is missing if not. Where "
                      "both share no GTIDs, a new start copies all tables again (`on_gap: "
                      "resnapshot`)",
                      source_.name, source_.type->type)};
    }
    TW_ASSIGN_OR_RETURN(ConfigNode section, ReadSection(source_));
    std::erase_if(section.entries, [&](const ConfigNode::Entry& entry) {
      for (const std::string_view key : {"url", "host", "port", "database", "user"})
        if (entry.key == key) return true;
      return entry.key == "password" && !options_.from_password.empty();
    });
    Set(section, "url", options_.from_url);
    if (!options_.from_password.empty()) Set(section, "password", options_.from_password);
    Problems problems;
    old_config_ = source_.type->parse(section, problems);
    if (!problems.empty()) {
      return Error{kOperator, "handover_usage",
                   fmt::format("--from-url: {}", problems.list().front().message)};
    }
    TW_ASSIGN_OR_RETURN(old_tools_, source_.type->tools(old_config_, Context()));
    TW_ASSIGN_OR_RETURN(new_tools_, source_.type->tools(source_.config, Context()));

    TW_ASSIGN_OR_RETURN(topic_, OpenTopic(pipeline_.topic, pipeline_.name, "handover"));
    TW_ASSIGN_OR_RETURN(const auto state, topic_->PeekState());
    if (!state.contains(CheckpointKey(source_.name))) {
      return Error{kOperator, "handover_nothing_captured",
                   fmt::format("the topic knows nothing of source '{}': there is nothing to hand "
                               "over; just run",
                               source_.name)};
    }

    TW_TRY(Within("old server", CheckErrors(*old_tools_)));
    TW_TRY(Within("new server", CheckErrors(*new_tools_)));
    auto tables = old_tools_->DescribeTables();
    if (!tables) return std::move(tables).error().Within("old server");
    for (const TableDescription& table : *tables) tables_.push_back(table.schema->table());
    auto there = new_tools_->DescribeTables();
    if (!there) return std::move(there).error().Within("new server");
    std::string missing;
    for (const std::string& table : tables_) {
      if (std::none_of(there->begin(), there->end(),
                       [&](const TableDescription& one) { return one.schema->table() == table; }))
        missing += (missing.empty() ? "" : ", ") + table;
    }
    if (!missing.empty()) {
      return Error{kOperator, "handover_differs",
                   fmt::format("the new server lacks {}: restore it there first", missing)};
    }
    Say("source {}/{} goes on from the server that its file names; the old one is {}",
        pipeline_.name, source_.name, options_.from_url);
    if (!options_.dry_run) return {};
    Say("1. take the topic's lease ({}): no daemon may capture", topic_->Describe());
    Say("2. bring what the old server has into the topic, and see that nobody writes there any "
        "more");
    Say("3. create slot and publication on the new server");
    Say("4. {}", options_.skip_proof
                     ? std::string("(--skip-proof) believe that both servers hold the same rows")
                     : fmt::format("compare {} row by row: {}", Counted(tables_.size(), "table"),
                                   fmt::join(tables_, ", ")));
    Say("5. store the new server's identity and place in the topic, in a new epoch");
    Say("Nothing was changed. The old server keeps its slot until you drop it.");
    return {};
  }

  static void Set(ConfigNode& section, const std::string& key, const std::string& value) {
    ConfigNode node;
    node.kind = ConfigNode::Kind::kScalar;
    node.location = section.location;
    node.path = section.path + "." + key;
    node.scalar = value;
    node.quoted = true;
    section.entries.push_back({key, section.location, std::move(node)});
  }

  static Status Within(const std::string& noun, Status status) {
    if (!status) return std::move(status).error().Within(noun);
    return status;
  }

  static Status CheckErrors(SourceTools& tools) {
    TW_ASSIGN_OR_RETURN(const std::vector<Finding> findings, tools.Check());
    for (const Finding& finding : findings) {
      if (finding.severity == Finding::Severity::kError) {
        return Error{kOperator, "handover_not_ready",
                     fmt::format("{}: {}{}{}", finding.subject, finding.message,
                                 finding.remedy.empty() ? "" : ": ", finding.remedy)};
      }
    }
    return {};
  }

  Status Move() {
    Drain drain(*this);
    TW_TRY(drain.Start());
    TW_TRY(drain.ReachEnd());
    const uint64_t changes = drain.changes();
    const auto quiet_since = SteadyClock::now();
    TW_TRY(RefuseWriters());
    Say("{}drained{} the old server up to {}", palette_.green, palette_.off, drain.frontier().text);
    TW_CRASH_POINT("handover_drained");

    TW_TRY(Within("new server", Establish(drain.identity())));
    Say("{}created{} slot and publication on the new server, at {}", palette_.green, palette_.off,
        new_frontier_.text);
    TW_CRASH_POINT("handover_established");
    if (options_.skip_proof) {
      Say("{}not proven{}: rows that the new server lacks are missing in every sink from now on, "
          "without a trace",
          palette_.yellow, palette_.off);
    } else {
      TW_TRY(Prove());
    }
    TW_CRASH_POINT("handover_proven");

    std::this_thread::sleep_until(quiet_since + kQuietTime);
    TW_TRY(RefuseWriters());
    TW_TRY(drain.ReachEnd());
    if (drain.changes() != changes) {
      return Error{kOperator, "handover_still_written",
                   fmt::format("{} came from the old server after it was drained: somebody writes "
                               "there. Stop the writers (ALTER DATABASE … SET "
                               "default_transaction_read_only = on, end their sessions), bring the "
                               "new server up to date, and try again",
                               Counted(drain.changes() - changes, "change"))};
    }
    TW_TRY(drain.Stop());
    old_frontier_ = drain.frontier();
    return Store(drain.epoch());
  }

  // Sessions with a transaction that has written something: it may commit after we looked.
  Status RefuseWriters() {
    auto findings = old_tools_->Check();
    if (!findings) return std::move(findings).error().Within("old server");
    for (const Finding& finding : *findings) {
      if (finding.code == "open_transactions") {
        return Error{kOperator, "handover_still_written",
                     fmt::format("old server: {}. End them, keep others from writing, and try "
                                 "again",
                                 finding.message)};
      }
    }
    return {};
  }

  // Capture of this one source from the old server.
  class Drain {
   public:
    explicit Drain(Handover& handover) : handover_(handover) {}
    ~Drain() { capture_.reset(); }

    Status Start() {
      CaptureSource source;
      source.name = handover_.source_.name;
      source.type = handover_.source_.type->type;
      source.create = [this] {
        return handover_.source_.type->create(handover_.old_config_, handover_.Context());
      };
      source.metrics = &handover_.metrics_.root();
      source.snapshot = handover_.source_.snapshot;
      source.snapshot.mode = SnapshotMode::kNever;
      CaptureOptions options;
      const TopicConfig& topic = handover_.pipeline_.topic;
      options.part_bytes = topic.transaction_size.bytes;
      options.omit_oversize_columns = topic.oversize == OversizePolicy::kOmitColumns;
      options.idle_advance_interval = 100ms;
      options.log_prefix = handover_.pipeline_.name + ".";
      std::vector<CaptureSource> sources;
      sources.push_back(std::move(source));
      capture_ = std::make_unique<Capture>(*handover_.topic_, std::move(sources),
                                           handover_.metrics_.root(), handover_.clock_, options);
      capture_->Start();
      const auto deadline = SteadyClock::now() + (topic.type == "kafka" ? kLeasePatience : 0s);
      while (true) {
        const CaptureStatus status = capture_->GetStatus();
        if (status.phase == CapturePhase::kRunning) return {};
        if (status.phase == CapturePhase::kFailed || status.phase == CapturePhase::kNeedsOperator)
          return Error{status.disposition == Disposition::kGap ? Disposition::kGap : kOperator,
                       "handover_topic", status.message};
        if (status.phase == CapturePhase::kStandby && SteadyClock::now() > deadline) {
          return Error{
              kOperator, "pipeline_running",
              fmt::format("the pipeline is running ({}); stop it first", status.lease_holder)};
        }
        std::this_thread::sleep_for(kPoll);
      }
    }

    // Until what the old server has now is durable in the topic.
    Status ReachEnd() {
      auto end = handover_.old_tools_->LogEnd();
      if (!end) return std::move(end).error().Within("old server");
      auto seen_streaming = SteadyClock::now();
      while (true) {
        const SourceStatus status = capture_->GetStatus().sources.front();
        const auto now = SteadyClock::now();
        switch (status.state) {
          case SourceState::kStreaming:
            seen_streaming = now;
            break;
          case SourceState::kStarting:
          case SourceState::kRetrying:
          case SourceState::kStopped:
            if (now - seen_streaming > kServerPatience) {
              return Error{kOperator, "handover_old_server",
                           fmt::format("old server: {}", status.message.empty() ? "does not answer"
                                                                                : status.message)};
            }
            break;
          case SourceState::kNeedsOperator:
          case SourceState::kFailed:
            return Error{kOperator, "handover_old_server", "old server: " + status.message};
          case SourceState::kGap:
            return Error{Disposition::kGap, "handover_old_server", "old server: " + status.message};
        }
        if (status.state == SourceState::kStreaming && status.frontier) {
          TW_ASSIGN_OR_RETURN(const bool reached,
                              handover_.old_tools_->HasReached(*status.frontier, *end));
          if (reached) {
            status_ = status;
            return {};
          }
          handover_.Progress("draining: {} of {}, {} changes", status.frontier->text, end->text,
                             HumanCount(Sum(status)));
        }
        std::this_thread::sleep_for(kPoll);
      }
    }

    Status Stop() {
      capture_->Stop(30s);
      const SourceStatus status = capture_->GetStatus().sources.front();
      status_.frontier = status.frontier;
      status_.epoch = status.epoch;
      capture_.reset();
      if (status.in_progress) {
        return Error{kOperator, "handover_still_written",
                     "old server: a transaction came in the middle of the end; try again"};
      }
      return {};
    }

    uint64_t changes() const { return Sum(status_); }
    const Position& frontier() const { return *status_.frontier; }
    const SourceIdentity& identity() const { return status_.identity; }
    uint32_t epoch() const { return status_.epoch; }

   private:
    static uint64_t Sum(const SourceStatus& status) {
      uint64_t sum = 0;
      for (const auto& [operation, count] : status.events) sum += count;
      return sum;
    }
    Handover& handover_;
    std::unique_ptr<Capture> capture_;
    SourceStatus status_;
  };

  // A first start on the new server, into our hands. What an earlier attempt left there under our
  // names goes.
  Status Establish(const SourceIdentity& old_identity) {
    TW_ASSIGN_OR_RETURN(owned_before_, new_tools_->ListOwned());
    EstablishOnly writer([&](const SourceIdentity& identity) -> Status {
      for (const char* key : {"system_identifier", "database_oid"}) {
        if (ValueOf(identity, key) != ValueOf(old_identity, key)) return {};
      }
      return Error{kOperator, "handover_same_server",
                   "the file still names the old server (or a copy of it that a promotion made, "
                   "which needs no handover: just run); write the new server's address into it"};
    });
    TW_ASSIGN_OR_RETURN(const std::unique_ptr<Source> source,
                        source_.type->create(source_.config, Context()));
    ResumePoint resume;
    resume.after_gap = true;
    const std::stop_source never;
    const auto deadline = SteadyClock::now() + kServerPatience;
    while (true) {
      const Status ended = source->Run(resume, writer, never.get_token());
      made_ = made_ || writer.began();
      if (writer.frontier()) break;
      if (ended) return Error{Disposition::kFatal, "handover_failed", "the source ended by itself"};
      if (ended.error().disposition != Disposition::kRetry || SteadyClock::now() > deadline)
        return ended.error();
      std::this_thread::sleep_for(200ms);
    }
    new_identity_ = writer.identity();
    new_frontier_ = *writer.frontier();
    return {};
  }

  // Both servers work at the same time. All tables, so that one refusal names all that differ.
  Status Prove() {
    std::string differing;
    const auto begun = SteadyClock::now();
    uint64_t rows = 0;
    for (size_t i = 0; i < tables_.size(); ++i) {
      const std::string& table = tables_[i];
      auto there = std::async(std::launch::async, [&] { return new_tools_->Digest(table); });
      auto here = std::async(std::launch::async, [&] { return old_tools_->Digest(table); });
      const auto since = SteadyClock::now();
      while (here.wait_for(200ms) != std::future_status::ready ||
             there.wait_for(0ms) != std::future_status::ready) {
        Progress("comparing {} ({} of {}), {}{}", Printable(table), i + 1, tables_.size(),
                 Elapsed(since), Eta(begun, i));
      }
      auto expected = here.get();
      auto found = there.get();
      if (!expected) return std::move(expected).error().Within("old server: " + table);
      if (!found) return std::move(found).error().Within("new server: " + table);
      rows += expected->rows;
      const double seconds = std::chrono::duration<double>(SteadyClock::now() - since).count();
      if (*expected == *found) {
        Say("{}equal{}   {}: {}, {} rows/s", palette_.green, palette_.off, Printable(table),
            Counted(expected->rows, "row"),
            HumanCount(static_cast<uint64_t>(static_cast<double>(expected->rows) / seconds)));
      } else {
        const std::string what =
            expected->rows == found->rows
                ? fmt::format("{} ({} on both, but not the same)", table,
                              Counted(expected->rows, "row"))
                : fmt::format("{} ({} on the old server, {} on the new one)", table,
                              Counted(expected->rows, "row"), HumanCount(found->rows));
        Say("{}differs{} {}", palette_.red, palette_.off, Printable(what));
        differing += (differing.empty() ? "" : ", ") + what;
      }
      compared_.push_back(
          {{"table", table}, {"rows", expected->rows}, {"equal", *expected == *found}});
    }
    if (!differing.empty()) {
      return Error{kOperator, "handover_differs",
                   fmt::format("the servers differ in {}: bring the new one up to date, and try "
                               "again",
                               differing)};
    }
    Say("{}equal{}   all of {}, {}, in {}", palette_.green, palette_.off,
        Counted(tables_.size(), "table"), Counted(rows, "row"), Elapsed(begun));
    return {};
  }

  static std::string Elapsed(SteadyClock::time_point since) {
    return HumanSeconds(std::chrono::duration<double>(SteadyClock::now() - since).count());
  }
  // By tables, for want of better: their sizes are not known here.
  std::string Eta(SteadyClock::time_point begun, size_t done) const {
    if (done == 0) return {};
    const double spent = std::chrono::duration<double>(SteadyClock::now() - begun).count();
    return fmt::format(", about {} left", HumanSeconds(spent / static_cast<double>(done) *
                                                       static_cast<double>(tables_.size() - done)));
  }

  // Identity, frontier and epoch, all or nothing.
  Status Store(uint32_t epoch) {
    std::stop_source stop;
    std::string holder;
    const std::jthread patience([&stop](const std::stop_token& done) {
      std::mutex mutex;
      std::unique_lock lock(mutex);
      std::condition_variable_any never;
      never.wait_for(lock, done, kLeasePatience, [] { return false; });
      stop.request_stop();
    });
    auto opened =
        topic_->OpenWriter(stop.get_token(), [&](const std::string& name) { holder = name; });
    if (!opened) {
      if (holder.empty()) return std::move(opened).error().Within("topic");
      return Error{kOperator, "pipeline_running",
                   fmt::format("{} took the topic's lease meanwhile; stop it first", holder)};
    }
    const std::unique_ptr<TopicWriter> writer = *std::move(opened);
    TW_ASSIGN_OR_RETURN(const auto checkpoint, LoadCheckpoint(*writer));
    if (checkpoint->epoch() != epoch || checkpoint->frontier() != old_frontier_.text) {
      return Error{kOperator, "pipeline_running",
                   "another process captured into this topic meanwhile; stop it, and try again"};
    }
    checkpoint->BeginEpoch();
    checkpoint->SetIdentity(new_identity_);
    checkpoint->SetFrontier(new_frontier_.text, 0);
    AppendBatch batch;
    checkpoint->Seal(batch);
    TW_CRASH_POINT("handover_storing");
    std::promise<Status> stored;
    writer->Append(std::move(batch), [&stored](Result<AppendReceipt> receipt) {
      stored.set_value(receipt ? Status() : Status(receipt.error()));
    });
    writer->Flush();
    Status status = stored.get_future().get();
    if (!status) {
      // An answer that was lost: what is stored decides. If that cannot be had, nothing is dropped.
      uncertain_ = true;
      TW_TRY(writer->Recover());
      TW_ASSIGN_OR_RETURN(const auto again, LoadCheckpoint(*writer));
      uncertain_ = false;
      if (again->epoch() <= epoch) return status;
    }
    TW_CRASH_POINT("handover_stored");
    stored_ = true;
    epoch_ = checkpoint->epoch();
    Say("{}stored{}: epoch {}, {} on the old server became {} on the new one", palette_.green,
        palette_.off, epoch_, old_frontier_.text, new_frontier_.text);
    Say("`tailwater run` goes on from there.");
    if (const auto left = old_tools_->ListOwned(); left && !left->empty()) {
      Say("The old server still has, as a way back; drop them there when you need none:");
      for (const OwnedObject& object : *left) {
        Say("  {} {} ({})", object.kind, Printable(object.name), Printable(object.detail));
      }
    }
    return {};
  }

  Result<std::unique_ptr<Checkpoint>> LoadCheckpoint(TopicWriter& writer) {
    TW_ASSIGN_OR_RETURN(const auto state, writer.LoadState());
    TW_ASSIGN_OR_RETURN(const Offsets ends, writer.Ends());
    return Checkpoint::Load(source_.name, source_.type->type, state, writer.log_id(), ends, clock_);
  }

  // Takes away what this attempt made on the new server.
  void CleanUp() {
    if (stored_ || !made_) return;
    if (uncertain_) {
      fmt::print(stderr,
                 "It is not known whether the topic took the new place: slot and "
                 "publication stay on the new server. See `tailwater status`.\n");
      return;
    }
    const auto owned = new_tools_->ListOwned();
    for (const OwnedObject& object : owned ? *owned : std::vector<OwnedObject>()) {
      if (object.orphan) continue;
      // A slot is never an old one: the first thing we did was to drop that.
      const bool before =
          object.kind != "slot" &&
          std::any_of(owned_before_.begin(), owned_before_.end(), [&](const OwnedObject& one) {
            return one.kind == object.kind && one.name == object.name;
          });
      if (before) continue;
      const Status dropped = new_tools_->Drop(object);
      if (dropped) {
        Say("dropped {} {} on the new server again", object.kind, Printable(object.name));
      } else {
        fmt::print(stderr, "{} {} is left on the new server: {}\n", object.kind,
                   Printable(object.name), Printable(dropped.error().message));
      }
    }
    Say("The topic still belongs to the old server; nothing was changed in it.");
  }

  template <class... Arguments>
  void Say(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
    if (!text_) return;
    EndLine();
    fmt::print("{}\n", fmt::format(format, std::forward<Arguments>(arguments)...));
    std::fflush(stdout);
  }
  template <class... Arguments>
  void Progress(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
    if (!terminal_ || SteadyClock::now() - painted_ < 100ms) return;
    painted_ = SteadyClock::now();
    const size_t width = TerminalWidth(STDERR_FILENO);
    fmt::print(stderr, "\r\x1b[K{}",
               Shortened(fmt::format(format, std::forward<Arguments>(arguments)...),
                         width > 1 ? width - 1 : 0));
    std::fflush(stderr);
    open_line_ = true;
  }
  void EndLine() {
    if (!std::exchange(open_line_, false)) return;
    fmt::print(stderr, "\r\x1b[K");
    std::fflush(stderr);
  }

  void PrintJson(const Status& status) const {
    ordered_json json = {{"pipeline", pipeline_.name},
                         {"source", source_.name},
                         {"dry_run", options_.dry_run},
                         {"done", stored_},
                         {"tables", compared_}};
    if (stored_) {
      json["old_frontier"] = old_frontier_.text;
      json["new_frontier"] = new_frontier_.text;
      json["epoch"] = epoch_;
    }
    if (!status)
      json["error"] = {{"code", status.error().code}, {"message", status.error().message}};
    fmt::print("{}\n", json.dump());
  }

  const PipelineConfig& pipeline_;
  const SourceConfig& source_;
  const HandoverOptions& options_;
  const bool text_;
  const bool terminal_;
  const Palette palette_;
  const SystemClock clock_;
  mutable MetricsRegistry metrics_;
  ParsedConfig old_config_;
  std::unique_ptr<SourceTools> old_tools_, new_tools_;
  std::unique_ptr<Topic> topic_;
  std::vector<std::string> tables_;
  std::vector<OwnedObject> owned_before_;
  SourceIdentity new_identity_;
  Position old_frontier_, new_frontier_;
  uint32_t epoch_ = 0;
  bool made_ = false;       // something may be on the new server that was not there
  bool stored_ = false;     // the topic belongs to the new server
  bool uncertain_ = false;  // nobody knows
  ordered_json compared_ = ordered_json::array();
  bool open_line_ = false;
  SteadyClock::time_point painted_;
};

// [PIPELINE/]SOURCE.
int RunHandover(const HandoverOptions& options, const Registry& registry) {
  if (options.arguments.size() < 2) {
    fmt::print(stderr, "tailwater sources handover: FILE… and SOURCE are needed\n");
    return kExitConfiguration;
  }
  std::vector<std::string> files = options.arguments;
  std::string name = files.back();
  files.pop_back();
  const auto config = LoadOrReport(files, registry);
  if (!config) return kExitConfiguration;
  std::string of_pipeline;
  if (const size_t slash = name.find('/'); slash != std::string::npos) {
    of_pipeline = name.substr(0, slash);
    name = name.substr(slash + 1);
  }
  const PipelineConfig* pipeline = ChoosePipeline(*config, of_pipeline);
  if (pipeline == nullptr) return kExitConfiguration;
  std::vector<std::string_view> names;
  for (const SourceConfig& source : pipeline->sources) {
    if (source.name == name) {
      // What goes on inside is told in our own words.
      SetUpLog(LogLevel::kWarn, LogFormat::kText);
      return Handover(*pipeline, source, options).Run();
    }
    names.push_back(source.name);
  }
  fmt::print(stderr, "tailwater: no source is called '{}'{}; there are {}\n", name,
             DidYouMean(name, names), fmt::join(names, ", "));
  return kExitConfiguration;
}

}  // namespace

void AddHandoverCommand(CommandLine& line) {
  auto options = std::make_shared<HandoverOptions>();
  CLI::App* sources = nullptr;
  for (CLI::App* one : line.app.get_subcommands({})) {
    if (one->get_name() == "sources") sources = one;
  }
  if (sources == nullptr) {
    sources = line.app.add_subcommand("sources", "Sources: handover to another server");
    sources->require_subcommand(1);
  }
  CLI::App* command = sources->add_subcommand(
      "handover", "Go on from another server that holds the same rows, losing nothing");
  command->footer(
      "For a major upgrade by dump and restore, or a move to other hardware. Before: stop the "
      "daemon and the\n"
      "writers, restore the data on the new server, write its address into FILE. The old server "
      "is drained,\n"
      "slot and publication are created on the new one, and only when all captured tables are "
      "proven to be\n"
      "equal is the new place stored, in a new epoch. Whatever fails before leaves everything as "
      "it was.\n"
      "--skip-proof spares reading all tables: a row that the new server lacks or has otherwise "
      "stays wrong\n"
      "in every sink, without a trace, until it is written again.\n"
      "A MySQL or MariaDB source with GTIDs needs none of it: write the other server's address "
      "into "
      "FILE and run.\n\n"
      "Exit codes: 2 configuration, 3 refused (the message says why), 4 the old server has a "
      "gap.\n\n"
      "Examples:\n"
      "  tailwater sources handover shop.yaml orders --from-url postgres://cdc@old:5432/shop "
      "--dry-run\n"
      "  tailwater sources handover shop.yaml orders --from-url postgres://cdc@old:5432/shop \\\n"
      "      --from-password '${env:OLD_PASSWORD}'");
  command->add_option("FILE", options->arguments, "FILE…, then [PIPELINE/]SOURCE")
      ->required()
      ->type_name("");
  command->add_option("--from-url", options->from_url, "The old server: postgres://user@host/db")
      ->required()
      ->type_name("URL");
  command
      ->add_option("--from-password", options->from_password,
                   "${env:NAME} or ${file:/path}; the file's `password` if it is left out")
      ->type_name("SECRET");
  command->add_flag("--skip-proof", options->skip_proof, "Do not compare the tables");
  command->add_flag("--dry-run", options->dry_run, "Look, show the plan, change nothing");
  AddOutputOption(*command, options->format);
  command->callback([&line, options] {
    line.run = [&line, options] { return RunHandover(*options, line.registry); };
  });
}

}  // namespace tailwater
