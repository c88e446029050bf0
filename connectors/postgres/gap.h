// How a gap is told: what was found, which changes are missing, and the ways on. All gaps of this
// source speak through here, so that none lacks its range.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "postgres/lsn.h"
#include "tailwater/result.h"

namespace tailwater::postgres {

// "<what>; changes between <from> and <to> are missing; <ways on>". `from`: our frontier. `to`: the
// first place from which the server still has all changes, or its present end; absent if nobody can
// know. `code` is a heading of deploy/runbook.md.
Error Gap(std::string_view code, std::string_view what, Lsn from, std::optional<Lsn> to);

// How the text of every such gap ends.
inline constexpr std::string_view kWaysOnEnd = "tailwater destroy, then run";

// The same for a gap that the server reported in its own words (errors.h).
Error WithRange(Error error, Lsn from, std::optional<Lsn> to);

}  // namespace tailwater::postgres
