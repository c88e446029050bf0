// The one table that turns what a MySQL or MariaDB server says into what the engine does about it
// (PROTOCOLS B16, B19).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "tailwater/result.h"

namespace tailwater::mysql {

enum class Moment : uint8_t {
  kConnect,  // until the session is there
  kQuery,    // SQL on a plain session
  kDump,     // from the dump command on
};

struct ServerMessage {
  unsigned number = 0;  // the server's (1000 …) or the client library's (2000 …)
  std::string text;     // cut at 512 bytes by the protocol
};

struct ErrorRow {
  unsigned number;          // 0: any
  uint8_t moments;          // bit 1 << Moment
  std::string_view needle;  // 1236 means many things: what its text contains; empty: any
  Disposition disposition;
  std::string_view code;
  std::string_view advice;  // what to do next; ends the message
};

// The row that decides: the first that fits; the last row of all takes the rest.
const ErrorRow& FindErrorRow(const ServerMessage& message, Moment moment);

// "<text> (error 1236): <advice>", with the row's disposition and code.
Error MakeError(const ServerMessage& message, Moment moment);

}  // namespace tailwater::mysql
