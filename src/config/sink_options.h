// The options of a sink, and of its tables: entries, that the engine reads itself.
#pragma once

#include "pipeline/delivery_rules.h"
#include "tailwater/config.h"
#include "tailwater/registry.h"

namespace tailwater {

// Their option tables, for parsing and for the reference; defaults as the traits have them. Their
// names are kSinkKeys and kTableEntryKeys.
OptionTable SinkOptions(const SinkTraits& traits);
const OptionTable& TableEntryOptions();

// `section` is that of the sink. Unknown keys are the business of the type's own parse().
DeliveryRules ParseDeliveryRules(const ConfigNode& section, TableSelection tables,
                                 const SinkTraits& traits, Problems& problems);

}  // namespace tailwater
