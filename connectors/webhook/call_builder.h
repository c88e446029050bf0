// Makes a message into an HTTP call: secrets, timestamp and signature of this very try.
#pragma once

#include <string>
#include <vector>

#include "support/http_client.h"
#include "webhook/clock.h"
#include "webhook/live_secret.h"
#include "webhook/message.h"
#include "webhook/webhook_options.h"

namespace tailwater::webhook {

// One thread.
class CallBuilder {
 public:
  CallBuilder(const WebhookConfig& config, WebhookClock clock);

  // kNeedsOperator "webhook_secret_unreadable", "webhook_secret_unusable".
  Result<HttpCall> Build(Message message, const std::string& url);

  // Whether all secrets can be had now. The same errors.
  Status Check();

 private:
  struct SecretHeader {
    std::string name;
    std::string prefix;
    LiveSecret secret;
  };
  const bool sign_;
  const WebhookClock clock_;
  Signer signer_;
  std::vector<SecretHeader> secrets_;
  std::vector<std::pair<std::string, std::string>> constants_;
};

}  // namespace tailwater::webhook
