#include <gtest/gtest.h>

#include "support/kafka/consumer.h"
#include "support/kafka_server.h"
#include "support/matchers.h"

namespace tailwater::kafka {
namespace {

// A reader's budget, divided among many partitions.
TEST(KafkaConsumer, MayBeSmallerThanWhatLibrdkafkaTakesForALargeMessage) {
  for (const size_t bytes : {size_t{16} << 10, size_t{680} << 10, size_t{4} << 20}) {
    ConsumerOptions options;
    options.client = KafkaServer::Shared().client();
    options.topic = KafkaServer::UniqueName("small");
    options.queue_bytes = options.fetch_bytes = bytes;
    EXPECT_OK(Consumer::Create(options)) << bytes;
  }
}

}  // namespace
}  // namespace tailwater::kafka
