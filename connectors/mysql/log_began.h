// When a file of the log was begun. SQL does not tell, the file's first event does.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "mysql/mysql_config.h"
#include "support/wakeup.h"
#include "tailwater/registry.h"
#include "tailwater/result.h"

namespace tailwater::mysql {

// In seconds since 1970, by the server's clock. Names of files and GTIDs begin anew behind a RESET
// and one day agree with what was read; this tells the two logs apart. Nothing: the file is gone,
// or the server does not say within five seconds. A session of its own, as a reader of its own:
// under the stream's id it would end the stream. `purpose`: who asks, for the server's list of
// sessions, and one reader each. Nothing as well if another server than `server` answers
// (ReadServerIdentity(); empty: any), as it may behind an address of several.
Result<std::optional<int64_t>> ReadBegan(const MysqlConfig& config, const SourceContext& context,
                                         const std::string& purpose, const std::string& server,
                                         const std::string& file, const Interrupt& interrupt);

}  // namespace tailwater::mysql
