// Where the HTTP server listens, as written in `listen:`.
#pragma once

#include <cstdint>
#include <string>

#include "tailwater/result.h"

namespace tailwater {

struct ListenAddress {
  std::string host;   // never empty; without the brackets of an IPv6 address
  uint16_t port = 0;  // 0: any free one
  bool loopback = false;
  std::string ToString() const;  // "127.0.0.1:4680", "[::1]:4680"
};

// HOST:PORT, [IPv6]:PORT, or :PORT for every address of this machine. kNeedsOperator
// "listen_invalid".
Result<ListenAddress> ParseListenAddress(const std::string& text);

// 127.0.0.0/8, ::1 and localhost.
bool IsLoopback(const std::string& host);

}  // namespace tailwater
