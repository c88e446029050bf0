#include "webhook/batch_sink.h"

#include <future>
#include <optional>
#include <string_view>
#include <unordered_set>

#include "webhook/client.h"

namespace tailwater::webhook {

struct BatchSink::Group {
  std::vector<size_t> indexes;  // of the deliveries
  std::vector<std::string> items;
  std::vector<std::string> ids;
  size_t bytes = 0;
};

struct BatchSink::Pass {
  const DeliveryBatch& batch;
  std::vector<Verdict> verdicts;
  Group group;
  std::unordered_set<std::string_view> refused_keys;
  std::optional<Verdict> stopped;  // nothing more goes in this pass
};

BatchSink::BatchSink(WebhookConfig config, TableRules<WebhookTableOptions> rules,
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

Status BatchSink::Open() {
  TW_TRY(calls_.Check());
  if (client_ != nullptr) return {};
  TW_ASSIGN_OR_RETURN(client_, OpenClient(config_));
  return {};
}

Result<std::vector<Verdict>> BatchSink::Write(const DeliveryBatch& batch) {
  Pass pass{batch, std::vector<Verdict>(batch.deliveries.size()), {}, {}, {}};
  for (size_t i = 0; i < batch.deliveries.size(); ++i) Add(pass, i);
  Send(pass);
  for (Verdict& verdict : pass.verdicts) {
    if (verdict.kind == Verdict::Kind::kNone) verdict = *pass.stopped;
  }
  return std::move(pass.verdicts);
}

void BatchSink::Add(Pass& pass, size_t index) {
  if (pass.stopped) return;
  const Delivery& delivery = pass.batch.deliveries[index];
  const Change& change = *delivery.change;
  if (change.operation == Operation::kFrontier || change.operation == Operation::kSchema ||
      change.operation == Operation::kSweep) {
    pass.verdicts[index] = Verdict::Applied();
    return;
  }
  auto item = format_.BuildItem(change, routes_.PayloadOf(change.source, change.table));
  if (!item || pass.refused_keys.contains(delivery.key)) {
    // What came before is decided first: it may be refused, and this be a change of its key.
    Send(pass);
    if (pass.stopped) return;
    if (pass.refused_keys.contains(delivery.key)) {
      pass.verdicts[index] =
          Verdict::Retry("webhook_row_refused", "an earlier change of the row was refused");
    } else {
      pass.verdicts[index] = Verdict::Rejected(item.error().code, item.error().message);
      pass.refused_keys.insert(delivery.key);
    }
    return;
  }
  Group& group = pass.group;
  const bool full = group.items.size() >= config_.batch.size ||
                    group.bytes + item->size() > config_.batch.bytes.bytes;
  if (!group.items.empty() && full) {
    Send(pass);
    return Add(pass, index);
  }
  group.bytes += item->size() + 1;
  group.indexes.push_back(index);
  group.items.push_back(*std::move(item));
  group.ids.push_back(Id(change));
}

void BatchSink::Send(Pass& pass) {
  const Group group = std::exchange(pass.group, {});
  if (group.items.empty() || pass.stopped) return;
  Verdict verdict = Call(group);
  if (verdict.kind == Verdict::Kind::kRejected && group.items.size() > 1) {
    return SendEach(pass, group);
  }
  if (verdict.kind == Verdict::Kind::kRetry) {
    pass.stopped = std::move(verdict);
    return;
  }
  if (verdict.kind == Verdict::Kind::kRejected) {
    pass.refused_keys.insert(pass.batch.deliveries[group.indexes[0]].key);
  }
  for (const size_t index : group.indexes) pass.verdicts[index] = verdict;
}

void BatchSink::SendEach(Pass& pass, const Group& group) {
  for (size_t i = 0; i < group.items.size() && !pass.stopped; ++i) {
    const size_t index = group.indexes[i];
    if (pass.refused_keys.contains(pass.batch.deliveries[index].key)) {
      pass.verdicts[index] =
          Verdict::Retry("webhook_row_refused", "an earlier change of the row was refused");
      continue;
    }
    pass.group = {{index}, {group.items[i]}, {group.ids[i]}, group.items[i].size()};
    Send(pass);
  }
}

Verdict BatchSink::Call(const Group& group) {
  const TimePoint now = clock_.now();
  if (bucket_.limited() && bucket_.available(now) == 0) {
    return Verdict::Unavailable(
        "webhook_rate_limited", "as many calls a second as `rate` allows were made",
        std::chrono::ceil<std::chrono::milliseconds>(bucket_.next(now) - now));
  }
  Endpoint& endpoint = routes_.endpoint();
  if (auto refusal = endpoint.Refuse(group.ids[0], now)) return *std::move(refusal);
  auto call = calls_.Build(format_.BuildBatch(group.items, group.ids), endpoint.url());
  if (!call) {
    endpoint.CancelAll();
    return Verdict::Unavailable(call.error().code, call.error().message, std::chrono::seconds(5),
                                true);
  }
  bucket_.Take();
  const size_t bytes = call->body.size();
  std::promise<HttpAnswer> promise;
  client_->Send(*std::move(call), [&](HttpAnswer answer) { promise.set_value(std::move(answer)); });
  const HttpAnswer answer = promise.get_future().get();
  endpoint.Count(answer);
  Verdict verdict =
      endpoint.Settle(group.ids[0], Judge(answer, statuses_, endpoint.label()), clock_.now());
  if (verdict.kind == Verdict::Kind::kApplied) bytes_total_.Add(static_cast<double>(bytes));
  // All or none: a batch that failed is nobody's own trouble.
  verdict.whole_target = verdict.kind == Verdict::Kind::kRetry;
  return verdict;
}

}  // namespace tailwater::webhook
