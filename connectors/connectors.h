// The one explicit list of the connectors that are linked in.
#pragma once

namespace tailwater {
class Registry;
void RegisterConnectors(Registry& registry);
}  // namespace tailwater
