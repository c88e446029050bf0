#include "cli/status_text.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "support/text.h"
#include "util/timestamp.h"

namespace tailwater {
namespace {

using nlohmann::ordered_json;

const ordered_json& At(const ordered_json& json, const char* key) {
  static const ordered_json kNothing;
  if (!json.is_object()) return kNothing;
  const auto found = json.find(key);
  return found == json.end() ? kNothing : *found;
}

std::string Text(const ordered_json& json, const char* key) {
  const ordered_json& value = At(json, key);
  return value.is_string() ? Printable(value.get_ref<const std::string&>()) : std::string();
}

std::optional<double> Number(const ordered_json& json, const char* key) {
  const ordered_json& value = At(json, key);
  if (!value.is_number()) return std::nullopt;
  return value.get<double>();
}

uint64_t Whole(double number) { return number > 0 ? static_cast<uint64_t>(number) : 0; }

std::string Join(const std::vector<std::string>& parts) {
  std::string out;
  for (const std::string& part : parts) out += (out.empty() ? "" : ", ") + part;
  return out;
}

}  // namespace

std::string ProgressText(const ordered_json& snapshot) {
  const uint64_t rows = Whole(Number(snapshot, "rows").value_or(0));
  std::string text = fmt::format(", {}", HumanCount(rows));
  if (const auto estimated = Number(snapshot, "estimated_rows")) {
    text += fmt::format(" of about {}", HumanCount(std::max(rows, Whole(*estimated))));
  }
  text += " rows";
  if (const auto rate = Number(snapshot, "rows_per_second")) {
    text += fmt::format(", {} rows/s", HumanCount(Whole(*rate)));
  }
  if (const auto left = Number(snapshot, "seconds_left")) {
    text += ", " + HumanSeconds(*left) + " left";
  }
  return text;
}

std::string SnapshotLine(const ordered_json& snapshot) {
  std::string text =
      fmt::format("{} (snapshot {}) {}", Text(snapshot, "table"),
                  Whole(Number(snapshot, "id").value_or(0)), Text(snapshot, "state"));
  if (const std::string where = Text(snapshot, "where"); !where.empty()) text += " where " + where;
  if (const std::string sink = Text(snapshot, "sink"); !sink.empty()) text += " for sink " + sink;
  if (const auto percent = Number(snapshot, "percent")) text += fmt::format(", {:.1f}%", *percent);
  text += ProgressText(snapshot);
  if (const std::string waits = Text(snapshot, "waits_for"); !waits.empty()) {
    text += (Text(snapshot, "state") == "waiting" ? ", for " : ": ") + waits;
  }
  if (const std::string code = Text(snapshot, "code"); !code.empty()) {
    text += fmt::format(": {}: {}", code, Text(snapshot, "message"));
  }
  return text;
}

namespace {

class StatusPrinter {
 public:
  StatusPrinter(const ordered_json& document, const Palette& palette, size_t width)
      : document_(document), palette_(palette), width_(width == 0 ? 110 : width) {
    if (const auto now = ParseTimestamp(Text(document, "now"))) now_micros_ = *now;
  }

  std::string Print() {
    bool first = true;
    for (const ordered_json& pipeline : At(document_, "pipelines")) {
      if (!first) out_ += '\n';
      first = false;
      Pipeline(pipeline);
    }
    if (first) out_ += "no pipeline\n";
    return std::move(out_);
  }

 private:
  void Pipeline(const ordered_json& pipeline) {
    const ordered_json& topic = At(pipeline, "topic");
    std::vector<std::string> facts;
    double records = 0;
    for (const ordered_json& partition : At(topic, "partitions")) {
      records += Number(partition, "end").value_or(0) - Number(partition, "begin").value_or(0);
    }
    if (Text(topic, "log_id").empty()) {
      facts.push_back("not created yet");
    } else {
      facts.push_back(Counted(Whole(records), "record"));
    }
    if (const auto bytes = Number(topic, "stored_bytes"))
      facts.push_back(HumanBytes(Whole(*bytes)));
    out_ += fmt::format("{}{}{}  topic {}, {}\n", palette_.bold, Text(pipeline, "name"),
                        palette_.off, Text(topic, "location"), Join(facts));
    const ordered_json& capture = At(pipeline, "capture");
    if (Text(capture, "state") != "running" && !capture.is_null()) {
      out_ += fmt::format("  capture {}", State(Text(capture, "state")));
      if (const std::string holder = Text(capture, "lease_holder"); !holder.empty()) {
        out_ += ": the lease is held by " + holder;
      }
      out_ += '\n';
      Trouble(capture);
    }
    for (const ordered_json& source : At(pipeline, "sources")) Source(source);
    for (const ordered_json& sink : At(pipeline, "sinks")) Sink(sink);
    for (const ordered_json& orphan : At(pipeline, "orphans")) {
      // A place in the topic costs nothing; what a server keeps does.
      const bool on_server = At(orphan, "source").is_string();
      Note(palette_.yellow,
           fmt::format("orphan: {} {}, {}{}", Text(orphan, "kind"), Text(orphan, "name"),
                       Text(orphan, "detail"),
                       on_server ? "; no source of the file uses it: drop it on the server" : ""));
    }
  }

  void Source(const ordered_json& source) {
    const ordered_json& log = At(source, "log");
    std::vector<std::string> facts;
    if (const std::string frontier = Text(source, "frontier"); !frontier.empty()) {
      facts.push_back("at " + frontier);
    } else {
      facts.push_back("nothing captured yet");
    }
    const auto bytes = Number(source, "lag_bytes");
    const auto seconds = Number(source, "lag_seconds");
    facts.push_back(Behind({bytes ? std::optional(HumanBytes(Whole(*bytes))) : std::nullopt,
                            seconds ? std::optional(HumanSeconds(*seconds)) : std::nullopt},
                           bytes.value_or(0) == 0 && seconds.value_or(0) == 0));
    Head("source", source, facts);

    // Before a first start there is no slot, and nothing wrong with that; the look at a server
    // whose log we are reading may be from before it was made.
    const bool missing = Text(log, "state") == "missing";
    const bool expected = Text(source, "frontier").empty() || Text(source, "state") == "streaming";
    if (!missing || !expected) ServerLog(log);
    if (const ordered_json& part = At(source, "in_progress"); part.is_object()) {
      Note(
          palette_.dim,
          fmt::format("in the middle of transaction {}: {} of it published", Text(part, "position"),
                      Counted(Whole(Number(part, "published_events").value_or(0)), "event")));
    }
    Snapshots(Text(source, "name"), At(source, "snapshots"));
    Trouble(source);
    if (!Text(log, "code").empty() && Text(log, "code") != Text(source, "code")) {
      Note(palette_.yellow, "the server's log is not known: " + Text(log, "message"));
    }
    if (const std::string note = Text(source, "note"); !note.empty()) Note(palette_.dim, note);
  }

  // "snapshot: 3 tables to go, 7 copied, 1,200,000 of about 4,000,000 rows, 45,000 rows/s, 62 s
  // left", then a line per table that is under way; those that only wait for a worker are counted.
  void Snapshots(const std::string& name, const ordered_json& snapshots) {
    constexpr size_t kTablesShown = 12;
    const uint64_t waiting = Whole(Number(snapshots, "tables_waiting").value_or(0));
    if (waiting > 0) {
      Note(palette_.cyan,
           fmt::format("snapshot: {} to go, {} copied{}", Counted(waiting, "table"),
                       HumanCount(Whole(Number(snapshots, "tables_copied").value_or(0))),
                       ProgressText(snapshots)));
    }
    size_t shown = 0;
    size_t queued = 0;
    for (const ordered_json& unit : At(snapshots, "units")) {
      if (!Text(unit, "ended_at").empty()) continue;
      const std::string state = Text(unit, "state");
      if ((state == "waiting" && Text(unit, "waits_for") == "a worker") || shown >= kTablesShown) {
        ++queued;
        continue;
      }
      ++shown;
      const bool person = state == "blocked" || state == "paused";
      Note(person ? palette_.yellow : palette_.dim, "  " + SnapshotLine(unit));
    }
    if (queued > 0)
      Note(palette_.dim, fmt::format("  and {} in the queue", Counted(queued, "table")));
    for (const ordered_json& stale : At(snapshots, "stale")) {
      Note(
          palette_.yellow,
          fmt::format("table {} is stale: its rows were replaced ({}); `tailwater sources snapshot "
                      "{} {}` copies it",
                      Text(stale, "table"), Text(stale, "why"), name, Text(stale, "table")));
    }
    if (!Text(snapshots, "code").empty()) {
      Note(palette_.yellow,
           fmt::format("snapshot: {}: {}", Text(snapshots, "code"), Text(snapshots, "message")));
    }
  }

  void ServerLog(const ordered_json& log) {
    std::vector<std::string> kept;
    if (const auto retained = Number(log, "retained_bytes")) {
      kept.push_back("the server keeps " + HumanBytes(Whole(*retained)) + " of log for it");
    }
    if (const auto safe = Number(log, "safe_bytes")) {
      kept.push_back(HumanBytes(Whole(*safe)) + " more until it discards what is needed");
    }
    // Of servers that remove their log by rules of their own.
    const auto headroom = Number(log, "headroom_bytes");
    const std::string state = Text(log, "state");
    if (headroom && state != "lost") {
      const auto age = Number(log, "headroom_seconds");
      kept.push_back("the server's log reaches " + HumanBytes(Whole(*headroom)) +
                     (age ? " (" + HumanSeconds(*age) + ")" : "") + " further back than it");
    }
    const auto loss = Number(log, "seconds_until_loss");
    const auto by_age = Number(log, "safe_seconds");
    if (loss && by_age && *loss >= *by_age) {
      kept.push_back("by its age " + HumanSeconds(*loss) + " until it discards what is needed");
    } else if (loss) {
      kept.push_back("at this pace in " + HumanSeconds(*loss));
    }
    if (!state.empty() && state != "reserved")
      kept.push_back((headroom ? "log " : "slot ") + state);
    // Without a state the look was from before there was anything to read.
    if (!state.empty() && At(log, "active") == false) kept.push_back("no session reads it");
    if (!kept.empty()) {
      constexpr double kDay = 86'400;
      const bool danger = (loss && (!by_age || *loss < kDay)) || state == "lost" ||
                          state == "unreserved" || state == "missing";
      Note(danger ? palette_.yellow : palette_.dim, Join(kept));
    }
    if (const std::string why = Text(log, "explanation"); !why.empty()) Note(palette_.yellow, why);
  }

  void Sink(const ordered_json& sink) {
    std::vector<std::string> facts;
    std::string offsets;
    for (const auto& [partition, offset] : At(sink, "offsets").items()) {
      const std::string text = offset.is_number() ? HumanCount(offset.get<uint64_t>()) : "?";
      offsets += (offsets.empty() ? "" : " ") +
                 (At(sink, "offsets").size() == 1 ? text : partition + ":" + text);
    }
    facts.push_back(offsets.empty() ? "not begun yet" : "offset " + offsets);
    const auto records = Number(sink, "lag_records");
    const auto seconds = Number(sink, "lag_seconds");
    facts.push_back(
        Behind({records ? std::optional(Counted(Whole(*records), "record")) : std::nullopt,
                seconds ? std::optional(HumanSeconds(*seconds)) : std::nullopt},
               records.value_or(0) == 0 && seconds.value_or(0) == 0));
    Head("sink", sink, facts);
    Accounting(sink);
    Trouble(sink);
    StoppedTables(sink);
    DeadLetters(sink);
  }

  // Where each record went that the sink read since the process started.
  void Accounting(const ordered_json& sink) {
    const auto read = Number(sink, "read");
    if (!read || *read == 0) return;
    std::vector<std::string> parts;
    double sum = 0;
    for (const char* part : {"applied", "superseded", "filtered", "dead", "parked", "waiting"}) {
      const double count = Number(sink, part).value_or(0);
      sum += count;
      if (count == 0) continue;
      parts.push_back(HumanCount(Whole(count)) + " " + part);
      const double in_flight = Number(sink, "in_flight").value_or(0);
      if (part == std::string_view("waiting") && in_flight > 0) {
        parts.back() += fmt::format(" ({} in flight)", HumanCount(Whole(in_flight)));
      }
    }
    if (sum != *read) {  // must never be
      Note(palette_.red, fmt::format("{} read, but {} accounted for: {}", HumanCount(Whole(*read)),
                                     HumanCount(Whole(sum)), Join(parts)));
      return;
    }
    std::string text = HumanCount(Whole(*read)) + " read = ";
    for (size_t i = 0; i < parts.size(); ++i) text += (i == 0 ? "" : " + ") + parts[i];
    Note(palette_.dim, text);
  }

  // "table shop public.orders stopped, 40 changes wait: schema_incompatible: …"
  void StoppedTables(const ordered_json& sink) {
    for (const ordered_json& table : At(sink, "stopped_tables")) {
      Note(palette_.red, fmt::format("table {} {} stopped, {} wait: {}: {}", Text(table, "source"),
                                     Text(table, "table"),
                                     Counted(Whole(Number(table, "parked").value_or(0)), "change"),
                                     Text(table, "code"), Text(table, "reason")));
    }
  }

  // "2 dead letters, 40 parked, the oldest 3 h old: http_410 2, key_blocked 40"
  void DeadLetters(const ordered_json& sink) {
    const ordered_json& dead = At(sink, "dead_letters");
    const auto total = Number(dead, "total");
    if (!total || *total == 0) return;
    // Older daemons know dead ones only; base_missing entries are dead ones that nobody has to
    // look after.
    const double parked = Number(sink, "parked_stored").value_or(0);
    const double waiting = Number(sink, "dead_stored").value_or(*total - parked);
    std::vector<std::string> parts;
    if (*total > parked) {
      parts.push_back(Counted(Whole(*total - parked), "dead letter"));
    }
    if (parked > 0) parts.push_back(HumanCount(Whole(parked)) + " parked");
    if (const auto oldest = ParseTimestamp(Text(dead, "oldest_at")); oldest && now_micros_ > 0) {
      parts.push_back(fmt::format("the oldest {} old",
                                  HumanSeconds(static_cast<double>(now_micros_ - *oldest) / 1e6)));
    }
    std::vector<std::string> codes;
    for (const auto& [code, count] : At(dead, "by_code").items()) {
      codes.push_back(fmt::format("{} {}", Printable(code),
                                  HumanCount(count.is_number() ? count.get<uint64_t>() : 0)));
    }
    Note(waiting > 0 ? palette_.red : palette_.yellow,
         fmt::format("{}: {}", Join(parts), Join(codes)));
    Note(palette_.dim, "tailwater dead-letters list " + Text(sink, "name"));
  }

  // "source shop     streaming  at 0/16B3748, 0 B and 0 s behind"
  void Head(std::string_view noun, const ordered_json& part,
            const std::vector<std::string>& facts) {
    const std::string state = State(Text(part, "state"));
    std::vector<std::string> shown;
    for (const std::string& fact : facts) {
      if (!fact.empty()) shown.push_back(fact);
    }
    const std::string name = Text(part, "name");
    out_ += fmt::format("  {:<6} {}{}{}{}  {}{}  {}\n", noun, palette_.bold, name, palette_.off,
                        std::string(name.size() < 16 ? 16 - name.size() : 0, ' '), state,
                        std::string(DisplayWidth(state) < 9 ? 9 - DisplayWidth(state) : 0, ' '),
                        Join(shown));
  }

  std::string Behind(const std::vector<std::optional<std::string>>& parts, bool none) {
    std::string out;
    for (const auto& part : parts) {
      if (part) out += (out.empty() ? "" : " and ") + *part;
    }
    if (out.empty()) return "lag unknown";
    return fmt::format("{}{} behind{}", none ? palette_.green : palette_.yellow, out, palette_.off);
  }

  std::string State(const std::string& state) {
    std::string_view colour = palette_.yellow;
    if (state == "running" || state == "streaming") colour = palette_.green;
    if (state == "unknown" || state == "stopped") colour = palette_.dim;
    if (state == "halted" || state == "gap" || state == "failed" || state == "needs_operator" ||
        state == "waiting_operator") {
      colour = palette_.red;
    }
    return fmt::format("{}{}{}", colour, state, palette_.off);
  }

  void Trouble(const ordered_json& part) {
    const std::string code = Text(part, "code");
    if (code.empty()) return;
    std::string text = fmt::format("{}: {}", code, Text(part, "message"));
    if (const std::string id = Text(part, "record_id"); !id.empty()) text += " (record " + id + ")";
    if (const auto next = ParseTimestamp(Text(part, "next_retry_at"))) {
      text += fmt::format("; tries again in {}",
                          HumanSeconds(static_cast<double>(*next - now_micros_) / 1e6));
    }
    Note(palette_.red, text);
  }

  void Note(std::string_view colour, const std::string& text) {
    constexpr size_t kIndent = 9;
    for (const std::string& line : Wrapped(text, width_ > 40 + kIndent ? width_ - kIndent : 40)) {
      out_ += fmt::format("{:{}}{}{}{}\n", "", kIndent, colour, line, palette_.off);
    }
  }

  const ordered_json& document_;
  const Palette& palette_;
  const size_t width_;
  int64_t now_micros_ = 0;
  std::string out_;
};

}  // namespace

std::string StatusText(const ordered_json& document, const Palette& palette, size_t width) {
  return StatusPrinter(document, palette, width).Print();
}

}  // namespace tailwater
