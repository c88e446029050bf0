// Answers that a real server gives only under load or behind a proxy, from a scripted one.
#include "opensearch/bulk_writer.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <mutex>

#include "support/matchers.h"
#include "support/scripted_http_server.h"
#include "support/stub_metrics.h"

namespace tailwater::opensearch {
namespace {

struct Answer {
  int status = 200;
  std::string body;
  bool reset = false;
};

std::string ItemsWith(size_t count, int status) {
  std::string body = R"({"items":[)";
  for (size_t i = 0; i < count; ++i) {
    body +=
        (i == 0 ? "" : ",") + std::string(R"({"index":{"status":)") + std::to_string(status) + "}}";
  }
  return body + "]}";
}

// Decides by the documents of each request, one line each in these tests.
class ScriptedSearchServer {
 public:
  using Decide = std::function<Answer(const std::vector<std::string>& documents)>;
  explicit ScriptedSearchServer(Decide decide)
      : decide_(std::move(decide)), server_([this](auto& connection) { Serve(connection); }) {}
  std::string url() const { return "http://127.0.0.1:" + std::to_string(server_.port()); }
  std::vector<size_t> sizes() {
    std::lock_guard lock(mutex_);
    return sizes_;
  }

 private:
  void Serve(ScriptedHttpServer::Connection& connection) {
    while (const auto request = connection.Read()) {
      std::vector<std::string> documents;
      std::string line;
      for (const char c : request->body) {
        if (c == '\n') {
          documents.push_back(std::exchange(line, {}));
        } else {
          line += c;
        }
      }
      Answer answer;
      {
        std::lock_guard lock(mutex_);
        sizes_.push_back(documents.size());
        answer = decide_(documents);
      }
      if (answer.reset) return connection.Reset();
      if (!connection.Reply(answer.status, answer.body)) return;
    }
  }
  std::mutex mutex_;
  Decide decide_;
  std::vector<size_t> sizes_;
  ScriptedHttpServer server_;
};

class BulkWriterTest : public ::testing::Test {
 protected:
  std::vector<Judgement> Write(ScriptedSearchServer::Decide decide, size_t count) {
    server_ = std::make_unique<ScriptedSearchServer>(std::move(decide));
    config_.url.list = {server_->url()};
    config_.batch.in_flight = in_flight_;
    auto cluster = Cluster::Open(config_, Logger("test"));
    EXPECT_OK(cluster);
    if (writer_ == nullptr) writer_ = std::make_unique<BulkWriter>(config_, metrics_);
    std::vector<BulkOperation> operations(count);
    for (size_t i = 0; i < count; ++i) operations[i].lines = "document " + std::to_string(i) + "\n";
    return writer_->Write(**cluster, operations);
  }
  static std::vector<size_t> Those(const std::vector<Judgement>& judgements, Outcome outcome) {
    std::vector<size_t> numbers;
    for (size_t i = 0; i < judgements.size(); ++i) {
      if (judgements[i].outcome == outcome) numbers.push_back(i);
    }
    return numbers;
  }

  uint32_t in_flight_ = 1;
  OpenSearchConfig config_;
  StubMetrics metrics_;
  std::unique_ptr<ScriptedSearchServer> server_;
  std::unique_ptr<BulkWriter> writer_;
};

TEST_F(BulkWriterTest, SplitsWhatIsTooLargeDownToTheDocument) {
  const auto judgements = Write(
      [](const auto& documents) {
        const bool fits = documents.size() <= 3 && documents[0] != "document 7";
        return fits ? Answer{200, ItemsWith(documents.size(), 201)} : Answer{413, ""};
      },
      10);
  EXPECT_THAT(Those(judgements, Outcome::kTooLarge), ::testing::ElementsAre(7));
  EXPECT_EQ(Those(judgements, Outcome::kApplied).size(), 9u);
  EXPECT_EQ(ToVerdict(judgements[7]).kind, Verdict::Kind::kRejected);
  EXPECT_EQ(judgements[7].code, "opensearch_document_too_large");
}

TEST_F(BulkWriterTest, FindsTheDocumentThatARequestIsRefusedFor) {
  const auto judgements = Write(
      [](const auto& documents) {
        const bool bad =
            std::find(documents.begin(), documents.end(), "document 4") != documents.end();
        return bad ? Answer{400, R"({"error":{"type":"parse_exception","reason":"x"}})"}
                   : Answer{200, ItemsWith(documents.size(), 200)};
      },
      9);
  EXPECT_THAT(Those(judgements, Outcome::kRejected), ::testing::ElementsAre(4));
}

TEST_F(BulkWriterTest, SendsOnlyWhatWasPutOffAgainAndLess) {
  config_.batch.records = 400;
  int requests = 0;
  const auto judgements = Write(
      [&](const auto& documents) {
        if (++requests > 1) return Answer{200, ItemsWith(documents.size(), 201)};
        std::string body = ItemsWith(documents.size() - 300, 201);
        body.resize(body.size() - 2);
        for (int i = 0; i < 300; ++i) {
          body += R"(,{"index":{"status":429,"error":{"type":"rejected_execution_exception"}}})";
        }
        return Answer{200, body + "]}"};
      },
      400);
  EXPECT_EQ(Those(judgements, Outcome::kApplied).size(), 400u);
  EXPECT_THAT(server_->sizes(), ::testing::ElementsAre(400, 200, 100));
  EXPECT_EQ(metrics_.Value("tailwater_sink_throttled_total"), 1);
}

TEST_F(BulkWriterTest, LeavesATargetThatTakesNothingToTheRunner) {
  const auto judgements = Write(
      [](const auto&) {
        return Answer{429, R"({"error":{"type":"x"},"status":429})"};
      },
      5000);
  EXPECT_EQ(Those(judgements, Outcome::kThrottled).size(), 5000u);
  EXPECT_EQ(server_->sizes().size(), 1u);
  EXPECT_TRUE(ToVerdict(judgements[0]).whole_target);
  EXPECT_LT(writer_->record_limit(), config_.batch.records);
}

TEST_F(BulkWriterTest, AnAnswerThatIsLostOrCutIsNoVerdict) {
  for (const Answer& answer : {Answer{200, "", true}, Answer{200, R"({"items":[{"index":)"},
                               Answer{200, ItemsWith(1, 201)}, Answer{502, "<html>"},
                               Answer{200, "<html>welcome</html>"}}) {
    writer_.reset();
    const auto judgements = Write([&](const auto&) { return answer; }, 2);
    EXPECT_EQ(Those(judgements, Outcome::kUnavailable).size(), 2u) << answer.body;
    EXPECT_FALSE(ToVerdict(judgements[0]).needs_operator);
  }
}

TEST_F(BulkWriterTest, SplitsByBytesAndRecordsAndKeepsSeveralInFlight) {
  in_flight_ = 3;
  config_.batch.records = 600;
  const auto taken = [](const auto& documents) {
    return Answer{200, ItemsWith(documents.size(), 201)};
  };
  EXPECT_EQ(Those(Write(taken, 1'700), Outcome::kApplied).size(), 1'700u);
  std::vector<size_t> sizes = server_->sizes();
  std::sort(sizes.begin(), sizes.end());
  EXPECT_THAT(sizes, ::testing::ElementsAre(566, 567, 567));
  writer_.reset();
  config_.batch.bytes.bytes = 1'024;
  EXPECT_EQ(Those(Write(taken, 200), Outcome::kApplied).size(), 200u);
  for (const size_t size : server_->sizes()) EXPECT_LE(size * 11, 1'024u);
}

}  // namespace
}  // namespace tailwater::opensearch
