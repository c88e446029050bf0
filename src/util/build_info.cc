#include "util/build_info.h"

namespace tailwater {

std::string_view BuildVersion() { return TAILWATER_VERSION; }
std::string_view BuildRevision() { return TAILWATER_REVISION; }

}  // namespace tailwater
