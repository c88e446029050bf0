#include "expression/parser.h"

#include <algorithm>
#include <initializer_list>
#include <optional>
#include <string>
#include <utility>

#include "expression/function_list.h"
#include "expression/lexer.h"
#include "sdk/suggest.h"
#include "support/text.h"

namespace tailwater::expression {
namespace {

constexpr std::string_view kSubqueryWords[] = {"SELECT", "EXISTS", "WITH",  "VALUES",
                                               "FROM",   "WHERE",  "UNION", "JOIN"};
constexpr std::string_view kStatementWords[] = {
    "INSERT", "UPDATE",  "DELETE", "REPLACE", "TRUNCATE", "CREATE", "DROP",     "ALTER",
    "ATTACH", "DETACH",  "PRAGMA", "VACUUM",  "BEGIN",    "COMMIT", "ROLLBACK", "GRANT",
    "REVOKE", "REINDEX", "SET",    "CALL",    "EXECUTE",  "COPY",   "MERGE"};
constexpr std::string_view kAggregates[] = {"COUNT",      "SUM",       "AVG",         "TOTAL",
                                            "STRING_AGG", "ARRAY_AGG", "GROUP_CONCAT"};
// What cannot be a column's name without quotes.
constexpr std::string_view kOperatorWords[] = {
    "AND",     "OR",       "NOT",  "IS",   "IN",    "BETWEEN", "LIKE", "GLOB", "REGEXP",
    "ESCAPE",  "CASE",     "WHEN", "THEN", "ELSE",  "END",     "CAST", "AS",   "ISNULL",
    "NOTNULL", "DISTINCT", "ON",   "BY",   "GROUP", "ORDER",   "LIMIT"};

template <size_t N>
bool IsOneOf(std::string_view word, const std::string_view (&list)[N]) {
  return std::find(std::begin(list), std::end(list), word) != std::end(list);
}

std::string LowerCase(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  return out;
}

class Parser {
 public:
  Parser(std::vector<Token> tokens, std::vector<TextProblem>& problems)
      : tokens_(std::move(tokens)), problems_(problems) {}

  ExpressionPtr Run() {
    ExpressionPtr tree = Or();
    if (tree == nullptr) return nullptr;
    const Token& token = Peek();
    if (token.kind == TokenKind::kEnd) return tree;
    return Unexpected(token);
  }

 private:
  // Counts the recursion, so that no text can exhaust the stack.
  class Level {
   public:
    explicit Level(int& depth) : depth_(depth) { ++depth_; }
    ~Level() { --depth_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    int& depth_;
  };

  const Token& Peek(size_t ahead = 0) const {
    return tokens_[std::min(at_ + ahead, tokens_.size() - 1)];
  }
  const Token& Take() {
    const Token& token = Peek();
    if (at_ + 1 < tokens_.size()) ++at_;
    return token;
  }
  bool SkipWord(std::string_view word) {
    if (!Peek().IsWord(word)) return false;
    Take();
    return true;
  }
  bool SkipSymbol(std::string_view symbol) {
    if (!Peek().IsSymbol(symbol)) return false;
    Take();
    return true;
  }

  ExpressionPtr Fail(const Token& token, std::string message) {
    problems_.push_back({token.offset, std::move(message)});
    return nullptr;
  }
  static std::string Shown(const Token& token) {
    switch (token.kind) {
      case TokenKind::kEnd:
        return "the end";
      case TokenKind::kText:
        return "'" + token.text + "'";
      case TokenKind::kQuoted:
        return "\"" + token.text + "\"";
      case TokenKind::kBlob:
        return "x'" + token.text + "'";
      default:
        return "'" + token.text + "'";
    }
  }
  // What a word means that has no place here; nothing if it is only out of place.
  static std::optional<std::string> Advice(const Token& token) {
    if (token.IsSymbol(";")) return "one expression alone, without ';'";
    if (token.kind != TokenKind::kWord) return std::nullopt;
    const std::string& word = token.upper;
    if (IsOneOf(word, kSubqueryWords)) {
      return fmt::format("'{}': no subqueries; a condition sees one change and no table",
                         token.text);
    }
    if (IsOneOf(word, kStatementWords)) {
      return fmt::format("'{}': a condition is an expression and cannot run statements",
                         token.text);
    }
    if (word == "ILIKE") return "'ILIKE' is not known here; write lower(value) LIKE 'pattern'";
    if (word == "SIMILAR" || word == "RLIKE") {
      return fmt::format("'{}' is not known here; write value REGEXP 'pattern'", token.text);
    }
    if (word == "MATCH") return "'MATCH' is not known here; write LIKE, GLOB or REGEXP";
    if (word == "COLLATE") {
      return "'COLLATE' is not known here: texts compare byte by byte; write lower(value)";
    }
    if (word == "AT") return "'AT TIME ZONE' is not known here; write the literal with an offset";
    if (word == "OVER" || word == "FILTER") {
      return fmt::format("'{}': a condition sees one change; there are no windows", token.text);
    }
    return std::nullopt;
  }
  ExpressionPtr Unexpected(const Token& token) {
    if (const auto advice = Advice(token)) return Fail(token, *advice);
    if (token.kind == TokenKind::kEnd) return Fail(token, "the expression ends too early");
    return Fail(token, fmt::format("{} has no place here", Shown(token)));
  }
  bool Expect(std::string_view symbol, std::string_view after) {
    if (SkipSymbol(symbol)) return true;
    if (Advice(Peek())) {
      Unexpected(Peek());
    } else {
      Fail(Peek(), fmt::format("'{}' expected {}, not {}", symbol, after, Shown(Peek())));
    }
    return false;
  }

  ExpressionPtr Make(ExpressionKind kind, const Token& token, std::string text = {}) {
    auto out = std::make_unique<Expression>();
    out->kind = kind;
    out->offset = token.offset;
    out->size = token.size;
    out->text = std::move(text);
    return out;
  }
  ExpressionPtr Join(ExpressionPtr out, std::vector<ExpressionPtr> operands) {
    for (ExpressionPtr& operand : operands) {
      if (operand == nullptr) return nullptr;
      out->depth = std::max(out->depth, operand->depth + 1);
      out->operands.push_back(std::move(operand));
    }
    if (out->depth <= kMaxDepth) return out;
    problems_.push_back({out->offset, fmt::format("nested more than {} levels deep", kMaxDepth)});
    return nullptr;
  }
  template <class... Operands>
  ExpressionPtr Join(ExpressionPtr out, ExpressionPtr first, Operands... rest) {
    std::vector<ExpressionPtr> operands;
    operands.push_back(std::move(first));
    (operands.push_back(std::move(rest)), ...);
    return Join(std::move(out), std::move(operands));
  }

  ExpressionPtr Or() {
    const Level level(depth_);
    if (depth_ > kMaxDepth) {
      return Fail(Peek(), fmt::format("nested more than {} levels deep", kMaxDepth));
    }
    return Chain("OR", ExpressionKind::kOr, &Parser::And);
  }
  ExpressionPtr And() { return Chain("AND", ExpressionKind::kAnd, &Parser::Not); }

  ExpressionPtr Chain(std::string_view word, ExpressionKind kind, ExpressionPtr (Parser::*next)()) {
    ExpressionPtr first = (this->*next)();
    if (first == nullptr || !Peek().IsWord(word)) return first;
    ExpressionPtr out = Make(kind, Peek());
    std::vector<ExpressionPtr> operands;
    operands.push_back(std::move(first));
    while (SkipWord(word)) {
      operands.push_back((this->*next)());
      if (operands.back() == nullptr) return nullptr;
    }
    return Join(std::move(out), std::move(operands));
  }

  ExpressionPtr Not() {
    if (!Peek().IsWord("NOT")) return Equality();
    const Level level(depth_);
    if (depth_ > kMaxDepth) {
      return Fail(Peek(), fmt::format("nested more than {} levels deep", kMaxDepth));
    }
    ExpressionPtr out = Make(ExpressionKind::kNot, Take());
    return Join(std::move(out), Not());
  }

  ExpressionPtr Equality() {
    ExpressionPtr left = Relation();
    while (left != nullptr) {
      const Token& token = Peek();
      if (token.IsSymbol("=") || token.IsSymbol("<>")) {
        ExpressionPtr out = Make(ExpressionKind::kCompare, token, token.text);
        Take();
        left = Join(std::move(out), std::move(left), Relation());
      } else if (token.IsWord("IS")) {
        left = Is(std::move(left));
      } else if (token.IsWord("ISNULL") || token.IsWord("NOTNULL")) {
        ExpressionPtr out = Make(ExpressionKind::kIsNull, token);
        out->negated = token.IsWord("NOTNULL");
        Take();
        left = Join(std::move(out), std::move(left));
      } else if (token.IsWord("NOT") || token.IsWord("IN") || token.IsWord("BETWEEN") ||
                 token.IsWord("LIKE") || token.IsWord("GLOB") || token.IsWord("REGEXP")) {
        left = Membership(std::move(left));
      } else {
        return left;
      }
    }
    return nullptr;
  }

  // IS [NOT] NULL, IS [NOT] DISTINCT FROM x, IS [NOT] x.
  ExpressionPtr Is(ExpressionPtr left) {
    ExpressionPtr out = Make(ExpressionKind::kIs, Take());
    out->negated = SkipWord("NOT");
    if (SkipWord("DISTINCT")) {
      if (!SkipWord("FROM")) {
        return Fail(Peek(), fmt::format("FROM expected after IS DISTINCT, not {}", Shown(Peek())));
      }
      out->negated = !out->negated;
    } else if (Peek().IsWord("NULL")) {
      Take();
      out->kind = ExpressionKind::kIsNull;
      return Join(std::move(out), std::move(left));
    }
    return Join(std::move(out), std::move(left), Relation());
  }

  ExpressionPtr Membership(ExpressionPtr left) {
    const bool negated = SkipWord("NOT");
    if (negated && SkipWord("NULL")) {
      ExpressionPtr out = Make(ExpressionKind::kIsNull, tokens_[at_ - 2]);
      out->negated = true;
      return Join(std::move(out), std::move(left));
    }
    const Token& word = Peek();
    ExpressionPtr out = Make(ExpressionKind::kIn, word);
    out->negated = negated;
    if (word.IsWord("IN")) {
      Take();
      if (!Expect("(", "after IN")) return nullptr;
      std::vector<ExpressionPtr> operands;
      operands.push_back(std::move(left));
      do {
        if (Peek().IsSymbol(")") && operands.size() == 1) {
          return Fail(Peek(), "IN () holds nothing, so it never matches");
        }
        operands.push_back(Or());
        if (operands.back() == nullptr) return nullptr;
      } while (SkipSymbol(","));
      if (!Expect(")", "after the list of IN")) return nullptr;
      return Join(std::move(out), std::move(operands));
    }
    if (word.IsWord("BETWEEN")) {
      Take();
      out->kind = ExpressionKind::kBetween;
      ExpressionPtr low = Relation();
      if (low == nullptr) return nullptr;
      if (!SkipWord("AND")) {
        return Fail(Peek(), fmt::format("AND expected after BETWEEN x, not {}", Shown(Peek())));
      }
      return Join(std::move(out), std::move(left), std::move(low), Relation());
    }
    if (word.IsWord("LIKE")) {
      Take();
      out->kind = ExpressionKind::kLike;
      ExpressionPtr pattern = Relation();
      if (pattern == nullptr) return nullptr;
      if (!SkipWord("ESCAPE")) return Join(std::move(out), std::move(left), std::move(pattern));
      return Join(std::move(out), std::move(left), std::move(pattern), Relation());
    }
    if (word.IsWord("GLOB") || word.IsWord("REGEXP")) {
      out->kind = word.IsWord("GLOB") ? ExpressionKind::kGlob : ExpressionKind::kRegexp;
      Take();
      return Join(std::move(out), std::move(left), Relation());
    }
    if (Advice(word)) return Unexpected(word);
    return Fail(word, fmt::format("IN, BETWEEN, LIKE, GLOB or REGEXP expected after NOT, not {}",
                                  Shown(word)));
  }

  using Next = ExpressionPtr (Parser::*)();
  ExpressionPtr LeftToRight(std::initializer_list<std::string_view> symbols, ExpressionKind kind,
                            Next next) {
    ExpressionPtr left = (this->*next)();
    while (left != nullptr) {
      const Token& token = Peek();
      const bool found = std::any_of(symbols.begin(), symbols.end(), [&](std::string_view symbol) {
        return token.IsSymbol(symbol);
      });
      if (!found) return left;
      ExpressionPtr out = Make(kind, token, token.text);
      if (token.IsSymbol("||")) out->kind = ExpressionKind::kConcat;
      Take();
      left = Join(std::move(out), std::move(left), (this->*next)());
    }
    return nullptr;
  }
  ExpressionPtr Relation() {
    return LeftToRight({"<", "<=", ">", ">="}, ExpressionKind::kCompare, &Parser::Sum);
  }
  ExpressionPtr Sum() {
    return LeftToRight({"+", "-"}, ExpressionKind::kArithmetic, &Parser::Product);
  }
  ExpressionPtr Product() {
    return LeftToRight({"*", "/", "%"}, ExpressionKind::kArithmetic, &Parser::Concatenation);
  }
  ExpressionPtr Concatenation() {
    return LeftToRight({"||", "->", "->>"}, ExpressionKind::kArrow, &Parser::Sign);
  }

  ExpressionPtr Sign() {
    const Token& token = Peek();
    if (!token.IsSymbol("-") && !token.IsSymbol("+")) return Primary();
    const Level level(depth_);
    if (depth_ > kMaxDepth) {
      return Fail(token, fmt::format("nested more than {} levels deep", kMaxDepth));
    }
    Take();
    ExpressionPtr operand = Sign();
    if (operand == nullptr) return nullptr;
    if (operand->kind == ExpressionKind::kNumber) {
      operand->offset = token.offset;
      if (token.IsSymbol("+")) return operand;
      if (operand->text.starts_with('-')) {
        operand->text.erase(0, 1);
      } else {
        operand->text.insert(0, "-");
      }
      return operand;
    }
    // A plus leaves a value as it is, but only numbers have a sign: two minuses check that.
    ExpressionPtr out = Join(Make(ExpressionKind::kNegate, token), std::move(operand));
    if (out == nullptr || token.IsSymbol("-")) return out;
    return Join(Make(ExpressionKind::kNegate, token), std::move(out));
  }

  ExpressionPtr Primary() {
    const Token& token = Peek();
    switch (token.kind) {
      case TokenKind::kNumber:
        return Make(ExpressionKind::kNumber, Take(), token.text);
      case TokenKind::kText:
        return Make(ExpressionKind::kText, Take(), token.text);
      case TokenKind::kBlob:
        return Make(ExpressionKind::kBlob, Take(), token.text);
      case TokenKind::kQuoted:
        return DoubleQuoted();
      case TokenKind::kWord:
        return Word();
      case TokenKind::kSymbol:
        if (SkipSymbol("(")) {
          ExpressionPtr inner = Or();
          if (inner == nullptr) return nullptr;
          if (Peek().IsSymbol(",")) return Fail(Peek(), "a list can only stand after IN");
          if (!Expect(")", "to close the parenthesis")) return nullptr;
          return inner;
        }
        return Unexpected(token);
      case TokenKind::kEnd:
        return Unexpected(token);
    }
    return nullptr;
  }

  ExpressionPtr DoubleQuoted() {
    const Token& token = Take();
    problems_.push_back(
        {token.offset, fmt::format("\"{0}\" names a column in SQL, '{0}' is text: write '{0}', "
                                   "NEW.\"{0}\" or OLD.\"{0}\"",
                                   token.text)});
    return Make(ExpressionKind::kNull, token);
  }

  ExpressionPtr Word() {
    const Token& token = Peek();
    const Token& after = Peek(1);
    const std::string& word = token.upper;
    if (word == "NEW" || word == "OLD") return ColumnOf();
    if (word == "NULL") return Make(ExpressionKind::kNull, Take());
    if (word == "TRUE" || word == "FALSE") {
      return Make(ExpressionKind::kBool, Take(), word == "TRUE" ? "1" : "0");
    }
    if (word == "CASE") return Case();
    if (word == "CAST" && after.IsSymbol("(")) return Cast();
    const std::string lower = LowerCase(token.text);
    // replace(…) is a function, REPLACE INTO a statement.
    const bool call = after.IsSymbol("(");
    if (call && FindFunction(lower) != nullptr) return Call();
    if (word == "OP" && !call && !after.IsSymbol(".")) return Make(ExpressionKind::kOp, Take());
    if (DependsOnTheMoment(lower) && !after.IsSymbol(".")) {
      if (after.kind == TokenKind::kText) return TypedLiteral();
      return Fail(token, fmt::format("'{}' is another value at each moment, and a replay must give "
                                     "the same answer; compare with a column",
                                     token.text));
    }
    if (IsOpName(lower) && StandsForText(after)) {
      problems_.push_back(
          {token.offset, fmt::format("'{}' is text: write it in single quotes", token.text)});
      return Make(ExpressionKind::kText, Take(), lower);
    }
    if (call && IsOneOf(word, kAggregates)) {
      return Fail(token, fmt::format("'{}': a condition sees one change; there are no aggregates",
                                     token.text));
    }
    if (word == "EXTRACT" && call) {
      return Fail(token, "'EXTRACT' is not known here; write epoch(value) for its seconds");
    }
    if (Advice(token) || IsOneOf(word, kOperatorWords)) return Unexpected(token);
    if (after.kind == TokenKind::kText) return TypedLiteral();
    if (call) {
      problems_.push_back({token.offset, UnknownFunction(lower)});
      return Call();
    }
    return BareColumn();
  }

  static bool IsOpName(std::string_view lower) {
    const auto& names = OpNames();
    return std::find(names.begin(), names.end(), lower) != names.end();
  }
  // `op = update`, not `UPDATE orders …`.
  bool StandsForText(const Token& after) const {
    if (at_ == 0) return false;
    const Token& before = tokens_[at_ - 1];
    const bool compared = before.IsSymbol("=") || before.IsSymbol("<>") || before.IsSymbol(",") ||
                          before.IsSymbol("(") || before.IsWord("IS") || before.IsWord("NOT");
    return compared && (after.kind == TokenKind::kEnd || after.IsSymbol(")") ||
                        after.IsSymbol(",") || after.IsWord("AND") || after.IsWord("OR"));
  }

  ExpressionPtr TypedLiteral() {
    const Token& token = Peek();
    if (token.IsWord("INTERVAL")) {
      return Fail(token, "there are no intervals here; compare epoch(a) - epoch(b) with seconds");
    }
    return Fail(token, fmt::format("{} {}: write {} alone; it takes the type of the column that it "
                                   "is compared with",
                                   token.text, Shown(Peek(1)), Shown(Peek(1))));
  }

  ExpressionPtr BareColumn() {
    const Token& token = Take();
    if (Peek().IsSymbol(".")) {
      return Fail(token, fmt::format("'{}': only NEW. and OLD. can stand in front of a column",
                                     token.text));
    }
    problems_.push_back({token.offset, fmt::format("'{0}' is a bare column: write NEW.{0} or "
                                                   "OLD.{0} (or '{0}' if it is text)",
                                                   token.text)});
    return Make(ExpressionKind::kNull, token);
  }

  // NEW.name, OLD."Name".
  ExpressionPtr ColumnOf() {
    const Token& row = Take();
    if (!SkipSymbol(".")) {
      return Fail(row, fmt::format("'{0}' is a whole row: write {0}.column", row.text));
    }
    const Token& name = Peek();
    if (name.kind != TokenKind::kWord && name.kind != TokenKind::kQuoted) {
      return Fail(
          name, fmt::format("a column's name expected after '{}.', not {}", row.text, Shown(name)));
    }
    Take();
    ExpressionPtr out = Make(ExpressionKind::kColumn, row, name.text);
    out->size = name.offset + name.size - row.offset;
    out->before = row.IsWord("OLD");
    return out;
  }

  ExpressionPtr Case() {
    ExpressionPtr out = Make(ExpressionKind::kCase, Take());
    std::vector<ExpressionPtr> operands;
    const auto part = [&] {
      operands.push_back(Or());
      return operands.back() != nullptr;
    };
    out->has_base = !Peek().IsWord("WHEN");
    if (out->has_base && !part()) return nullptr;
    if (!Peek().IsWord("WHEN")) return Missing("WHEN");
    while (SkipWord("WHEN")) {
      if (!part()) return nullptr;
      if (!SkipWord("THEN")) return Missing("THEN");
      if (!part()) return nullptr;
    }
    out->has_else = SkipWord("ELSE");
    if (out->has_else && !part()) return nullptr;
    if (!SkipWord("END")) return Missing("END");
    return Join(std::move(out), std::move(operands));
  }
  ExpressionPtr Missing(std::string_view word) {
    if (Advice(Peek())) return Unexpected(Peek());
    return Fail(Peek(), fmt::format("{} expected in CASE, not {}", word, Shown(Peek())));
  }

  ExpressionPtr Cast() {
    ExpressionPtr out = Make(ExpressionKind::kCast, Take());
    Take();
    ExpressionPtr operand = Or();
    if (operand == nullptr) return nullptr;
    if (!SkipWord("AS")) {
      return Fail(Peek(), fmt::format("AS expected in CAST, not {}", Shown(Peek())));
    }
    const Token& type = Take();
    const std::string& name = type.upper;
    if (name == "INTEGER" || name == "INT" || name == "BIGINT" || name == "SMALLINT" ||
        name == "INT4" || name == "INT8") {
      out->text = "integer";
    } else if (name == "REAL" || name == "DOUBLE" || name == "FLOAT" || name == "FLOAT8") {
      out->text = "real";
      SkipWord("PRECISION");
    } else if (name == "TEXT" || name == "VARCHAR") {
      out->text = "text";
    } else if (name == "NUMERIC" || name == "DECIMAL") {
      out->text = "numeric";
    } else {
      return Fail(type, fmt::format("CAST knows the types integer, real, text and numeric, not {}",
                                    Shown(type)));
    }
    if (Peek().IsSymbol("(")) {
      return Fail(Peek(), "CAST takes no length or precision; write the type alone");
    }
    if (!Expect(")", "to close CAST")) return nullptr;
    return Join(std::move(out), std::move(operand));
  }

  ExpressionPtr Call() {
    const Token& token = Take();
    Take();
    const std::string name = LowerCase(token.text);
    const FunctionSpec* spec = FindFunction(name);
    ExpressionPtr out = Make(ExpressionKind::kCall, token, name);
    if (name == "changed") return Changed(std::move(out));
    std::vector<ExpressionPtr> operands;
    if (!Peek().IsSymbol(")")) {
      do {
        if (Peek().IsSymbol("*") || Peek().IsWord("DISTINCT")) {
          return Fail(Peek(), "a condition sees one change; there are no aggregates");
        }
        operands.push_back(Or());
        if (operands.back() == nullptr) return nullptr;
      } while (SkipSymbol(","));
    }
    if (!Expect(")", fmt::format("after the arguments of {}", name))) return nullptr;
    const auto count = static_cast<int>(operands.size());
    if (spec != nullptr && (count < spec->least_arguments || count > spec->most_arguments)) {
      problems_.push_back({token.offset, WrongCount(*spec, count)});
      return Make(ExpressionKind::kNull, token);
    }
    return Join(std::move(out), std::move(operands));
  }
  static std::string WrongCount(const FunctionSpec& spec, int count) {
    const std::string want =
        spec.least_arguments == spec.most_arguments ? fmt::format("{}", spec.least_arguments)
        : spec.most_arguments == kMostArguments
            ? fmt::format("{} or more", spec.least_arguments)
            : fmt::format("{} to {}", spec.least_arguments, spec.most_arguments);
    return fmt::format("{} takes {} argument{}, not {}{}", spec.name, want, want == "1" ? "" : "s",
                       count,
                       spec.function == Function::kMax || spec.function == Function::kMin
                           ? "; a condition sees one change, there are no aggregates"
                           : "");
  }

  // changed(plan), changed(NEW.plan), changed("Mixed Case").
  ExpressionPtr Changed(ExpressionPtr out) {
    const Token& token = Peek();
    ExpressionPtr column;
    if (token.IsWord("NEW") || token.IsWord("OLD")) {
      column = ColumnOf();
      if (column == nullptr) return nullptr;
    } else if (token.kind == TokenKind::kWord || token.kind == TokenKind::kQuoted) {
      column = Make(ExpressionKind::kColumn, Take(), token.text);
    } else {
      return Fail(token, fmt::format("changed takes a column's name, as in changed(plan), not {}",
                                     Shown(token)));
    }
    if (!Expect(")", "after the column of changed")) return nullptr;
    return Join(std::move(out), std::move(column));
  }

  std::vector<Token> tokens_;
  std::vector<TextProblem>& problems_;
  size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace

const std::vector<std::string_view>& OpNames() {
  static const std::vector<std::string_view> kNames = {"insert",   "update", "delete",
                                                       "truncate", "read",   "message"};
  return kNames;
}

ExpressionPtr ParseExpression(std::string_view text, std::vector<TextProblem>& problems) {
  if (text.size() > kMaxTextBytes) {
    problems.push_back({0, fmt::format("an expression can have {} bytes, and this one has {}",
                                       kMaxTextBytes, text.size())});
    return nullptr;
  }
  TextProblem problem;
  std::optional<std::vector<Token>> tokens = Tokenize(text, problem);
  if (!tokens) {
    problems.push_back(std::move(problem));
    return nullptr;
  }
  if (tokens->size() == 1) {
    problems.push_back({0, "an expression is missing, for example op = 'update'"});
    return nullptr;
  }
  return Parser(*std::move(tokens), problems).Run();
}

}  // namespace tailwater::expression
