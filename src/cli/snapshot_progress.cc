#include "cli/snapshot_progress.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <optional>
#include <thread>

#include "cli/exit_code.h"
#include "cli/json_fields.h"
#include "cli/output.h"
#include "cli/status_text.h"
#include "support/text.h"

namespace tailwater {
namespace {

using namespace std::chrono_literals;

constexpr auto kLook = 500ms;
constexpr auto kStep = 50ms;
constexpr auto kLineInterval = 5s;
constexpr auto kPatience = 60s;  // with a daemon that does not answer: it may be restarting
constexpr size_t kBarWidth = 24;

volatile std::sig_atomic_t interrupted = 0;
void Interrupt(int) { interrupted = 1; }

// ^C ends the watching, and nothing else, as long as it lives.
class CatchInterrupt {
 public:
  CatchInterrupt() {
    interrupted = 0;
    struct sigaction action {};
    action.sa_handler = Interrupt;
    sigaction(SIGINT, &action, &before_);
  }
  ~CatchInterrupt() { sigaction(SIGINT, &before_, nullptr); }
  CatchInterrupt(const CatchInterrupt&) = delete;
  CatchInterrupt& operator=(const CatchInterrupt&) = delete;

 private:
  struct sigaction before_ {};
};

std::optional<Json> FindUnit(const Json& snapshots, uint64_t unit) {
  if (!snapshots.is_object() || !snapshots.contains("units")) return std::nullopt;
  for (const Json& each : snapshots["units"]) {
    if (each.is_object() && each.contains("id") && each["id"] == unit) return each;
  }
  return std::nullopt;
}

bool HasEnded(const Json& unit) { return !TextOf(unit, "ended_at").empty(); }

}  // namespace

std::string ProgressBar(const Json& unit, size_t width) {
  std::string line = Printable(TextOf(unit, "table"));
  const auto percent = unit.find("percent");
  if (percent != unit.end() && percent->is_number()) {
    const double share = std::clamp(percent->get<double>() / 100, 0.0, 1.0);
    const auto full = static_cast<size_t>(share * kBarWidth);
    line += " [";
    for (size_t i = 0; i < kBarWidth; ++i) line += i < full ? "█" : "░";
    line += fmt::format("] {:.1f}%", share * 100);
  }
  line += ProgressText(unit);
  const std::string state = TextOf(unit, "state");
  if (state != "copying" && state != "done") {
    std::string why = TextOf(unit, "waits_for");
    if (const std::string code = TextOf(unit, "code"); !code.empty()) {
      why = code + ": " + TextOf(unit, "message");
    }
    line += fmt::format(", {}{}{}", state,
                        why.empty()          ? ""
                        : state == "waiting" ? " for "
                                             : ": ",
                        Printable(why));
  }
  return Shortened(std::move(line), width);
}

int FollowSnapshot(const ApiAddress& api, const std::string& snapshots_path, uint64_t unit,
                   bool quiet, const std::string& when_interrupted, Json& last) {
  const bool live = !quiet && isatty(STDOUT_FILENO) != 0;
  const CatchInterrupt catch_interrupt;
  auto answered = std::chrono::steady_clock::now();
  auto printed = answered - kLineInterval;
  const auto end_line = [&] {
    if (live) fmt::print("\n");
    std::fflush(stdout);
  };
  for (;;) {
    const auto now = std::chrono::steady_clock::now();
    const auto snapshots = GetJson(api, snapshots_path);
    if (snapshots) {
      answered = now;
      const auto found = FindUnit(*snapshots, unit);
      if (!found) {
        end_line();
        if (!quiet) fmt::print("snapshot {} is not listed any more: it has ended\n", unit);
        return kExitDone;
      }
      last = *found;
      if (live) {
        fmt::print("\r\x1b[2K{}", ProgressBar(last, TerminalWidth(STDOUT_FILENO)));
        std::fflush(stdout);
      } else if (!quiet && (now - printed >= kLineInterval || HasEnded(last))) {
        fmt::print("{}\n", ProgressBar(last, 0));
        std::fflush(stdout);
        printed = now;
      }
      if (HasEnded(last)) {
        end_line();
        return TextOf(last, "state") == "done" ? kExitDone : kExitOther;
      }
    } else if (snapshots.error().disposition != Disposition::kRetry || now - answered > kPatience) {
      end_line();
      ReportError(snapshots.error());
      return kExitNeedsOperator;
    }
    const auto next = now + kLook;
    while (interrupted == 0 && std::chrono::steady_clock::now() < next) {
      std::this_thread::sleep_for(kStep);
    }
    if (interrupted != 0) {
      end_line();
      if (!quiet) fmt::print("{}", when_interrupted);
      return kExitOther;
    }
  }
}

}  // namespace tailwater
