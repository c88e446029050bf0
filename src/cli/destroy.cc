#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <filesystem>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <stop_token>
#include <thread>

#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/load.h"
#include "cli/output.h"
#include "monitor/metrics_registry.h"
#include "support/text.h"
#include "topic/open_topic.h"

namespace tailwater {
namespace {

using nlohmann::ordered_json;

struct DestroyOptions {
  std::string path;
  std::string pipeline;
  bool yes = false;
  OutputFormat format = OutputFormat::kText;
};

// What belongs to one source on its server.
struct Owned {
  const SourceConfig* source = nullptr;
  std::unique_ptr<SourceTools> tools;
  std::vector<OwnedObject> objects;  // an orphan is of a source that the file no longer declares
};

class Destroyer {
 public:
  Destroyer(const PipelineConfig& pipeline, const DestroyOptions& options)
      : pipeline_(pipeline), options_(options), palette_(Palette::For(STDOUT_FILENO)) {}

  int Run() {
    if (const Status status = Look(); !status) return ReportError(status.error());
    if (options_.format == OutputFormat::kText) Show();
    if (Nothing()) {
      if (options_.format == OutputFormat::kJson) PrintJson(false);
      return kExitDone;
    }
    if (!options_.yes) {
      if (options_.format == OutputFormat::kJson) {
        PrintJson(false);
      } else {
        fmt::print("Nothing was dropped. Run it again with --yes to drop all of this for good.\n");
      }
      return kExitOther;
    }
    if (const Status status = Drop(); !status) {
      if (begun_) fmt::print(stderr, "tailwater destroy: stopped half-way; it can be run again\n");
      return ReportError(status.error());
    }
    if (options_.format == OutputFormat::kJson) PrintJson(true);
    return kExitDone;
  }

 private:
  Status Look() {
    for (const SourceConfig& source : pipeline_.sources) {
      Owned owned;
      owned.source = &source;
      TW_ASSIGN_OR_RETURN(
          owned.tools, source.type->tools(source.config,
                                          SourceContext{pipeline_.name, source.name, source.tables,
                                                        "", Logger("destroy"), metrics_.root()}));
      auto objects = owned.tools->ListOwned();
      if (!objects) return std::move(objects).error().Within("source " + source.name);
      owned.objects = *std::move(objects);
      owned_.push_back(std::move(owned));
    }
    // Two sources may be of one server: what is the one's is not the other's orphan.
    std::set<std::pair<std::string, std::string>> seen;
    for (const bool orphan : {false, true}) {
      for (Owned& owned : owned_) {
        std::erase_if(owned.objects, [&](const OwnedObject& object) {
          return object.orphan == orphan && !seen.emplace(object.kind, object.name).second;
        });
      }
    }
    TW_ASSIGN_OR_RETURN(topic_, OpenTopic(pipeline_.topic, pipeline_.name));
    auto reader = topic_->OpenReader();
    if (reader) {
      topic_exists_ = true;
    } else if (reader.error().code != "topic_not_created") {
      return std::move(reader).error().Within("topic");
    }
    TW_ASSIGN_OR_RETURN(sinks_, topic_->KnownSinks());
    bytes_ = topic_->StoredBytes();
    return {};
  }

  bool Nothing() const {
    for (const Owned& owned : owned_) {
      if (!owned.objects.empty()) return false;
    }
    return !topic_exists_ && sinks_.empty();
  }

  void Show() const {
    if (Nothing()) {
      fmt::print("pipeline {} holds nothing on its servers, and has no topic: nothing to drop\n",
                 pipeline_.name);
    } else {
      fmt::print("{}pipeline {}{} owns\n", palette_.bold, pipeline_.name, palette_.off);
      TextTable table(2);
      for (const Owned& owned : owned_) {
        for (const OwnedObject& object : owned.objects) {
          table.Add(
              {object.kind, Printable(object.name),
               object.orphan ? "source that is not in the file" : "source " + owned.source->name,
               Printable(object.detail)});
        }
      }
      if (topic_exists_ || !sinks_.empty()) {
        table.Add({"topic", topic_->Describe(), "",
                   bytes_ ? HumanBytes(*bytes_) + " of changes" : std::string()});
      }
      for (const std::string& sink : sinks_) {
        table.Add({"place in the topic", sink,
                   pipeline_.FindSink(sink) ? "sink" : "sink, not in the file any more",
                   "offset and dead letters"});
      }
      fmt::print("{}", table.ToString());
      if (!pipeline_.sinks.empty()) {
        fmt::print("What sinks have written to their targets stays.\n");
      }
    }
  }

  // Capture's lease first: a running daemon must not lose its slot under its feet.
  Status Drop() {
    if (topic_exists_) {
      std::stop_source stop;
      std::string holder;
      std::jthread patience;
      auto writer = topic_->OpenWriter(stop.get_token(), [&](const std::string& name) {
        holder = name;
        if (pipeline_.topic.type != "kafka") {
          stop.request_stop();
          return;
        }
        // A lease in a cluster outlives the process that held it.
        fmt::print(stderr, "waiting up to {} s for {} to give up the topic's lease\n",
                   kLeasePatience.count(), name);
        patience = std::jthread([&stop](const std::stop_token& done) {
          std::mutex mutex;
          std::unique_lock lock(mutex);
          std::condition_variable_any never;
          never.wait_for(lock, done, kLeasePatience, [] { return false; });
          stop.request_stop();
        });
      });
      if (!writer && stop.stop_requested()) {
        return Error{Disposition::kNeedsOperator, "pipeline_running",
                     fmt::format("the pipeline is running{}; stop it first",
                                 holder.empty() ? std::string() : " (" + holder + ")")};
      }
      // Another failure means that the log is broken: all the more reason to go on.
      lease_ = writer ? *std::move(writer) : nullptr;
    }
    for (Owned& owned : owned_) {
      for (const OwnedObject& object : owned.objects) {
        begun_ = true;
        auto dropped = owned.tools->Drop(object);
        if (!dropped) return std::move(dropped).error().Within(object.kind + " " + object.name);
        Say(object.kind, object.name);
      }
      auto left = owned.tools->ListOwned();
      if (!left) return std::move(left).error().Within("source " + owned.source->name);
      for (const OwnedObject& object : *left) {
        const bool ours = std::any_of(
            owned.objects.begin(), owned.objects.end(),
            [&](const OwnedObject& o) { return o.kind == object.kind && o.name == object.name; });
        if (ours) {
          return Error{Disposition::kNeedsOperator, "object_still_there",
                       fmt::format("{} {} is still there after it was dropped; drop it by hand",
                                   object.kind, object.name)};
        }
      }
    }
    std::error_code error;
    std::filesystem::remove_all(pipeline_.topic.ScratchDir(), error);
    if (error) {
      return Error{
          Disposition::kNeedsOperator, "scratch_unusable",
          fmt::format("{} cannot be removed: {}", pipeline_.topic.ScratchDir(), error.message())};
    }
    lease_.reset();
    if (topic_exists_ || !sinks_.empty()) {
      const std::string name = topic_->Describe();
      begun_ = true;
      Status destroyed = topic_->Destroy();
      // In a cluster, what a process held outlives it for a moment.
      for (auto waited = std::chrono::seconds(0);
           !destroyed && destroyed.error().code == "topic_locked" &&
           pipeline_.topic.type == "kafka" && waited < kLeasePatience;
           waited += std::chrono::seconds(1)) {
        std::this_thread::sleep_for(std::chrono::seconds(1));
        destroyed = topic_->Destroy();
      }
      if (!destroyed) return std::move(destroyed).error().Within("topic");
      Say("topic", name);
    }
    return {};
  }

  void Say(const std::string& kind, const std::string& name) const {
    if (options_.format == OutputFormat::kJson) return;
    fmt::print("{}dropped{} {} {}\n", palette_.green, palette_.off, kind, Printable(name));
  }

  void PrintJson(bool dropped) const {
    ordered_json objects = ordered_json::array();
    for (const Owned& owned : owned_) {
      for (const OwnedObject& object : owned.objects) {
        objects.push_back({{"source", owned.source->name},
                           {"kind", object.kind},
                           {"name", object.name},
                           {"detail", object.detail},
                           {"orphan", object.orphan}});
      }
    }
    ordered_json json = {{"pipeline", pipeline_.name}, {"dropped", dropped}, {"objects", objects}};
    if (topic_exists_ || !sinks_.empty()) {
      json["topic"] = {{"name", topic_->Describe()}, {"sinks", sinks_}};
      if (bytes_) json["topic"]["bytes"] = *bytes_;
    }
    fmt::print("{}\n", json.dump());
  }

  const PipelineConfig& pipeline_;
  const DestroyOptions& options_;
  const Palette palette_;
  MetricsRegistry metrics_;
  std::vector<Owned> owned_;
  std::unique_ptr<Topic> topic_;
  std::unique_ptr<TopicWriter> lease_;
  bool topic_exists_ = false;
  bool begun_ = false;  // something may be gone already
  std::vector<std::string> sinks_;
  std::optional<uint64_t> bytes_;
};

}  // namespace

void AddDestroyCommand(CommandLine& line) {
  auto options = std::make_shared<DestroyOptions>();
  CLI::App* command = line.app.add_subcommand(
      "destroy", "Drop what a pipeline owns: slot, publication, topic, sinks' places");
  command->footer(
      "Shows what would be dropped and drops nothing without --yes. The pipeline must not be "
      "running.\n"
      "What sinks have written to their targets stays.\n\n"
      "Examples:\n"
      "  tailwater destroy shop.yaml\n"
      "  tailwater destroy shop.yaml --yes");
  command->add_option("FILE", options->path, "Configuration file or folder")
      ->required()
      ->type_name("");
  command->add_option("--pipeline", options->pipeline, "Which one, if FILE declares several")
      ->type_name("NAME");
  command->add_flag("--yes", options->yes, "Drop it for good");
  AddOutputOption(*command, options->format);
  command->callback([&line, options] {
    line.run = [&line, options]() -> int {
      const auto config = LoadOrReport({options->path}, line.registry);
      if (!config) return kExitConfiguration;
      const PipelineConfig* pipeline = ChoosePipeline(*config, options->pipeline);
      if (pipeline == nullptr) return kExitConfiguration;
      return Destroyer(*pipeline, *options).Run();
    };
  });
}

}  // namespace tailwater
