// One worker's App on a port without a ring: what it makes of connections, messages and turns.

#include "libhongbao/serve/app.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/net/port_tester.h"
#include "tests/serve/test_workers.h"

namespace hongbao::serve {
namespace {

using net::CloseReason;
using net::ConnectionState;
using net::PortTester;
using wire::Version;

const wire::Token kToken{std::byte{1}};

class AppTest : public testing::Test {
 protected:
  using Mailbox = net::Mailbox<Message>;

  static constexpr uint32_t kBulkBytes = 40'000;

  AppTest()
      : shared_(*Directory::Create(40'000), 16, /*max_qps=*/0, clock_),
        port_(0, {.slots = 32, .unsent_bytes_max = 1'024, .bulk = {.connections = 1, .unsent_bytes_max = kBulkBytes}}) {
    for (int worker = 0; worker < 2; ++worker) {
      mailboxes_.push_back(std::make_unique<Mailbox>(64));
    }
    context_ = std::make_unique<net::WorkerContext<Message>>(0, clock_, mailboxes_);
    context_->AddPort(&port_);
    app_ = std::make_unique<App>(*context_,
                                 WorkerOptions{.connections_max = 3,
                                               .sessions = {.gateways_max = 2, .gateway_token = kToken},
                                               .gifts = {.gifts_max = 100, .expiry_ms = 1'000},
                                               .delay = {.requests_min = 1}},
                                 shared_, counters_);
    Turn();
  }

  int64_t Turn(int64_t after_ns = 0, int64_t slept_ns = 0) {
    clock_.Advance(after_ns);
    context_->set_slept_ns(slept_ns);
    return app_->OnTurn(clock_.MonotonicNs());
  }
  net::Connection& Open(uint32_t slot) {
    net::Connection& connection = PortTester::Open(port_, slot);
    app_->OnOpen(port_, connection);
    return connection;
  }
  void Feed(net::Connection& connection, const std::vector<std::byte>& bytes) {
    net::Replies replies = port_.Out(connection);
    consumed_ = app_->OnBytes(port_, connection, bytes, replies);
  }
  net::Connection& Login(uint32_t slot, uint32_t user, Version version = Version::k1) {
    net::Connection& connection = Open(slot);
    Feed(connection, LoginFrame(user, version));
    return connection;
  }
  // A gateway of the users 0.. that has sent its login, and `behind` it.
  net::Connection& Gateway(uint32_t users, const std::vector<std::byte>& behind = {}) {
    net::Connection& connection = Open(5);
    Feed(connection, LoginFrame(0, Version::k2, 1, users, 0, kToken) + behind);
    return connection;
  }
  uint64_t AddressOf(const net::Connection& connection) {
    return Pack({.generation = connection.generation, .slot = connection.slot});
  }
  uint64_t Count(Counter counter) { return counters_.cells.Get(counter); }

  time::FakeClock clock_;
  Shared shared_;
  WorkerCounters counters_;
  std::vector<std::unique_ptr<Mailbox>> mailboxes_;
  net::Port port_;
  std::unique_ptr<net::WorkerContext<Message>> context_;
  std::unique_ptr<App> app_;
  size_t consumed_ = 0;
};

TEST_F(AppTest, TheLoginDeadlineEndsWithTheLoginNotWithTheConnection) {
  net::Connection& connection = Open(5);
  EXPECT_NE(connection.deadline_tick, 0U);
  Feed(connection, LoginFrame(7));
  EXPECT_EQ(connection.deadline_tick, 0U);
  EXPECT_EQ(shared_.directory.Find(7), AddressOf(connection));
  net::Connection& refused = Open(6);
  Feed(refused, LoginFrame(40'000));
  EXPECT_NE(refused.deadline_tick, 0U);
  EXPECT_EQ(refused.state, ConnectionState::kFlushing) << "its answer leaves first";
  EXPECT_EQ(refused.close_reason, CloseReason::kRefused);
}

TEST_F(AppTest, AGatewayHasTheRoomOfABulkConnectionAndIsRefusedWithout) {
  net::Connection& gateway = Gateway(2'000);
  EXPECT_EQ(gateway.deadline_tick, 0U);
  EXPECT_EQ(port_.Out(gateway).Room(), kBulkBytes - wire::LoginResponseBytes(Version::k2));
  net::Connection& second = Open(6);
  Feed(second, LoginFrame(2'000, Version::k2, 1, 2'000, 0, kToken));
  EXPECT_EQ(second.close_reason, CloseReason::kFull);
  app_->OnClose(port_, second, CloseReason::kFull);
  EXPECT_EQ(shared_.directory.Find(2'500), kOffline);
  EXPECT_EQ(shared_.directory.Find(1'999), AddressOf(gateway) | kGatewayBit);
}

// A part of its users a turn, and others are served between; what the gateway has sent too early waits for its login's answer.
TEST_F(AppTest, ALargeGatewaysLoginTakesTurns) {
  net::Connection& gateway = Open(5);
  const std::vector<std::byte> shake = ShakeFrame(39'999, 77);
  Feed(gateway, LoginFrame(0, Version::k2, 1, 40'000, 0, kToken) + ShakeFrame(1, 76) +
                    std::vector<std::byte>(shake.begin(), shake.begin() + 5));
  EXPECT_EQ(gateway.pending_block, net::kNoIndex) << "not answered at once";
  Feed(gateway, std::vector<std::byte>(shake.begin() + 5, shake.begin() + 9));
  EXPECT_EQ(consumed_, 4U);
  EXPECT_NE(shared_.directory.Find(0), kOffline);
  EXPECT_EQ(shared_.directory.Find(39'999), kOffline);
  net::Connection& direct = Login(6, 39'000);
  Feed(direct, ShakeFrame(39'000));
  EXPECT_EQ(PortTester::TakeReplies(port_, direct).size(), 20 + wire::kShakeResponseBytes);
  int turns = 0;
  for (; gateway.pending_block == net::kNoIndex; ++turns) {
    ASSERT_LT(turns, 10);
    EXPECT_TRUE(gateway.waits);
    const int64_t next_ns = Turn();
    EXPECT_EQ(next_ns == clock_.MonotonicNs(), gateway.pending_block == net::kNoIndex) << "and on in the next";
  }
  EXPECT_EQ(turns, 2);
  EXPECT_FALSE(gateway.waits);
  EXPECT_EQ(shared_.directory.Find(39'000), AddressOf(gateway) | kGatewayBit);
  EXPECT_EQ(direct.close_reason, CloseReason::kSuperseded);
  EXPECT_EQ(PortTester::TakeReplies(port_, gateway).size(), wire::LoginResponseBytes(Version::k2) + wire::kShakeResponseBytes)
      << "the whole frame behind it";
  EXPECT_NE(gateway.partial_block, net::kNoIndex) << "and the start of the next is kept";
  EXPECT_EQ(Count(Counter::kUsersCame), 40'000U);
}

TEST_F(AppTest, ALargeGatewayThatEndsTakesTurnsToLeave) {
  net::Connection& gateway = Gateway(40'000);
  Turn();
  Turn();
  ASSERT_EQ(Count(Counter::kUsersCame), 40'000U);
  Turn();
  gateway.state = ConnectionState::kClosing;
  app_->OnClose(port_, gateway, CloseReason::kPeer);
  EXPECT_EQ(Count(Counter::kUsersLeft), 16'384U);
  EXPECT_EQ(Turn(), clock_.MonotonicNs()) << "and on in the next";
  Turn();
  EXPECT_EQ(Count(Counter::kUsersLeft), 40'000U);
  EXPECT_EQ(shared_.directory.Find(39'999), kOffline);
}

TEST_F(AppTest, ADrainDoesNotWaitForALargeGatewayToLeave) {
  net::Connection& gateway = Gateway(40'000);
  Turn();
  Turn();
  gateway.state = ConnectionState::kClosing;
  app_->OnClose(port_, gateway, CloseReason::kPeer);
  EXPECT_LT(Count(Counter::kUsersLeft), 40'000U);
  app_->OnDrain();
  EXPECT_EQ(Count(Counter::kUsersLeft), 40'000U);
  EXPECT_EQ(shared_.directory.Find(0), kOffline);
}

TEST_F(AppTest, ADrainRefusesAGatewayWhoseUsersHaveNotAllEntered) {
  net::Connection& gateway = Gateway(40'000);
  app_->OnDrain();
  Turn();
  EXPECT_EQ(gateway.close_reason, CloseReason::kDrain);
  wire::LoginResponse response;
  const std::vector<std::byte> reply = PortTester::TakeReplies(port_, gateway);
  ASSERT_EQ(wire::DecodeLoginResponse(reply, Version::k2, response), wire::Decoded::kOk);
  EXPECT_EQ(response.result, wire::LoginResult::kFullOrDraining);
  app_->OnClose(port_, gateway, CloseReason::kDrain);
  EXPECT_EQ(Count(Counter::kUsersCame), Count(Counter::kUsersLeft));
}

TEST_F(AppTest, AGatewayIsRemindedOfGiftsAPartEachMillisecondWhileItReads) {
  for (const uint32_t user : {5U, 1'500U, 2'900U}) {
    for (int gift = 0; gift < 100; ++gift) {
      ASSERT_TRUE(shared_.directory.AddUnopened(user));
    }
  }
  net::Connection& gateway = Gateway(3'000);
  const auto reminded = [this] {
    context_->FlushOutboxes();
    uint32_t count = 0;
    for (Message message; mailboxes_[1]->Pop(message);) {
      EXPECT_TRUE(std::holds_alternative<AskForNotices>(message));
      ++count;
    }
    return count;
  };
  Turn(time::kNsPerMs);
  EXPECT_EQ(reminded(), 0U) << "the login's answer is not on its way";
  PortTester::TakeReplies(port_, gateway);
  Turn(time::kNsPerMs);
  EXPECT_EQ(reminded(), 1U) << "a user with many";
  Turn();
  EXPECT_EQ(reminded(), 0U) << "in the same millisecond";
  Turn(time::kNsPerMs);
  EXPECT_EQ(reminded(), 1U);
  port_.Out(gateway).Append(16);
  Turn(time::kNsPerMs);
  EXPECT_EQ(reminded(), 0U);
  PortTester::TakeReplies(port_, gateway);
  Turn(time::kNsPerMs);
  EXPECT_EQ(reminded(), 1U);
  Turn(time::kNsPerMs);
  EXPECT_EQ(reminded(), 0U);
}

TEST_F(AppTest, MalformedBytesEndTheConnectionAfterTheRepliesThatAreOwed) {
  net::Connection& connection = Login(5, 7);
  Feed(connection, ShakeFrame(7) + ShakeFrame(8));
  EXPECT_EQ(connection.state, ConnectionState::kFlushing);
  EXPECT_EQ(connection.close_reason, CloseReason::kMalformed);
  net::Connection& silent = Open(6);
  Feed(silent, std::vector<std::byte>(4));
  EXPECT_EQ(silent.state, ConnectionState::kClosing) << "nothing is owed";
}

TEST_F(AppTest, TheConnectionBeyondTheLimitIsToldWhenItLogsIn) {
  Open(1);
  Open(2);
  net::Connection& last = Login(3, 7);
  EXPECT_EQ(last.state, ConnectionState::kOpen);
  net::Connection& beyond = Login(4, 8);
  EXPECT_EQ(beyond.close_reason, CloseReason::kFull);
  EXPECT_EQ(Count(Counter::kLoginsFull), 1U);
  app_->OnClose(port_, beyond, CloseReason::kFull);
  app_->OnClose(port_, last, CloseReason::kPeer);
  EXPECT_EQ(Login(5, 9).state, ConnectionState::kOpen);
  EXPECT_EQ(shared_.connections.CountThen([] {}), 3U);
}

TEST_F(AppTest, Defect18_ANewerLoginOnTheSameWorkerFlushesTheOlderOut) {
  net::Connection& old_one = Login(5, 7);
  net::Connection& new_one = Login(6, 7, Version::k2);
  EXPECT_EQ(old_one.close_reason, CloseReason::kSuperseded);
  EXPECT_NE(old_one.state, ConnectionState::kOpen);
  EXPECT_EQ(new_one.state, ConnectionState::kOpen);
  app_->OnClose(port_, old_one, CloseReason::kSuperseded);
  EXPECT_EQ(shared_.directory.Find(7), AddressOf(new_one));
}

TEST_F(AppTest, WhatIsForAnotherWorkerGoesToItsMailbox) {
  shared_.directory.Login(7, Pack({.worker = 1, .generation = 9, .slot = 9}));
  Login(5, 7);
  Message message;
  ASSERT_TRUE(mailboxes_[1]->Pop(message));
  EXPECT_EQ(Unpack(std::get<Supersede>(message).address).slot, 9U);
}

TEST_F(AppTest, NoticesAndAnswersReachTheConnectionOnlyWhileItIsThatOne) {
  net::Connection& connection = Login(5, 7);
  Notice notice{.address = AddressOf(connection), .user = 7, .gift = GiftOf(kFirstMintedGiftId, 10, {7})};
  GiftOpened opened{.address = notice.address, .user = 7, .gift_id = kFirstMintedGiftId, .amount_fen = 10};
  app_->OnMessage(notice);
  app_->OnMessage(opened);
  EXPECT_EQ(Count(Counter::kNotices), 1U);
  EXPECT_EQ(Count(Counter::kRepliesLost), 0U);
  notice.address = opened.address = Pack({.generation = connection.generation + 1, .slot = 5});  // the slot's next life
  app_->OnMessage(notice);
  app_->OnMessage(opened);
  EXPECT_EQ(Count(Counter::kNotices), 1U);
  EXPECT_EQ(Count(Counter::kNoticesLost), 1U);
  EXPECT_EQ(Count(Counter::kRepliesLost), 1U);
}

TEST_F(AppTest, Defect19_NoticesBeyondTheUnsentBytesAreDroppedAndCloseNobody) {
  net::Connection& connection = Login(5, 7);
  for (uint32_t i = 0; i < 100; ++i) {
    app_->OnMessage(GiftOf(kFirstMintedGiftId + 2 * i + 1, 10, {7}));
  }
  EXPECT_EQ(connection.state, ConnectionState::kOpen) << "a hint is not worth a connection";
  EXPECT_EQ(Count(Counter::kNotices) + Count(Counter::kNoticesLost), 100U);
  EXPECT_GT(Count(Counter::kNoticesLost), 0U);
  EXPECT_EQ(shared_.directory.unopened(7), 100U);

  std::set<uint32_t> told;
  for (int turn = 0; turn < 40 && told.size() < Count(Counter::kGiftsSent); ++turn) {
    const std::vector<std::byte> bytes = PortTester::TakeReplies(port_, connection);
    for (size_t at = 0; at < bytes.size(); at += wire::LoadU16(&bytes[at])) {
      if (wire::LoadU16(&bytes[at + 2]) == static_cast<uint16_t>(wire::FrameType::kGiftNotice)) {
        told.insert(wire::LoadU32(&bytes[at + 12]));
      }
    }
    Turn(time::kNsPerMs);
  }
  EXPECT_EQ(told.size(), Count(Counter::kGiftsSent)) << "made good as there was room";
  EXPECT_LE(Turn(time::kNsPerMs) - clock_.MonotonicNs(), time::kNsPerSecond);
}

TEST_F(AppTest, ResumedOutcomesOfStampsFarAheadAreNotTold) {
  net::Connection& connection = Login(5, 7, Version::k2);
  PortTester::TakeReplies(port_, connection);
  ledger::Outcome outcome{.kind = ledger::RecordKind::kWin, .settled = ledger::Settled::kRepeat};
  outcome.has_stamp = outcome.resumed = true;
  outcome.user = 7;
  outcome.reply_to = AddressOf(connection);
  outcome.envelope_id = kFirstShakeId;
  outcome.amount_fen = 5;
  outcome.stamp = ~uint64_t{0};
  app_->OnMessage(RecordSettled{outcome});
  EXPECT_TRUE(PortTester::TakeReplies(port_, connection).empty()) << "its peer would not know what it is";
  outcome.stamp = static_cast<uint64_t>(clock_.WallNs());
  app_->OnMessage(RecordSettled{outcome});
  EXPECT_EQ(PortTester::TakeReplies(port_, connection).size(), wire::kShakeResponseBytes);
}

// The server's clock is the highest that it has shown.
TEST_F(AppTest, StampsAreRefusedFromAnHourAheadOfTheClockOn) {
  constexpr int64_t kHourNs = 3'600 * time::kNsPerSecond;
  net::Connection& connection = Login(5, 7, Version::k2);
  PortTester::TakeReplies(port_, connection);
  const auto result = [&](int64_t ahead_ns) {
    Feed(connection, ShakeFrame(7, static_cast<uint64_t>(clock_.WallNs() + ahead_ns)));
    const std::vector<std::byte> bytes = PortTester::TakeReplies(port_, connection);
    wire::ShakeResponse response;
    EXPECT_EQ(wire::DecodeShakeResponse(bytes, response), wire::Decoded::kOk);
    return response.result;
  };
  EXPECT_EQ(result(kHourNs), wire::ShakeResult::kNothing);
  EXPECT_EQ(result(kHourNs + 1), wire::ShakeResult::kAhead);
  clock_.StepWall(-2 * kHourNs);
  Turn(time::kNsPerMs);
  EXPECT_EQ(result(3 * kHourNs), wire::ShakeResult::kNothing) << "nobody whose clock is right is refused";
  clock_.StepWall(4 * kHourNs);
  Turn(time::kNsPerMs);
  EXPECT_EQ(result(kHourNs), wire::ShakeResult::kNothing);
  EXPECT_EQ(result(kHourNs + 1), wire::ShakeResult::kAhead);
  EXPECT_EQ(Count(Counter::kStampsAhead), 2U);
}

TEST_F(AppTest, EverySecondIsFiledAlsoWhenNothingHappens) {
  EXPECT_LE(Turn(), clock_.MonotonicNs() + time::kNsPerSecond);
  const int64_t first = time::UnixSecond(clock_.WallNs());
  Login(5, 7);
  for (int i = 0; i < 3; ++i) {
    const int64_t next_ns = Turn();
    Turn(next_ns - clock_.MonotonicNs());
  }
  EXPECT_EQ(counters_.history.finished(), first + 2);
  count::Values<Counter> values;
  ASSERT_TRUE(counters_.history.Read(first, values));
  EXPECT_EQ(values[Counter::kLoginsOk], 1U);
}

TEST_F(AppTest, TimeSleptIsNotTimeThatRequestsWaited) {
  net::Connection& connection = Login(5, 7);
  for (int i = 0; i < 50; ++i) {  // a request a second, and sleep in between
    Turn(time::kNsPerSecond, time::kNsPerSecond - time::kNsPerMs);
    Feed(connection, StatementFrame(7));
    Feed(connection, ShakeFrame(7));
  }
  EXPECT_EQ(app_->parts().overload.delay().admitted(), DelayControl::kAll);
}

TEST_F(AppTest, ATurnThatTookLongIsTimeThatRequestsWaited) {
  Login(5, 7);
  net::Connection& connection = Open(6);
  Feed(connection, LoginFrame(8, Version::k2));
  for (int i = 0; i < 20 && connection.state == ConnectionState::kOpen; ++i) {
    Turn(2 * time::kNsPerSecond, 0);
    Feed(connection, ShakeFrame(8));
  }
  EXPECT_LT(app_->parts().overload.delay().admitted(), DelayControl::kAll);
}

}  // namespace
}  // namespace hongbao::serve
