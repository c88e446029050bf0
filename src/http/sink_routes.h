// The API of sinks that a person pauses, resumes and rewinds. Where they stand is in the status
// document.
//
//   POST /api/v1/pipelines/{pipeline}/sinks/{sink}/pause and …/resume   {}; answers whether it was
//        not so before
//   POST …/rewind   {"to": "beginning"}, a time with its zone, or {"0": 1234} by partition;
//        with "dry_run": true it only answers what it would do
#pragma once

#include "http/api_sinks.h"
#include "http/http_server.h"

namespace tailwater {

void AddSinkRoutes(HttpServer& server, ApiSinks sinks);

}  // namespace tailwater
