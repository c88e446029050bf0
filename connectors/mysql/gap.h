// How a gap is told: what was found, which changes are missing, and the ways on. All gaps of this
// source speak through here, so that none lacks its range.
#pragma once

#include <string>
#include <string_view>

#include "mysql/log_position.h"
#include "tailwater/result.h"

namespace tailwater::mysql {

// "<what>; <what is missing>; <ways on>". `code` is a heading of deploy/runbook.md. `missing`: "the
// transactions 3e11…:5-9", "changes between … and …".
Error Gap(std::string_view code, std::string_view what, std::string_view missing);

// How the text of every such gap ends.
inline constexpr std::string_view kWaysOnEnd = "tailwater destroy, then run";

// The same for a gap that the server or the decoder reported in its own words: changes behind
// `from`, which is our position.
Error WithRange(Error error, const LogPosition& from);

// A position for a message: sets can be long, their end is cut.
std::string Shorten(std::string text);

}  // namespace tailwater::mysql
