// The configuration of a clickhouse sink: plain data, and the checks that need no server.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "clickhouse/value_encoder.h"
#include "support/name_template.h"
#include "tailwater/config.h"
#include "tailwater/registry.h"

namespace tailwater::clickhouse {

enum class Mode : uint8_t { kMirror, kChangelog };
enum class JsonColumns : uint8_t { kText, kNative };
enum class Arrays : uint8_t { kArray, kJson };
enum class Compression : uint8_t { kNone, kLz4, kZstd, kGzip };

// The URL of a server, or of several replicas.
struct ServerUrls {
  std::vector<std::string> list;  // without a slash at the end
};

// `table:`; nothing: not written.
using TableOption = std::optional<NameTemplate>;

// Pairs as written, `settings: {max_threads: 2}`, `rename: {column: name}`.
struct NamePairs {
  struct Pair {
    std::string name;
    std::string value;
    Location location;
    std::string path;
  };
  std::vector<Pair> list;
  const std::string* Find(std::string_view name) const;
};

// `columns: {include: […], exclude: […], rename: {…}, types: {…}}`
struct Columns {
  std::vector<std::string> include;  // empty: all
  std::vector<std::string> exclude;
  NamePairs rename;
  NamePairs types;  // of columns that the sink makes
};

struct ClickHouseConfig {
  struct Batch {
    uint32_t rows = 5'000;
    ByteSize bytes{2 * 1024 * 1024};
    std::chrono::milliseconds interval{1'000};
    uint32_t in_flight = 2;
  };
  struct Timeouts {
    std::chrono::milliseconds connect{5'000};
    std::chrono::milliseconds request{60'000};
    std::chrono::milliseconds sweep{3'600'000};
  };

  ServerUrls url;
  std::string username;
  Secret password;
  std::string ca_file;
  std::string certificate_file;
  std::string key_file;

  std::string database = "default";
  Mode mode = Mode::kMirror;
  TableOption table;
  bool create = true;
  std::string state_table = "_tailwater";
  std::string version_column = "_version";
  std::string deleted_column = "_deleted";
  std::string origin_column;
  Unrepresentable unrepresentable = Unrepresentable::kReject;
  Arrays arrays = Arrays::kArray;
  JsonColumns json = JsonColumns::kText;

  Batch batch;
  Compression compression = Compression::kNone;
  bool async_insert = false;
  NamePairs settings;
  Timeouts timeouts;
};

// Of one entry of `tables:`.
struct ClickHouseTableOptions {
  TableOption table;
  std::vector<std::string> order_by;
  Columns columns;
};

const OptionTable& ClickHouseOptions();
const OptionTable& ClickHouseTableOptionsTable();

void ValidateClickHouse(const ClickHouseConfig& config,
                        const TableRules<ClickHouseTableOptions>& tables, const ConfigNode& section,
                        Problems& problems);
std::vector<ColumnUse> ClickHouseColumnUses(const ClickHouseConfig& config,
                                            const TableRules<ClickHouseTableOptions>& tables);

// The name of a table's target.
std::string TargetOf(const ClickHouseConfig& config, const ClickHouseTableOptions* table_options,
                     std::string_view source, const TableName& table);

}  // namespace tailwater::clickhouse
