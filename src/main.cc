#include "cli/cli.h"
#include "connectors.h"
#include "tailwater/registry.h"

int main(int argc, char** argv) {
  tailwater::Registry registry;
  tailwater::RegisterConnectors(registry);
  return tailwater::RunCommandLine(argc, argv, registry);
}
