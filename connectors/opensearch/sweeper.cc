#include "opensearch/sweeper.h"

#include <optional>
#include <utility>
#include <vector>

#include "opensearch/document.h"
#include "opensearch/json_view.h"
#include "opensearch/table_plan.h"
#include "support/text.h"
#include "support/url_encoding.h"

namespace tailwater::opensearch {
namespace {

constexpr int kPage = 5'000;
constexpr char kScrollTime[] = "5m";

Result<HttpAnswer> Ask(Cluster& cluster, Request request) {
  HttpAnswer answer = cluster.Call(std::move(request));
  if (const Judgement judgement = JudgeAdministration(answer, cluster.label()); !judgement.good()) {
    return ToError(judgement);
  }
  return answer;
}

// A search context on the server; given back in any case.
class Scroll {
 public:
  explicit Scroll(Cluster& cluster) : cluster_(cluster) {}
  ~Scroll() {
    if (id_.empty()) return;
    std::string body = R"({"scroll_id":)";
    AppendQuoted(id_, body);
    // It ends by itself if this fails.
    cluster_.Call({"DELETE", "/_search/scroll", body + "}"});
  }
  Scroll(const Scroll&) = delete;
  Scroll& operator=(const Scroll&) = delete;

  Result<HttpAnswer> Next(const std::string& index, const std::string& query) {
    if (id_.empty()) {
      return Ask(
          cluster_,
          {"POST", fmt::format("/{}/_search?scroll={}", EncodedForUrl(index), kScrollTime), query});
    }
    std::string body = fmt::format(R"({{"scroll":"{}","scroll_id":)", kScrollTime);
    AppendQuoted(id_, body);
    return Ask(cluster_, {"POST", "/_search/scroll", body + "}"});
  }
  void set_id(std::string id) { id_ = std::move(id); }

 private:
  Cluster& cluster_;
  std::string id_;
};

Error Malformed(std::string_view label) {
  return {Disposition::kRetry, "opensearch_answer_unknown",
          fmt::format("{} sent an answer that is no search result; it is tried again", label)};
}

// The deletes of one page.
std::optional<std::vector<BulkOperation>> ReadPage(JsonView body, int64_t version) {
  const auto hits = body.Find("hits", "hits");
  if (!hits || !hits->is_array()) return std::nullopt;
  std::vector<BulkOperation> operations;
  bool whole = true;
  hits->ForEachElement([&](JsonView hit) {
    const auto index = hit.Find("_index");
    const auto id = hit.Find("_id");
    const auto routing = hit.Find("_routing");
    if (!index || !id) {
      whole = false;
      return;
    }
    BulkOperation& operation = operations.emplace_back();
    operation.action = Action::kDelete;
    AppendActionLine("delete", {index->Text(), id->Text(), routing ? routing->Text() : ""}, version,
                     operation.lines);
  });
  if (!whole) return std::nullopt;
  return operations;
}

bool AllShardsAnswered(JsonView body) {
  const auto total = body.Find("_shards", "total");
  const auto successful = body.Find("_shards", "successful");
  const auto timed_out = body.Find("timed_out");
  return total && successful && total->raw() == successful->raw() && timed_out &&
         !timed_out->is_true();
}

}  // namespace

Result<uint64_t> SweepIndex(Cluster& cluster, BulkWriter& bulk, const std::string& index,
                            const std::string& origin, int64_t version) {
  TW_ASSIGN_OR_RETURN(const HttpAnswer refreshed,
                      Ask(cluster, {"POST", "/" + EncodedForUrl(index) + "/_refresh", {}}));
  const auto refresh = JsonView::Parse(refreshed.body);
  if (const auto failed = refresh ? refresh->Find("_shards", "failed") : std::nullopt;
      !failed || failed->Integer() != 0) {
    return Error{Disposition::kRetry, "opensearch_unavailable",
                 fmt::format("index {}: some shards could not be refreshed", index)};
  }
  std::string query = fmt::format(R"({{"size":{},"_source":false,"sort":["_doc"],"query":{{"bool":)"
                                  R"({{"filter":[{{"term":{{"{}.origin":)",
                                  kPage, kMetaField);
  AppendQuoted(origin, query);
  query +=
      fmt::format(R"(}}}},{{"range":{{"{}.version":{{"lt":{}}}}}}}]}}}}}})", kMetaField, version);
  Scroll scroll(cluster);
  uint64_t gone = 0;
  for (;;) {
    TW_ASSIGN_OR_RETURN(const HttpAnswer answer, scroll.Next(index, query));
    const auto body = JsonView::Parse(answer.body);
    if (!body) return Malformed(cluster.label());
    const auto id = body->Find("_scroll_id");
    if (!id) return Malformed(cluster.label());
    scroll.set_id(id->Text());
    if (!AllShardsAnswered(*body)) {
      return Error{Disposition::kRetry, "opensearch_unavailable",
                   fmt::format("index {}: some shards did not answer", index)};
    }
    const auto operations = ReadPage(*body, version);
    if (!operations) return Malformed(cluster.label());
    if (operations->empty()) return gone;
    for (const Judgement& judgement : bulk.Write(cluster, *operations)) {
      if (judgement.outcome == Outcome::kApplied) {
        ++gone;
      } else if (judgement.outcome != Outcome::kSuperseded) {
        return ToError(judgement);
      }
    }
  }
}

}  // namespace tailwater::opensearch
