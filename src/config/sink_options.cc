#include "config/sink_options.h"

#include <utility>

#include "config/options.h"
#include "support/text.h"

namespace tailwater {
namespace {

using std::chrono::milliseconds;

constexpr int64_t kMostDeadLetters = 1'000'000;
constexpr int64_t kMostParked = 10'000'000;
constexpr milliseconds kShortestLaneWait{100};
constexpr milliseconds kLongestLaneWait = std::chrono::hours(24);

// As written; DeliveryRules counts without a sign.
struct Written {
  StartSpec start;
  bool snapshot = true;
  bool replay = true;
  int64_t halt_after = static_cast<int64_t>(DeliveryRules().halt_after);
  milliseconds max_lane_wait = DeliveryRules().max_lane_wait;
  int64_t park_limit = static_cast<int64_t>(DeliveryRules().park_limit);
  SchemaChanges schema_changes = SchemaChanges::kApply;
};

struct WrittenEntry {
  std::shared_ptr<const Condition> when;
  OnMissing on_missing_before = OnMissing::kHalt;
};

// `${env:NAME}` and bad values are the field's own; what it takes must lie between the bounds.
template <class Number>
OptionSpec Bounded(OptionSpec spec, Number Written::*member, Number least, Number most) {
  spec.parse = [parse = std::move(spec.parse), member, least, most](
                   const ConfigNode& node, void* config, Problems& problems) {
    const size_t before = problems.list().size();
    parse(node, config, problems);
    const Number value = static_cast<Written*>(config)->*member;
    if (problems.list().size() != before || (value >= least && value <= most)) return;
    problems.Add(node.location, fmt::format("{}: must be from {} to {}", node.path,
                                            ConfigText(least), ConfigText(most)));
  };
  return spec;
}

}  // namespace

OptionTable SinkOptions(const SinkTraits& traits) {
  using W = Written;
  OptionSpec start;
  start.name = "start";
  start.help =
      "Where a new sink begins in the topic: snapshot (with a copy of the tables, made for this "
      "sink alone if the topic no longer holds everything), beginning, end, {time: "
      "2026-11-21T09:30:00Z} or {offset: 1234}. Decided once, when it first runs.";
  start.type = "snapshot | beginning | end | map";
  start.default_text = traits.default_start == StartAt::kEnd ? "end" : "snapshot";
  start.parse = [](const ConfigNode& node, void* config, Problems& problems) {
    ParseStart(node, static_cast<Written*>(config)->start, problems);
  };
  OptionTable table = {
      std::move(start),
      Field("snapshot", &W::snapshot,
            "Whether rows that a snapshot copies are delivered, and not only the changes of the "
            "log."),
      Field("replay", &W::replay,
            "Whether changes from before a rewind, which the sink has had already, are delivered "
            "again."),
      Bounded(Field("halt_after", &W::halt_after,
                    "With so many refused changes stored as dead letters the sink waits in front "
                    "of the next refused one, until some are replayed or dropped. 0: it waits in "
                    "front of the first."),
              &W::halt_after, int64_t{0}, kMostDeadLetters),
      Bounded(Field("max_lane_wait", &W::max_lane_wait,
                    "A row whose change fails for longer, while the target takes those of other "
                    "rows, is parked: its changes are stored, tried again by themselves in their "
                    "order, and the others go on."),
              &W::max_lane_wait, kShortestLaneWait, kLongestLaneWait),
      Bounded(Field("park_limit", &W::park_limit,
                    "How many changes may be parked. Beyond it the sink waits for the rows that "
                    "fail. 0: nothing is parked."),
              &W::park_limit, int64_t{0}, kMostParked),
      Choice("schema_changes", &W::schema_changes,
             "What a change of a table's columns does to the target. apply: additive ones are made "
             "there too, a breaking one stops this table and no other. ignore: columns that the "
             "target lacks are left out. halt: any change stops this table until it is made by "
             "hand.",
             {{"apply", SchemaChanges::kApply},
              {"ignore", SchemaChanges::kIgnore},
              {"halt", SchemaChanges::kHalt}}),
  };
  for (OptionSpec& option : table) {
    if (option.name == "snapshot" || option.name == "replay")
      option.default_text = ConfigText(!traits.trigger);
  }
  return table;
}

const OptionTable& TableEntryOptions() {
  static const OptionTable kOptions = [] {
    OptionSpec when;
    when.name = "when";
    when.help =
        "Only changes for which this is true are delivered. SQL over NEW, OLD and op, as in a "
        "trigger: op = 'update' AND NEW.plan = 'free' AND OLD.plan <> 'free'.";
    when.type = "expression";
    when.parse = [](const ConfigNode& node, void* config, Problems& problems) {
      static_cast<WrittenEntry*>(config)->when = Condition::Parse(node, problems);
    };
    return OptionTable{
        std::move(when),
        Choice("on_missing_before", &WrittenEntry::on_missing_before,
               "What to do with a change without a column that `when` reads, because the log does "
               "not carry it: halt lets the sink wait in front of it, skip leaves it out.",
               {{"halt", OnMissing::kHalt}, {"skip", OnMissing::kSkip}}),
    };
  }();
  return kOptions;
}

DeliveryRules ParseDeliveryRules(const ConfigNode& section, TableSelection tables,
                                 const SinkTraits& traits, Problems& problems) {
  Written written;
  written.start.kind =
      traits.default_start == StartAt::kEnd ? StartSpec::Kind::kEnd : StartSpec::Kind::kSnapshot;
  written.snapshot = written.replay = !traits.trigger;
  for (const OptionSpec& option : SinkOptions(traits)) {
    if (const ConfigNode* node = section.Find(option.name)) option.parse(*node, &written, problems);
  }
  DeliveryRules rules;
  rules.start = written.start;
  rules.snapshot = written.snapshot;
  rules.replay = written.replay;
  rules.keeps_order_behind_dead = traits.trigger;
  rules.one_writer = traits.one_writer;
  // An option of the sink's own, which reports what is wrong with it.
  if (const ConfigNode* node = section.Find("transactional")) {
    Problems reported;
    ParseScalar(*node, rules.whole_transactions, reported);
  }
  rules.halt_after = static_cast<uint64_t>(written.halt_after);
  rules.max_lane_wait = written.max_lane_wait;
  rules.park_limit = static_cast<uint64_t>(written.park_limit);
  rules.schema_changes = written.schema_changes;

  bool any = false;
  for (const TableEntry& entry : tables.entries()) {
    WrittenEntry condition;
    if (entry.options.kind == ConfigNode::Kind::kMap) {
      for (const OptionSpec& option : TableEntryOptions()) {
        if (const ConfigNode* node = entry.options.Find(option.name))
          option.parse(*node, &condition, problems);
      }
      const ConfigNode* on_missing = entry.options.Find("on_missing_before");
      if (on_missing != nullptr && entry.options.Find("when") == nullptr) {
        problems.Add(on_missing->location,
                     on_missing->path +
                         ": says what to do for a 'when', but there is none; add it, or remove "
                         "this line");
      }
    }
    any = any || condition.when != nullptr;
    rules.conditions.push_back({std::move(condition.when), condition.on_missing_before});
  }
  if (!any) rules.conditions.clear();
  rules.tables = std::move(tables);
  return rules;
}

}  // namespace tailwater
