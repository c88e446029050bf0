#include "opensearch/base_reader.h"

#include <algorithm>
#include <utility>

#include "support/text.h"

namespace tailwater::opensearch {
namespace {

Request MakeRequest(std::span<const DocumentPlace> places) {
  Request request{"POST", "/_mget", R"({"docs":[)"};
  for (size_t i = 0; i < places.size(); ++i) {
    if (i > 0) request.body += ',';
    request.body += R"({"_index":)";
    AppendQuoted(places[i].index, request.body);
    request.body += R"(,"_id":)";
    AppendQuoted(places[i].id, request.body);
    if (!places[i].routing.empty()) {
      request.body += R"(,"routing":)";
      AppendQuoted(places[i].routing, request.body);
    }
    request.body += '}';
  }
  request.body += "]}";
  return request;
}

HeldDocument ReadOne(JsonView item) {
  HeldDocument held;
  if (const auto error = item.Find("error")) {
    const auto type = error->Find("type");
    const std::string type_name = type ? type->Text() : "";
    // The status is not told; only these say what is wrong.
    const int status = type_name == "index_not_found_exception" ? 404 : 503;
    held.judgement = JudgeItem(Action::kAny, status, type_name, "");
    return held;
  }
  const auto found = item.Find("found");
  held.found = found && found->is_true();
  if (!held.found) return held;
  const auto version = item.Find("_version");
  const auto source = item.Find("_source");
  held.version = version ? version->Integer().value_or(0) : 0;
  if (source) held.source = source->raw();
  const auto refused = source ? source->Find(kMetaField, "refused") : std::nullopt;
  held.refused = refused ? refused->Integer().value_or(0) : 0;
  return held;
}

// False: too long an answer; less is to be asked for.
bool ReadAnswer(const HttpAnswer& answer, std::string_view label, std::span<HeldDocument> held) {
  Judgement judgement = JudgeAnswer(answer, label);
  if (judgement.good()) {
    const auto body = JsonView::Parse(answer.body);
    const auto documents = body ? body->Find("docs") : std::nullopt;
    size_t count = 0;
    if (documents) {
      documents->ForEachElement([&](JsonView item) {
        if (count < held.size()) held[count] = ReadOne(item);
        ++count;
      });
    }
    if (count == held.size()) return true;
    judgement = {
        Outcome::kUnavailable,
        "opensearch_answer_unknown",
        fmt::format("{} sent an answer that does not fit the request; it is tried again", label),
        {}};
  }
  if (answer.body_cut && held.size() > 1) return false;
  if (judgement.outcome == Outcome::kRejected || judgement.outcome == Outcome::kTooLarge) {
    judgement.outcome = Outcome::kNeedsOperator;  // it was a question, and no document's fault
  }
  for (HeldDocument& one : held) one = {judgement, false, 0, 0, {}};
  return true;
}

}  // namespace

std::vector<HeldDocument> ReadDocuments(Cluster& cluster, std::span<const DocumentPlace> places) {
  std::vector<HeldDocument> held(places.size());
  for (size_t begin = 0, most = places.size(); begin < places.size();) {
    const size_t size = std::min(most, places.size() - begin);
    const HttpAnswer answer = cluster.Call(MakeRequest(places.subspan(begin, size)));
    if (ReadAnswer(answer, cluster.label(), std::span(held).subspan(begin, size))) {
      begin += size;
    } else {
      most = std::max<size_t>(size / 2, 1);
    }
  }
  return held;
}

}  // namespace tailwater::opensearch
