// The command line: parses, dispatches to one function per command, returns the exit code.
#pragma once

namespace tailwater {
class Registry;

// 0 done, 1 other, 2 configuration, 3 needs an operator, 4 gap.
int RunCommandLine(int argc, char** argv, const Registry& registry);
}  // namespace tailwater
