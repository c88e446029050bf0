// What PARTIAL_UPDATE_ROWS logs in place of a document: changes to the one in the before image.
#pragma once

#include <string>
#include <string_view>

namespace tailwater::mysql {

// Appends the text of the document (binary JSON) after the diffs were applied in their order.
// False: malformed, or a diff does not fit the document.
bool ApplyJsonDiffs(std::string_view document, std::string_view diffs, std::string& out);

}  // namespace tailwater::mysql
