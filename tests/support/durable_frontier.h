// Makes the proof that only the checkpoint can make, for tests of sources.
#pragma once

#include <string>
#include <utility>

#include "tailwater/position.h"

namespace tailwater {

struct DurableFrontierForTests {
  static DurableFrontier Make(std::string position) {
    return DurableFrontier(Position{std::move(position)});
  }
};

}  // namespace tailwater
