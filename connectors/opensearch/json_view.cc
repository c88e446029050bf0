#include "opensearch/json_view.h"

#include <rapidjson/document.h>
#include <rapidjson/memorystream.h>

#include <charconv>

#include "support/change_json.h"
#include "support/json_text.h"

namespace tailwater::opensearch {
namespace {

struct NoOutput {
  using Ch = char;
  void Put(char) {}
};

bool IsBlank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

}  // namespace

std::optional<JsonView> JsonView::Parse(std::string_view text) {
  if (!IsJsonText(text)) return std::nullopt;
  while (!text.empty() && IsBlank(text.front())) text.remove_prefix(1);
  while (!text.empty() && IsBlank(text.back())) text.remove_suffix(1);
  return JsonView(text);
}

std::string JsonView::Text() const {
  if (!is_string()) return std::string(raw_);
  const std::string_view inside = raw_.substr(1, raw_.size() - 2);
  if (inside.find('\\') == inside.npos) return std::string(inside);
  rapidjson::Document document;
  document.Parse(raw_.data(), raw_.size());
  if (document.HasParseError()) return std::string(inside);
  return {document.GetString(), document.GetStringLength()};
}

std::optional<int64_t> JsonView::Integer() const {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(raw_.data(), raw_.data() + raw_.size(), value);
  if (error != std::errc() || end != raw_.data() + raw_.size()) return std::nullopt;
  return value;
}

std::optional<JsonView> JsonView::Find(std::string_view name) const {
  std::optional<JsonView> found;
  ForEachMember([&](const std::string& member, JsonView value) {
    if (!found && member == name) found = value;
  });
  return found;
}

size_t JsonView::SkipBlank(size_t at) const {
  while (IsBlank(raw_[at])) ++at;
  return at;
}

size_t JsonView::ValueEnd(size_t at) const {
  size_t depth = 0;
  for (;;) {
    const char c = raw_[at];
    if (c == '"') {
      for (++at; raw_[at] != '"'; ++at) {
        if (raw_[at] == '\\') ++at;
      }
      ++at;
    } else if (c == '{' || c == '[') {
      ++depth;
      ++at;
    } else if (c == '}' || c == ']') {
      --depth;
      ++at;
    } else if (depth > 0) {
      ++at;
    } else {  // a number, true, false or null
      while (at < raw_.size() &&
             std::string_view(",]} \t\n\r").find(raw_[at]) == std::string_view::npos) {
        ++at;
      }
    }
    if (depth == 0) return at;
  }
}

bool IsUtf8(std::string_view text) {
  rapidjson::MemoryStream in(text.data(), text.size());
  NoOutput out;
  while (in.Tell() < text.size()) {
    if (!rapidjson::UTF8<>::Validate(in, out)) return false;
  }
  return true;
}

void AppendQuoted(std::string_view text, std::string& out) {
  if (AppendTextJson(text, out)) return;
  out += "\"\"";  // not UTF-8: callers have checked
}

}  // namespace tailwater::opensearch
