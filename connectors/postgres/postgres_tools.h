// SourceTools of `type: postgres`: check, watch, list and drop.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "postgres/connection.h"
#include "postgres/postgres_config.h"
#include "postgres/setup.h"
#include "tailwater/registry.h"
#include "tailwater/source.h"

namespace tailwater::postgres {

// See digest.cc.
Result<TableDigest> DigestTable(const PostgresConfig& config, const SourceContext& context,
                                const std::string& table);

// Threads: one call at a time. Watch() keeps its session open between calls; a statement of it that
// takes longer than ten seconds is given up.
class PostgresTools final : public SourceTools {
 public:
  PostgresTools(PostgresConfig config, SourceContext context)
      : config_(std::move(config)),
        context_(std::move(context)),
        names_(NamesFor(config_, context_.pipeline, context_.name)) {}

  Result<std::vector<Finding>> Check() override;
  Result<std::vector<TableDescription>> DescribeTables() override;
  Result<LogHealth> Watch() override;
  Result<Position> LogEnd() override;
  Result<bool> HasReached(const Position& frontier, const Position& target) override;
  Result<std::vector<OwnedObject>> ListOwned() override;
  Status Drop(const OwnedObject& object) override;
  Result<TableDigest> Digest(const std::string& table) override {
    return DigestTable(config_, context_, table);
  }

 private:
  // The session of the last call, opened anew if it broke.
  Result<Connection*> Session();
  // `look` on that session; once more on a new one if the old one had died unnoticed.
  Result<Rows> Ask(const std::string& sql, const std::vector<std::string>& parameters = {});
  Result<LogHealth> Look();
  std::string SlotPrefix() const;
  std::string TagPrefix() const;

  const PostgresConfig config_;
  const SourceContext context_;
  const OwnNames names_;
  std::unique_ptr<Connection> session_;
};

// The selected tables as the stream will describe them; see describe.cc.
Result<std::vector<TableDescription>> DescribeTables(const PostgresConfig& config,
                                                     const SourceContext& context);

// The findings of `tailwater check`; see check.cc.
std::vector<Finding> CheckServer(const PostgresConfig& config, const SourceContext& context);

}  // namespace tailwater::postgres
