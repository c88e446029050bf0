#include "webhook/signing_key.h"

#include <openssl/evp.h>

#include <memory>

#include "support/text.h"
#include "webhook/encoding.h"

namespace tailwater::webhook {
namespace {

constexpr size_t kSmallest = 24;
constexpr size_t kLargest = 64;
constexpr size_t kSeed = 32;

Error Unusable(std::string message) {
  return {Disposition::kNeedsOperator, "webhook_secret_unusable", std::move(message)};
}

constexpr std::string_view kMakeOne = "make one with: echo \"whsec_$(openssl rand -base64 32)\"";

}  // namespace

Result<SigningKey> SigningKey::Parse(std::string_view secret) {
  SigningKey key;
  if (secret.starts_with("whpk_")) {
    return Unusable(
        "is a public key (whpk_); the receiver gets that one, here the private key "
        "(whsk_) is needed");
  }
  if (secret.starts_with("whsk_")) {
    const auto bytes = DecodeBase64(secret.substr(5));
    if (!bytes || (bytes->size() != kSeed && bytes->size() != 2 * kSeed)) {
      return Unusable(
          "whsk_ must be followed by the base64 of a 32-byte ed25519 seed, or of seed "
          "and public key, 64 bytes");
    }
    key.private_key_.reset(
        EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr,
                                     reinterpret_cast<const unsigned char*>(bytes->data()), kSeed),
        EVP_PKEY_free);
    if (key.private_key_ == nullptr) return Unusable("is no ed25519 key");
    return key;
  }
  const bool prefixed = secret.starts_with("whsec_");
  const auto bytes = DecodeBase64(prefixed ? secret.substr(6) : secret);
  if (prefixed && !bytes) {
    return Unusable(fmt::format("has no valid base64 after whsec_; {}", kMakeOne));
  }
  if (prefixed && (bytes->size() < kSmallest || bytes->size() > kLargest)) {
    return Unusable(fmt::format("holds {} bytes after whsec_, but {} to {} are needed; {}",
                                bytes->size(), kSmallest, kLargest, kMakeOne));
  }
  if (bytes && bytes->size() >= kSmallest && bytes->size() <= kLargest) {
    key.hmac_key_ = *bytes;
  } else if (secret.size() >= kSmallest) {
    key.hmac_key_ = secret;
  } else {
    return Unusable(fmt::format("is too short: {} bytes, but at least {} are needed; {}",
                                secret.size(), kSmallest, kMakeOne));
  }
  return key;
}

Result<std::string> SigningKey::Sign(std::string_view id, int64_t timestamp,
                                     std::string_view body) const {
  const std::string text = fmt::format("{}.{}.{}", id, timestamp, body);
  if (!hmac_key_.empty()) return "v1," + Base64(HmacSha256(hmac_key_, text));
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                        EVP_MD_CTX_free);
  std::string signature(64, '\0');
  size_t size = signature.size();
  if (context == nullptr ||
      EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, private_key_.get()) != 1 ||
      EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size,
                     reinterpret_cast<const unsigned char*>(text.data()), text.size()) != 1) {
    return Unusable("the ed25519 key does not sign; make another one");
  }
  return "v1a," + Base64(signature);
}

}  // namespace tailwater::webhook
