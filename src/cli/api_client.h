// Asks a running daemon through its HTTP API.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "tailwater/result.h"

namespace tailwater {

struct ApiAddress {
  std::string url;    // http://127.0.0.1:4680
  std::string token;  // sent as a bearer token; may be empty
};

// --server, else TAILWATER_URL, else `fallback`; the token is TAILWATER_TOKEN's.
ApiAddress FindApi(const std::string& server, const std::string& fallback);

// GET `path`. kRetry "daemon_unreachable"; kNeedsOperator "daemon_refused": the token is wrong;
// kReject "request_refused": the daemon says why; kRetry "daemon_busy": not now; kFatal
// "daemon_answer": not what we expect.
Result<nlohmann::ordered_json> GetJson(const ApiAddress& api, const std::string& path);
// The same, as the daemon wrote it.
Result<std::string> GetText(const ApiAddress& api, const std::string& path);
// POST `body` to `path`; answers and errors as GetJson().
Result<nlohmann::ordered_json> PostJson(const ApiAddress& api, const std::string& path,
                                        const nlohmann::ordered_json& body);

}  // namespace tailwater
