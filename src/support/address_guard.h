// Which addresses a configured URL may lead to: the guard against requests forged by whoever can
// write a URL, a DNS record or a redirect.
//
// Refused unless allowed by name: every private, loopback, link-local (cloud metadata), shared,
// multicast, documentation and reserved range of IPv4 and IPv6. IPv4-mapped addresses and NAT64 are
// judged by the IPv4 address inside; IPv4-compatible, 6to4 and Teredo addresses are refused whole.
// Cloud metadata opens only to a range no wider than its own: 0.0.0.0/0 does not open it.
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
  // Nothing if it is not such a text, or if the address has bits behind its prefix (10.1.2.3/8).
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
  // (127.1, 0x7f000001, [::1]); nothing for a name. For early words only: what a connection leads
  // to is judged by Refusal().
  std::optional<std::string> RefusalOfLiteral(std::string_view host) const;

 private:
  std::vector<AddressRange> allowed_;
};

}  // namespace tailwater
