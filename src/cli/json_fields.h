// Fields of what a daemon answers. One that is missing or of another kind is as good as empty:
// another release may say less.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace tailwater {

using Json = nlohmann::ordered_json;

std::string TextOf(const Json& json, const char* key);
std::optional<double> NumberOf(const Json& json, const char* key);

}  // namespace tailwater
