// The `stdout` sink: one line of JSON per change, to standard output or a file.
#pragma once

namespace tailwater {
class Registry;
void RegisterStdout(Registry& registry);
}  // namespace tailwater
