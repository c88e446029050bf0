#pragma once

namespace tailwater {
class Registry;
void RegisterMysql(Registry& registry);
}  // namespace tailwater
