// The call that one change, or a batch of them, becomes: body, headers and webhook-id. The same
// change always makes the same message; only signature and timestamp differ from try to try.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "webhook/row_fields.h"
#include "webhook/webhook_options.h"

namespace tailwater::webhook {

struct Message {
  std::string id;                                            // webhook-id
  std::vector<std::pair<std::string, std::string>> headers;  // content type, ce-*, from rows
  std::string body;
};

// One thread. The configuration outlives it.
class MessageFormat {
 public:
  MessageFormat(const WebhookConfig& config, std::string pipeline, std::string sink);

  // kReject: "text_not_utf8", "json_malformed", "webhook_body_too_large"; kFatal
  // "record_malformed". The messages name table and columns, never values.
  Result<Message> Build(const Change& change, const Payload& payload) const;

  // One member of a batch's array. The same errors.
  Result<std::string> BuildItem(const Change& change, const Payload& payload) const;
  // The batch of these members, whose changes have these ids.
  Message BuildBatch(std::span<const std::string> items,
                     std::span<const std::string> change_ids) const;

 private:
  Result<std::string> Body(const RowFields& fields, const Payload& payload) const;
  Status Wrap(const RowFields& fields, const Payload& payload, std::string_view data,
              std::string& out) const;
  std::string WebhookId(std::string_view change_ids) const;
  Status CheckSize(const RowFields& fields, size_t bytes) const;

  const WebhookConfig& config_;
  const std::string pipeline_;
  const std::string sink_;
};

}  // namespace tailwater::webhook
