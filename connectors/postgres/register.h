#pragma once

namespace tailwater {
class Registry;
void RegisterPostgres(Registry& registry);
}  // namespace tailwater
