#include "support/shortest_float.h"

#include <charconv>
#include <cmath>

namespace tailwater {

double ShortestDouble(float single) {
  if (single == 0 || !std::isfinite(single)) return single;
  // What people store: small numbers that are whole need no text.
  if (std::fabs(single) < 1e6F && single == std::trunc(single)) return single;
  char digits[32];
  const auto end =
      std::to_chars(digits, digits + sizeof digits, single, std::chars_format::scientific).ptr;
  double wide = single;
  std::from_chars(digits, end, wide);
  return static_cast<float>(wide) == single ? wide : single;
}

}  // namespace tailwater
