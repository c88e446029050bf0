#include "topic/topic.h"

namespace tailwater {

std::string_view DeadLetterStateName(DeadLetter::State state) {
  switch (state) {
    case DeadLetter::State::kDead:
      return "dead";
    case DeadLetter::State::kParked:
      return "parked";
  }
  return "unknown";
}

std::optional<DeadLetter::State> DeadLetterStateNamed(std::string_view name) {
  for (const auto state : {DeadLetter::State::kDead, DeadLetter::State::kParked}) {
    if (name == DeadLetterStateName(state)) return state;
  }
  return std::nullopt;
}

}  // namespace tailwater
