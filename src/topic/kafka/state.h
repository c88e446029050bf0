// What <topic>.state holds.
#pragma once

#include <map>
#include <stop_token>
#include <string>

#include "tailwater/result.h"
#include "topic/kafka/settings.h"

namespace tailwater {

// The last committed value of each key, the head included, up to the end that the log has now:
// waits for a transaction that is open there.
Result<std::map<std::string, std::string>> ReadState(const KafkaSettings& settings,
                                                     std::stop_token stop);

}  // namespace tailwater
