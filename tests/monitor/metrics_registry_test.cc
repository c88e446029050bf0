#include "monitor/metrics_registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <stdexcept>
#include <string>

#include "monitor/process_metrics.h"

namespace tailwater {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(MetricsRegistry, AnUnsetGaugeIsAbsentAndSoIsAClearedOne) {
  MetricsRegistry registry;
  Gauge& lag = registry.root().GetGauge("tailwater_source_lag_bytes", "Bytes behind.");
  EXPECT_THAT(registry.Expose(), Not(HasSubstr("tailwater_source_lag_bytes")));
  lag.Set(0);
  EXPECT_THAT(registry.Expose(), HasSubstr("tailwater_source_lag_bytes 0\n"));
  lag.Clear();
  EXPECT_THAT(registry.Expose(), Not(HasSubstr("tailwater_source_lag_bytes")));
}

TEST(MetricsRegistry, AScopeAddsItsLabelsToEverything) {
  MetricsRegistry registry;
  Metrics& scope = registry.Scoped({{"pipeline", "shop"}, {"sink", "copy"}});
  scope.GetCounter("tailwater_sink_retries_total", "Retries.", {{"code", "busy"}}).Add(3);
  EXPECT_THAT(
      registry.Expose(),
      HasSubstr(R"(tailwater_sink_retries_total{code="busy",pipeline="shop",sink="copy"} 3)"));
}

TEST(MetricsRegistry, ScopesShareOneFamilyPerName) {
  MetricsRegistry registry;
  registry.Scoped({{"sink", "a"}}).GetCounter("tailwater_x_total", "X.").Add();
  registry.Scoped({{"sink", "b"}}).GetCounter("tailwater_x_total", "X.").Add(2);
  const std::string text = registry.Expose();
  EXPECT_THAT(text,
              HasSubstr("tailwater_x_total{sink=\"a\"} 1\ntailwater_x_total{sink=\"b\"} 2\n"));
  EXPECT_EQ(text.find("# TYPE tailwater_x_total counter"),
            text.rfind("# TYPE tailwater_x_total counter"));
}

TEST(MetricsRegistry, TheSameNameAndLabelsAreTheSameHandle) {
  MetricsRegistry registry;
  Counter& first = registry.Scoped({{"sink", "a"}}).GetCounter("tailwater_x_total", "X.");
  Counter& second = registry.root().GetCounter("tailwater_x_total", "X.", {{"sink", "a"}});
  EXPECT_EQ(&first, &second);
}

TEST(MetricsRegistry, ANameHasOneType) {
  MetricsRegistry registry;
  registry.root().GetCounter("tailwater_x_total", "X.");
  EXPECT_THROW(registry.root().GetGauge("tailwater_x_total", "X."), std::logic_error);
}

TEST(MetricsRegistry, BucketsFollowTheUnitInTheName) {
  MetricsRegistry registry;
  registry.root().GetHistogram("tailwater_write_duration_seconds", "D.").Observe(0.0002);
  registry.root().GetHistogram("tailwater_batch_records", "R.").Observe(5);
  registry.root().GetHistogram("tailwater_batch_bytes", "B.").Observe(100);
  const std::string text = registry.Expose();
  EXPECT_THAT(text, HasSubstr(R"(tailwater_write_duration_seconds_bucket{le="0.0001"} 0)"));
  EXPECT_THAT(text, HasSubstr(R"(tailwater_write_duration_seconds_bucket{le="0.00025"} 1)"));
  EXPECT_THAT(text, HasSubstr(R"(tailwater_write_duration_seconds_bucket{le="60"} 1)"));
  EXPECT_THAT(text, HasSubstr(R"(tailwater_batch_records_bucket{le="4"} 0)"));
  EXPECT_THAT(text, HasSubstr(R"(tailwater_batch_records_bucket{le="16"} 1)"));
  EXPECT_THAT(text, HasSubstr(R"(tailwater_batch_bytes_bucket{le="256"} 1)"));
}

TEST(MetricsRegistry, LargePositionsKeepEveryByte) {
  MetricsRegistry registry;
  registry.root().GetGauge("tailwater_source_server_lsn_bytes", "End.").Set(4503599627370497.0);
  EXPECT_THAT(registry.Expose(), HasSubstr("4503599627370497\n"));
}

TEST(ProcessMetrics, SaysWhatTheProcessUses) {
  MetricsRegistry registry;
  ProcessMetrics process(registry.root());
  process.Update();
  const std::string text = registry.Expose();
  for (const char* name :
       {"process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds",
        "process_start_time_seconds", "tailwater_build_info"}) {
    EXPECT_THAT(text, HasSubstr(std::string("\n") + name)) << name;
  }
}

TEST(MetricsRegistry, TheExpositionPassesPromtool) {
  if (access("/usr/bin/promtool", X_OK) != 0) GTEST_SKIP() << "promtool is not installed";
  MetricsRegistry registry;
  ProcessMetrics process(registry.root());
  process.Update();
  Metrics& scope = registry.Scoped({{"pipeline", "shop"}, {"source", "shop"}});
  scope.GetCounter("tailwater_source_events_total", "Events.", {{"op", "insert"}}).Add(7);
  scope.GetGauge("tailwater_source_lag_seconds", "Lag, \"quoted\" and \\ more.").Set(0.25);
  scope.GetHistogram("tailwater_sink_write_duration_seconds", "Duration.").Observe(0.1);
  scope.GetHistogram("tailwater_sink_batch_records", "Records.").Observe(10);

  const std::string path = ::testing::TempDir() + "metrics-" + std::to_string(getpid());
  std::ofstream(path) << registry.Expose();
  FILE* promtool = popen(("/usr/bin/promtool check metrics < " + path + " 2>&1").c_str(), "r");
  ASSERT_NE(promtool, nullptr);
  std::string output;
  for (int c; (c = std::fgetc(promtool)) != EOF;) output += static_cast<char>(c);
  EXPECT_EQ(pclose(promtool), 0) << output;
  EXPECT_EQ(output, "");
  std::remove(path.c_str());
}

TEST(MetricsRegistry, WhatIsHiddenIsLeftOutUntilItIsShownAgain) {
  MetricsRegistry registry;
  registry.Scoped({{"pipeline", "shop"}, {"sink", "copy"}}).GetCounter("a_total", "A.").Add(2);
  registry.Scoped({{"pipeline", "shop"}, {"sink", "other"}}).GetCounter("a_total", "A.").Add(3);
  registry.Hide({{"pipeline", "shop"}, {"sink", "copy"}});
  EXPECT_EQ(registry.Expose().find("sink=\"copy\""), std::string::npos);
  EXPECT_NE(registry.Expose().find("sink=\"other\"} 3"), std::string::npos);
  registry.Hide({{"pipeline", "shop"}});
  EXPECT_EQ(registry.Expose(), "");
  registry.Show({{"pipeline", "shop"}});
  registry.Show({{"pipeline", "shop"}, {"sink", "copy"}});
  EXPECT_NE(registry.Expose().find("sink=\"copy\"} 2"), std::string::npos);
}

}  // namespace
}  // namespace tailwater
