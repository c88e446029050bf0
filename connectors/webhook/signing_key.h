// A key of the Standard Webhooks specification, and the signature that it makes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "tailwater/result.h"

struct evp_pkey_st;

namespace tailwater::webhook {

// Immutable; may be used by several threads.
class SigningKey {
 public:
  // whsec_ and base64 of 24 to 64 bytes: HMAC-SHA256. whsk_ and base64 of an ed25519 seed, alone or
  // with the public key behind it. Without a prefix: base64 as after whsec_ (so the published
  // libraries read it), else the text itself, 24 bytes or more.
  // kNeedsOperator "webhook_secret_unusable"; the message holds nothing of the secret.
  static Result<SigningKey> Parse(std::string_view secret);

  // "v1,…" or "v1a,…", over "id.timestamp.body".
  Result<std::string> Sign(std::string_view id, int64_t timestamp, std::string_view body) const;

 private:
  SigningKey() = default;
  std::string hmac_key_;  // empty: ed25519
  std::shared_ptr<evp_pkey_st> private_key_;
};

}  // namespace tailwater::webhook
