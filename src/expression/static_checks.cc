#include "expression/static_checks.h"

#include <re2/re2.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "expression/decimal.h"
#include "expression/glob.h"
#include "expression/parser.h"
#include "sdk/suggest.h"
#include "support/sqlite.h"
#include "support/text.h"

namespace tailwater::expression {
namespace {

// A pattern whose program needs more is refused at load; matching is linear in the text.
constexpr int64_t kMaxRegexpBytes = 8 << 20;

size_t CharacterSize(std::string_view text) {
  size_t size = 1;
  while (size < text.size() && (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80) ++size;
  return size;
}

class Checker {
 public:
  explicit Checker(std::vector<TextProblem>& problems) : problems_(problems) {}

  void Check(Expression& node) {
    CheckOp(node);
    switch (node.kind) {
      case ExpressionKind::kNumber:
        Number(node);
        break;
      case ExpressionKind::kLike:
        LikePattern(*node.operands[1],
                    node.operands.size() == 3 ? node.operands[2].get() : nullptr);
        break;
      case ExpressionKind::kGlob:
        GlobPattern(node, *node.operands[1]);
        break;
      case ExpressionKind::kRegexp:
        RegexpPattern(node, *node.operands[1]);
        break;
      case ExpressionKind::kArrow:
        ArrowPath(node, *node.operands[1]);
        break;
      case ExpressionKind::kCall:
        Call(node);
        break;
      default:
        break;
    }
    for (const ExpressionPtr& operand : node.operands) Check(*operand);
  }

 private:
  void Add(const Expression& node, std::string message) {
    problems_.push_back({node.offset, std::move(message)});
  }

  // `op` stands beside texts that name operations, and nowhere else.
  void CheckOp(const Expression& node) {
    const auto is_op = [](const ExpressionPtr& operand) {
      return operand->kind == ExpressionKind::kOp;
    };
    if (std::none_of(node.operands.begin(), node.operands.end(), is_op)) return;
    const bool equality =
        (node.kind == ExpressionKind::kCompare && (node.text == "=" || node.text == "<>")) ||
        node.kind == ExpressionKind::kIs || node.kind == ExpressionKind::kIn;
    const bool base =
        node.kind == ExpressionKind::kCase && node.has_base && is_op(node.operands[0]);
    for (size_t i = 0; i < node.operands.size(); ++i) {
      const Expression& operand = *node.operands[i];
      const bool result =
          base && i != 0 && (i % 2 == 0 || (node.has_else && i + 1 == node.operands.size()));
      if (operand.kind == ExpressionKind::kOp) {
        if ((equality && (node.kind != ExpressionKind::kIn || i == 0)) || (base && i == 0))
          continue;
        Add(operand, "op works with =, <>, IN and IS only");
      } else if (!equality && !base) {
        continue;
      } else if (!result) {
        OpValue(operand);
      }
    }
  }
  void OpValue(const Expression& value) {
    const auto& names = OpNames();
    std::string list;
    for (const std::string_view name : names) {
      if (!list.empty()) list += ", ";
      list += name;
    }
    if (value.kind != ExpressionKind::kText) {
      Add(value, fmt::format("op compares with a text in single quotes, one of {}", list));
    } else if (std::find(names.begin(), names.end(), value.text) == names.end()) {
      std::string lower = value.text;
      for (char& c : lower) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
      }
      Add(value, fmt::format("op is never '{}'{}; it is one of {}", value.text,
                             DidYouMean(lower, names), list));
    }
  }

  void Number(const Expression& node) {
    const bool finite = std::isfinite(std::strtod(node.text.c_str(), nullptr));
    if (!finite || !CanonicalDecimal(node.text)) {
      Add(node, fmt::format("the number {} is out of range", node.text));
    }
  }

  void LikePattern(const Expression& pattern, const Expression* escape) {
    std::string character;
    if (escape != nullptr) {
      if (escape->kind != ExpressionKind::kText || escape->text.empty() ||
          CharacterSize(escape->text) != escape->text.size()) {
        return Add(*escape, "ESCAPE takes one character in single quotes");
      }
      character = escape->text;
    }
    if (pattern.kind != ExpressionKind::kText) return;
    if (escape == nullptr) {
      if (pattern.text.find('\\') == std::string::npos) return;
      return Add(pattern, fmt::format("'{}' holds a backslash: say what it is, ESCAPE '\\', or "
                                      "another character after ESCAPE",
                                      pattern.text));
    }
    for (size_t at = 0; at < pattern.text.size();) {
      if (pattern.text.compare(at, character.size(), character) != 0) {
        ++at;
        continue;
      }
      at += character.size();
      if (at == pattern.text.size()) {
        return Add(pattern,
                   fmt::format("the pattern '{}' ends with its ESCAPE character", pattern.text));
      }
      at += CharacterSize(std::string_view(pattern.text).substr(at));
    }
  }

  void GlobPattern(Expression& node, const Expression& pattern) {
    if (pattern.kind != ExpressionKind::kText) {
      return Add(pattern, "the pattern of GLOB must be a text in single quotes");
    }
    const std::optional<std::string> regexp = GlobToRegexp(pattern.text);
    if (!regexp || Compile(*regexp, node)) {
      Add(pattern, fmt::format("'{}' is no pattern of GLOB: look at its [ ]", pattern.text));
    }
  }

  void RegexpPattern(Expression& node, const Expression& pattern) {
    if (pattern.kind != ExpressionKind::kText) {
      return Add(pattern, "the pattern of REGEXP must be a text in single quotes");
    }
    if (const auto problem = Compile(pattern.text, node)) {
      Add(pattern, fmt::format("'{}' is no regular expression: {}", pattern.text, *problem));
    }
  }

  // What is wrong with the pattern, or nothing.
  static std::optional<std::string> Compile(const std::string& pattern, Expression& node) {
    RE2::Options options;
    options.set_log_errors(false);
    options.set_max_mem(kMaxRegexpBytes);
    auto compiled = std::make_shared<const RE2>(pattern, options);
    if (!compiled->ok()) return compiled->error();
    node.pattern = std::move(compiled);
    return std::nullopt;
  }

  void ArrowPath(const Expression& node, const Expression& path) {
    if (path.kind == ExpressionKind::kText) {
      if (path.text.starts_with('$')) {
        JsonPath(path);
      } else if (path.text.find_first_of("\"\\") != std::string::npos) {
        Add(path,
            fmt::format("'{}': {} knows no key with a quote or a backslash", path.text, node.text));
      }
      return;
    }
    if (path.kind == ExpressionKind::kNumber &&
        path.text.find_first_of("-.eE") == std::string::npos) {
      return;
    }
    Add(path,
        fmt::format("{} takes a key in single quotes or the number of an element", node.text));
  }

  // SQLite itself says whether it understands the path.
  void JsonPath(const Expression& path) {
    const auto ask = [&]() -> Status {
      TW_ASSIGN_OR_RETURN(sqlite::Database database, sqlite::Database::OpenInMemory());
      TW_ASSIGN_OR_RETURN(sqlite::Statement statement,
                          database.Prepare("SELECT json_extract('null', ?)", false));
      return statement.BindText(1, path.text).Run();
    };
    if (path.kind != ExpressionKind::kText) {
      return Add(path, "a JSON path is a text in single quotes, such as '$.plan'");
    }
    if (!path.text.starts_with('$')) {
      return Add(path, fmt::format("a JSON path begins with $: write '$.{}'", path.text));
    }
    if (!ask()) {
      Add(path, fmt::format("'{}' is no JSON path; write them as '$.plan.items[0]'", path.text));
    }
  }

  void Call(Expression& node) {
    if (node.text == "regexp") {
      RegexpPattern(node, *node.operands[0]);
    } else if (node.text == "glob") {
      GlobPattern(node, *node.operands[0]);
    } else if (node.text == "like") {
      LikePattern(*node.operands[0], node.operands.size() == 3 ? node.operands[2].get() : nullptr);
    } else if (node.text.starts_with("json_") && node.operands.size() == 2) {
      JsonPath(*node.operands[1]);
    }
  }

  std::vector<TextProblem>& problems_;
};

}  // namespace

void CheckStatically(Expression& tree, std::vector<TextProblem>& problems) {
  if (tree.kind == ExpressionKind::kOp) {
    problems.push_back({tree.offset, "op alone is no condition: write op = 'update'"});
  }
  Checker(problems).Check(tree);
}

}  // namespace tailwater::expression
