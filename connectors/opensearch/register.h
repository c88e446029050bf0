// The `opensearch` sink: a document per row, in OpenSearch or Elasticsearch. `elasticsearch` is the
// same under its other name.
#pragma once

namespace tailwater {
class Registry;
void RegisterOpenSearch(Registry& registry);
}  // namespace tailwater
