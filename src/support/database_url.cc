#include "support/database_url.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "support/text.h"

namespace tailwater {
namespace {

// Percent-decoded; false if it is malformed.
bool Decode(std::string_view text, std::string& out) {
  out.clear();
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out.push_back(text[i]);
      continue;
    }
    unsigned value = 0;
    if (i + 2 >= text.size()) return false;
    const auto [end, error] = std::from_chars(&text[i + 1], &text[i + 1] + 2, value, 16);
    if (error != std::errc() || end != &text[i + 1] + 2) return false;
    out.push_back(static_cast<char>(value));
    i += 2;
  }
  return true;
}

}  // namespace

bool ParsePort(std::string_view text, uint32_t& port) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc() && end == text.data() + text.size();
}

bool IsThisHost(const std::string& host) {
  return host.empty() || host[0] == '/' || host[0] == '@' || host == "localhost" || host == "::1" ||
         host.rfind("127.", 0) == 0;
}

std::optional<DatabaseUrl> ParseDatabaseUrl(std::string_view url,
                                            const std::vector<std::string_view>& schemes,
                                            std::string_view example, std::string& problem) {
  const auto fail = [&](std::string text) {
    problem = std::move(text);
    return std::nullopt;
  };
  std::string_view rest = url;
  const auto scheme = std::find_if(schemes.begin(), schemes.end(), [&](std::string_view each) {
    return rest.substr(0, each.size()) == each;
  });
  if (scheme == schemes.end()) return fail(fmt::format("write {}", example));
  rest.remove_prefix(scheme->size());

  DatabaseUrl result;
  std::string_view parameters;
  if (const size_t mark = rest.find('?'); mark != std::string_view::npos) {
    parameters = rest.substr(mark + 1);
    rest = rest.substr(0, mark);
  }
  const size_t slash = rest.find('/');
  std::string_view authority = rest.substr(0, slash);
  if (const size_t at = authority.rfind('@'); at != std::string_view::npos) {
    const std::string_view user = authority.substr(0, at);
    if (user.find(':') != std::string_view::npos)
      return fail("holds a password; URLs are printed, so set `password: ${env:NAME}`");
    if (!Decode(user, result.user)) return fail("bad %-code in the user's name");
    authority.remove_prefix(at + 1);
  }
  size_t colon = authority.rfind(':');
  if (!authority.empty() && authority[0] == '[') {  // [::1]:5432
    const size_t close = authority.find(']');
    if (close == std::string_view::npos) return fail("no ']' behind the address");
    result.host = std::string(authority.substr(1, close - 1));
    colon = close + 1 < authority.size() && authority[close + 1] == ':' ? close + 1
                                                                        : std::string_view::npos;
  } else if (!Decode(authority.substr(0, colon), result.host)) {
    return fail("bad %-code in the host's name");
  }
  if (result.host.empty()) result.host = "localhost";
  if (colon != std::string_view::npos) {
    uint32_t port = 0;
    if (!ParsePort(authority.substr(colon + 1), port))
      return fail(fmt::format("'{}' is no port", authority.substr(colon + 1)));
    result.port = port;
  }
  while (!parameters.empty()) {
    const std::string_view parameter = parameters.substr(0, parameters.find('&'));
    parameters.remove_prefix(std::min(parameters.size(), parameter.size() + 1));
    const size_t equals = std::min(parameter.find('='), parameter.size());
    std::string value;
    if (!Decode(parameter.substr(std::min(equals + 1, parameter.size())), value))
      return fail(fmt::format("bad %-code in '{}'", parameter.substr(0, equals)));
    result.parameters.emplace_back(parameter.substr(0, equals), std::move(value));
  }
  if (slash != std::string_view::npos && !Decode(rest.substr(slash + 1), result.database))
    return fail("bad %-code in the database's name");
  return result;
}

}  // namespace tailwater
