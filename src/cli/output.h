// How commands speak to people: colours, tables, sizes, durations, values that cannot hurt a
// terminal.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tailwater/result.h"

namespace tailwater {

// Escape sequences, or nothing at all: colours only on a terminal and without NO_COLOR.
struct Palette {
  std::string_view bold, dim, red, green, yellow, blue, cyan, off;
  static Palette For(int file_descriptor);
};

// Columns of the terminal; 0 if it is none.
size_t TerminalWidth(int file_descriptor);

// Text of others made harmless: control characters and escape sequences are shown as \n, \x1b.
std::string Printable(std::string_view text);
// Characters that a terminal shows, escape sequences not counted.
size_t DisplayWidth(std::string_view text);
// At most `width` characters, the last one then being "…". 0 = no limit.
std::string Shortened(std::string text, size_t width);
// Broken between words into lines of at most `width` characters.
std::vector<std::string> Wrapped(std::string_view text, size_t width);

std::string HumanBytes(uint64_t bytes);    // "0 B", "12 KiB", "3.4 GiB"
std::string HumanCount(uint64_t count);    // "1,234,567"
std::string HumanSeconds(double seconds);  // "0 s", "12 ms", "3.2 s", "4 min", "5 h", "3 d"
std::string Counted(uint64_t count, std::string_view noun);  // "1 source", "2 sources"

// Lines up columns. Cells may hold escape sequences.
class TextTable {
 public:
  explicit TextTable(size_t indent) : indent_(indent) {}
  void Add(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  bool empty() const { return rows_.empty(); }
  std::string ToString() const;

 private:
  const size_t indent_;
  std::vector<std::vector<std::string>> rows_;
};

// "tailwater: topic: …", to standard error; returns the exit code for it.
int ReportError(const Error& error);

}  // namespace tailwater
