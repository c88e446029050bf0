// The configuration of a webhook sink: plain data, and the checks that need no receiver.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "support/address_guard.h"
#include "tailwater/config.h"
#include "tailwater/registry.h"
#include "tailwater/tables.h"
#include "webhook/endpoint_url.h"
#include "webhook/payload_template.h"
#include "webhook/text_template.h"

namespace tailwater::webhook {

enum class Format : uint8_t { kChange, kCloudEvents };
enum class Mode : uint8_t { kBinary, kStructured };
enum class BigInt : uint8_t { kString, kNumber };
enum class Signature : uint8_t { kStandard, kNone };

// `payload:` full, thin, or a template.
struct Payload {
  bool thin = false;
  std::shared_ptr<const PayloadTemplate> fields;
  bool configured = false;
};

// One of `headers:`; its value is either a secret (which may be plain text) or has references.
struct Header {
  std::string name;  // lower case
  Secret secret;
  std::optional<TextTemplate> text;
};
struct Headers {
  std::vector<Header> list;
  std::vector<ColumnUse> column_uses;
};

struct WebhookConfig {
  struct Timeouts {
    std::chrono::milliseconds connect{5'000};
    std::chrono::milliseconds first_byte{15'000};
    std::chrono::milliseconds total{30'000};
  };
  struct Retry {
    std::chrono::milliseconds initial{1'000};
    std::chrono::milliseconds max{300'000};
  };
  struct Breaker {
    uint32_t failures = 5;
    std::chrono::milliseconds pause{30'000};
  };
  struct Batch {
    uint32_t size = 1;  // 1: no batches
    ByteSize bytes{1024 * 1024};
  };
  struct Statuses {
    std::vector<std::string> reject;
    std::vector<std::string> retry;
  };

  std::string url;
  Secret secret;
  Secret previous_secret;
  std::string previous_secret_until;
  Signature signature = Signature::kStandard;
  Headers headers;
  Secret bearer_token;
  std::string certificate_file;
  std::string key_file;
  std::string ca_file;

  Format format = Format::kChange;
  Mode mode = Mode::kBinary;
  Payload payload;
  BigInt bigint = BigInt::kString;
  ByteSize max_body{256 * 1024};
  Batch batch;

  uint32_t in_flight = 64;
  double rate = 0;  // per second; 0: no limit
  Timeouts timeouts;
  Retry retry;
  Breaker breaker;
  Statuses statuses;
  std::vector<std::string> allow_addresses;
  std::vector<std::string> allow_ports;
};

// Of one entry of `tables:`.
struct WebhookTableOptions {
  Payload payload;
};

const OptionTable& WebhookOptions();
const OptionTable& WebhookTableOptionsTable();

void ValidateWebhook(const WebhookConfig& config, const TableRules<WebhookTableOptions>& tables,
                     const ConfigNode& section, Problems& problems);
std::vector<ColumnUse> WebhookColumnUses(const WebhookConfig& config,
                                         const TableRules<WebhookTableOptions>& tables);

// Of a validated configuration.
AddressGuard MakeGuard(const WebhookConfig& config);
std::vector<int> StatusList(const std::vector<std::string>& statuses);
std::optional<int64_t> UnixSeconds(const std::string& time);  // 2026-11-21T09:30:00Z or 2026-11-21

}  // namespace tailwater::webhook
