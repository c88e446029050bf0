#include "cli/output.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "cli/exit_code.h"
#include "support/text.h"

namespace tailwater {

Palette Palette::For(int file_descriptor) {
  const char* no_color = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  if (isatty(file_descriptor) == 0 || (no_color != nullptr && *no_color != '\0') ||
      (terminal != nullptr && std::string_view(terminal) == "dumb")) {
    return {};
  }
  return {"\x1b[1m",  "\x1b[2m",  "\x1b[31m", "\x1b[32m",
          "\x1b[33m", "\x1b[34m", "\x1b[36m", "\x1b[0m"};
}

size_t TerminalWidth(int file_descriptor) {
  winsize size{};
  if (isatty(file_descriptor) == 0 || ioctl(file_descriptor, TIOCGWINSZ, &size) != 0) return 0;
  return size.ws_col;
}

std::string Printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    // U+0080 to U+009F are control characters too; in UTF-8 they begin with C2.
    const bool c1 =
        c == 0xC2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xA0;
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c < 0x20 || c == 0x7f) {
      out += fmt::format("\\x{:02x}", c);
    } else if (c1) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned char>(text[++i]));
    } else {
      out += text[i];
    }
  }
  return out;
}

namespace {

// Calls `each` for every character: (begin, end, whether it takes room).
template <class Each>
void ForEachCharacter(std::string_view text, Each each) {
  for (size_t i = 0; i < text.size();) {
    size_t end = i + 1;
    if (text[i] == '\x1b') {
      end = text.find('m', i);
      end = end == text.npos ? text.size() : end + 1;
      if (!each(i, end, false)) return;
    } else {
      while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) ++end;
      if (!each(i, end, true)) return;
    }
    i = end;
  }
}

}  // namespace

size_t DisplayWidth(std::string_view text) {
  size_t width = 0;
  ForEachCharacter(text, [&](size_t, size_t, bool shown) {
    width += shown ? 1 : 0;
    return true;
  });
  return width;
}

std::string Shortened(std::string text, size_t width) {
  if (width == 0 || DisplayWidth(text) <= width) return text;
  size_t seen = 0;
  size_t cut = text.size();
  ForEachCharacter(text, [&](size_t begin, size_t, bool shown) {
    if (shown && ++seen == width) {
      cut = begin;
      return false;
    }
    return true;
  });
  text.resize(cut);
  return text + "…";
}

std::vector<std::string> Wrapped(std::string_view text, size_t width) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const size_t line_end = std::min(text.find('\n'), text.size());
    std::string_view paragraph = text.substr(0, line_end);
    text = line_end < text.size() ? text.substr(line_end + 1) : std::string_view();
    std::string line;
    while (!paragraph.empty()) {
      const size_t end = std::min(paragraph.find(' '), paragraph.size());
      const std::string_view word = paragraph.substr(0, end);
      if (width > 0 && !line.empty() && DisplayWidth(line) + 1 + DisplayWidth(word) > width) {
        lines.push_back(std::move(line));
        line.clear();
      }
      if (!line.empty()) line += ' ';
      line += word;
      paragraph = end < paragraph.size() ? paragraph.substr(end + 1) : std::string_view();
    }
    lines.push_back(std::move(line));
  }
  return lines;
}

std::string HumanBytes(uint64_t bytes) {
  static constexpr std::string_view kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < std::size(kUnits)) {
    value /= 1024;
    ++unit;
  }
  return unit > 0 && value < 10 ? fmt::format("{:.1f} {}", value, kUnits[unit])
                                : fmt::format("{:.0f} {}", value, kUnits[unit]);
}

std::string HumanCount(uint64_t count) {
  std::string digits = std::to_string(count);
  for (size_t at = digits.size(); at > 3;) {
    at -= 3;
    digits.insert(at, ",");
  }
  return digits;
}

std::string HumanSeconds(double seconds) {
  if (seconds <= 0) return "0 s";
  if (seconds < 1) return fmt::format("{:.0f} ms", std::max(1.0, seconds * 1000));
  if (seconds < 10) return fmt::format("{:.1f} s", seconds);
  if (seconds < 120) return fmt::format("{:.0f} s", seconds);
  if (seconds < 2 * 3600) return fmt::format("{:.0f} min", seconds / 60);
  if (seconds < 48 * 3600) return fmt::format("{:.0f} h", seconds / 3600);
  return fmt::format("{:.0f} d", seconds / 86400);
}

std::string Counted(uint64_t count, std::string_view noun) {
  return fmt::format("{} {}{}", HumanCount(count), noun, count == 1 ? "" : "s");
}

std::string TextTable::ToString() const {
  std::vector<size_t> widths;
  for (const auto& row : rows_) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i + 1 < row.size(); ++i) {
      widths[i] = std::max(widths[i], DisplayWidth(row[i]));
    }
  }
  std::string out;
  for (const auto& row : rows_) {
    std::string line(indent_, ' ');
    for (size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      if (i + 1 < row.size()) line.append(widths[i] - DisplayWidth(row[i]) + 2, ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + '\n';
  }
  return out;
}

int ReportError(const Error& error) {
  const Palette palette = Palette::For(STDERR_FILENO);
  fmt::print(stderr, "{}tailwater: {}{} ({})\n", palette.red, Printable(error.message), palette.off,
             error.code);
  return ExitCodeFor(error.disposition);
}

}  // namespace tailwater
