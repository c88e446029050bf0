#include "support/url_encoding.h"

#include <gtest/gtest.h>

#include "support/http_target.h"

namespace tailwater {
namespace {

TEST(EncodedForUrlTest, KeepsWhatIsUnreservedAndEncodesTheRestByBytes) {
  EXPECT_EQ(EncodedForUrl("Orders-1.0_x~"), "Orders-1.0_x~");
  EXPECT_EQ(EncodedForUrl("a/b c?d&e=%"), "a%2Fb%20c%3Fd%26e%3D%25");
  EXPECT_EQ(EncodedForUrl("\xC3\xA9\n"), "%C3%A9%0A");
  EXPECT_EQ(EncodedForUrl(""), "");
}

TEST(HostOfTest, IsHostAndPort) {
  EXPECT_EQ(HostOf("https://search-1.example.com:9200/prefix"), "search-1.example.com:9200");
  EXPECT_EQ(HostOf("http://[::1]:8123"), "[::1]:8123");
  EXPECT_EQ(HostOf("nothing"), "nothing");
}

TEST(WasOutOfReachTest, IsNoReplyOfTheServerAtAll) {
  const auto answered = [](std::string_view code) {
    HttpAnswer answer;
    answer.code = code;
    return !WasOutOfReach(answer);
  };
  EXPECT_TRUE(answered(""));
  EXPECT_TRUE(answered("http_timeout"));
  EXPECT_TRUE(answered("http_reply_malformed"));
  EXPECT_FALSE(answered("http_connect_failed"));
  EXPECT_FALSE(answered("http_reset"));
}

}  // namespace
}  // namespace tailwater
