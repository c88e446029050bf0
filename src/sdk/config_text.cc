// From typed values to what help and reference.yaml show.
#include <algorithm>
#include <charconv>

#include "tailwater/config.h"

namespace tailwater {
namespace {

// Whether YAML would read the text as something else if it stood there bare.
bool NeedsQuotes(const std::string& text) {
  if (text.empty() || text.front() == ' ' || text.back() == ' ') return true;
  if (std::string_view("-?:,[]{}#&*!|>'\"%@`~").find(text.front()) != std::string_view::npos) {
    return true;
  }
  if (text == "true" || text == "false" || text == "null") return true;
  if (text.find(": ") != text.npos || text.find(" #") != text.npos || text.back() == ':') {
    return true;
  }
  return std::any_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 ||
           std::string_view(",[]{}\"").find(c) != std::string_view::npos;
  });
}

std::string Quoted(const std::string& text) {
  if (!NeedsQuotes(text)) return text;
  std::string out = "\"";
  for (const char c : text) {
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
  }
  return out + '"';
}

}  // namespace

std::string ConfigText(const std::string& value) { return value.empty() ? "" : Quoted(value); }
std::string ConfigText(bool value) { return value ? "true" : "false"; }
std::string ConfigText(int64_t value) { return std::to_string(value); }
std::string ConfigText(int32_t value) { return std::to_string(value); }
std::string ConfigText(uint32_t value) { return std::to_string(value); }

std::string ConfigText(double value) {
  char buffer[32];
  const auto result = std::to_chars(buffer, buffer + sizeof(buffer), value);
  return {buffer, result.ptr};
}

std::string ConfigText(std::chrono::milliseconds value) {
  const int64_t count = value.count();
  if (count == 0) return "0s";
  if (count % 86'400'000 == 0) return std::to_string(count / 86'400'000) + "d";
  if (count % 3'600'000 == 0) return std::to_string(count / 3'600'000) + "h";
  if (count % 60'000 == 0) return std::to_string(count / 60'000) + "m";
  if (count % 1000 == 0) return std::to_string(count / 1000) + "s";
  return std::to_string(count) + "ms";
}

std::string ConfigText(std::chrono::seconds value) {
  return ConfigText(std::chrono::milliseconds(value));
}

std::string ConfigText(const ByteSize& value) {
  static constexpr std::pair<std::string_view, uint64_t> kUnits[] = {
      {"TiB", 1ull << 40},      {"GiB", 1ull << 30},  {"MiB", 1ull << 20}, {"KiB", 1ull << 10},
      {"GB", 1'000'000'000ull}, {"MB", 1'000'000ull}, {"kB", 1000ull}};
  if (value.bytes != 0) {
    for (const auto& [unit, factor] : kUnits) {
      if (value.bytes % factor == 0)
        return std::to_string(value.bytes / factor) + std::string(unit);
    }
  }
  return std::to_string(value.bytes);
}

std::string ConfigText(const Secret& value) { return value.ToString(); }

std::string ConfigText(const std::vector<std::string>& value) {
  std::string out = "[";
  for (const std::string& item : value) out += (out.size() == 1 ? "" : ", ") + Quoted(item);
  return out + "]";
}

std::string_view ConfigTypeName(const std::string*) { return "text"; }
std::string_view ConfigTypeName(const bool*) { return "true or false"; }
std::string_view ConfigTypeName(const int64_t*) { return "whole number"; }
std::string_view ConfigTypeName(const int32_t*) { return "whole number"; }
std::string_view ConfigTypeName(const uint32_t*) { return "whole number"; }
std::string_view ConfigTypeName(const double*) { return "number"; }
std::string_view ConfigTypeName(const std::chrono::milliseconds*) { return "duration"; }
std::string_view ConfigTypeName(const std::chrono::seconds*) { return "duration"; }
std::string_view ConfigTypeName(const ByteSize*) { return "size"; }
std::string_view ConfigTypeName(const Secret*) { return "secret"; }
std::string_view ConfigTypeName(const std::vector<std::string>*) { return "list of text"; }

}  // namespace tailwater
