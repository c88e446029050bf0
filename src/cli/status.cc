#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "cli/api_client.h"
#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/load.h"
#include "cli/offline_status.h"
#include "cli/output.h"
#include "cli/status_text.h"
#include "http/listen_address.h"
#include "support/text.h"
#include "topic/open_topic.h"

namespace tailwater {
namespace {

using nlohmann::ordered_json;

struct StatusOptions {
  std::vector<std::string> paths;
  std::string server;
  OutputFormat format = OutputFormat::kText;
};

// Where the daemon of these files listens, as seen from here.
std::string UrlOf(const std::string& listen) {
  auto address = ParseListenAddress(listen);
  if (!address) return "http://" + listen;  // flags of `run` may differ from the file
  if (address->host == "0.0.0.0") address->host = "127.0.0.1";
  if (address->host == "::") address->host = "::1";
  return "http://" + address->ToString();
}

// The document with only these pipelines; nothing if it lacks one of them.
std::optional<ordered_json> Only(ordered_json document,
                                 const std::vector<const PipelineConfig*>& pipelines) {
  ordered_json chosen = ordered_json::array();
  if (!document.is_object()) return std::nullopt;
  for (const PipelineConfig* pipeline : pipelines) {
    bool found = false;
    for (ordered_json& candidate : document["pipelines"]) {
      if (candidate.value("name", "") != pipeline->name) continue;
      // Another pipeline may bear the same name; its topic is another one.
      const auto topic = OpenTopic(pipeline->topic, pipeline->name);
      if (!topic || candidate["topic"].value("location", "") != (*topic)->Describe()) continue;
      chosen.push_back(candidate);
      // Only the file says what nobody uses any more.
      chosen.back()["orphans"] = FindOrphans(*pipeline);
      found = true;
    }
    if (!found) return std::nullopt;
  }
  document["pipelines"] = std::move(chosen);
  return document;
}

Result<ordered_json> Find(const StatusOptions& options, const std::optional<Config>& config) {
  ApiAddress api =
      FindApi(options.server, config ? UrlOf(config->daemon.listen) : UrlOf(DaemonConfig().listen));
  if (!config) {
    auto document = GetJson(api, "/api/v1/status");
    if (!document && document.error().code == "daemon_unreachable") {
      document.error().message +=
          "; start one, point --server or TAILWATER_URL to it, or name the file: tailwater status "
          "shop.yaml";
    }
    return document;
  }
  if (api.token.empty() && !config->daemon.token.empty()) {
    TW_ASSIGN_OR_RETURN(api.token, config->daemon.token.Read());
  }
  std::vector<const PipelineConfig*> pipelines;
  for (const PipelineConfig& pipeline : config->pipelines) pipelines.push_back(&pipeline);
  auto document = GetJson(api, "/api/v1/status");
  std::string why;
  if (document) {
    if (auto chosen = Only(*std::move(document), pipelines)) return *std::move(chosen);
    why = "the daemon at " + api.url + " does not run this";
  } else if (!options.server.empty() || document.error().code != "daemon_unreachable") {
    return document;
  } else {
    why = document.error().message;
  }
  TW_ASSIGN_OR_RETURN(ordered_json offline, OfflineStatus(pipelines));
  if (options.format == OutputFormat::kText) {
    fmt::print(stderr, "{}; this is what topic and servers hold\n", why);
  }
  return offline;
}

int RunStatus(const StatusOptions& options, const Registry& registry) {
  std::optional<Config> config;
  if (!options.paths.empty()) {
    config = LoadOrReport(options.paths, registry);
    if (!config) return kExitConfiguration;
  }
  const auto document = Find(options, config);
  if (!document) return ReportError(document.error());
  if (options.format == OutputFormat::kJson) {
    fmt::print("{}\n", document->dump(2, ' ', false, ordered_json::error_handler_t::replace));
  } else {
    fmt::print("{}",
               StatusText(*document, Palette::For(STDOUT_FILENO), TerminalWidth(STDOUT_FILENO)));
  }
  return kExitDone;
}

}  // namespace

void AddStatusCommand(CommandLine& line) {
  auto options = std::make_shared<StatusOptions>();
  CLI::App* command =
      line.app.add_subcommand("status", "Positions, lag and health of sources and sinks");
  command->footer(
      "Asks the daemon at --server, else TAILWATER_URL, else 127.0.0.1:4680; TAILWATER_TOKEN is "
      "sent\n"
      "if it is set. With FILE and no daemon it reads the topic and asks the servers itself.\n\n"
      "Examples:\n"
      "  tailwater status\n"
      "  tailwater status --server http://10.0.0.7:4680\n"
      "  tailwater status shop.yaml\n"
      "  tailwater status -o json | jq '.pipelines[].sinks[] | {name, lag_records}'");
  command->add_option("FILE", options->paths, "Configuration files or folders")->type_name("");
  command->add_option("--server", options->server, "Address of the daemon")->type_name("URL");
  AddOutputOption(*command, options->format);
  command->callback([&line, options] {
    line.run = [&line, options] { return RunStatus(*options, line.registry); };
  });
}

}  // namespace tailwater
