#include "stdout/stdout_sink.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "support/change_json.h"
#include "support/text.h"

namespace tailwater {
namespace {

std::string Reason(int code) { return std::generic_category().message(code); }

}  // namespace

const OptionTable& StdoutSinkOptions() {
  using C = StdoutSinkConfig;
  static const OptionTable kOptions = {
      Field("path", &C::path, "File to append to, instead of standard output.")};
  return kOptions;
}

StdoutSink::StdoutSink(StdoutSinkConfig config, Metrics& metrics)
    : config_(std::move(config)),
      bytes_total_(metrics.GetCounter("tailwater_sink_bytes_written_total",
                                      "Bytes of the records that the target took.")) {}

StdoutSink::~StdoutSink() {
  if (file_ >= 0 && file_ != STDOUT_FILENO) close(file_);
}

Status StdoutSink::Open() {
  if (config_.path.empty()) {
    file_ = STDOUT_FILENO;
    return {};
  }
  if (file_ >= 0) close(file_);
  file_ = open(config_.path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (file_ < 0) {
    return Error{Disposition::kNeedsOperator, "stdout_cannot_open",
                 fmt::format("open of {}: {}; check the folder and its permissions", config_.path,
                             Reason(errno))};
  }
  return {};
}

Result<std::vector<Verdict>> StdoutSink::Write(const DeliveryBatch& batch) {
  lines_.clear();
  if (line_was_cut_) lines_ += '\n';
  std::vector<Verdict> verdicts;
  verdicts.reserve(batch.deliveries.size());
  for (const Delivery& delivery : batch.deliveries) {
    const Operation operation = delivery.change->operation;
    if (operation != Operation::kFrontier) {
      if (Status status = AppendChangeJson(*delivery.change, lines_); !status) {
        verdicts.push_back(
            Verdict::Rejected(status.error().code, std::move(status.error().message)));
        continue;
      }
      lines_ += '\n';
    }
    verdicts.push_back(Verdict::Applied());
  }
  TW_TRY(WriteOut());
  return verdicts;
}

Status StdoutSink::WriteOut() {
  std::string_view rest = lines_;
  while (!rest.empty()) {
    const ssize_t written = write(file_, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      const int code = errno;
      if (rest.size() < lines_.size()) line_was_cut_ = rest.data()[-1] != '\n';
      return Error{
          Disposition::kRetry, "stdout_write_failed",
          fmt::format("write to {}: {}; the reader is gone or the disk is full",
                      config_.path.empty() ? "standard output" : config_.path, Reason(code))};
    }
    bytes_total_.Add(static_cast<double>(written));
    rest.remove_prefix(static_cast<size_t>(written));
  }
  line_was_cut_ = false;
  // What is no file (a pipe, a terminal) cannot be synced and needs not.
  if (!config_.path.empty() && fdatasync(file_) != 0 && errno != EINVAL && errno != EROFS) {
    return Error{Disposition::kRetry, "stdout_write_failed",
                 fmt::format("sync of {}: {}; check the disk", config_.path, Reason(errno))};
  }
  return {};
}

}  // namespace tailwater
