#include "webhook/endpoint_url.h"

#include <algorithm>
#include <charconv>

#include "support/text.h"

namespace tailwater::webhook {
namespace {

bool IsHostCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '-' || c == '_';
}

}  // namespace

std::string EndpointUrl::label() const {
  const bool bare_ipv6 = host.find(':') != host.npos;
  return fmt::format("{}{}{}:{}", bare_ipv6 ? "[" : "", host, bare_ipv6 ? "]" : "", port);
}

std::optional<EndpointUrl> EndpointUrl::Parse(std::string_view text, std::string& problem) {
  EndpointUrl url;
  url.text = text;
  const auto refuse = [&](std::string why) {
    problem = std::move(why);
    return std::nullopt;
  };
  if (std::any_of(text.begin(), text.end(), [](char c) { return c <= 0x20 || c >= 0x7f; })) {
    return refuse(
        "holds a blank, a control character or a letter outside ASCII; write these as %XX");
  }
  if (text.starts_with("https://")) {
    url.tls = true;
    text.remove_prefix(8);
  } else if (text.starts_with("http://")) {
    text.remove_prefix(7);
  } else {
    return refuse("must begin with https:// or http://");
  }
  if (text.find('#') != text.npos)
    return refuse("has a fragment (#…), which is never sent; remove it");
  std::string_view authority = text.substr(0, text.find_first_of("/?"));
  if (authority.find('@') != authority.npos) {
    return refuse(
        "holds a user or password before the @; use bearer_token or headers, which are "
        "never printed");
  }
  if (authority.starts_with('[')) {
    const size_t close = authority.find(']');
    if (close == authority.npos) return refuse("has no ']' behind the address");
    url.host = authority.substr(1, close - 1);
    authority.remove_prefix(close + 1);
    if (!authority.empty() && authority[0] != ':') return refuse("has no port behind the ']'");
    if (url.host.find_first_not_of("0123456789abcdefABCDEF:.") != url.host.npos) {
      return refuse("has no IPv6 address between the brackets");
    }
  } else {
    const size_t colon = authority.find(':');
    url.host = authority.substr(0, colon);
    authority.remove_prefix(std::min(authority.size(), url.host.size()));
    if (!std::all_of(url.host.begin(), url.host.end(), IsHostCharacter)) {
      return refuse("has a host name with a character that no host name has");
    }
  }
  if (url.host.empty()) return refuse("has no host");
  std::transform(url.host.begin(), url.host.end(), url.host.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  url.port = url.tls ? 443 : 80;
  if (authority.size() > 1) {
    const std::string_view digits = authority.substr(1);
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), url.port);
    if (error != std::errc() || end != digits.data() + digits.size() || url.port == 0) {
      return refuse("has no valid port; it must be between 1 and 65535");
    }
  }
  return url;
}

}  // namespace tailwater::webhook
