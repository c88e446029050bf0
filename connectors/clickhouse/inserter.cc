#include "clickhouse/inserter.h"

#include <xxhash.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "support/text.h"

namespace tailwater::clickhouse {
namespace {

// So many rows that are refused are looked for in one call, each by some inserts: a batch of them
// would keep the sink from hearing anything for minutes.
constexpr size_t kMostRefusals = 20;
constexpr std::chrono::milliseconds kAtOnce{1};

std::string TokenOf(const Statement& statement) {
  XXH3_state_t* const state = XXH3_createState();
  if (state == nullptr) return {};
  XXH3_128bits_reset(state);
  XXH3_128bits_update(state, statement.query.data(), statement.query.size());
  XXH3_128bits_update(state, statement.body.data(), statement.body.size());
  const XXH128_hash_t hash = XXH3_128bits_digest(state);
  XXH3_freeState(state);
  return fmt::format("tailwater-{:016x}{:016x}", hash.high64, hash.low64);
}

}  // namespace

// An insert on its way.
struct Inserter::Flight {
  size_t group = 0;
  Server::Pending pending;
};

Inserter::Inserter(const ClickHouseConfig& config, const ServerFacts& facts, TargetCatalog& catalog,
                   Metrics& metrics)
    : config_(config),
      facts_(facts),
      catalog_(catalog),
      requests_total_(metrics.GetCounter("tailwater_sink_requests_total",
                                         "Write requests that were sent to the target.")),
      throttled_total_(metrics.GetCounter("tailwater_sink_throttled_total",
                                          "Write requests that the target asked to slow down.")),
      bytes_total_(metrics.GetCounter("tailwater_sink_bytes_written_total",
                                      "Bytes of the records that the target took.")) {}

std::chrono::milliseconds Inserter::Pace(std::span<const RowGroup* const> groups) const {
  const auto now = Clock::now();
  std::chrono::milliseconds wait{0};
  for (const RowGroup* group : groups) {
    const auto last = last_insert_.find(group->plan->target);
    if (last == last_insert_.end()) continue;
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(last->second + config_.batch.interval - now);
    wait = std::max(wait, left);
  }
  return wait;
}

Server::Pending Inserter::Send(Server& server, const RowGroup& group, Range range) {
  Statement statement;
  statement.query = group.plan->insert;
  const size_t begin = group.items[range.begin].begin;
  const size_t end = group.items[range.end - 1].end;
  statement.body.reserve(group.plan->header.size() + end - begin);
  statement.body = group.plan->header;
  statement.body.append(group.rows, begin, end - begin);
  const auto set = [&](std::string_view name, std::string value) {
    if (facts_.Knows(name)) statement.settings.emplace_back(name, std::move(value));
  };
  for (const NamePairs::Pair& pair : config_.settings.list) {
    statement.settings.emplace_back(pair.name, pair.value);
  }
  set("async_insert", config_.async_insert ? "1" : "0");
  set("wait_for_async_insert", "1");
  set("input_format_null_as_default", "0");
  if (group.plan->sends_json) set("input_format_binary_read_json_as_string", "1");
  if (group.replay) {
    set("insert_deduplicate", "0");
  } else {
    if (config_.async_insert) set("async_insert_deduplicate", "1");
    if (const std::string token = TokenOf(statement); !token.empty()) {
      set("insert_deduplication_token", token);
    }
  }
  requests_total_.Add();
  last_insert_[group.plan->target] = Clock::now();
  return server.Send(std::move(statement));
}

Judgement Inserter::Finish(Server& server, const RowGroup& group, Range range,
                           Server::Pending& pending) {
  HttpAnswer answer = server.Wait(pending);
  Judgement judgement = JudgeInsert(std::move(answer), server.label(), false);
  if (judgement.good()) {
    const size_t bytes = group.items[range.end - 1].end - group.items[range.begin].begin;
    bytes_total_.Add(static_cast<double>(bytes));
  } else if (judgement.code == "clickhouse_busy" || judgement.code == "clickhouse_too_many_parts") {
    throttled_total_.Add();
  }
  return judgement;
}

std::vector<std::vector<Judgement>> Inserter::Write(Server& server,
                                                    std::span<const RowGroup* const> groups) {
  refusals_ = 0;
  std::vector<std::vector<Judgement>> judgements;
  for (const RowGroup* group : groups) judgements.emplace_back(group->items.size());
  std::deque<Flight> flights;
  const auto land = [&] {
    Flight flight = std::move(flights.front());
    flights.pop_front();
    const RowGroup& group = *groups[flight.group];
    const Range all{0, group.items.size()};
    Settle(server, group, all, Finish(server, group, all, flight.pending), false,
           judgements[flight.group]);
  };
  for (size_t i = 0; i < groups.size(); ++i) {
    if (groups[i]->items.empty()) continue;
    const auto same_table = [&](const Flight& flight) {
      return groups[flight.group]->plan->target == groups[i]->plan->target;
    };
    while (flights.size() >= config_.batch.in_flight ||
           std::any_of(flights.begin(), flights.end(), same_table)) {
      land();
    }
    flights.push_back({i, Send(server, *groups[i], {0, groups[i]->items.size()})});
  }
  while (!flights.empty()) land();
  return judgements;
}

void Inserter::Settle(Server& server, const RowGroup& group, Range range, Judgement judgement,
                      bool checked, std::vector<Judgement>& judgements) {
  const auto all = [&] {
    std::fill(judgements.begin() + static_cast<ptrdiff_t>(range.begin),
              judgements.begin() + static_cast<ptrdiff_t>(range.end), judgement);
  };
  if (judgement.outcome == Outcome::kChanged && !checked) {
    const auto changed = catalog_.HasChanged(server, *group.plan);
    if (!changed) {
      judgement.outcome = changed.error().disposition == Disposition::kRetry
                              ? Outcome::kRetry
                              : Outcome::kNeedsOperator;
      judgement.code = changed.error().code;
      judgement.reason = changed.error().message;
      return all();
    }
    if (*changed) return all();
    checked = true;
  }
  if (judgement.outcome == Outcome::kChanged) judgement.outcome = Outcome::kRow;
  if (judgement.outcome != Outcome::kRow) return all();
  if (range.end - range.begin == 1) {
    ++refusals_;
    return all();
  }
  if (refusals_ >= kMostRefusals) {
    judgement.outcome = Outcome::kRetry;
    judgement.after = kAtOnce;
    judgement.reason += fmt::format(
        "; {} rows were found that are refused, the others of the "
        "batch are written again",
        refusals_);
    return all();
  }
  const size_t middle = range.begin + (range.end - range.begin) / 2;
  for (const Range half : {Range{range.begin, middle}, Range{middle, range.end}}) {
    Server::Pending pending = Send(server, group, half);
    Settle(server, group, half, Finish(server, group, half, pending), checked, judgements);
  }
}

}  // namespace tailwater::clickhouse
