// The one place that says what an error of librdkafka or a broker means: what to do, under which
// code, in which words. Used by the .cc files of this folder alone.
#pragma once

#include <librdkafka/rdkafka.h>

#include <span>
#include <string_view>

#include "tailwater/result.h"

namespace tailwater::kafka {

struct ErrorRow {
  rd_kafka_resp_err_t error;
  Disposition disposition;
  std::string_view code;
  std::string_view advice;  // what to do, for people; follows the error's own text
};

std::span<const ErrorRow> ErrorTable();

// The row of an error. What the table does not name is kRetry "kafka_client_failed": a new handle
// starts from what the cluster says.
const ErrorRow& FindErrorRow(rd_kafka_resp_err_t error);

// "commit: Broker: Not enough in-sync replicas: …what to do". `detail` replaces the error's own
// text.
Error MakeError(rd_kafka_resp_err_t error, std::string_view doing, std::string_view detail = {});

// The code of an error that says no more than that an answer did not come in time: the brokers may
// have said why.
bool IsSilence(rd_kafka_resp_err_t error);

}  // namespace tailwater::kafka
