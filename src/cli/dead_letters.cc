#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <memory>

#include "cli/api_client.h"
#include "cli/command.h"
#include "cli/dead_letter_client.h"
#include "cli/dead_letter_replay.h"
#include "cli/dead_letter_text.h"
#include "cli/exit_code.h"
#include "cli/output.h"
#include "config/pipeline_config.h"
#include "support/text.h"
#include "util/timestamp.h"

namespace tailwater {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kShownBeforeDrop = 20;

struct DeadLettersOptions {
  std::string first;  // SINK, or an ID
  std::vector<std::string> others;
  std::string pipeline;
  std::string table;  // a source's name may stand before a colon
  std::string server;
  DeadLetterQuery query;
  uint64_t limit = 100;
  bool raw = false;
  bool all = false;
  bool no_wait = false;
  bool yes = false;
  OutputFormat format = OutputFormat::kText;
};

// Ids hold colons, names of sinks cannot.
bool IsId(const std::string& argument) { return argument.find(':') != argument.npos; }

bool IsPlace(const std::string& argument) {
  return std::count(argument.begin(), argument.end(), ':') == 1 &&
         argument.find_first_not_of("0123456789:") == argument.npos && argument.front() != ':' &&
         argument.back() != ':';
}

int Usage(const std::string& command, const std::string& message) {
  fmt::print(stderr, "tailwater dead-letters {}: {}\n", command, message);
  return kExitConfiguration;
}

int ReportFinding(const Error& error) {
  ReportError(error);
  return error.code == "sink_unknown" ? kExitConfiguration : ExitCodeFor(error.disposition);
}

class Command {
 public:
  Command(std::string name, DeadLettersOptions options)
      : name_(std::move(name)),
        options_(std::move(options)),
        palette_(Palette::For(STDOUT_FILENO)),
        width_(TerminalWidth(STDOUT_FILENO)) {}

  int List() {
    if (const int code = Prepare(); code != kExitDone) return code;
    std::vector<Json> letters;
    const auto head = client_->ForEach(options_.query, [&](const Json& letter) {
      letters.push_back(letter);
      return options_.limit == 0 || letters.size() < options_.limit;
    });
    if (!head) return ReportError(head.error());
    const uint64_t matched = (*head)["matched"].get<uint64_t>();
    if (options_.format == OutputFormat::kJson) {
      Json json = *head;
      json["dead_letters"] = letters;
      fmt::print("{}\n", json.dump(2, ' ', false, Json::error_handler_t::replace));
      return kExitDone;
    }
    if (letters.empty()) {
      fmt::print("sink {} holds no {}\n", client_->sink(),
                 options_.query.empty() ? "dead or parked records" : "such records");
      return kExitDone;
    }
    PrintTable(letters, *head, matched);
    if (matched > letters.size()) fmt::print("--limit 0 shows all\n");
    return kExitDone;
  }

  int Show() {
    if (const int code = Prepare(); code != kExitDone) return code;
    if (options_.query.ids.empty()) return Usage(name_, "which one? Name an ID");
    std::vector<std::string> places;
    for (const std::string& id : options_.query.ids) {
      if (IsPlace(id)) {
        places.push_back(id);
        continue;
      }
      const size_t before = places.size();
      const auto head = client_->ForEach({.ids = {id}}, [&](const Json& letter) {
        places.push_back(letter.value("place", ""));
        return true;
      });
      if (!head) return ReportError(head.error());
      if (places.size() == before) {
        return ReportError(
            Error{Disposition::kReject, "dead_letter_not_found",
                  fmt::format("sink {} holds no record {}; it may have been delivered or dropped "
                              "meanwhile",
                              client_->sink(), Printable(id))});
      }
    }
    bool first = true;
    for (const std::string& place : places) {
      const auto text = client_->Show(place, options_.raw);
      if (!text) return ReportError(text.error());
      if (options_.format == OutputFormat::kJson) {
        fmt::print("{}", *text);  // as it came: numbers keep all of their digits
        continue;
      }
      const Json letter = Json::parse(*text, nullptr, false);
      if (!letter.is_object()) {
        return ReportError(Error{Disposition::kFatal, "daemon_answer",
                                 "the daemon answers something that is no JSON object"});
      }
      fmt::print("{}{}", first ? "" : "\n", DeadLetterText(letter, palette_, width_));
      first = false;
    }
    return kExitDone;
  }

  int Replay() {
    if (const int code = Prepare(); code != kExitDone) {
      return code == kExitConfiguration ? code : kExitNeedsOperator;
    }
    if (const int code = NeedAFilter(); code != kExitDone) return code;
    return ReplayDeadLetters(*client_, options_.query, !options_.no_wait, options_.format);
  }

  int Drop() {
    if (const int code = Prepare(); code != kExitDone) return code;
    if (const int code = NeedAFilter(); code != kExitDone) return code;
    // What the daemon does, too: parked ones only if they are named.
    DeadLetterQuery& query = options_.query;
    if (query.ids.empty() && query.state.empty()) query.state = "dead";
    std::vector<Json> letters;
    const auto head = client_->ForEach(query, [&](const Json& letter) {
      letters.push_back(letter);
      return letters.size() < kShownBeforeDrop;
    });
    if (!head) return ReportError(head.error());
    const uint64_t matched = (*head)["matched"].get<uint64_t>();
    const bool json = options_.format == OutputFormat::kJson;
    if (matched == 0) {
      fmt::print("{}\n", json ? R"({"matched":0,"dropped":0})"
                              : "nothing to drop in sink " + client_->sink());
      return kExitDone;
    }
    if (!json) PrintTable(letters, *head, matched);
    if (!options_.yes && (json || !Confirmed(matched))) {
      if (json) {
        fmt::print("{}\n", Json({{"matched", matched}, {"dropped", 0}}).dump());
      } else {
        fmt::print(
            "Nothing was dropped.{}\n",
            isatty(STDIN_FILENO) != 0 ? "" : " Run it again with --yes to delete them for good.");
      }
      return kExitOther;
    }
    const auto dropped = client_->Drop(query);
    if (!dropped) return ReportError(dropped.error());
    if (json) {
      fmt::print("{}\n", Json({{"matched", matched}, {"dropped", *dropped}}).dump());
    } else {
      fmt::print("dropped {}\n", Counted(*dropped, "record"));
    }
    return kExitDone;
  }

 private:
  // Tells sink from ids, and finds the daemon.
  int Prepare() {
    std::string sink;
    std::vector<std::string> arguments = options_.others;
    if (!options_.first.empty()) arguments.insert(arguments.begin(), options_.first);
    for (const std::string& argument : arguments) {
      if (IsId(argument)) {
        options_.query.ids.push_back(argument);
      } else if (sink.empty() && options_.query.ids.empty()) {
        sink = argument;
      } else {
        return Usage(name_, fmt::format("'{}' is no ID; these hold colons", Printable(argument)));
      }
    }
    const size_t colon = options_.table.find(':');
    if (colon != options_.table.npos) options_.query.source = options_.table.substr(0, colon);
    options_.query.table = options_.table.substr(colon == options_.table.npos ? 0 : colon + 1);
    auto client = DeadLetterClient::Find(
        FindApi(options_.server, "http://" + DaemonConfig().listen), options_.pipeline, sink);
    if (!client) {
      if (client.error().code == "daemon_unreachable") {
        client.error().message += "; start one, or point --server or TAILWATER_URL to it";
      }
      return ReportFinding(client.error());
    }
    client_.emplace(*std::move(client));
    return kExitDone;
  }

  int NeedAFilter() const {
    if (options_.all || !options_.query.empty()) return kExitDone;
    return Usage(name_, "name IDs, --table, --code or --state; or say --all");
  }

  void PrintTable(const std::vector<Json>& letters, const Json& head, uint64_t matched) const {
    const auto now = ParseTimestamp(head.value("now", ""));
    fmt::print("{}", DeadLetterTableText(letters, now.value_or(0), palette_, width_));
    if (matched > letters.size()) fmt::print("and {} more\n", HumanCount(matched - letters.size()));
  }

  static bool Confirmed(uint64_t matched) {
    if (isatty(STDIN_FILENO) == 0) return false;
    fmt::print("Delete {} for good? [y/N] ",
               matched == 1 ? "this record" : fmt::format("these {} records", HumanCount(matched)));
    std::fflush(stdout);
    std::string answer;
    std::getline(std::cin, answer);
    return answer == "y" || answer == "Y" || answer == "yes";
  }

  const std::string name_;
  DeadLettersOptions options_;
  const Palette palette_;
  const size_t width_;
  std::optional<DeadLetterClient> client_;
};

CLI::App* AddOne(CLI::App& parent, const char* name, const char* about, const char* footer,
                 DeadLettersOptions& options) {
  CLI::App* command = parent.add_subcommand(name, about);
  command->footer(footer);
  // An ID lands in the first one if the sink is left out; Prepare() tells them apart.
  command->add_option("SINK", options.first, "The sink; may be left out if there is but one")
      ->type_name("");
  command->add_option("ID", options.others, "Only these records; IDs hold colons")->type_name("");
  command->add_option("--pipeline", options.pipeline, "Which one, if several have such a sink")
      ->type_name("NAME");
  command->add_option("--server", options.server, "Address of the daemon")->type_name("URL");
  AddOutputOption(*command, options.format);
  return command;
}

void AddFilters(CLI::App& command, DeadLettersOptions& options) {
  command
      .add_option("--table", options.table,
                  "Only of this table; a source's name may stand before "
                  "it: shop:public.orders")
      ->type_name("TABLE");
  command.add_option("--code", options.query.code, "Only with this code")->type_name("CODE");
  AddChoice<std::string>(command, "--state", options.query.state, "Only these: dead or parked",
                         {{"dead", "dead"}, {"parked", "parked"}})
      ->type_name("STATE");
}

}  // namespace

void AddDeadLettersCommand(CommandLine& line) {
  auto options = std::make_shared<DeadLettersOptions>();
  CLI::App* command = line.app.add_subcommand(
      "dead-letters", "Records that a sink could not deliver: look, replay, drop");
  command->footer(
      "A dead record waits for a person; a parked one is tried again by itself. Asks the daemon "
      "at\n"
      "--server, else TAILWATER_URL, else 127.0.0.1:4680; TAILWATER_TOKEN is sent if it is set.\n\n"
      "Examples:\n"
      "  tailwater dead-letters list hooks\n"
      "  tailwater dead-letters show hooks shop:1:0/16B3748:0:0\n"
      "  tailwater dead-letters replay hooks --code webhook_rejected_422\n"
      "  tailwater dead-letters drop hooks --table public.user_plans --yes");
  command->require_subcommand(1);
  const auto run = [&line, options](const std::string& name, int (Command::*method)()) {
    return [&line, options, name, method] {
      line.run = [options, name, method] { return (Command(name, *options).*method)(); };
    };
  };

  CLI::App* list = AddOne(*command, "list", "What is stored, without the rows' values",
                          "Examples:\n"
                          "  tailwater dead-letters list\n"
                          "  tailwater dead-letters list hooks --state dead\n"
                          "  tailwater dead-letters list hooks --code webhook_rejected_422 -o json",
                          *options);
  AddFilters(*list, *options);
  list->add_option("-n,--limit", options->limit, "At most so many; 0 = all (default 100)")
      ->type_name("COUNT");
  list->callback(run("list", &Command::List));

  CLI::App* show = AddOne(*command, "show", "All about records, with their change",
                          "Shows the row's values.\n\n"
                          "Examples:\n"
                          "  tailwater dead-letters show hooks shop:1:0/16B3748:0:0\n"
                          "  tailwater dead-letters show shop:1:0/16B3748:0:0 -o json | jq .change",
                          *options);
  show->add_flag("--raw", options->raw, "The stored bytes as well, in base64");
  show->callback(run("show", &Command::Show));

  CLI::App* replay = AddOne(
      *command, "replay", "Deliver them again, in order of their keys",
      "Follows until each was delivered or rejected again; ^C ends the following only. Exit\n"
      "code 1: some were rejected again; 3: the daemon or the sink cannot.\n\n"
      "Examples:\n"
      "  tailwater dead-letters replay hooks shop:1:0/16B3748:0:0\n"
      "  tailwater dead-letters replay hooks --table public.user_plans\n"
      "  tailwater dead-letters replay hooks --all --no-wait",
      *options);
  AddFilters(*replay, *options);
  replay->add_flag("--all", options->all, "All of the sink's");
  replay->add_flag("--no-wait", options->no_wait, "Do not follow");
  replay->callback(run("replay", &Command::Replay));

  CLI::App* drop = AddOne(*command, "drop", "Delete them for good",
                          "Shows what it would delete, and asks; without a terminal it wants "
                          "--yes. Dead records\n"
                          "only, unless IDs or --state name parked ones. What waited behind a "
                          "deleted record goes on.\n\n"
                          "Examples:\n"
                          "  tailwater dead-letters drop hooks shop:1:0/16B3748:0:0\n"
                          "  tailwater dead-letters drop hooks --code webhook_rejected_422 --yes",
                          *options);
  AddFilters(*drop, *options);
  drop->add_flag("--all", options->all, "All of the sink's dead ones");
  drop->add_flag("--yes", options->yes, "Do not ask");
  drop->callback(run("drop", &Command::Drop));
}

}  // namespace tailwater
