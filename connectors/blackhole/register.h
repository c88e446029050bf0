// The `blackhole` sink: takes everything and keeps nothing. The smallest sink there is: read it
// first. Tests and benches measure the rest of the way with it.
#pragma once

namespace tailwater {
class Registry;
void RegisterBlackhole(Registry& registry);
}  // namespace tailwater
