// Removes the documents of one origin that are older than a version.
//
// A delete_by_query would not do: its deletes carry the server's own versions, so what comes late
// would be taken. Here the ids are searched for, page by page, and each is deleted with the sweep's
// version, which the server remembers. Bounded memory; the same again is harmless.
#pragma once

#include <cstdint>
#include <string>

#include "opensearch/bulk_writer.h"
#include "opensearch/cluster.h"

namespace tailwater::opensearch {

// How many went. kRetry and kNeedsOperator as JudgeAnswer().
Result<uint64_t> SweepIndex(Cluster& cluster, BulkWriter& bulk, const std::string& index,
                            const std::string& origin, int64_t version);

}  // namespace tailwater::opensearch
