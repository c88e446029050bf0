// The block `source` of Debezium's records: which server, which place of its log. Each family of
// connectors has a form of its own.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "tailwater/change.h"
#include "tailwater/registry.h"
#include "tailwater/result.h"

namespace tailwater::kafka_sink {

// The source's type, as SourceFacts has it.
std::string SourceSchema(std::string_view type);

// "source":{…}. `server_name` is Debezium's topic.prefix; `now_micros` stands in where the change
// has no time of its own.
Status AppendSource(const Change& change, const SourceFacts& facts, std::string_view server_name,
                    int64_t now_micros, std::string& out);

}  // namespace tailwater::kafka_sink
