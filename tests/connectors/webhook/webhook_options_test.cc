#include "webhook/webhook_options.h"

#include <gmock/gmock.h>

#include "connectors/webhook/webhook_fixture.h"

namespace tailwater::webhook {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

const std::string kUrl = "url: https://agents.example.com/hook\n";
const std::string kGood = kUrl + "secret: " + std::string(kSecret) + "\n";

TEST(WebhookOptionsTest, TwoLinesSuffice) { EXPECT_THAT(ParseSink(kGood).problems, IsEmpty()); }

TEST(WebhookOptionsTest, ASecretIsNeededOrAWordThatThereIsNone) {
  EXPECT_THAT(
      ParseSink(kUrl).problems,
      ElementsAre("sink.yaml:1:1: secret: missing: receivers verify calls with it. Make one "
                  "with: echo \"whsec_$(openssl rand -base64 32)\", or write signature: none"));
  EXPECT_THAT(ParseSink(kUrl + "signature: none\n").problems, IsEmpty());
  EXPECT_THAT(
      ParseSink(kGood + "signature: none\n").problems,
      ElementsAre("sink.yaml:2:9: secret: signature: none signs nothing; remove one of the two"));
}

TEST(WebhookOptionsTest, ASecretThatIsNoneIsToldAtLoadWhereItCanBeKnown) {
  EXPECT_THAT(
      ParseSink(kUrl + "secret: short\n").problems,
      ElementsAre("sink.yaml:2:9: secret: is too short: 5 bytes, but at least 24 are needed; "
                  "make one with: echo \"whsec_$(openssl rand -base64 32)\""));
  EXPECT_THAT(ParseSink(kGood + "previous_secret: whsec_%%\n").problems,
              ElementsAre(StartsWith("sink.yaml:3:18: previous_secret: has no valid base64")));
  EXPECT_THAT(ParseSink(kUrl + "secret: ${file:/nonexistent/secret}\n").problems, IsEmpty());
}

TEST(WebhookOptionsTest, PreviousSecretMayEnd) {
  EXPECT_THAT(
      ParseSink(kGood + "previous_secret_until: tomorrow\n").problems,
      ElementsAre("sink.yaml:3:24: previous_secret_until: says nothing without previous_secret",
                  "sink.yaml:3:24: previous_secret_until: must be a time in UTC, for example "
                  "2026-11-21T09:30:00Z"));
  EXPECT_EQ(UnixSeconds("2026-11-21T09:30:00Z"), 1795253400);
  EXPECT_EQ(UnixSeconds("2026-11-21"), 1795219200);
  EXPECT_EQ(UnixSeconds("2026-11-21T09:30:00Zx"), std::nullopt);
  EXPECT_EQ(UnixSeconds(""), std::nullopt);
}

TEST(WebhookOptionsTest, AUrlIsOneOrItIsToldWhyNot) {
  const struct {
    std::string url;
    std::string problem;
  } kCases[] = {
      {"agents.example.com/hook",
       "must begin with https:// or http://, for example https://agents"},
      {"ftp://agents.example.com/", "must begin with https:// or http://"},
      {"https:///hook", "has no host"},
      {"https://user:hunter2@agents.example.com/",
       "holds a user or password before the @; use "
       "bearer_token or headers, which are never printed"},
      {"https://agents.example.com/#x", "has a fragment (#…), which is never sent; remove it"},
      {"https://agents.example.com:99999/", "has no valid port"},
      {"https://agents.example.com:0/", "has no valid port"},
      {"'https://agents.example.com/a b'", "holds a blank, a control character"},
      {"\"https://agents.example.com/\\r\\nX: 1\"", "holds a blank, a control character"},
      {"https://[::1/", "has no ']' behind the address"},
      {"https://agents_example!.com/", "has a host name with a character that no host name has"},
  };
  for (const auto& [url, problem] : kCases) {
    const auto problems =
        ParseSink("secret: " + std::string(kSecret) + "\nurl: " + url + "\n").problems;
    ASSERT_EQ(problems.size(), 1u) << url;
    EXPECT_THAT(problems[0], HasSubstr("sink.yaml:2:6: url: " + problem)) << url;
    EXPECT_THAT(problems[0], Not(HasSubstr("hunter2")));
  }
}

TEST(WebhookOptionsTest, APrivateAddressHasToBeNamed) {
  for (const std::string host : {"127.0.0.1", "127.1", "0x7f000001", "10.1.2.3", "169.254.169.254",
                                 "[::1]", "[::ffff:10.0.0.1]", "[fd00::1]", "192.168.1.1:8080"}) {
    const std::string yaml =
        "secret: " + std::string(kSecret) + "\nurl: http://" + host + "/hook\n";
    const auto problems = ParseSink(yaml).problems;
    ASSERT_EQ(problems.size(), 1u) << host;
    EXPECT_THAT(problems[0], StartsWith("sink.yaml:2:6: url: "));
    EXPECT_THAT(problems[0], HasSubstr("allow_addresses")) << host;
  }
  EXPECT_THAT(ParseSink("secret: " + std::string(kSecret) +
                        "\nurl: http://10.1.2.3/\nallow_addresses: [10.1.0.0/16]\n")
                  .problems,
              IsEmpty());
}

TEST(WebhookOptionsTest, ListsAreChecked) {
  EXPECT_THAT(
      ParseSink(kGood + "allow_addresses: [10.0.0.0/33]\nallow_ports: [http, '8443']\n"
                        "statuses: {reject: [200], retry: [x]}\n")
          .problems,
      ElementsAre("sink.yaml:3:18: allow_addresses: '10.0.0.0/33' is no address and no range, "
                  "for example 10.1.0.0/16",
                  "sink.yaml:4:14: allow_ports: 'http' is no port between 1 and 65535",
                  "sink.yaml:5:20: statuses.reject: '200' is no status between 300 and 599; "
                  "2xx is success",
                  "sink.yaml:5:34: statuses.retry: 'x' is no status between 300 and 599; 2xx "
                  "is success",
                  "sink.yaml:1:6: url: port 443 is not among allow_ports; add it there"));
}

TEST(WebhookOptionsTest, HeadersThatWouldBreakTheCallAreRefused) {
  for (const std::string name :
       {"Host", "content-length", "Transfer-Encoding", "connection", "webhook-id", "Webhook-X",
        "ce-id", "TE", "upgrade", "traceparent"}) {
    EXPECT_THAT(
        ParseSink(kGood + "headers: {" + name + ": x}\n").problems,
        ElementsAre(HasSubstr("'" + name + "' is set by Tailwater itself; choose another name")))
        << name;
  }
  EXPECT_THAT(ParseSink(kGood + "headers: {'a b': x}\n").problems,
              ElementsAre("sink.yaml:3:18: headers.a b: 'a b' is no name of a header"));
  EXPECT_THAT(ParseSink(kGood + "headers: {a: \"x\\r\\nEvil: 1\"}\n").problems,
              ElementsAre("sink.yaml:3:14: headers.a: holds a sign that no header may have; use "
                          "printable ASCII"));
  EXPECT_THAT(ParseSink(kGood + "headers: {a: x, A: y}\n").problems,
              ElementsAre("sink.yaml:3:20: headers.A: is written twice"));
  EXPECT_THAT(ParseSink(kGood + "headers: {a: '{NEW}'}\n").problems,
              ElementsAre(HasSubstr("'{NEW}' is unknown")));
}

TEST(WebhookOptionsTest, ASecretAndAColumnDoNotShareAHeader) {
  EXPECT_THAT(
      ParseSink(kGood + "headers: {a: 'x ${env:A} {NEW.b}'}\n").problems,
      ElementsAre("sink.yaml:3:14: headers.a: holds a secret and a column; put them into two "
                  "headers"));
  const ParsedSink parsed = ParseSink(kGood + "headers: {a: 'x ${env:A}'}\n");
  EXPECT_THAT(parsed.problems, IsEmpty());
  EXPECT_FALSE(parsed.config.headers.list.at(0).text.has_value());
}

TEST(WebhookOptionsTest, WhatDoesNotGoTogetherIsTold) {
  EXPECT_THAT(
      ParseSink(kGood + "mode: structured\n").problems,
      ElementsAre("sink.yaml:3:7: mode: belongs to format: cloudevents; remove it, or set the "
                  "format"));
  EXPECT_THAT(
      ParseSink(kGood + "format: cloudevents\nbatch: {size: 10}\n").problems,
      ElementsAre(
          "sink.yaml:4:8: batch: CloudEvents in a batch are structured; add mode: structured"));
  EXPECT_THAT(ParseSink(kGood + "certificate_file: /c.pem\n").problems,
              ElementsAre("sink.yaml:3:19: certificate_file: certificate_file and key_file go "
                          "together"));
  EXPECT_THAT(ParseSink(kGood + "bearer_token: t\nheaders: {Authorization: x}\n").problems,
              ElementsAre(HasSubstr("bearer_token sets this header, too; remove one of the two")));
  EXPECT_THAT(ParseSink(kGood + "batch: {size: 2}\nheaders: {a: '{NEW.x}'}\n").problems,
              ElementsAre(HasSubstr("a batch has many rows, so its headers cannot hold columns")));
}

TEST(WebhookOptionsTest, LimitsAreChecked) {
  EXPECT_THAT(
      ParseSink(kGood + "in_flight: 0\nrate: -1\nmax_body: 1\nretry: {initial: 2s, max: 1s}\n"
                        "timeouts: {total: 0s}\nbreaker: {failures: 0}\n")
          .problems,
      ElementsAre("sink.yaml:3:12: in_flight: must be between 1 and 10000",
                  "sink.yaml:4:7: rate: must be between 0 (no limit) and 1000000 requests a "
                  "second",
                  "sink.yaml:5:11: max_body: must be between 1KiB and 64MiB",
                  "sink.yaml:7:19: timeouts.total: must be between 1ms and 10m",
                  "sink.yaml:6:27: retry.max: must not be shorter than retry.initial",
                  "sink.yaml:8:21: breaker.failures: must be at least 1"));
}

TEST(WebhookOptionsTest, ColumnsBelongToTheEntriesThatUseThem) {
  const ParsedSink parsed = ParseSink(
      kGood +
      "headers: {a: '{NEW.tenant}'}\n"
      "payload: {x: '{OLD.x}'}\n"
      "tables: [public.a, {match: public.b, payload: {y: '{NEW.y}'}}, {match: public.c, payload: "
      "thin}]\n");
  ASSERT_THAT(parsed.problems, IsEmpty());
  std::vector<std::string> uses;
  for (const ColumnUse& use : parsed.column_uses) {
    uses.push_back((use.entry == ColumnUse::kEveryEntry ? "*" : std::to_string(use.entry)) +
                   (use.before ? " OLD." : " NEW.") + use.column + " " + use.path);
  }
  EXPECT_THAT(uses, ElementsAre("* NEW.tenant headers.a", "0 OLD.x payload.x",
                                "1 NEW.y tables[1].payload.y"));
}

}  // namespace
}  // namespace tailwater::webhook
