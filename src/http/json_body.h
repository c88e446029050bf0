// JSON in and out of the routes: bodies are read strictly, answers are one line.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "http/http_server.h"
#include "tailwater/result.h"

namespace tailwater {

using Json = nlohmann::ordered_json;

// The JSON and a line feed; what is no UTF-8 in it is replaced.
HttpResponse Answer(const Json& json, int status = 200);

// `request_invalid`: what a client has to change about its request.
Error Invalid(std::string message);
HttpResponse BadRequest(const Error& error);  // 400
HttpResponse NotFound(const Error& error);    // 404

// Nothing unknown passes: what was meant may differ from what would be done. Error: Invalid().
Status CheckKeys(const Json& json, const std::vector<std::string_view>& known);

}  // namespace tailwater
