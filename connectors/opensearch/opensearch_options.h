// The configuration of an opensearch sink: plain data, and the checks that need no server.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "opensearch/index_name.h"
#include "tailwater/config.h"
#include "tailwater/registry.h"

namespace tailwater::opensearch {

enum class Decimals : uint8_t { kKeyword, kDouble, kScaled };
enum class JsonColumns : uint8_t { kStored, kObject, kFlattened };

// One node's URL, or several.
struct NodeUrls {
  std::vector<std::string> list;  // without a slash at the end
};

// `settings:` or `mappings:`, inline or the path of a JSON file.
struct JsonOption {
  std::string inline_json;  // an object
  std::string file;
  bool empty() const { return inline_json.empty() && file.empty(); }
  // The object. kNeedsOperator "opensearch_file_unusable".
  Result<std::string> Read() const;
};

// `index:`; nothing: not written.
using IndexOption = std::optional<IndexName>;

// `fields: {include: […], exclude: […], rename: {column: field}}`
struct Fields {
  struct Rename {
    std::string column;
    std::string field;
    Location location;
    std::string path;
  };
  std::vector<std::string> include;  // empty: all
  std::vector<std::string> exclude;
  std::vector<Rename> rename;
};

struct OpenSearchConfig {
  struct Batch {
    ByteSize bytes{5 * 1024 * 1024};
    uint32_t records = 2'500;
    uint32_t in_flight = 4;
  };
  struct Timeouts {
    std::chrono::milliseconds connect{5'000};
    std::chrono::milliseconds request{60'000};
  };

  NodeUrls url;
  std::string username;
  Secret password;
  Secret api_key;
  Secret bearer_token;
  std::string ca_file;
  std::string certificate_file;
  std::string key_file;

  IndexOption index;
  bool create = true;
  std::string alias;
  JsonOption settings;
  JsonOption mappings;
  Decimals decimals = Decimals::kKeyword;
  JsonColumns json = JsonColumns::kStored;

  Batch batch;
  bool compression = false;
  Timeouts timeouts;
};

// Of one entry of `tables:`.
struct OpenSearchTableOptions {
  IndexOption index;
  std::vector<std::string> id;
  std::string routing;
  Fields fields;
  std::string alias;
  JsonOption settings;
  JsonOption mappings;
};

const OptionTable& OpenSearchOptions();
const OptionTable& OpenSearchTableOptionsTable();

void ValidateOpenSearch(const OpenSearchConfig& config,
                        const TableRules<OpenSearchTableOptions>& tables, const ConfigNode& section,
                        Problems& problems);
std::vector<ColumnUse> OpenSearchColumnUses(const OpenSearchConfig& config,
                                            const TableRules<OpenSearchTableOptions>& tables);

// The index of a table.
std::string IndexOf(const OpenSearchConfig& config, const OpenSearchTableOptions* table_options,
                    std::string_view source, std::string_view table);

}  // namespace tailwater::opensearch
