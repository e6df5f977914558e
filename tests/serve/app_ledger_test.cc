// What App makes of the ledger's outcomes: whom it tells, when the connection that asked is there, has gone, or has a successor.
#include <gtest/gtest.h>

#include "tests/serve/app_world.h"

namespace hongbao::serve {
namespace {

using ledger::RecordKind;
using ledger::Settled;
using wire::ShakeResult;
using wire::Version;
using Link = AppWorld::Link;
using Bytes = std::vector<std::byte>;

struct AppLedgerTest : testing::Test {
  explicit AppLedgerTest(const WorldOptions& options = {}) : world(options, &fake, clock) {}
  ~AppLedgerTest() override {
    world.TakeAllMessages();
    world.ExpectIdentities();
  }

  // The frames that have come, in order.
  std::vector<Bytes> Read(const Link& link, bool* closed = nullptr) {
    bool ended = false;
    const Bytes bytes = world.Read(link, &ended);
    if (closed != nullptr) {
      *closed = ended;
    }
    std::vector<Bytes> frames;
    for (size_t at = 0; at < bytes.size(); at += frames.back().size()) {
      frames.emplace_back(bytes.begin() + static_cast<std::ptrdiff_t>(at),
                          bytes.begin() + static_cast<std::ptrdiff_t>(at + wire::LoadU16(bytes.data() + at)));
    }
    return frames;
  }
  // The one answer that has come.
  wire::ShakeResponse ReadShake(const Link& link) {
    const std::vector<Bytes> frames = Read(link);
    wire::ShakeResponse response;
    EXPECT_EQ(frames.size(), 1U);
    EXPECT_TRUE(!frames.empty() && wire::DecodeShakeResponse(frames[0], response) == wire::Decoded::kOk);
    return response;
  }
  Link Login(uint32_t worker, uint32_t user, Version version = Version::k2, uint64_t resume_after = 0) {
    const Link link = world.Connect(worker);
    world.Send(link, LoginFrame(user, version, 1, 1, resume_after));
    EXPECT_EQ(Read(link).size(), 1U) << "its answer";
    return link;
  }
  void Publish(uint32_t id, int64_t fen) {
    const envelope::LuckyEnvelope envelope{.id = id, .amount = envelope::Fen(fen)};
    ASSERT_EQ(world.pool().Publish({&envelope, 1}), 1U);
  }
  // A shake that wins; its commit is under way.
  Link Win(uint32_t worker, uint32_t user, uint64_t stamp, Version version = Version::k2) {
    Publish(kFirstShakeId + published_++, 100);
    const Link link = Login(worker, user, version);
    world.Send(link, ShakeFrame(user, stamp));
    EXPECT_EQ(fake.waiting(), 1U);
    return link;
  }
  void RunUntilQuiet() {
    while (fake.Commit() > 0) {
      world.TakeAllMessages();
    }
    world.TakeAllMessages();
  }

  time::FakeClock clock;
  FakeLedger fake;
  AppWorld world;
  uint32_t published_ = 0;
};

TEST_F(AppLedgerTest, TheOutcomeComesToTheConnectionThatAsked) {
  const Link link = Win(0, 7, 50);
  EXPECT_TRUE(Read(link).empty()) << "not before the commit";
  EXPECT_FALSE(world.app(0).Settled());
  RunUntilQuiet();
  EXPECT_TRUE(world.app(0).Settled());
  const wire::ShakeResponse response = ReadShake(link);
  EXPECT_EQ(response.result, ShakeResult::kWon);
  EXPECT_EQ(response.stamp, 50U);
  EXPECT_EQ(response.envelope_id, kFirstShakeId);
}

TEST_F(AppLedgerTest, VersionOneIsAnsweredToo) {
  const Link link = Win(0, 7, 1'486'824'165, Version::k1);
  RunUntilQuiet();
  EXPECT_EQ(ReadShake(link).stamp, 1'486'824'165U);
}

TEST_F(AppLedgerTest, WithoutItsConnectionTheOutcomeWaitsForTheNextLogin) {
  const Link link = Win(0, 7, 50);
  world.Disconnect(link);
  RunUntilQuiet();
  EXPECT_EQ(world.Count(Counter::kRepliesLost), 1U);
  EXPECT_EQ(world.Count(Counter::kWon), 1U) << "it is the user's all the same";
  const Link again = Login(1, 7);
  RunUntilQuiet();
  EXPECT_EQ(ReadShake(again).stamp, 50U);
  EXPECT_EQ(world.Count(Counter::kResumed), 1U);
}

TEST_F(AppLedgerTest, TheNextConnectionInTheSameSlotIsAStranger) {
  const Link link = Win(0, 7, 50);
  world.Disconnect(link);
  const Link stranger = Login(0, 8);
  ASSERT_EQ(stranger.slot, link.slot);
  RunUntilQuiet();
  EXPECT_TRUE(Read(stranger).empty());
  EXPECT_EQ(world.Count(Counter::kRepliesLost), 1U);
}

TEST_F(AppLedgerTest, TheUsersNewerSessionIsToldInstead) {
  const Link link = Win(0, 7, 50);
  world.Disconnect(link);
  const Link newer = Login(1, 7, Version::k2, /*resume_after=*/50);  // so that it can't come by a resume
  RunUntilQuiet();
  EXPECT_EQ(ReadShake(newer).stamp, 50U);
  EXPECT_EQ(world.Count(Counter::kForwarded), 1U);
  EXPECT_EQ(world.Count(Counter::kRepliesLost), 0U);
}

// The older connection's peer may be long gone (a half-open connection), and the newer one's resume has been answered.
TEST_F(AppLedgerTest, TheNewerSessionIsToldAlsoWhileTheOlderOneIsStillOpen) {
  const Link older = Win(0, 7, 50);
  const Link newer = Login(1, 7, Version::k2, 50);  // the word to close the older one is still under way
  world.outcomes_overtake = true;
  ASSERT_EQ(fake.Commit(), 1U);
  world.TakeAllMessages();
  EXPECT_EQ(ReadShake(newer).stamp, 50U);
  bool closed = false;
  // No answer, only the word that a newer login has replaced it.
  const std::vector<Bytes> last = Read(older, &closed);
  ASSERT_EQ(last.size(), 1U);
  EXPECT_EQ(last[0].size(), wire::LoginResponseBytes(Version::k2));
  EXPECT_TRUE(closed);
}

TEST_F(AppLedgerTest, ANewerSessionOfVersionOneIsNotTold) {
  const Link link = Win(0, 7, 50);
  world.Disconnect(link);
  const Link newer = Login(1, 7, Version::k1);
  RunUntilQuiet();
  EXPECT_TRUE(Read(newer).empty()) << "it would take it for the answer to a shake of its own";
  EXPECT_EQ(world.Count(Counter::kRepliesLost), 1U);
  const Link later = Login(1, 7, Version::k2);
  RunUntilQuiet();
  EXPECT_EQ(ReadShake(later).stamp, 50U);
}

TEST_F(AppLedgerTest, WhatHasNoIdentityIsNotForwarded) {
  const Link link = Win(0, 7, 50, Version::k1);
  world.Disconnect(link);
  const Link newer = Login(1, 7, Version::k2);
  RunUntilQuiet();
  EXPECT_TRUE(Read(newer).empty());
  EXPECT_EQ(world.Count(Counter::kForwarded), 0U);
}

TEST_F(AppLedgerTest, NoIsNotForwardedItWouldBeAskedForAgain) {
  const Link link = Win(0, 7, 50);
  world.Send(link, ShakeFrame(7, 50) + StatementFrame(7, 51));
  RunUntilQuiet();
  EXPECT_EQ(Read(link).size(), 3U);
  world.Send(link, ShakeFrame(7, 49) + StatementFrame(7, 52));
  world.Disconnect(link);
  const Link newer = Login(1, 7, Version::k2, 50);
  RunUntilQuiet();
  EXPECT_TRUE(Read(newer).empty());
  EXPECT_EQ(world.Count(Counter::kRepliesLost), 2U);
}

TEST_F(AppLedgerTest, AReturnedShareGoesOutAgain) {
  const Link older = Win(0, 7, 50);
  const Link newer = Login(1, 7, Version::k2, 50);
  world.Send(newer, ShakeFrame(7, 50));
  fake.CommitLane(1);
  world.TakeAllMessages();
  EXPECT_EQ(ReadShake(newer).result, ShakeResult::kNothing);
  RunUntilQuiet();
  EXPECT_TRUE(Read(newer).empty()) << "and nothing it stays";
  EXPECT_EQ(world.pool().left(), 0U);
  world.Turn();
  EXPECT_EQ(world.pool().left(), 1U);
  world.Send(newer, ShakeFrame(7, 51));
  RunUntilQuiet();
  EXPECT_EQ(ReadShake(newer).envelope_id, kFirstShakeId);
  world.Disconnect(older);
}

TEST_F(AppLedgerTest, AGiftsStoryFromSendToOpenOverTwoWorkers) {
  const Link sender = Login(0, 7);
  const Link one = Login(1, 1);
  world.Send(sender, SendFrame(7, 300, {1, 2}, 60));
  world.TakeAllMessages();
  EXPECT_TRUE(Read(sender).empty());
  EXPECT_TRUE(Read(one).empty());
  RunUntilQuiet();
  wire::SendResponse sent;
  const std::vector<Bytes> answers = Read(sender);
  ASSERT_EQ(answers.size(), 1U);
  ASSERT_EQ(wire::DecodeSendResponse(answers[0], sent), wire::Decoded::kOk);
  EXPECT_EQ(Read(one).size(), 1U) << "a notice";

  world.Send(one, OpenFrame(1, sent.envelope_id, 70) + OpenFrame(1, sent.envelope_id, 71));
  world.TakeAllMessages();
  EXPECT_TRUE(Read(one).empty()) << "drawn, and not told before it is durable";
  RunUntilQuiet();
  const std::vector<Bytes> opened = Read(one);
  ASSERT_EQ(opened.size(), 2U);
  wire::OpenResponse first, second;
  ASSERT_EQ(wire::DecodeOpenResponse(opened[0], Version::k2, first), wire::Decoded::kOk);
  ASSERT_EQ(wire::DecodeOpenResponse(opened[1], Version::k2, second), wire::Decoded::kOk);
  EXPECT_EQ(first.stamp, 70U);
  EXPECT_EQ(second.stamp, 71U);
  EXPECT_GT(first.amount_fen, 0U);
  EXPECT_EQ(first.amount_fen, second.amount_fen);
}

TEST_F(AppLedgerTest, AnOpenWhoseConnectionHasGoneIsForwarded) {
  const Link sender = Login(0, 7);
  world.Send(sender, SendFrame(7, 300, {1}, 60));
  RunUntilQuiet();
  const Link one = Login(1, 1, Version::k2, 100);
  world.TakeAllMessages();
  Read(one);
  world.Send(one, OpenFrame(1, kFirstSentGiftId, 70));
  world.TakeAllMessages();
  world.Disconnect(one);
  const Link newer = Login(0, 1, Version::k2, 100);
  RunUntilQuiet();
  const std::vector<Bytes> frames = Read(newer);
  ASSERT_EQ(frames.size(), 1U);
  wire::OpenResponse response;
  ASSERT_EQ(wire::DecodeOpenResponse(frames[0], Version::k2, response), wire::Decoded::kOk);
  EXPECT_EQ(response.amount_fen, 300U);
}

// ---- resume, page by page ----

struct AppResumeTest : AppLedgerTest {
  AppResumeTest() : AppLedgerTest({.credits = 200, .pool = 256, .unsent_bytes_max = 512}) {
    fake.resume_page = 10;
    const Link link = Login(0, 7);
    for (uint32_t i = 0; i < 55; ++i) {
      Publish(kFirstShakeId + i, 100);
      world.Send(link, ShakeFrame(7, 1'000 + i));
    }
    world.Disconnect(link);
    RunUntilQuiet();
  }
  // Everything that comes when the client reads every `reads`-th turn.
  std::vector<Bytes> ReadAll(const Link& link, int reads) {
    std::vector<Bytes> all;
    for (int turn = 0; turn < 200; ++turn) {
      RunUntilQuiet();
      world.Turn();
      if (turn % reads == 0) {
        const std::vector<Bytes> frames = Read(link);
        all.insert(all.end(), frames.begin(), frames.end());
      }
    }
    return all;
  }
};

TEST_F(AppResumeTest, PagesFollowEachOtherAsTheyAreRead) {
  for (const int reads : {1, 7}) {
    const Link link = Login(1, 7, Version::k2, /*resume_after=*/1'004);
    std::vector<uint64_t> stamps;
    for (const Bytes& frame : ReadAll(link, reads)) {
      wire::ShakeResponse response;
      ASSERT_EQ(wire::DecodeShakeResponse(frame, response), wire::Decoded::kOk);
      EXPECT_EQ(response.result, ShakeResult::kWon);
      stamps.push_back(response.stamp);
    }
    std::sort(stamps.begin(), stamps.end());
    ASSERT_EQ(stamps.size(), 50U) << "each once, and a slow reader is not closed: all pages together are more than it may owe";
    EXPECT_EQ(stamps.front(), 1'005U);
    EXPECT_EQ(stamps.back(), 1'054U);
    world.Disconnect(link);
  }
}

TEST_F(AppResumeTest, AClientThatGoesTakesItsPagesAlong) {
  const Link link = Login(1, 7);
  RunUntilQuiet();
  world.Disconnect(link);
  for (int turn = 0; turn < 5; ++turn) {
    world.Turn();
    RunUntilQuiet();
  }
  EXPECT_EQ(fake.waiting(), 0U);
  EXPECT_TRUE(world.app(1).Settled());
  EXPECT_GT(world.app(1).OnTurn(clock.MonotonicNs()), clock.MonotonicNs() + time::kNsPerMs) << "nothing is left to come back to";
}

}  // namespace
}  // namespace hongbao::serve
