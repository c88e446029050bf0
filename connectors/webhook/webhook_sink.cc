#include "webhook/webhook_sink.h"

#include <algorithm>
#include <random>

#include "webhook/client.h"

namespace tailwater::webhook {
namespace {

// Between two looks at a secret that cannot be read.
constexpr std::chrono::seconds kSecretProbe{5};

}  // namespace

Surroundings SystemSurroundings() {
  auto engine = std::make_shared<std::minstd_rand>(std::random_device()());
  return {{}, [engine] { return std::uniform_real_distribution<>()(*engine); }};
}

WebhookSink::WebhookSink(WebhookConfig config, TableRules<WebhookTableOptions> rules,
                         SinkContext context, Surroundings surroundings)
    : config_(std::move(config)),
      rules_(std::move(rules)),
      statuses_{StatusList(config_.statuses.reject), StatusList(config_.statuses.retry)},
      clock_(surroundings.clock),
      routes_(config_, rules_, context, surroundings.random),
      format_(config_, context.pipeline, context.name),
      calls_(config_, clock_),
      bucket_(config_.rate, clock_.now()),
      bytes_total_(context.metrics.GetCounter("tailwater_sink_bytes_written_total",
                                              "Bytes of the records that the target took.")) {}

Status WebhookSink::Open() {
  TW_TRY(calls_.Check());
  if (client_ != nullptr) return {};
  TW_ASSIGN_OR_RETURN(client_, OpenClient(config_));
  return {};
}

Result<std::vector<Verdict>> WebhookSink::Write(const DeliveryBatch&) {
  return Error{Disposition::kFatal, "sink_contract_broken", "a concurrent sink is not written to"};
}

void WebhookSink::OnProgress(std::function<void()> wake) {
  {
    std::lock_guard lock(mailbox_.mutex);
    mailbox_.wake = wake;
  }
  if (bucket_.limited()) timer_.emplace(std::move(wake));
}

size_t WebhookSink::Room() const {
  if (routes_.endpoint().probing()) return 0;
  const size_t limit = config_.in_flight;
  const size_t room = limit - std::min(limit, pending_.size());
  if (!bucket_.limited() || room == 0) return room;
  const TimePoint now = clock_.now();
  const size_t allowed = std::min(room, bucket_.available(now));
  if (allowed == 0 && timer_) timer_->WakeAfter(bucket_.next(now) - now);
  return allowed;
}

void WebhookSink::Finish(uint64_t ticket, Verdict verdict) {
  finished_.push_back({ticket, std::move(verdict)});
  std::lock_guard lock(mailbox_.mutex);
  if (mailbox_.wake) mailbox_.wake();
}

void WebhookSink::Submit(uint64_t ticket, const Delivery& delivery) {
  const Change& change = *delivery.change;
  Endpoint& endpoint = routes_.endpoint();
  auto message = format_.Build(change, routes_.PayloadOf(change.source, change.table));
  if (!message) {
    return Finish(ticket, Verdict::Rejected(message.error().code, message.error().message));
  }
  auto call = calls_.Build(*std::move(message), endpoint.url());
  if (!call) {
    return Finish(
        ticket, Verdict::Unavailable(call.error().code, call.error().message, kSecretProbe, true));
  }
  std::string id = Id(change);
  if (auto refusal = endpoint.Refuse(id, clock_.now())) {
    return Finish(ticket, *std::move(refusal));
  }
  bucket_.Take();
  pending_[ticket] = {std::move(id), call->body.size()};
  client_->Send(*std::move(call), [this, ticket, round = mailbox_.round](HttpAnswer answer) {
    std::lock_guard lock(mailbox_.mutex);
    if (round != mailbox_.round) return;
    mailbox_.answers.emplace_back(ticket, std::move(answer));
    if (mailbox_.wake) mailbox_.wake();
  });
}

Status WebhookSink::TakeFinished(std::vector<Finished>& finished) {
  std::vector<std::pair<uint64_t, HttpAnswer>> answers;
  {
    std::lock_guard lock(mailbox_.mutex);
    answers.swap(mailbox_.answers);
  }
  const TimePoint now = clock_.now();
  Endpoint& endpoint = routes_.endpoint();
  for (const auto& [ticket, answer] : answers) {
    const auto pending = pending_.find(ticket);
    endpoint.Count(answer);
    const Judgement judgement = Judge(answer, statuses_, endpoint.label());
    Verdict verdict = endpoint.Settle(pending->second.id, judgement, now);
    if (verdict.kind == Verdict::Kind::kApplied) {
      bytes_total_.Add(static_cast<double>(pending->second.bytes));
    }
    finished.push_back({ticket, std::move(verdict)});
    pending_.erase(pending);
  }
  std::move(finished_.begin(), finished_.end(), std::back_inserter(finished));
  finished_.clear();
  return {};
}

void WebhookSink::CancelAll() {
  {
    std::lock_guard lock(mailbox_.mutex);
    ++mailbox_.round;
    mailbox_.answers.clear();
  }
  if (client_ != nullptr) client_->CancelAll();
  routes_.endpoint().CancelAll();
  pending_.clear();
  finished_.clear();
}

}  // namespace tailwater::webhook
