// Calls of an HttpClient whose answers a test waits for.
#pragma once

#include <future>
#include <memory>
#include <utility>

#include "support/http_client.h"

namespace tailwater {

// May connect to 127.0.0.1 and nowhere else; no timeout that a busy machine could reach.
inline HttpClientOptions LoopbackOptions() {
  HttpClientOptions options;
  options.guard = AddressGuard({*AddressRange::Parse("127.0.0.1")});
  options.connect_timeout = options.first_byte_timeout = options.timeout = std::chrono::minutes(5);
  return options;
}

inline std::future<HttpAnswer> StartCall(HttpClient& client, HttpCall call) {
  auto promise = std::make_shared<std::promise<HttpAnswer>>();
  client.Send(std::move(call),
              [promise](HttpAnswer answer) { promise->set_value(std::move(answer)); });
  return promise->get_future();
}

inline HttpAnswer Call(HttpClient& client, HttpCall call) {
  return StartCall(client, std::move(call)).get();
}

}  // namespace tailwater
