// The headers that a record bears, so that a consumer can filter without decoding.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "support/kafka/client.h"

namespace tailwater {

// Reused from record to record; views live until the next Read(). Not thread-safe.
class RecordHeaderList {
 public:
  // Of an encoded change. What is no change has none: its bytes are stored as they are.
  std::span<const kafka::Header> Read(std::string_view value);

 private:
  std::string id_;
  std::string version_;
  std::vector<kafka::Header> headers_;
};

}  // namespace tailwater
