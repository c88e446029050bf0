#include "tailwater/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "support/matchers.h"

namespace tailwater {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

ConfigNode Scalar(const std::string& text) {
  ConfigNode node;
  node.kind = ConfigNode::Kind::kScalar;
  node.scalar = text;
  node.path = "it";
  return node;
}

template <class T>
std::string Parsed(const std::string& text) {
  T value{};
  Problems problems;
  ParseScalar(Scalar(text), value, problems);
  return problems.empty() ? ConfigText(value) : problems.list()[0].message;
}

TEST(ConfigTest, DurationsNeedAUnit) {
  EXPECT_EQ(Parsed<std::chrono::milliseconds>("250ms"), "250ms");
  EXPECT_EQ(Parsed<std::chrono::milliseconds>("90s"), "90s");
  EXPECT_EQ(Parsed<std::chrono::seconds>("7d"), "7d");
  EXPECT_EQ(Parsed<std::chrono::seconds>("30"), "it: '30' needs a unit, for example 30s");
  EXPECT_EQ(Parsed<std::chrono::seconds>("250ms"),
            "it: '250ms' must be whole seconds, for example 1s");
  EXPECT_EQ(Parsed<std::chrono::seconds>("soon"), "it: 'soon' is no duration, for example 30s");
  EXPECT_EQ(Parsed<std::chrono::seconds>("-1s"), "it: '-1s' is no duration, for example 30s");
  EXPECT_EQ(Parsed<std::chrono::seconds>("9223372036854775807d"),
            "it: '9223372036854775807d' is too large");
}

TEST(ConfigTest, SizesTakeBinaryAndDecimalUnits) {
  EXPECT_EQ(Parsed<ByteSize>("512"), "512");
  EXPECT_EQ(Parsed<ByteSize>("65536"), "64KiB");
  EXPECT_EQ(Parsed<ByteSize>("100MB"), "100MB");
  EXPECT_EQ(Parsed<ByteSize>("1GiB"), "1GiB");
  EXPECT_EQ(Parsed<ByteSize>("1 GiB"),
            "it: '1 GiB' is no size: write a whole number and one of B, kB, KB, MB, GB, TB, KiB, "
            "MiB, GiB, TiB");
}

TEST(ConfigTest, NumbersAreWholeAndInRange) {
  EXPECT_EQ(Parsed<int32_t>("-5"), "-5");
  EXPECT_EQ(Parsed<int32_t>("3000000000"),
            "it: '3000000000' is out of range; allowed are -2147483648 to 2147483647");
  EXPECT_EQ(Parsed<uint32_t>("-5"), "it: '-5' is not a whole number from 0 on, for example 10");
  EXPECT_EQ(Parsed<int64_t>("1.5"), "it: '1.5' is not a whole number, for example 10");
  EXPECT_EQ(Parsed<double>("0.25"), "0.25");
  EXPECT_EQ(Parsed<double>("nan"), "it: 'nan' is not a number, for example 0.5");
  EXPECT_EQ(Parsed<bool>("yes"), "it: 'yes' must be true or false");
}

TEST(ConfigTest, ReplacesVariablesInTexts) {
  setenv("TAILWATER_TEST_NAME", "shop", 1);
  EXPECT_EQ(Parsed<std::string>("db-${env:TAILWATER_TEST_NAME}-1"), "db-shop-1");
  EXPECT_EQ(Parsed<std::string>("costs $5 and $${x}"), "\"costs $5 and ${x}\"");
  EXPECT_EQ(Parsed<std::string>("${env:TAILWATER_TEST_UNSET}"),
            "it: the environment variable TAILWATER_TEST_UNSET is not set");
  EXPECT_EQ(Parsed<std::string>("${SHOP}"),
            "it: '${SHOP}' is unknown; write ${env:NAME}, or $${ for a plain ${");
  EXPECT_EQ(Parsed<std::string>("${env:SHOP"),
            "it: '${' has no closing '}'; write $${ for a plain ${");
  EXPECT_THAT(Parsed<std::string>("${file:/etc/passwd}"), HasSubstr("not possible here"));
}

TEST(ConfigTest, AValueOfTheWrongShapeIsNamed) {
  ConfigNode list = Scalar("");
  list.kind = ConfigNode::Kind::kList;
  ConfigNode nothing = Scalar("");
  nothing.kind = ConfigNode::Kind::kNull;
  Problems problems;
  bool flag = false;
  std::vector<std::string> texts;
  ParseScalar(list, flag, problems);
  ParseScalar(nothing, flag, problems);
  ParseScalar(Scalar("x"), texts, problems);
  ASSERT_EQ(problems.list().size(), 3u);
  EXPECT_EQ(problems.list()[0].message, "it: is a list, but true or false is wanted");
  EXPECT_EQ(problems.list()[1].message,
            "it: has no value; write true or false, or remove the line");
  EXPECT_EQ(problems.list()[2].message, "it: must be a list, for example [one, two]");
}

TEST(SecretTest, IsReadAnewEachTime) {
  setenv("TAILWATER_TEST_SECRET", "first", 1);
  const Secret secret("${env:TAILWATER_TEST_SECRET}");
  EXPECT_EQ(secret.Read().value(), "first");
  setenv("TAILWATER_TEST_SECRET", "second", 1);
  EXPECT_EQ(secret.Read().value(), "second");
}

TEST(SecretTest, ReadsAFileWithoutItsLastNewline) {
  const std::string path = ::testing::TempDir() + "tailwater_secret_" + std::to_string(getpid());
  std::ofstream(path) << "hunter2\n";
  EXPECT_EQ(Secret("${file:" + path + "}").Read().value(), "hunter2");
  std::filesystem::remove(path);
  const auto missing = Secret("${file:" + path + "}").Read();
  ASSERT_THAT(missing, IsErrorWith("secret_unreadable"));
  EXPECT_THAT(missing.error().message, HasSubstr(path));
}

TEST(SecretTest, IsNeverPrinted) {
  EXPECT_EQ(Secret("hunter2").ToString(), "***");
  EXPECT_EQ(Secret("hunter2").Read().value(), "hunter2");
  Problems problems;
  Secret secret;
  ParseScalar(Scalar("hunter2${oops}"), secret, problems);
  ASSERT_EQ(problems.list().size(), 1u);
  EXPECT_THAT(problems.list()[0].message, ::testing::Not(HasSubstr("hunter2")));
}

struct Sample {
  enum class Mode { kMirror, kLog };
  std::string database;
  Mode mode = Mode::kMirror;
  std::optional<int32_t> limit;
  std::vector<std::string> columns{"a", "b c"};
};

const OptionTable& SampleOptions() {
  static const OptionTable kOptions = {
      Field("database", &Sample::database, "Database to capture.", kRequired),
      Choice("mode", &Sample::mode, "How.",
             {{"mirror", Sample::Mode::kMirror}, {"log", Sample::Mode::kLog}}),
      Field("limit", &Sample::limit, "How many."),
      Field("columns", &Sample::columns, "Which."),
  };
  return kOptions;
}

TEST(ParseOptionsTest, CollectsEveryProblemOfASection) {
  ConfigNode section;
  section.kind = ConfigNode::Kind::kMap;
  section.location = {"a.yaml", 3, 3};
  section.path = "sources.shop";
  section.entries.push_back({"databse", {"a.yaml", 3, 3}, Scalar("x")});
  section.entries.push_back({"mode", {"a.yaml", 4, 3}, Scalar("mirorr")});
  section.entries.push_back({"type", {"a.yaml", 5, 3}, Scalar("x")});
  Sample sample;
  Problems problems;
  ParseOptions(SampleOptions(), section, {"type"}, &sample, problems);
  std::vector<std::string> texts;
  for (const Problem& problem : problems.list()) texts.push_back(problem.ToString());
  EXPECT_THAT(
      texts,
      ElementsAre("a.yaml:3:3: sources.shop: unknown key 'databse' (did you mean 'database'?)",
                  "it: 'mirorr' is unknown (did you mean 'mirror'?); known are mirror, log",
                  "a.yaml:3:3: sources.shop: needs 'database': Database to capture."));
}

TEST(ParseOptionsTest, DocumentsTypesAndDefaults) {
  const OptionTable& options = SampleOptions();
  EXPECT_TRUE(options[0].required);
  EXPECT_EQ(options[1].type, "mirror | log");
  EXPECT_EQ(options[1].default_text, "mirror");
  EXPECT_EQ(options[2].type, "whole number");
  EXPECT_EQ(options[2].default_text, "");
  EXPECT_EQ(options[3].default_text, "[a, b c]");
}

}  // namespace
}  // namespace tailwater
