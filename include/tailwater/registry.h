// Which connector types exist, how each is configured and how it is made.
//
// A connector is a folder with one public function, void Register…(Registry&), named in
// connectors/connectors.cc. No static initializers: the linker, the tests and `tailwater validate
// --list-connectors` agree on what is there.
#pragma once

#include <cassert>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "tailwater/config.h"
#include "tailwater/log.h"
#include "tailwater/metrics.h"
#include "tailwater/sink.h"
#include "tailwater/source.h"
#include "tailwater/tables.h"

namespace tailwater {

struct SourceContext {
  std::string pipeline;
  std::string name;  // of the source; immutable identity
  TableSelection tables;
  std::string scratch_dir;  // for spooling; created by the engine, emptied at start
  Logger logger;
  Metrics& metrics;  // already labelled with pipeline and source
  // Whoever else still reads this source's log in our name is a process that has lost the topic's
  // lease to this one: frozen, or cut off. Its session may be ended.
  bool sole_reader = false;
};

// What a sink may say about where a change comes from.
struct SourceFacts {
  std::string name;      // of the source
  std::string type;      // "postgres"
  std::string database;  // as its configuration names it; empty if it does not
};

struct SinkContext {
  std::string pipeline;
  std::string name;  // of the sink; immutable identity
  TableSelection tables;
  Logger logger;
  Metrics& metrics;                  // already labelled with pipeline and sink
  std::vector<SourceFacts> sources;  // of the pipeline
  SchemaChanges schema_changes = SchemaChanges::kApply;
};

// A parsed configuration, type-erased: made by `parse` and understood by the other functions of the
// same type.
using ParsedConfig = std::shared_ptr<const void>;

struct SourceType {
  std::string type;
  std::string summary;
  OptionTable options;
  std::function<ParsedConfig(const ConfigNode& section, Problems& problems)> parse;
  std::function<Result<std::unique_ptr<Source>>(const ParsedConfig&, SourceContext)> create;
  std::function<Result<std::unique_ptr<SourceTools>>(const ParsedConfig&, SourceContext)> tools;
  // The database that a configuration names.
  std::function<std::string(const ParsedConfig&)> database;
};

enum class StartAt : uint8_t { kSnapshot, kEnd };

// What a type of sink is by nature; the engine's own options (start, snapshot, replay, …) take
// their defaults from it.
struct SinkTraits {
  StartAt default_start = StartAt::kSnapshot;  // row sinks; event sinks: the end
  // Acts on each change: snapshot rows and replays are left out unless the configuration asks for
  // them, and a change never overtakes an older one of its row, not even one that was refused.
  bool trigger = false;
  // Its target has one writer by nature (a file): one process takes all partitions at a time, the
  // others stand by.
  bool one_writer = false;
};

struct SinkType {
  std::string type;
  std::string summary;
  OptionTable options;
  OptionTable table_options;
  SinkTraits traits;
  std::function<ParsedConfig(const ConfigNode& section, Problems& problems)> parse;
  // The columns that the configuration names. Never empty.
  std::function<std::vector<ColumnUse>(const ParsedConfig&)> column_uses;
  std::function<Result<std::unique_ptr<Sink>>(const ParsedConfig&, SinkContext)> create;
};

// What a connector states about a source; AddSource() erases the type.
template <class Config>
struct SourceDefinition {
  std::string type;     // snake_case noun
  std::string summary;  // one line
  OptionTable options;
  // Checks across fields. May be empty.
  std::function<void(const Config&, const ConfigNode& section, Problems&)> validate;
  std::function<Result<std::unique_ptr<Source>>(const Config&, SourceContext)> create;
  std::function<Result<std::unique_ptr<SourceTools>>(const Config&, SourceContext)> tools;
  // The database that the configuration names. May be empty.
  std::function<std::string(const Config&)> database;
};

template <class Config, class TableOptions = NoTableOptions>
struct SinkDefinition {
  std::string type;
  std::string summary;
  OptionTable options;
  OptionTable table_options;  // of {match: …} entries
  SinkTraits traits;
  std::function<void(const Config&, const TableRules<TableOptions>&, const ConfigNode& section,
                     Problems&)>
      validate;
  // May be empty: the configuration names no columns.
  std::function<std::vector<ColumnUse>(const Config&, const TableRules<TableOptions>&)> column_uses;
  std::function<Result<std::unique_ptr<Sink>>(const Config&, TableRules<TableOptions>, SinkContext)>
      create;
};

// Keys of a sink's section, and of its tables: entries, that the engine reads itself; a connector
// cannot have options of these names.
inline const std::vector<std::string_view> kSinkKeys = {
    "type",       "tables",        "start",      "snapshot",      "replay",
    "halt_after", "max_lane_wait", "park_limit", "schema_changes"};

// The same of a source's section.
inline const std::vector<std::string_view> kSourceKeys = {"type", "tables", "snapshot", "on_gap"};
inline const std::vector<std::string_view> kTableEntryKeys = {"match", "exclude", "when",
                                                              "on_missing_before"};

// Whether a table has an option of one of these names.
bool HasOptionNamed(const OptionTable& table, const std::vector<std::string_view>& names);

class Registry {
 public:
  template <class Config>
  void AddSource(SourceDefinition<Config> definition);
  template <class Config, class TableOptions>
  void AddSink(SinkDefinition<Config, TableOptions> definition);

  const SourceType* FindSource(std::string_view type) const;
  const SinkType* FindSink(std::string_view type) const;
  const std::map<std::string, SourceType, std::less<>>& sources() const { return sources_; }
  const std::map<std::string, SinkType, std::less<>>& sinks() const { return sinks_; }

 private:
  std::map<std::string, SourceType, std::less<>> sources_;
  std::map<std::string, SinkType, std::less<>> sinks_;
};

template <class Config>
void Registry::AddSource(SourceDefinition<Config> definition) {
  assert(!HasOptionNamed(definition.options, kSourceKeys));
  SourceType type{definition.type, definition.summary, definition.options, {}, {}, {}, {}};
  type.parse = [definition](const ConfigNode& section, Problems& problems) -> ParsedConfig {
    auto config = std::make_shared<Config>();
    ParseOptions(definition.options, section, kSourceKeys, config.get(), problems);
    if (definition.validate) definition.validate(*config, section, problems);
    return config;
  };
  type.create = [create = definition.create](const ParsedConfig& config, SourceContext context) {
    return create(*static_cast<const Config*>(config.get()), std::move(context));
  };
  type.tools = [tools = definition.tools](const ParsedConfig& config, SourceContext context) {
    return tools(*static_cast<const Config*>(config.get()), std::move(context));
  };
  type.database = [database = definition.database](const ParsedConfig& config) {
    return database ? database(*static_cast<const Config*>(config.get())) : std::string();
  };
  sources_.insert_or_assign(definition.type, std::move(type));
}

template <class Config, class TableOptions>
void Registry::AddSink(SinkDefinition<Config, TableOptions> definition) {
  assert(!HasOptionNamed(definition.options, kSinkKeys));
  assert(!HasOptionNamed(definition.table_options, kTableEntryKeys));
  struct Parsed {
    Config config;
    TableRules<TableOptions> tables;
  };
  SinkType type{definition.type,
                definition.summary,
                definition.options,
                definition.table_options,
                definition.traits,
                {},
                {},
                {}};
  type.parse = [definition](const ConfigNode& section, Problems& problems) -> ParsedConfig {
    auto parsed = std::make_shared<Parsed>();
    ParseOptions(definition.options, section, kSinkKeys, &parsed->config, problems);
    parsed->tables.selection = TableSelection::Parse(section.Find("tables"), problems);
    for (const TableEntry& entry : parsed->tables.selection.entries()) {
      TableOptions& options = parsed->tables.options.emplace_back();
      if (entry.options.kind == ConfigNode::Kind::kMap) {
        ParseOptions(definition.table_options, entry.options, kTableEntryKeys, &options, problems);
      }
    }
    if (definition.validate) definition.validate(parsed->config, parsed->tables, section, problems);
    return parsed;
  };
  type.column_uses =
      [uses = definition.column_uses](const ParsedConfig& config) -> std::vector<ColumnUse> {
    const auto* parsed = static_cast<const Parsed*>(config.get());
    return uses ? uses(parsed->config, parsed->tables) : std::vector<ColumnUse>();
  };
  type.create = [create = definition.create](const ParsedConfig& config, SinkContext context) {
    const auto* parsed = static_cast<const Parsed*>(config.get());
    return create(parsed->config, parsed->tables, std::move(context));
  };
  sinks_.insert_or_assign(definition.type, std::move(type));
}

}  // namespace tailwater
