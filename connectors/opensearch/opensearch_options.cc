#include "opensearch/opensearch_options.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <set>
#include <sstream>

#include "opensearch/json_view.h"
#include "support/text.h"

namespace tailwater::opensearch {
namespace {

constexpr std::string_view kDefaultIndex = "{source}_{schema}_{table}";

void Add(const ConfigNode& node, const std::string& message, Problems& problems) {
  problems.Add(node.location, node.path + ": " + message);
}

// Nothing if it is a URL that this sink can use.
std::string ProblemOfUrl(std::string_view url) {
  constexpr std::string_view kExample = ", for example https://search.example.com:9200";
  const size_t scheme = url.starts_with("https://") ? 8 : url.starts_with("http://") ? 7 : 0;
  if (scheme == 0) return fmt::format("must begin with https:// or http://{}", kExample);
  const std::string_view rest = url.substr(scheme);
  const std::string_view authority = rest.substr(0, rest.find('/'));
  if (authority.empty() || authority[0] == ':') return fmt::format("has no host{}", kExample);
  if (authority.find('@') != authority.npos) {
    return "holds a user or password before the @; use username and password, which are never "
           "printed";
  }
  if (url.find_first_of("?#") != url.npos) return "must end with the path; remove what follows it";
  if (std::any_of(url.begin(), url.end(), [](char c) { return c <= 0x20 || c >= 0x7f; })) {
    return "holds a blank, a control character or a letter outside ASCII";
  }
  return {};
}

OptionSpec UrlOption() {
  OptionSpec spec;
  spec.name = "url";
  spec.help = "The cluster: https://… or http://…, or a list of nodes, which take turns.";
  spec.type = "text | list of text";
  spec.required = true;
  spec.parse = [](const ConfigNode& node, void* opaque, Problems& problems) {
    NodeUrls urls;
    const auto take = [&](const ConfigNode& item) {
      std::string text;
      const size_t before = problems.list().size();
      ParseScalar(item, text, problems);
      if (problems.list().size() != before) return;
      while (text.ends_with('/')) text.pop_back();
      if (const std::string problem = ProblemOfUrl(text); !problem.empty()) {
        return Add(item, problem, problems);
      }
      urls.list.push_back(std::move(text));
    };
    if (node.kind == ConfigNode::Kind::kList) {
      if (node.items.empty()) Add(node, "must name at least one node", problems);
      for (const ConfigNode& item : node.items) take(item);
    } else {
      take(node);
    }
    static_cast<OpenSearchConfig*>(opaque)->url = std::move(urls);
  };
  return spec;
}

template <class Config>
OptionSpec IndexNameOption(std::string help) {
  OptionSpec spec;
  spec.name = "index";
  spec.help = std::move(help);
  spec.type = "text";
  if constexpr (std::is_same_v<Config, OpenSearchConfig>) {
    spec.default_text = ConfigText(std::string(kDefaultIndex));
  }
  spec.parse = [](const ConfigNode& node, void* opaque, Problems& problems) {
    std::string text;
    const size_t before = problems.list().size();
    ParseScalar(node, text, problems);
    if (problems.list().size() != before) return;
    std::string problem;
    auto name = IndexName::Parse(text, problem);
    if (!name) return Add(node, problem, problems);
    static_cast<Config*>(opaque)->index = *std::move(name);
  };
  return spec;
}

bool IsNumber(const std::string& text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() &&
         JsonView::Parse(text).has_value();
}

void AppendJson(const ConfigNode& node, std::string& out) {
  switch (node.kind) {
    case ConfigNode::Kind::kNull:
      out += "null";
      return;
    case ConfigNode::Kind::kScalar:
      if (!node.quoted && (node.scalar == "true" || node.scalar == "false" ||
                           node.scalar == "null" || IsNumber(node.scalar))) {
        out += node.scalar;
      } else {
        AppendQuoted(node.scalar, out);
      }
      return;
    case ConfigNode::Kind::kList:
      out += '[';
      for (size_t i = 0; i < node.items.size(); ++i) {
        if (i > 0) out += ',';
        AppendJson(node.items[i], out);
      }
      out += ']';
      return;
    case ConfigNode::Kind::kMap:
      out += '{';
      for (size_t i = 0; i < node.entries.size(); ++i) {
        if (i > 0) out += ',';
        AppendQuoted(node.entries[i].key, out);
        out += ':';
        AppendJson(node.entries[i].value, out);
      }
      out += '}';
      return;
  }
}

template <class Config>
OptionSpec JsonOptionOf(std::string name, JsonOption Config::*member, std::string help) {
  OptionSpec spec;
  spec.name = std::move(name);
  spec.help = std::move(help);
  spec.type = "map | path of a JSON file";
  spec.parse = [member](const ConfigNode& node, void* opaque, Problems& problems) {
    JsonOption& option = static_cast<Config*>(opaque)->*member;
    if (node.kind == ConfigNode::Kind::kMap) {
      AppendJson(node, option.inline_json);
    } else if (node.kind == ConfigNode::Kind::kScalar) {
      ParseScalar(node, option.file, problems);
    } else {
      Add(node, "must be a map, or the path of a JSON file", problems);
    }
  };
  return spec;
}

OptionSpec RenameOption() {
  OptionSpec spec;
  spec.name = "rename";
  spec.help = "Columns and the names of their fields, column: field.";
  spec.type = "map of text";
  spec.parse = [](const ConfigNode& node, void* opaque, Problems& problems) {
    if (node.kind != ConfigNode::Kind::kMap) {
      return Add(node, "must be a map, for example {note: text}", problems);
    }
    auto& list = static_cast<Fields*>(opaque)->rename;
    for (const ConfigNode::Entry& entry : node.entries) {
      std::string field;
      const size_t before = problems.list().size();
      ParseScalar(entry.value, field, problems);
      if (problems.list().size() != before) continue;
      if (field.empty() || field == "_tailwater") {
        Add(entry.value, "cannot be the name of a field; choose another one", problems);
        continue;
      }
      for (const Fields::Rename& other : list) {
        if (other.field == field) {
          Add(entry.value, fmt::format("'{}' and '{}' get the same field", other.column, entry.key),
              problems);
        }
      }
      list.push_back({entry.key, field, entry.key_location, entry.value.path});
    }
  };
  return spec;
}

// Problems at the place of an option, or of the section if the option is not written.
void Report(const ConfigNode& section, std::string_view key, std::string_view message,
            Problems& problems) {
  const ConfigNode* node = &section;
  std::string path = section.path;
  for (std::string_view rest = key; !rest.empty();) {
    const std::string_view part = rest.substr(0, rest.find('.'));
    rest.remove_prefix(std::min(rest.size(), part.size() + 1));
    path += (path.empty() ? "" : ".") + std::string(part);
    if (const ConfigNode* child = node->Find(part)) node = child;
  }
  problems.Add(node->location, fmt::format("{}: {}", path, message));
}

void CheckJson(const JsonOption& option, std::string_view key, const ConfigNode& section,
               Problems& problems) {
  if (option.file.empty()) return;
  if (const auto json = option.Read(); !json) Report(section, key, json.error().message, problems);
}

}  // namespace

Result<std::string> JsonOption::Read() const {
  if (file.empty()) return inline_json;
  std::ifstream in(file);
  std::ostringstream text;
  text << in.rdbuf();
  const auto unusable = [&](std::string_view why) {
    return Error{Disposition::kNeedsOperator, "opensearch_file_unusable",
                 fmt::format("{} {}", file, why)};
  };
  if (!in) return unusable("cannot be read; check path and permissions");
  std::string json = std::move(text).str();
  const auto parsed = JsonView::Parse(json);
  if (!parsed || !parsed->is_object()) return unusable("holds no JSON object");
  return std::string(parsed->raw());
}

const OptionTable& OpenSearchOptions() {
  using C = OpenSearchConfig;
  static const OptionTable kBatch = {
      Field("bytes", &C::Batch::bytes, "Largest body of a bulk request."),
      Field("records", &C::Batch::records, "Most documents in a bulk request."),
      Field("in_flight", &C::Batch::in_flight,
            "Most bulk requests at a time; at most one of them holds a given row.")};
  static const OptionTable kTimeouts = {
      Field("connect", &C::Timeouts::connect, "For name, connection and TLS."),
      Field("request", &C::Timeouts::request, "For all of a request.")};
  static const OptionTable kOptions = {
      UrlOption(),
      Field("username", &C::username, "User of basic authentication."),
      Field("password", &C::password, "Password of the user."),
      Field("api_key", &C::api_key, "Sent as Authorization: ApiKey …; base64 of id:key."),
      Field("bearer_token", &C::bearer_token, "Sent as Authorization: Bearer …"),
      Field("ca_file", &C::ca_file, "Trusted certificates, PEM; the system's if empty."),
      Field("certificate_file", &C::certificate_file, "Client certificate, PEM."),
      Field("key_file", &C::key_file, "Private key of the client certificate, PEM."),
      IndexNameOption<C>("Name of each table's index; {source}, {schema} and {table} are replaced, "
                         "in lower case."),
      Field("create", &C::create,
            "Create indices that are missing, and add fields for new columns to those. Others are "
            "used as they are."),
      Field("alias", &C::alias, "Alias of the indices that are created."),
      JsonOptionOf("settings", &C::settings,
                   "Settings of indices that are created, {number_of_shards: 3}."),
      JsonOptionOf("mappings", &C::mappings,
                   "Mappings of indices that are created; what it names stands in place of ours, "
                   "{properties: {note: {type: keyword}}}."),
      Choice("decimals", &C::decimals,
             "How decimals are indexed; the document keeps every digit. scaled: scaled_float with "
             "the column's scale.",
             {{"keyword", Decimals::kKeyword},
              {"double", Decimals::kDouble},
              {"scaled", Decimals::kScaled}}),
      Choice("json", &C::json,
             "How JSON columns are indexed. stored: not searched; object: a field per key; "
             "flattened: all keys in one field.",
             {{"stored", JsonColumns::kStored},
              {"object", JsonColumns::kObject},
              {"flattened", JsonColumns::kFlattened}}),
      Section("batch", &C::batch, "How much goes in one request.", kBatch),
      Field("compression", &C::compression, "Compress requests with gzip."),
      Section("timeouts", &C::timeouts, "Limits on the time of a request.", kTimeouts)};
  return kOptions;
}

const OptionTable& OpenSearchTableOptionsTable() {
  using C = OpenSearchTableOptions;
  static const OptionTable kFields = {
      Field("include", &Fields::include, "The only columns that become fields. Empty: all."),
      Field("exclude", &Fields::exclude, "Columns that do not become fields."), RenameOption()};
  static const OptionTable kOptions = {
      IndexNameOption<C>("Name of the table's index, instead of the sink's."),
      Field("id", &C::id,
            "Columns of the key that make the document's id; they must tell rows apart. Empty: all "
            "of the key."),
      Field("routing", &C::routing, "Column of the key that decides the shard."),
      Section("fields", &C::fields, "Which columns become fields, and under which names.", kFields),
      Field("alias", &C::alias, "Alias of the index if it is created, instead of the sink's."),
      JsonOptionOf("settings", &C::settings, "Settings of the index, instead of the sink's."),
      JsonOptionOf("mappings", &C::mappings, "Mappings of the index, instead of the sink's.")};
  return kOptions;
}

void ValidateOpenSearch(const OpenSearchConfig& config,
                        const TableRules<OpenSearchTableOptions>& tables, const ConfigNode& section,
                        Problems& problems) {
  const auto report = [&](std::string_view key, std::string_view message) {
    Report(section, key, message, problems);
  };
  const bool basic = !config.username.empty() || !config.password.empty();
  if (basic && (config.username.empty() || config.password.empty())) {
    report(config.password.empty() ? "username" : "password", "username and password go together");
  }
  if (basic + !config.api_key.empty() + !config.bearer_token.empty() > 1) {
    report(config.api_key.empty() ? "bearer_token" : "api_key",
           "choose one of username and password, api_key, bearer_token");
  }
  if (config.certificate_file.empty() != config.key_file.empty()) {
    report(config.key_file.empty() ? "certificate_file" : "key_file",
           "certificate_file and key_file go together");
  }
  if (config.batch.bytes.bytes < 1024 || config.batch.bytes.bytes > 100 * 1024 * 1024) {
    report("batch.bytes", "must be between 1KiB and 100MiB");
  }
  if (config.batch.records < 1 || config.batch.records > 100'000) {
    report("batch.records", "must be between 1 and 100000");
  }
  if (config.batch.in_flight < 1 || config.batch.in_flight > 64) {
    report("batch.in_flight", "must be between 1 and 64");
  }
  for (const auto& [key, time] : {std::pair{"timeouts.connect", config.timeouts.connect},
                                  {"timeouts.request", config.timeouts.request}}) {
    if (time < std::chrono::milliseconds(1) || time > std::chrono::minutes(10)) {
      report(key, "must be between 1ms and 10m");
    }
  }
  CheckJson(config.settings, "settings", section, problems);
  CheckJson(config.mappings, "mappings", section, problems);
  for (size_t i = 0; i < tables.options.size(); ++i) {
    const ConfigNode& entry = tables.selection.entries()[i].options;
    CheckJson(tables.options[i].settings, "settings", entry, problems);
    CheckJson(tables.options[i].mappings, "mappings", entry, problems);
  }
}

std::vector<ColumnUse> OpenSearchColumnUses(const OpenSearchConfig&,
                                            const TableRules<OpenSearchTableOptions>& tables) {
  std::vector<ColumnUse> uses;
  for (size_t i = 0; i < tables.options.size(); ++i) {
    const OpenSearchTableOptions& options = tables.options[i];
    const TableEntry& entry = tables.selection.entries()[i];
    const auto use = [&](const std::string& column, std::string_view key) {
      const ConfigNode* node = entry.options.Find(key);
      const ConfigNode& place = node == nullptr ? entry.options : *node;
      uses.push_back({i, false, column, place.location, place.path});
    };
    for (const std::string& column : options.id) use(column, "id");
    if (!options.routing.empty()) use(options.routing, "routing");
    // A wrong name here would let a column through, or leave one out. Of many tables some may lack
    // it.
    if (entry.match.has_wildcard()) continue;
    for (const std::string& column : options.fields.include) use(column, "fields");
    for (const std::string& column : options.fields.exclude) use(column, "fields");
    for (const Fields::Rename& rename : options.fields.rename) {
      uses.push_back({i, false, rename.column, rename.location, rename.path});
    }
  }
  return uses;
}

std::string IndexOf(const OpenSearchConfig& config, const OpenSearchTableOptions* table_options,
                    std::string_view source, std::string_view table) {
  static const IndexName kDefault = [] {
    std::string problem;
    return *IndexName::Parse(kDefaultIndex, problem);
  }();
  if (table_options != nullptr && table_options->index) {
    return table_options->index->Of(source, table);
  }
  return (config.index ? *config.index : kDefault).Of(source, table);
}

}  // namespace tailwater::opensearch
