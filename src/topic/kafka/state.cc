#include "topic/kafka/state.h"

#include "support/kafka/consumer.h"

namespace tailwater {

Result<std::map<std::string, std::string>> ReadState(const KafkaSettings& settings,
                                                     std::stop_token stop) {
  std::map<std::string, std::string> state;
  TW_TRY(kafka::ReadToEnd(settings.client, settings.StateTopic(), 0, std::move(stop),
                          settings.request_timeout,
                          [&](const kafka::IncomingRecord& record) -> Status {
                            if (record.value.data() == nullptr) {
                              state.erase(std::string(record.key));
                            } else {
                              state[std::string(record.key)] = std::string(record.value);
                            }
                            return {};
                          }));
  return state;
}

}  // namespace tailwater
