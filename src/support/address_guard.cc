#include "support/address_guard.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "support/text.h"

namespace tailwater {
namespace {

using Address = std::array<uint8_t, 16>;

constexpr size_t kIpv4Offset = 12;  // where an IPv4 address stands in its IPv4-mapped form

Address Mapped(const void* ipv4) {
  Address address{};
  address[10] = address[11] = 0xff;
  std::memcpy(&address[kIpv4Offset], ipv4, 4);
  return address;
}

std::optional<Address> ParseAddress(const std::string& text) {
  Address address{};
  if (in_addr ipv4{}; inet_pton(AF_INET, text.c_str(), &ipv4) == 1) return Mapped(&ipv4);
  if (inet_pton(AF_INET6, text.c_str(), address.data()) == 1) return address;
  return std::nullopt;
}

bool IsMapped(const Address& address) {
  static const AddressRange kMapped = *AddressRange::Parse("::ffff:0:0/96");
  return kMapped.Contains(address);
}

std::string ToText(const Address& address) {
  char text[INET6_ADDRSTRLEN];
  const bool ipv4 = IsMapped(address);
  inet_ntop(ipv4 ? AF_INET : AF_INET6, ipv4 ? &address[kIpv4Offset] : address.data(), text,
            sizeof text);
  return text;
}

enum class Opened : uint8_t {
  kByAnyRange,
  kByItsOwnRange,  // 0.0.0.0/0 is not enough: what is there gives out credentials
};

struct SpecialRange {
  std::string_view text;
  std::string_view what;
  Opened opened;
  AddressRange range;

  SpecialRange(std::string_view range_text, std::string_view purpose,
               Opened by = Opened::kByAnyRange)
      : text(range_text), what(purpose), opened(by), range(*AddressRange::Parse(range_text)) {}
};

// The IANA registries of special-purpose addresses, and what they leave out because it was never
// meant for use. The first that holds an address names it, so narrower ones come first. What
// carries an IPv4 address that a relay somewhere else unwraps is refused whole.
const std::vector<SpecialRange>& SpecialRanges() {
  static const std::vector<SpecialRange> kRanges = {
      {"0.0.0.0/8", "this host"},
      {"10.0.0.0/8", "private network"},
      {"100.100.100.200/32", "cloud metadata", Opened::kByItsOwnRange},
      {"100.64.0.0/10", "shared address space of providers"},
      {"127.0.0.0/8", "loopback"},
      {"169.254.0.0/16", "link-local, cloud metadata", Opened::kByItsOwnRange},
      {"168.63.129.16/32", "cloud metadata", Opened::kByItsOwnRange},
      {"172.16.0.0/12", "private network"},
      {"192.0.0.0/24", "protocol assignments"},
      {"192.0.2.0/24", "documentation"},
      {"192.88.99.0/24", "6to4 relays"},
      {"192.168.0.0/16", "private network"},
      {"198.18.0.0/15", "benchmarking"},
      {"198.51.100.0/24", "documentation"},
      {"203.0.113.0/24", "documentation"},
      {"224.0.0.0/4", "multicast"},
      {"255.255.255.255/32", "broadcast"},
      {"240.0.0.0/4", "reserved"},
      {"::/128", "this host"},
      {"::1/128", "loopback"},
      {"::/96", "IPv4-compatible, long withdrawn"},
      {"64:ff9b:1::/48", "NAT64 inside a network"},
      {"100::/64", "discard only"},
      {"2001::/32", "Teredo tunnels"},
      {"2001::/23", "protocol assignments"},
      {"2001:db8::/32", "documentation"},
      {"2002::/16", "6to4 tunnels"},
      {"3fff::/20", "documentation"},
      {"5f00::/16", "segment routing"},
      {"fd00:ec2::254/128", "cloud metadata", Opened::kByItsOwnRange},
      {"fc00::/7", "private network"},
      {"fe80::/10", "link-local"},
      {"fec0::/10", "site-local, long withdrawn"},
      {"ff00::/8", "multicast"},
  };
  return kRanges;
}

// The text of a URL's host as a resolver would see it: without brackets, percent-escapes, zone and
// the dot at the end.
std::string Unwrapped(std::string_view host) {
  const bool bracketed = host.starts_with('[') && host.ends_with(']');
  if (bracketed) host = host.substr(1, host.size() - 2);
  std::string text;
  for (size_t i = 0; i < host.size(); ++i) {
    unsigned value = 0;
    if (host[i] == '%' && !bracketed && i + 2 < host.size() &&
        std::from_chars(&host[i + 1], &host[i + 1] + 2, value, 16).ptr == &host[i + 1] + 2) {
      text.push_back(static_cast<char>(value));
      i += 2;
    } else {
      text.push_back(host[i]);
    }
  }
  if (const size_t zone = text.find('%'); zone != std::string::npos) text.resize(zone);
  if (text.ends_with('.')) text.pop_back();
  return text;
}

}  // namespace

std::optional<AddressRange> AddressRange::Parse(std::string_view text) {
  const size_t slash = text.find('/');
  const std::optional<Address> address = ParseAddress(std::string(text.substr(0, slash)));
  if (!address) return std::nullopt;
  // Written as IPv4, not as IPv4-mapped: the prefix counts from the IPv4 address's first bit.
  const bool ipv4 = text.find(':') == std::string_view::npos;
  const int bits = ipv4 ? 32 : 128;
  int prefix = bits;
  if (slash != std::string_view::npos) {
    const std::string_view digits = text.substr(slash + 1);
    const auto [end, error] = std::from_chars(digits.begin(), digits.end(), prefix);
    if (error != std::errc() || end != digits.end() || prefix < 0 || prefix > bits) {
      return std::nullopt;
    }
  }
  AddressRange range{*address, prefix + 128 - bits};
  // An address with bits behind its prefix says two things at once.
  for (int bit = range.prefix; bit < 128; ++bit) {
    if (range.address[static_cast<size_t>(bit / 8)] & (0x80 >> bit % 8)) return std::nullopt;
  }
  return range;
}

bool AddressRange::Contains(const std::array<uint8_t, 16>& other) const {
  const auto whole = static_cast<size_t>(prefix / 8);
  if (std::memcmp(address.data(), other.data(), whole) != 0) return false;
  if (prefix % 8 == 0) return true;
  const auto mask = static_cast<uint8_t>(0xff << (8 - prefix % 8));
  return ((address[whole] ^ other[whole]) & mask) == 0;
}

std::string AddressGuard::Refusal(const sockaddr& address) const {
  Address whole{};
  if (address.sa_family == AF_INET) {
    whole = Mapped(&reinterpret_cast<const sockaddr_in&>(address).sin_addr);
  } else if (address.sa_family == AF_INET6) {
    std::memcpy(whole.data(), &reinterpret_cast<const sockaddr_in6&>(address).sin6_addr, 16);
  } else {
    return fmt::format("address family {} is neither IPv4 nor IPv6: use an http or https URL",
                       address.sa_family);
  }
  // NAT64's well-known prefix leads to the IPv4 address at its end, whichever relay takes it.
  static const AddressRange kNat64 = *AddressRange::Parse("64:ff9b::/96");
  const bool translated = kNat64.Contains(whole);
  const Address judged = translated ? Mapped(&whole[kIpv4Offset]) : whole;
  const auto allowed = [&](int least_prefix) {
    return std::ranges::any_of(allowed_, [&](const AddressRange& range) {
      return range.prefix >= least_prefix && (range.Contains(judged) || range.Contains(whole));
    });
  };
  std::string name = ToText(whole);
  if (translated) name += fmt::format(" ({} by NAT64)", ToText(judged));

  for (const SpecialRange& special : SpecialRanges()) {
    if (!special.range.Contains(judged)) continue;
    if (allowed(special.opened == Opened::kByItsOwnRange ? special.range.prefix : 0)) return {};
    return fmt::format(
        "{} is in {} ({}): if the target is meant to be there, allow it with "
        "allow_addresses: [{}] or a narrower range",
        name, special.text, special.what, special.text);
  }
  static const AddressRange kGlobalUnicast = *AddressRange::Parse("2000::/3");
  if (!IsMapped(judged) && !kGlobalUnicast.Contains(judged) && !allowed(0)) {
    return fmt::format(
        "{} is outside 2000::/3, the public addresses of IPv6: if the target is meant to be "
        "there, allow it with allow_addresses: [{}]",
        name, name);
  }
  return {};
}

std::optional<std::string> AddressGuard::RefusalOfLiteral(std::string_view host) const {
  const std::string text = Unwrapped(host);
  // The resolver itself reads the number, so that no form of writing it is missed; it asks nobody.
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (text.empty() || text.find('\0') != std::string::npos ||
      getaddrinfo(text.c_str(), nullptr, &hints, &found) != 0) {
    return std::nullopt;
  }
  std::string refusal = Refusal(*found->ai_addr);
  freeaddrinfo(found);
  return refusal;
}

}  // namespace tailwater
