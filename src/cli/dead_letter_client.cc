#include "cli/dead_letter_client.h"

#include <algorithm>
#include <utility>

#include "cli/json_fields.h"
#include "support/text.h"
#include "support/url_encoding.h"

namespace tailwater {
namespace {

Error Unexpected() {
  return Error{Disposition::kFatal, "daemon_answer",
               "the daemon answers something unexpected; is it of another release?"};
}

}  // namespace

DeadLetterClient::DeadLetterClient(ApiAddress api, std::string pipeline, std::string sink)
    : api_(std::move(api)),
      pipeline_(std::move(pipeline)),
      sink_(std::move(sink)),
      path_(SinkPath({pipeline_, sink_}) + "/dead-letters") {}

Result<DeadLetterClient> DeadLetterClient::Find(ApiAddress api, const std::string& pipeline,
                                                const std::string& sink) {
  TW_ASSIGN_OR_RETURN(const RunningSink found, FindRunningSink(api, pipeline, sink));
  return DeadLetterClient(std::move(api), found.pipeline, found.sink);
}

Result<Json> DeadLetterClient::Page(const DeadLetterQuery& query, const std::string& from,
                                    size_t limit) const {
  std::string path = fmt::format("{}?limit={}", path_, std::clamp<size_t>(limit, 1, kPageRecords));
  const auto add = [&](const char* name, const std::string& value) {
    if (!value.empty()) path += fmt::format("&{}={}", name, EncodedForUrl(value));
  };
  add("from", from);
  add("source", query.source);
  add("table", query.table);
  add("code", query.code);
  add("state", query.state);
  for (const std::string& id : query.ids) add("id", id);
  TW_ASSIGN_OR_RETURN(Json page, GetJson(api_, path));
  if (!page.is_object() || !page.contains("dead_letters") || !page["dead_letters"].is_array() ||
      !page.contains("matched") || !page["matched"].is_number_unsigned()) {
    return Unexpected();
  }
  return page;
}

Result<Json> DeadLetterClient::ForEach(const DeadLetterQuery& query,
                                       const std::function<bool(const Json& letter)>& each) const {
  std::optional<Json> first;
  std::string from;
  do {
    TW_ASSIGN_OR_RETURN(Json page, Page(query, from, kPageRecords));
    for (const Json& letter : page["dead_letters"]) {
      if (each(letter)) continue;
      page.erase("next");
      break;
    }
    from = TextOf(page, "next");
    if (!first) {
      page.erase("dead_letters");
      page.erase("next");
      first = std::move(page);
    }
  } while (!from.empty());
  return *std::move(first);
}

Result<std::string> DeadLetterClient::Show(const std::string& place, bool raw) const {
  return GetText(api_, fmt::format("{}/{}{}", path_, place, raw ? "?raw=true" : ""));
}

Result<uint64_t> DeadLetterClient::Replay(const DeadLetterQuery& query) const {
  return Post("replay", "keys", query);
}

Result<uint64_t> DeadLetterClient::Drop(const DeadLetterQuery& query) const {
  return Post("drop", "dropped", query);
}

Result<uint64_t> DeadLetterClient::Post(const char* what, const char* counted,
                                        const DeadLetterQuery& query) const {
  Json body = Json::object();
  if (!query.ids.empty()) body["ids"] = query.ids;
  for (const auto& [key, value] :
       std::initializer_list<std::pair<const char*, const std::string&>>{{"source", query.source},
                                                                         {"table", query.table},
                                                                         {"code", query.code},
                                                                         {"state", query.state}}) {
    if (!value.empty()) body[key] = value;
  }
  if (query.empty()) body["all"] = true;
  TW_ASSIGN_OR_RETURN(const Json answer, PostJson(api_, fmt::format("{}/{}", path_, what), body));
  if (!answer.is_object() || !answer.contains(counted) || !answer[counted].is_number_unsigned()) {
    return Unexpected();
  }
  return answer[counted].get<uint64_t>();
}

Result<Json> DeadLetterClient::Status() const {
  TW_ASSIGN_OR_RETURN(const Json status, GetJson(api_, "/api/v1/status"));
  if (!status.is_object() || !status.contains("pipelines")) return Unexpected();
  for (const Json& pipeline : status["pipelines"]) {
    if (TextOf(pipeline, "name") != pipeline_ || !pipeline.contains("sinks")) continue;
    for (const Json& sink : pipeline["sinks"]) {
      if (TextOf(sink, "name") == sink_) return sink;
    }
  }
  return Unexpected();
}

}  // namespace tailwater
