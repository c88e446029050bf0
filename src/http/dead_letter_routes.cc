#include "http/dead_letter_routes.h"

#include <openssl/evp.h>

#include <charconv>
#include <memory>
#include <optional>
#include <utility>

#include "codec/codec.h"
#include "http/json_body.h"
#include "sdk/suggest.h"
#include "support/change_json.h"
#include "support/text.h"
#include "util/timestamp.h"

namespace tailwater {
namespace {

constexpr size_t kDefaultLimit = 100;
constexpr size_t kMaxLimit = 1'000;
constexpr size_t kMaxIds = 1'000;
constexpr size_t kPageBytes = 16 << 20;  // of keys and values read for one page

std::string Base64(std::string_view bytes) {
  std::string out((bytes.size() + 2) / 3 * 4 + 1, '\0');  // EVP_EncodeBlock ends with a NUL
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                   reinterpret_cast<const unsigned char*>(bytes.data()),
                                   static_cast<int>(bytes.size()));
  out.resize(static_cast<size_t>(size));
  return out;
}

template <typename T>
std::optional<T> ParseNumber(std::string_view text) {
  T number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::string PlaceText(RecordPlace place) {
  return fmt::format("{}:{}", place.partition, place.offset);
}

// "0:1234".
std::optional<RecordPlace> ParsePlace(std::string_view text) {
  const size_t colon = text.find(':');
  if (colon == text.npos) return std::nullopt;
  const auto partition = ParseNumber<int32_t>(text.substr(0, colon));
  const auto offset = ParseNumber<int64_t>(text.substr(colon + 1));
  if (!partition || !offset) return std::nullopt;
  return RecordPlace{*partition, *offset};
}

// Without any value of the row.
Json Summary(const DeadLetter& letter) {
  Json json;
  json["place"] = PlaceText({letter.partition, letter.offset});
  json["id"] = letter.id;
  json["source"] = letter.source;
  json["table"] = letter.table;
  json["state"] = DeadLetterStateName(letter.state);
  json["blocks_key"] = letter.blocks_key;
  json["code"] = letter.code;
  json["reason"] = letter.reason;
  json["attempts"] = letter.attempts;
  json["first_seen_at"] = FormatTimestamp(letter.first_seen_micros);
  json["version"] = letter.version;
  json["bytes"] = letter.key.size() + letter.value.size();
  return json;
}

Result<std::string> ChangeJson(const DeadLetter& letter) {
  Decoder decoder;
  ChangeBatch batch;
  TW_TRY(decoder.Decode(letter.value, batch));
  std::string json;
  TW_TRY(AppendChangeJson(batch.changes()[0], json));
  return json;
}

Result<DeadLetter::State> ParseState(const std::string& text) {
  if (const auto state = DeadLetterStateNamed(text)) return *state;
  return Error{Disposition::kReject, "request_invalid",
               fmt::format("state '{}' is unknown; there are dead and parked", text)};
}

Error UnknownKey(const std::string& key, const std::vector<std::string_view>& known) {
  return Invalid(fmt::format("'{}' is unknown{}; there are {}", key, DidYouMean(key, known),
                             fmt::join(known, ", ")));
}

struct ListRequest {
  DeadLetterFilter filter;
  std::optional<RecordPlace> from;
  size_t limit = kDefaultLimit;
};

Result<ListRequest> ParseList(const HttpRequest& request) {
  ListRequest list;
  for (const auto& [name, value] : request.parameters) {
    if (name == "state") {
      TW_ASSIGN_OR_RETURN(list.filter.state, ParseState(value));
    } else if (name == "code") {
      list.filter.code = value;
    } else if (name == "source") {
      list.filter.source = value;
    } else if (name == "table") {
      list.filter.table = value;
    } else if (name == "id") {
      list.filter.ids.push_back(value);
    } else if (name == "from") {
      list.from = ParsePlace(value);
      if (!list.from) return Invalid(fmt::format("from '{}' is no PARTITION:OFFSET", value));
    } else if (name == "limit") {
      const auto limit = ParseNumber<size_t>(value);
      if (!limit || *limit == 0 || *limit > kMaxLimit) {
        return Invalid(fmt::format("limit '{}' is not a number from 1 to {}", value, kMaxLimit));
      }
      list.limit = *limit;
    } else {
      return UnknownKey(name, {"state", "code", "source", "table", "id", "from", "limit"});
    }
  }
  if (list.filter.ids.size() > kMaxIds) {
    return Invalid(fmt::format("at most {} ids at a time", kMaxIds));
  }
  return list;
}

// What a misspelt key would leave out is deleted or replayed too many: nothing unknown passes.
Result<DeadLetterFilter> ParseFilter(const std::string& body) {
  const Json json = Json::parse(body, nullptr, false);
  if (!json.is_object()) {
    return Invalid("the body is no JSON object, such as {\"ids\": [\"…\"]} or {\"all\": true}");
  }
  DeadLetterFilter filter;
  bool all = false;
  bool narrowed = false;
  for (const auto& [key, value] : json.items()) {
    if (key == "all") {
      if (!value.is_boolean()) return Invalid("'all' is neither true nor false");
      all = value.get<bool>();
      continue;
    }
    narrowed = true;
    if (key == "ids") {
      if (!value.is_array() || value.empty() || value.size() > kMaxIds) {
        return Invalid(fmt::format("'ids' is no list of 1 to {} ids", kMaxIds));
      }
      for (const Json& id : value) {
        if (!id.is_string()) return Invalid("an id of 'ids' is no text");
        filter.ids.push_back(id.get<std::string>());
      }
      continue;
    }
    std::string* target = key == "source"  ? &filter.source
                          : key == "table" ? &filter.table
                          : key == "code"  ? &filter.code
                                           : nullptr;
    if (target == nullptr && key != "state") {
      return UnknownKey(key, {"ids", "source", "table", "code", "state", "all"});
    }
    if (!value.is_string() || value.get_ref<const std::string&>().empty()) {
      return Invalid(fmt::format("'{}' is no text", key));
    }
    if (target != nullptr) {
      *target = value.get<std::string>();
    } else {
      TW_ASSIGN_OR_RETURN(filter.state, ParseState(value.get<std::string>()));
    }
  }
  if (!narrowed && !all) {
    return Invalid(
        "the filter is empty; name ids, source, table, code or state, or say \"all\": "
        "true");
  }
  return filter;
}

class DeadLetterApi {
 public:
  DeadLetterApi(ApiSinks sinks, const Clock& clock) : sinks_(std::move(sinks)), clock_(clock) {}

  HttpResponse List(const HttpRequest& request) const {
    const auto sink = FindApiSink(sinks_, request);
    if (!sink) return HttpError(404, sink.error().code, sink.error().message);
    const auto list = ParseList(request);
    if (!list) return BadRequest(list.error());
    const auto page =
        sink->topic->ListDeadLetters(sink->sink, list->filter, list->from, list->limit, kPageBytes);
    if (!page) return SinkFailure(page.error());
    Json json = Head(*sink);
    json["matched"] = page->matched;
    if (page->next) json["next"] = PlaceText(*page->next);
    json["dead_letters"] = Json::array();
    for (const DeadLetter& letter : page->letters) json["dead_letters"].push_back(Summary(letter));
    return Answer(json);
  }

  HttpResponse Show(const HttpRequest& request) const {
    const auto sink = FindApiSink(sinks_, request);
    if (!sink) return HttpError(404, sink.error().code, sink.error().message);
    bool raw = false;
    for (const auto& [name, value] : request.parameters) {
      if (name != "raw") return BadRequest(UnknownKey(name, {"raw"}));
      if (value != "true" && value != "false")
        return BadRequest(Invalid("raw is neither true nor false"));
      raw = value == "true";
    }
    const auto place = ParsePlace(request.captures[2]);
    if (!place) return BadRequest(Invalid("the place is no PARTITION:OFFSET"));
    const auto page = sink->topic->ListDeadLetters(sink->sink, {}, place, 1, 0);
    if (!page) return SinkFailure(page.error());
    if (page->letters.empty() ||
        RecordPlace{page->letters[0].partition, page->letters[0].offset} != *place) {
      return HttpError(404, "dead_letter_not_found",
                       fmt::format("sink '{}' holds no record of {}; it may have been delivered or "
                                   "dropped meanwhile",
                                   sink->sink, PlaceText(*place)));
    }
    const DeadLetter& letter = page->letters[0];
    Json json = Head(*sink);
    json.update(Summary(letter));
    if (raw) json["raw"] = {{"key", Base64(letter.key)}, {"value", Base64(letter.value)}};
    const auto change = ChangeJson(letter);
    if (!change) {
      json["change_error"] = {{"code", change.error().code}, {"message", change.error().message}};
      return Answer(json);
    }
    // As it was made: a number keeps all of its digits.
    HttpResponse response = Answer(json);
    response.body.replace(response.body.rfind('}'), 1, ",\"change\":" + *change + "}");
    return response;
  }

  HttpResponse Replay(const HttpRequest& request) const {
    return Change(request, &ApiSink::requeue, "keys");
  }
  HttpResponse Drop(const HttpRequest& request) const {
    return Change(request, &ApiSink::drop, "dropped");
  }

 private:
  HttpResponse Change(const HttpRequest& request, ApiSink::Change ApiSink::*change,
                      const char* counted) const {
    if (!IsJson(request)) return RefuseContentType();
    const auto sink = FindApiSink(sinks_, request);
    if (!sink) return HttpError(404, sink.error().code, sink.error().message);
    const auto filter = ParseFilter(request.body);
    if (!filter) return BadRequest(filter.error());
    if (!((*sink).*change)) return RefuseSinkElsewhere();
    const auto count = ((*sink).*change)(*filter, kSinkTimeout);
    if (!count) return SinkFailure(count.error());
    return Answer({{counted, *count}});
  }

  Json Head(const ApiSink& sink) const {
    return {{"pipeline", sink.pipeline},
            {"sink", sink.sink},
            {"now", FormatTimestamp(clock_.UnixMicros())}};
  }

  const ApiSinks sinks_;
  const Clock& clock_;
};

}  // namespace

void AddDeadLetterRoutes(HttpServer& server, ApiSinks sinks, const Clock& clock) {
  const auto api = std::make_shared<DeadLetterApi>(std::move(sinks), clock);
  const std::string base = "/api/v1/pipelines/([^/]+)/sinks/([^/]+)/dead-letters";
  server.Handle("GET", base, [api](const HttpRequest& request) { return api->List(request); });
  server.Handle("POST", base + "/replay",
                [api](const HttpRequest& request) { return api->Replay(request); });
  server.Handle("POST", base + "/drop",
                [api](const HttpRequest& request) { return api->Drop(request); });
  server.Handle("GET", base + "/([0-9]+:[0-9]+)",
                [api](const HttpRequest& request) { return api->Show(request); });
}

}  // namespace tailwater
