// MariaDB's compression of single events (log_bin_compress; PROTOCOLS B8).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "tailwater/result.h"

namespace tailwater::mysql {

// No event is larger than what max_allowed_packet can be.
inline constexpr size_t kLargestEvent = size_t{1} << 30;

// What `compressed` (with its head: algorithm and size) stands for, into storage[at, at + size).
// `storage` grows and never shrinks, so that it can be used again without cost.
// kFatal "mysql_event_malformed".
Status Inflate(std::string_view compressed, size_t at, std::string& storage, size_t& size);

}  // namespace tailwater::mysql
