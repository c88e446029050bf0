#include "opensearch/index_catalog.h"

#include <algorithm>
#include <utility>

#include "opensearch/json_view.h"
#include "support/text.h"

namespace tailwater::opensearch {
namespace {

constexpr char kMetaKey[] = "tailwater";

}  // namespace

Status IndexCatalog::Prepare(Cluster& cluster, const TablePlan& plan, const TableSchema& schema) {
  const std::pair<std::string, uint64_t> table(plan.origin, schema.fingerprint());
  const auto known = indices_.find(plan.index);
  if (known != indices_.end() && known->second.prepared.contains(table)) return {};
  Index* index = known == indices_.end() ? nullptr : &known->second;
  if (index == nullptr) {
    TW_ASSIGN_OR_RETURN(index, Load(cluster, plan.index));
  }
  if (index == nullptr) {
    if (!config_.create) {
      return Error{Disposition::kNeedsOperator, "opensearch_index_missing",
                   fmt::format("index {} of table {} is not there, and create is false: create it, "
                               "then the sink goes on",
                               plan.index, schema.table())};
    }
    TW_TRY(Create(cluster, plan, schema));
    TW_ASSIGN_OR_RETURN(index, Load(cluster, plan.index));
    if (index == nullptr) {
      return Error{Disposition::kRetry, "opensearch_unavailable",
                   fmt::format("index {} was made and is not there yet", plan.index)};
    }
  }
  TW_TRY(AddFields(cluster, plan, schema, *index));
  index->prepared.insert(table);
  return {};
}

Result<bool> IndexCatalog::Look(Cluster& cluster, const std::string& index) {
  TW_ASSIGN_OR_RETURN(const Index* found, Load(cluster, index));
  return found != nullptr;
}

Result<IndexCatalog::Index*> IndexCatalog::Load(Cluster& cluster, const std::string& name) {
  const HttpAnswer answer = cluster.Call({"GET", "/" + PathPart(name) + "?flat_settings=true", {}});
  const Judgement judgement = JudgeAdministration(answer, cluster.label());
  if (judgement.outcome == Outcome::kIndexMissing) {
    indices_.erase(name);
    return static_cast<Index*>(nullptr);
  }
  if (!judgement.good()) return ToError(judgement).Within("index " + name);
  const auto body = JsonView::Parse(answer.body);
  std::vector<JsonView> found;
  if (body)
    body->ForEachMember([&](const std::string&, JsonView index) { found.push_back(index); });
  if (found.size() != 1) {
    return Error{
        Disposition::kNeedsOperator, "opensearch_index_unfit",
        fmt::format("{} leads to {} indices; rows are updated in place, so name one index, "
                    "or an alias of one",
                    name, found.size())};
  }
  Index index;
  TW_TRY(Read(name, found[0], index));
  if (!index.fields.contains(kMetaField)) {
    TW_TRY(AddMetaField(cluster, name));
    index.fields.insert(kMetaField);
  }
  return &indices_.insert_or_assign(name, std::move(index)).first->second;
}

Status IndexCatalog::Read(const std::string& name, JsonView answer, Index& index) {
  if (const auto properties = answer.Find("mappings", "properties")) {
    properties->ForEachMember(
        [&](const std::string& field, JsonView) { index.fields.insert(field); });
    if (const auto type = properties->Find(kMetaField, "properties", "origin", "type");
        index.fields.contains(kMetaField) && (!type || type->Text() != "keyword")) {
      return Error{Disposition::kNeedsOperator, "opensearch_index_unfit",
                   fmt::format("index {}: {}.origin is no keyword, so rows that are gone could not "
                               "be found; create the index with the mapping {{\"{}\": {}}}",
                               name, kMetaField, kMetaField, MetaMapping())};
    }
  }
  if (const auto meta = answer.Find("mappings", "_meta")) {
    index.meta = meta->raw();
    index.ours = meta->Find(kMetaKey, "created").has_value();
    if (const auto swept = meta->Find(kMetaKey, "swept")) {
      swept->ForEachMember([&](const std::string& origin, JsonView version) {
        int64_t& known = swept_[origin];
        known = std::max(known, version.Integer().value_or(0));
      });
    }
  }
  if (!index.ours && !answer.Find("settings", "index.gc_deletes") && warned_.insert(name).second) {
    logger_.Warn("index.gc_deletes of the index is 60s: a delete is forgotten after that; raise it",
                 {{"index", name}});
  }
  return {};
}

Status IndexCatalog::Create(Cluster& cluster, const TablePlan& plan, const TableSchema& schema) {
  Index fresh;
  fresh.ours = true;
  std::set<std::string> origins;
  if (swept_.contains(plan.origin)) origins.insert(plan.origin);
  TW_ASSIGN_OR_RETURN(std::string body,
                      IndexBody(plan, schema, config_, server_, MetaOf(fresh, origins)));
  const HttpAnswer answer = cluster.Call({"PUT", "/" + PathPart(plan.index), std::move(body)});
  const Judgement judgement = JudgeAdministration(answer, cluster.label());
  if (judgement.good()) {
    logger_.Info("index created", {{"index", plan.index}, {"table", schema.table()}});
    return {};
  }
  if (answer.body.find("resource_already_exists_exception") != std::string::npos) return {};
  return ToError(judgement).Within("index " + plan.index);
}

Status IndexCatalog::AddFields(Cluster& cluster, const TablePlan& plan, const TableSchema& schema,
                               Index& index) {
  if (!index.ours || !config_.create) return {};
  std::string properties;
  for (const PlannedField& field : plan.fields) {
    // The first part of "a.b" is an object.
    if (index.fields.contains(field.name.substr(0, field.name.find('.')))) continue;
    if (!properties.empty()) properties += ',';
    properties += field.quoted + FieldMapping(schema.columns()[field.column], config_, server_);
  }
  if (properties.empty()) return {};
  const HttpAnswer answer = cluster.Call({"PUT", "/" + PathPart(plan.index) + "/_mapping",
                                          fmt::format(R"({{"properties":{{{}}}}})", properties)});
  if (const Judgement judgement = JudgeAdministration(answer, cluster.label()); !judgement.good()) {
    return ToError(judgement).Within("index " + plan.index);
  }
  for (const PlannedField& field : plan.fields) {
    index.fields.insert(field.name.substr(0, field.name.find('.')));
  }
  return {};
}

Status IndexCatalog::AddMetaField(Cluster& cluster, const std::string& name) {
  const std::string body =
      fmt::format(R"({{"properties":{{"{}":{}}}}})", kMetaField, MetaMapping());
  if (!config_.create) {
    return Error{Disposition::kNeedsOperator, "opensearch_index_unfit",
                 fmt::format("index {} lacks the field {} and create is false: add it with PUT "
                             "{}/_mapping {}",
                             name, kMetaField, name, body)};
  }
  const HttpAnswer answer = cluster.Call({"PUT", "/" + PathPart(name) + "/_mapping", body});
  if (const Judgement judgement = JudgeAdministration(answer, cluster.label()); !judgement.good()) {
    return ToError(judgement).Within("index " + name);
  }
  return {};
}

int64_t IndexCatalog::SweptVersion(std::string_view origin) const {
  const auto swept = swept_.find(origin);
  return swept == swept_.end() ? 0 : swept->second;
}

std::string IndexCatalog::MetaOf(const Index& index, const std::set<std::string>& origins) const {
  std::string out = "{";
  std::set<std::string> all = origins;
  if (const auto meta = JsonView::Parse(index.meta)) {
    meta->ForEachMember([&](const std::string& name, JsonView value) {
      if (name == kMetaKey) return;
      AppendQuoted(name, out);
      out += ':';
      out += value.raw();
      out += ',';
    });
    if (const auto swept = meta->Find(kMetaKey, "swept")) {
      swept->ForEachMember([&](const std::string& origin, JsonView) { all.insert(origin); });
    }
  }
  AppendQuoted(kMetaKey, out);
  out += R"(:{"format":1)";
  if (index.ours) out += R"(,"created":true)";
  out += R"(,"swept":{)";
  bool first = true;
  for (const std::string& origin : all) {
    if (!first) out += ',';
    first = false;
    AppendQuoted(origin, out);
    out += fmt::format(":{}", SweptVersion(origin));
  }
  return out + "}}}";
}

Status IndexCatalog::RememberSweep(Cluster& cluster, const std::string& name,
                                   const std::string& origin, int64_t version) {
  int64_t& known = swept_[origin];
  known = std::max(known, version);
  // Read anew: another process may have written there.
  TW_ASSIGN_OR_RETURN(Index * index, Load(cluster, name));
  if (index == nullptr) return {};
  const std::string meta = MetaOf(*index, {origin});
  const HttpAnswer answer = cluster.Call(
      {"PUT", "/" + PathPart(name) + "/_mapping", fmt::format(R"({{"_meta":{}}})", meta)});
  const Judgement judgement = JudgeAdministration(answer, cluster.label());
  if (judgement.code == "opensearch_permission_missing") {
    // The deletes themselves are remembered one by one, as long as index.gc_deletes says.
    if (!warned_.insert(name + "/_meta").second) return {};
    logger_.Warn(
        "the user may not write _meta of the index: what a sweep removed is remembered "
        "for index.gc_deletes only; grant manage",
        {{"index", name}});
    return {};
  }
  if (!judgement.good()) return ToError(judgement).Within("index " + name);
  index->meta = meta;
  return {};
}

}  // namespace tailwater::opensearch
