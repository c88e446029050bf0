#include "postgres/postgres_source.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <utility>

#include "postgres/gap.h"
#include "postgres/setup.h"
#include "postgres/snapshot_reader.h"
#include "postgres/value_format.h"
#include "postgres/watermarks.h"
#include "support/crash_point.h"
#include "support/text.h"

namespace tailwater::postgres {
namespace {

using std::chrono::milliseconds;

// A released frontier is worth a message of its own, but not each of thousands per second.
constexpr auto kReleaseInterval = milliseconds(100);
// Commit times this far behind the server's clock: it has a backlog for us.
constexpr int64_t kCatchUpMicros = 500'000;
constexpr auto kFinishTimeout = std::chrono::seconds(3);
constexpr auto kServeStep = milliseconds(100);
constexpr int kSameTroubleIsFatal = 3;
constexpr int kMessagesPerClock = 32;

ChangeDecoder::Options DecoderOptions(const PostgresConfig& config, const SourceContext& context) {
  return {.selects_table =
              [selection = context.tables, source = context.name](const TableName& table) {
                return selection.Selects(source, table.ToString());
              },
          .selects_message =
              [prefixes = config.messages](std::string_view prefix) {
                return std::find(prefixes.begin(), prefixes.end(), prefix) != prefixes.end();
              },
          .mark_table = WatermarkTable(config)};
}

}  // namespace

PostgresSource::PostgresSource(PostgresConfig config, SourceContext context)
    : config_(std::move(config)),
      context_(std::move(context)),
      received_bytes_(
          context_.metrics.GetCounter("tailwater_source_received_bytes_total",
                                      "Bytes of change messages received from the server.")),
      skipped_transactions_(context_.metrics.GetCounter(
          "tailwater_source_skipped_transactions_total",
          "Transactions that the server sent again although they were durable.")),
      session_(config_, fmt::format("tailwater {}/{} sql", context_.pipeline, context_.name)),
      catalog_(session_),
      read_back_(session_, config_.read_back,
                 context_.metrics.GetCounter(
                     "tailwater_source_read_backs_total",
                     "Rows read back from the server to fill columns that the log left out.")),
      decoder_(DecoderOptions(config_, context_), catalog_, read_back_) {}

Status PostgresSource::Run(const ResumePoint& resume, ChangeWriter& out, std::stop_token stop) {
  const std::stop_callback wake(stop, [this] { wakeup_.Wake(); });
  const Interrupt interrupt{stop, &wakeup_};
  stop_ = stop;
  Status status = Prepare(resume, out, interrupt);
  if (status) {
    status = Stream(out, stop);
    if (status) {
      // The last released frontier; what was published but not yet released comes again.
      if (Status sent = SendStatus(); sent) stream_->Finish(kFinishTimeout);
      context_.logger.Info("streaming stopped", {{"confirmed", Lsn{confirmed_}.ToString()}});
    }
  }
  stream_.reset();
  session_.Close();
  if (!status && status.error().code == "stopped" && stop.stop_requested()) return {};
  if (!status) return Judge(std::move(status).error());
  return status;
}

void PostgresSource::Release(DurableFrontier frontier) {
  const std::optional<Lsn> lsn = Lsn::Parse(frontier.position().text);
  if (!lsn) return;  // not a position of ours; nothing is confirmed
  uint64_t before = released_.load(std::memory_order_relaxed);
  while (before < lsn->value && !released_.compare_exchange_weak(before, lsn->value)) {
  }
  wakeup_.Wake();
}

Result<std::unique_ptr<SnapshotReader>> PostgresSource::OpenSnapshotReader(std::stop_token stop) {
  return PostgresSnapshotReader::Open(config_, context_, fence_, gate_, std::move(stop));
}

Status PostgresSource::Prepare(const ResumePoint& resume, ChangeWriter& out,
                               const Interrupt& interrupt) {
  session_.Use(interrupt, [this] {
    since_clock_ = kMessagesPerClock;
    if (stream_ != nullptr)
      static_cast<void>(KeepServerInformed());  // an error shows again at the next read
  });
  decoder_.Reset();
  fence_.Reset();
  gate_.Reset();
  TW_ASSIGN_OR_RETURN(Connection * sql, session_.Get());
  TW_ASSIGN_OR_RETURN(
      std::unique_ptr<Connection> replication,
      Connection::Open(config_, Connection::Kind::kReplication, SessionName(), interrupt));
  TW_ASSIGN_OR_RETURN(resume_frontier_, Establish(resume, out, *sql, *replication));

  const OwnNames names = NamesFor(config_, context_.pipeline, context_.name);
  frontier_ = received_ = resume_frontier_;
  released_.store(resume_frontier_.value);
  confirmed_ = 0;
  reply_requested_ = unflushed_ = catching_up_ = skipping_ = server_has_caught_up_ = false;
  begun_ = false;
  marks_.clear();
  commit_time_micros_ = std::numeric_limits<int64_t>::max();
  since_clock_ = kMessagesPerClock;
  if (context_.sole_reader) TW_TRY(EndFormerSession(*sql, names.slot));
  const int64_t pid = replication->backend_pid();
  TW_ASSIGN_OR_RETURN(binary_, ChooseBinary(*sql));
  decoder_.ExpectBinary(binary_);
  TW_ASSIGN_OR_RETURN(
      stream_, ReplicationStream::Start(std::move(replication), {names.slot, names.publication,
                                                                 resume_frontier_, binary_}));
  // Once more, now that nobody else can move it: the server forwards a start below the slot's own
  // position in silence.
  TW_TRY(CheckSlot(*sql, names.slot, resume_frontier_, server_end_, pid));
  last_heard_ = Clock::now();
  TW_TRY(SendStatus());
  context_.logger.Info("streaming started", {{"slot", names.slot},
                                             {"publication", names.publication},
                                             {"lsn", resume_frontier_.ToString()},
                                             {"format", binary_ ? "binary" : "text"}});
  return {};
}

Result<bool> PostgresSource::ChooseBinary(Connection& sql) {
  if (config_.format == ValueFormat::kText || text_only_ || sql.major_version() < 14) return false;
  TW_ASSIGN_OR_RETURN(
      const std::string column,
      FindTextOnlyColumn(sql, catalog_, DecoderOptions(config_, context_).selects_table));
  if (column.empty()) return true;
  if (config_.format == ValueFormat::kBinary) {
    context_.logger.Warn("a column has no binary form that we read: values are sent as text",
                         {{"column", column}});
  }
  return false;
}

// The server misses a reader that is frozen or cut off only after wal_sender_timeout.
Status PostgresSource::EndFormerSession(Connection& sql, const std::string& slot) {
  TW_ASSIGN_OR_RETURN(
      const Rows ended,
      sql.Query(fmt::format("SELECT s.active_pid, pg_terminate_backend(s.active_pid) FROM "
                            "pg_replication_slots s JOIN pg_stat_activity a ON a.pid = "
                            "s.active_pid WHERE s.slot_name = {} AND a.usename = current_user AND "
                            "a.application_name = {}",
                            sql.QuoteLiteral(slot), sql.QuoteLiteral(SessionName()))));
  for (int row = 0; row < ended.size(); ++row) {
    context_.logger.Warn("ended the session of a process that no longer has the topic's lease",
                         {{"slot", slot}, {"pid", ended.String(row, 0)}});
  }
  return {};
}

Result<Lsn> PostgresSource::Establish(const ResumePoint& resume, ChangeWriter& out, Connection& sql,
                                      Connection& replication) {
  Setup setup(config_, context_, sql, replication);
  TW_TRY(setup.Look());
  server_end_ = setup.server().wal_end;
  if (!resume.frontier) {
    // Refused before the intent is stored, so that a refusal leaves no trace.
    if (resume.identity.empty()) {
      TW_TRY(setup.CheckFirstStart(resume.after_gap));
      TW_TRY(out.Establish(setup.Identity(0), std::nullopt));
      TW_CRASH_POINT("pg_intent_established");
    } else if (const auto system = resume.identity.find("system_identifier");
               system == resume.identity.end() ||
               system->second != setup.server().system_identifier) {
      return Error{Disposition::kGap, "pg_other_system",
                   "the first start was begun on another server: correct the address, or give the "
                   "pipeline an empty topic"};
    }
    if (resume.after_gap) {
      if (context_.sole_reader)
        TW_TRY(EndFormerSession(sql, NamesFor(config_, context_.pipeline, context_.name).slot));
      TW_TRY(setup.DropLeftSlot(SessionName()));
      TW_CRASH_POINT("pg_left_slot_dropped");
    }
    TW_ASSIGN_OR_RETURN(const uint32_t publication_oid, setup.PreparePublication(0, std::nullopt));
    TW_CRASH_POINT("pg_publication_created");
    TW_ASSIGN_OR_RETURN(const Lsn start, setup.PrepareSlot());
    TW_TRY(out.Establish(setup.Identity(publication_oid), Position{start.ToString()}));
    TW_CRASH_POINT("pg_frontier_established");
    return start;
  }

  const std::optional<Lsn> frontier = Lsn::Parse(resume.frontier->text);
  if (!frontier) {
    return Error{
        Disposition::kFatal, "pg_checkpoint_malformed",
        fmt::format("the checkpoint's position '{}' is no LSN: the state belongs to another "
                    "kind of source",
                    resume.frontier->text)};
  }
  TW_TRY(setup.CheckResume(resume.identity, *frontier));
  const auto oid = resume.identity.find("publication_oid");
  TW_ASSIGN_OR_RETURN(
      [[maybe_unused]] const uint32_t publication_oid,
      setup.PreparePublication(
          oid == resume.identity.end() ? 0 : static_cast<uint32_t>(std::stoul("0" + oid->second)),
          *frontier));
  // After a promotion, positions from here on lie on the new timeline.
  SourceIdentity identity = resume.identity;
  identity["timeline"] = std::to_string(setup.server().timeline);
  if (identity != resume.identity) TW_TRY(out.Establish(identity, std::nullopt));
  return *frontier;
}

Status PostgresSource::Stream(ChangeWriter& out, const std::stop_token& stop) {
  bool received = false;  // the socket was read since the last message
  bool room = true;
  bool dry_before = false;
  while (!stop.stop_requested()) {
    TW_TRY(KeepServerInformed());
    if (!room) {
      const auto step =
          std::clamp<Clock::duration>(UntilNextStatus(), milliseconds(1), milliseconds(100));
      room = out.WaitForRoom(std::chrono::duration_cast<milliseconds>(step));
      since_clock_ = kMessagesPerClock;
      last_heard_ = Clock::now();  // it is us who do not listen
      TW_TRY(session_.CheckServerStays());
      continue;
    }
    StreamMessage message;
    TW_ASSIGN_OR_RETURN(const bool got, stream_->Next(message));
    if (got) {
      received = dry_before = false;
      TW_TRY(Handle(message, out));
      continue;
    }
    if (!received) {
      // What libpq holds is handled: a good moment to look whether more may be taken in.
      room = out.WaitForRoom(milliseconds(0));
      if (!room) continue;
      TW_TRY(stream_->Receive());
      received = true;
      continue;
    }
    // Dry. In a backlog that alone means little: only if it stays so.
    if (dry_before) catching_up_ = false;
    dry_before = true;
    if (unflushed_ && !catching_up_) {
      unflushed_ = false;
      TW_TRY(out.Flush());
    }
    const auto silent = Clock::now() - last_heard_;
    if (silent > config_.silence_timeout) {
      return Error{
          Disposition::kRetry, "pg_connection_lost",
          fmt::format("the server has been silent for {} s although it was asked to answer; "
                      "connecting again",
                      std::chrono::duration_cast<std::chrono::seconds>(silent).count())};
    }
    TW_ASSIGN_OR_RETURN(const bool session_spoke,
                        stream_->Wait(std::chrono::ceil<milliseconds>(UntilNextStatus()), wakeup_,
                                      session_.socket(), catching_up_));
    if (session_spoke) TW_TRY(session_.CheckServerStays());
    since_clock_ = kMessagesPerClock;
    received = false;
  }
  return {};
}

Status PostgresSource::Handle(const StreamMessage& message, ChangeWriter& out) {
  last_heard_ = last_loop_;
  return message.kind == StreamMessage::Kind::kData ? HandleData(message, out)
                                                    : HandleKeepalive(message, out);
}

Status PostgresSource::HandleData(const StreamMessage& message, ChangeWriter& out) {
  received_ = std::max({received_, message.wal_start, message.wal_end});
  received_bytes_pending_ += message.payload.size();
  if (message.sent_micros - commit_time_micros_ > kCatchUpMicros) catching_up_ = true;
  batch_.Clear();
  TW_ASSIGN_OR_RETURN(const DecodedEvent event, decoder_.Decode(message.payload, batch_));
  switch (event.kind) {
    case DecodedEvent::Kind::kNothing:
      return {};
    case DecodedEvent::Kind::kBegin: {
      commit_time_micros_ = event.begin.commit_time_micros;
      // The server's own rule: a transaction whose commit record starts below the start is done.
      skipping_ = event.begin.final_lsn < resume_frontier_;
      // Handed on with its first change: most transactions of a busy server hold nothing for us.
      begin_ = event.begin;
      if (skipping_) {
        decoder_.SkipTransaction();
        skipped_transactions_.Add();
        return {};
      }
      return HoldForCopy(event.begin.final_lsn, out);
    }
    case DecodedEvent::Kind::kChanges:
      if (batch_.changes().empty()) return {};
      if (!std::exchange(begun_, true)) TW_TRY(Begin(out));
      for (const Change& change : batch_.changes()) TW_TRY(out.Append(change));
      return {};
    case DecodedEvent::Kind::kMark:
      marks_.emplace_back(event.mark);
      return {};
    case DecodedEvent::Kind::kCommit:
      return HandleCommit(event.commit, out);
    case DecodedEvent::Kind::kAlone: {
      received_ = std::max(received_, event.message_lsn);
      if (batch_.changes().empty()) return {};
      frontier_ = std::max(frontier_, event.message_lsn);
      unflushed_ = true;
      Lsn::Buffer frontier;
      return out.AppendAlone(batch_.changes().front(), event.message_lsn.Print(frontier));
    }
  }
  return Error{Disposition::kFatal, "pg_message_unknown", "an event of no known kind; report this"};
}

Status PostgresSource::HoldForCopy(Lsn commit, ChangeWriter& out) {
  std::string chunk_id;
  for (;;) {
    const CopyGate::Step step = gate_.Ask(commit, chunk_id);
    if (step == CopyGate::Step::kGo) return {};
    if (std::exchange(unflushed_, false)) TW_TRY(out.Flush());
    if (step == CopyGate::Step::kServe) {
      TW_ASSIGN_OR_RETURN(const bool ended, out.ServeCopy(chunk_id, kServeStep));
      if (ended) gate_.Leave(chunk_id);
      unflushed_ = true;
    } else {
      gate_.Wait(kServeStep);
    }
    if (stop_.stop_requested()) return Error{Disposition::kCancelled, "stopped", "asked to stop"};
    since_clock_ = kMessagesPerClock;
    TW_TRY(KeepServerInformed());
    last_heard_ = Clock::now();  // it is us who do not listen
    TW_TRY(session_.CheckServerStays());
  }
}

Status PostgresSource::HandleCommit(const CommitMessage& commit, ChangeWriter& out) {
  received_bytes_.Add(static_cast<double>(std::exchange(received_bytes_pending_, 0)));
  received_ = std::max(received_, commit.end_lsn);
  const bool skipped = std::exchange(skipping_, false);
  const bool begun = std::exchange(begun_, false);
  if (skipped || begun) fence_.Committed(begin_.xid);
  // A transaction without a change for us is passed over; a keepalive covers it once the server
  // has caught up.
  if (begun) {
    frontier_ = std::max(frontier_, commit.end_lsn);
    unflushed_ = true;
    Lsn::Buffer frontier;
    TW_TRY(out.Commit(commit.end_lsn.Print(frontier)));
  }
  for (const std::string& text : std::exchange(marks_, {})) {
    std::optional<Watermark> mark = ParseMark(text);
    if (!mark) continue;
    if (mark->kind == Watermark::Kind::kLow) {
      fence_.MetLow(mark->chunk_id);
    } else {
      mark->sound = fence_.MetHigh(mark->chunk_id);
      unflushed_ = true;
    }
    TW_TRY(out.OnWatermark(*mark));
  }
  return {};
}

Status PostgresSource::Begin(ChangeWriter& out) {
  Lsn::Buffer position;
  char id[10];
  const auto id_end = std::to_chars(id, id + sizeof id, begin_.xid).ptr;
  return out.Begin({.position = begin_.final_lsn.Print(position),
                    .id = {id, static_cast<size_t>(id_end - id)},
                    .commit_time_micros = begin_.commit_time_micros});
}

Status PostgresSource::HandleKeepalive(const StreamMessage& message, ChangeWriter& out) {
  received_ = std::max(received_, message.wal_end);
  reply_requested_ = reply_requested_ || message.reply_requested;
  // Everything that committed before its end has been sent, and is with the writer in that order.
  // Inside a transaction it says nothing.
  if (decoder_.in_transaction()) return {};
  catching_up_ = false;
  if (message.wal_end < frontier_) return {};
  server_has_caught_up_ = true;
  frontier_ = message.wal_end;
  Lsn::Buffer frontier;
  return out.AdvanceIdle(frontier_.Print(frontier));
}

PostgresSource::Clock::duration PostgresSource::UntilNextStatus() const {
  // A server that has nothing to send behind what we confirmed says so only when it is asked, and
  // it answers from where it decodes: ask until that is behind us.
  const bool hurry =
      !server_has_caught_up_ || released_.load(std::memory_order_relaxed) > confirmed_;
  const auto interval = hurry ? std::min<Clock::duration>(kReleaseInterval, config_.status_interval)
                              : Clock::duration(config_.status_interval);
  return last_status_ + interval - Clock::now();
}

Status PostgresSource::KeepServerInformed() {
  // The clock is read once per some messages: a status is never needed to the microsecond.
  if (!reply_requested_ && ++since_clock_ < kMessagesPerClock) return {};
  since_clock_ = 0;
  last_loop_ = Clock::now();
  if (reply_requested_ || UntilNextStatus() <= Clock::duration::zero()) return SendStatus();
  return {};
}

Status PostgresSource::SendStatus() {
  const uint64_t released = released_.load();
  // A healthy server that has nothing to send proves it by its answer.
  const bool ask = !server_has_caught_up_ || Clock::now() - last_heard_ >= config_.status_interval;
  TW_TRY(stream_->SendStatus(received_, Lsn{released}, ask));
  confirmed_ = released;
  reply_requested_ = false;
  last_status_ = Clock::now();
  return {};
}

Error PostgresSource::Judge(Error error) {
  // The server's own words know no positions; ours (gap.h) hold them already.
  if (error.disposition == Disposition::kGap &&
      (error.code == "pg_slot_missing" || error.code == "pg_slot_lost" ||
       error.code == "pg_publication_replaced") &&
      !error.message.ends_with(kWaysOnEnd)) {
    error = WithRange(std::move(error), std::max(frontier_, resume_frontier_),
                      std::max(server_end_, received_));
  }
  if (error.code == "pg_text_needed") {
    if (std::exchange(text_only_, true) || !binary_)
      return Error{Disposition::kNeedsOperator, "pg_unexpected_error", std::move(error.message)};
  }
  // An internal error of the server may pass; the same one at the same place does not.
  if (error.code == "pg_internal_error") {
    troubles_ = troubled_at_ == frontier_ ? troubles_ + 1 : 1;
    troubled_at_ = frontier_;
    if (troubles_ >= kSameTroubleIsFatal) {
      error.disposition = Disposition::kFatal;
      error.message += fmt::format(
          "; the same behind {} {} times in a row: the server cannot decode "
          "its log there, see its own log",
          frontier_.ToString(), troubles_);
    }
  }
  // What a person has to look at is explained there, by code; a test holds it to be complete.
  if (error.disposition == Disposition::kGap || error.disposition == Disposition::kNeedsOperator ||
      error.disposition == Disposition::kFatal)
    error.message += fmt::format(" (more: deploy/runbook.md#{})", error.code);
  return error;
}

}  // namespace tailwater::postgres
