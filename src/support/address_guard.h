// Which addresses a configured URL may lead to: the guard against requests forged by whoever can
// write a URL, a DNS record or a redirect.
//
// Refused unless allowed by name: every private, loopback, link-local (cloud metadata), shared,
// multicast, documentation and reserved range of IPv4 and IPv6, and their IPv4-mapped,
// IPv4-compatible, 6to4, Teredo and NAT64 forms.
#pragma once

#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tailwater {

// "10.0.0.0/8", "fd00::/8", "127.0.0.1" (= /32).
struct AddressRange {
  std::array<uint8_t, 16> address{};  // IPv4 as IPv4-mapped
  int prefix = 0;                     // of 128 bits
  static std::optional<AddressRange> Parse(std::string_view text);
  bool Contains(const std::array<uint8_t, 16>& other) const;
};

class AddressGuard {
 public:
  // Allows public addresses only.
  AddressGuard() = default;
  explicit AddressGuard(std::vector<AddressRange> allowed) : allowed_(std::move(allowed)) {}

  // Why the address must not be connected to, for people, naming the range and how to allow it;
  // empty if it may be.
  std::string Refusal(const sockaddr& address) const;
  // The same for a URL's host that is written as an address, in any form that a resolver takes
  // (127.1, 0x7f000001, [::1]); nothing for a name.
  std::optional<std::string> RefusalOfLiteral(std::string_view host) const;

 private:
  std::vector<AddressRange> allowed_;
};

}  // namespace tailwater
