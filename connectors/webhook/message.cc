#include "webhook/message.h"

#include "support/change_json.h"
#include "support/text.h"
#include "webhook/change_data.h"
#include "webhook/cloud_event.h"
#include "webhook/encoding.h"

namespace tailwater::webhook {
namespace {

// Of the digest; 32 letters of base64.
constexpr size_t kIdBytes = 24;

}  // namespace

MessageFormat::MessageFormat(const WebhookConfig& config, std::string pipeline, std::string sink)
    : config_(config), pipeline_(std::move(pipeline)), sink_(std::move(sink)) {}

std::string MessageFormat::WebhookId(std::string_view change_ids) const {
  const std::string digest = Sha256(fmt::format("{}\n{}\n{}", pipeline_, sink_, change_ids));
  return "msg_" + Base64Url(std::string_view(digest).substr(0, kIdBytes));
}

// The payload alone: what CloudEvents calls data.
Result<std::string> MessageFormat::Body(const RowFields& fields, const Payload& payload) const {
  const bool as_text = config_.bigint == BigInt::kString;
  std::string data;
  if (payload.fields != nullptr) {
    TW_TRY(payload.fields->Render(fields, as_text, data));
  } else {
    TW_TRY(AppendChangeData(fields, payload.thin, as_text, data));
  }
  return data;
}

Status MessageFormat::Wrap(const RowFields& fields, const Payload& payload, std::string_view data,
                           std::string& out) const {
  if (config_.format == Format::kCloudEvents) {
    TW_ASSIGN_OR_RETURN(const CloudEvent event, CloudEvent::Make(pipeline_, fields));
    return event.AppendJson(data, out);
  }
  if (payload.fields != nullptr) {
    out += data;
    return {};
  }
  out += "{\"type\":";
  TW_TRY(AppendTextJson(TypeName(fields.change()), out));
  const std::string time = CommitTime(fields.change());
  out += ",\"timestamp\":";
  if (time.empty()) {
    out += "null";
  } else {
    TW_TRY(AppendTextJson(time, out));
  }
  out.append(",\"data\":").append(data).append("}");
  return {};
}

Status MessageFormat::CheckSize(const RowFields& fields, size_t bytes) const {
  if (bytes <= config_.max_body.bytes) return {};
  const Change& change = fields.change();
  TW_ASSIGN_OR_RETURN(const std::string key, KeyText(change));
  return Error{
      Disposition::kReject, "webhook_body_too_large",
      fmt::format("a change of {} makes a body of {} bytes (its key {}), but max_body is {}; send "
                  "less with payload: thin or fields of your own, or raise max_body",
                  change.table.empty() ? "no table" : change.table, bytes, key.size(),
                  ConfigText(config_.max_body))};
}

Result<std::string> MessageFormat::BuildItem(const Change& change, const Payload& payload) const {
  const RowFields fields(change);
  TW_ASSIGN_OR_RETURN(const std::string data, Body(fields, payload));
  std::string item;
  TW_TRY(Wrap(fields, payload, data, item));
  TW_TRY(CheckSize(fields, item.size()));
  return item;
}

Result<Message> MessageFormat::Build(const Change& change, const Payload& payload) const {
  const RowFields fields(change);
  Message message;
  message.id = WebhookId(fields.id());
  TW_ASSIGN_OR_RETURN(std::string data, Body(fields, payload));
  std::string content_type = "application/json";
  if (config_.format == Format::kCloudEvents && config_.mode == Mode::kBinary) {
    TW_ASSIGN_OR_RETURN(const CloudEvent event, CloudEvent::Make(pipeline_, fields));
    event.AppendHeaders(message.headers);
    message.body = std::move(data);
  } else {
    if (config_.format == Format::kCloudEvents) content_type = "application/cloudevents+json";
    TW_TRY(Wrap(fields, payload, data, message.body));
  }
  TW_TRY(CheckSize(fields, message.body.size()));
  message.headers.emplace_back("content-type", std::move(content_type));
  if (const auto traceparent = ValidTraceparent(change.traceparent); !traceparent.empty()) {
    message.headers.emplace_back("traceparent", traceparent);
  }
  for (const Header& header : config_.headers.list) {
    if (!header.text || !header.text->has_references()) continue;
    std::string value;
    bool known = true;
    for (const TextTemplate::Part& part : header.text->parts()) {
      if (const auto* literal = std::get_if<std::string>(&part)) {
        value += *literal;
        continue;
      }
      const FieldValue field = fields.Get(std::get<Reference>(part));
      known = known && field.value.has_value();
      std::string text;
      TW_TRY(AppendFieldText(field.value, text));
      AppendHeaderText(text, value);
    }
    if (known) message.headers.emplace_back(header.name, std::move(value));
  }
  return message;
}

Message MessageFormat::BuildBatch(std::span<const std::string> items,
                                  std::span<const std::string> change_ids) const {
  Message message;
  std::string ids;
  for (const std::string& id : change_ids) {
    if (!ids.empty()) ids += '\n';
    ids += id;
  }
  message.id = WebhookId(ids);
  message.body = "[";
  for (const std::string& item : items) {
    if (message.body.size() > 1) message.body += ',';
    message.body += item;
  }
  message.body += ']';
  message.headers.emplace_back("content-type", config_.format == Format::kCloudEvents
                                                   ? "application/cloudevents-batch+json"
                                                   : "application/json");
  return message;
}

}  // namespace tailwater::webhook
