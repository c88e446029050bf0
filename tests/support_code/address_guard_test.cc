#include "support/address_guard.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netdb.h>
#include <netinet/in.h>

#include <ostream>
#include <string>
#include <vector>

namespace tailwater {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::string RefusalOf(const AddressGuard& guard, const std::string& address) {
  sockaddr_storage storage{};
  auto& ipv4 = reinterpret_cast<sockaddr_in&>(storage);
  auto& ipv6 = reinterpret_cast<sockaddr_in6&>(storage);
  if (inet_pton(AF_INET, address.c_str(), &ipv4.sin_addr) == 1) {
    storage.ss_family = AF_INET;
  } else {
    EXPECT_EQ(inet_pton(AF_INET6, address.c_str(), &ipv6.sin6_addr), 1) << address;
    storage.ss_family = AF_INET6;
  }
  return guard.Refusal(reinterpret_cast<const sockaddr&>(storage));
}

std::string RefusalOf(const std::string& address) { return RefusalOf(AddressGuard(), address); }

std::vector<AddressRange> Ranges(const std::vector<std::string_view>& texts) {
  std::vector<AddressRange> ranges;
  for (const std::string_view text : texts) ranges.push_back(AddressRange::Parse(text).value());
  return ranges;
}

struct Edge {
  std::string range;
  std::string first;
  std::string last;
  // Just outside, and public; empty where the neighbour is refused as well.
  std::string before;
  std::string after;
};

void PrintTo(const Edge& edge, std::ostream* out) { *out << edge.range; }

class AddressGuardEdgeTest : public testing::TestWithParam<Edge> {};

TEST_P(AddressGuardEdgeTest, RefusesTheRangeAndNothingBeside) {
  const Edge& edge = GetParam();
  for (const std::string& address : {edge.first, edge.last}) {
    EXPECT_THAT(RefusalOf(address),
                AllOf(HasSubstr(address + " is in " + edge.range + " ("),
                      HasSubstr("allow it with allow_addresses: [" + edge.range + "]")));
    EXPECT_EQ(RefusalOf(AddressGuard(Ranges({edge.range})), address), "");
  }
  for (const std::string& address : {edge.before, edge.after}) {
    if (!address.empty()) {
      EXPECT_EQ(RefusalOf(address), "");
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Ipv4, AddressGuardEdgeTest,
    testing::Values(
        Edge{"0.0.0.0/8", "0.0.0.0", "0.255.255.255", "", "1.0.0.0"},
        Edge{"10.0.0.0/8", "10.0.0.0", "10.255.255.255", "9.255.255.255", "11.0.0.0"},
        Edge{"100.64.0.0/10", "100.64.0.0", "100.127.255.255", "100.63.255.255", "100.128.0.0"},
        Edge{"100.100.100.200/32", "100.100.100.200", "100.100.100.200", "", ""},
        Edge{"127.0.0.0/8", "127.0.0.0", "127.255.255.255", "126.255.255.255", "128.0.0.0"},
        Edge{"168.63.129.16/32", "168.63.129.16", "168.63.129.16", "168.63.129.15",
             "168.63.129.17"},
        Edge{"169.254.0.0/16", "169.254.0.0", "169.254.255.255", "169.253.255.255", "169.255.0.0"},
        Edge{"169.254.0.0/16", "169.254.169.254", "169.254.169.254", "", ""},
        Edge{"172.16.0.0/12", "172.16.0.0", "172.31.255.255", "172.15.255.255", "172.32.0.0"},
        Edge{"192.0.0.0/24", "192.0.0.0", "192.0.0.255", "191.255.255.255", "192.0.1.0"},
        Edge{"192.0.2.0/24", "192.0.2.0", "192.0.2.255", "192.0.1.255", "192.0.3.0"},
        Edge{"192.88.99.0/24", "192.88.99.0", "192.88.99.255", "192.88.98.255", "192.88.100.0"},
        Edge{"192.168.0.0/16", "192.168.0.0", "192.168.255.255", "192.167.255.255", "192.169.0.0"},
        Edge{"198.18.0.0/15", "198.18.0.0", "198.19.255.255", "198.17.255.255", "198.20.0.0"},
        Edge{"198.51.100.0/24", "198.51.100.0", "198.51.100.255", "198.51.99.255", "198.51.101.0"},
        Edge{"203.0.113.0/24", "203.0.113.0", "203.0.113.255", "203.0.112.255", "203.0.114.0"},
        Edge{"224.0.0.0/4", "224.0.0.0", "239.255.255.255", "223.255.255.255", ""},
        Edge{"240.0.0.0/4", "240.0.0.0", "255.255.255.254", "", ""},
        Edge{"255.255.255.255/32", "255.255.255.255", "255.255.255.255", "", ""}));

constexpr char kLastOf2001_db8[] = "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff";

INSTANTIATE_TEST_SUITE_P(
    Ipv6, AddressGuardEdgeTest,
    testing::Values(
        Edge{"::/128", "::", "::", "", ""}, Edge{"::1/128", "::1", "::1", "", ""},
        Edge{"::/96", "::2", "::255.255.255.255", "", ""},
        Edge{"64:ff9b:1::/48", "64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", "", ""},
        Edge{"100::/64", "100::", "100::ffff:ffff:ffff:ffff", "", ""},
        Edge{"2001::/32", "2001::", "2001:0:ffff:ffff:ffff:ffff:ffff:ffff",
             "2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff", ""},
        Edge{"2001::/23", "2001:1::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", "", "2001:200::"},
        Edge{"2001:db8::/32", "2001:db8::", kLastOf2001_db8,
             "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db9::"},
        Edge{"2002::/16", "2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
             "2001:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2003::"},
        Edge{"3fff::/20", "3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff",
             "3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "3fff:1000::"},
        Edge{"5f00::/16", "5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "", ""},
        Edge{"fc00::/7", "fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "", ""},
        Edge{"fd00:ec2::254/128", "fd00:ec2::254", "fd00:ec2::254", "", ""},
        Edge{"fe80::/10", "fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "", ""},
        Edge{"fec0::/10", "fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "", ""},
        Edge{"ff00::/8", "ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "", ""}));

TEST(AddressGuardTest, RefusesWhatIsOutsideThePublicAddressesOfIpv6) {
  for (const std::string address :
       {"::1:0:0:1", "64:ff9a::1", "64:ff9b:0:0:0:1::1", "101::1", "1fff::1", "4000::1", "5eff::1",
        "5f01::1", "fbff::1", "fe00::1"}) {
    EXPECT_THAT(RefusalOf(address), HasSubstr("outside 2000::/3")) << address;
    EXPECT_EQ(RefusalOf(AddressGuard(Ranges({address})), address), "");
  }
  EXPECT_EQ(RefusalOf("2606:4700::1111"), "");
  EXPECT_EQ(RefusalOf("3ffe:ffff::1"), "");
}

TEST(AddressGuardTest, JudgesMappedAndTranslatedAddressesByTheOneInside) {
  EXPECT_THAT(RefusalOf("::ffff:10.1.2.3"), HasSubstr("10.1.2.3 is in 10.0.0.0/8"));
  EXPECT_THAT(RefusalOf("::ffff:127.0.0.1"), HasSubstr("127.0.0.1 is in 127.0.0.0/8"));
  EXPECT_EQ(RefusalOf("::ffff:9.9.9.9"), "");
  EXPECT_THAT(RefusalOf("64:ff9b::169.254.169.254"),
              HasSubstr("64:ff9b::a9fe:a9fe (169.254.169.254 by NAT64) is in 169.254.0.0/16"));
  EXPECT_EQ(RefusalOf("64:ff9b::9.9.9.9"), "");
  // An allowed range opens both forms.
  const AddressGuard guard(Ranges({"10.0.0.0/8"}));
  EXPECT_EQ(RefusalOf(guard, "10.1.2.3"), "");
  EXPECT_EQ(RefusalOf(guard, "::ffff:10.1.2.3"), "");
  EXPECT_EQ(RefusalOf(guard, "64:ff9b::10.1.2.3"), "");
  EXPECT_NE(RefusalOf(guard, "64:ff9b::192.168.0.1"), "");
}

TEST(AddressGuardTest, RefusesTunnelsWhateverTheyLeadTo) {
  EXPECT_THAT(RefusalOf("2002:909:909::1"), HasSubstr("6to4"));  // 9.9.9.9
  EXPECT_THAT(RefusalOf("2002:7f00:1::1"), HasSubstr("6to4"));   // 127.0.0.1
  EXPECT_THAT(RefusalOf("2001:0:909:909::f6f6:f6f6"), HasSubstr("Teredo"));
  EXPECT_THAT(RefusalOf("::9.9.9.9"), HasSubstr("IPv4-compatible"));
  EXPECT_THAT(RefusalOf("64:ff9b:1::9.9.9.9"), HasSubstr("NAT64"));
  EXPECT_EQ(RefusalOf(AddressGuard(Ranges({"2002::/16"})), "2002:7f00:1::1"), "");
}

TEST(AddressGuardTest, OpensCloudMetadataOnlyToARangeThatNamesIt) {
  const AddressGuard everything(Ranges({"0.0.0.0/0", "::/0"}));
  EXPECT_EQ(RefusalOf(everything, "10.0.0.1"), "");
  EXPECT_EQ(RefusalOf(everything, "127.0.0.1"), "");
  EXPECT_EQ(RefusalOf(everything, "fd00::1"), "");
  for (const std::string address :
       {"169.254.169.254", "::ffff:169.254.169.254", "64:ff9b::169.254.169.254", "100.100.100.200",
        "168.63.129.16", "fd00:ec2::254"}) {
    EXPECT_THAT(RefusalOf(everything, address), HasSubstr("metadata")) << address;
  }
  EXPECT_EQ(RefusalOf(AddressGuard(Ranges({"169.254.169.254"})), "169.254.169.254"), "");
  EXPECT_NE(RefusalOf(AddressGuard(Ranges({"169.254.169.254"})), "169.254.169.253"), "");
}

TEST(AddressGuardTest, RefusesWhatIsNoInternetAddress) {
  sockaddr address{};
  address.sa_family = AF_UNIX;
  EXPECT_THAT(AddressGuard(Ranges({"::/0"})).Refusal(address), HasSubstr("neither IPv4 nor IPv6"));
}

TEST(AddressGuardTest, KnowsEveryFormOfALiteralHost) {
  const AddressGuard guard;
  for (const std::string_view host :
       {"127.0.0.1", "127.1", "127.0.1", "0177.0.0.1", "0x7f.1", "0x7f000001", "0X7F000001",
        "2130706433", "017700000001", "127.0.0.1.", "2130706433.", "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]", "::ffff:127.0.0.1", "%31%32%37.0.0.1", "127%2e1"}) {
    const std::optional<std::string> refusal = guard.RefusalOfLiteral(host);
    ASSERT_TRUE(refusal) << host;
    EXPECT_THAT(*refusal, HasSubstr("127.0.0.1 is in 127.0.0.0/8 (loopback)")) << host;
  }
  for (const std::string_view host :
       {"[::1]", "[::]", "0", "0.0.0.0", "10.1", "[fe80::1%25lo]", "[fe80::1%eth0]", "fe80::1%lo",
        "[FD00::1]", "[64:ff9b::7f00:1]", "0xa9fea9fe", "2852039166"}) {
    EXPECT_NE(guard.RefusalOfLiteral(host).value_or(""), "") << host;
  }
  for (const std::string_view host : {"9.9.9.9", "[2606:4700::1111]", "0x09090909", "9.9.9.9."}) {
    EXPECT_EQ(guard.RefusalOfLiteral(host), "") << host;
  }
  for (const std::string_view host :
       {"", ".", "localhost", "example.com", "127.0.0.1.example.com", "a.b", "1.2.3.4.5",
        "256.1.1.1", "[::1", "[]", "[localhost]", "-1", "0x", "%", "%zz", "%00"}) {
    EXPECT_EQ(guard.RefusalOfLiteral(host), std::nullopt) << host;
  }
  EXPECT_EQ(AddressGuard(Ranges({"127.0.0.0/8"})).RefusalOfLiteral("127.1"), "");
}

TEST(AddressRangeTest, ParsesAddressesAndPrefixes) {
  const auto contains = [](std::string_view range, std::string_view address) {
    return AddressRange::Parse(range).value().Contains(AddressRange::Parse(address)->address);
  };
  EXPECT_TRUE(contains("10.0.0.0/8", "10.255.0.1"));
  EXPECT_FALSE(contains("10.0.0.0/8", "11.0.0.0"));
  EXPECT_TRUE(contains("10.0.0.0/31", "10.0.0.1"));
  EXPECT_FALSE(contains("10.0.0.0/31", "10.0.0.2"));
  EXPECT_TRUE(contains("127.0.0.1", "127.0.0.1"));
  EXPECT_FALSE(contains("127.0.0.1", "127.0.0.2"));
  EXPECT_TRUE(contains("0.0.0.0/0", "255.255.255.255"));
  EXPECT_FALSE(contains("0.0.0.0/0", "2001::"));
  EXPECT_TRUE(contains("::/0", "1.2.3.4"));
  EXPECT_TRUE(contains("fd00::/8", "fdff::1"));
  EXPECT_TRUE(contains("::ffff:10.0.0.0/104", "10.9.9.9"));
  for (const std::string_view text :
       {"", "/", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8x", "10.0.0.0/ 8",
        "10.0.0.0/+8", "10.0.0/8", "10.1.2.3/8", "010.0.0.0/8", "fd00::/129", "fd00::1/8",
        "[fd00::]/8", "localhost", "10.0.0.0/8/8", " 10.0.0.0/8"}) {
    EXPECT_EQ(AddressRange::Parse(text).has_value(), false) << text;
  }
}

}  // namespace
}  // namespace tailwater
