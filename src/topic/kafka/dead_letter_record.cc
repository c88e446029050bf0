#include "topic/kafka/dead_letter_record.h"

#include <charconv>
#include <map>
#include <string_view>
#include <utility>

#include "support/text.h"

namespace tailwater {
namespace {

constexpr std::string_view kPrefix = "tailwater.dlq.";
constexpr std::string_view kState = "tailwater.dlq.state";
constexpr std::string_view kBlocksKey = "tailwater.dlq.blocks_key";
constexpr std::string_view kId = "tailwater.dlq.id";
constexpr std::string_view kSource = "tailwater.dlq.source";
constexpr std::string_view kTable = "tailwater.dlq.table";
constexpr std::string_view kVersion = "tailwater.dlq.version";
constexpr std::string_view kKey = "tailwater.dlq.key";
constexpr std::string_view kCode = "tailwater.dlq.code";
constexpr std::string_view kReason = "tailwater.dlq.reason";
constexpr std::string_view kAttempts = "tailwater.dlq.attempts";
constexpr std::string_view kFirstSeen = "tailwater.dlq.first_seen_micros";

template <typename T>
bool Parse(std::string_view text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

Error Corrupt(const kafka::IncomingRecord& record, int32_t partition) {
  return Error{
      Disposition::kFatal, "topic_corrupt",
      fmt::format("offset {} of partition {} of the dead letter topic is no dead letter of "
                  "ours; find out what else writes there, and delete that record",
                  record.offset, partition)};
}

}  // namespace

std::string DeadLetterRecord::KeyOf(int64_t offset) { return std::to_string(offset); }

DeadLetterRecord::DeadLetterRecord(const DeadLetter& letter)
    : key_(KeyOf(letter.offset)),
      version_(std::to_string(letter.version)),
      attempts_(std::to_string(letter.attempts)),
      first_seen_(std::to_string(letter.first_seen_micros)),
      headers_{{kState, DeadLetterStateName(letter.state)},
               {kBlocksKey, letter.blocks_key ? "1" : "0"},
               {kId, letter.id},
               {kSource, letter.source},
               {kTable, letter.table},
               {kVersion, version_},
               {kKey, letter.key},
               {kCode, letter.code},
               {kReason, letter.reason},
               {kAttempts, attempts_},
               {kFirstSeen, first_seen_}} {}

Status ApplyDeadLetterRecord(const kafka::IncomingRecord& record, int32_t partition,
                             Subscription::Update& update) {
  DeadLetter letter;
  letter.partition = partition;
  if (!Parse(record.key, letter.offset)) return Corrupt(record, partition);
  if (record.value.data() == nullptr) {
    update.remove.push_back({partition, letter.offset});
    return {};
  }
  letter.value = record.value;
  std::map<std::string_view, std::string_view> headers;
  for (const auto& [name, value] : record.headers) {
    if (name.starts_with(kPrefix)) headers[name] = value;
  }
  const auto state = DeadLetterStateNamed(headers[kState]);
  const bool parsed = state && headers.contains(kKey) && headers.contains(kCode) &&
                      Parse(headers[kVersion], letter.version) &&
                      Parse(headers[kAttempts], letter.attempts) &&
                      Parse(headers[kFirstSeen], letter.first_seen_micros);
  if (!parsed) return Corrupt(record, partition);
  letter.state = *state;
  letter.blocks_key = headers[kBlocksKey] == "1";
  letter.id = headers[kId];
  letter.source = headers[kSource];
  letter.table = headers[kTable];
  letter.key = headers[kKey];
  letter.code = headers[kCode];
  letter.reason = headers[kReason];
  update.add.push_back(std::move(letter));
  return {};
}

}  // namespace tailwater
