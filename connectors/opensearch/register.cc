#include "opensearch/register.h"

#include "opensearch/opensearch_options.h"
#include "opensearch/opensearch_sink.h"
#include "tailwater/registry.h"

namespace tailwater {

void RegisterOpenSearch(Registry& registry) {
  using opensearch::OpenSearchConfig;
  using opensearch::OpenSearchTableOptions;
  for (const auto& [type, summary] :
       {std::pair{"opensearch", "Mirrors tables into search indices of OpenSearch."},
        {"elasticsearch", "Mirrors tables into search indices of Elasticsearch."}}) {
    registry.AddSink<OpenSearchConfig, OpenSearchTableOptions>(
        {.type = type,
         .summary = summary,
         .options = opensearch::OpenSearchOptions(),
         .table_options = opensearch::OpenSearchTableOptionsTable(),
         .traits = {},
         .validate = opensearch::ValidateOpenSearch,
         .column_uses = opensearch::OpenSearchColumnUses,
         .create = [](const OpenSearchConfig& config, TableRules<OpenSearchTableOptions> rules,
                      SinkContext context) -> Result<std::unique_ptr<Sink>> {
           return std::unique_ptr<Sink>(std::make_unique<opensearch::OpenSearchSink>(
               config, std::move(rules), std::move(context)));
         }});
  }
}

}  // namespace tailwater
