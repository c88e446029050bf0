#include "postgres/sink/target_errors.h"

#include <algorithm>
#include <array>

namespace tailwater::postgres {
namespace {

constexpr uint8_t kWrite = MomentBit(Moment::kWrite);
constexpr uint8_t kToTarget = MomentBit(Moment::kConnectTarget) | MomentBit(Moment::kWrite);
constexpr auto kRetry = Disposition::kRetry;
constexpr auto kOperator = Disposition::kNeedsOperator;
constexpr auto kReject = Disposition::kReject;

constexpr std::array kRows = {
    ErrorRow{"22001", kWrite, kReject, "pg_value_too_long",
             "a text is longer than the column takes; widen the column, then replay it"},
    ErrorRow{"22003", kWrite, kReject, "pg_value_out_of_range",
             "a number is out of the column's range; widen the column, then replay it"},
    ErrorRow{"22007", kWrite, kReject, "pg_value_unreadable",
             "a date or time is none to this server; give the column the type text (MySQL: or set "
             "zero_dates), then replay it"},
    ErrorRow{"22008", kWrite, kReject, "pg_value_out_of_range",
             "a date or time is out of the column's range; give the column the type text (MySQL: "
             "or set zero_dates), then replay it"},
    ErrorRow{"22021", kWrite, kReject, "pg_value_unreadable",
             "a text holds a character that Postgres cannot store (U+0000, or one that the "
             "database's encoding lacks)"},
    ErrorRow{"22P05", kWrite, kReject, "pg_value_unreadable",
             "a text holds a character that Postgres cannot store (U+0000, or one that the "
             "database's encoding lacks)"},
    ErrorRow{"22", kWrite, kReject, "pg_value_unreadable",
             "a value is none of the column's type; change the column (an enum: add the label), "
             "then replay it"},
    ErrorRow{"21000", kWrite, kReject, "pg_key_ambiguous",
             "two keys of the source are one in the target; give its key columns the type and "
             "collation of the source"},
    ErrorRow{"23502", kWrite, kReject, "pg_constraint_violated",
             "the target wants a value there; drop NOT NULL, then replay it"},
    ErrorRow{"23503", kWrite, kReject, "pg_constraint_violated",
             "a foreign key of the target does not hold between single changes; drop it, or set "
             "`fire_triggers: false`, then replay it"},
    ErrorRow{"23505", kWrite, kReject, "pg_unique_violated",
             "a unique index of the target beside its key refuses the row; drop it, or make it "
             "DEFERRABLE INITIALLY DEFERRED, then replay it"},
    ErrorRow{"23", kWrite, kReject, "pg_constraint_violated",
             "a constraint of the target refuses the row; drop it, then replay the row"},
    ErrorRow{"54", kWrite, kReject, "pg_row_too_large",
             "the row, or a value of an index, is larger than Postgres can store"},
    ErrorRow{"P0", kWrite, kReject, "pg_trigger_refused",
             "a trigger or function of the target refuses the row; mend it, or set "
             "`fire_triggers: false`, then replay it"},
    ErrorRow{"42P01", kWrite, kOperator, "pg_target_changed",
             "somebody altered the target; it is compared again"},
    ErrorRow{"42703", kWrite, kOperator, "pg_target_changed",
             "somebody altered the target; it is compared again"},
    ErrorRow{"42P10", kWrite, kOperator, "pg_target_changed",
             "the target has no unique index over the key any more; it is compared again"},
    ErrorRow{"428C9", kWrite, kOperator, "pg_target_changed",
             "the target computes a column that the source has; it is compared again"},
    ErrorRow{"42804", kWrite, kOperator, "pg_target_changed",
             "a column of the target has another type; it is compared again"},
    ErrorRow{"3F000", kWrite, kOperator, "pg_target_changed",
             "the target's schema is gone; create it"},
    ErrorRow{"42704", kWrite, kOperator, "pg_type_missing",
             "a column of this type cannot be made; create the type, or the table, as it shall be"},
    ErrorRow{"42501", kWrite, kOperator, "pg_privilege_missing",
             "grant the sink's role what is named; connectors/postgres/sink/README.md has the SQL"},
    ErrorRow{"0A000", kWrite, kOperator, "pg_not_supported",
             "the target cannot do this; see its message"},
    ErrorRow{"25006", kToTarget, kOperator, "pg_read_only",
             "this server takes no writes: give the primary's address, or set "
             "default_transaction_read_only = off for the role and the database"},
    ErrorRow{"53100", kToTarget, kOperator, "pg_disk_full",
             "the server's disk is full: make room; nothing is lost, it goes on by itself"},
    ErrorRow{"53400", kToTarget, kOperator, "pg_limit_reached",
             "the server refuses by a limit of its own (temp_file_limit?); raise it"},
    ErrorRow{"28", kToTarget, kOperator, "pg_authentication_failed",
             "check user, password and pg_hba.conf (a line for the database and the role)"},
    ErrorRow{"3D000", kToTarget, kOperator, "pg_database_missing",
             "correct `database`, or run CREATE DATABASE"},
    ErrorRow{"55000", kToTarget, kOperator, "pg_wrong_state",
             "the server refuses this in its present state; see its message"},
    ErrorRow{"58P01", kToTarget, kOperator, "pg_server_file_missing",
             "a file is missing on the server; look at its log"},
    ErrorRow{"42601", kWrite, kOperator, "pg_protocol_error",
             "the server did not understand a statement; report this with the server's version"},
    ErrorRow{"XX000", kToTarget, kRetry, "pg_internal_error",
             "an internal error of the server; trying again"},
    // What is unknown says nothing against the row: its table waits.
    ErrorRow{"42", kWrite, kOperator, "pg_target_changed",
             "the target does not take this statement; it is compared again"},
};

}  // namespace

std::span<const ErrorRow> TargetErrorRows() { return kRows; }

bool ConcernsTheTable(const Error& error) {
  constexpr std::array<std::string_view, 5> kCodes = {"pg_target_changed", "pg_type_missing",
                                                      "pg_privilege_missing", "pg_not_supported",
                                                      "pg_wrong_state"};
  return error.disposition == Disposition::kNeedsOperator &&
         std::find(kCodes.begin(), kCodes.end(), error.code) != kCodes.end();
}

}  // namespace tailwater::postgres
