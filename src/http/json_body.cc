#include "http/json_body.h"

#include <algorithm>
#include <utility>

#include "sdk/suggest.h"
#include "support/text.h"

namespace tailwater {

HttpResponse Answer(const Json& json, int status) {
  return {status,
          "application/json",
          json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n",
          {}};
}

Error Invalid(std::string message) {
  return {Disposition::kReject, "request_invalid", std::move(message)};
}

HttpResponse BadRequest(const Error& error) { return HttpError(400, error.code, error.message); }
HttpResponse NotFound(const Error& error) { return HttpError(404, error.code, error.message); }

Status CheckKeys(const Json& json, const std::vector<std::string_view>& known) {
  if (!json.is_object()) return Invalid("the body is no JSON object");
  for (const auto& [key, value] : json.items()) {
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    return Invalid(fmt::format("'{}' is unknown{}; there are: {}", key, DidYouMean(key, known),
                               fmt::join(known, ", ")));
  }
  return {};
}

}  // namespace tailwater
