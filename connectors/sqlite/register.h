#pragma once

namespace tailwater {
class Registry;
void RegisterSqlite(Registry& registry);
}  // namespace tailwater
