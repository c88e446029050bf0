#include "opensearch/bulk_writer.h"

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "opensearch/json_view.h"

namespace tailwater::opensearch {
namespace {

// A smaller request is not worth a connection of its own.
constexpr size_t kLeastShare = 500;

// However often it says that it is busy.
constexpr size_t kLeastRecords = 50;

// How long, and with which pauses, what was put off is sent again while the rest gets through.
constexpr std::chrono::seconds kPatience{5};
constexpr std::chrono::milliseconds kFirstPause{50};
constexpr std::chrono::milliseconds kLongestPause{1'000};

// `timeout`: how long the server waits for a shard that is away; less than our own patience.
constexpr char kPath[] =
    "/_bulk?timeout=20s&filter_path=items.*.status,items.*.error.type,items.*.error.reason";

bool ConcernsTheWholeTarget(Outcome outcome) {
  return outcome == Outcome::kThrottled || outcome == Outcome::kUnavailable ||
         outcome == Outcome::kNeedsOperator || outcome == Outcome::kIndexMissing;
}

}  // namespace

std::optional<std::vector<Judgement>> ReadBulkAnswer(std::string_view body,
                                                     std::span<const BulkOperation* const> sent) {
  const auto json = JsonView::Parse(body);
  const auto items = json ? json->Find("items") : std::nullopt;
  if (!items || !items->is_array()) return std::nullopt;
  std::vector<Judgement> judgements;
  bool whole = true;
  items->ForEachElement([&](JsonView item) {
    item.ForEachMember([&](const std::string&, JsonView result) {
      const auto status = result.Find("status");
      const auto number = status ? status->Integer() : std::nullopt;
      if (!number || judgements.size() >= sent.size()) {
        whole = false;
        return;
      }
      const auto type = result.Find("error", "type");
      const auto reason = result.Find("error", "reason");
      judgements.push_back(JudgeItem(sent[judgements.size()]->action, static_cast<int>(*number),
                                     type ? type->Text() : "", reason ? reason->Text() : ""));
    });
  });
  if (!whole || judgements.size() != sent.size()) return std::nullopt;
  return judgements;
}

BulkWriter::BulkWriter(const OpenSearchConfig& config, Metrics& metrics)
    : config_(config),
      record_limit_(config.batch.records),
      requests_total_(metrics.GetCounter("tailwater_sink_requests_total",
                                         "Write requests that were sent to the target.")),
      throttled_total_(metrics.GetCounter("tailwater_sink_throttled_total",
                                          "Write requests that the target asked to slow down.")),
      bytes_total_(metrics.GetCounter("tailwater_sink_bytes_written_total",
                                      "Bytes of the records that the target took.")) {}

std::deque<BulkWriter::Range> BulkWriter::Cut(const Operations& operations) const {
  const size_t share = (operations.size() + config_.batch.in_flight - 1) / config_.batch.in_flight;
  const size_t most = std::min(record_limit_, std::max(share, kLeastShare));
  std::deque<Range> ranges;
  size_t bytes = 0;
  for (size_t i = 0; i < operations.size(); ++i) {
    const size_t size = operations[i]->lines.size();
    if (ranges.empty() || ranges.back().size() >= most ||
        bytes + size > config_.batch.bytes.bytes) {
      ranges.push_back({i, i});
      bytes = 0;
    }
    ranges.back().end = i + 1;
    bytes += size;
  }
  return ranges;
}

std::vector<Judgement> BulkWriter::Write(Cluster& cluster,
                                         std::span<const BulkOperation> operations) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  Operations sent;
  std::vector<size_t> places;
  for (size_t i = 0; i < operations.size(); ++i) {
    sent.push_back(&operations[i]);
    places.push_back(i);
  }
  std::vector<Judgement> judgements(operations.size());
  for (std::chrono::milliseconds pause = kFirstPause;; pause = std::min(2 * pause, kLongestPause)) {
    std::vector<Judgement> round = WriteOnce(cluster, sent);
    size_t put_off = 0;
    bool goes_on = true;
    for (size_t i = 0; i < round.size(); ++i) {
      const bool again =
          round[i].outcome == Outcome::kThrottled || round[i].outcome == Outcome::kUnavailable;
      goes_on = goes_on && (again || !ConcernsTheWholeTarget(round[i].outcome)) &&
                round[i].retry_after.value_or(pause) <= kLongestPause;
      judgements[places[i]] = std::move(round[i]);
      if (!again) continue;
      sent[put_off] = sent[i];
      places[put_off++] = places[i];
    }
    const bool progress = put_off < round.size();
    if (put_off == 0 || !progress || !goes_on ||
        std::chrono::steady_clock::now() + pause > deadline) {
      return judgements;
    }
    sent.resize(put_off);
    places.resize(put_off);
    std::this_thread::sleep_for(pause);
  }
}

std::vector<Judgement> BulkWriter::WriteOnce(Cluster& cluster, const Operations& operations) {
  std::vector<Judgement> judgements(operations.size());
  std::deque<Range> waiting = Cut(operations);
  struct Flight {
    Range range;
    Cluster::Pending pending;
  };
  std::deque<Flight> flights;
  std::optional<Judgement> stopped;
  bool throttled = false;
  while (!waiting.empty() || !flights.empty()) {
    while (!waiting.empty() && !stopped && flights.size() < config_.batch.in_flight) {
      const Range range = waiting.front();
      waiting.pop_front();
      Request request{"POST", kPath, {}, true};
      size_t bytes = 0;
      for (size_t i = range.begin; i < range.end; ++i) bytes += operations[i]->lines.size();
      request.body.reserve(bytes);
      for (size_t i = range.begin; i < range.end; ++i) request.body += operations[i]->lines;
      flights.push_back({range, cluster.Send(std::move(request))});
      requests_total_.Add();
    }
    if (flights.empty()) break;
    Flight flight = std::move(flights.front());
    flights.pop_front();
    const HttpAnswer answer = cluster.Wait(flight.pending);
    const Range range = flight.range;
    if (!Judge(answer, cluster.label(), operations, range, judgements)) {
      const size_t middle = range.begin + range.size() / 2;
      waiting.push_front({middle, range.end});
      waiting.push_front({range.begin, middle});
      continue;
    }
    for (size_t i = range.begin; i < range.end; ++i) {
      const Outcome outcome = judgements[i].outcome;
      throttled = throttled || outcome == Outcome::kThrottled;
      if (!stopped && ConcernsTheWholeTarget(outcome)) stopped = judgements[i];
      if (outcome == Outcome::kApplied) {
        bytes_total_.Add(static_cast<double>(operations[i]->lines.size()));
      }
    }
  }
  for (const Range& range : waiting) {  // were not sent
    std::fill(judgements.begin() + static_cast<ptrdiff_t>(range.begin),
              judgements.begin() + static_cast<ptrdiff_t>(range.end), *stopped);
  }
  throttled ? Slower() : Faster();
  return judgements;
}

bool BulkWriter::Judge(const HttpAnswer& answer, std::string_view label,
                       const Operations& operations, Range range,
                       std::vector<Judgement>& judgements) {
  const auto place = judgements.begin() + static_cast<ptrdiff_t>(range.begin);
  Judgement whole = JudgeAnswer(answer, label);
  if (whole.good()) {
    auto items =
        ReadBulkAnswer(answer.body, std::span(operations).subspan(range.begin, range.size()));
    if (items) {
      std::move(items->begin(), items->end(), place);
      return true;
    }
    whole = {
        Outcome::kUnavailable,
        "opensearch_answer_unknown",
        std::string(label) + " sent an answer that does not fit the request; it is tried again",
        {}};
  }
  const bool splits = whole.outcome == Outcome::kTooLarge || whole.outcome == Outcome::kRejected;
  if (splits && range.size() > 1) return false;
  std::fill_n(place, range.size(), whole);
  return true;
}

void BulkWriter::Slower() {
  throttled_total_.Add();
  record_limit_ =
      std::max<size_t>(record_limit_ / 2, std::min<size_t>(kLeastRecords, config_.batch.records));
}

void BulkWriter::Faster() {
  record_limit_ = std::min<size_t>(record_limit_ + record_limit_ / 4 + 1, config_.batch.records);
}

}  // namespace tailwater::opensearch
