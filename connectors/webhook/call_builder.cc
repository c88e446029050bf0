#include "webhook/call_builder.h"

#include <algorithm>

namespace tailwater::webhook {

CallBuilder::CallBuilder(const WebhookConfig& config, WebhookClock clock)
    : sign_(config.signature == Signature::kStandard),
      clock_(std::move(clock)),
      signer_(config.secret, config.previous_secret, UnixSeconds(config.previous_secret_until)) {
  if (!config.bearer_token.empty()) {
    secrets_.push_back({"authorization", "Bearer ", LiveSecret(config.bearer_token)});
  }
  bool names_itself = false;
  for (const Header& header : config.headers.list) {
    names_itself = names_itself || header.name == "user-agent";
    if (!header.text) {
      secrets_.push_back({header.name, "", LiveSecret(header.secret)});
    } else if (!header.text->has_references()) {
      std::string text;
      for (const TextTemplate::Part& part : header.text->parts()) {
        text += std::get<std::string>(part);
      }
      constants_.emplace_back(header.name, std::move(text));
    }
  }
  if (!names_itself) constants_.emplace_back("user-agent", "tailwater");
}

Result<HttpCall> CallBuilder::Build(Message message, const std::string& url) {
  HttpCall call;
  call.url = url;
  call.headers = std::move(message.headers);
  call.body = std::move(message.body);
  const auto add = [&](const std::string& name, std::string value) {
    // A content type of the user's own takes the place of ours.
    const auto same = std::find_if(call.headers.begin(), call.headers.end(),
                                   [&](const auto& header) { return header.first == name; });
    if (same != call.headers.end()) {
      same->second = std::move(value);
    } else {
      call.headers.emplace_back(name, std::move(value));
    }
  };
  for (const auto& [name, value] : constants_) add(name, value);
  for (SecretHeader& header : secrets_) {
    const auto text = header.secret.Get(clock_.now());
    if (!text) return Error(text.error()).Within("header " + header.name);
    add(header.name, header.prefix + std::string(*text));
  }
  const int64_t timestamp = clock_.unix_seconds();
  add("webhook-id", message.id);
  add("webhook-timestamp", std::to_string(timestamp));
  if (sign_) {
    TW_ASSIGN_OR_RETURN(std::string list, signer_.Sign(clock_, message.id, timestamp, call.body));
    add("webhook-signature", std::move(list));
  }
  return call;
}

Status CallBuilder::Check() {
  TW_ASSIGN_OR_RETURN(const HttpCall call, Build({"msg_check", {}, ""}, ""));
  static_cast<void>(call);
  return {};
}

}  // namespace tailwater::webhook
