#include "topic/kafka/sink_place.h"

#include <charconv>
#include <set>
#include <string_view>
#include <utility>

#include "support/text.h"

namespace tailwater {
namespace {

constexpr std::string_view kVersion = "v1";

std::optional<int64_t> Number(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

Error Unknown(const kafka::CommittedOffset& committed) {
  return Error{Disposition::kNeedsOperator, "topic_format_newer",
               fmt::format("what is stored beside the sink's offset ('{}') was not written by this "
                           "version; run the one that wrote it, or a newer one, or reset the group "
                           "if another program uses it",
                           committed.metadata)};
}

}  // namespace

kafka::CommittedOffset SinkPlace::Encode() const {
  std::string text(kVersion);
  if (!offset) text += " unset=1";
  if (rewound_from) text += fmt::format(" rewound={}", *rewound_from);
  if (paused) text += " paused=1";
  if (letters) text += " letters=1";
  text += " log=" + log_id;  // last: whatever it holds
  return {offset.value_or(0), std::move(text)};
}

Result<SinkPlace> ParseSinkPlace(const kafka::CommittedOffset& committed) {
  SinkPlace place;
  place.offset = committed.offset;
  std::string_view rest = committed.metadata;
  if (rest.substr(0, rest.find(' ')) != kVersion) return Unknown(committed);
  rest.remove_prefix(kVersion.size());
  while (!rest.empty()) {
    rest.remove_prefix(1);
    const size_t equals = rest.find('=');
    if (equals == std::string_view::npos) return Unknown(committed);
    const std::string_view name = rest.substr(0, equals);
    rest.remove_prefix(equals + 1);
    if (name == "log") {
      place.log_id = rest;
      return place;
    }
    const std::string_view value = rest.substr(0, rest.find(' '));
    rest.remove_prefix(value.size());
    if (name == "unset") {
      place.offset.reset();
    } else if (name == "rewound") {
      place.rewound_from = Number(value);
      if (!place.rewound_from) return Unknown(committed);
    } else if (name == "paused") {
      place.paused = true;
    } else if (name == "letters") {
      place.letters = true;
    } else {
      return Unknown(committed);
    }
  }
  return Unknown(committed);
}

Result<SinkPlaces> ParseSinkPlaces(const std::map<int32_t, kafka::CommittedOffset>& committed) {
  SinkPlaces places;
  for (const auto& [partition, each] : committed) {
    TW_ASSIGN_OR_RETURN(places[partition], ParseSinkPlace(each));
  }
  return places;
}

Subscription::Stored Together(const SinkPlaces& places) {
  Subscription::Stored stored;
  std::set<std::string> logs;
  for (const auto& [partition, place] : places) {
    if (!place.log_id.empty()) logs.insert(place.log_id);
    if (place.offset) stored.offsets[partition] = *place.offset;
    if (place.rewound_from) stored.rewound_from[partition] = *place.rewound_from;
    stored.paused |= place.paused;
  }
  stored.log_id = fmt::format("{}", fmt::join(logs, " and "));
  return stored;
}

}  // namespace tailwater
