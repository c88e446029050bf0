#include "monitor/process_metrics.h"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>

#include "util/build_info.h"

namespace tailwater {
namespace {

// The fields of /proc/self/stat behind the command's name, which may hold anything.
struct ProcessStat {
  double cpu_seconds = 0;
  double threads = 0;
  double start_seconds_after_boot = 0;
  double virtual_bytes = 0;
  double resident_bytes = 0;
};

std::optional<ProcessStat> ReadStat() {
  std::ifstream file("/proc/self/stat");
  std::string line;
  if (!std::getline(file, line)) return std::nullopt;
  const size_t name_end = line.rfind(')');
  if (name_end == std::string::npos) return std::nullopt;
  std::istringstream fields(line.substr(name_end + 1));
  const double ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  const double page = static_cast<double>(sysconf(_SC_PAGESIZE));
  ProcessStat stat;
  std::string field;
  for (int index = 3; fields >> field; ++index) {  // as proc(5) numbers them
    const double number = std::strtod(field.c_str(), nullptr);
    if (index == 14 || index == 15) stat.cpu_seconds += number / ticks;
    if (index == 20) stat.threads = number;
    if (index == 22) stat.start_seconds_after_boot = number / ticks;
    if (index == 23) stat.virtual_bytes = number;
    if (index == 24) {
      stat.resident_bytes = number * page;
      return stat;
    }
  }
  return std::nullopt;
}

std::optional<double> BootTime() {
  std::ifstream file("/proc/stat");
  std::string line;
  while (std::getline(file, line)) {
    if (line.starts_with("btime ")) return std::strtod(line.c_str() + 6, nullptr);
  }
  return std::nullopt;
}

std::optional<double> CountOpenFiles() {
  DIR* folder = opendir("/proc/self/fd");
  if (folder == nullptr) return std::nullopt;
  double count = 0;
  while (const dirent* entry = readdir(folder)) {
    if (entry->d_name[0] != '.') ++count;
  }
  closedir(folder);
  return count - 1;  // the folder's own
}

}  // namespace

ProcessMetrics::ProcessMetrics(Metrics& metrics)
    : cpu_seconds_(metrics.GetCounter("process_cpu_seconds_total",
                                      "Total user and system CPU time spent in seconds.")),
      resident_bytes_(
          metrics.GetGauge("process_resident_memory_bytes", "Resident memory size in bytes.")),
      virtual_bytes_(
          metrics.GetGauge("process_virtual_memory_bytes", "Virtual memory size in bytes.")),
      open_fds_(metrics.GetGauge("process_open_fds", "Number of open file descriptors.")),
      max_fds_(metrics.GetGauge("process_max_fds", "Maximum number of open file descriptors.")),
      threads_(metrics.GetGauge("process_threads", "Number of threads of the process.")),
      start_time_(metrics.GetGauge("process_start_time_seconds",
                                   "Start time of the process since the Unix epoch in seconds.")) {
  metrics
      .GetGauge(
          "tailwater_build_info", "1; the labels say what is running.",
          {{"version", std::string(BuildVersion())}, {"revision", std::string(BuildRevision())}})
      .Set(1);
}

void ProcessMetrics::Update() {
  const std::optional<ProcessStat> stat = ReadStat();
  const std::optional<double> boot = BootTime();
  if (stat) {
    cpu_seconds_.Add(stat->cpu_seconds - cpu_seconds_counted_);
    cpu_seconds_counted_ = stat->cpu_seconds;
    resident_bytes_.Set(stat->resident_bytes);
    virtual_bytes_.Set(stat->virtual_bytes);
    threads_.Set(stat->threads);
  }
  if (stat && boot) {
    start_time_.Set(*boot + stat->start_seconds_after_boot);
  } else {
    start_time_.Clear();
  }
  open_fds_.Set(CountOpenFiles());
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) max_fds_.Set(static_cast<double>(limit.rlim_cur));
}

}  // namespace tailwater
