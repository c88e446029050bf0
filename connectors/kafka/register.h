// The `kafka` sink: records for topics of any Kafka cluster, exactly once.
#pragma once

namespace tailwater {
class Registry;
void RegisterKafka(Registry& registry);
}  // namespace tailwater
