// What a libcurl result means: a code of HttpAnswer, and words for people that end with what to do.
#pragma once

#include <curl/curl.h>

#include <string>
#include <string_view>

#include "support/http_client.h"

namespace tailwater {

// How far a call came before it ended.
enum class HttpPhase : uint8_t {
  kConnecting,  // name, connect, TLS
  kAwaiting,    // the request is on its way or sent; no final status line yet
  kOverdue,     // as kAwaiting, and the reply's begin took too long
  kReceiving,   // the final status line is there
};

struct HttpFailure {
  std::string_view code;
  std::string text;
};

// `peer` is "host:port"; `detail` is libcurl's own text, which holds names and addresses only.
HttpFailure DescribeHttpFailure(CURLcode result, HttpPhase phase, const std::string& peer,
                                std::string_view detail, const HttpClientOptions& options);

}  // namespace tailwater
