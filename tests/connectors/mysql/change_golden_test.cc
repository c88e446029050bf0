// Captured packets of real servers in, what is handed on out: tests/golden/mysql/README.md.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "connectors/mysql/golden_files.h"
#include "connectors/mysql/recorded_changes.h"
#include "mysql/change_decoder.h"
#include "mysql/log_events.h"
#include "support/matchers.h"
#include "support/temporary_folder.h"

namespace tailwater::mysql {
namespace {

LogPosition::Form FormOf(const std::string& name) {
  if (name.starts_with("by_file") || name.starts_with("gtid_off")) return LogPosition::Form::kFile;
  return IsOfMariadb(name) ? LogPosition::Form::kMariadbGtid : LogPosition::Form::kMysqlGtid;
}

LogPosition Beginning(LogPosition::Form form) {
  switch (form) {
    case LogPosition::Form::kMysqlGtid:
      return LogPosition(MysqlGtidSet());
    case LogPosition::Form::kMariadbGtid:
      return LogPosition(MariadbGtidState());
    case LogPosition::Form::kFile:
      break;
  }
  return LogPosition(FilePosition());
}

// What a TRUNCATE is shown with before a row of its table was met.
Result<SchemaPtr> Describe(const TableName& table) {
  return TableSchema::Make(table, {{.name = "id", .type = ValueType::kInt64}});
}

class ChangeGolden : public testing::TestWithParam<std::string> {
 protected:
  ChangeDecoder::Options Options(size_t spool_above_bytes = 8 << 20) const {
    return {.scratch_dir = folder_.path(),
            .spool_above_bytes = spool_above_bytes,
            .describe_table = Describe};
  }

  // False: it was refused; the last line says why.
  static bool Run(
      ChangeDecoder& decoder, const std::vector<std::string>& packets, RecordedChanges& out,
      const std::function<void()>& between = [] {}) {
    for (const std::string& packet : packets) {
      if (const Status status = decoder.Decode(packet, out); !status) {
        out.lines.push_back("refused: " + std::string(status.error().code));
        return false;
      }
      if (decoder.between_groups()) between();
    }
    return true;
  }

  const std::string name_ = GetParam();
  const LogPosition::Form form_ = FormOf(name_);
  const std::vector<std::string> packets_ = GoldenPackets(name_);
  TemporaryFolder folder_;
  RecordedCatalog catalog_{name_};
};

TEST_P(ChangeGolden, HandsOnWhatTheServerDid) {
  ChangeDecoder decoder(Options(), catalog_);
  decoder.Reset(Beginning(form_));
  RecordedChanges out;
  Run(decoder, packets_, out);
  std::string text;
  for (const std::string& line : out.lines) text += line + "\n";
  const auto path = kGoldenFolder / (name_ + ".changes");
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "the case is about something else";
  if (std::getenv("TAILWATER_UPDATE_GOLDEN") != nullptr) {
    std::ofstream(path, std::ios::binary) << text;
  }
  EXPECT_EQ(text, ReadFile(path)) << name_;
}

// What a server sends that is asked to go on behind `from`. By file it begins there; MySQL's leaves
// out what the set has, and here all of it comes again; MariaDB's begins each domain behind its
// last.
std::vector<std::string> SentAgain(const std::vector<std::string>& packets,
                                   const LogPosition& from) {
  if (from.form() != LogPosition::Form::kMariadbGtid) return packets;
  std::vector<std::string> sent;
  EventReader reader;
  reader.Reset(std::nullopt);
  std::map<uint32_t, MariadbGtid> waits_for = from.mariadb().domains();
  bool skips = false;
  for (const std::string& packet : packets) {
    const auto event = reader.Read(packet);
    if (event && event->type == EventType::kMariadbGtid) {
      const MariadbGtid gtid = *ParseMariadbGtid(*event)->mariadb;
      const auto last = waits_for.find(gtid.domain);
      skips = last != waits_for.end();
      if (skips && last->second == gtid) waits_for.erase(last);
    }
    const bool of_file = event && (event->type == EventType::kRotate ||
                                   event->type == EventType::kFormatDescription);
    if (!skips || of_file) sent.push_back(packet);
  }
  return sent;
}

// From every place between groups on, whatever the server sends again, the rest follows and nothing
// twice.
TEST_P(ChangeGolden, GoesOnFromEveryPosition) {
  struct Stop {
    std::string position;
    size_t lines;
  };
  std::vector<Stop> stops;
  RecordedChanges all;
  ChangeDecoder decoder(Options(), catalog_);
  decoder.Reset(Beginning(form_));
  Run(decoder, packets_, all, [&] {
    if (stops.empty() ? !all.lines.empty() : stops.back().lines != all.lines.size()) {
      stops.push_back({decoder.position().ToString(), all.lines.size()});
    }
  });
  const auto is_change = [](const std::string& line) { return !line.starts_with("passed "); };
  for (const Stop& stop : stops) {
    const LogPosition position = *LogPosition::Parse(form_, stop.position);
    RecordedChanges rest;
    ChangeDecoder again(Options(), catalog_);
    again.Reset(position);
    Run(again, SentAgain(packets_, position.ReadFrom()), rest);
    std::vector<std::string> expected, got;
    std::copy_if(all.lines.begin() + static_cast<ptrdiff_t>(stop.lines), all.lines.end(),
                 std::back_inserter(expected), is_change);
    std::copy_if(rest.lines.begin(), rest.lines.end(), std::back_inserter(got), is_change);
    EXPECT_EQ(got, expected) << name_ << " from " << stop.position;
  }
}

// Nothing depends on where what may be undone is kept.
TEST_P(ChangeGolden, HandsOnTheSameFromDisk) {
  RecordedChanges in_memory, on_disk;
  for (const bool small : {false, true}) {
    ChangeDecoder decoder(
        {.scratch_dir = folder_.path(), .spool_above_bytes = small ? size_t{0} : size_t{8} << 20},
        catalog_);
    decoder.Reset(Beginning(form_));
    Run(decoder, packets_, small ? on_disk : in_memory);
  }
  EXPECT_EQ(on_disk.lines, in_memory.lines);
}

// Damaged input is refused or read as something else; it never ends the process.
TEST_P(ChangeGolden, SurvivesMissingPackets) {
  for (size_t missing = 0; missing < packets_.size(); ++missing) {
    std::vector<std::string> packets = packets_;
    packets.erase(packets.begin() + static_cast<ptrdiff_t>(missing));
    ChangeDecoder decoder(Options(), catalog_);
    decoder.Reset(Beginning(form_));
    RecordedChanges out;
    Run(decoder, packets, out);
  }
}

INSTANTIATE_TEST_SUITE_P(Mysql, ChangeGolden, testing::ValuesIn(GoldenCases()),
                         [](const testing::TestParamInfo<std::string>& info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '.', '_');
                           return name;
                         });

}  // namespace
}  // namespace tailwater::mysql
