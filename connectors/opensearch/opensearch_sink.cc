#include "opensearch/opensearch_sink.h"

#include <algorithm>
#include <utility>

#include "opensearch/document.h"
#include "opensearch/document_id.h"
#include "opensearch/sweeper.h"
#include "support/text.h"

namespace tailwater::opensearch {
namespace {

// What is held of other documents in memory.
constexpr size_t kBasesAtATime = 250;
constexpr size_t kBytesAtATime = 16 << 20;

Verdict ToVerdict(const Error& error) {
  return error.disposition == Disposition::kNeedsOperator
             ? Verdict::Unavailable(error.code, error.message, {}, true)
             : Verdict::Unavailable(error.code, error.message, {}, false);
}

Error ToError(const Verdict& verdict) {
  return {verdict.needs_operator ? Disposition::kNeedsOperator : Disposition::kRetry, verdict.code,
          verdict.reason};
}

}  // namespace

// A row that is laid over the document that the index holds.
struct OpenSearchSink::Partial {
  size_t number = 0;  // of the item
  const TablePlan* plan = nullptr;
  DocumentPlace place;
  std::vector<Value> row;
};

// An operation for the next bulk, and the item that it is for.
struct OpenSearchSink::Sent {
  size_t number = 0;
  const TablePlan* plan = nullptr;
  DocumentPlace place;
};

struct OpenSearchSink::Pass {
  std::span<const CollapsedChange> items;
  std::vector<Verdict> verdicts;  // per item; kNone: not decided
  std::vector<Partial> partials;
  std::vector<BulkOperation> operations;
  std::vector<Sent> sent;  // beside `operations`
  // The server was asked for an index and something is wrong: not asked again in this pass.
  std::map<std::string, Error> broken;
  std::map<std::string, Error> stopped;  // tables, by origin: nothing more of them
  std::optional<Error> down;             // it answers nobody
};

OpenSearchSink::OpenSearchSink(OpenSearchConfig config, TableRules<OpenSearchTableOptions> rules,
                               SinkContext context)
    : config_(std::move(config)),
      rules_(std::move(rules)),
      logger_(context.logger),
      catalog_(config_, server_, logger_, context.schema_changes, context.name),
      bulk_(config_, context.metrics),
      schema_changes_(context.schema_changes),
      omitted_total_(
          context.metrics.GetCounter("tailwater_sink_omitted_columns_total",
                                     "Columns written as NULL because the record lacked them.")),
      left_out_total_(context.metrics.GetCounter(
          "tailwater_sink_left_out_columns_total",
          "Values left out because the target lacks their column (schema_changes: ignore).")),
      bases_total_(context.metrics.GetCounter(
          "tailwater_sink_bases_read_total",
          "Documents that were read because a change left columns out that did not change.")) {}

Status OpenSearchSink::Open() {
  if (cluster_ == nullptr) {
    TW_ASSIGN_OR_RETURN(cluster_, Cluster::Open(config_, logger_));
  }
  TW_TRY(cluster_->ReadCredentials());
  TW_ASSIGN_OR_RETURN(server_, cluster_->Probe());
  return {};
}

Result<std::vector<Verdict>> OpenSearchSink::Write(const DeliveryBatch& batch) {
  TW_TRY(cluster_->ReadCredentials());
  std::vector<Verdict> verdicts = WriteIsolating(batch);
  // Nothing was decided: the target as a whole is the reason.
  const Verdict* trouble = nullptr;
  for (const Verdict& verdict : verdicts) {
    if (verdict.final() || verdict.table_stopped) return verdicts;
    if (trouble == nullptr || (verdict.needs_operator && !trouble->needs_operator)) {
      trouble = &verdict;
    }
  }
  if (trouble == nullptr || trouble->after.count() > 0) return verdicts;
  return ToError(*trouble);
}

std::vector<Verdict> OpenSearchSink::WriteIsolating(const DeliveryBatch& batch) {
  std::vector<Verdict> verdicts = WriteCollapsed(batch);
  const std::vector<uint32_t> item_of(collapser_.item_of().begin(), collapser_.item_of().end());
  // The deliveries of each row that was refused, if there are several.
  std::map<uint32_t, std::vector<size_t>> rows;
  for (size_t i = 0; i < verdicts.size(); ++i) {
    if (verdicts[i].kind == Verdict::Kind::kRejected && verdicts[i].code != kBaseMissing) {
      rows[item_of[i]].push_back(i);
    }
  }
  std::erase_if(rows, [](const auto& row) { return row.second.size() < 2; });
  for (size_t turn = 0; !rows.empty(); ++turn) {
    std::vector<size_t> numbers;
    std::vector<Delivery> deliveries;
    for (const auto& [unused, row] : rows) {
      numbers.push_back(row[turn]);
      deliveries.push_back(batch.deliveries[row[turn]]);
    }
    const std::vector<Verdict> alone = WriteCollapsed({deliveries});
    size_t at = 0;
    for (const auto& [unused, row] : rows) {
      verdicts[row[turn]] = alone[at++];
      if (verdicts[row[turn]].final()) continue;
      // What follows in the row waits for it.
      for (size_t later = turn + 1; later < row.size(); ++later) {
        verdicts[row[later]] = verdicts[row[turn]];
      }
    }
    std::erase_if(rows, [&](const auto& row) {
      return turn + 1 >= row.second.size() || !verdicts[row.second[turn]].final();
    });
  }
  return verdicts;
}

std::vector<Verdict> OpenSearchSink::WriteCollapsed(const DeliveryBatch& batch) {
  Pass pass;
  pass.items = collapser_.Collapse(batch);
  pass.verdicts.resize(pass.items.size());
  for (size_t i = 0; i < pass.items.size(); ++i) Plan(pass, i);
  OverlayBases(pass);
  Send(pass);
  return collapser_.Expand(pass.verdicts);
}

void OpenSearchSink::Plan(Pass& pass, size_t number) {
  const Change& change = *pass.items[number].last->change;
  Verdict& verdict = pass.verdicts[number];
  const bool is_row = IsRowOperation(change.operation);
  if (!is_row && change.operation != Operation::kSchema) {
    verdict = Verdict::Applied();
    return;
  }
  const std::string origin = OriginOf(change.source, change.table);
  const bool outdated = IsOutdated(change, origin);
  PlanOrError& plan = PlanOf(change);
  if (const auto stopped = pass.stopped.find(origin); stopped != pass.stopped.end() && is_row) {
    verdict = Verdict::TableStopped(stopped->second.code, stopped->second.message);
    return;
  }
  const auto stop = [&](const Error& error) {
    if (!is_row) {
      verdict = Verdict::Applied();  // its rows will tell
      return;
    }
    verdict = Verdict::TableStopped(error.code, error.message);
    pass.stopped.emplace(origin, error);
  };
  if (!plan) {
    if (plan.error().code == "opensearch_key_missing" && met_[origin].keyed && !outdated &&
        schema_changes_ != SchemaChanges::kIgnore) {
      stop(plan.error());
    } else if (!is_row) {
      verdict = Verdict::Applied();  // its rows will tell
    } else if (plan.error().disposition == Disposition::kReject) {
      verdict = Verdict::Rejected(plan.error().code, plan.error().message);
    } else {
      verdict = ToVerdict(plan.error());
    }
    return;
  }
  auto broken = pass.broken.find(plan->index);
  if (broken == pass.broken.end()) {
    Status ready = pass.down ? Status(*pass.down)
                             : catalog_.Prepare(*cluster_, *plan, *change.schema, outdated);
    if (!ready && ready.error().code.starts_with("schema_")) {
      if (ready.error().disposition == Disposition::kNeedsOperator) {
        stop(ready.error());
      } else if (is_row) {
        verdict = Verdict::Rejected(ready.error().code, ready.error().message);
      } else {
        verdict = Verdict::Applied();
      }
      return;
    }
    if (!ready) {
      if (ready.error().disposition == Disposition::kRetry) pass.down = ready.error();
      broken = pass.broken.emplace(plan->index, std::move(ready).error()).first;
    }
  }
  if (broken != pass.broken.end()) {
    verdict = ToVerdict(broken->second);
  } else if (!is_row) {
    verdict = Verdict::Applied();
  } else if (change.version < catalog_.SweptVersion(plan->origin)) {
    verdict = Verdict::Superseded();
  } else {
    PlanRow(pass, number, *plan);
  }
}

void OpenSearchSink::PlanRow(Pass& pass, size_t number, const TablePlan& plan) {
  const CollapsedChange& item = pass.items[number];
  const Change& change = *item.last->change;
  auto place = PlaceOfRow(plan, *change.schema, change.key_row());
  if (!place) return Reject(pass, number, std::move(place).error());
  BulkOperation operation;
  if (change.operation == Operation::kDelete) {
    operation.action = Action::kDelete;
    AppendActionLine("delete", *place, change.version, operation.lines);
  } else {
    std::vector<Value> row;
    if (!Image(item, plan, row) && !item.base_gone) {
      pass.partials.push_back({number, &plan, *std::move(place), std::move(row)});
      return;
    }
    AppendActionLine("index", *place, change.version, operation.lines);
    if (Status written = AppendDocument(plan, *change.schema, row, change.version, std::nullopt,
                                        operation.lines);
        !written) {
      return Reject(pass, number, std::move(written).error());
    }
    operation.lines += '\n';
  }
  pass.operations.push_back(std::move(operation));
  pass.sent.push_back({number, &plan, *std::move(place)});
}

bool OpenSearchSink::Image(const CollapsedChange& item, const TablePlan& plan,
                           std::vector<Value>& row) {
  if (plan.left_out > 0) left_out_total_.Add(static_cast<double>(plan.left_out));
  const Row before = item.last->change->before;
  row.assign(item.after.begin(), item.after.end());
  bool whole = true;
  for (const PlannedField& field : plan.fields) {
    Value& value = row[field.column];
    if (value.is_omitted()) omitted_total_.Add();
    if (!value.is_unchanged()) continue;
    if (!before.empty() && (before[field.column].has_value() || before[field.column].is_null())) {
      value = before[field.column];
    } else {
      whole = false;
    }
  }
  return whole;
}

void OpenSearchSink::OverlayBases(Pass& pass) {
  // Documents may be large: a part of them at a time.
  size_t bytes = 0;
  for (const BulkOperation& operation : pass.operations) bytes += operation.lines.size();
  for (size_t begin = 0; begin < pass.partials.size(); begin += kBasesAtATime) {
    const size_t end = std::min(begin + kBasesAtATime, pass.partials.size());
    std::vector<DocumentPlace> places;
    for (size_t i = begin; i < end; ++i) places.push_back(pass.partials[i].place);
    const std::vector<HeldDocument> held = ReadDocuments(*cluster_, places);
    bases_total_.Add(static_cast<double>(held.size()));
    for (size_t i = begin; i < end; ++i) {
      const size_t before = pass.operations.size();
      OverlayBase(pass, pass.partials[i], held[i - begin]);
      if (pass.operations.size() > before) bytes += pass.operations.back().lines.size();
      if (bytes < kBytesAtATime) continue;
      Send(pass);
      bytes = 0;
    }
  }
}

void OpenSearchSink::OverlayBase(Pass& pass, const Partial& partial, const HeldDocument& held) {
  const Change& change = *pass.items[partial.number].last->change;
  Verdict& verdict = pass.verdicts[partial.number];
  if (!held.judgement.good()) {
    verdict = VerdictOf(held.judgement, partial.place.index);
    return;
  }
  if (!held.found) {
    verdict = Verdict::Rejected(kBaseMissing,
                                "some columns are unchanged, and the index has no such document");
    return;
  }
  if (held.version > change.version) {
    verdict = Verdict::Superseded();
    return;
  }
  if (held.refused > held.version && held.refused < change.version) {
    verdict = Verdict::Rejected(kBaseMissing,
                                "some columns are unchanged since a change that the index refused");
    return;
  }
  BulkOperation operation;
  AppendActionLine("index", partial.place, change.version, operation.lines);
  if (Status written = AppendDocument(*partial.plan, *change.schema, partial.row, change.version,
                                      JsonView::Parse(held.source), operation.lines);
      !written) {
    return Reject(pass, partial.number, std::move(written).error());
  }
  operation.lines += '\n';
  pass.operations.push_back(std::move(operation));
  pass.sent.push_back({partial.number, partial.plan, partial.place});
}

Verdict OpenSearchSink::VerdictOf(const Judgement& judgement, const std::string& index) {
  if (judgement.outcome != Outcome::kIndexMissing) return opensearch::ToVerdict(judgement);
  catalog_.Forget(index);
  if (!config_.create) return opensearch::ToVerdict(judgement);
  return Verdict::Unavailable(judgement.code,
                              fmt::format("somebody deleted index {}: it is created again, without "
                                          "the documents that it had; rewind the sink to fill it",
                                          index),
                              {});
}

void OpenSearchSink::Send(Pass& pass) {
  if (pass.operations.empty()) return;
  const std::vector<Judgement> judgements = bulk_.Write(*cluster_, pass.operations);
  std::vector<size_t> refused;  // of pass.sent
  for (size_t i = 0; i < judgements.size(); ++i) {
    const Judgement& judgement = judgements[i];
    pass.verdicts[pass.sent[i].number] = VerdictOf(judgement, pass.sent[i].place.index);
    if (pass.verdicts[pass.sent[i].number].kind == Verdict::Kind::kRejected) refused.push_back(i);
  }
  for (size_t begin = 0; begin < refused.size(); begin += kBasesAtATime) {
    MarkRefused(pass,
                std::span(refused).subspan(begin, std::min(kBasesAtATime, refused.size() - begin)));
  }
  pass.operations.clear();
  pass.sent.clear();
}

void OpenSearchSink::MarkRefused(Pass& pass, std::span<const size_t> refused) {
  std::vector<DocumentPlace> places;
  for (const size_t i : refused) places.push_back(pass.sent[i].place);
  const std::vector<HeldDocument> held = ReadDocuments(*cluster_, places);
  std::vector<BulkOperation> operations;
  std::vector<size_t> numbers;  // of the items
  for (size_t k = 0; k < held.size(); ++k) {
    const Sent& sent = pass.sent[refused[k]];
    const int64_t version = pass.items[sent.number].last->change->version;
    if (!held[k].judgement.good()) {
      pass.verdicts[sent.number] = opensearch::ToVerdict(held[k].judgement);
      continue;
    }
    const auto source = JsonView::Parse(held[k].source);
    if (!held[k].found || !source || held[k].version >= version || held[k].refused >= version) {
      continue;
    }
    BulkOperation& operation = operations.emplace_back();
    AppendActionLine("index", sent.place, held[k].version, operation.lines);
    AppendMarkedDocument(*sent.plan, *source, held[k].version, version, operation.lines);
    operation.lines += '\n';
    numbers.push_back(sent.number);
  }
  if (operations.empty()) return;
  const std::vector<Judgement> judgements = bulk_.Write(*cluster_, operations);
  for (size_t k = 0; k < judgements.size(); ++k) {
    Verdict marked = opensearch::ToVerdict(judgements[k]);
    // Not marked yet: the refusal is told once it is.
    if (marked.kind == Verdict::Kind::kRetry) pass.verdicts[numbers[k]] = std::move(marked);
    if (marked.kind == Verdict::Kind::kRejected) {
      logger_.Warn(
          "the index refuses the document that it holds; a later change that leaves columns "
          "out may take them from before the refused change",
          {{"reason", marked.reason}});
    }
  }
}

void OpenSearchSink::Reject(Pass& pass, size_t number, Error error) {
  pass.verdicts[number] = Verdict::Rejected(error.code, std::move(error.message));
}

bool OpenSearchSink::IsOutdated(const Change& change, const std::string& origin) {
  Met& met = met_[origin];
  const uint64_t fingerprint = change.schema->fingerprint();
  met.keyed = met.keyed || !change.schema->keyless();
  if (change.version > met.version) {
    met.version = change.version;
    met.fingerprint = fingerprint;
  }
  return met.fingerprint != fingerprint;
}

OpenSearchSink::PlanOrError& OpenSearchSink::PlanOf(const Change& change) {
  std::string key(change.source);
  const uint64_t fingerprint = change.schema->fingerprint();
  key.append(reinterpret_cast<const char*>(&fingerprint), sizeof fingerprint);
  const auto known = plans_.find(key);
  if (known != plans_.end()) return known->second;
  return plans_
      .emplace(std::move(key), PlanTable(config_, rules_.Find(change.source, change.table),
                                         change.source, *change.schema))
      .first->second;
}

Status OpenSearchSink::Sweep(const SweepRequest& request) {
  TW_TRY(cluster_->ReadCredentials());
  const std::string index =
      IndexOf(config_, rules_.Find(request.source, request.table), request.source, request.table);
  const std::string origin = OriginOf(request.source, request.table);
  TW_TRY(catalog_.RememberSweep(*cluster_, index, origin, request.version));
  TW_ASSIGN_OR_RETURN(const bool there, catalog_.Look(*cluster_, index));
  if (!there) return {};
  TW_ASSIGN_OR_RETURN(const uint64_t gone,
                      SweepIndex(*cluster_, bulk_, index, origin, request.version));
  logger_.Info("table swept", {{"table", request.table}, {"documents", gone}});
  return {};
}

}  // namespace tailwater::opensearch
