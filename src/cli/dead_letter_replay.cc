#include "cli/dead_letter_replay.h"

#include <unistd.h>

#include <charconv>
#include <chrono>
#include <cstdio>
#include <set>
#include <thread>
#include <utility>

#include "cli/dead_letter_text.h"
#include "cli/exit_code.h"
#include "cli/output.h"
#include "support/text.h"
#include "util/timestamp.h"

namespace tailwater {
namespace {

using Json = nlohmann::ordered_json;
using Place = std::pair<int32_t, int64_t>;

constexpr size_t kShown = 10;        // records listed one by one
constexpr size_t kPagesPerLook = 5;  // so that a look at very many stays cheap
constexpr std::chrono::milliseconds kInterval{300};
// A sink that waits for an operator and moves nothing for so long is given up on.
constexpr std::chrono::seconds kPatience{10};

std::optional<Place> ParsePlace(const std::string& text) {
  Place place;
  const char* end = text.data() + text.size();
  const auto partition = std::from_chars(text.data(), end, place.first);
  if (partition.ec != std::errc() || partition.ptr == end || *partition.ptr != ':') {
    return std::nullopt;
  }
  const auto offset = std::from_chars(partition.ptr + 1, end, place.second);
  if (offset.ec != std::errc() || offset.ptr != end) return std::nullopt;
  return place;
}

class Replay {
 public:
  Replay(const DeadLetterClient& client, DeadLetterQuery query, OutputFormat format)
      : client_(client),
        query_(std::move(query)),
        format_(format),
        palette_(Palette::For(STDOUT_FILENO)),
        width_(TerminalWidth(STDOUT_FILENO)),
        live_(format == OutputFormat::kText && isatty(STDOUT_FILENO) != 0) {}

  int Run(bool wait) {
    if (const Status status = Begin(); !status) return Cannot(status.error());
    if (wait) {
      if (const Status status = Follow(); !status) {
        EndLine();
        if (format_ == OutputFormat::kJson) PrintJson();
        return Cannot(status.error());
      }
      EndLine();
    }
    return Report(wait);
  }

 private:
  static int Cannot(const Error& error) {
    ReportError(error);
    return kExitNeedsOperator;
  }

  Status Begin() {
    TW_ASSIGN_OR_RETURN(const Json head, client_.ForEach(query_, [&](const Json& letter) {
      if (const auto place = ParsePlace(letter.value("place", ""))) waiting_.insert(*place);
      if (shown_.size() < kShown) shown_.push_back(letter);
      return true;
    }));
    if (const auto now = ParseTimestamp(head.value("now", ""))) now_micros_ = *now;
    requeued_ = waiting_.size();
    if (requeued_ == 0) return {};
    TW_ASSIGN_OR_RETURN(keys_, client_.Replay(query_));
    if (format_ == OutputFormat::kJson) return {};
    fmt::print("{}", DeadLetterTableText(shown_, now_micros_, palette_, width_));
    if (requeued_ > shown_.size())
      fmt::print("and {} more\n", HumanCount(requeued_ - shown_.size()));
    fmt::print("requeued {} of {} in sink {}\n", Counted(requeued_, "record"),
               Counted(keys_, "key"), client_.sink());
    std::fflush(stdout);
    return {};
  }

  Status Follow() {
    auto moved_at = std::chrono::steady_clock::now();
    bool told = false;
    while (true) {
      const size_t before = waiting_.size();
      TW_TRY(Look());
      if (waiting_.empty()) return {};
      std::string trouble;
      if (waiting_.size() < before) {
        moved_at = std::chrono::steady_clock::now();
      } else {
        TW_ASSIGN_OR_RETURN(trouble, SinkTrouble(std::chrono::steady_clock::now() - moved_at));
      }
      ShowProgress(trouble);
      if (!live_ && !told && !trouble.empty()) {
        fmt::print(stderr, "{}; waiting, ^C ends the waiting only\n", trouble);
        told = true;
      }
      std::this_thread::sleep_for(kInterval);
    }
  }

  // Looks at the oldest that wait, and crosses out what is through or dead again.
  Status Look() {
    DeadLetterQuery query = query_;
    query.code.clear();   // both change
    query.state.clear();  // with the next failure
    std::string from;
    if (!waiting_.empty()) {
      from = fmt::format("{}:{}", waiting_.begin()->first, waiting_.begin()->second);
    }
    auto next = waiting_.begin();
    for (size_t page_count = 0; page_count < kPagesPerLook && next != waiting_.end();
         ++page_count) {
      TW_ASSIGN_OR_RETURN(const Json page,
                          client_.Page(query, from, DeadLetterClient::kPageRecords));
      for (const Json& letter : page["dead_letters"]) {
        const auto place = ParsePlace(letter.value("place", ""));
        if (!place) continue;
        while (next != waiting_.end() && *next < *place) next = Through(next);
        if (next == waiting_.end() || *next != *place) continue;
        if (letter.value("state", "") == "dead") {
          ++rejected_;
          if (rejected_letters_.size() < kShown) rejected_letters_.push_back(letter);
          next = waiting_.erase(next);
        } else {
          ++next;
        }
      }
      from = page.value("next", "");
      const auto end = ParsePlace(from);
      while (next != waiting_.end() && (!end || *next < *end)) next = Through(next);
      if (!end) break;
    }
    return {};
  }

  std::set<Place>::iterator Through(std::set<Place>::iterator at) {
    ++through_;
    return waiting_.erase(at);
  }

  // Why nothing moves, if the sink says so; an error if it will not by itself.
  Result<std::string> SinkTrouble(std::chrono::steady_clock::duration still) const {
    TW_ASSIGN_OR_RETURN(const Json sink, client_.Status());
    const std::string state = sink.value("state", "");
    if (state == "running") return std::string();
    const std::string why = Printable(sink.value("code", "") + ": " + sink.value("message", ""));
    const bool stands = state == "halted" || state == "stopped" || state == "standby" ||
                        (state == "waiting_operator" && still > kPatience);
    if (stands) {
      return Error{Disposition::kNeedsOperator, "sink_waits",
                   fmt::format("sink {} is {}{}; the records stay queued", client_.sink(), state,
                               why == ": " ? "" : " (" + why + ")")};
    }
    return fmt::format("sink {} is {} ({})", client_.sink(), state, why);
  }

  std::string Counts() const {
    std::string text = HumanCount(through_) + " delivered";
    if (rejected_ > 0) text += fmt::format(", {} rejected again", HumanCount(rejected_));
    if (!waiting_.empty()) text += fmt::format(", {} waiting", HumanCount(waiting_.size()));
    return text;
  }

  void ShowProgress(const std::string& trouble) {
    if (!live_) return;
    std::string line = Counts();
    if (!trouble.empty()) line += "; " + trouble;
    fmt::print("\r\x1b[K{}", Shortened(line, width_ > 1 ? width_ - 1 : 0));
    std::fflush(stdout);
    line_open_ = true;
  }

  void EndLine() {
    if (line_open_) fmt::print("\r\x1b[K");
    line_open_ = false;
  }

  void PrintJson() const {
    const Json json = {{"keys", keys_},
                       {"records", requeued_},
                       {"delivered", through_},
                       {"rejected_again", rejected_},
                       {"waiting", waiting_.size()}};
    fmt::print("{}\n", json.dump());
  }

  int Report(bool waited) const {
    if (format_ == OutputFormat::kJson) {
      PrintJson();
    } else if (requeued_ == 0) {
      fmt::print("nothing to replay in sink {}\n", client_.sink());
    } else if (waited) {
      fmt::print("{}{}{}\n", rejected_ > 0 ? palette_.red : palette_.green, Counts(), palette_.off);
      if (!rejected_letters_.empty()) {
        fmt::print("{}", DeadLetterTableText(rejected_letters_, now_micros_, palette_, width_));
      }
    }
    return rejected_ > 0 ? kExitOther : kExitDone;
  }

  const DeadLetterClient& client_;
  const DeadLetterQuery query_;
  const OutputFormat format_;
  const Palette palette_;
  const size_t width_;
  const bool live_;
  bool line_open_ = false;
  int64_t now_micros_ = 0;
  std::set<Place> waiting_;
  std::vector<Json> shown_, rejected_letters_;
  uint64_t keys_ = 0;
  uint64_t requeued_ = 0;
  uint64_t through_ = 0;
  uint64_t rejected_ = 0;
};

}  // namespace

int ReplayDeadLetters(const DeadLetterClient& client, const DeadLetterQuery& query, bool wait,
                      OutputFormat format) {
  return Replay(client, query, format).Run(wait);
}

}  // namespace tailwater
