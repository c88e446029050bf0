#include "mysql/mysql_source.h"

#include <algorithm>
#include <utility>

#include "mysql/gap.h"
#include "mysql/log_began.h"
#include "mysql/mysql_tools.h"
#include "mysql/setup.h"
#include "mysql/snapshot_reader.h"
#include "mysql/wire_bytes.h"
#include "support/crash_point.h"
#include "support/text.h"

namespace tailwater::mysql {
namespace {

using std::chrono::milliseconds;

// Groups without a change for us are told of this often while they come thick.
constexpr auto kAdvanceInterval = milliseconds(100);
constexpr auto kIdleWait = milliseconds(1000);
constexpr auto kRoomStep = milliseconds(100);
constexpr int kEventsPerRoom = 32;
constexpr int kSameTroubleIsFatal = 2;
constexpr auto kUndecidedPatience = std::chrono::seconds(3);
constexpr auto kLookInterval = std::chrono::seconds(2);
constexpr int kUnheardLooksAreTrouble = 2;

ChangeDecoder::Options DecoderOptions(const MysqlConfig& config, const SourceContext& context,
                                      SqlSession& session) {
  return {.selects_table =
              [selection = context.tables, source = context.name](const TableName& table) {
                return selection.Selects(source, table.ToString());
              },
          .values = {.zero_dates = config.zero_dates, .invalid_text = config.invalid_text},
          .scratch_dir = context.scratch_dir,
          .describe_table = [&config, &session](const TableName& table) -> Result<SchemaPtr> {
            TW_ASSIGN_OR_RETURN(Connection * sql, session.Get());
            return DescribeSchema(*sql, config, table);
          },
          .captured_tables = [&context, &session]() -> Result<std::vector<TableName>> {
            TW_ASSIGN_OR_RETURN(Connection * sql, session.Get());
            TW_ASSIGN_OR_RETURN(const std::vector<TableEntryFacts> all, ReadTables(*sql));
            std::vector<TableName> names;
            for (const auto* table : SelectTables(all, context.tables, context.name).tables) {
              names.push_back(table->name);
            }
            return names;
          }};
}

// A line that broke may garble what it carries; a file that is damaged stays so.
bool MayBeTheLine(std::string_view code) {
  return code == "mysql_checksum" || code == "mysql_event_malformed" ||
         code == "mysql_payload_malformed" || code == "mysql_log_corrupted";
}

// Of a file's first event: when it was begun.
std::optional<int64_t> FileBegan(std::string_view packet) {
  if (packet.size() < 5 || static_cast<EventType>(packet[4]) != EventType::kFormatDescription)
    return std::nullopt;
  return static_cast<int64_t>(LoadLittle(packet.data(), 4));
}

}  // namespace

MysqlSource::MysqlSource(MysqlConfig config, SourceContext context)
    : config_(std::move(config)),
      context_(std::move(context)),
      received_bytes_(
          context_.metrics.GetCounter("tailwater_source_received_bytes_total",
                                      "Bytes of change messages received from the server.")),
      marks_(wakeup_),
      session_(config_, fmt::format("tailwater {}/{} sql", context_.pipeline, context_.name)),
      catalog_(session_),
      decoder_(DecoderOptions(config_, context_, session_), catalog_) {}

Status MysqlSource::Run(const ResumePoint& resume, ChangeWriter& out, std::stop_token stop) {
  const std::stop_callback wake(stop, [this] { wakeup_.Wake(); });
  const Interrupt interrupt{stop, &wakeup_};
  stop_ = stop;
  out_ = &out;
  Status status = Prepare(resume, out, interrupt);
  if (status) {
    status = Stream(out, stop);
    marks_.End();
    CountReceived();
    if (status) {
      stream_->Finish();
      context_.logger.Info("streaming stopped",
                           {{"position", Shorten(decoder_.position().ToString())}});
    }
  }
  stream_.reset();
  session_.Close();
  if (!status && status.error().code == "stopped" && stop.stop_requested()) status = {};
  if (!status) return Judge(std::move(status).error());
  return status;
}

Result<std::unique_ptr<SnapshotReader>> MysqlSource::OpenSnapshotReader(std::stop_token stop) {
  TW_ASSIGN_OR_RETURN(auto reader,
                      MysqlSnapshotReader::Open(config_, context_, marks_, std::move(stop)));
  return std::unique_ptr<SnapshotReader>(std::move(reader));
}

Status MysqlSource::Prepare(const ResumePoint& resume, ChangeWriter& out,
                            const Interrupt& interrupt) {
  session_.Use(interrupt);
  catalog_.Reset();
  resume_position_.reset();
  advanced_.clear();
  if (resume.frontier) {
    advanced_ = resume.frontier->text;
    resume_position_ = ParsePosition(advanced_);
  }
  TW_ASSIGN_OR_RETURN(Connection * sql, session_.Get());
  Setup setup(config_, context_, *sql, interrupt);
  TW_ASSIGN_OR_RETURN(const LogPosition position, Establish(resume, out, setup));
  resume_position_ = position;

  decoder_.Reset(position);
  decoder_.FoldNames(setup.server().lower_case_table_names == 1);
  decoder_.ForgivePrepared(setup.prepared_before());
  advanced_ = position.ToString();
  passed_ = unflushed_ = false;
  counted_bytes_ = 0;
  since_room_ = 0;
  last_advance_ = {};
  file_.clear();
  last_end_.reset();
  unheard_looks_ = 0;
  heard_ = false;
  last_look_ = Clock::now();
  undecided_.clear();
  TW_ASSIGN_OR_RETURN(server_, ReadServerIdentity(*sql));
  TW_ASSIGN_OR_RETURN(
      std::unique_ptr<Connection> connection,
      Connection::Open(config_, fmt::format("tailwater {}/{}", context_.pipeline, context_.name),
                       interrupt));
  const ReaderId reader = ReaderIdFor(config_, context_.pipeline, context_.name);
  TW_ASSIGN_OR_RETURN(stream_, BinlogStream::Start(std::move(connection),
                                                   {.from = position.ReadFrom(),
                                                    .server_id = reader.server_id,
                                                    .replica_uuid = reader.uuid,
                                                    .silence_timeout = config_.silence_timeout}));
  marks_.Begin(server_);
  context_.logger.Info(
      "streaming started",
      {{"server", server_}, {"server_id", reader.server_id}, {"position", Shorten(advanced_)}});
  return {};
}

Result<LogPosition> MysqlSource::Establish(const ResumePoint& resume, ChangeWriter& out,
                                           Setup& setup) {
  TW_TRY(setup.Look());
  if (!resume.frontier) {
    // Refused before the intent is stored, so that a refusal leaves no trace.
    if (resume.identity.empty()) {
      TW_TRY(setup.CheckFirstStart());
      TW_TRY(out.Establish(setup.Identity(), std::nullopt));
      TW_CRASH_POINT("mysql_intent_established");
    } else {
      TW_TRY(setup.CheckSameServer(resume.identity));
    }
    TW_ASSIGN_OR_RETURN(const LogPosition start, setup.Start());
    TW_TRY(out.Establish(setup.Identity(), Position{start.ToString()}));
    TW_CRASH_POINT("mysql_frontier_established");
    return start;
  }
  TW_ASSIGN_OR_RETURN(const LogPosition position,
                      setup.CheckResume(resume.identity, resume.frontier->text));
  // After a failover, an upgrade, a rotation: what the next resume compares with.
  SourceIdentity identity = setup.Identity();
  identity["positions"] = resume.identity.at("positions");
  identity.insert(resume.identity.begin(), resume.identity.end());
  if (identity != resume.identity) TW_TRY(out.Establish(identity, std::nullopt));
  return position;
}

Status MysqlSource::Stream(ChangeWriter& out, const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    TW_ASSIGN_OR_RETURN(const bool goes, ShowMarks());
    if (!goes) continue;
    if (++since_room_ >= kEventsPerRoom) TW_TRY(WaitForRoom());
    std::string_view packet;
    TW_ASSIGN_OR_RETURN(const bool got, stream_->Next(packet));
    if (got) {
      const std::optional<int64_t> began = FileBegan(packet);
      TW_TRY(decoder_.Decode(packet, *this));
      if (!decoder_.saw_heartbeat()) heard_ = true;
      if (began) TW_TRY(WhenFileBegins(*began));
      continue;
    }
    TW_TRY(WhenDry());
    TW_TRY(LookAtEnd());
    TellUndecided();
    // What waits for room waits there: a heartbeat that nobody reads is no silence.
    if (!out.WaitForRoom(milliseconds(0))) {
      TW_TRY(WaitForRoom());
      continue;
    }
    TW_TRY(stream_->Wait(kIdleWait, wakeup_));
  }
  return {};
}

Result<bool> MysqlSource::ShowMarks() {
  if (!decoder_.between_groups()) return true;
  TW_ASSIGN_OR_RETURN(const bool goes, marks_.Show(decoder_.position(), decoder_.place(), *out_));
  // While a copy is served nothing else makes what came before it visible.
  if (!goes && std::exchange(unflushed_, false)) TW_TRY(out_->Flush());
  return goes;
}

// All that the server has sent is with the writer.
Status MysqlSource::WhenDry() {
  CountReceived();
  if (decoder_.between_groups()) {
    const LogPosition& position = decoder_.position();
    if (std::exchange(passed_, false)) {
      TW_TRY(Advance(position));
    } else if (position.form() == LogPosition::Form::kFile && position.undecided().empty() &&
               !decoder_.place().file.empty() && decoder_.place().file != position.file().file) {
      // The file was changed and nothing happened since: the old one may go.
      TW_TRY(Advance(LogPosition(decoder_.place())));
    } else {
      // Nothing moved, but the writer learns that there is no more, once at least in each run.
      TW_TRY(out_->AdvanceIdle(advanced_));
    }
  }
  // Also without a commit since the last one: it gives the turn to those who store how far copies
  // are, and marks take it.
  unflushed_ = false;
  return out_->Flush();
}

void MysqlSource::TellUndecided() {
  const std::vector<std::string> xids = decoder_.undecided_xids();
  std::erase_if(undecided_, [&](const auto& entry) {
    return std::find(xids.begin(), xids.end(), entry.first) == xids.end();
  });
  for (const std::string& xid : xids) {
    Undecided& one = undecided_.try_emplace(xid, Undecided{Clock::now()}).first->second;
    if (one.told || Clock::now() - one.since < kUndecidedPatience) continue;
    one.told = true;
    context_.logger.Warn(
        "an XA transaction is prepared and not decided: its changes wait, and the log has to stay "
        "until it is committed or rolled back (XA RECOVER lists it)",
        {{"xid", xid}});
  }
}

Status MysqlSource::LookAtEnd() {
  if (Clock::now() - last_look_ < kLookInterval) return {};
  last_look_ = Clock::now();
  TW_ASSIGN_OR_RETURN(Connection * sql, session_.Get());
  Result<LogStatus> status = ReadLogStatus(*sql);
  if (!status && sql->broken()) {  // idle ones are ended by whoever stands in between
    TW_ASSIGN_OR_RETURN(sql, session_.Get());
    status = ReadLogStatus(*sql);
  }
  if (!status) return std::move(status).error();
  const std::optional<FilePosition> before = std::exchange(last_end_, status->end);
  const bool silent = !std::exchange(heard_, false) && before && *before != *last_end_;
  unheard_looks_ = silent ? unheard_looks_ + 1 : 0;
  const FilePosition& place = decoder_.place();
  const bool back =
      (before && last_end_->Before(*before)) || (!place.file.empty() && last_end_->Before(place));
  if (!back && unheard_looks_ < kUnheardLooksAreTrouble) return {};
  TW_ASSIGN_OR_RETURN(const std::string server, ReadServerIdentity(*sql));
  if (server != server_) {  // the address leads to several
    last_end_.reset();
    return {};
  }
  // What became of the log is for the checks of the next start to say.
  return Error{Disposition::kRetry, "mysql_stream_stuck",
               fmt::format("the server's log {} to {}, but nothing of it comes; connecting again",
                           back ? "went back" : "has grown", last_end_->ToString())};
}

Status MysqlSource::WhenFileBegins(int64_t began) {
  const std::string& file = decoder_.place().file;
  if (file == file_) return {};
  const std::string before = std::exchange(file_, file);
  const int64_t expected = std::exchange(began_, began);
  if (before.empty()) return {};
  TW_ASSIGN_OR_RETURN(const std::optional<int64_t> found,
                      ReadBegan(config_, context_, "look", server_, before, session_.interrupt()));
  if (!found || *found == expected) return {};
  return Gap("mysql_log_reset",
             fmt::format("{}, which we have read, is another file now: the log was reset (RESET "
                         "BINARY LOGS AND GTIDS, RESET MASTER) while it was read",
                         before),
             fmt::format("changes behind {} cannot be had", Shorten(advanced_)));
}

Status MysqlSource::Advance(const LogPosition& position) {
  last_advance_ = Clock::now();
  std::string text = position.ToString();
  if (text == advanced_) return {};
  advanced_ = std::move(text);
  return out_->AdvanceIdle(advanced_);
}

// While there is none, nothing is read: the server blocks, which it may for net_write_timeout.
Status MysqlSource::WaitForRoom() {
  since_room_ = 0;
  while (!out_->WaitForRoom(milliseconds(0))) {
    CountReceived();
    if (stop_.stop_requested()) return Error{Disposition::kCancelled, "stopped", "asked to stop"};
    if (out_->WaitForRoom(kRoomStep)) break;
  }
  return {};
}

void MysqlSource::CountReceived() {
  const uint64_t received = stream_->received_bytes();
  if (received == counted_bytes_) return;
  received_bytes_.Add(static_cast<double>(received - counted_bytes_));
  counted_bytes_ = received;
}

Status MysqlSource::Begin(const Transaction& transaction) { return out_->Begin(transaction); }

Status MysqlSource::Append(std::span<const Change> parts) {
  for (const Change& change : parts) TW_TRY(out_->Append(change));
  if (++since_room_ >= kEventsPerRoom) return WaitForRoom();
  return {};
}

Status MysqlSource::Commit(const LogPosition& position) {
  passed_ = false;
  unflushed_ = true;
  advanced_ = position.ToString();
  return out_->Commit(advanced_);
}

Status MysqlSource::Passed(const LogPosition& position) {
  passed_ = true;
  if (Clock::now() - last_advance_ < kAdvanceInterval) return {};
  passed_ = false;
  return Advance(position);
}

Status MysqlSource::RowsReplaced(const TableName& table, std::string_view why) {
  unflushed_ = true;
  return out_->RowsReplaced(table.ToString(), why);
}

Error MysqlSource::Judge(Error error) {
  // The server's own words know no positions; ours (gap.h) hold them already.
  if (error.disposition == Disposition::kGap && resume_position_ &&
      !error.message.ends_with(kWaysOnEnd)) {
    error = WithRange(std::move(error), ParsePosition(advanced_).value_or(*resume_position_));
  }
  if (MayBeTheLine(error.code) && error.disposition == Disposition::kFatal) {
    troubles_ = troubled_at_ == advanced_ ? troubles_ + 1 : 1;
    troubled_at_ = advanced_;
    if (troubles_ < kSameTroubleIsFatal) {
      error.disposition = Disposition::kRetry;
      error.message += "; reading it once more";
    }
  }
  // What a person has to look at is explained there, by code; a test holds it to be complete.
  if (error.disposition == Disposition::kGap || error.disposition == Disposition::kNeedsOperator ||
      error.disposition == Disposition::kFatal)
    error.message += fmt::format(" (more: deploy/runbook.md#{})", error.code);
  return error;
}

}  // namespace tailwater::mysql
