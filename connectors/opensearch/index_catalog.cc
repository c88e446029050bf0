#include "opensearch/index_catalog.h"

#include <algorithm>
#include <utility>

#include "opensearch/json_view.h"
#include "support/text.h"
#include "support/url_encoding.h"

namespace tailwater::opensearch {
namespace {

constexpr char kMetaKey[] = "tailwater";

}  // namespace

Status IndexCatalog::Prepare(Cluster& cluster, TablePlan& plan, const TableSchema& schema,
                             bool outdated) {
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
    if (outdated) {
      return Error{Disposition::kReject, "schema_outdated",
                   fmt::format("index {} is not there, and the source has changed table {} since; "
                               "{}",
                               plan.index, schema.table(), CopyAgain(plan, schema))};
    }
    TW_TRY(Create(cluster, plan, schema));
    TW_ASSIGN_OR_RETURN(index, Load(cluster, plan.index));
    if (index == nullptr) {
      return Error{Disposition::kRetry, "opensearch_unavailable",
                   fmt::format("index {} was made and is not there yet", plan.index)};
    }
  }
  if (!outdated) {
    const bool first_use = !index->keys.contains(plan.origin);
    Status followed = FollowKey(cluster, plan, schema, *index);
    if (followed) followed = FollowFields(cluster, plan, schema, first_use, *index);
    if (!followed) {
      const bool was_known = known != indices_.end();
      indices_.erase(plan.index);  // somebody may change it, or has: it is read anew
      if (!was_known || !followed.error().code.starts_with("schema_")) return followed;
      return Prepare(cluster, plan, schema, outdated);
    }
  }
  if (!outdated) index->prepared.insert(table);
  return {};
}

std::string IndexCatalog::CopyAgain(const TablePlan& plan, const TableSchema& schema) const {
  const std::string source = plan.origin.substr(0, plan.origin.size() - schema.table().size() - 1);
  return fmt::format("then copy its rows again: tailwater sources snapshot {} {} --sink {}", source,
                     schema.table(), sink_);
}

Error IndexCatalog::Refuse(std::string_view code, const TablePlan& plan, const TableSchema& schema,
                           std::string_view what) {
  const bool alone = policy_ == SchemaChanges::kIgnore;
  return {alone ? Disposition::kReject : Disposition::kNeedsOperator, code,
          fmt::format("{} cannot go into index {}: {}", schema.table(), plan.index, what)};
}

// The id of a document is made of the key: with another key the old documents would stay for ever.
Status IndexCatalog::FollowKey(Cluster& cluster, const TablePlan& plan, const TableSchema& schema,
                               Index& index) {
  if (!index.ours) return {};
  const auto known = index.keys.find(plan.origin);
  if (known != index.keys.end() && known->second == plan.key) return {};
  if (known != index.keys.end()) {
    const std::string path = "/" + EncodedForUrl(plan.index);
    std::string query = R"({"query":{"term":{"_tailwater.origin":)";
    AppendQuoted(plan.origin, query);
    query += "}}}";
    const HttpAnswer refreshed = cluster.Call({"POST", path + "/_refresh", {}});
    if (const Judgement judgement = JudgeAdministration(refreshed, cluster.label());
        !judgement.good()) {
      return ToError(judgement).Within("index " + plan.index);
    }
    const HttpAnswer answer = cluster.Call({"POST", path + "/_count", query});
    if (const Judgement judgement = JudgeAdministration(answer, cluster.label());
        !judgement.good()) {
      return ToError(judgement).Within("index " + plan.index);
    }
    const auto body = JsonView::Parse(answer.body);
    const auto count = body ? body->Find("count") : std::nullopt;
    if (!count || count->Integer().value_or(1) > 0) {
      return Refuse("schema_incompatible", plan, schema,
                    fmt::format("its key is now ({}), and its documents are found by ({}); remove "
                                "them with POST {}/_delete_by_query {}, or delete the index, {}",
                                plan.key, known->second, path, query, CopyAgain(plan, schema)));
    }
  }
  // Read anew: another process may have written there.
  TW_ASSIGN_OR_RETURN(Index * now, Load(cluster, plan.index));
  if (now == nullptr) {
    return Error{Disposition::kRetry, "opensearch_unavailable",
                 fmt::format("index {} is not there any more", plan.index)};
  }
  now->keys[plan.origin] = plan.key;
  return StoreMeta(cluster, plan.index, *now, {});
}

Status IndexCatalog::FollowFields(Cluster& cluster, TablePlan& plan, const TableSchema& schema,
                                  bool first_use, Index& index) {
  std::string missing;
  std::vector<PlannedField> kept;
  for (const PlannedField& field : plan.fields) {
    const Column& column = schema.columns()[field.column];
    // The first part of "a.b" is an object.
    const std::string name = field.name.substr(0, field.name.find('.'));
    const auto held = index.fields.find(name);
    if (held == index.fields.end()) {
      if (policy_ == SchemaChanges::kIgnore && !(index.ours && first_use)) continue;
      if (!missing.empty()) missing += ',';
      missing += field.quoted + FieldMapping(column, config_, server_);
    } else if (index.ours && policy_ != SchemaChanges::kIgnore && name == field.name &&
               !TakesValuesOf(held->second, column, config_)) {
      return Refuse(
          "schema_incompatible", plan, schema,
          fmt::format("column {} is now {}, the field '{}' is {}, and a field cannot "
                      "become another; delete the index or choose another `index:`, {}. "
                      "With schema_changes: ignore such documents are refused one by one",
                      column.name, column.type_name, name, held->second, CopyAgain(plan, schema)));
    }
    kept.push_back(field);
  }
  plan.left_out += plan.fields.size() - kept.size();
  plan.fields = std::move(kept);
  if (missing.empty()) return {};
  const bool may_add = index.ours && config_.create;
  if (policy_ == SchemaChanges::kHalt && !(may_add && first_use)) {
    return Refuse(
        "schema_change_halted", plan, schema,
        fmt::format("its columns changed, and schema_changes is halt; run PUT /{}/_mapping "
                    R"({{"properties":{{{}}}}}, or set schema_changes: apply)",
                    plan.index, missing));
  }
  if (!may_add) return {};
  TW_TRY(AddFields(cluster, plan, missing));
  for (const PlannedField& field : plan.fields) {
    index.fields.try_emplace(field.name.substr(0, field.name.find('.')));
  }
  return {};
}

Result<bool> IndexCatalog::Look(Cluster& cluster, const std::string& index) {
  TW_ASSIGN_OR_RETURN(const Index* found, Load(cluster, index));
  return found != nullptr;
}

Result<IndexCatalog::Index*> IndexCatalog::Load(Cluster& cluster, const std::string& name) {
  const HttpAnswer answer =
      cluster.Call({"GET", "/" + EncodedForUrl(name) + "?flat_settings=true", {}});
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
    index.fields[kMetaField] = "object";
  }
  return &indices_.insert_or_assign(name, std::move(index)).first->second;
}

Status IndexCatalog::Read(const std::string& name, JsonView answer, Index& index) {
  if (const auto properties = answer.Find("mappings", "properties")) {
    properties->ForEachMember([&](const std::string& field, JsonView mapping) {
      const auto type = mapping.Find("type");
      index.fields[field] = type ? type->Text() : "object";
    });
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
    if (const auto keys = meta->Find(kMetaKey, "keys")) {
      keys->ForEachMember(
          [&](const std::string& origin, JsonView key) { index.keys[origin] = key.Text(); });
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
  fresh.keys[plan.origin] = plan.key;
  TW_ASSIGN_OR_RETURN(std::string body,
                      IndexBody(plan, schema, config_, server_, MetaOf(fresh, origins)));
  const HttpAnswer answer = cluster.Call({"PUT", "/" + EncodedForUrl(plan.index), std::move(body)});
  const Judgement judgement = JudgeAdministration(answer, cluster.label());
  if (judgement.good()) {
    logger_.Info("index created", {{"index", plan.index}, {"table", schema.table()}});
    return {};
  }
  if (answer.body.find("resource_already_exists_exception") != std::string::npos) return {};
  return ToError(judgement).Within("index " + plan.index);
}

Status IndexCatalog::AddFields(Cluster& cluster, const TablePlan& plan,
                               const std::string& properties) {
  const HttpAnswer answer = cluster.Call({"PUT", "/" + EncodedForUrl(plan.index) + "/_mapping",
                                          fmt::format(R"({{"properties":{{{}}}}})", properties)});
  const Judgement judgement = JudgeAdministration(answer, cluster.label());
  if (judgement.good()) return {};
  Error error = ToError(judgement).Within("index " + plan.index);
  // Too many fields, or another process made one of the name: it concerns this table.
  if (error.code == "opensearch_index_refused") error.code = "schema_incompatible";
  return error;
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
  const HttpAnswer answer = cluster.Call({"PUT", "/" + EncodedForUrl(name) + "/_mapping", body});
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
  out += R"(},"keys":{)";
  first = true;
  for (const auto& [origin, key] : index.keys) {
    if (!first) out += ',';
    first = false;
    AppendQuoted(origin, out);
    out += ':';
    AppendQuoted(key, out);
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
  return StoreMeta(cluster, name, *index, {origin});
}

Status IndexCatalog::StoreMeta(Cluster& cluster, const std::string& name, Index& index,
                               const std::set<std::string>& origins) {
  const std::string meta = MetaOf(index, origins);
  const HttpAnswer answer = cluster.Call(
      {"PUT", "/" + EncodedForUrl(name) + "/_mapping", fmt::format(R"({{"_meta":{}}})", meta)});
  const Judgement judgement = JudgeAdministration(answer, cluster.label());
  if (judgement.code == "opensearch_permission_missing") {
    // The deletes themselves are remembered one by one, as long as index.gc_deletes says.
    if (!warned_.insert(name + "/_meta").second) return {};
    logger_.Warn(
        "the user may not write _meta of the index: what a sweep removed is remembered "
        "for index.gc_deletes only, and another key is not noticed; grant manage",
        {{"index", name}});
    return {};
  }
  if (!judgement.good()) return ToError(judgement).Within("index " + name);
  index.meta = meta;
  return {};
}

}  // namespace tailwater::opensearch
