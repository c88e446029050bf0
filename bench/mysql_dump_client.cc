// The floor of bench/run.sh --mariadb: asks a server for its log and drops what comes, undecoded.
//   mysql_dump_client URL FILE END     from the beginning of FILE to its place END
#include <fmt/format.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "mysql/binlog_stream.h"
#include "mysql/connection.h"
#include "mysql/mysql_config.h"

namespace {

using namespace std::chrono_literals;
namespace mysql = tailwater::mysql;

tailwater::Status Dump(const char* url, const char* file, uint32_t end) {
  mysql::MysqlConfig config;
  std::string problem;
  if (!mysql::ParseMysqlUrl(url, config, problem)) {
    return tailwater::Error{tailwater::Disposition::kFatal, "usage", problem};
  }
  TW_ASSIGN_OR_RETURN(auto session, mysql::Connection::Open(config, "dump client", {}));
  const mysql::BinlogStream::Options options{
      .from = mysql::LogPosition(mysql::FilePosition{file, 4}), .server_id = 66'02};
  TW_ASSIGN_OR_RETURN(auto stream, mysql::BinlogStream::Start(std::move(session), options));
  const tailwater::Wakeup nobody;
  for (uint32_t place = 0; place < end;) {
    std::string_view packet;
    TW_ASSIGN_OR_RETURN(const bool came, stream->Next(packet));
    if (!came) {
      TW_TRY(stream->Wait(500ms, nobody));
      continue;
    }
    // Of the header: the place behind the event, 0 for those that are not in the file.
    std::memcpy(&place, packet.data() + 13, sizeof place);
  }
  stream->Finish();
  return {};
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 4) {
    fmt::print(stderr, "usage: mysql_dump_client URL FILE END\n");
    return 2;
  }
  const auto status = Dump(arguments[1], arguments[2],
                           static_cast<uint32_t>(std::strtoul(arguments[3], nullptr, 10)));
  if (status) return 0;
  fmt::print(stderr, "{}\n", status.error().message);
  return 1;
}
