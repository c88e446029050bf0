#include "sdk/expand.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

namespace tailwater {
namespace {

std::string Describe(std::string_view reference) { return "'${" + std::string(reference) + "}'"; }

// Takes the inside of ${…} apart; a problem if it is none that we know.
std::string Split(std::string_view reference, ExpandFiles files, std::string_view& kind,
                  std::string_view& name) {
  const size_t colon = reference.find(':');
  kind = reference.substr(0, colon);
  name = colon == reference.npos ? std::string_view() : reference.substr(colon + 1);
  if (kind == "env" && !name.empty()) return {};
  if (kind == "file" && !name.empty()) {
    if (files == ExpandFiles::kYes) return {};
    return Describe(reference) + " stands for a secret and is not possible here; use ${env:NAME}";
  }
  return Describe(reference) +
         (files == ExpandFiles::kYes ? " is unknown; write ${env:NAME} or ${file:/path}"
                                     : " is unknown; write ${env:NAME}") +
         ", or $${ for a plain ${";
}

std::string LookUp(std::string_view kind, std::string_view name, std::string& out) {
  const std::string text(name);
  if (kind == "env") {
    const char* value = std::getenv(text.c_str());
    if (value == nullptr) return "the environment variable " + text + " is not set";
    out += value;
    return {};
  }
  std::ifstream file(text, std::ios::binary);
  std::ostringstream content;
  if (file && file.peek() != std::ifstream::traits_type::eof()) content << file.rdbuf();
  if (!file.is_open() || file.bad()) {
    return "the file " + text + " cannot be read: " + std::strerror(errno);
  }
  std::string value = content.str();
  if (value.ends_with('\n')) value.pop_back();
  if (value.ends_with('\r')) value.pop_back();
  out += value;
  return {};
}

enum class Mode : bool { kCheck, kExpand };

Expansion Walk(std::string_view expression, ExpandFiles files, Mode mode) {
  Expansion result;
  size_t at = 0;
  while (at < expression.size()) {
    const size_t next = expression.find('$', at);
    result.text += expression.substr(at, next == expression.npos ? next : next - at);
    if (next == expression.npos) break;
    const std::string_view rest = expression.substr(next);
    if (rest.starts_with("$${")) {
      result.text += "${";
      at = next + 3;
    } else if (!rest.starts_with("${")) {
      result.text += '$';
      at = next + 1;
    } else {
      const size_t end = rest.find('}');
      if (end == rest.npos) {
        result.problem = "'${' has no closing '}'; write $${ for a plain ${";
        return result;
      }
      std::string_view kind;
      std::string_view name;
      result.problem = Split(rest.substr(2, end - 2), files, kind, name);
      if (result.problem.empty() && mode == Mode::kExpand) {
        result.problem = LookUp(kind, name, result.text);
      }
      if (!result.problem.empty()) return result;
      at = next + end + 1;
    }
  }
  return result;
}

}  // namespace

Expansion Expand(std::string_view expression, ExpandFiles files) {
  return Walk(expression, files, Mode::kExpand);
}

std::string CheckExpansion(std::string_view expression, ExpandFiles files) {
  return Walk(expression, files, Mode::kCheck).problem;
}

}  // namespace tailwater
