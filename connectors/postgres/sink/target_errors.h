// What a Postgres that is written to says, and what the sink does about it: the rows of errors.h
// that concern targets alone. They come before the others.
#pragma once

#include <span>

#include "postgres/errors.h"

namespace tailwater::postgres {

std::span<const ErrorRow> TargetErrorRows();

// What an error of a statement about one table says: kReject concerns the row; these codes concern
// its table; all others the server.
bool ConcernsTheTable(const Error& error);

}  // namespace tailwater::postgres
