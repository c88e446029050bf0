// The sink's own tables in the target, in `state_schema`: offsets, log id, known tables, deleted
// keys. What is in them, and who may drop what: README.md.
#pragma once

#include <string>
#include <string_view>

#include "postgres/sink/postgres_sink_options.h"
#include "postgres/sink/target_session.h"
#include "tailwater/sink.h"

namespace tailwater::postgres {

// Makes what is missing, and the row of this sink. `sink` is "pipeline/name". kNeedsOperator
// "pg_privilege_missing" with the SQL to run; "pg_state_newer".
Status PrepareState(TargetSession& session, const PostgresSinkConfig& config,
                    const std::string& sink);

Result<TransactionalSink::Stored> ReadState(TargetSession& session,
                                            const PostgresSinkConfig& config,
                                            const std::string& sink);

// Compare-and-set; false: they are not what is expected. In a transaction.
Result<bool> MoveOffsets(TargetSession& session, const PostgresSinkConfig& config,
                         const std::string& sink, const Offsets& expected, const Offsets& next);
Status StoreLogId(TargetSession& session, const PostgresSinkConfig& config, const std::string& sink,
                  std::string_view log_id);

// Forgets some deleted keys that are older than `keep_deletes`.
Status PruneTombstones(TargetSession& session, const PostgresSinkConfig& config,
                       const std::string& sink);

}  // namespace tailwater::postgres
