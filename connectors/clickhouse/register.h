#pragma once

namespace tailwater {

class Registry;

// Adds sink type "clickhouse".
void RegisterClickHouse(Registry& registry);

}  // namespace tailwater
