// A dead or parked record as it lies in <topic>.<sink>.dlq: the partition of the record it stands
// for, the decimal offset as key, the original bytes as value, all else in headers
// tailwater.dlq.*. A record without a value drops the one before it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "support/kafka/consumer.h"
#include "topic/topic.h"

namespace tailwater {

// Owns the texts of the headers; views into the letter otherwise, which outlives it.
class DeadLetterRecord {
 public:
  explicit DeadLetterRecord(const DeadLetter& letter);
  DeadLetterRecord(const DeadLetterRecord&) = delete;
  DeadLetterRecord& operator=(const DeadLetterRecord&) = delete;

  const std::string& key() const { return key_; }
  const std::vector<kafka::Header>& headers() const { return headers_; }

  static std::string KeyOf(int64_t offset);

 private:
  const std::string key_, version_, attempts_, first_seen_;
  std::vector<kafka::Header> headers_;
};

// What a record of partition `partition` does to what is stored: adds a letter, or removes that of
// a place. kFatal "topic_corrupt".
Status ApplyDeadLetterRecord(const kafka::IncomingRecord& record, int32_t partition,
                             Subscription::Update& update);

}  // namespace tailwater
