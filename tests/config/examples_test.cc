// The files in config/ are what users copy: they load, and the reference is the generated one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "config/load_config.h"
#include "config/reference.h"
#include "config/yaml.h"
#include "connectors.h"

namespace tailwater {
namespace {

Registry AllConnectors() {
  Registry registry;
  RegisterConnectors(registry);
  return registry;
}

std::string Read(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

TEST(ExamplesTest, AllLoadWithoutAProblem) {
  const Registry registry = AllConnectors();
  size_t loaded = 0;
  for (const auto& entry : std::filesystem::directory_iterator("config")) {
    const std::string path = entry.path().string();
    if (!path.ends_with(".yaml") || path.ends_with("reference.yaml")) continue;
    Problems problems;
    LoadConfig({path}, registry, problems);
    for (const Problem& problem : problems.list()) ADD_FAILURE() << problem.ToString();
    ++loaded;
  }
  EXPECT_GE(loaded, 5u);
}

TEST(ExamplesTest, EveryConnectorHasOne) {
  const Registry registry = AllConnectors();
  const auto exists = [](const std::string& type) {
    return std::filesystem::exists("config/" + type + ".yaml");
  };
  for (const auto& [type, unused] : registry.sources()) EXPECT_TRUE(exists(type)) << type;
  for (const auto& [type, unused] : registry.sinks()) EXPECT_TRUE(exists(type)) << type;
}

TEST(ExamplesTest, QuickstartFitsOnAScreen) {
  const std::string text = Read("config/quickstart.yaml");
  EXPECT_LE(std::count(text.begin(), text.end(), '\n'), 20);
}

TEST(ReferenceTest, IsTheGeneratedOne) {
  EXPECT_EQ(Read("config/reference.yaml"), Reference(AllConnectors()))
      << "run: build/dev/tailwater validate --reference > config/reference.yaml";
}

TEST(ReferenceTest, NamesEveryOption) {
  const Registry registry = AllConnectors();
  const std::string text = Reference(registry);
  Problems problems;
  EXPECT_TRUE(ParseYaml(text, "reference.yaml", problems).has_value());
  EXPECT_TRUE(problems.empty());
  const auto check = [&](const OptionTable& table) {
    for (const OptionSpec& option : table) {
      EXPECT_THAT(text, ::testing::HasSubstr(" " + option.name + ":")) << option.name;
      EXPECT_FALSE(option.help.empty()) << option.name;
    }
  };
  for (const auto& [unused, type] : registry.sources()) check(type.options);
  for (const auto& [unused, type] : registry.sinks()) {
    check(type.options);
    check(type.table_options);
  }
  check(LocalTopicOptionTable());
  check(KafkaTopicOptionTable());
  check(DaemonOptions());
}

}  // namespace
}  // namespace tailwater
