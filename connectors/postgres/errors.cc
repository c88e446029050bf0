#include "postgres/errors.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <span>

#include "postgres/sink/target_errors.h"
#include "support/text.h"

namespace tailwater::postgres {
namespace {

constexpr uint8_t Bit(Moment moment) { return MomentBit(moment); }
constexpr uint8_t kAny = 0x7f;
constexpr uint8_t kConnect = Bit(Moment::kConnect);
constexpr uint8_t kQuery = Bit(Moment::kQuery);
constexpr uint8_t kCreate = Bit(Moment::kCreateSlot);
constexpr uint8_t kStart = Bit(Moment::kStartStream);
constexpr uint8_t kStream = Bit(Moment::kStream);

constexpr auto kRetry = Disposition::kRetry;
constexpr auto kOperator = Disposition::kNeedsOperator;
constexpr auto kGap = Disposition::kGap;
constexpr auto kFatal = Disposition::kFatal;
constexpr auto kReject = Disposition::kReject;

constexpr std::array kRows = {
    // The server goes away or is not there yet. An invalidated slot's reader sees a 57P01 as well:
    // the next Run() looks at the slot before it starts to stream.
    ErrorRow{
        "57P01", kAny, kRetry, "pg_server_shutdown",
        "the session was ended by the server; connecting again, and looking at the slot first"},
    ErrorRow{"57P02", kAny, kRetry, "pg_server_shutdown",
             "the server is recovering from a crash; connecting again"},
    ErrorRow{"57P03", kAny, kRetry, "pg_server_starting",
             "the server does not take connections yet; trying again"},
    ErrorRow{"57P05", kAny, kRetry, "pg_connection_lost",
             "the server ended an idle session; connecting again"},
    ErrorRow{"53300", kAny, kRetry, "pg_too_many_connections",
             "no connection is free; raise max_connections or max_wal_senders if this stays"},
    ErrorRow{"53400", kAny, kOperator, "pg_limit_reached",
             "all replication slots are taken: drop one that nobody needs, or raise "
             "max_replication_slots and restart the server"},
    ErrorRow{"53", kAny, kRetry, "pg_server_out_of_resources",
             "the server lacks memory or disk; look at its log if this stays"},
    ErrorRow{"58030", kAny, kRetry, "pg_server_io_error",
             "the server could not read or write a file; look at its log if this stays"},
    ErrorRow{"08", kAny, kRetry, "pg_connection_lost", "connecting again"},

    // Another reader has the slot; often our own session that the server has not missed yet.
    ErrorRow{"55006", kAny, kRetry, "pg_slot_in_use",
             "another session reads this slot: it ends by itself within wal_sender_timeout if it "
             "was ours; otherwise stop the other reader, two cannot share a slot"},

    // Missing and invalidated objects. Publications are looked up only when changes are decoded.
    ErrorRow{"42704", kStart, kGap, "pg_slot_missing",
             "the replication slot is gone, and with it the log"},
    ErrorRow{"42704", kStream, kGap, "pg_publication_replaced",
             "the publication did not exist at that place in the log, so its changes cannot be "
             "decoded"},
    ErrorRow{"42704", kConnect | kQuery | kCreate, kOperator, "pg_object_missing",
             "create the object that is named, or correct the configuration"},
    ErrorRow{"55000", kStart, kGap, "pg_slot_lost",
             "the server has invalidated the slot (max_slot_wal_keep_size, "
             "idle_replication_slot_timeout, or a conflict on a standby)"},
    ErrorRow{"55000", kStream, kGap, "pg_slot_lost",
             "the server can no longer decode from this slot"},
    ErrorRow{"55000", kConnect | kCreate, kOperator, "pg_wal_level",
             "logical decoding is not possible there: ALTER SYSTEM SET wal_level = 'logical', then "
             "restart the server"},
    ErrorRow{"55000", kQuery, kOperator, "pg_wrong_state",
             "the server refuses this in its present state; see its message"},
    ErrorRow{"58P01", kStart | kStream, kGap, "pg_slot_lost",
             "a log file that the slot needs is gone from the server"},
    ErrorRow{"58P01", kConnect | kQuery | kCreate, kOperator, "pg_server_file_missing",
             "a file or the pgoutput plugin is missing on the server; repair its installation"},

    // Identity, privilege, names.
    ErrorRow{"28", kAny, kOperator, "pg_authentication_failed",
             "check user, password and pg_hba.conf (a line for the database's name is needed, and "
             "the role needs REPLICATION)"},
    ErrorRow{"3D000", kAny, kOperator, "pg_database_missing", "correct `database`, or create it"},
    ErrorRow{"42501", kAny, kOperator, "pg_privilege_missing",
             "grant what is named; `tailwater check` prints the exact SQL"},
    ErrorRow{"42P01", kAny, kOperator, "pg_table_missing", "create the table, or correct `tables`"},
    ErrorRow{"42703", kQuery, kRetry, "pg_column_missing",
             "the table changed meanwhile; trying again"},
    ErrorRow{"42883", kQuery, kOperator, "pg_operator_missing",
             "the key's type has no equality that can be found"},
    ErrorRow{"42883", kStream, kRetry, "pg_text_needed",
             "a type has no binary form: connecting again, and asking for text"},
    ErrorRow{"3F000", kAny, kOperator, "pg_table_missing",
             "create the schema, or correct `tables`"},
    ErrorRow{"25006", kAny, kOperator, "pg_read_only",
             "this server is a standby: give the primary's address, or make slot and publication "
             "there yourself and set `create: false`"},

    // Races and time limits.
    ErrorRow{"42710", kAny, kRetry, "pg_already_exists",
             "somebody made it at the same moment; looking again"},
    ErrorRow{"57014", kAny, kRetry, "pg_cancelled_by_server",
             "a time limit or a person cancelled the statement; trying again"},
    ErrorRow{"55P03", kAny, kRetry, "pg_lock_timeout", "a lock was not to be had; trying again"},
    ErrorRow{"25P03", kAny, kRetry, "pg_lock_timeout",
             "the session was idle for too long; trying again"},
    ErrorRow{"25P04", kAny, kRetry, "pg_lock_timeout",
             "the transaction took too long; trying again"},
    ErrorRow{"40", kAny, kRetry, "pg_conflict", "conflict with another transaction; trying again"},

    // What no retry mends.
    ErrorRow{"0A000", kStream, kOperator, "pg_publication_conflict",
             "the publications of a table disagree about its columns: let one publication list it"},
    ErrorRow{"0A000", kConnect | kQuery | kCreate | kStart, kFatal, "pg_not_supported",
             "this server cannot do it; Postgres 12 or later is needed"},
    ErrorRow{"42P10", kAny, kOperator, "pg_publication_conflict",
             "a row filter or column list of the publication leaves out identity columns"},
    ErrorRow{"XX001", kAny, kFatal, "pg_data_corrupted",
             "the server reports corrupted data: look at its log before you go on"},
    ErrorRow{"XX002", kAny, kFatal, "pg_data_corrupted",
             "the server reports a corrupted index: look at its log before you go on"},
    ErrorRow{"54", kAny, kFatal, "pg_row_too_large",
             "a row or message is larger than the server can send (1 GB)"},
    ErrorRow{"42601", kAny, kFatal, "pg_protocol_error",
             "the server did not understand a command; report this with the server's version"},
    ErrorRow{"22023", kStart | kCreate | kStream, kFatal, "pg_protocol_error",
             "the server did not accept an option; report this with the server's version"},
    ErrorRow{"XX000", kStart | kCreate, kFatal, "pg_protocol_error",
             "the server did not accept an option; report this with the server's version"},
    ErrorRow{"XX000", kStream, kRetry, "pg_internal_error",
             "an internal error of the server; trying again"},

    // Everything else: said as it is, probed slowly, position frozen.
    ErrorRow{"", kAny, kOperator, "pg_unexpected_error", "see the server's log"},
};

bool Contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

std::string Trimmed(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())))
    text.remove_suffix(1);
  std::string out(text);
  for (char& c : out)
    if (c == '\n' || c == '\t') c = ' ';
  return out;
}

}  // namespace

const ErrorRow& FindErrorRow(std::string_view sqlstate, Moment moment) {
  const uint8_t bit = Bit(moment);
  const auto find = [&](std::span<const ErrorRow> rows, std::string_view wanted) {
    for (const ErrorRow& row : rows) {
      if (!row.sqlstate.empty() && row.sqlstate == wanted && (row.moments & bit)) return &row;
    }
    return static_cast<const ErrorRow*>(nullptr);
  };
  for (const std::string_view wanted : {sqlstate, sqlstate.substr(0, 2)}) {
    for (const std::span<const ErrorRow> rows :
         {TargetErrorRows(), std::span<const ErrorRow>(kRows)}) {
      if (const ErrorRow* row = find(rows, wanted)) return *row;
    }
  }
  return kRows.back();
}

Error MakeError(const ServerMessage& message, Moment moment) {
  if (message.sqlstate.empty()) {
    return moment == Moment::kConnect || moment == Moment::kConnectTarget
               ? MakeConnectError(message.text, moment)
               : MakeLostError(message.text);
  }
  const ErrorRow& row = FindErrorRow(message.sqlstate, moment);
  if (row.disposition == kReject) {
    const bool tells_no_value = message.sqlstate.rfind("23", 0) == 0 || row.sqlstate == "54";
    return Error{row.disposition, row.code,
                 fmt::format("{}{}(SQLSTATE {}): {}",
                             tells_no_value ? Trimmed(message.primary) + " " : std::string(),
                             message.column.empty() ? std::string()
                                                    : fmt::format("column '{}' ", message.column),
                             message.sqlstate, row.advice)};
  }
  return Error{
      row.disposition, row.code,
      fmt::format("{} (SQLSTATE {}): {}", Trimmed(message.text), message.sqlstate, row.advice)};
}

namespace {

// "LOCATION:  auth_failed, auth.c:334", the word maybe translated.
bool IsSourceLocation(std::string_view line) {
  const size_t at = line.rfind(".c:");
  return at != std::string_view::npos && at + 3 < line.size() &&
         line.find_first_not_of("0123456789", at + 3) == std::string_view::npos;
}

// A verbose text of libpq as its usual one: the SQLSTATE is told by us, the place in the server's
// source code by nobody.
std::string WithoutInternals(std::string_view text, std::string_view sqlstate) {
  std::string result;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (!IsSourceLocation(line)) result.append(line).append("\n");
  }
  const std::string code = std::string(sqlstate) + ": ";
  for (size_t at = result.find(code); at != std::string::npos; at = result.find(code, at))
    result.erase(at, code.size());
  return result;
}

}  // namespace

Error MakeConnectError(std::string_view libpq_text, Moment moment) {
  const std::string text = Trimmed(libpq_text);
  const std::string_view sqlstate = FindSqlState(libpq_text);
  if (!sqlstate.empty()) {
    const std::string words = WithoutInternals(libpq_text, sqlstate);
    return MakeError({std::string(sqlstate), words, words, {}}, moment);
  }
  // libpq's own texts; they carry no code.
  if (Contains(text, "certificate") || Contains(text, "SSL") || Contains(text, "private key")) {
    return Error{kOperator, "pg_tls_failed",
                 text + ": check tls.mode and tls.ca (the default to another host is verify-full)"};
  }
  if (Contains(text, "no password supplied")) {
    return Error{kOperator, "pg_authentication_failed", text + ": set `password`"};
  }
  if (Contains(text, "authentication method") || Contains(text, "SCRAM")) {
    return Error{kOperator, "pg_authentication_failed",
                 text + ": check pg_hba.conf and `password`"};
  }
  return Error{kRetry, "pg_unreachable",
               (text.empty() ? "no answer" : text) +
                   ": check that the server runs and that host, port and firewall are right"};
}

Error MakeLostError(std::string_view libpq_text) {
  const std::string text = Trimmed(libpq_text);
  return Error{kRetry, "pg_connection_lost",
               (text.empty() ? "the server closed the connection" : text) + ": connecting again"};
}

std::string_view FindSqlState(std::string_view text) {
  // "FATAL:  28P01: …", the severity maybe translated; several attempts may follow each other.
  std::string_view found;
  for (size_t at = text.find(":  "); at != std::string_view::npos; at = text.find(":  ", at + 1)) {
    const std::string_view rest = text.substr(at + 3);
    if (rest.size() < 6 || rest[5] != ':') continue;
    bool code = true;
    for (const char c : rest.substr(0, 5))
      code = code && (std::isdigit(static_cast<unsigned char>(c)) || (c >= 'A' && c <= 'Z'));
    if (code) found = rest.substr(0, 5);
  }
  return found;
}

}  // namespace tailwater::postgres
