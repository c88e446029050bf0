#include "cli/reload.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tailwater {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

PipelineConfig PipelineOf(const std::string& name, const std::string& hash,
                          const std::vector<std::string>& sinks) {
  PipelineConfig pipeline;
  pipeline.name = name;
  pipeline.hash = hash;
  for (const std::string& sink : sinks) {
    pipeline.sinks.emplace_back();
    pipeline.sinks.back().name = sink;
  }
  return pipeline;
}

TEST(Reload, NamesWhatAppearsAndDisappears) {
  Config running;
  running.pipelines = {PipelineOf("gone", "1", {}), PipelineOf("shop", "1", {"copy", "old"})};
  Config next;
  next.pipelines = {PipelineOf("extra", "1", {}), PipelineOf("shop", "2", {"copy", "search"})};
  EXPECT_THAT(DescribeChanges(running, next),
              ElementsAre("pipeline extra added", "sink shop/search added", "sink shop/old removed",
                          "pipeline gone removed"));
}

TEST(Reload, AnOptionThatChangedIsAChangeOfItsPipeline) {
  Config running;
  running.pipelines = {PipelineOf("shop", "1", {"copy"})};
  Config next;
  next.pipelines = {PipelineOf("shop", "2", {"copy"})};
  EXPECT_THAT(DescribeChanges(running, next), ElementsAre("pipeline shop changed"));
}

TEST(Reload, TheSameFilesChangeNothing) {
  Config running;
  running.pipelines = {PipelineOf("shop", "1", {"copy"})};
  EXPECT_THAT(DescribeChanges(running, running), IsEmpty());
}

TEST(Reload, TheListenAddressNeedsARestart) {
  Config next;
  next.daemon.listen = "127.0.0.1:1";
  EXPECT_THAT(DescribeChanges(Config(), next), ElementsAre("listen changed to 127.0.0.1:1"));
}

}  // namespace
}  // namespace tailwater
