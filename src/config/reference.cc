#include "config/reference.h"

#include "config/load_config.h"
#include "config/sink_options.h"
#include "config/source_options.h"
#include "support/text.h"

namespace tailwater {
namespace {

constexpr size_t kColumns = 100;

class Writer {
 public:
  explicit Writer(size_t columns = kColumns) : columns_(columns) {}

  void Line(size_t indent, std::string_view text) {
    if (!text.empty()) out_.append(indent, ' ').append(text);
    out_ += '\n';
  }

  // A comment, broken between words.
  void Comment(size_t indent, std::string_view text) {
    const std::string prefix = std::string(indent, ' ') + "#";
    std::string line = prefix;
    while (!text.empty()) {
      const size_t end = text.find(' ');
      const std::string_view word = text.substr(0, end);
      if (line.size() > prefix.size() && line.size() + 1 + word.size() > columns_) {
        out_ += line + "\n";
        line = prefix;
      }
      line.append(" ").append(word);
      text = end == text.npos ? std::string_view() : text.substr(end + 1);
    }
    out_ += line + "\n";
  }

  void Options(size_t indent, const OptionTable& table) {
    for (const OptionSpec& option : table) Option(indent, option);
  }

  // The options of a table with something in front of each line.
  void PrefixedOptions(size_t indent, const std::string& prefix, const OptionTable& table,
                       size_t inner_indent = 0) {
    Writer inner(columns_ - indent - prefix.size());
    inner.Options(inner_indent, table);
    const std::string text = inner.Take();
    for (size_t at = 0; at < text.size();) {
      const size_t end = text.find('\n', at);
      Line(indent, prefix + text.substr(at, end - at));
      at = end + 1;
    }
  }

  std::string Take() { return std::move(out_); }

 private:
  void Option(size_t indent, const OptionSpec& option) {
    if (!option.options.empty()) {
      Comment(indent, option.help);
      Line(indent, (option.required ? "" : "# ") + option.name + ":");
      PrefixedOptions(indent, option.required ? "" : "# ", option.options, 2);
      return;
    }
    std::string facts = option.type;
    if (option.required) facts += ", required";
    Comment(indent, fmt::format("{} ({})", option.help, facts));
    if (option.required) {
      Line(indent, option.name + ": " + Example(option));
    } else if (option.secret) {
      Line(indent, "# " + option.name + ": " + Example(option));
    } else {
      Line(indent, "# " + option.name + ":" +
                       (option.default_text.empty() ? "" : " " + option.default_text));
    }
  }

  static std::string Example(const OptionSpec& option) {
    if (option.secret) return "${env:NAME}";
    return "<" + option.name + ">";
  }

  size_t columns_;
  std::string out_;
};

}  // namespace

std::string Reference(const Registry& registry) {
  Writer out;
  out.Comment(
      0,
      "Every option of Tailwater. Generated: run 'tailwater validate --reference' instead of "
      "editing it.");
  out.Line(0, "#");
  out.Comment(
      0,
      "What must be written stands bare, with <…> for what is yours. What may be left out is "
      "commented out and shows its default; nothing after the colon means: none. Durations "
      "are written 250ms, 30s, 5m, 2h or 7d; sizes 512, 64KiB, 100MB or 1GiB. A text may "
      "hold ${env:NAME}; a secret also ${file:/path}, and both are looked up again at every "
      "connect.");
  out.Line(0, "");
  out.Line(0, "version: 1");
  out.Comment(0,
              "The name is part of the slot's, the publication's and the topic's names and cannot "
              "change later. Another file with the same name adds sinks.");
  out.Line(0, "pipeline: shop");
  out.Line(0, "");
  out.Comment(0,
              "Names of sources and sinks: lower-case letters, digits and single underscores, at "
              "most 24 characters. They cannot change later.");
  out.Line(0, "sources:");
  for (const auto& [name, type] : registry.sources()) {
    out.Comment(2, type.summary);
    out.Line(2, fmt::format("a_{}:", name));
    out.Line(4, "type: " + name);
    out.Comment(4,
                "Tables to capture; every table if left out. An ordered list of names, patterns (* "
                "any characters, ? one) or {match, exclude}; the last entry that matches decides.");
    out.Line(4,
             "# tables: [public.orders, {match: public.user_*, exclude: [public.user_secrets]}]");
    out.Options(4, SourceOptions());
    out.Options(4, type.options);
  }
  out.Line(0, "");
  out.Comment(0, "Where the changes are kept between the source and the sinks.");
  out.Line(0, "topic:");
  out.Options(2, LocalTopicOptionTable());
  out.Line(0, "");
  out.Comment(0, "The same in a Kafka cluster:");
  out.Line(0, "# topic:");
  out.PrefixedOptions(0, "#   ", KafkaTopicOptionTable());
  out.Line(0, "");
  out.Line(0, "sinks:");
  for (const auto& [name, type] : registry.sinks()) {
    out.Comment(2, type.summary);
    out.Line(2, fmt::format("a_{}:", name));
    out.Line(4, "type: " + name);
    out.Comment(4,
                "Tables to deliver; every captured table if left out. As with sources; a source's "
                "name may stand in front, shop:public.orders.");
    out.Line(4, "# tables: [public.orders]");
    out.Comment(4, "An entry of tables that begins with 'match' takes these options too:");
    out.Line(4, "# tables:");
    out.Line(4, "#   - match: public.orders");
    out.PrefixedOptions(4, "#     ", TableEntryOptions());
    out.PrefixedOptions(4, "#     ", type.table_options);
    out.Options(4, SinkOptions(type.traits));
    out.Options(4, type.options);
  }
  out.Line(0, "");
  out.Comment(0,
              "Settings of the process stand in a file of their own, tailwater.yaml, beside the "
              "pipeline files:");
  out.Line(0, "#");
  out.Line(0, "# version: 1");
  out.PrefixedOptions(0, "# ", DaemonOptions());
  return out.Take();
}

}  // namespace tailwater
