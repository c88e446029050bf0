#pragma once

namespace tailwater {
class Registry;
namespace postgres {
void RegisterPostgresSink(Registry& registry);
}
}  // namespace tailwater
