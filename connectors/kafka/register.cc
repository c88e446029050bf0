#include "kafka/register.h"

#include "kafka/kafka_options.h"
#include "kafka/kafka_sink.h"
#include "tailwater/registry.h"

namespace tailwater {

void RegisterKafka(Registry& registry) {
  using kafka_sink::KafkaConfig;
  using kafka_sink::KafkaTableOptions;
  registry.AddSink<KafkaConfig, KafkaTableOptions>(
      {.type = "kafka",
       .summary = "Topics of a Kafka cluster, exactly once, in Debezium's form or as they are.",
       .options = kafka_sink::KafkaOptions(),
       .table_options = kafka_sink::KafkaTableOptionsTable(),
       .traits = {.default_start = StartAt::kSnapshot, .trigger = false},
       .validate = kafka_sink::ValidateKafka,
       .create = [](const KafkaConfig& config, TableRules<KafkaTableOptions> rules,
                    SinkContext context) -> Result<std::unique_ptr<Sink>> {
         return std::unique_ptr<Sink>(
             std::make_unique<kafka_sink::KafkaSink>(config, std::move(rules), std::move(context)));
       }});
}

}  // namespace tailwater
