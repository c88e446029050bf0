// The API of dead letters, as a client on the other side of the socket sees it.
#include "http/dead_letter_routes.h"

#include <curl/curl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "codec/codec.h"
#include "support/manual_clock.h"
#include "support/matchers.h"
#include "support/memory_topic.h"
#include "support/random_change.h"

namespace tailwater {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

struct Answer {
  long status = 0;
  std::string body;
  std::string headers;
  json Json() const { return json::parse(body, nullptr, false); }
};

size_t Collect(char* data, size_t size, size_t count, void* out) {
  static_cast<std::string*>(out)->append(data, size * count);
  return size * count;
}

constexpr char kJson[] = "Content-Type: application/json";
const std::string kPath = "/api/v1/pipelines/shop/sinks/hooks/dead-letters";

class DeadLetterRoutes : public ::testing::Test {
 protected:
  void SetUp() override {
    auto subscription = topic_.Subscribe("hooks", {}, nullptr);
    ASSERT_OK(subscription);
    subscription_ = *std::move(subscription);
    const std::shared_ptr<Topic> topic(std::shared_ptr<void>(), &topic_);
    ApiSink hooks{"shop", "hooks", topic};
    hooks.requeue = [this](const DeadLetterFilter& filter, std::chrono::milliseconds) {
      filter_ = filter;
      return answer_;
    };
    hooks.drop = hooks.requeue;
    const std::vector<ApiSink> sinks = {hooks, {"shop", "elsewhere", topic}};
    AddDeadLetterRoutes(server_, [sinks] { return sinks; }, clock_);
    ASSERT_OK(server_.Start());
  }

  void Add(int64_t offset, const std::string& code, std::string value = "no record") {
    DeadLetter letter;
    letter.offset = offset;
    letter.id = "shop:1:0/" + std::to_string(offset) + ":0:0";
    letter.source = "shop";
    letter.table = "public.user_plans";
    letter.version = 7;
    letter.key = "a \"secret\" key";
    letter.value = std::move(value);
    letter.code = code;
    letter.reason = "the endpoint answered";
    letter.attempts = 3;
    letter.first_seen_micros = 1'700'000'000'000'000;
    if (code == "key_blocked") {
      letter.state = DeadLetter::State::kParked;
      letter.blocks_key = true;
    }
    Subscription::Update update;
    update.add = {letter};
    ASSERT_OK(subscription_->Commit(subscription_->Poll({})->generation, update));
  }

  Answer Ask(const std::string& method, const std::string& path, const std::string& body = "",
             const std::vector<std::string>& headers = {kJson}) {
    Answer answer;
    CURL* curl = curl_easy_init();
    curl_slist* list = nullptr;
    for (const std::string& header : headers) list = curl_slist_append(list, header.c_str());
    curl_easy_setopt(curl, CURLOPT_URL, ("http://" + server_.address() + path).c_str());
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, list);
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    if (method == "POST" || method == "PUT") {
      curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, static_cast<long>(body.size()));
      curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body.c_str());
    }
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method.c_str());
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, Collect);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &answer.body);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, Collect);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, &answer.headers);
    if (curl_easy_perform(curl) == CURLE_OK)
      curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer.status);
    curl_slist_free_all(list);
    curl_easy_cleanup(curl);
    return answer;
  }
  Answer Get(const std::string& path) { return Ask("GET", path, "", {}); }
  Answer Post(const std::string& what, const std::string& body) {
    return Ask("POST", kPath + "/" + what, body);
  }
  static std::vector<std::string> Places(const json& answer) {
    std::vector<std::string> places;
    for (const json& letter : answer["dead_letters"]) places.push_back(letter["place"]);
    return places;
  }

  StubMemoryTopic topic_;
  std::unique_ptr<Subscription> subscription_;
  ManualClock clock_;
  std::optional<DeadLetterFilter> filter_;  // of the last call to the runner
  Result<uint64_t> answer_ = 5;
  HttpServer server_{{.listen = "127.0.0.1:0", .token = {}}};
};

TEST_F(DeadLetterRoutes, ListsWithoutTheRowsValues) {
  Add(3, "http_410", "a \"secret\" value");
  const Answer answer = Get(kPath);
  ASSERT_EQ(answer.status, 200);
  const json list = answer.Json();
  EXPECT_EQ(list["pipeline"], "shop");
  EXPECT_EQ(list["sink"], "hooks");
  EXPECT_EQ(list["matched"], 1);
  EXPECT_FALSE(list.contains("next"));
  ASSERT_EQ(list["dead_letters"].size(), 1u);
  EXPECT_EQ(list["dead_letters"][0], (json{{"place", "0:3"},
                                           {"id", "shop:1:0/3:0:0"},
                                           {"source", "shop"},
                                           {"table", "public.user_plans"},
                                           {"state", "dead"},
                                           {"blocks_key", false},
                                           {"code", "http_410"},
                                           {"reason", "the endpoint answered"},
                                           {"attempts", 3},
                                           {"first_seen_at", "2023-11-14T22:13:20.000Z"},
                                           {"version", 7},
                                           {"bytes", 30}}));
  EXPECT_THAT(answer.body, Not(HasSubstr("secret")));
}

TEST_F(DeadLetterRoutes, ListsByFilterAndPage) {
  for (int i = 0; i < 5; ++i) Add(i, i == 2 ? "key_blocked" : "http_410");
  EXPECT_THAT(Places(Get(kPath + "?state=parked").Json()), ElementsAre("0:2"));
  EXPECT_THAT(Places(Get(kPath + "?code=http_410&limit=2&from=0:1").Json()),
              ElementsAre("0:1", "0:3"));
  const json page = Get(kPath + "?code=http_410&limit=2").Json();
  EXPECT_EQ(page["matched"], 4);
  EXPECT_EQ(page["next"], "0:3");
  EXPECT_THAT(Places(Get(kPath + "?id=shop:1:0%2F4:0:0&id=shop:1:0%2F0:0:0").Json()),
              ElementsAre("0:0", "0:4"));
  EXPECT_THAT(Places(Get(kPath + "?source=shop&table=public.none").Json()), ElementsAre());
}

TEST_F(DeadLetterRoutes, RefusesWhatItDoesNotUnderstand) {
  for (const auto& [query, why] :
       std::map<std::string, std::string>{{"?stat=dead", "did you mean 'state'"},
                                          {"?state=deed", "there are dead and parked"},
                                          {"?limit=0", "from 1 to 1000"},
                                          {"?limit=1001", "from 1 to 1000"},
                                          {"?limit=ten", "from 1 to 1000"},
                                          {"?from=3", "PARTITION:OFFSET"},
                                          {"?from=0:x", "PARTITION:OFFSET"}}) {
    const Answer answer = Get(kPath + query);
    EXPECT_EQ(answer.status, 400) << query;
    EXPECT_THAT(answer.body, HasSubstr(why)) << query;
  }
  EXPECT_EQ(Get(kPath + "/0:99999999999999999999").status, 400);
  EXPECT_EQ(Get(kPath + "/0:3?raw=yes").status, 400);
}

TEST_F(DeadLetterRoutes, ShowsTheChangeAndTheBytesOnRequest) {
  ChangeBatch batch;
  const Change& change = RandomChange(7).Append(batch);
  std::string value;
  Encoder().EncodeChange(change, value);
  Add(3, "http_410", value);
  Answer answer = Get(kPath + "/0:3");
  ASSERT_EQ(answer.status, 200);
  json shown = answer.Json();
  ASSERT_TRUE(shown.is_object()) << answer.body;
  EXPECT_EQ(shown["code"], "http_410");
  EXPECT_EQ(shown["change"]["source"], std::string(change.source));
  EXPECT_FALSE(shown.contains("raw"));
  shown = Get(kPath + "/0:3?raw=true").Json();
  EXPECT_EQ(shown["raw"]["key"], "YSAic2VjcmV0IiBrZXk=");
  EXPECT_EQ(shown["raw"]["value"].get<std::string>().size(), (value.size() + 2) / 3 * 4);
  EXPECT_EQ(Get(kPath + "/0:4").status, 404);
  EXPECT_EQ(Get(kPath + "/0:2").Json()["error"]["code"], "dead_letter_not_found");
}

TEST_F(DeadLetterRoutes, ShowsARecordThatCannotBeDecoded) {
  Add(3, "record_malformed", "\xff\xff no change");
  const Answer answer = Get(kPath + "/0:3?raw=true");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.Json()["change_error"]["code"], "record_malformed");
  EXPECT_EQ(answer.Json()["raw"]["value"], "//8gbm8gY2hhbmdl");
}

TEST_F(DeadLetterRoutes, ReplaysAndDropsByFilter) {
  Answer answer = Post("replay", R"({"ids": ["a", "b"], "table": "t", "source": "s"})");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.Json(), (json{{"keys", 5}}));
  ASSERT_TRUE(filter_);
  EXPECT_THAT(filter_->ids, ElementsAre("a", "b"));
  EXPECT_EQ(filter_->table, "t");
  EXPECT_EQ(filter_->source, "s");
  EXPECT_EQ(filter_->state, std::nullopt);
  answer = Post("drop", R"({"state": "parked", "code": "http_410"})");
  EXPECT_EQ(answer.Json(), (json{{"dropped", 5}}));
  EXPECT_EQ(filter_->state, DeadLetter::State::kParked);
  EXPECT_EQ(filter_->code, "http_410");
  EXPECT_EQ(Post("replay", R"({"all": true})").status, 200);
  EXPECT_TRUE(filter_->ids.empty() && filter_->code.empty() && !filter_->state);
}

TEST_F(DeadLetterRoutes, RefusesAFilterThatWouldTakeMoreThanWasMeant) {
  for (const char* body :
       {"", "{}", "[]", "null", R"({"all": false})", R"({"all": 1})", R"({"ids": []})",
        R"({"ids": "a"})", R"({"ids": [1]})", R"({"code": ""})", R"({"code": 4})",
        R"({"state": "deed"})", R"({"tabel": "t", "all": true})", R"({"ids": ["a"]} {})"}) {
    for (const char* what : {"replay", "drop"}) {
      const Answer answer = Post(what, body);
      EXPECT_EQ(answer.status, 400) << body;
      EXPECT_EQ(answer.Json()["error"]["code"], "request_invalid") << body;
    }
  }
  EXPECT_THAT(Post("drop", R"({"tabel": "t"})").body, HasSubstr("did you mean 'table'"));
  EXPECT_FALSE(filter_);
}

TEST_F(DeadLetterRoutes, RefusesWhatAFormOfAForeignPageCouldSend) {
  for (const char* type :
       {"Content-Type: text/plain", "Content-Type: application/x-www-form-urlencoded",
        "Content-Type:", "Content-Type: text/plain; application/json",
        "Content-Type: application/jsonp"}) {
    EXPECT_EQ(Ask("POST", kPath + "/drop", R"({"all": true})", {type}).status, 415) << type;
  }
  // This one is read as a form, which it is not either.
  EXPECT_NE(Ask("POST", kPath + "/drop", R"({"all": true})",
                {"Content-Type: multipart/form-data; boundary=x"})
                .status,
            200);
  EXPECT_FALSE(filter_);
  EXPECT_EQ(Ask("POST", kPath + "/drop", R"({"all": true})",
                {"Content-Type: Application/JSON; charset=utf-8"})
                .status,
            200);
}

TEST_F(DeadLetterRoutes, NamesWhatThereIs) {
  Answer answer = Get("/api/v1/pipelines/shop/sinks/hoks/dead-letters");
  EXPECT_EQ(answer.status, 404);
  EXPECT_THAT(answer.body, HasSubstr("did you mean 'hooks'"));
  EXPECT_THAT(answer.body, HasSubstr("hooks, elsewhere"));
  answer = Ask("POST", "/api/v1/pipelines/shp/sinks/hooks/dead-letters/drop", R"({"all": true})");
  EXPECT_EQ(answer.status, 404);
  EXPECT_THAT(answer.body, HasSubstr("did you mean 'shop'"));
}

TEST_F(DeadLetterRoutes, SaysWhenTheSinkCannot) {
  answer_ = Error{Disposition::kRetry, "sink_busy", "it is in a call to its target"};
  Answer answer = Post("replay", R"({"all": true})");
  EXPECT_EQ(answer.status, 409);
  EXPECT_EQ(answer.Json()["error"]["code"], "sink_busy");
  answer_ = Error{Disposition::kNeedsOperator, "topic_disk_full", "no room"};
  EXPECT_EQ(Post("drop", R"({"all": true})").status, 503);
  answer =
      Ask("POST", "/api/v1/pipelines/shop/sinks/elsewhere/dead-letters/drop", R"({"all": true})");
  EXPECT_EQ(answer.status, 409);
  EXPECT_EQ(answer.Json()["error"]["code"], "sink_elsewhere");
}

TEST_F(DeadLetterRoutes, SaysWhichMethodsThereAre) {
  for (const auto& [method, path] : std::vector<std::pair<std::string, std::string>>{
           {"DELETE", kPath}, {"PUT", kPath}, {"POST", kPath}, {"POST", kPath + "/0:3"}}) {
    const Answer answer = Ask(method, path, "{}");
    EXPECT_EQ(answer.status, 405) << method << " " << path;
    EXPECT_THAT(answer.headers, HasSubstr("Allow: GET, HEAD\r\n"));
  }
  const Answer answer = Get(kPath + "/drop");
  EXPECT_EQ(answer.status, 405);
  EXPECT_THAT(answer.headers, HasSubstr("Allow: POST\r\n"));
  EXPECT_EQ(Get(kPath + "/nothing").status, 404);
}

}  // namespace
}  // namespace tailwater
