// Runs the program that prints an OAUTHBEARER token.
#pragma once

#include <chrono>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "tailwater/result.h"

namespace tailwater::kafka {

struct Token {
  std::string value;
  std::string principal;
  std::chrono::seconds expires_in{0};
};

// Runs program and arguments, found by PATH, without a shell; waits for it at most `timeout`, then
// kills it. kNeedsOperator "kafka_token_command_failed", with what it printed to its stderr;
// kCancelled if stopped.
Result<Token> RunTokenCommand(const std::vector<std::string>& command,
                              std::chrono::milliseconds timeout, std::stop_token stop);

// {"access_token": "…", "expires_in": 300, "principal": "…"}. The principal may be absent if the
// token is a JWT with `sub`.
Result<Token> ParseToken(std::string_view json);

}  // namespace tailwater::kafka
