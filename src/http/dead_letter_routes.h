// The API of dead and parked records: what a sink could not deliver, and what becomes of it.
//
//   GET  /api/v1/pipelines/{pipeline}/sinks/{sink}/dead-letters   state, code, source, table, id
//        (several), from and limit choose; answers without the rows' values
//   GET  …/dead-letters/{partition}:{offset}    one, with its change; raw=true adds the bytes
//   POST …/dead-letters/replay and …/drop       a JSON filter: ids, source, table, code, state;
//        all of them only if it says "all": true
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "http/http_server.h"
#include "topic/topic.h"
#include "util/clock.h"

namespace tailwater {

// A sink whose dead letters can be asked for.
struct DeadLetterSink {
  using Change = std::function<Result<uint64_t>(const DeadLetterFilter& filter,
                                                std::chrono::milliseconds timeout)>;
  std::string pipeline;
  std::string sink;
  Topic* topic = nullptr;
  // As SinkRunner's calls of these names; empty if this process does not run the sink.
  Change requeue;
  Change drop;
};

// The topics, what the calls refer to, and the clock outlive the server's run.
void AddDeadLetterRoutes(HttpServer& server, std::vector<DeadLetterSink> sinks, const Clock& clock);

}  // namespace tailwater
