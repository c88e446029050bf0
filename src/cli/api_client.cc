#include "cli/api_client.h"

#include <curl/curl.h>

#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "support/text.h"

namespace tailwater {
namespace {

constexpr size_t kLongestAnswer = 64 << 20;

size_t Collect(char* data, size_t size, size_t count, void* opaque) {
  auto& body = *static_cast<std::string*>(opaque);
  if (body.size() + size * count > kLongestAnswer) return 0;
  body.append(data, size * count);
  return size * count;
}

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : value;
}

// The daemon's own words for a request that it did not do; nothing if they are not a daemon's.
std::optional<Error> Refusal(long status, const std::string& body) {
  const auto json = nlohmann::ordered_json::parse(body, nullptr, false);
  if (!json.is_object() || !json.contains("error") || !json["error"].is_object()) return {};
  std::string message = json["error"].value("message", "");
  if (message.empty()) return {};
  const bool later = status == 409 || status == 503;
  return Error{later ? Disposition::kRetry : Disposition::kReject,
               later ? "daemon_busy" : "request_refused", std::move(message)};
}

// An id that is no valid UTF-8 matches nothing, then.
std::string Dumped(const nlohmann::ordered_json& json) {
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

// GET, or POST with a body.
Result<std::string> Ask(const ApiAddress& api, const std::string& path,
                        const std::optional<std::string>& post) {
  if (!api.url.starts_with("http://") && !api.url.starts_with("https://")) {
    return Error{
        Disposition::kNeedsOperator, "daemon_unreachable",
        fmt::format("'{}' is no address of a daemon; write http://127.0.0.1:4680", api.url)};
  }
  static const CURLcode initialized = curl_global_init(CURL_GLOBAL_DEFAULT);
  const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl(
      initialized == CURLE_OK ? curl_easy_init() : nullptr, curl_easy_cleanup);
  if (curl == nullptr) {
    return Error{Disposition::kFatal, "daemon_unreachable", "libcurl cannot be initialized"};
  }
  const std::string url = api.url + path;
  std::string body;
  char reason[CURL_ERROR_SIZE] = "";
  curl_slist* list = nullptr;
  if (!api.token.empty()) {
    list = curl_slist_append(list, ("Authorization: Bearer " + api.token).c_str());
  }
  if (post) list = curl_slist_append(list, "Content-Type: application/json");
  const std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> headers(list,
                                                                            curl_slist_free_all);
  curl_easy_setopt(curl.get(), CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, Collect);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &body);
  curl_easy_setopt(curl.get(), CURLOPT_ERRORBUFFER, reason);
  curl_easy_setopt(curl.get(), CURLOPT_CONNECTTIMEOUT_MS, 5000L);
  curl_easy_setopt(curl.get(), CURLOPT_TIMEOUT_MS, 30000L);
  curl_easy_setopt(curl.get(), CURLOPT_NOSIGNAL, 1L);
  if (post) {
    curl_easy_setopt(curl.get(), CURLOPT_POSTFIELDSIZE_LARGE,
                     static_cast<curl_off_t>(post->size()));
    curl_easy_setopt(curl.get(), CURLOPT_POSTFIELDS, post->c_str());
  }
  const CURLcode code = curl_easy_perform(curl.get());
  if (code != CURLE_OK) {
    return Error{Disposition::kRetry, "daemon_unreachable",
                 code == CURLE_COULDNT_CONNECT
                     ? fmt::format("no daemon listens at {}", api.url)
                     : fmt::format("no daemon answers at {}: {}", api.url,
                                   *reason == '\0' ? curl_easy_strerror(code) : reason)};
  }
  long status = 0;
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &status);
  if (status == 200) return body;
  if (status == 401 || status == 403) {
    return Error{Disposition::kNeedsOperator, "daemon_refused",
                 fmt::format("{} refuses the request ({}): set TAILWATER_TOKEN to the token of its "
                             "tailwater.yaml",
                             api.url, status)};
  }
  if (auto refusal = Refusal(status, body)) return *std::move(refusal);
  return Error{Disposition::kFatal, "daemon_answer",
               fmt::format("{} answers {}: {}; is this a Tailwater daemon?", url, status,
                           body.substr(0, 200))};
}

Result<nlohmann::ordered_json> Parsed(const ApiAddress& api, const std::string& path,
                                      const std::optional<std::string>& post) {
  TW_ASSIGN_OR_RETURN(const std::string body, Ask(api, path, post));
  auto json = nlohmann::ordered_json::parse(body, nullptr, false);
  if (json.is_discarded()) {
    return Error{Disposition::kFatal, "daemon_answer",
                 fmt::format("{}{} answers something that is no JSON; is this a Tailwater daemon?",
                             api.url, path)};
  }
  return json;
}

}  // namespace

ApiAddress FindApi(const std::string& server, const std::string& fallback) {
  ApiAddress api{server, Environment("TAILWATER_TOKEN")};
  if (api.url.empty()) api.url = Environment("TAILWATER_URL");
  if (api.url.empty()) api.url = fallback;
  if (api.url.find("://") == api.url.npos) api.url.insert(0, "http://");
  while (api.url.ends_with('/')) api.url.pop_back();
  return api;
}

Result<nlohmann::ordered_json> GetJson(const ApiAddress& api, const std::string& path) {
  return Parsed(api, path, std::nullopt);
}

Result<std::string> GetText(const ApiAddress& api, const std::string& path) {
  return Ask(api, path, std::nullopt);
}

Result<nlohmann::ordered_json> PostJson(const ApiAddress& api, const std::string& path,
                                        const nlohmann::ordered_json& body) {
  return Parsed(api, path, Dumped(body));
}

}  // namespace tailwater
