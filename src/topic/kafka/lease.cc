#include "topic/kafka/lease.h"

#include <algorithm>

#include "support/kafka/admin.h"
#include "support/text.h"
#include "util/thread_name.h"

namespace tailwater {
namespace {

using namespace std::chrono_literals;
using SteadyClock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kPollInterval{250};
constexpr auto kPatience = 1s;  // before we say that we stand by
constexpr auto kLook = 5s;
constexpr auto kLookInterval = 500ms;
constexpr std::chrono::milliseconds kRebalanceInterval{20};

Result<std::unique_ptr<kafka::GroupMember>> Join(const KafkaSettings& settings) {
  kafka::GroupMemberOptions options;
  options.client = settings.client;
  options.topic = settings.StateTopic();
  options.group = settings.CaptureGroup();
  options.instance_id = settings.instance;
  options.session_timeout = settings.lease_timeout;
  options.heartbeat_interval = settings.lease_timeout / 4;
  // A process that was stopped knows at once, when it goes on, that its lease may be over.
  options.max_poll_interval = settings.lease_timeout;
  options.commit_timeout = settings.lease_timeout;
  return kafka::GroupMember::Join(std::move(options));
}

// Who is in the group, as far as the cluster tells.
struct Others {
  std::string holder;     // "shop-1 (10.0.0.7)"; empty: nobody else, or it is not known
  bool namesake = false;  // a member with our own instance name
};
Others FindOthers(kafka::Admin& admin, const KafkaSettings& settings) {
  Others others;
  const auto group = admin.DescribeGroup(settings.CaptureGroup());
  if (!group) return others;
  for (const auto& member : group->members) {
    if (!settings.instance.empty() && member.instance_id == settings.instance) {
      others.namesake = true;
      continue;
    }
    if (!others.holder.empty() && member.partitions.empty()) continue;
    others.holder = fmt::format(
        "{} ({})", member.instance_id.empty() ? member.client_id : member.instance_id, member.host);
  }
  return others;
}

bool Sleep(std::chrono::milliseconds time, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any changed;
  std::unique_lock lock(mutex);
  changed.wait_for(lock, stop, time, [] { return false; });
  return !stop.stop_requested();
}

Error Stopped() {
  return Error{Disposition::kCancelled, "stopped", "stopped while waiting for the topic's lease"};
}

}  // namespace

Error LeaseLost(const KafkaSettings& settings) {
  return Error{Disposition::kRetry, "topic_lease_lost",
               fmt::format("another process captures into topic {} now; this one stands by",
                           settings.topic)};
}

Result<std::unique_ptr<CaptureLease>> CaptureLease::Wait(
    const KafkaSettings& settings, const std::stop_token& stop,
    const std::function<void(std::string holder)>& standby, Contested contested) {
  bool told = false;
  const auto tell = [&](const std::string& holder) {
    if (!std::exchange(told, true) && standby) standby(holder);
  };
  TW_ASSIGN_OR_RETURN(const auto admin, kafka::Admin::Create(settings.client, kLook));
  // Outside of the group: a member that joins would have the partition assigned anew, perhaps away
  // from its holder.
  while (true) {
    const Others others = FindOthers(*admin, settings);
    if (!others.namesake) *contested = false;
    if (*contested) {
      tell(fmt::format("another process that runs as instance {}; give each its own (--instance)",
                       settings.instance));
    } else if (!others.holder.empty()) {
      tell(others.holder);
    } else {
      break;
    }
    if (!Sleep(kLookInterval, stop)) return Stopped();
  }
  TW_ASSIGN_OR_RETURN(auto member, Join(settings));
  const auto begun = SteadyClock::now();
  while (true) {
    if (stop.stop_requested()) return Stopped();
    auto assignment = member->Poll(kPollInterval);
    if (!assignment) {
      // The topic was made just now, and not all brokers know it yet.
      if (assignment.error().code != "kafka_topic_missing" ||
          SteadyClock::now() - begun > settings.request_timeout) {
        return std::move(assignment).error();
      }
      if (!Sleep(kRebalanceInterval, stop)) return Stopped();
      TW_ASSIGN_OR_RETURN(member, Join(settings));
      continue;
    }
    if (!assignment->partitions.empty() && member->IsOwner()) break;
    // Two came at the same moment.
    if (!told && SteadyClock::now() - begun > kPatience) {
      const Others others = FindOthers(*admin, settings);
      if (!others.holder.empty()) tell(others.holder);
    }
  }
  return std::unique_ptr<CaptureLease>(
      new CaptureLease(settings, std::move(member), std::move(contested)));
}

CaptureLease::CaptureLease(const KafkaSettings& settings,
                           std::unique_ptr<kafka::GroupMember> member, Contested contested)
    : settings_(settings), member_(std::move(member)), contested_(std::move(contested)) {
  thread_ = std::jthread([this](std::stop_token stop) {
    NameThread("tw-lease");
    Keep(stop);
  });
}

CaptureLease::~CaptureLease() {
  thread_.request_stop();
  thread_.join();
}

void CaptureLease::Keep(const std::stop_token& stop) {
  bool revoked = false;  // and not assigned again
  SteadyClock::time_point since;
  uint64_t generation = 0;
  while (!stop.stop_requested() && !lost_.stop_requested()) {
    {
      const std::lock_guard lock(mutex_);
      const auto assignment = member_->Poll(0ms);
      if (!assignment) {
        if (assignment.error().code == "kafka_fenced") {
          *contested_ = true;
          lost_.request_stop();
        }
        // Anything else: the session's end will tell.
      } else if (!assignment->partitions.empty() && member_->IsOwner()) {
        revoked = false;
      } else if (!revoked) {
        // Somebody joined or left: the partition comes back, or goes to another. Nobody else writes
        // before that.
        revoked = true;
        since = SteadyClock::now();
        generation = assignment->generation;
      } else if (assignment->generation != generation ||
                 SteadyClock::now() - since > settings_.lease_timeout) {
        lost_.request_stop();
      }
    }
    std::unique_lock lock(wait_mutex_);
    wait_.wait_for(lock, stop, revoked ? kRebalanceInterval : kPollInterval, [] { return false; });
  }
}

Status CaptureLease::Confirm() {
  if (lost_.stop_requested()) return LeaseLost(settings_);
  const std::lock_guard lock(mutex_);
  if (!member_->IsOwner()) {
    return Error{
        Disposition::kRetry, "kafka_not_ready",
        fmt::format("group {} is being settled; it is tried again", settings_.CaptureGroup())};
  }
  // Only the group's present generation may store offsets.
  return member_->Commit({{0, {0, ""}}});
}

}  // namespace tailwater
