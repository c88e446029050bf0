// The real sqlite mirror in the model: the connector as it is, with trouble around its calls, and
// its file read back as rows.
#pragma once

#include <memory>
#include <string>

#include "model/history.h"
#include "model/model_sink.h"
#include "tailwater/metrics.h"

namespace tailwater::model {

// Fails before or behind the connector's calls. While `*dying`, nothing is committed any more.
std::unique_ptr<Sink> NewTroubledSqliteMirror(const std::string& path, const std::string& sink,
                                              Trouble& trouble, const bool* dying,
                                              Metrics& metrics);

// The rows of the tables of one source.
Tables ReadSqliteMirror(const std::string& path, const History& history,
                        std::vector<std::string>& violations);
Offsets ReadSqliteOffsets(const std::string& path);

}  // namespace tailwater::model
