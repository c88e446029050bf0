#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <memory>

#include "cli/api_client.h"
#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/json_fields.h"
#include "cli/output.h"
#include "cli/running_sink.h"
#include "config/pipeline_config.h"
#include "support/text.h"
#include "util/timestamp.h"

namespace tailwater {
namespace {

struct SinksOptions {
  std::string sink;  // [PIPELINE/]SINK
  std::string to;
  std::string server;
  bool yes = false;
  OutputFormat format = OutputFormat::kText;
};

bool IsNumber(std::string_view text) {
  return !text.empty() && text.size() <= 18 && text.find_first_not_of("0123456789") == text.npos;
}

// As the API takes it: "beginning", a time, or offsets by partition.
Result<Json> ParseTo(const std::string& text) {
  if (text == "beginning" || ParseTimestamp(text)) return Json(text);
  Json offsets = Json::object();
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    const std::string part = text.substr(begin, end - begin);
    const size_t colon = part.find(':');
    const std::string partition = colon == part.npos ? "0" : part.substr(0, colon);
    const std::string offset = colon == part.npos ? part : part.substr(colon + 1);
    if (!IsNumber(partition) || !IsNumber(offset) || offsets.contains(partition)) {
      return Error{
          Disposition::kReject, "usage",
          fmt::format("--to '{}' is neither 'beginning', nor a time with its zone "
                      "(2026-11-21T09:30:00Z), nor an offset (1234, or 0:1234,1:1240 by partition)",
                      Printable(text))};
    }
    offsets[partition] = std::stoll(offset);
    begin = end + 1;
  }
  return offsets;
}

class SinksCommand {
 public:
  SinksCommand(std::string name, SinksOptions options)
      : name_(std::move(name)),
        options_(std::move(options)),
        api_(FindApi(options_.server, "http://" + DaemonConfig().listen)),
        json_(options_.format == OutputFormat::kJson) {}

  int List() {
    const auto status = GetJson(api_, "/api/v1/status");
    if (!status) return Unable(status.error());
    Json sinks = Json::array();
    TextTable table(0);
    table.Add({"SINK", "TYPE", "STATE", "BEHIND", "DEAD", "PARKED"});
    for (const Json& pipeline : status->value("pipelines", Json::array())) {
      for (const Json& sink : pipeline.value("sinks", Json::array())) {
        Json entry = {{"pipeline", TextOf(pipeline, "name")}};
        entry.update(sink);
        sinks.push_back(std::move(entry));
        const auto lag = NumberOf(sink, "lag_records");
        table.Add({Printable(TextOf(pipeline, "name") + "/" + TextOf(sink, "name")),
                   Printable(TextOf(sink, "type")), Printable(TextOf(sink, "state")),
                   lag ? Counted(static_cast<uint64_t>(*lag), "record") : "unknown",
                   Count(sink, "dead_stored"), Count(sink, "parked_stored")});
      }
    }
    if (json_) {
      Print(Json({{"sinks", std::move(sinks)}}));
    } else if (sinks.empty()) {
      fmt::print("the daemon delivers to no sink\n");
    } else {
      fmt::print("{}", table.ToString());
    }
    return kExitDone;
  }

  int Pause() { return Switch("pause", "paused", "was paused already"); }
  int Resume() { return Switch("resume", "resumed", "was not paused"); }

  int Rewind() {
    auto to = ParseTo(options_.to);
    if (!to) return Usage(to.error().message);
    if (const int code = Find(); code != kExitDone) return code;
    Json request = {{"to", *std::move(to)}, {"dry_run", true}};
    const auto plan = PostJson(api_, SinkPath(sink_) + "/rewind", request);
    if (!plan) return Unable(plan.error());
    const bool nothing = plan->value("partitions", Json::array()).empty();
    if (!json_) Show(*plan, nothing);
    if (nothing) {
      if (json_) Print(*plan);
      return kExitDone;
    }
    if (!options_.yes && (json_ || !Confirmed())) {
      if (json_) {
        Print(*plan);
      } else {
        fmt::print("Nothing was changed.{}\n",
                   isatty(STDIN_FILENO) != 0 ? "" : " Run it again with --yes to rewind the sink.");
      }
      return kExitOther;
    }
    request["dry_run"] = false;
    const auto done = PostJson(api_, SinkPath(sink_) + "/rewind", request);
    if (!done) return Unable(done.error());
    if (json_) {
      Print(*done);
    } else {
      fmt::print("rewound {}: {} come again\n", Name(), Records(*done));
    }
    return kExitDone;
  }

 private:
  static std::string Count(const Json& sink, const char* key) {
    return HumanCount(static_cast<uint64_t>(NumberOf(sink, key).value_or(0)));
  }
  static std::string Records(const Json& plan) {
    return Counted(static_cast<uint64_t>(NumberOf(plan, "records").value_or(0)), "record");
  }
  static void Print(const Json& json) {
    fmt::print("{}\n", json.dump(2, ' ', false, Json::error_handler_t::replace));
  }
  std::string Name() const { return "sink " + Printable(sink_.pipeline + "/" + sink_.sink); }

  int Usage(const std::string& message) const {
    fmt::print(stderr, "tailwater sinks {}: {}\n", name_, message);
    return kExitConfiguration;
  }

  // The daemon, or the sink in it, does not do it.
  static int Unable(Error error) {
    if (error.code == "daemon_unreachable") {
      error.message += "; start one, or point --server or TAILWATER_URL to it";
    }
    ReportError(error);
    if (error.code == "sink_unknown") return kExitConfiguration;
    return error.disposition == Disposition::kRetry ? kExitNeedsOperator
                                                    : ExitCodeFor(error.disposition);
  }

  int Find() {
    const size_t slash = options_.sink.find('/');
    const bool both = slash != options_.sink.npos;
    auto found = FindRunningSink(api_, both ? options_.sink.substr(0, slash) : std::string(),
                                 both ? options_.sink.substr(slash + 1) : options_.sink);
    if (!found) return Unable(std::move(found).error());
    sink_ = *std::move(found);
    return kExitDone;
  }

  int Switch(const char* what, const char* done, const char* already) {
    if (const int code = Find(); code != kExitDone) return code;
    const auto answer = PostJson(api_, SinkPath(sink_) + "/" + what, Json::object());
    if (!answer) return Unable(answer.error());
    if (json_) {
      Print(*answer);
    } else {
      fmt::print("{} {}\n", Name(), answer->value("changed", false) ? done : already);
    }
    return kExitDone;
  }

  void Show(const Json& plan, bool nothing) const {
    if (nothing) {
      fmt::print("{} stands there already, or before it: nothing to do\n", Name());
      return;
    }
    TextTable table(2);
    for (const Json& move : plan["partitions"]) {
      const auto offset = [&](const char* key) {
        return HumanCount(static_cast<uint64_t>(NumberOf(move, key).value_or(0)));
      };
      table.Add({fmt::format("partition {}", NumberOf(move, "partition").value_or(0)),
                 "from " + offset("from"), "back to " + offset("to")});
    }
    fmt::print("{} goes back, and {} come again:\n{}", Name(), Records(plan), table.ToString());
    if (plan.value("replays_skipped", false)) {
      fmt::print(
          "It takes no replays: none of them reaches its target. `replay: true` in its options "
          "would have them delivered.\n");
    }
  }

  bool Confirmed() const {
    if (isatty(STDIN_FILENO) == 0) return false;
    fmt::print("Rewind it? [y/N] ");
    std::fflush(stdout);
    std::string answer;
    std::getline(std::cin, answer);
    return answer == "y" || answer == "Y" || answer == "yes";
  }

  const std::string name_;
  const SinksOptions options_;
  const ApiAddress api_;
  const bool json_;
  RunningSink sink_;
};

CLI::App* AddOne(CLI::App& parent, const char* name, const char* about, const char* footer,
                 SinksOptions& options, bool with_sink) {
  CLI::App* command = parent.add_subcommand(name, about);
  command->footer(footer);
  if (with_sink) {
    command
        ->add_option("SINK", options.sink, "[PIPELINE/]SINK; may be left out if there is but one")
        ->type_name("");
  }
  command->add_option("--server", options.server, "Address of the daemon")->type_name("URL");
  AddOutputOption(*command, options.format);
  return command;
}

}  // namespace

void AddSinksCommand(CommandLine& line) {
  auto options = std::make_shared<SinksOptions>();
  CLI::App* command =
      line.app.add_subcommand("sinks", "Sinks of a running daemon: list, pause, resume, rewind");
  command->footer(
      "Asks the daemon at --server, else TAILWATER_URL, else 127.0.0.1:4680; TAILWATER_TOKEN is "
      "sent\nif it is set. Exit codes: 1 refused or not confirmed, 2 no such sink, 3 the daemon or "
      "the sink\ncannot now.\n\n"
      "Examples:\n"
      "  tailwater sinks list\n"
      "  tailwater sinks pause search\n"
      "  tailwater sinks resume shop/search\n"
      "  tailwater sinks rewind search --to 2026-11-21T09:30:00Z");
  command->require_subcommand(1);
  const auto run = [&line, options](const std::string& name, int (SinksCommand::*method)()) {
    return [&line, options, name, method] {
      line.run = [options, name, method] { return (SinksCommand(name, *options).*method)(); };
    };
  };

  AddOne(*command, "list", "All sinks, with state and lag",
         "Examples:\n"
         "  tailwater sinks list\n"
         "  tailwater sinks list -o json | jq '.sinks[] | select(.state == \"paused\")'",
         *options, false)
      ->callback(run("list", &SinksCommand::List));

  AddOne(*command, "pause", "Stop delivering to one, until it is resumed",
         "Other sinks, the source and its slot go on. It stays paused when the daemon is "
         "restarted;\nthe topic keeps its changes for as long as its retention says.\n\n"
         "Examples:\n"
         "  tailwater sinks pause search\n"
         "  tailwater sinks pause shop/search -o json",
         *options, true)
      ->callback(run("pause", &SinksCommand::Pause));

  AddOne(*command, "resume", "Go on where it was paused",
         "Examples:\n"
         "  tailwater sinks resume search\n"
         "  tailwater sinks resume shop/search",
         *options, true)
      ->callback(run("resume", &SinksCommand::Resume));

  CLI::App* rewind = AddOne(*command, "rewind", "Deliver changes of the past again",
                            "Shows what comes again, and asks; without a terminal it wants --yes. "
                            "Row sinks end with the\n"
                            "same rows; event sinks skip replays unless `replay: true`. Dead "
                            "letters that come again are\n"
                            "dropped. Never goes forward. A transactional sink with tables that "
                            "have no key is refused.\n\n"
                            "Examples:\n"
                            "  tailwater sinks rewind search --to beginning\n"
                            "  tailwater sinks rewind search --to 2026-11-21T09:30:00Z\n"
                            "  tailwater sinks rewind shop/search --to 1234 --yes\n"
                            "  tailwater sinks rewind search --to 0:1234,1:1240 --yes -o json",
                            *options, true);
  rewind->add_option("--to", options->to, "beginning, a time, OFFSET, or PARTITION:OFFSET,…")
      ->required()
      ->type_name("PLACE");
  rewind->add_flag("--yes", options->yes, "Do not ask");
  rewind->callback(run("rewind", &SinksCommand::Rewind));
}

}  // namespace tailwater
