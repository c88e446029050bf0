#include "topic/local/retention.h"

#include <algorithm>
#include <limits>

namespace tailwater::local {

namespace {

// Bounds of one step: capture waits for no more than this.
constexpr int64_t kRowsPerStep = 64;
constexpr int64_t kBytesPerStep = 8 << 20;
constexpr int64_t kPagesPerStep = 128;
// New blocks reuse free pages; only more than this share of the file goes back to the disk.
constexpr int64_t kFreeShare = 8;
constexpr int64_t kFreePages = 256;

}  // namespace

Retention::Retention(const LocalTopicOptions& options)
    : retention_micros_(std::chrono::microseconds(options.retention).count()),
      max_bytes_(options.max_bytes) {}

Result<bool> Retention::Step(sqlite::Database& log, int64_t now_micros) {
  TW_ASSIGN_OR_RETURN(const auto page_size, log.QueryInt64("PRAGMA page_size"));
  TW_ASSIGN_OR_RETURN(const auto pages, log.QueryInt64("PRAGMA page_count"));
  TW_ASSIGN_OR_RETURN(const auto free_pages, log.QueryInt64("PRAGMA freelist_count"));
  const int64_t used = (pages.value_or(0) - free_pages.value_or(0)) * page_size.value_or(0);
  TW_ASSIGN_OR_RETURN(
      const bool dropped,
      DropOldest(log, now_micros, static_cast<uint64_t>(std::max<int64_t>(used, 0))));
  if (dropped) return true;
  if (free_pages.value_or(0) <= std::max(kFreePages, pages.value_or(0) / kFreeShare)) return false;
  // The pragma answers one row per page that it frees.
  TW_ASSIGN_OR_RETURN(auto vacuum, log.Prepare("PRAGMA incremental_vacuum(128)", false));
  static_assert(kPagesPerStep == 128);
  TW_TRY(vacuum.Run());
  return true;
}

Result<bool> Retention::DropOldest(sqlite::Database& log, int64_t now_micros, uint64_t used_bytes) {
  const int64_t oldest_kept =
      retention_micros_ > 0 ? now_micros - retention_micros_ : std::numeric_limits<int64_t>::min();
  TW_ASSIGN_OR_RETURN(auto select, log.Prepare("SELECT base_offset, record_count, stored_micros, "
                                               "length(data) FROM batches ORDER BY base_offset "
                                               "LIMIT ?",
                                               false));
  select.Bind(1, kRowsPerStep);
  int64_t begin = -1;
  int64_t step_bytes = 0;
  while (step_bytes < kBytesPerStep) {
    TW_ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) break;
    const bool too_old = select.Int64(2) < oldest_kept;
    const bool too_much =
        max_bytes_ > 0 && used_bytes > max_bytes_ + static_cast<uint64_t>(step_bytes);
    if (!too_old && !too_much) break;
    begin = select.Int64(0) + select.Int64(1);
    step_bytes += select.Int64(3);
  }
  select.Reset();
  if (begin < 0) return false;
  TW_ASSIGN_OR_RETURN(auto transaction,
                      sqlite::Transaction::Begin(log, sqlite::Transaction::Kind::kWrite));
  TW_ASSIGN_OR_RETURN(auto erase, log.Prepare("DELETE FROM batches WHERE base_offset < ?", false));
  TW_TRY(erase.Bind(1, begin).Run());
  TW_ASSIGN_OR_RETURN(auto move, log.Prepare("UPDATE log SET begin_offset = ?", false));
  TW_TRY(move.Bind(1, begin).Run());
  TW_TRY(transaction.Commit());
  return true;
}

}  // namespace tailwater::local
