// Field numbers of tailwater.v1.Change, as change.proto has them.
#pragma once

#include <cstdint>

namespace tailwater::fields {

enum ChangeField : uint32_t {
  kFormat = 1,
  kOperation = 2,
  kSource = 3,
  kTable = 4,
  kSnapshot = 5,
  kVersion = 6,
  kEpoch = 7,
  kPosition = 8,
  kOrdinal = 9,
  kPart = 10,
  kSourceTime = 11,
  kTransactionId = 12,
  kAddressee = 13,
  kTraceparent = 14,
  kSchemaFingerprint = 15,
  kSchema = 16,
  kBefore = 17,
  kAfter = 18,
  kMessage = 19,
  kFrontier = 20,
  kFence = 21,       // stands last: the topic appends it
  kSweepBelow = 22,
};

}  // namespace tailwater::fields
