// The `webhook` sink: a signed HTTP call per change, for agents and other receivers of events.
#pragma once

namespace tailwater {
class Registry;
void RegisterWebhook(Registry& registry);
}  // namespace tailwater
