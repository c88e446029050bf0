// What the sink has to know of its targets over restarts, in a table of its own beside them: below
// which version rows were swept, since when columns are there, and which changes were refused.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "clickhouse/clickhouse_options.h"
#include "clickhouse/server.h"

namespace tailwater::clickhouse {

class SinkState {
 public:
  // All of these outlive it.
  SinkState(const ClickHouseConfig& config, const ServerFacts& facts)
      : config_(config), facts_(facts) {}

  // Makes sure that database and table are there. kNeedsOperator "clickhouse_database_missing",
  // "clickhouse_state_missing", or as Judge().
  Status Open(Server& server);

  struct Column {
    int64_t since = -1;    // below 0: never seen
    int64_t dropped = -1;  // when the source dropped it
    bool there() const { return since >= 0 && dropped < since; }
  };
  // What is known of one table in one target.
  struct Known {
    bool adopted = false;  // the sink has written to it
    bool made = false;     // and created it
    int64_t swept = 0;
    std::map<std::string, Column> columns;
  };
  // Read anew; valid until the next call with the same names.
  Result<Known*> Load(Server& server, const std::string& origin, const std::string& target);
  // Rows that are older are gone. As it was read last.
  int64_t SweptVersion(const std::string& origin, const std::string& target) const;

  struct Entry {
    std::string kind;  // "made", "swept", "column", "dropped", "refused"
    std::string key;   // name of a column; of a refused change RefusedKey()
    int64_t version = 0;
  };
  Status Store(Server& server, const std::string& origin, const std::string& target,
               std::span<const Entry> entries);
  // Of these keys, those of which a change between two versions was refused.
  struct Span {
    std::string key;
    int64_t after = 0;
    int64_t before = 0;
  };
  Result<std::set<std::string>> RefusedWithin(Server& server, const std::string& origin,
                                              const std::string& target,
                                              std::span<const Span> spans);

 private:
  std::string Table() const;
  void Note(const Entry& entry, Known& known) const;

  const ClickHouseConfig& config_;
  const ServerFacts& facts_;
  std::map<std::pair<std::string, std::string>, Known> known_;
};

// Of the record's key.
std::string HexOf(std::string_view bytes);
// "3f01:0000000000000000042": an entry for each refused change of a key, in their order.
std::string RefusedKey(std::string_view hex, int64_t version);

}  // namespace tailwater::clickhouse
