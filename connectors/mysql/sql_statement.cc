#include "mysql/sql_statement.h"

#include <algorithm>
#include <charconv>
#include <initializer_list>
#include <span>

#include "mysql/sql_tokens.h"
#include "support/text.h"

namespace tailwater::mysql {
namespace {

using Kind = SqlStatement::Kind;

// What begins a statement that changes no rows of a table.
constexpr std::string_view kHarmless[] = {
    "GRANT",   "REVOKE",    "SET",  "FLUSH",  "ANALYZE", "OPTIMIZE", "REPAIR",  "CHECK", "CHECKSUM",
    "INSTALL", "UNINSTALL", "KILL", "LOCK",   "UNLOCK",  "CHANGE",   "RESET",   "PURGE", "USE",
    "SHOW",    "EXPLAIN",   "DESC", "BACKUP", "CACHE",   "DESCRIBE", "RESTART", "STOP",  "SIGNAL",
    "PREPARE", "EXECUTE",   "HELP", "CLONE",  "HANDLER", "SHUTDOWN",
};

// What CREATE, ALTER and DROP act on besides tables and databases, or the words before it.
constexpr std::string_view kOtherObjects[] = {
    "INDEX",    "UNIQUE",     "FULLTEXT",  "SPATIAL",   "VECTOR",   "VIEW",
    "TRIGGER",  "PROCEDURE",  "FUNCTION",  "EVENT",     "USER",     "ROLE",
    "SERVER",   "TABLESPACE", "LOGFILE",   "UNDO",      "RESOURCE", "SEQUENCE",
    "PACKAGE",  "LIBRARY",    "AGGREGATE", "ALGORITHM", "DEFINER",  "SQL",
    "INSTANCE", "JSON",       "PREPARE",   "CATALOG",   "MASKING",  "CONNECTION",
};

bool IsOneOf(const SqlToken& token, std::span<const std::string_view> words) {
  return std::any_of(words.begin(), words.end(),
                     [&](std::string_view word) { return token.Is(word); });
}

class StatementReader {
 public:
  StatementReader(const QueryEvent& query, Flavour flavour)
      : query_(query),
        flavour_(flavour),
        tokens_(query.sql, query.sql_mode, flavour),
        statement_{.kind = Kind::kNothing} {}

  SqlStatement Read() {
    SkipSetStatement();
    if (!ReadControl() && !ReadDefinition() && !ReadManipulation()) {
      const bool nothing = tokens_.now().ended() || IsOneOf(tokens_.now(), kHarmless);
      statement_.kind = nothing ? Kind::kNothing : Kind::kUnknown;
    }
    return std::move(statement_);
  }

 private:
  bool Is(Kind kind) {
    statement_.kind = kind;
    return true;
  }
  bool TakeAny(std::initializer_list<std::string_view> words) {
    bool taken = false;
    while (std::any_of(words.begin(), words.end(),
                       [&](std::string_view word) { return tokens_.Take(word); })) {
      taken = true;
    }
    return taken;
  }

  // MariaDB: SET STATEMENT name = value, … FOR statement.
  void SkipSetStatement() {
    if (!tokens_.now().Is("SET")) return;
    SqlTokens ahead = tokens_;
    ahead.Advance();
    if (flavour_ != Flavour::kMariadb || !ahead.Take("STATEMENT")) return;
    while (!ahead.now().ended() && !ahead.now().Is("FOR")) {
      ahead.now().Is('(') ? ahead.SkipParentheses() : ahead.Advance();
    }
    if (ahead.Take("FOR")) tokens_ = ahead;
  }

  std::string Name() {
    const SqlToken token = tokens_.now();
    const bool quoted = token.kind == SqlToken::Kind::kQuoted;
    if (!quoted && token.kind != SqlToken::Kind::kWord) return {};
    tokens_.Advance();
    return quoted ? tokens_.Unquote(token) : std::string(token.text);
  }

  // [database.]name; an empty name: there is none.
  TableName Table() {
    TableName table{.schema = std::string(query_.database)};
    const bool of_session = tokens_.Take('.');  // ".name" is what ODBC writes
    table.name = Name();
    if (!of_session && tokens_.Take('.')) {
      table.schema = std::move(table.name);
      table.name = Name();
    }
    return table;
  }

  void AddTable(std::vector<TableName>& to, TableName table) {
    if (table.name.empty()) {
      statement_.kind = Kind::kUnknown;
    } else if (std::find(to.begin(), to.end(), table) == to.end()) {
      to.push_back(std::move(table));
    }
  }

  void Replaced(TableName table, std::string_view why) {
    if (statement_.why.empty()) statement_.why = why;
    AddTable(statement_.tables, std::move(table));
  }

  // X'6162', 0x6162 or 'ab', as lower-case digits.
  std::string XidPart() {
    const SqlToken token = tokens_.now();
    tokens_.Advance();
    std::string digits;
    if (token.Is("X") && tokens_.now().kind == SqlToken::Kind::kString) {
      digits = tokens_.now().text;
      tokens_.Advance();
    } else if (token.kind == SqlToken::Kind::kString) {
      for (const char c : tokens_.Unquote(token)) {
        digits += fmt::format("{:02x}", static_cast<unsigned char>(c));
      }
    } else if (token.text.size() > 2) {
      digits = token.text.substr(2);
    }
    for (char& c : digits) c = static_cast<char>(c >= 'A' && c <= 'F' ? c + ('a' - 'A') : c);
    return digits;
  }

  void ReadXid() {
    const std::string transaction = XidPart();
    std::string branch;
    uint32_t format = 1;
    if (tokens_.Take(',')) branch = XidPart();
    if (tokens_.Take(',')) {
      const bool negative = tokens_.Take('-');
      const std::string_view digits = tokens_.now().text;
      std::from_chars(digits.data(), digits.data() + digits.size(), format);
      if (negative) format = -format;  // the event has its bits
      tokens_.Advance();
    }
    statement_.xid = fmt::format("X'{}',X'{}',{}", transaction, branch, format);
  }

  bool ReadXa() {
    const SqlToken verb = tokens_.now();
    tokens_.Advance();
    statement_.kind = verb.Is("START") || verb.Is("BEGIN") ? Kind::kXaStart
                      : verb.Is("END")                     ? Kind::kXaEnd
                      : verb.Is("PREPARE")                 ? Kind::kXaPrepare
                      : verb.Is("COMMIT")                  ? Kind::kXaCommit
                      : verb.Is("ROLLBACK")                ? Kind::kXaRollback
                      : verb.Is("RECOVER")                 ? Kind::kNothing
                                                           : Kind::kUnknown;
    if (statement_.kind == Kind::kNothing || statement_.kind == Kind::kUnknown) return true;
    ReadXid();
    statement_.one_phase = tokens_.Take("ONE");
    return true;
  }

  // What moves a group on.
  bool ReadControl() {
    if (tokens_.Take("BEGIN")) return Is(Kind::kBegin);
    if (tokens_.Take("COMMIT")) return Is(Kind::kCommit);
    if (tokens_.Take("START")) {
      return Is(tokens_.now().Is("TRANSACTION") ? Kind::kBegin : Kind::kNothing);
    }
    if (tokens_.Take("ROLLBACK")) {
      tokens_.Take("WORK");
      if (!tokens_.Take("TO")) return Is(Kind::kRollback);
      tokens_.Take("SAVEPOINT");
      statement_.name = Name();
      return Is(Kind::kRollbackTo);
    }
    if (tokens_.Take("SAVEPOINT")) {
      statement_.name = Name();
      return Is(Kind::kSavepoint);
    }
    if (tokens_.Take("RELEASE")) {
      tokens_.Take("SAVEPOINT");
      statement_.name = Name();
      return Is(Kind::kReleaseSavepoint);
    }
    return tokens_.Take("XA") && ReadXa();
  }

  // What makes, changes and takes away tables.
  bool ReadDefinition() {
    if (tokens_.Take("CREATE")) return ReadCreate();
    if (tokens_.Take("ALTER")) return ReadAlter();
    if (tokens_.Take("DROP")) return ReadDrop();
    if (tokens_.Take("RENAME")) return ReadRename();
    if (tokens_.Take("TRUNCATE")) {
      tokens_.Take("TABLE");
      statement_.kind = Kind::kTruncate;
      AddTable(statement_.tables, Table());
      return true;
    }
    return false;
  }

  bool OfOtherObject() {
    return Is(IsOneOf(tokens_.now(), kOtherObjects) ? Kind::kNothing : Kind::kUnknown);
  }

  bool TakeDatabase() { return tokens_.Take("DATABASE") || tokens_.Take("SCHEMA"); }

  bool ReadCreate() {
    bool replace = false;
    if (tokens_.Take("OR")) replace = tokens_.Take("REPLACE");
    if (TakeDatabase()) {
      TakeAny({"IF", "NOT", "EXISTS"});
      if (replace) statement_.dropped_database = Name();
      return Is(Kind::kSchemaChange);
    }
    if (tokens_.Take("TEMPORARY")) return Is(Kind::kNothing);
    TakeAny({"ONLINE", "OFFLINE"});
    if (!tokens_.Take("TABLE")) return OfOtherObject();
    statement_.kind = Kind::kSchemaChange;
    TakeAny({"IF", "NOT", "EXISTS"});
    TableName table = Table();
    if (HoldsQuery()) {
      statement_.kind = Kind::kRowsByStatement;
      AddTable(statement_.tables, std::move(table));
    } else if (replace) {
      Replaced(std::move(table), "CREATE OR REPLACE TABLE");
    } else {
      AddTable(statement_.created, std::move(table));
    }
    return true;
  }

  // Whether the rest of a CREATE TABLE takes its rows from a query: the words are reserved, a
  // column of that name stands in quotes.
  bool HoldsQuery() {
    while (!tokens_.now().ended()) {
      if (tokens_.now().Is("SELECT") || tokens_.now().Is("TABLE")) return true;
      if (tokens_.Take("VALUES")) {
        if (tokens_.now().Is("ROW") || tokens_.now().Is('(')) return true;
        continue;
      }
      tokens_.Advance();
    }
    return false;
  }

  bool ReadDrop() {
    if (TakeDatabase()) {
      TakeAny({"IF", "EXISTS"});
      statement_.dropped_database = Name();
      return Is(Kind::kSchemaChange);
    }
    if (tokens_.Take("TEMPORARY")) return Is(Kind::kNothing);
    if (!tokens_.Take("TABLE") && !tokens_.Take("TABLES")) return OfOtherObject();
    statement_.kind = Kind::kSchemaChange;
    TakeAny({"IF", "EXISTS"});
    do {
      AddTable(statement_.dropped, Table());
    } while (tokens_.Take(','));
    return true;
  }

  // MariaDB: WAIT n, NOWAIT.
  void SkipWait() {
    if (tokens_.Take("NOWAIT")) return;
    SqlTokens ahead = tokens_;
    if (!ahead.Take("WAIT") || ahead.now().text.find_first_not_of("0123456789") == 0) return;
    ahead.Advance();
    tokens_ = ahead;
  }

  bool ReadRename() {
    if (tokens_.Take("USER")) return Is(Kind::kNothing);
    if (!tokens_.Take("TABLE") && !tokens_.Take("TABLES")) return Is(Kind::kUnknown);
    statement_.kind = Kind::kSchemaChange;
    TakeAny({"IF", "EXISTS"});
    do {
      TableName from = Table();
      SkipWait();
      if (!tokens_.Take("TO")) return Is(Kind::kUnknown);
      TableName to = Table();
      if (from.name.empty() || to.name.empty()) return Is(Kind::kUnknown);
      statement_.renamed.emplace_back(std::move(from), std::move(to));
    } while (tokens_.Take(','));
    AddRenamed();
    return true;
  }

  // The names that end up with the rows of another one: a swap over a third name has two of them, a
  // name that got its own rows back is none.
  void AddRenamed() {
    std::vector<std::pair<TableName, TableName>> holds;  // name, whose rows it holds
    for (const auto& [from, to] : statement_.renamed) {
      const auto at = std::find_if(holds.begin(), holds.end(), [&from = from](const auto& entry) {
        return entry.first == from;
      });
      if (at == holds.end()) {
        holds.emplace_back(to, from);
      } else {
        at->first = to;
      }
    }
    for (const auto& [name, origin] : holds) {
      if (name != origin) Replaced(name, "RENAME TABLE");
      const bool taken =
          std::any_of(holds.begin(), holds.end(),
                      [&origin = origin](const auto& entry) { return entry.first == origin; });
      if (!taken) AddTable(statement_.dropped, origin);
    }
  }

  bool ReadAlter() {
    if (TakeDatabase()) return Is(Kind::kSchemaChange);
    bool ignore = false;
    while (TakeAny({"ONLINE", "OFFLINE"}) || tokens_.now().Is("IGNORE")) {
      ignore = tokens_.Take("IGNORE") || ignore;
    }
    if (!tokens_.Take("TABLE")) return OfOtherObject();
    statement_.kind = Kind::kSchemaChange;
    TakeAny({"IF", "EXISTS"});
    const TableName table = Table();
    if (table.name.empty()) return Is(Kind::kUnknown);
    statement_.altered = table;
    SkipWait();
    if (ignore) Replaced(table, "ALTER IGNORE TABLE");
    while (!tokens_.now().ended()) {
      ReadAlteration(table);
      while (!tokens_.now().ended() && !tokens_.Take(',')) {
        if (tokens_.now().Is("ENGINE")) {
          ReadEngine(table);
        } else {
          tokens_.now().Is('(') ? tokens_.SkipParentheses() : tokens_.Advance();
        }
      }
    }
    return true;
  }

  void ReadEngine(const TableName& table) {
    tokens_.Advance();
    tokens_.Take('=');
    if (tokens_.now().Is("BLACKHOLE")) Replaced(table, "ENGINE = BLACKHOLE");
  }

  // One of the parts between commas, as far as it matters.
  void ReadAlteration(const TableName& table) {
    if (tokens_.Take("RENAME")) {
      if (tokens_.now().Is("COLUMN") || tokens_.now().Is("INDEX") || tokens_.now().Is("KEY") ||
          tokens_.now().Is("CONSTRAINT")) {
        return;
      }
      if (!tokens_.Take("TO") && !tokens_.Take("AS")) tokens_.Take('=');
      TableName to = Table();
      if (!to.name.empty()) statement_.renamed.emplace_back(table, to);
      if (to != table) {
        Replaced(std::move(to), "ALTER TABLE … RENAME");
        AddTable(statement_.dropped, table);
      }
    } else if (tokens_.Take("EXCHANGE")) {
      Replaced(table, "EXCHANGE PARTITION");
      AddTableBehind("TABLE");
    } else if (tokens_.Take("CONVERT")) {  // MariaDB: a table becomes a partition, or was one
      if (tokens_.now().Is("PARTITION")) {
        Replaced(table, "CONVERT PARTITION");
        AddTableBehind("TABLE");
      } else if (tokens_.now().Is("TABLE")) {
        Replaced(table, "CONVERT TABLE TO PARTITION");
      }
    } else if (tokens_.Take("TRUNCATE")) {
      if (tokens_.now().Is("PARTITION")) Replaced(table, "TRUNCATE PARTITION");
    } else if (tokens_.Take("DROP")) {
      if (tokens_.now().Is("PARTITION")) Replaced(table, "DROP PARTITION");
    } else if (tokens_.Take("IMPORT")) {
      Replaced(table, "IMPORT TABLESPACE");
    } else if (tokens_.Take("DISCARD")) {
      Replaced(table, "DISCARD TABLESPACE");
    }
  }

  void AddTableBehind(std::string_view word) {
    while (!tokens_.now().ended() && !tokens_.now().Is(',')) {
      if (tokens_.Take(word)) {
        AddTable(statement_.tables, Table());
        return;
      }
      tokens_.Advance();
    }
  }

  // What changes rows. Only what is written to is taken down: a statement may read from anything.
  bool ReadManipulation() {
    if (tokens_.Take("INSERT") || tokens_.Take("REPLACE")) {
      TakeAny({"LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY", "IGNORE", "INTO"});
      AddTable(statement_.tables, Table());
      return Is(Kind::kRowsByStatement);
    }
    if (tokens_.Take("LOAD")) {
      while (!tokens_.now().ended() && !tokens_.now().Is("INTO")) tokens_.Advance();
      AddTableBehind("TABLE");
      return Is(Kind::kRowsByStatement);
    }
    if (tokens_.Take("UPDATE")) {
      TakeAny({"LOW_PRIORITY", "IGNORE"});
      ReadReferences("SET");
      return Is(Kind::kRowsByStatement);
    }
    if (tokens_.Take("DELETE")) return ReadDelete();
    if (tokens_.now().Is("CALL") || tokens_.now().Is("DO") || tokens_.now().Is("SELECT") ||
        tokens_.now().Is("WITH") || tokens_.now().Is("TABLE") || tokens_.now().Is("VALUES") ||
        tokens_.now().Is('(')) {
      return Is(Kind::kRowsByStatement);  // what they call, or what follows, may write anywhere
    }
    return false;
  }

  bool ReadDelete() {
    if (tokens_.Take("HISTORY")) return Is(Kind::kNothing);  // MariaDB: none of what a table shows
    TakeAny({"LOW_PRIORITY", "QUICK", "IGNORE"});
    if (!tokens_.Take("FROM")) {  // DELETE a, b FROM a JOIN b: names may be aliases
      while (!tokens_.now().ended() && !tokens_.Take("FROM")) tokens_.Advance();
      ReadReferences("WHERE");
      return Is(Kind::kRowsByStatement);
    }
    SqlTokens ahead = tokens_;
    while (!ahead.now().ended() && !ahead.now().Is("USING") && !ahead.now().Is("WHERE")) {
      ahead.Advance();
    }
    if (ahead.Take("USING")) tokens_ = ahead;
    ReadReferences("WHERE");
    return Is(Kind::kRowsByStatement);
  }

  // Table references up to `end`: those of a join are all taken for written to; a query in
  // parentheses is only read.
  void ReadReferences(std::string_view end) {
    bool name_follows = true;
    while (!tokens_.now().ended() && !tokens_.now().Is(end)) {
      if (tokens_.Take(',') || TakeAny({"JOIN", "STRAIGHT_JOIN"})) {
        name_follows = true;
      } else if (tokens_.now().Is('(')) {
        SqlTokens inside = tokens_;
        while (inside.Take('(')) {
        }
        if (!name_follows || inside.now().Is("SELECT") || inside.now().Is("WITH")) {
          tokens_.SkipParentheses();
          name_follows = false;
        } else {
          tokens_.Advance();
        }
      } else if (name_follows) {
        TableName table = Table();
        if (table.name.empty()) {
          tokens_.Advance();
        } else {
          AddTable(statement_.tables, std::move(table));
        }
        name_follows = false;
      } else {
        tokens_.Advance();
      }
    }
  }

  const QueryEvent& query_;
  const Flavour flavour_;
  SqlTokens tokens_;
  SqlStatement statement_;
};

}  // namespace

SqlStatement ReadStatement(const QueryEvent& query, Flavour flavour) {
  return StatementReader(query, flavour).Read();
}

}  // namespace tailwater::mysql
