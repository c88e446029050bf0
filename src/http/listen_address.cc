#include "http/listen_address.h"

#include <arpa/inet.h>

#include <charconv>

#include "support/text.h"

namespace tailwater {

bool IsLoopback(const std::string& host) {
  in_addr v4{};
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  in6_addr v6{};
  if (inet_pton(AF_INET6, host.c_str(), &v6) == 1) return IN6_IS_ADDR_LOOPBACK(&v6) != 0;
  return host == "localhost";
}

std::string ListenAddress::ToString() const {
  return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port)
                                             : fmt::format("[{}]:{}", host, port);
}

Result<ListenAddress> ParseListenAddress(const std::string& text) {
  const Error invalid{
      Disposition::kNeedsOperator, "listen_invalid",
      fmt::format("'{}' is no address to listen on; write HOST:PORT, for example 127.0.0.1:4680",
                  text)};
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos) return invalid;
  std::string host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
    in6_addr v6{};
    if (inet_pton(AF_INET6, host.c_str(), &v6) != 1) return invalid;
  } else if (host.find_first_of(":[]/ ") != std::string::npos) {
    return invalid;
  }
  if (host.empty()) host = "0.0.0.0";

  ListenAddress address{host, 0, IsLoopback(host)};
  const char* const end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data() + colon + 1, end, address.port);
  if (parsed.ec != std::errc() || parsed.ptr != end) return invalid;
  return address;
}

}  // namespace tailwater
