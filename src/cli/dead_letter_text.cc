#include "cli/dead_letter_text.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "support/text.h"
#include "util/timestamp.h"

namespace tailwater {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kShortestTable = 12;

std::string Text(const Json& json, const char* key) {
  const auto found = json.is_object() ? json.find(key) : json.end();
  if (!json.is_object() || found == json.end()) return {};
  if (found->is_string()) return Printable(found->get_ref<const std::string&>());
  return found->is_number_integer() ? found->dump() : std::string();
}

std::string Age(const Json& letter, int64_t now_micros) {
  const auto first = ParseTimestamp(Text(letter, "first_seen_at"));
  if (!first || now_micros == 0) return "?";
  return HumanSeconds(static_cast<double>(now_micros - *first) / 1e6);
}

std::string Coloured(std::string_view colour, const std::string& text, const Palette& palette) {
  return fmt::format("{}{}{}", colour, text, palette.off);
}

std::string State(const Json& letter, const Palette& palette) {
  const std::string state = Text(letter, "state");
  return Coloured(state == "dead" ? palette.red : palette.yellow, state, palette);
}

std::vector<std::string> Lines(const std::string& text) {
  std::vector<std::string> lines;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = text.find('\n', begin);
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

}  // namespace

std::string DeadLetterTableText(const std::vector<Json>& letters, int64_t now_micros,
                                const Palette& palette, size_t width) {
  std::set<std::string> sources;
  for (const Json& letter : letters) sources.insert(Text(letter, "source"));
  const auto table_of = [&](const Json& letter) {
    return (sources.size() > 1 ? Text(letter, "source") + ":" : "") + Text(letter, "table");
  };
  const auto lay_out = [&](size_t table_width) {
    TextTable table(0);
    std::vector<std::string> head;
    for (const char* title : {"ID", "TABLE", "STATE", "CODE", "TRIES", "AGE"}) {
      head.push_back(Coloured(palette.dim, title, palette));
    }
    table.Add(std::move(head));
    for (const Json& letter : letters) {
      table.Add({Coloured(palette.bold, Text(letter, "id"), palette),
                 Shortened(table_of(letter), table_width), State(letter, palette),
                 Text(letter, "code"), Text(letter, "attempts"), Age(letter, now_micros)});
    }
    return Lines(table.ToString());
  };
  std::vector<std::string> lines = lay_out(0);
  size_t widest = 0;
  for (const std::string& line : lines) widest = std::max(widest, DisplayWidth(line));
  if (width > 0 && widest > width) {
    size_t longest = 0;
    for (const Json& letter : letters) longest = std::max(longest, DisplayWidth(table_of(letter)));
    const size_t over = widest - width;
    lines = lay_out(longest > over + kShortestTable ? longest - over : kShortestTable);
  }
  std::string out = lines[0] + "\n";
  for (size_t i = 0; i < letters.size(); ++i) {
    out += lines[i + 1] + "\n";
    if (const std::string reason = Text(letters[i], "reason"); !reason.empty()) {
      out += fmt::format(
          "  {}\n",
          Coloured(palette.dim, Shortened(reason, width > 20 ? width - 2 : width), palette));
    }
  }
  return out;
}

std::string DeadLetterText(const Json& letter, const Palette& palette, size_t width) {
  constexpr size_t kIndent = 11;
  const auto now = ParseTimestamp(Text(letter, "now"));
  std::string out = fmt::format(
      "{}  {}\n", Coloured(palette.bold, Text(letter, "id"), palette),
      fmt::format("in sink {} of pipeline {}", Text(letter, "sink"), Text(letter, "pipeline")));
  const auto add = [&](const char* name, const std::string& text) {
    bool first = true;
    for (const std::string& line :
         Wrapped(text, width > 40 + kIndent ? width - kIndent : (width == 0 ? 0 : 40))) {
      out += fmt::format("  {}{:<{}}{}{}\n", palette.dim, first ? name : "", kIndent - 2,
                         palette.off, line);
      first = false;
    }
  };
  const bool dead = Text(letter, "state") == "dead";
  const bool blocks = letter.is_object() && letter.value("blocks_key", false);
  add("state",
      State(letter, palette) +
          (dead ? (blocks ? ": waits for replay or drop, later changes of its key behind it"
                          : ": waits for replay or drop; later changes of its key went on")
                : ": is tried again by itself, in order of its key"));
  add("table", Text(letter, "source") + ":" + Text(letter, "table"));
  add("code", Text(letter, "code"));
  add("reason", Text(letter, "reason"));
  add("attempts", Text(letter, "attempts"));
  add("since",
      fmt::format("{} ({} ago)", Text(letter, "first_seen_at"), Age(letter, now.value_or(0))));
  add("place", Text(letter, "place") + " in the topic, version " + Text(letter, "version"));
  if (const auto raw = letter.find("raw"); raw != letter.end()) {
    // Not wrapped: it is to be copied.
    out += fmt::format("  {0}key{1}      {2}\n  {0}value{1}    {3}\n", palette.dim, palette.off,
                       Text(*raw, "key"), Text(*raw, "value"));
  }
  if (const auto error = letter.find("change_error"); error != letter.end()) {
    add("change",
        fmt::format("cannot be shown: {} ({})", Text(*error, "message"), Text(*error, "code")));
  } else if (const auto change = letter.find("change"); change != letter.end()) {
    add("change", " ");
    // JSON escapes control characters below U+0020 only.
    for (const std::string& line :
         Lines(change->dump(2, ' ', false, Json::error_handler_t::replace) + "\n")) {
      out += Printable(line) + "\n";
    }
  }
  return out;
}

}  // namespace tailwater
