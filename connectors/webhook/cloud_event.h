// CloudEvents 1.0 over HTTP: the attributes of one change, as headers or as JSON.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "webhook/row_fields.h"

namespace tailwater::webhook {

// In the order in which they are sent; what is not known is left out.
struct CloudEvent {
  std::vector<std::pair<std::string_view, std::string>> attributes;

  // id is the change's own; source /tailwater/<pipeline>/<source>; type
  // tailwater.<schema>.<table>.<op>; subject the key; sequence the version, in 19 digits, so that
  // it compares as text.
  static Result<CloudEvent> Make(std::string_view pipeline, const RowFields& fields);

  // Binary mode: ce-<name> headers, percent-encoded as the HTTP binding asks.
  void AppendHeaders(std::vector<std::pair<std::string, std::string>>& headers) const;
  // Structured mode: an object with `data` (JSON) in it. kReject "text_not_utf8".
  Status AppendJson(std::string_view data, std::string& out) const;
};

// A trace context of the right form; empty for anything else.
std::string_view ValidTraceparent(std::string_view text);

}  // namespace tailwater::webhook
