// ReadBack by SQL.
#pragma once

#include "postgres/read_back.h"
#include "postgres/sql_session.h"
#include "tailwater/metrics.h"

namespace tailwater::postgres {

class SqlReadBack final : public ReadBack {
 public:
  // `enabled` false: answers "not found", so that the columns become omitted.
  SqlReadBack(SqlSession& session, bool enabled, Counter& reads)
      : session_(session), enabled_(enabled), reads_(reads) {}
  Result<ReadBackAnswer> Read(const ReadBackRequest& request) override;

 private:
  // Nothing: the transaction is not visible yet, or the table changed under the query.
  Result<std::optional<ReadBackAnswer>> TryRead(const ReadBackRequest& request, bool key_as_text);

  SqlSession& session_;
  const bool enabled_;
  Counter& reads_;
};

}  // namespace tailwater::postgres
