// Secrets that follow their file or variable while the sink runs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tailwater/config.h"
#include "webhook/clock.h"
#include "webhook/signing_key.h"

namespace tailwater::webhook {

// Read again at most once a second. One thread.
class LiveSecret {
 public:
  explicit LiveSecret(Secret secret) : secret_(std::move(secret)) {}
  // kNeedsOperator "webhook_secret_unreadable". The reference lives until the next call.
  Result<std::string_view> Get(TimePoint now);
  // Counts up whenever the text is another one.
  uint64_t generation() const { return generation_; }

 private:
  Secret secret_;
  std::optional<TimePoint> read_at_;
  std::string text_;
  std::optional<Error> error_;
  uint64_t generation_ = 0;
};

// The `webhook-signature` header: one signature per secret that is valid now. One thread.
class Signer {
 public:
  // `previous` may be empty; it signs until `previous_until` (Unix seconds), if that is set.
  Signer(Secret current, Secret previous, std::optional<int64_t> previous_until);
  // kNeedsOperator "webhook_secret_unreadable", "webhook_secret_unusable".
  Result<std::string> Sign(const WebhookClock& clock, std::string_view id, int64_t timestamp,
                           std::string_view body);

 private:
  struct Slot {
    std::string option;  // its name in the configuration
    LiveSecret secret;
    std::optional<int64_t> until;
    uint64_t generation = 0;
    std::optional<Result<SigningKey>> key;
  };
  std::vector<Slot> slots_;
};

}  // namespace tailwater::webhook
