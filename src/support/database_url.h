// The address of a database as people write it: scheme://user@host:port/database.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tailwater/result.h"

namespace tailwater {

struct DatabaseUrl {
  std::string user;
  std::string host = "localhost";
  std::optional<uint32_t> port;
  std::string database;  // may be empty
  // Behind '?', in the order in which they stand; percent-decoded.
  std::vector<std::pair<std::string, std::string>> parameters;
};

// `schemes` with "://". On failure what is wrong with it, for people, is in `problem`; a password
// in the URL is such a problem, because URLs are printed, and is never repeated in it.
std::optional<DatabaseUrl> ParseDatabaseUrl(std::string_view url,
                                            const std::vector<std::string_view>& schemes,
                                            std::string_view example, std::string& problem);

// A port's digits, and nothing else.
bool ParsePort(std::string_view text, uint32_t& port);

// This host: a Unix socket, localhost, 127.0.0.0/8 or ::1.
bool IsThisHost(const std::string& host);

}  // namespace tailwater
