#include "postgres/gap.h"

#include "support/text.h"

namespace tailwater::postgres {
namespace {

std::string RangeAndWaysOn(Lsn from, std::optional<Lsn> to) {
  std::string range =
      to ? fmt::format("changes between {} and {} are missing", from.ToString(), to->ToString())
         : fmt::format("changes behind {} cannot be had", from.ToString());
  return range +
         "; with `on_gap: resnapshot` the source begins anew and copies its tables again, or take "
         "a new start: tailwater destroy, then run";
}

}  // namespace

Error Gap(std::string_view code, std::string_view what, Lsn from, std::optional<Lsn> to) {
  return Error{Disposition::kGap, code, fmt::format("{}; {}", what, RangeAndWaysOn(from, to))};
}

Error WithRange(Error error, Lsn from, std::optional<Lsn> to) {
  error.message += "; " + RangeAndWaysOn(from, to);
  return error;
}

}  // namespace tailwater::postgres
