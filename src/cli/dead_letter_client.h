// The API of one sink's dead letters, as the command line uses it.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "cli/api_client.h"
#include "cli/running_sink.h"
#include "tailwater/result.h"

namespace tailwater {

// What a command's options and arguments choose.
struct DeadLetterQuery {
  std::vector<std::string> ids;
  std::string source;
  std::string table;
  std::string code;
  std::string state;  // "dead", "parked", or any

  bool empty() const {
    return ids.empty() && source.empty() && table.empty() && code.empty() && state.empty();
  }
};

class DeadLetterClient {
 public:
  using Json = nlohmann::ordered_json;

  // Finds the sink among those that the daemon runs. An empty name or pipeline stands for the only
  // one there is. kReject "sink_unknown": it is unknown or ambiguous; the message names all.
  static Result<DeadLetterClient> Find(ApiAddress api, const std::string& pipeline,
                                       const std::string& sink);

  const std::string& pipeline() const { return pipeline_; }
  const std::string& sink() const { return sink_; }

  static constexpr size_t kPageRecords = 1'000;  // of a page at most, as the API has it
  // One page: at most `limit` records from `from` on, a place as the API prints it, or empty.
  Result<Json> Page(const DeadLetterQuery& query, const std::string& from, size_t limit) const;
  // All pages; `each` is given every record and ends the walk with false. Answers the first page's
  // document, without its records.
  Result<Json> ForEach(const DeadLetterQuery& query,
                       const std::function<bool(const Json& letter)>& each) const;
  // As the daemon wrote it. `place`: "0:1234".
  Result<std::string> Show(const std::string& place, bool raw) const;
  // How many keys. All records if the query is empty: the caller has made sure of that.
  Result<uint64_t> Replay(const DeadLetterQuery& query) const;
  // How many records; dead ones only unless the query names a state or ids.
  Result<uint64_t> Drop(const DeadLetterQuery& query) const;
  // The sink's part of the status document.
  Result<Json> Status() const;

 private:
  DeadLetterClient(ApiAddress api, std::string pipeline, std::string sink);
  Result<uint64_t> Post(const char* what, const char* counted, const DeadLetterQuery& query) const;

  ApiAddress api_;
  std::string pipeline_;
  std::string sink_;
  std::string path_;
};

}  // namespace tailwater
