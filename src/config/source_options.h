// The options of a source that the engine reads itself.
#pragma once

#include "snapshot/snapshot_options.h"
#include "tailwater/config.h"

namespace tailwater {

struct SourceRules {
  SnapshotOptions snapshot;
  GapPolicy on_gap = GapPolicy::kHalt;
};

// Their option table, for parsing and for the reference. Their names are in kSourceKeys.
const OptionTable& SourceOptions();

// `section` is that of the source. Unknown keys are the business of the type's own parse().
SourceRules ParseSourceRules(const ConfigNode& section, Problems& problems);

}  // namespace tailwater
