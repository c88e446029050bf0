#include "webhook/signing_key.h"

#include <gmock/gmock.h>
#include <openssl/evp.h>

#include "support/matchers.h"
#include "webhook/encoding.h"

namespace tailwater::webhook {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string Sign(std::string_view secret, std::string_view id, int64_t timestamp,
                 std::string_view body) {
  const auto key = SigningKey::Parse(secret);
  EXPECT_OK(key);
  if (!key) return {};
  const auto signature = key->Sign(id, timestamp, body);
  EXPECT_OK(signature);
  return signature ? *signature : std::string();
}

// The vector of the published libraries.
TEST(SigningKeyTest, SignsAsStandardWebhooksDoes) {
  EXPECT_EQ(Sign("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek",
                 1614265330, "{\"test\": 2432232314}"),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

TEST(SigningKeyTest, ReadsASecretWithoutPrefixAsThePublishedLibrariesDo) {
  EXPECT_EQ(Sign("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_1", 1, "{}"),
            Sign("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_1", 1, "{}"));
}

TEST(SigningKeyTest, TakesOtherTextAsItsBytes) {
  const std::string text = "a plain text, long enough";
  EXPECT_EQ(Sign(text, "msg_1", 7, "body"), "v1," + Base64(HmacSha256(text, "msg_1.7.body")));
}

// RFC 8032, section 7.1, test 1: the seed; and that any verifier takes what it signs.
TEST(SigningKeyTest, AnEd25519SignatureIsTakenByAVerifier) {
  const std::string seed =
      "\x9d\x61\xb1\x9d\xef\xfd\x5a\x60\xba\x84\x4a\xf4\x92\xec\x2c\xc4"
      "\x44\x49\xc5\x69\x7b\x32\x69\x19\x70\x3b\xac\x03\x1c\xae\x7f\x60";
  const std::string public_key =
      "\xd7\x5a\x98\x01\x82\xb1\x0a\xb7\xd5\x4b\xfe\xd3\xc9\x64\x07\x3a"
      "\x0e\xe1\x72\xf3\xda\xa6\x23\x25\xaf\x02\x1a\x68\xf7\x07\x51\x1a";
  const std::string signature = Sign("whsk_" + Base64(seed), "msg_1", 1614265330, "{}");
  EXPECT_EQ(Sign("whsk_" + Base64(seed + public_key), "msg_1", 1614265330, "{}"), signature);
  ASSERT_TRUE(signature.starts_with("v1a,"));
  const auto bytes = DecodeBase64(std::string_view(signature).substr(4));
  ASSERT_TRUE(bytes.has_value());
  EVP_PKEY* key = EVP_PKEY_new_raw_public_key(
      EVP_PKEY_ED25519, nullptr, reinterpret_cast<const unsigned char*>(public_key.data()), 32);
  const auto verifies = [&](std::string_view text) {
    EVP_MD_CTX* context = EVP_MD_CTX_new();
    EVP_DigestVerifyInit(context, nullptr, nullptr, nullptr, key);
    const int result = EVP_DigestVerify(
        context, reinterpret_cast<const unsigned char*>(bytes->data()), bytes->size(),
        reinterpret_cast<const unsigned char*>(text.data()), text.size());
    EVP_MD_CTX_free(context);
    return result == 1;
  };
  EXPECT_TRUE(verifies("msg_1.1614265330.{}"));
  EXPECT_FALSE(verifies("msg_1.1614265331.{}"));
  EVP_PKEY_free(key);
}

TEST(SigningKeyTest, RefusesWhatIsNoKeyWithAWayToMakeOneAndWithoutShowingIt) {
  const struct {
    std::string secret;
    std::string message;
  } kCases[] = {
      {"hunter2",
       "is too short: 7 bytes, but at least 24 are needed; make one with: echo "
       "\"whsec_$(openssl rand -base64 32)\""},
      {"", "is too short: 0 bytes"},
      {"whsec_c2hvcnQ=", "holds 5 bytes after whsec_, but 24 to 64 are needed; make one"},
      {"whsec_" + Base64(std::string(65, 'x')), "holds 65 bytes after whsec_"},
      {"whsec_not base64 at all, but long enough", "has no valid base64 after whsec_; make one"},
      {"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS", "has no valid base64 after whsec_"},
      {"whsk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsk_ must be followed by the base64 of a"},
      {"whpk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "is a public key"},
  };
  for (const auto& [secret, message] : kCases) {
    const auto key = SigningKey::Parse(secret);
    ASSERT_THAT(key, IsErrorWith("webhook_secret_unusable")) << secret;
    EXPECT_THAT(key.error().message, HasSubstr(message));
    if (secret.size() > 12) {
      EXPECT_THAT(key.error().message, Not(HasSubstr(secret.substr(6))));
    }
  }
}

TEST(EncodingTest, Base64TakesItselfBackAndNothingElse) {
  std::string bytes;
  for (int i = 0; i < 256; ++i) {
    EXPECT_EQ(DecodeBase64(Base64(bytes)), bytes);
    bytes += static_cast<char>(i);
  }
  for (const std::string_view bad : {"a", "ab=", "====", "ab==ab==", "a b=", "ab-_", "ab\n="}) {
    EXPECT_FALSE(DecodeBase64(bad).has_value()) << bad;
  }
}

TEST(EncodingTest, HeaderTextHoldsNothingThatEndsAHeader) {
  std::string out;
  AppendHeaderText(std::string_view("a b\r\nX: \0\"%\xc3\xa9~!\x7f", 16), out);
  EXPECT_EQ(out, "a%20b%0D%0AX:%20%00%22%25%C3%A9~!%7F");
}

}  // namespace
}  // namespace tailwater::webhook
