// A sink's place in one partition, as its group keeps it: the committed offset and, as text beside
// it, which log that is of and what else the sink remembers.
//
//   v1 rewound=1200 letters=1 log=5f0c…
//
// A place without an offset of its own (paused before the first commit, or another log since) is
// stored with offset 0 and `unset`. Read by every later version; what this one does not know is
// kNeedsOperator "topic_format_newer".
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "support/kafka/group_member.h"
#include "topic/topic.h"

namespace tailwater {

struct SinkPlace {
  std::string log_id;
  std::optional<int64_t> offset;
  std::optional<int64_t> rewound_from;
  bool paused = false;
  bool letters = false;  // something was stored in this partition of the dead letter topic

  bool operator==(const SinkPlace&) const = default;
  kafka::CommittedOffset Encode() const;
};

Result<SinkPlace> ParseSinkPlace(const kafka::CommittedOffset& committed);

using SinkPlaces = std::map<int32_t, SinkPlace>;
Result<SinkPlaces> ParseSinkPlaces(const std::map<int32_t, kafka::CommittedOffset>& committed);

// All of them together. Where they belong to several logs, the log id names each: it is then none
// that a topic has, and no offset is mistaken for one of this log.
Subscription::Stored Together(const SinkPlaces& places);

}  // namespace tailwater
