// What every topic keeps to: a sink's dead and parked records.
#pragma once

#include "conformance/topic_conformance.h"

namespace tailwater {

class TopicDeadLetters : public TopicConformance {
 protected:
  using State = DeadLetter::State;

  TopicDeadLetters() : subscription_(Subscribe("hooks")) {
    generation_ = Assigned(*subscription_).generation;
  }

  static DeadLetter Named(int64_t offset, std::string key, std::string code = "rejected") {
    DeadLetter letter = Letter(offset, std::move(code), std::move(key));
    letter.id = "id" + std::to_string(offset);
    return letter;
  }
  static DeadLetter Parked(int64_t offset, std::string key, std::string code = "key_blocked") {
    DeadLetter letter = Named(offset, std::move(key), std::move(code));
    letter.state = State::kParked;
    letter.blocks_key = true;
    return letter;
  }
  static DeadLetter Blocking(DeadLetter letter) {
    letter.blocks_key = true;
    return letter;
  }
  void Add(std::vector<DeadLetter> letters) {
    Subscription::Update update = At(1000);
    update.add = std::move(letters);
    ASSERT_OK(subscription_->Commit(generation_, update));
  }
  void Remove(std::vector<RecordPlace> places) {
    Subscription::Update update = At(1000);
    update.remove = std::move(places);
    ASSERT_OK(subscription_->Commit(generation_, update));
  }
  // "offset state code", a "!" behind those that block their key.
  static std::vector<std::string> Lines(const std::vector<DeadLetter>& letters) {
    std::vector<std::string> lines;
    for (const auto& letter : letters) {
      lines.push_back(std::to_string(letter.offset) + " " +
                      std::string(DeadLetterStateName(letter.state)) + " " + letter.code +
                      (letter.blocks_key ? "!" : ""));
    }
    return lines;
  }
  // Through another handle, as status does it, while the subscription is held.
  DeadLetterPage List(const DeadLetterFilter& filter = {}, std::optional<RecordPlace> from = {},
                      size_t limit = 1000, size_t max_bytes = 1 << 20) {
    auto page = world_->Open()->ListDeadLetters("hooks", filter, from, limit, max_bytes);
    EXPECT_OK(page);
    return page ? std::move(*page) : DeadLetterPage();
  }
  std::vector<std::string> Stored(const DeadLetterFilter& filter = {}) {
    return Lines(List(filter).letters);
  }
  Subscription::DeadLetterCounts Count() {
    auto counts = subscription_->CountDeadLetters();
    EXPECT_OK(counts);
    const auto peeked = world_->Open()->PeekDeadLetters("hooks");
    EXPECT_OK(peeked);
    EXPECT_EQ(peeked->by_code, counts->by_code);
    return std::move(*counts);
  }
  // "key head state records".
  std::vector<std::string> Blocked(size_t limit = 1000, std::optional<RecordPlace> after = {}) {
    auto keys = subscription_->BlockedKeys(limit, after);
    EXPECT_OK(keys);
    std::vector<std::string> lines;
    for (const auto& blocked : *keys) {
      lines.push_back(blocked.key + " " + std::to_string(blocked.head.offset) + " " +
                      std::string(DeadLetterStateName(blocked.state)) + " " +
                      std::to_string(blocked.records));
    }
    return lines;
  }
  std::vector<std::string> Load(const std::string& key, size_t max_records = 1000,
                                size_t max_bytes = 1 << 20) {
    auto letters = subscription_->LoadBlocked(key, max_records, max_bytes);
    EXPECT_OK(letters);
    return Lines(*letters);
  }
  std::vector<std::string> Requeue(const DeadLetterFilter& filter) {
    auto keys = subscription_->Requeue(generation_, filter);
    EXPECT_OK(keys);
    std::sort(keys->begin(), keys->end());
    return std::move(*keys);
  }
  uint64_t Drop(const DeadLetterFilter& filter) {
    auto dropped = subscription_->DropDeadLetters(generation_, filter);
    EXPECT_OK(dropped);
    return dropped ? *dropped : 0;
  }
  void Reopen() {
    subscription_.reset();
    topic_ = world_->Open();
    subscription_ = Subscribe("hooks");
    generation_ = Assigned(*subscription_).generation;
  }

  using Lists = std::vector<std::string>;
  std::unique_ptr<Subscription> subscription_;
  uint64_t generation_ = 0;
};

TEST_P(TopicDeadLetters, KeepsAllOfARecordAcrossAReopening) {
  DeadLetter letter = Parked(7, std::string("k\0ey", 4), "http_500");
  letter.reason = "the endpoint answered 500 \"höhere Gewalt\"";
  letter.attempts = 12;
  Add({letter, Named(8, "b")});
  Reopen();
  const DeadLetterPage page = List();
  ASSERT_EQ(page.letters.size(), 2u);
  EXPECT_EQ(page.matched, 2u);
  EXPECT_EQ(page.next, std::nullopt);
  const DeadLetter& read = page.letters[0];
  EXPECT_EQ(read.state, State::kParked);
  EXPECT_TRUE(read.blocks_key);
  EXPECT_EQ(read.partition, 0);
  EXPECT_EQ(read.offset, 7);
  EXPECT_EQ(read.id, "id7");
  EXPECT_EQ(read.source, letter.source);
  EXPECT_EQ(read.table, letter.table);
  EXPECT_EQ(read.version, letter.version);
  EXPECT_EQ(read.key, letter.key);
  EXPECT_EQ(read.value, letter.value);
  EXPECT_EQ(read.code, "http_500");
  EXPECT_EQ(read.reason, letter.reason);
  EXPECT_EQ(read.attempts, 12u);
  EXPECT_EQ(read.first_seen_micros, 1007);
  EXPECT_FALSE(page.letters[1].blocks_key);
  EXPECT_EQ(Blocked(), (Lists{letter.key + " 7 parked 1"}));
}

TEST_P(TopicDeadLetters, CountsDeadAndParkedApart) {
  Add({Named(1, "a"), Named(2, "b", std::string(kBaseMissing)), Parked(3, "c", "http_500"),
       Parked(4, "c"), Blocking(Named(5, "d", "http_410"))});
  auto counts = Count();
  EXPECT_EQ(counts.dead, 2u) << "base_missing is none that a person has to look after";
  EXPECT_EQ(counts.parked, 2u);
  EXPECT_EQ(counts.by_code, (std::map<std::string, uint64_t>{{"rejected", 1},
                                                             {std::string(kBaseMissing), 1},
                                                             {"http_500", 1},
                                                             {"key_blocked", 1},
                                                             {"http_410", 1}}));
  EXPECT_EQ(counts.oldest_micros, 1001);
  Remove({{0, 1}, {0, 3}, {0, 77}});
  counts = Count();
  EXPECT_EQ(counts.dead, 1u);
  EXPECT_EQ(counts.parked, 1u);
  EXPECT_EQ(counts.oldest_micros, 1002);
  EXPECT_FALSE(counts.by_code.contains("rejected"));
  Remove({{0, 2}, {0, 4}, {0, 5}});
  counts = Count();
  EXPECT_EQ(counts.dead + counts.parked, 0u);
  EXPECT_TRUE(counts.by_code.empty());
  EXPECT_EQ(counts.oldest_micros, std::nullopt);
}

TEST_P(TopicDeadLetters, ReplacesARecordOfTheSamePlace) {
  Add({Parked(1, "a", "http_500")});
  DeadLetter dead = Named(1, "a", "http_410");
  dead.attempts = 9;
  Add({dead});
  EXPECT_EQ(Stored(), (Lists{"1 dead http_410"}));
  EXPECT_TRUE(Blocked().empty());
  const auto counts = Count();
  EXPECT_EQ(counts.dead, 1u);
  EXPECT_EQ(counts.parked, 0u);
  EXPECT_EQ(counts.by_code, (std::map<std::string, uint64_t>{{"http_410", 1}}));
  Add({Named(1, "a", std::string(kBaseMissing)), Named(2, "b", std::string(kBaseMissing)),
       Named(2, "a", std::string(kBaseMissing))});
  EXPECT_EQ(Stored(), (Lists{"2 dead base_missing"})) << "b's entry made room for a's newest";
  EXPECT_EQ(Count().by_code, (std::map<std::string, uint64_t>{{std::string(kBaseMissing), 1}}));
  Add({Named(3, "b", std::string(kBaseMissing))});
  EXPECT_EQ(Stored(), (Lists{"2 dead base_missing", "3 dead base_missing"}));
}

TEST_P(TopicDeadLetters, RemovesBeforeItAdds) {
  Add({Parked(1, "a"), Parked(2, "a")});
  Subscription::Update update = At(1000);
  update.remove = {{0, 1}, {0, 2}};
  update.add = {Named(2, "a", "http_410")};
  update.sweeps = {{"shop", "public.orders", 1'000}};  // of all that was there, and none that comes
  ASSERT_OK(subscription_->Commit(generation_, update));
  EXPECT_EQ(Stored(), (Lists{"2 dead http_410"}));
}

TEST_P(TopicDeadLetters, ListsByFilter) {
  Add({Named(1, "a"), Named(2, "b", "http_410"), Parked(3, "c", "http_410"), Parked(4, "c")});
  DeadLetter other = Named(5, "d", "http_410");
  other.source = "billing";
  other.table = "billing.invoices";
  Add({other});
  EXPECT_EQ(Stored().size(), 5u);
  EXPECT_EQ(Stored({.code = "http_410"}),
            (Lists{"2 dead http_410", "3 parked http_410!", "5 dead http_410"}));
  EXPECT_EQ(Stored({.code = "http_410", .state = State::kDead}),
            (Lists{"2 dead http_410", "5 dead http_410"}));
  EXPECT_EQ(Stored({.source = "billing"}), (Lists{"5 dead http_410"}));
  EXPECT_EQ(Stored({.source = "shop", .table = "billing.invoices"}), Lists());
  EXPECT_EQ(Stored({.table = "public.orders", .state = State::kParked}),
            (Lists{"3 parked http_410!", "4 parked key_blocked!"}));
  EXPECT_EQ(Stored({.ids = {"id4", "id1", "nobody's"}}),
            (Lists{"1 dead rejected", "4 parked key_blocked!"}));
  EXPECT_EQ(Stored({.ids = {"id4", "id1"}, .source = "shop", .code = "rejected"}),
            (Lists{"1 dead rejected"}));
  EXPECT_EQ(Stored({.code = "' OR 1 --"}), Lists());
}

TEST_P(TopicDeadLetters, ListsPageByPage) {
  std::vector<DeadLetter> letters;
  for (int i = 0; i < 10; ++i) letters.push_back(Named(i * 3, "k", i % 2 == 0 ? "even" : "odd"));
  Add(letters);
  DeadLetterPage page = List({.source = "shop", .code = "even"}, {}, 2);
  EXPECT_EQ(Lines(page.letters), (Lists{"0 dead even", "6 dead even"}));
  EXPECT_EQ(page.matched, 5u);
  ASSERT_EQ(page.next, (RecordPlace{0, 12}));
  page = List({.source = "shop", .code = "even"}, page.next, 2);
  EXPECT_EQ(Lines(page.letters), (Lists{"12 dead even", "18 dead even"}));
  EXPECT_EQ(page.matched, 5u);
  page = List({.source = "shop", .code = "even"}, page.next, 2);
  EXPECT_EQ(Lines(page.letters), (Lists{"24 dead even"}));
  EXPECT_EQ(page.next, std::nullopt);
  // Bounded by bytes as well, but never to nothing.
  const size_t bytes = letters[0].key.size() + letters[0].value.size();
  EXPECT_EQ(List({}, {}, 1000, bytes * 3).letters.size(), 3u);
  EXPECT_EQ(List({}, {}, 1000, 0).letters.size(), 1u);
  EXPECT_EQ(List({}, RecordPlace{0, 10}, 1).letters[0].offset, 12) << "from where it would be";
  EXPECT_TRUE(List({}, RecordPlace{1, 0}).letters.empty());
  EXPECT_TRUE(world_->Open()->ListDeadLetters("nobody", {}, {}, 10, 1000)->letters.empty());
}

TEST_P(TopicDeadLetters, NamesBlockedKeysInOrderOfTheirHeads) {
  Add({Named(1, "healed"), Parked(2, "b", "http_500"), Blocking(Named(3, "a", "http_410")),
       Parked(4, "b"), Parked(5, "a"), Parked(6, "c", "http_500"), Parked(7, "b")});
  EXPECT_EQ(Blocked(), (Lists{"b 2 parked 3", "a 3 dead 2", "c 6 parked 1"}));
  EXPECT_EQ(Blocked(2), (Lists{"b 2 parked 3", "a 3 dead 2"}));
  EXPECT_EQ(Blocked(2, RecordPlace{0, 3}), (Lists{"c 6 parked 1"}));
  EXPECT_EQ(Blocked(2, RecordPlace{0, 6}), Lists());
  Remove({{0, 2}});
  EXPECT_EQ(Blocked(), (Lists{"a 3 dead 2", "b 4 parked 2", "c 6 parked 1"}));
  Remove({{0, 4}, {0, 7}});
  EXPECT_EQ(Blocked(), (Lists{"a 3 dead 2", "c 6 parked 1"}));
}

TEST_P(TopicDeadLetters, LoadsTheOldestOfABlockedKey) {
  Add({Named(1, "a"), Parked(2, "a", "http_500"), Parked(3, "b"), Parked(4, "a"), Parked(5, "a")});
  EXPECT_EQ(Load("a"),
            (Lists{"2 parked http_500!", "4 parked key_blocked!", "5 parked key_blocked!"}));
  EXPECT_EQ(Load("a", 2), (Lists{"2 parked http_500!", "4 parked key_blocked!"}));
  EXPECT_EQ(Load("a", 2, 1), (Lists{"2 parked http_500!"})) << "one, however large";
  EXPECT_EQ(Load("nobody"), Lists());
}

TEST_P(TopicDeadLetters, RequeuesInPlaceAndAnswersTheKeys) {
  Add({Named(1, "a"), Named(2, "b", "http_410"), Parked(3, "b"), Named(4, "b", "http_410"),
       Parked(5, "c", "http_500")});
  EXPECT_EQ(Requeue({.code = "http_410"}), (Lists{"b"}));
  EXPECT_EQ(Stored(), (Lists{"1 dead rejected", "2 parked http_410!", "3 parked key_blocked!",
                             "4 parked http_410!", "5 parked http_500!"}));
  EXPECT_EQ(Blocked(), (Lists{"b 2 parked 3", "c 5 parked 1"}));
  const auto counts = Count();
  EXPECT_EQ(counts.dead, 1u);
  EXPECT_EQ(counts.parked, 4u);
  EXPECT_EQ(Requeue({.ids = {"id1"}}), (Lists{"a"}));
  EXPECT_EQ(Requeue({}), (Lists{"a", "b", "c"})) << "parked ones are due again too";
  EXPECT_EQ(Requeue({.state = State::kDead}), Lists());
  Reopen();
  EXPECT_EQ(Blocked(), (Lists{"a 1 parked 1", "b 2 parked 3", "c 5 parked 1"}));
}

TEST_P(TopicDeadLetters, DropsDeadOnesUnlessMoreIsNamed) {
  Add({Named(1, "a"), Parked(2, "a"), Blocking(Named(3, "b", "http_410")), Parked(4, "b"),
       Parked(5, "c", "http_500")});
  EXPECT_EQ(Drop({.table = "elsewhere"}), 0u);
  EXPECT_EQ(Drop({}), 2u);
  EXPECT_EQ(Stored(),
            (Lists{"2 parked key_blocked!", "4 parked key_blocked!", "5 parked http_500!"}));
  EXPECT_EQ(Blocked(), (Lists{"a 2 parked 1", "b 4 parked 1", "c 5 parked 1"}))
      << "what waited behind b's head moved up";
  EXPECT_EQ(Drop({.ids = {"id2", "id9"}}), 1u);
  EXPECT_EQ(Drop({.code = "http_500", .state = State::kParked}), 1u);
  EXPECT_EQ(Stored(), (Lists{"4 parked key_blocked!"}));
  const auto counts = Count();
  EXPECT_EQ(counts.dead, 0u);
  EXPECT_EQ(counts.parked, 1u);
}

TEST_P(TopicDeadLetters, DropsManyAtOnce) {
  std::vector<DeadLetter> letters;
  for (int i = 0; i < 2'500; ++i) letters.push_back(Named(i, "k" + std::to_string(i)));
  letters.push_back(Parked(9'000, "parked"));
  Add(letters);
  EXPECT_EQ(Drop({.source = "shop"}), 2'500u);
  EXPECT_EQ(Stored(), (Lists{"9000 parked key_blocked!"}));
  EXPECT_EQ(Count().dead, 0u);
}

TEST_P(TopicDeadLetters, SweepsParkedOnesAndLetsTheirKeysGo) {
  DeadLetter young = Parked(3, "b");
  young.version = 20;
  Add({Parked(1, "a"), Named(2, "b"), young});
  Subscription::Update update = At(1000);
  update.sweeps = {{"shop", "public.orders", 15}};
  ASSERT_OK(subscription_->Commit(generation_, update));
  EXPECT_EQ(Stored(), (Lists{"3 parked key_blocked!"}));
  EXPECT_EQ(Blocked(), (Lists{"b 3 parked 1"}));
}

TEST_P(TopicDeadLetters, RefusesAGenerationThatIsOver) {
  Add({Named(1, "a"), Parked(2, "b")});
  EXPECT_THAT(subscription_->Requeue(generation_ + 1, {}), IsErrorWith("not_owner"));
  EXPECT_THAT(subscription_->DropDeadLetters(generation_ + 1, {}), IsErrorWith("not_owner"));
  Subscription::Update update = At(1000);
  update.remove = {{0, 1}, {7, 1}};
  EXPECT_THAT(subscription_->Commit(generation_, update), IsErrorWith("not_owner"));
  EXPECT_EQ(Stored(), (Lists{"1 dead rejected", "2 parked key_blocked!"}));
}

TEST_P(TopicDeadLetters, ListsWhileTheOwnerWrites) {
  std::atomic<bool> done = false;
  std::thread reader([&] {
    auto other = world_->Open();
    while (!done) {
      const auto page = other->ListDeadLetters("hooks", {}, {}, 100, 1 << 20);
      ASSERT_OK(page);
      // Each commit adds two and the next removes them: a reader sees none or both.
      ASSERT_EQ(page->letters.size() % 2, 0u);
      ASSERT_EQ(page->matched, page->letters.size());
    }
  });
  for (int i = 0; i < 50; ++i) {
    Add({Parked(2 * i, "a"), Parked(2 * i + 1, "a")});
    Remove({{0, 2 * i}, {0, 2 * i + 1}});
  }
  done = true;
  reader.join();
}

}  // namespace tailwater
