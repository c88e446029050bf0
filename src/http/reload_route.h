// POST /api/v1/reload: the daemon reads its files again and says what became of each difference.
//
// 200 {"outcomes": [{"what": "sink shop/copy", "outcome": "added", "where": "shop.yaml:7:3",
// "message": …}]}; 422 "configuration_invalid" with "problems" if the files are: nothing changed.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "http/http_server.h"
#include "tailwater/config.h"
#include "tailwater/result.h"

namespace tailwater {

// What became of one difference between the files and what runs.
struct ReloadOutcome {
  std::string what;     // "pipeline shop", "sink shop/copy", "listen"
  std::string outcome;  // "added", "removed", "restarted", "applied", "rejected", "failed"
  Location where;       // line 0: not in any file any more
  std::string message;  // why, and what to do; may be empty
};

struct ReloadReport {
  std::vector<std::string> problems;  // of the files; any: nothing was changed
  std::vector<ReloadOutcome> outcomes;
};

// `reload` answers once it is done; kRetry "reload_busy" if that takes too long.
void AddReloadRoute(HttpServer& server, std::function<Result<ReloadReport>()> reload);

}  // namespace tailwater
