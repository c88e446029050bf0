#include <algorithm>
#include <cstdio>
#include <memory>

#include "cli/api_client.h"
#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/json_fields.h"
#include "cli/load.h"
#include "cli/offline_status.h"
#include "cli/output.h"
#include "cli/running_sink.h"
#include "cli/snapshot_progress.h"
#include "cli/status_text.h"
#include "config/pipeline_config.h"
#include "support/text.h"
#include "support/url_encoding.h"

namespace tailwater {
namespace {

struct SourcesOptions {
  std::vector<std::string> paths;
  std::string source;  // [PIPELINE/]SOURCE
  std::string table;
  std::string where;
  std::string sink;
  std::optional<uint64_t> unit;
  bool all = false;
  bool no_wait = false;
  std::string server;
  OutputFormat format = OutputFormat::kText;
};

Json PartOf(const Json& json, const char* key) {
  return json.is_object() && json.contains(key) ? json[key] : Json();
}

uint64_t WholeOf(const Json& json, const char* key) {
  return static_cast<uint64_t>(std::max(0.0, NumberOf(json, key).value_or(0)));
}

class SourcesCommand {
 public:
  SourcesCommand(std::string name, SourcesOptions options, const Registry& registry)
      : name_(std::move(name)),
        options_(std::move(options)),
        registry_(registry),
        api_(FindApi(options_.server, "http://" + DaemonConfig().listen)),
        json_(options_.format == OutputFormat::kJson) {}

  int List() {
    const auto status = GetJson(api_, "/api/v1/status");
    if (!status) return Unable(status.error());
    Json sources = Json::array();
    TextTable table(0);
    table.Add({"SOURCE", "TYPE", "STATE", "COPIED", "TO GO", "SNAPSHOT"});
    std::string lines;
    for (const Json& pipeline : PartOf(*status, "pipelines")) {
      for (const Json& source : PartOf(pipeline, "sources")) {
        Json entry = {{"pipeline", TextOf(pipeline, "name")}};
        for (const char* key : {"name", "type", "state", "code", "message", "snapshots"}) {
          if (source.contains(key)) entry[key] = source[key];
        }
        const Json snapshots = PartOf(source, "snapshots");
        const uint64_t waiting = WholeOf(snapshots, "tables_waiting");
        std::string progress = waiting > 0 ? ProgressText(snapshots).substr(2) : "-";
        table.Add({Printable(TextOf(pipeline, "name") + "/" + TextOf(source, "name")),
                   Printable(TextOf(source, "type")), Printable(TextOf(source, "state")),
                   Counted(WholeOf(snapshots, "tables_copied"), "table"), Counted(waiting, "table"),
                   progress});
        for (const Json& unit : PartOf(snapshots, "units")) {
          if (TextOf(unit, "ended_at").empty()) lines += "  " + SnapshotLine(unit) + "\n";
        }
        for (const Json& stale : PartOf(snapshots, "stale")) {
          const std::string name = Printable(TextOf(stale, "table"));
          lines += fmt::format(
              "  {} is stale, its rows were replaced: {}; copy it: tailwater sources "
              "snapshot {}/{} {}\n",
              name, Printable(TextOf(stale, "why")), Printable(TextOf(pipeline, "name")),
              Printable(TextOf(source, "name")), name);
        }
        sources.push_back(std::move(entry));
      }
    }
    if (json_) {
      Print(Json({{"sources", std::move(sources)}}));
    } else if (sources.empty()) {
      fmt::print("the daemon captures no source\n");
    } else {
      fmt::print("{}{}{}", table.ToString(), lines.empty() ? "" : "\n", lines);
    }
    return kExitDone;
  }

  int Snapshot() {
    if (const int code = Find(); code != kExitDone) return code;
    Json request = {{"table", options_.table}};
    if (!options_.where.empty()) request["where"] = options_.where;
    if (!options_.sink.empty()) request["sink"] = options_.sink;
    const auto answer = PostJson(api_, Path(), request);
    if (!answer) return Unable(answer.error());
    const Json units = PartOf(*answer, "units");
    if (units.empty()) {
      return Unable({Disposition::kFatal, "daemon_answer", "the daemon names no snapshot"});
    }
    const uint64_t unit = WholeOf(units[0], "id");
    const std::string follow = fmt::format(
        "follow it: tailwater sources list\n"
        "pause it:  tailwater sources pause {0} {1}\n"
        "cancel it: tailwater sources cancel {0} {1}\n",
        Name(), unit);
    if (options_.no_wait) {
      if (json_) {
        Print(*answer);
      } else {
        fmt::print("snapshot {} of {} is stored and runs in the daemon\n{}", unit,
                   Printable(options_.table), follow);
      }
      return kExitDone;
    }
    Json last = units[0];
    const int code =
        FollowSnapshot(api_, Path(), unit, json_,
                       fmt::format("snapshot {} goes on in the daemon\n{}", unit, follow), last);
    if (json_) {
      Print(last);
    } else if (code == kExitDone) {
      fmt::print("snapshot {} done: {} published\n", unit, Counted(WholeOf(last, "rows"), "row"));
    } else if (!TextOf(last, "ended_at").empty()) {
      fmt::print("snapshot {} ended: {}\n", unit, TextOf(last, "state"));
    }
    return code;
  }

  int Pause() { return Change("pause", "paused"); }
  int Resume() { return Change("resume", "resumed"); }
  int Cancel() {
    if (!options_.unit && !options_.all) {
      fmt::print(stderr,
                 "tailwater sources cancel: name the snapshot by its number (see `tailwater "
                 "sources list`), or give --all\n");
      return kExitConfiguration;
    }
    return Change("cancel", "cancelled");
  }

  int Slots() {
    Result<Json> status = Json();
    if (options_.paths.empty()) {
      status = GetJson(api_, "/api/v1/status");
    } else {
      const std::optional<Config> config = LoadOrReport(options_.paths, registry_);
      if (!config) return kExitConfiguration;
      std::vector<const PipelineConfig*> pipelines;
      for (const PipelineConfig& pipeline : config->pipelines) pipelines.push_back(&pipeline);
      status = OfflineStatus(pipelines);
    }
    if (!status) return Unable(status.error());
    Json logs = Json::array();
    Json orphans = Json::array();
    TextTable table(0);
    table.Add({"SOURCE", "LOG", "READ BY", "KEPT", "UNTIL LOSS", "BEHIND"});
    std::string notes;
    for (const Json& pipeline : PartOf(*status, "pipelines")) {
      for (const Json& source : PartOf(pipeline, "sources")) {
        const std::string name = TextOf(pipeline, "name") + "/" + TextOf(source, "name");
        const Json log = PartOf(source, "log");
        Json entry = {{"pipeline", TextOf(pipeline, "name")}, {"source", TextOf(source, "name")}};
        if (log.is_object()) entry.update(log);
        logs.push_back(entry);
        const auto bytes = [&](const char* key, const char* unknown) {
          return NumberOf(log, key) ? HumanBytes(WholeOf(log, key)) : std::string(unknown);
        };
        const bool active = PartOf(log, "active").is_boolean() && log["active"].get<bool>();
        // A server that keeps no place for us says so by how far its log reaches behind ours.
        const auto headroom = NumberOf(log, "headroom_bytes");
        const std::string state = TextOf(log, "state");
        // The last look may be from before the source began.
        const bool begun = !TextOf(source, "frontier").empty();
        const char* const nothing = !begun && log.contains("server_end") ? "not begun" : "unknown";
        std::string limit = NumberOf(log, "safe_bytes") ? bytes("safe_bytes", "") : std::string();
        if (const auto seconds = NumberOf(log, "safe_seconds")) {
          limit += (limit.empty() ? "" : ", ") + HumanSeconds(*seconds);
        }
        const bool lost = state == "lost";
        if (lost) limit = "lost";
        if (limit.empty()) limit = state.empty() ? "unknown" : "no limit";
        table.Add({Printable(name), state.empty() ? nothing : Printable(state),
                   active ? "a session" : (state.empty() && begun ? "unknown" : "nobody"),
                   headroom ? "nothing for us" : bytes("retained_bytes", "unknown"), limit,
                   bytes("confirmed_lag_bytes", "unknown")});
        if (headroom && !lost) {
          const auto age = NumberOf(log, "headroom_seconds");
          notes += fmt::format(
              "{}: the server's log reaches {}{} further back than our place; the server removes "
              "it by rules of its own\n",
              Printable(name), bytes("headroom_bytes", ""),
              age ? " (" + HumanSeconds(*age) + ")" : std::string());
        }
        for (const char* key : {"explanation", "message"}) {
          if (const std::string text = TextOf(log, key); !text.empty()) {
            notes += fmt::format("{}: {}\n", Printable(name), Printable(text));
          }
        }
      }
      for (const Json& orphan : PartOf(pipeline, "orphans")) {
        orphans.push_back(orphan);
        notes +=
            fmt::format("orphan: {} {}, {}\n", Printable(TextOf(orphan, "kind")),
                        Printable(TextOf(orphan, "name")), Printable(TextOf(orphan, "detail")));
      }
    }
    if (json_) {
      Print(Json({{"slots", std::move(logs)}, {"orphans", std::move(orphans)}}));
    } else {
      fmt::print("{}{}", table.ToString(), notes);
    }
    return kExitDone;
  }

 private:
  static void Print(const Json& json) {
    fmt::print("{}\n", json.dump(2, ' ', false, Json::error_handler_t::replace));
  }
  std::string Name() const { return Printable(pipeline_ + "/" + source_); }
  std::string Path() const {
    return fmt::format("/api/v1/pipelines/{}/sources/{}/snapshots", EncodedForUrl(pipeline_),
                       EncodedForUrl(source_));
  }

  // The daemon, or the source in it, does not do it.
  static int Unable(Error error) {
    if (error.code == "daemon_unreachable") {
      error.message += "; start one, or point --server or TAILWATER_URL to it";
    }
    ReportError(error);
    if (error.code == "source_unknown") return kExitConfiguration;
    return error.disposition == Disposition::kRetry ? kExitNeedsOperator
                                                    : ExitCodeFor(error.disposition);
  }

  // The source that is meant, or the only one there is.
  int Find() {
    const auto status = GetJson(api_, "/api/v1/status");
    if (!status) return Unable(status.error());
    const size_t slash = options_.source.find('/');
    const bool both = slash != options_.source.npos;
    const std::string pipeline = both ? options_.source.substr(0, slash) : std::string();
    const std::string source = both ? options_.source.substr(slash + 1) : options_.source;
    std::vector<std::string> all;
    std::vector<std::string> names;
    size_t fitting = 0;
    for (const Json& candidate : PartOf(*status, "pipelines")) {
      const std::string in = TextOf(candidate, "name");
      for (const Json& each : PartOf(candidate, "sources")) {
        names.push_back(TextOf(each, "name"));
        all.push_back(in + "/" + names.back());
        if (!pipeline.empty() && pipeline != in) continue;
        if (!source.empty() && source != names.back()) continue;
        ++fitting;
        pipeline_ = in;
        source_ = names.back();
      }
    }
    if (fitting == 1) return kExitDone;
    const std::string list = all.empty() ? "the daemon captures no source"
                                         : fmt::format("there are {}", fmt::join(all, ", "));
    return Unable({Disposition::kReject, "source_unknown",
                   fitting > 1
                       ? fmt::format("name the source as PIPELINE/SOURCE; {}", list)
                       : fmt::format("no source '{}'{}; {}", options_.source,
                                     DidYouMean(source, {names.begin(), names.end()}), list)});
  }

  int Change(const char* what, const char* done) {
    if (const int code = Find(); code != kExitDone) return code;
    Json request = Json::object();
    if (options_.unit) request["unit"] = *options_.unit;
    const auto answer = PostJson(api_, Path() + "/" + what, request);
    if (!answer) return Unable(answer.error());
    if (json_) {
      Print(*answer);
    } else if (options_.unit) {
      fmt::print("snapshot {} of source {} {}\n", *options_.unit, Name(), done);
    } else {
      fmt::print("all snapshots of source {} {}\n", Name(), done);
    }
    return kExitDone;
  }

  const std::string name_;
  const SourcesOptions options_;
  const Registry& registry_;
  const ApiAddress api_;
  const bool json_;
  std::string pipeline_;
  std::string source_;
};

CLI::App* AddOne(CLI::App& parent, const char* name, const char* about, const char* footer,
                 SourcesOptions& options) {
  CLI::App* command = parent.add_subcommand(name, about);
  command->footer(footer);
  command->add_option("--server", options.server, "Address of the daemon")->type_name("URL");
  AddOutputOption(*command, options.format);
  return command;
}

void AddSource(CLI::App& command, SourcesOptions& options, bool with_unit) {
  command
      .add_option("SOURCE", options.source,
                  "[PIPELINE/]SOURCE; may be left out if there is but one")
      ->type_name("");
  if (!with_unit) return;
  command.add_option("SNAPSHOT", options.unit, "Its number; all of the source if it is left out")
      ->type_name("");
}

}  // namespace

void AddSourcesCommand(CommandLine& line) {
  auto options = std::make_shared<SourcesOptions>();
  CLI::App* command = line.app.add_subcommand(
      "sources", "Sources: list, snapshot, pause, resume, cancel, slots, handover");
  command->footer(
      "Asks the daemon at --server, else TAILWATER_URL, else 127.0.0.1:4680; TAILWATER_TOKEN is "
      "sent\nif it is set. Exit codes: 1 refused or not done, 2 no such source, 3 the daemon or "
      "the source\ncannot now.\n\n"
      "Examples:\n"
      "  tailwater sources list\n"
      "  tailwater sources snapshot orders public.orders\n"
      "  tailwater sources pause orders 7\n"
      "  tailwater sources slots shop.yaml");
  command->require_subcommand(1);
  const auto run = [&line, options](const std::string& name, int (SourcesCommand::*method)()) {
    return [&line, options, name, method] {
      line.run = [&line, options, name, method] {
        return (SourcesCommand(name, *options, line.registry).*method)();
      };
    };
  };

  AddOne(*command, "list", "All sources, with state and the snapshots that run or wait",
         "Examples:\n"
         "  tailwater sources list\n"
         "  tailwater sources list -o json | jq '.sources[].snapshots.units[]'",
         *options)
      ->callback(run("list", &SourcesCommand::List));

  CLI::App* snapshot =
      AddOne(*command, "snapshot", "Copy the rows that a table holds now",
             "Copies inside the running stream: changes go on, and what is newer wins. Without "
             "--where, rows\nthat are in the sinks and no more in the table are removed at the "
             "end. Shows how far it is until\nit is done; ^C leaves it running in the daemon, "
             "which resumes it after a restart, too.\n\n"
             "Examples:\n"
             "  tailwater sources snapshot orders public.orders\n"
             "  tailwater sources snapshot shop/orders public.orders --where \"created_at > "
             "'2026-01-01'\"\n"
             "  tailwater sources snapshot orders public.orders --sink search --no-wait -o json",
             *options);
  snapshot->add_option("SOURCE", options->source, "[PIPELINE/]SOURCE")->required()->type_name("");
  snapshot->add_option("TABLE", options->table, "The captured table: public.orders")
      ->required()
      ->type_name("");
  snapshot->add_option("--where", options->where, "Only these rows; nothing is removed")
      ->type_name("SQL");
  snapshot->add_option("--sink", options->sink, "Only for this sink; the others skip the rows")
      ->type_name("NAME");
  snapshot->add_flag("--no-wait", options->no_wait, "Return once it is stored");
  snapshot->callback(run("snapshot", &SourcesCommand::Snapshot));

  CLI::App* pause = AddOne(*command, "pause", "Stop copying, until it is resumed",
                           "The stream goes on. Chunks that are read already are published; a "
                           "table without a key is\ncopied to its end. Stays paused when the "
                           "daemon is restarted.\n\n"
                           "Examples:\n"
                           "  tailwater sources pause orders\n"
                           "  tailwater sources pause shop/orders 7",
                           *options);
  AddSource(*pause, *options, true);
  pause->callback(run("pause", &SourcesCommand::Pause));

  CLI::App* resume = AddOne(*command, "resume", "Go on copying; tries at once what is blocked",
                            "Examples:\n"
                            "  tailwater sources resume orders\n"
                            "  tailwater sources resume shop/orders 7",
                            *options);
  AddSource(*resume, *options, true);
  resume->callback(run("resume", &SourcesCommand::Resume));

  CLI::App* cancel = AddOne(*command, "cancel", "Give a snapshot up",
                            "Rows that were published stay. The table is captured as before, and "
                            "counts as not copied if\nits first copy was cancelled.\n\n"
                            "Examples:\n"
                            "  tailwater sources cancel orders 7\n"
                            "  tailwater sources cancel shop/orders --all",
                            *options);
  AddSource(*cancel, *options, true);
  cancel->add_flag("--all", options->all, "All of the source that have not ended");
  cancel->callback(run("cancel", &SourcesCommand::Cancel));

  CLI::App* slots =
      AddOne(*command, "slots", "What the servers keep of their logs for us",
             "Asks the daemon; with files it asks the servers themselves, and names "
             "slots and publications\nthat are Tailwater's and that no source of the "
             "files uses any more. A MySQL\nor MariaDB server keeps nothing for us: of "
             "it, what it still holds in front of our place.\n\n"
             "Examples:\n"
             "  tailwater sources slots\n"
             "  tailwater sources slots shop.yaml -o json",
             *options);
  slots->add_option("FILE", options->paths, "Files or folders of the configuration")->type_name("");
  slots->callback(run("slots", &SourcesCommand::Slots));
}

}  // namespace tailwater
