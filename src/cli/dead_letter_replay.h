// Makes stored records due again and watches what becomes of them.
#pragma once

#include "cli/command.h"
#include "cli/dead_letter_client.h"

namespace tailwater {

// Prints what was requeued, then, if `wait`, follows until each record was delivered or rejected
// again. kExitOther: some were rejected again; kExitNeedsOperator: the daemon or the sink cannot.
int ReplayDeadLetters(const DeadLetterClient& client, const DeadLetterQuery& query, bool wait,
                      OutputFormat format);

}  // namespace tailwater
