#include "mysql/gap.h"

#include "support/text.h"

namespace tailwater::mysql {
namespace {

constexpr size_t kLongest = 600;
constexpr std::string_view kWaysOn =
    "with `on_gap: resnapshot` the source begins anew and copies its tables again, or take a new "
    "start: tailwater destroy, then run";

}  // namespace

Error Gap(std::string_view code, std::string_view what, std::string_view missing) {
  return Error{Disposition::kGap, code, fmt::format("{}; {}; {}", what, missing, kWaysOn)};
}

Error WithRange(Error error, const LogPosition& from) {
  error.message +=
      fmt::format("; changes behind {} cannot be had; {}", Shorten(from.ToString()), kWaysOn);
  return error;
}

std::string Shorten(std::string text) {
  if (text.empty()) return "the beginning";
  if (text.size() <= kLongest) return text;
  return fmt::format("{}… ({} bytes)", text.substr(0, text.rfind(',', kLongest)), text.size());
}

}  // namespace tailwater::mysql
