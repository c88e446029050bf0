// The one table that turns what a Postgres server says into what the engine does about it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "tailwater/result.h"

namespace tailwater::postgres {

// The same SQLSTATE means different things at different moments, and the server's texts are
// translated on some servers: so the moment decides, never the text.
enum class Moment : uint8_t {
  kConnect,      // until the session is there
  kQuery,        // SQL on a plain session: catalogs, publications, read-back
  kCreateSlot,   // CREATE_REPLICATION_SLOT
  kStartStream,  // START_REPLICATION until the server answers
  kStream,       // inside CopyBoth
  // Of a sink, which needs other rights than a source and says other things about them.
  kConnectTarget,
  kWrite,  // everything behind that: kReject concerns the row alone
};

constexpr uint8_t MomentBit(Moment moment) {
  return static_cast<uint8_t>(1u << static_cast<unsigned>(moment));
}

// What the server (or libpq, with an empty SQLSTATE) reported.
struct ServerMessage {
  std::string sqlstate;  // five characters; empty: no answer from a server
  std::string text;      // primary message, "; " and detail
  std::string primary;   // of these the message alone
  std::string column;    // that it is about, if the server says so
};

struct ErrorRow {
  std::string_view sqlstate;  // whole, or its two-character class
  uint8_t moments;            // of MomentBit()
  Disposition disposition;
  std::string_view code;
  std::string_view advice;  // what to do next; ends the message
};

// The row that decides: an exact SQLSTATE before a class; the last row of all takes the rest.
const ErrorRow& FindErrorRow(std::string_view sqlstate, Moment moment);

// "<text> (SQLSTATE 55006): <advice>", with the row's disposition and code. What a server says of a
// row that it refuses holds the row's values: of that only the column is told.
Error MakeError(const ServerMessage& message, Moment moment);

// A session that cannot be had, or ended without a word: no SQLSTATE. TLS trouble needs an
// operator, the rest of the network heals.
Error MakeConnectError(std::string_view libpq_text, Moment moment = Moment::kConnect);
Error MakeLostError(std::string_view libpq_text);

// The SQLSTATE inside a verbose libpq connection error ("FATAL:  28P01: password …"); empty if
// there is none.
std::string_view FindSqlState(std::string_view libpq_text);

}  // namespace tailwater::postgres
