#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <stop_token>
#include <thread>

#include "cli/change_text.h"
#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/load.h"
#include "cli/output.h"
#include "config/options.h"
#include "support/change_json.h"
#include "support/text.h"
#include "topic/open_topic.h"
#include "util/timestamp.h"

namespace tailwater {
namespace {

constexpr std::chrono::milliseconds kPatience{30'000};

struct TailOptions {
  std::string path;
  std::string pipeline;
  std::vector<std::string> tables;
  std::string from = "end";
  int64_t limit = 0;  // 0 = no limit
  bool no_follow = false;
  bool all = false;
  OutputFormat format = OutputFormat::kText;
};

// beginning, end, an offset or a time.
std::optional<StartSpec> ParseFrom(const std::string& text) {
  if (text == "beginning") return StartSpec{StartSpec::Kind::kBeginning};
  if (text == "end") return StartSpec{StartSpec::Kind::kEnd};
  int64_t offset = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), offset);
  if (error == std::errc() && end == text.data() + text.size() && offset >= 0) {
    return StartSpec{StartSpec::Kind::kOffset, 0, offset};
  }
  if (const auto micros = ParseTimestamp(text))
    return StartSpec{StartSpec::Kind::kTime, *micros, 0};
  return std::nullopt;
}

class Tail {
 public:
  Tail(const TailOptions& options, StartSpec from, std::vector<TablePattern> tables)
      : options_(options),
        from_(from),
        tables_(std::move(tables)),
        palette_(Palette::For(STDOUT_FILENO)) {}

  Status Run(Topic& topic) {
    TW_ASSIGN_OR_RETURN(const std::shared_ptr<TopicReader> reader, Open(topic));
    TW_ASSIGN_OR_RETURN(Offsets next, Start(*reader));
    Offsets ends;  // where to end without --follow
    if (options_.no_follow) {
      TW_ASSIGN_OR_RETURN(const auto ranges, reader->Ranges());
      for (const auto& [partition, range] : ranges) ends[partition] = range.end;
    }
    while (true) {
      bool finished = options_.no_follow;
      if (!options_.no_follow) reader->WaitForAny(next, std::chrono::seconds(1), {});
      for (auto& [partition, offset] : next) {
        if (options_.no_follow && offset >= ends[partition]) continue;
        TW_TRY(ReadOnce(*reader, partition, offset));
        if (done_) return {};
        if (offset < ends[partition]) finished = false;
      }
      if (finished) return {};
    }
  }

 private:
  // While capture has not made the log yet there is nothing to show, but there will be.
  Result<std::shared_ptr<TopicReader>> Open(Topic& topic) {
    bool said = false;
    while (true) {
      auto reader = topic.OpenReader();
      if (reader || options_.no_follow || reader.error().code != "topic_not_created") return reader;
      if (!said) {
        fmt::print(stderr, "waiting for {}: capture has not made it yet\n", topic.Describe());
      }
      said = true;
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
    }
  }

  Result<Offsets> Start(TopicReader& reader) {
    TW_ASSIGN_OR_RETURN(const auto ranges, reader.Ranges());
    Offsets next;
    for (const auto& [partition, range] : ranges) {
      switch (from_.kind) {
        case StartSpec::Kind::kSnapshot:
        case StartSpec::Kind::kBeginning:
          next[partition] = range.begin;
          break;
        case StartSpec::Kind::kEnd:
          next[partition] = range.end;
          break;
        case StartSpec::Kind::kOffset:
          if (from_.offset < range.begin || from_.offset > range.end) {
            return Error{Disposition::kGap, "topic_offset_out_of_range",
                         fmt::format("offset {} is not in the topic, which holds {} to {}; choose "
                                     "one of these, or --from beginning",
                                     from_.offset, range.begin, range.end)};
          }
          next[partition] = from_.offset;
          break;
        case StartSpec::Kind::kTime: {
          TW_ASSIGN_OR_RETURN(next[partition], reader.OffsetAt(partition, from_.time_micros));
          break;
        }
      }
    }
    return next;
  }

  Status ReadOnce(TopicReader& reader, int32_t partition, int64_t& offset) {
    constexpr size_t kReadBytes = 1 << 20;
    // What lies in front of the end may have to be fetched first.
    const auto timeout = options_.no_follow ? kPatience : std::chrono::milliseconds(0);
    TW_ASSIGN_OR_RETURN(const auto batch, reader.Read(partition, offset, kReadBytes, timeout, {}));
    if (batch == nullptr) {
      if (!options_.no_follow) return {};
      return Error{
          Disposition::kRetry, "topic_silent",
          fmt::format("nothing came of partition {} from offset {} on for {} s; look at the "
                      "topic, then try again",
                      partition, offset, kPatience.count() / 1000)};
    }
    TW_ASSIGN_OR_RETURN(const auto changes, batch->Changes());
    std::string out;
    for (size_t i = 0; i < changes.size() && !done_; ++i) {
      if (batch->records[i].offset < offset || !Wanted(changes[i])) continue;
      if (options_.format == OutputFormat::kJson) {
        TW_TRY(AppendChangeJson(changes[i], out));
        out += '\n';
      } else {
        out += ChangeText(changes[i], batch->records[i].offset, palette_,
                          TerminalWidth(STDOUT_FILENO));
      }
      done_ = options_.limit > 0 && ++printed_ >= options_.limit;
    }
    offset = batch->next_offset;
    if (std::fwrite(out.data(), 1, out.size(), stdout) != out.size() || std::fflush(stdout) != 0) {
      return Error{Disposition::kCancelled, "output_closed", "standard output is closed"};
    }
    return {};
  }

  bool Wanted(const Change& change) const {
    if (!tables_.empty()) {
      for (const TablePattern& pattern : tables_) {
        if (!change.table.empty() && pattern.Matches(change.source, change.table)) return true;
      }
      return false;
    }
    return options_.all || options_.format == OutputFormat::kJson ||
           change.operation != Operation::kFrontier;
  }

  const TailOptions& options_;
  const StartSpec from_;
  const std::vector<TablePattern> tables_;
  const Palette palette_;
  int64_t printed_ = 0;
  bool done_ = false;
};

int RunTail(const TailOptions& options, const Registry& registry) {
  const auto from = ParseFrom(options.from);
  if (!from) {
    fmt::print(
        stderr,
        "tailwater tail: --from '{}' is none of beginning, end, an offset, or a time such as "
        "2026-11-21T09:30:00Z\n",
        options.from);
    return kExitConfiguration;
  }
  if (options.limit < 0) {
    fmt::print(stderr, "tailwater tail: --limit must not be negative\n");
    return kExitConfiguration;
  }
  std::vector<TablePattern> tables;
  for (const std::string& text : options.tables) {
    Problems problems;
    ConfigNode node;
    node.kind = ConfigNode::Kind::kList;
    ConfigNode& item = node.items.emplace_back();
    item.kind = ConfigNode::Kind::kScalar;
    item.scalar = text;
    item.path = "--table";
    const TableSelection selection = TableSelection::Parse(&node, problems);
    if (!problems.empty()) {
      fmt::print(stderr, "tailwater tail: {}\n", problems.list()[0].message);
      return kExitConfiguration;
    }
    tables.push_back(selection.entries()[0].match);
  }
  const auto config = LoadOrReport({options.path}, registry);
  if (!config) return kExitConfiguration;
  const PipelineConfig* pipeline = ChoosePipeline(*config, options.pipeline);
  if (pipeline == nullptr) return kExitConfiguration;
  auto topic = OpenTopic(pipeline->topic, pipeline->name);
  if (!topic) return ReportError(topic.error());
  const Status status = Tail(options, *from, std::move(tables)).Run(**topic);
  if (!status) return ReportError(status.error());
  return kExitDone;
}

}  // namespace

void AddTailCommand(CommandLine& line) {
  auto options = std::make_shared<TailOptions>();
  CLI::App* command = line.app.add_subcommand("tail", "Show changes as they come into the topic");
  command->footer(
      "Reads the topic of the pipeline and disturbs nobody; works without a running daemon, too.\n"
      "Times are the commits' at the source, in UTC. @ is the offset in the topic.\n\n"
      "Examples:\n"
      "  tailwater tail shop.yaml\n"
      "  tailwater tail shop.yaml --table 'public.user_*' --from beginning\n"
      "  tailwater tail shop.yaml --from 2026-11-21T09:30:00Z --no-follow\n"
      "  tailwater tail shop.yaml -o json | jq 'select(.op == \"delete\")'");
  command->add_option("FILE", options->path, "Configuration file or folder")
      ->required()
      ->type_name("");
  command->add_option("--pipeline", options->pipeline, "Which one, if FILE declares several")
      ->type_name("NAME");
  command
      ->add_option("--table", options->tables,
                   "Only this table or pattern; again for more; a source may stand in front")
      ->type_name("PATTERN")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  command->add_option("--from", options->from, "beginning, end (default), an offset or a time")
      ->type_name("WHERE");
  command->add_option("-n,--limit", options->limit, "End after so many changes")
      ->type_name("COUNT");
  command->add_flag("--no-follow", options->no_follow, "End at the end of the topic");
  command->add_flag("--all", options->all, "Show frontier records as well; -o json always does");
  AddOutputOption(*command, options->format);
  command->callback([&line, options] {
    line.run = [&line, options] { return RunTail(*options, line.registry); };
  });
}

}  // namespace tailwater
