// The API of dead and parked records: what a sink could not deliver, and what becomes of it.
//
//   GET  /api/v1/pipelines/{pipeline}/sinks/{sink}/dead-letters   state, code, source, table, id
//        (several), from and limit choose; answers without the rows' values
//   GET  …/dead-letters/{partition}:{offset}    one, with its change; raw=true adds the bytes
//   POST …/dead-letters/replay and …/drop       a JSON filter: ids, source, table, code, state;
//        all of them only if it says "all": true
#pragma once

#include "http/api_sinks.h"
#include "http/http_server.h"
#include "util/clock.h"

namespace tailwater {

// The clock outlives the server's run.
void AddDeadLetterRoutes(HttpServer& server, ApiSinks sinks, const Clock& clock);

}  // namespace tailwater
