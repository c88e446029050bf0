#include "clickhouse/clickhouse_options.h"

#include <algorithm>
#include <set>

#include "support/text.h"

namespace tailwater::clickhouse {
namespace {

using std::chrono::milliseconds;

constexpr std::string_view kDefaultTable = "{table}";
// A batch waits in the sink's one thread: whatever else is asked of it waits as long.
constexpr milliseconds kLongestInterval{2'000};

void Add(const ConfigNode& node, const std::string& message, Problems& problems) {
  problems.Add(node.location, node.path + ": " + message);
}

// True if the text was read.
bool Read(const ConfigNode& node, std::string& text, Problems& problems) {
  const size_t before = problems.list().size();
  ParseScalar(node, text, problems);
  return problems.list().size() == before;
}

// Nothing if this sink can use it.
std::string ProblemOfUrl(std::string_view url) {
  constexpr std::string_view kExample = "write it as https://clickhouse.example.com:8443";
  const bool secure = url.starts_with("https://");
  if (!secure && !url.starts_with("http://")) {
    return url.starts_with("clickhouse://") || url.starts_with("tcp://")
               ? fmt::format("the sink speaks HTTP, not the native protocol; {}", kExample)
               : fmt::format("must begin with https:// or http://; {}", kExample);
  }
  const std::string_view rest = url.substr(secure ? 8 : 7);
  const std::string_view host = rest.substr(0, rest.find('/'));
  if (host.find('@') != host.npos) {
    return "must not hold a user or password, as URLs are printed; use `username` and `password`";
  }
  if (host.empty() || host[0] == ':') return fmt::format("has no host; {}", kExample);
  if (rest.find_first_of("?#") != rest.npos) {
    return "must not hold parameters; use `database` and `settings`";
  }
  for (const char c : url) {
    if (c <= ' ' || c > '~') return "has a character that no URL has; encode it as %XX";
  }
  return {};
}

OptionSpec UrlOption() {
  OptionSpec spec;
  spec.name = "url";
  spec.help =
      "The HTTP interface: http://host:8123 or https://host:8443; a list of replicas: the first "
      "that answers is kept to.";
  spec.type = "text | list of text";
  spec.required = true;
  spec.parse = [](const ConfigNode& node, void* config, Problems& problems) {
    auto& list = static_cast<ClickHouseConfig*>(config)->url.list;
    list.clear();
    const bool several = node.kind == ConfigNode::Kind::kList;
    if (several && node.items.empty()) Add(node, "must name a server", problems);
    for (size_t i = 0; i < (several ? node.items.size() : 1); ++i) {
      const ConfigNode& item = several ? node.items[i] : node;
      std::string url;
      if (!Read(item, url, problems)) continue;
      while (url.ends_with('/')) url.pop_back();
      const std::string problem = ProblemOfUrl(url);
      if (!problem.empty()) Add(item, problem, problems);
      list.push_back(std::move(url));
    }
  };
  return spec;
}

template <class Config>
OptionSpec TargetOption(std::string help) {
  OptionSpec spec;
  spec.name = "table";
  spec.help = std::move(help);
  spec.type = "text";
  if constexpr (std::is_same_v<Config, ClickHouseConfig>) {
    spec.default_text = ConfigText(std::string(kDefaultTable));
  }
  spec.parse = [](const ConfigNode& node, void* config, Problems& problems) {
    std::string text, problem;
    if (!Read(node, text, problems)) return;
    auto name = NameTemplate::Parse(text, problem);
    if (!name) return Add(node, problem, problems);
    static_cast<Config*>(config)->table = *std::move(name);
  };
  return spec;
}

template <class Config>
OptionSpec PairsOption(std::string name, NamePairs Config::*member, std::string help) {
  OptionSpec spec;
  spec.name = std::move(name);
  spec.help = std::move(help);
  spec.type = "map of text";
  spec.parse = [member](const ConfigNode& node, void* config, Problems& problems) {
    if (node.kind != ConfigNode::Kind::kMap) {
      return Add(node, "must be a map of names and texts", problems);
    }
    auto& list = (static_cast<Config*>(config)->*member).list;
    for (const ConfigNode::Entry& entry : node.entries) {
      std::string value;
      if (!Read(entry.value, value, problems)) continue;
      if (value.empty()) Add(entry.value, "must not be empty", problems);
      list.push_back({entry.key, std::move(value), entry.key_location, entry.value.path});
    }
  };
  return spec;
}

// A problem at the place of an option, or of the section if it is not written.
void Report(const ConfigNode& section, std::string_view outer, std::string_view inner,
            const std::string& message, Problems& problems) {
  const ConfigNode* node = &section;
  std::string path = section.path + "." + std::string(outer);
  if (const ConfigNode* found = section.Find(outer)) node = found;
  if (!inner.empty()) {
    path += "." + std::string(inner);
    if (const ConfigNode* found = node != &section ? node->Find(inner) : nullptr) node = found;
  }
  problems.Add(node->location, path + ": " + message);
}

// Settings that say what the answer to a request means: not the user's to set.
bool IsOurs(std::string_view setting) {
  static constexpr std::string_view kOurs[] = {"query",
                                               "database",
                                               "user",
                                               "password",
                                               "query_id",
                                               "wait_end_of_query",
                                               "async_insert",
                                               "session_id",
                                               "insert_deduplication_token",
                                               "compress",
                                               "decompress",
                                               "wait_for_async_insert",
                                               "insert_deduplicate",
                                               "input_format_null_as_default"};
  return std::find(std::begin(kOurs), std::end(kOurs), setting) != std::end(kOurs);
}

}  // namespace

const std::string* NamePairs::Find(std::string_view name) const {
  for (const Pair& pair : list) {
    if (pair.name == name) return &pair.value;
  }
  return nullptr;
}

const OptionTable& ClickHouseOptions() {
  using C = ClickHouseConfig;
  static const OptionTable kBatch = {
      Field("rows", &C::Batch::rows,
            "So many changes are written at once, without waiting for the interval."),
      Field("bytes", &C::Batch::bytes, "The same, by their size."),
      Field("interval", &C::Batch::interval,
            "Smaller batches go into a table this often at most, up to 2s: each insert is a part "
            "that "
            "the server has to merge."),
      Field("in_flight", &C::Batch::in_flight,
            "Inserts at a time, of different tables; one at most for each table.")};
  static const OptionTable kTimeouts = {
      Field("connect", &C::Timeouts::connect, "For name, connection and TLS."),
      Field("request", &C::Timeouts::request, "For all of a request."),
      Field("sweep", &C::Timeouts::sweep,
            "For a statement that touches a whole table: TRUNCATE, the end of a copy, a column "
            "that comes back.")};
  static const OptionTable kOptions = {
      UrlOption(),
      Field("username", &C::username, "User; the server's default if empty."),
      Field("password", &C::password, "Password of the user."),
      Field("ca_file", &C::ca_file, "Trusted certificates, PEM; the system's if empty."),
      Field("certificate_file", &C::certificate_file, "Client certificate, PEM."),
      Field("key_file", &C::key_file, "Private key of the client certificate, PEM."),
      Field("database", &C::database, "Database of the target tables; it has to exist."),
      Choice("mode", &C::mode,
             "mirror: the rows as the source has them (read with FINAL). changelog: every change "
             "is a row, for history.",
             {{"mirror", Mode::kMirror}, {"changelog", Mode::kChangelog}}),
      TargetOption<C>("Name of each table's target; {source}, {schema} and {table} are replaced."),
      Field("create", &C::create,
            "Create tables that are missing and add columns. Otherwise the sink waits and says "
            "what to run."),
      Field("state_table", &C::state_table,
            "Table of the sink's own in the database: versions of sweeps and columns."),
      Field("version_column", &C::version_column, "Column that holds the version of a row."),
      Field("deleted_column", &C::deleted_column, "Column that is 1 for rows that are deleted."),
      Field("origin_column", &C::origin_column,
            "Column, part of the key, that holds source and table, so that several may share a "
            "target. Empty: a target is one table's."),
      Choice("unrepresentable", &C::unrepresentable,
             "What becomes of values that the target's type does not have (infinite or far-off "
             "dates, NaN in a decimal). reject: a dead letter; null, clamp: replaced and counted.",
             {{"reject", Unrepresentable::kReject},
              {"null", Unrepresentable::kNull},
              {"clamp", Unrepresentable::kClamp}}),
      Choice("arrays", &C::arrays,
             "Type of array columns that are created. array: Array of the element's type, one "
             "dimension; json: JSON in a String, any shape.",
             {{"array", Arrays::kArray}, {"json", Arrays::kJson}}),
      Choice("json", &C::json,
             "Type of JSON columns that are created. text: String, every digit kept; native: JSON "
             "where the server has it (from 25.3), objects only, numbers as the server keeps them.",
             {{"text", JsonColumns::kText}, {"native", JsonColumns::kNative}}),
      Section("batch", &C::batch, "How much goes in one insert.", kBatch),
      Choice("compression", &C::compression, "Of what is sent.",
             {{"none", Compression::kNone},
              {"lz4", Compression::kLz4},
              {"zstd", Compression::kZstd},
              {"gzip", Compression::kGzip}}),
      Field("async_insert", &C::async_insert,
            "Let the server collect inserts; it answers when they are stored."),
      PairsOption("settings", &C::settings, "Settings of every insert, {insert_quorum: 2}."),
      Section("timeouts", &C::timeouts, "Limits on the time of a request.", kTimeouts)};
  return kOptions;
}

const OptionTable& ClickHouseTableOptionsTable() {
  using C = ClickHouseTableOptions;
  static const OptionTable kColumns = {
      Field("include", &Columns::include, "The only columns that are written. Empty: all."),
      Field("exclude", &Columns::exclude, "Columns that are not written."),
      PairsOption("rename", &Columns::rename, "Columns and their names in the target."),
      PairsOption("types", &Columns::types,
                  "Columns and the ClickHouse types that they are created with.")};
  static const OptionTable kOptions = {
      TargetOption<C>("Name of the table's target, instead of the sink's."),
      Field("order_by", &C::order_by,
            "Columns of the key in the order in which a created table is sorted. Empty: as in the "
            "source."),
      Section("columns", &C::columns, "Which columns are written, and how.", kColumns)};
  return kOptions;
}

void ValidateClickHouse(const ClickHouseConfig& config,
                        const TableRules<ClickHouseTableOptions>& tables, const ConfigNode& section,
                        Problems& problems) {
  if (!config.password.empty() && config.username.empty()) {
    Report(section, "password", "", "needs a `username`", problems);
  }
  if (config.certificate_file.empty() != config.key_file.empty()) {
    Report(section, config.certificate_file.empty() ? "key_file" : "certificate_file", "",
           "certificate_file and key_file go together", problems);
  }
  for (const auto& [name, value] :
       {std::pair<std::string_view, const std::string*>{"database", &config.database},
        {"state_table", &config.state_table},
        {"version_column", &config.version_column},
        {"deleted_column", &config.deleted_column}}) {
    if (value->empty()) Report(section, name, "", "must not be empty", problems);
  }
  std::set<std::string> own = {config.version_column, config.deleted_column, config.origin_column};
  if (own.size() < 3) {
    Report(section, "version_column", "",
           "version_column, deleted_column and origin_column need different names", problems);
  }
  const auto positive = [&](std::string_view inner, uint64_t value) {
    if (value == 0) Report(section, "batch", inner, "must be at least 1", problems);
  };
  positive("rows", config.batch.rows);
  positive("bytes", config.batch.bytes.bytes);
  positive("in_flight", config.batch.in_flight);
  if (config.batch.interval < milliseconds(0) || config.batch.interval > kLongestInterval) {
    Report(section, "batch", "interval", "must be from 0s to 2s", problems);
  }
  for (const auto& [name, value] :
       {std::pair<std::string_view, milliseconds>{"connect", config.timeouts.connect},
        {"request", config.timeouts.request},
        {"sweep", config.timeouts.sweep}}) {
    if (value < milliseconds(1))
      Report(section, "timeouts", name, "must be at least 1ms", problems);
  }
  for (const NamePairs::Pair& pair : config.settings.list) {
    if (IsOurs(pair.name)) {
      problems.Add(pair.location, pair.path + ": the sink sets this by itself; remove it");
    }
  }
  for (size_t i = 0; i < tables.options.size(); ++i) {
    const Columns& columns = tables.options[i].columns;
    for (const NamePairs::Pair& pair : columns.types.list) {
      if (ParseType(pair.value).kind == Kind::kUnsupported) {
        problems.Add(pair.location, fmt::format("{}: '{}' is no type that this sink can write",
                                                pair.path, pair.value));
      }
    }
    std::set<std::string> names;
    for (const NamePairs::Pair& pair : columns.rename.list) {
      if (own.contains(pair.value) || !names.insert(pair.value).second) {
        problems.Add(pair.location,
                     fmt::format("{}: the name '{}' is taken already", pair.path, pair.value));
      }
    }
  }
}

std::vector<ColumnUse> ClickHouseColumnUses(const ClickHouseConfig&,
                                            const TableRules<ClickHouseTableOptions>& tables) {
  std::vector<ColumnUse> uses;
  for (size_t i = 0; i < tables.options.size(); ++i) {
    // Of many tables some may lack a column.
    if (tables.selection.entries()[i].match.has_wildcard()) continue;
    const Columns& columns = tables.options[i].columns;
    for (const NamePairs* pairs : {&columns.rename, &columns.types}) {
      for (const NamePairs::Pair& pair : pairs->list) {
        uses.push_back({i, false, pair.name, pair.location, pair.path});
      }
    }
    const ConfigNode& options = tables.selection.entries()[i].options;
    const auto list = [&](const ConfigNode* node) {
      if (node == nullptr || node->kind != ConfigNode::Kind::kList) return;
      for (const ConfigNode& item : node->items) {
        uses.push_back({i, false, item.scalar, item.location, item.path});
      }
    };
    if (options.kind != ConfigNode::Kind::kMap) continue;
    list(options.Find("order_by"));
    const ConfigNode* node = options.Find("columns");
    if (node == nullptr || node->kind != ConfigNode::Kind::kMap) continue;
    list(node->Find("include"));
    list(node->Find("exclude"));
  }
  return uses;
}

std::string TargetOf(const ClickHouseConfig& config, const ClickHouseTableOptions* table_options,
                     std::string_view source, const TableName& table) {
  if (table_options != nullptr && table_options->table) {
    return table_options->table->Of(source, table);
  }
  if (config.table) return config.table->Of(source, table);
  return table.name;
}

}  // namespace tailwater::clickhouse
