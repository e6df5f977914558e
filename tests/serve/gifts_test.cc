#include "libhongbao/serve/gifts.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/serve/test_workers.h"

namespace hongbao::serve {
namespace {

using wire::Version;

const std::vector<uint32_t> kInvited = {1, 2, 3};
const GiftSend kSend{.sender = 7, .amount_fen = 300, .users = kInvited};
const GiftSend kSmallSend{.sender = 7, .amount_fen = 10, .users = absl::MakeConstSpan(kInvited).first(1)};

wire::SendResult Send(Gifts& gifts, const GiftSend& send, uint32_t* id = nullptr) {
  uint32_t made = 0;
  return gifts.Send(send, id != nullptr ? id : &made);
}

// One worker, unless a test makes its own.
struct GiftsTest : testing::Test {
  TestWorkers workers;
  Gifts& gifts = workers[0].gifts;
};

TEST(GiftsOfTheirOwn, NoticesGoToTheInvitedUsersOwnConnections) {
  TestWorkers workers({.workers = 2});
  TestWorkers::Peer seven = workers.Login(7, Version::k1, 0);
  TestWorkers::Peer eight = workers.Login(8, Version::k2, 1);
  TestWorkers::Peer stranger = workers.Login(9, Version::k1, 0);
  workers[0].gifts.Handle(GiftOf(0x80000002, 300, {7, 8, 50}));
  ASSERT_EQ(workers.posted.size(), 2U) << "one each for those who are here";
  std::set<uint64_t> addresses;
  for (const auto& [worker, message] : workers.posted) {
    const Notice& notice = std::get<Notice>(message);
    EXPECT_EQ(notice.gift.gift_id, 0x80000002U);
    EXPECT_EQ(notice.gift.amount_fen, 300U);
    EXPECT_EQ(notice.gift.invited.count, 3);
    EXPECT_EQ(Unpack(notice.address).worker, worker);
    addresses.insert(notice.address);
  }
  EXPECT_EQ(addresses, (std::set<uint64_t>{seven.address, eight.address}));
}

TEST_F(GiftsTest, Defect05_ANoticeNeverGoesToAStrangerWhoHappensToShake) {
  TestWorkers::Peer stranger = workers.Login(9, Version::k1);
  workers[0].gifts.Handle(GiftOf(0x80000001, 300, {1, 2, 3}));
  EXPECT_EQ(stranger.Shake(9).result, wire::ShakeResult::kNothing) << "his shake gets its own reply";
  EXPECT_TRUE(stranger.replies.empty());
  EXPECT_TRUE(workers.posted.empty());
}

TEST(GiftsOfTheirOwn, WhoWasAwayIsToldAtTheNextLoginUntilOpened) {
  TestWorkers workers({.workers = 2});
  workers[0].gifts.Handle(GiftOf(0x80000002, 300, {7, 8, 9}));
  workers[1].gifts.Handle(GiftOf(0x80000003, 400, {7, 8, 9}));
  EXPECT_TRUE(workers.posted.empty());
  TestWorkers::Peer seven = workers.Login(7, Version::k1, 1);
  workers.HandleGiftMessages();
  EXPECT_EQ(workers.TakePosted<Notice>().gift.gift_id, 0x80000002U);
  EXPECT_EQ(workers.TakePosted<Notice>().gift.gift_id, 0x80000003U);
  EXPECT_TRUE(workers.posted.empty());
  seven.Feed(OpenFrame(0, 0x80000002));
  workers.HandleGiftMessages();
  workers.posted.clear();
  seven.Close();
  TestWorkers::Peer again = workers.Login(7, Version::k2, 0);
  workers.HandleGiftMessages();
  EXPECT_EQ(workers.TakePosted<Notice>().gift.gift_id, 0x80000003U);
  EXPECT_TRUE(workers.posted.empty());
  again.Feed(OpenFrame(7, 0x80000003));
  workers.HandleGiftMessages();
  workers.posted.clear();
  again.Close();
  workers.Login(7);
  EXPECT_TRUE(workers.posted.empty()) << "nobody is even asked";
}

TEST_F(GiftsTest, Defect07_OnlyTheInvitedOnceAndEverybodyGetsAnAnswer) {
  gifts.Handle(GiftOf(0x80000001, 300, {7, 8, 9}));
  const auto open = [&](uint32_t id, uint32_t user) {
    gifts.Handle(OpenOf(id, user));
    return workers.TakePosted<GiftOpened>().amount_fen;
  };
  EXPECT_EQ(open(0x80000001, 10), 0U) << "not invited";
  EXPECT_EQ(open(0x80000009, 7), 0U) << "no such gift";
  uint32_t sum = 0;
  for (const uint32_t user : {7U, 8U, 9U}) {
    const uint32_t amount = open(0x80000001, user);
    EXPECT_GT(amount, 0U);
    EXPECT_EQ(open(0x80000001, user), amount) << "the first amount again";
    sum += amount;
  }
  EXPECT_EQ(sum, 300U);
  EXPECT_EQ(open(0x80000001, 10), 0U) << "the fourth";
  EXPECT_EQ(workers.Count(Counter::kOpened), 3U);
  EXPECT_EQ(workers.Count(Counter::kOpenedFen), 300U);
  EXPECT_EQ(workers.Count(Counter::kOpenedAgain), 3U);
  EXPECT_EQ(workers.Count(Counter::kOpensEmpty), 3U);
  EXPECT_EQ(workers.directory.grants(7), 1U);
}

TEST_F(GiftsTest, AnOpenOfASessionThatANewerOneHasReplacedDrawsNothing) {
  gifts.Handle(GiftOf(0x80000001, 300, {7, 8, 9}));
  const OpenGift late = OpenOf(0x80000001, 7, 50);
  TestWorkers::Peer newer = workers.Login(7);
  workers.posted.clear();
  gifts.Handle(late);
  EXPECT_EQ(workers.TakePosted<Supersede>().address, late.address) << "it waits for no answer";
  EXPECT_TRUE(workers.posted.empty());
  EXPECT_EQ(gifts.book().totals().opened_shares, 0U);
  EXPECT_EQ(workers.directory.last_stamp(7), 0U);
  EXPECT_EQ(workers.Count(Counter::kLate), 1U);
  newer.Feed(OpenFrame(7, 0x80000001, 50));
  workers.HandleGiftMessages();
  EXPECT_GT(workers.TakePosted<GiftOpened>().amount_fen, 0U) << "the share is still the user's";
}

TEST_F(GiftsTest, Defect04_TheAnswerBelongsToItsOwnRequest) {
  gifts.Handle(GiftOf(0x80000001, 300, {7, 8, 9}));
  // Two opens queued before either is answered; in the prototype the second overwrote the first.
  const OpenGift first = OpenOf(0x80000001, 7, 111);
  const OpenGift second = OpenOf(0x80000001, 8, 222);
  gifts.Handle(first);
  gifts.Handle(second);
  const GiftOpened to_first = workers.TakePosted<GiftOpened>();
  const GiftOpened to_second = workers.TakePosted<GiftOpened>();
  EXPECT_EQ(to_first.user, 7U);
  EXPECT_EQ(to_first.stamp, 111U);
  EXPECT_EQ(to_first.address, first.address);
  EXPECT_EQ(to_second.user, 8U);
  EXPECT_EQ(to_second.stamp, 222U);
  EXPECT_EQ(to_second.address, second.address);
  EXPECT_EQ(workers.directory.last_stamp(8), 222U);
}

TEST(GiftsOfTheirOwn, AnAmountIsCountedOnceWhereverTheAnswerGoes) {
  TestWorkers workers({.workers = 2});
  workers[1].gifts.Handle(GiftOf(0x80000001, 300, {7, 8, 9}));
  TestWorkers::Peer seven = workers.Login(7, Version::k2, 0);
  workers.HandleGiftMessages();
  workers.posted.clear();
  seven.Feed(OpenFrame(7, 0x80000001, 5));
  seven.Close();  // gone before the answer
  workers.HandleGiftMessages();
  const GiftOpened opened = workers.TakePosted<GiftOpened>();
  EXPECT_EQ(workers[1].cells.Get(Counter::kOpened), 1U);
  EXPECT_EQ(workers[0].cells.Get(Counter::kOpened), 0U);
  TestWorkers::Peer again = workers.Login(7, Version::k2, 1);
  again.Feed(OpenFrame(7, 0x80000001, 6));
  workers.HandleGiftMessages();
  EXPECT_EQ(workers.TakePosted<GiftOpened>().amount_fen, opened.amount_fen);
  EXPECT_EQ(workers.Count(Counter::kOpenedFen), opened.amount_fen);
}

TEST(GiftsOfTheirOwn, Defect10_WhatIsNotOpenedExpiresAndIsRefunded) {
  TestWorkers workers({.gift_expiry_ms = 1'000});
  Gifts& gifts = workers[0].gifts;
  gifts.Handle(GiftOf(0x80000001, 300, {7, 8, 9}));
  gifts.Handle(OpenOf(0x80000001, 7));
  const uint32_t opened = workers.TakePosted<GiftOpened>().amount_fen;
  workers.Turn(1'999);
  EXPECT_EQ(workers.Count(Counter::kRefundedFen), 0U);
  workers.Turn(2'000);
  EXPECT_EQ(workers.Count(Counter::kRefundedFen), 300U - opened);
  EXPECT_EQ(workers.Count(Counter::kRefundedShares), 2U);
  gifts.Handle(OpenOf(0x80000001, 8));
  EXPECT_EQ(workers.TakePosted<GiftOpened>().amount_fen, 0U);
  for (const uint32_t user : {7U, 8U, 9U}) {
    EXPECT_EQ(workers.directory.unopened(user), 0U);
  }
  gifts.book().Audit();
}

TEST(GiftsOfTheirOwn, ExpiryKeepsToItsBudgetAndMissesNobody) {
  TestWorkers workers({.users_max = 4, .gifts_max = 2'000, .gift_expiry_ms = 1'000});
  Gifts& gifts = workers[0].gifts;
  for (uint32_t i = 0; i < 1'000; ++i) {
    gifts.BeginTurn((1'000 + i / 3) * time::kNsPerMs, (1'000 + i / 3) * time::kNsPerMs);  // three in each millisecond
    gifts.Handle(GiftOf(0x80000001 + i, 10, {i % 4}));
  }
  EXPECT_TRUE(gifts.BeginTurn(10'000 * time::kNsPerMs, 10'000 * time::kNsPerMs, 100)) << "there is more";
  EXPECT_GE(workers.Count(Counter::kRefundedShares), 100U);
  EXPECT_LE(workers.Count(Counter::kRefundedShares), 102U) << "gifts of one millisecond stay together";
  while (gifts.BeginTurn(10'000 * time::kNsPerMs, 10'000 * time::kNsPerMs, 100)) {
  }
  EXPECT_EQ(workers.Count(Counter::kRefundedFen), 10'000U);
  for (uint32_t user = 0; user < 4; ++user) {
    EXPECT_EQ(workers.directory.unopened(user), 0U);
  }
  EXPECT_EQ(gifts.book().totals().gifts_live, 0U);
}

TEST(GiftsOfTheirOwn, Defect17_SendingGoesOnForEver) {
  TestWorkers workers({.gifts_max = 16, .gift_expiry_ms = 10});
  Gifts& gifts = workers[0].gifts;
  for (uint32_t i = 0; i < 300'000; ++i) {  // the prototype stopped at 210,780
    gifts.BeginTurn((1'000 + i) * time::kNsPerMs, (1'000 + i) * time::kNsPerMs);
    ASSERT_EQ(Send(gifts, kSend), wire::SendResult::kOk) << i;
  }
  gifts.book().Audit();
}

TEST(GiftsOfTheirOwn, AFullBookIsOverloadForASenderAndGivesTheMintersBack) {
  TestWorkers workers({.gifts_max = 2});
  Gifts& gifts = workers[0].gifts;
  EXPECT_EQ(Send(gifts, kSend), wire::SendResult::kOk);
  EXPECT_EQ(Send(gifts, kSend), wire::SendResult::kOk);
  EXPECT_EQ(Send(gifts, kSend), wire::SendResult::kOverload);
  gifts.Handle(GiftOf(0x80000001, 55, {1}));
  EXPECT_EQ(workers.Count(Counter::kGiftsOfferedAgain), 1U);
  gifts.Handle(GiftOf(0x80000001, 55, {}));
  EXPECT_EQ(workers.Count(Counter::kGiftsRefused), 1U) << "what can never be made is counted as lost";
  EXPECT_EQ(workers.Count(Counter::kGiftsRefusedFen), 55U);
  EXPECT_EQ(workers.Count(Counter::kGiftsSent), 2U);
  EXPECT_EQ(workers.directory.unopened(1), 2U);
}

TEST(GiftsOfTheirOwn, IdsOfSendersBelongToTheirOwnWorker) {
  TestWorkers workers({.workers = 3});
  std::set<uint32_t> ids;
  for (uint32_t worker = 0; worker < 3; ++worker) {
    for (int i = 0; i < 10; ++i) {
      uint32_t id = 0;
      ASSERT_EQ(Send(workers[worker].gifts, kSmallSend, &id), wire::SendResult::kOk);
      EXPECT_EQ(OwnerOf(id, 3), worker);
      EXPECT_GE(id, kFirstSentGiftId);
      ids.insert(id);
    }
  }
  EXPECT_EQ(ids.size(), 30U);
}

TEST_F(GiftsTest, AUserWithManyGiftsIsRemindedOfSomeAndEachOpenedGiftLetsTheNextNoticeIn) {
  for (uint32_t i = 0; i < 100; ++i) {
    workers[0].gifts.Handle(GiftOf(0x80000001 + i, 10, {7}));
  }
  workers.Login(7);
  workers.HandleGiftMessages();
  EXPECT_EQ(workers.posted.size(), Gifts::kRemindMax);
  std::set<uint32_t> told;
  size_t opened = 0;
  while (!workers.posted.empty()) {
    const Message message = workers.posted.front().second;
    workers.posted.pop_front();
    if (const Notice* notice = std::get_if<Notice>(&message)) {
      EXPECT_TRUE(told.insert(notice->gift.gift_id).second);
      workers[0].gifts.Handle(OpenGift{.address = notice->address, .user = 7, .gift_id = notice->gift.gift_id});
    } else {
      opened += std::get<GiftOpened>(message).amount_fen == 10 ? 1U : 0U;
    }
  }
  EXPECT_EQ(told.size(), 100U);
  EXPECT_EQ(opened, 100U);
}

// ---- how much one sender may send, and what the minter keeps ----

GiftSend SendOf(uint32_t sender, const std::vector<uint32_t>& users) {
  return {.sender = sender, .amount_fen = 300, .users = users};
}

TEST(GiftsCaps, ASenderHasSoManyLiveGiftsInAllBooksTogether) {
  TestWorkers workers({.workers = 2, .gift_expiry_ms = 1'000, .gifts_per_sender = 5});
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(Send(workers[static_cast<size_t>(i % 2)].gifts, SendOf(7, kInvited)), wire::SendResult::kOk);
  }
  for (const auto& worker : workers.workers) {
    EXPECT_EQ(Send(worker->gifts, SendOf(7, {8, 9})), wire::SendResult::kCapped);
  }
  EXPECT_EQ(workers.Count(Counter::kSendsSenderCap), 2U);
  EXPECT_EQ(Send(workers[0].gifts, SendOf(6, kInvited)), wire::SendResult::kOk) << "another sender";
  workers.Turn(2'000);
  EXPECT_EQ(workers.directory.sent(7), 0U);
  EXPECT_EQ(Send(workers[0].gifts, SendOf(7, kInvited)), wire::SendResult::kOk) << "they have expired";
}

TEST(GiftsCaps, AnExpiredGiftCountsNoLongerAlsoWhenEverybodyHasOpenedIt) {
  TestWorkers workers({.gift_expiry_ms = 1'000, .gifts_per_sender = 1});
  Gifts& gifts = workers[0].gifts;
  uint32_t id = 0;
  ASSERT_EQ(Send(gifts, SendOf(7, {1}), &id), wire::SendResult::kOk);
  gifts.Handle(OpenOf(id, 1));
  EXPECT_EQ(Send(gifts, SendOf(7, {1})), wire::SendResult::kCapped) << "opened gifts live until they expire";
  workers.Turn(2'000);
  EXPECT_EQ(Send(gifts, SendOf(7, {1})), wire::SendResult::kOk);
}

TEST(GiftsCaps, ASendThatIsRefusedIsNotCountedAsTheSenders) {
  TestWorkers workers({.gifts_per_sender = 3});
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(Send(workers[0].gifts, SendOf(7, {1, 1})), wire::SendResult::kRefused);
  }
  EXPECT_EQ(workers.directory.sent(7), 0U);
}

TEST(GiftsCaps, OneSenderDoesNotFloodOneUser) {
  TestWorkers workers({.gift_expiry_ms = 1'000, .gifts_per_pair = 3});
  Gifts& gifts = workers[0].gifts;
  for (uint32_t i = 0; i < 3; ++i) {
    EXPECT_EQ(Send(gifts, SendOf(7, {100 + i, 1, 200 + i})), wire::SendResult::kOk);
  }
  EXPECT_EQ(Send(gifts, SendOf(7, {300, 1})), wire::SendResult::kCapped);
  EXPECT_EQ(workers.Count(Counter::kSendsPairCap), 1U);
  EXPECT_EQ(Send(gifts, SendOf(7, {300, 2})), wire::SendResult::kOk) << "to others it may";
  EXPECT_EQ(Send(gifts, SendOf(6, {300, 1})), wire::SendResult::kOk) << "and others may to that one";
  workers.Turn(2'000);
  EXPECT_EQ(Send(gifts, SendOf(7, {1})), wire::SendResult::kOk);
  gifts.book().Audit();
}

TEST(GiftsCaps, SendersLeaveAPartOfAUsersRoomAndOfTheBookToTheMinter) {
  TestWorkers workers({.gifts_max = 40});
  Gifts& gifts = workers[0].gifts;
  for (uint32_t i = 0; i < 30; ++i) {
    ASSERT_EQ(Send(gifts, SendOf(i, {99})), wire::SendResult::kOk);
  }
  EXPECT_EQ(Send(gifts, SendOf(30, {98})), wire::SendResult::kOverload);
  EXPECT_EQ(workers.Count(Counter::kSendsBookFull), 1U);
  for (uint32_t i = 0; i < 10; ++i) {
    gifts.Handle(GiftOf(0x80000001 + i, 300, {99}));
  }
  EXPECT_EQ(gifts.book().totals().gifts_live, 40U);
  TestWorkers others;
  while (others.directory.AddUnopened(1, Directory::kUnopenedOfSendsMax)) {
  }
  EXPECT_EQ(Send(others[0].gifts, SendOf(7, {1, 2})), wire::SendResult::kOverload);
  EXPECT_EQ(others.Count(Counter::kSendsUserFull), 1U);
  EXPECT_EQ(others.directory.unopened(2), 0U);
  EXPECT_EQ(others.directory.sent(7), 0U);
  others[0].gifts.Handle(GiftOf(0x80000001, 300, {1, 2}));
  EXPECT_EQ(others.Count(Counter::kGiftsSent), 1U) << "the minter's does have room";
  others.directory.RemoveUnopened(1);  // as many as were counted above by hand
}

TEST(GiftsCaps, AMintedGiftThatFindsNoRoomGoesBackToTheMinter) {
  TestWorkers workers({.gifts_max = 2, .gift_expiry_ms = 1'000});
  Gifts& gifts = workers[0].gifts;
  for (uint32_t i = 0; i < 3; ++i) {
    gifts.Handle(GiftOf(0x80000001 + i, 300 + i, kInvited));
  }
  const std::vector<MintedGift> back = workers.returned.TakeGifts();
  ASSERT_EQ(back.size(), 1U);
  EXPECT_EQ(back[0].gift_id, 0x80000003U);
  EXPECT_EQ(back[0].amount_fen, 302U);
  EXPECT_EQ(workers.Count(Counter::kGiftsOfferedAgain), 1U);
  EXPECT_EQ(workers.Count(Counter::kGiftsRefused), 0U);
  EXPECT_EQ(workers.directory.unopened(1), 2U);
  workers.Turn(3'000);
  gifts.Handle(back[0]);
  EXPECT_EQ(gifts.book().totals().gifts_live, 1U) << "later it has";
}

}  // namespace
}  // namespace hongbao::serve
