#include "webhook/live_secret.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "support/manual_clock.h"
#include "support/matchers.h"
#include "support/temporary_folder.h"

namespace tailwater::webhook {
namespace {

using namespace std::chrono_literals;

class SignerTest : public ::testing::Test {
 protected:
  void WriteFile(const std::string& name, const std::string& text) {
    std::ofstream(Path(name)) << text << "\n";
  }
  std::string Path(const std::string& name) const { return folder_ / name; }
  Secret File(const std::string& name) const { return Secret("${file:" + Path(name) + "}"); }
  Result<std::string> Sign(Signer& signer) { return signer.Sign(web_clock_, "msg_1", 1, "{}"); }
  static std::string By(const std::string& secret) {
    return *SigningKey::Parse(secret)->Sign("msg_1", 1, "{}");
  }

  TemporaryFolder folder_;
  ManualClock clock_;
  WebhookClock web_clock_{[this] { return clock_.Now(); }, [this] { return clock_.UnixSeconds(); }};
  const std::string one_ = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
  const std::string two_ = "whsec_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
};

TEST_F(SignerTest, FollowsItsFileWithinASecond) {
  WriteFile("secret", one_);
  Signer signer(File("secret"), {}, {});
  EXPECT_EQ(*Sign(signer), By(one_));
  WriteFile("secret", two_);
  EXPECT_EQ(*Sign(signer), By(one_)) << "not read for each call";
  clock_.Advance(1s);
  EXPECT_EQ(*Sign(signer), By(two_));
}

TEST_F(SignerTest, SignsWithBothWhileReceiversChangeOver) {
  WriteFile("secret", one_);
  WriteFile("old", two_);
  Signer signer(File("secret"), File("old"), clock_.UnixSeconds() + 60);
  EXPECT_EQ(*Sign(signer), By(one_) + " " + By(two_));
  clock_.Advance(59s);
  EXPECT_EQ(*Sign(signer), By(one_) + " " + By(two_));
  clock_.Advance(1s);
  EXPECT_EQ(*Sign(signer), By(one_));
}

TEST_F(SignerTest, NamesASecretThatCannotBeUsedAndGoesOnOnceItCan) {
  Signer signer(File("secret"), {}, {});
  const auto missing = Sign(signer);
  ASSERT_THAT(missing, IsErrorWith("webhook_secret_unreadable"));
  EXPECT_EQ(missing.error().disposition, Disposition::kNeedsOperator);
  EXPECT_THAT(missing.error().message, ::testing::HasSubstr(Path("secret")));
  WriteFile("secret", "short");
  clock_.Advance(1s);
  const auto unusable = Sign(signer);
  ASSERT_THAT(unusable, IsErrorWith("webhook_secret_unusable"));
  EXPECT_THAT(unusable.error().message, ::testing::StartsWith("secret: is too short"));
  WriteFile("secret", one_);
  clock_.Advance(1s);
  EXPECT_EQ(*Sign(signer), By(one_));
}

}  // namespace
}  // namespace tailwater::webhook
