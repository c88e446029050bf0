// Makes a topic, and returns once the broker knows it: that comes a moment later.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "support/kafka/admin.h"
#include "support/matchers.h"

namespace tailwater {

inline void MakeTopic(kafka::Admin& admin, const kafka::TopicSpec& spec) {
  ASSERT_OK(admin.CreateTopic(spec));
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (true) {
    const auto facts = admin.FindTopic(spec.name);
    if (facts && *facts && (*facts)->partitions == spec.partitions) return;
    ASSERT_LT(std::chrono::steady_clock::now(), deadline) << spec.name << " did not appear";
    std::this_thread::yield();
  }
}

}  // namespace tailwater
