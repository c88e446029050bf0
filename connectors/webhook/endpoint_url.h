// The URL of a receiver, taken apart as far as the configuration is checked by it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tailwater::webhook {

struct EndpointUrl {
  std::string text;  // as configured; path and query may be secret: never printed
  bool tls = false;
  std::string host;  // an IPv6 address without its brackets
  uint16_t port = 0;

  // host:port, for messages, logs and metrics.
  std::string label() const;
  // The problem in words if it is no http or https URL.
  static std::optional<EndpointUrl> Parse(std::string_view text, std::string& problem);
};

}  // namespace tailwater::webhook
