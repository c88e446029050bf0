#include "webhook/live_secret.h"

namespace tailwater::webhook {

Result<std::string_view> LiveSecret::Get(TimePoint now) {
  if (!read_at_ || now - *read_at_ >= std::chrono::seconds(1)) {
    read_at_ = now;
    auto text = secret_.Read();
    if (text) {
      error_.reset();
      if (generation_ == 0 || *text != text_) {
        text_ = *std::move(text);
        ++generation_;
      }
    } else {
      error_ = Error{Disposition::kNeedsOperator, "webhook_secret_unreadable",
                     std::move(text.error().message)};
    }
  }
  if (error_) return *error_;
  return std::string_view(text_);
}

Signer::Signer(Secret current, Secret previous, std::optional<int64_t> previous_until) {
  slots_.push_back({"secret", LiveSecret(std::move(current)), std::nullopt, 0, std::nullopt});
  if (!previous.empty()) {
    slots_.push_back(
        {"previous_secret", LiveSecret(std::move(previous)), previous_until, 0, std::nullopt});
  }
}

Result<std::string> Signer::Sign(const WebhookClock& clock, std::string_view id, int64_t timestamp,
                                 std::string_view body) {
  std::string list;
  for (Slot& slot : slots_) {
    if (slot.until && clock.unix_seconds() >= *slot.until) continue;
    const auto text = slot.secret.Get(clock.now());
    if (!text) return Error(text.error()).Within(slot.option);
    if (!slot.key || slot.generation != slot.secret.generation()) {
      slot.generation = slot.secret.generation();
      slot.key = SigningKey::Parse(*text);
    }
    if (!*slot.key) return Error(slot.key->error()).Within(slot.option);
    TW_ASSIGN_OR_RETURN(const std::string signature, (*slot.key)->Sign(id, timestamp, body));
    if (!list.empty()) list += ' ';
    list += signature;
  }
  return list;
}

}  // namespace tailwater::webhook
