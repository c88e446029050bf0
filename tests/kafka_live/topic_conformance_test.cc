#include "conformance/topic_conformance.h"

#include "conformance/topic_dead_letters.h"
#include "conformance/topic_reading.h"
#include "conformance/topic_sinks.h"
#include "kafka_live/kafka_world.h"

namespace tailwater {
namespace {

const auto kTopics =
    ::testing::Values(NamedWorld{"Kafka", [] { return std::make_unique<KafkaWorld>(3); }});
INSTANTIATE_TEST_SUITE_P(Topics, TopicConformance, kTopics, NameOfWorld);
INSTANTIATE_TEST_SUITE_P(Topics, TopicDeadLetters, kTopics, NameOfWorld);

}  // namespace
}  // namespace tailwater
