// Sends in silence: they end when they are handed over, and the kernel speaks only of what it did not take whole.
#include <cerrno>
#include <string>
#include <vector>

#include "libhongbao/net/set.h"
#include "set_fixture.h"

namespace hongbao::net {
namespace {

class SetSilentTest : public SetFixture {
 protected:
  static constexpr uint32_t kSlot = 5;
  SetSilentTest() { ring.silent = true; }

  // Of the next silent send the kernel takes `taken` bytes, or refuses it; of later ones all.
  void CutNext(int32_t taken) {
    ring.on_silent_send = [this, taken](const ScriptedRing::Entry&) {
      ring.on_silent_send = nullptr;
      return taken;
    };
  }
  size_t Waiting(uint32_t slot) const {
    const ScriptedRing::Entry* const entry = ring.Find(Operation::kSend, slot);
    return entry != nullptr && !entry->silent ? entry->copy.size() : 0;
  }
};

TEST_F(SetSilentTest, AReplyLeavesWithoutACompletionAndItsBlockIsFree) {
  Open(kSlot);
  for (uint32_t n = 1; n <= 3; ++n) {
    Receive(kSlot, Frame('e', n));
    EXPECT_FALSE(ring.InFlight(Operation::kSend, kSlot));
    EXPECT_EQ(PortTester::ReplyBlocks(*port), 0u);
  }
  EXPECT_EQ(ring.sent[kSlot], Frame('e', 1) + Frame('e', 2) + Frame('e', 3));
  EXPECT_EQ(counters.events.Get(Counter::kSends), 3u);
  EXPECT_EQ(counters.events.Get(Counter::kSentBytes), 3 * kTestFrame);
  EXPECT_EQ(counters.events.Get(Counter::kShortSends), 0u);
  ExpectNothingLeaks();
}

TEST_F(SetSilentTest, ServeAloneQueuesAndTheNextOneSettles) {
  Open(kSlot);
  ASSERT_TRUE(ring.CompleteReceive(kSlot, At(kSlot).generation, Frame('e', 1)));
  set->Serve();
  EXPECT_TRUE(ring.HasSubmissions());
  EXPECT_EQ(PortTester::ReplyBlocks(*port), 1u) << "the kernel has not read it yet";
  set->Serve();
  EXPECT_EQ(PortTester::ReplyBlocks(*port), 1u) << "nobody has entered";
  ring.Enter();
  set->Serve();
  EXPECT_EQ(PortTester::ReplyBlocks(*port), 0u);
  EXPECT_EQ(ring.sent[kSlot], Frame('e', 1));
  ExpectNothingLeaks();
}

TEST_F(SetSilentTest, CutAtEachByteTheRestFollowsInOrder) {
  const std::string stream = Frame('e', 1) + Frame('e', 2) + Frame('e', 3);
  const std::string after = Frame('e', 4);
  for (size_t taken = 0; taken < stream.size(); ++taken) {
    for (size_t then = 1; then <= stream.size() - taken; ++then) {
      Open(kSlot);
      ring.sent.clear();
      CutNext(taken == 0 ? -EAGAIN : static_cast<int32_t>(taken));
      Receive(kSlot, stream);
      ASSERT_EQ(Waiting(kSlot), stream.size() - taken) << "the rest waits in the kernel for room";
      Receive(kSlot, after);  // what is answered meanwhile stays behind it
      ASSERT_EQ(Waiting(kSlot), stream.size() - taken);
      Complete(Operation::kSend, kSlot, static_cast<int32_t>(then));
      TurnAll();
      while (Waiting(kSlot) > 0) {
        SendAll(kSlot);
      }
      ASSERT_EQ(ring.sent[kSlot], stream + after) << taken << ", then " << then;
      EXPECT_EQ(PortTester::ReplyBlocks(*port), 0u);
      ExpectNothingLeaks();
    }
  }
}

TEST_F(SetSilentTest, OneThatIsCutDoesNotHoldUpTheOthersOfItsTurn) {
  for (uint32_t slot = 1; slot <= 9; ++slot) {
    Open(slot);
  }
  ring.on_silent_send = [](const ScriptedRing::Entry& entry) {
    return entry.tag.slot % 3 == 0 ? -EAGAIN : static_cast<int32_t>(entry.copy.size());
  };
  for (uint32_t slot = 1; slot <= 9; ++slot) {
    ASSERT_TRUE(ring.CompleteReceive(slot, At(slot).generation, Frame('e', slot)));
  }
  TurnAll();
  for (uint32_t slot = 1; slot <= 9; ++slot) {
    EXPECT_EQ(Waiting(slot), slot % 3 == 0 ? kTestFrame : 0u) << slot;
  }
  EXPECT_EQ(PortTester::ReplyBlocks(*port), 3u);
  for (uint32_t slot = 3; slot <= 9; slot += 3) {
    SendAll(slot);
  }
  for (uint32_t slot = 1; slot <= 9; ++slot) {
    EXPECT_EQ(ring.sent[slot], Frame('e', slot));
  }
  ExpectNothingLeaks();
}

TEST_F(SetSilentTest, ABrokenConnectionIsClosed) {
  for (const int error : {EPIPE, ECONNRESET, ENOMEM}) {
    Open(kSlot);
    CutNext(-error);
    Receive(kSlot, Frame('e', 1));
    Settle();
    EXPECT_EQ(RecordOf(kSlot).reason, CloseReason::kReset);
    ExpectNothingLeaks();
  }
}

// The CQ was full: what a send has to say comes with the next enter, and until then its block is the kernel's, as far as we know.
TEST_F(SetSilentTest, WhatOverflowedIsWaitedFor) {
  Open(kSlot);
  Open(6);
  ASSERT_TRUE(ring.CompleteReceive(kSlot, At(kSlot).generation, Frame('e', 1)));
  ASSERT_TRUE(ring.CompleteReceive(6, At(6).generation, Frame('e', 2)));
  set->Serve();
  ring.on_silent_send = [](const ScriptedRing::Entry& entry) {
    return entry.tag.slot == kSlot ? 7 : static_cast<int32_t>(entry.copy.size());
  };
  ring.overflows = true;
  ring.Enter();
  ASSERT_TRUE(ring.Overflowed());
  set->Serve();
  EXPECT_EQ(PortTester::ReplyBlocks(*port), 2u);
  EXPECT_FALSE(set->MayWait()) << "there is news in the kernel";
  ring.Enter();
  set->Serve();
  EXPECT_EQ(PortTester::ReplyBlocks(*port), 1u);
  TurnAll();
  SendAll(kSlot);
  EXPECT_EQ(ring.sent[kSlot], Frame('e', 1));
  EXPECT_EQ(ring.sent[6], Frame('e', 2));
  ring.overflows = false;
  ExpectNothingLeaks();
}

TEST_F(SetSilentTest, NobodyWaitsBeforeASendThatSomethingIsBehind) {
  Open(kSlot);
  ASSERT_TRUE(ring.CompleteReceive(kSlot, At(kSlot).generation, Frame('e', 1)));
  set->Serve();
  EXPECT_FALSE(set->AwaitsSends()) << "nothing but the block";
  // More is to be said before the first has left.
  ASSERT_TRUE(ring.CompleteReceive(kSlot, At(kSlot).generation, Frame('e', 2)));
  set->Serve();
  EXPECT_TRUE(set->AwaitsSends());
  TurnAll();
  EXPECT_EQ(ring.sent[kSlot], Frame('e', 1) + Frame('e', 2));
  // It is to be closed once its reply has left.
  ASSERT_TRUE(ring.CompleteReceive(kSlot, At(kSlot).generation, Frame('e', 3)));
  set->Serve();
  port->CloseAfterFlush(At(kSlot), CloseReason::kRefused);
  EXPECT_TRUE(set->AwaitsSends());
  TurnAll();
  EXPECT_EQ(RecordOf(kSlot).reason, CloseReason::kRefused);
  EXPECT_EQ(ring.sent[kSlot], Frame('e', 1) + Frame('e', 2) + Frame('e', 3));
  ExpectNothingLeaks();
}

// One sends what it has to say, the other's send has spoken and waits in the CQ behind an overflow.
TEST_F(SetSilentTest, WhoHasSpokenBehindAnOverflowIsNotAskedAgain) {
  Open(kSlot);
  Open(6);
  ASSERT_TRUE(ring.CompleteReceive(kSlot, At(kSlot).generation, Frame('e', 1)));
  ASSERT_TRUE(ring.CompleteReceive(6, At(6).generation, Frame('e', 2)));
  set->Serve();
  ring.on_silent_send = [this](const ScriptedRing::Entry& entry) {
    ring.overflows = entry.tag.slot == 6;
    return 7;
  };
  ring.Enter();
  set->Serve();
  EXPECT_FALSE(set->AwaitsSends()) << "nothing is behind them but their blocks";
  TurnAll();
  EXPECT_EQ(Waiting(kSlot), kTestFrame - 7);
  EXPECT_EQ(Waiting(6), kTestFrame - 7);
  ring.overflows = false;
  SendAll(kSlot);
  SendAll(6);
  ExpectNothingLeaks();
}

TEST_F(SetSilentTest, WhatNobodyAskedForLeavesInTheSameTurn) {
  Connection& connection = Open(kSlot);
  const std::string news = Frame('e', 1);
  port->Out(connection).Append({reinterpret_cast<const std::byte*>(news.data()), news.size()});
  set->Turn(/*rounds=*/3);
  EXPECT_EQ(ring.sent[kSlot], news) << "no visit follows one that brought nothing";
  ExpectNothingLeaks();
}

TEST_F(SetSilentTest, HandOverSendsAndTakesNothingIn) {
  Open(kSlot);
  ASSERT_TRUE(ring.CompleteReceive(kSlot, At(kSlot).generation, Frame('e', 1)));
  set->Serve();
  ASSERT_TRUE(ring.CompleteReceive(kSlot, At(kSlot).generation, Frame('e', 2)));
  set->HandOver();
  EXPECT_EQ(ring.sent[kSlot], Frame('e', 1));
  EXPECT_EQ(PortTester::ReplyBlocks(*port), 0u);
  EXPECT_EQ(RecordOf(kSlot).frames, Frame('e', 1));
  TurnAll();
  EXPECT_EQ(ring.sent[kSlot], Frame('e', 1) + Frame('e', 2));
  ExpectNothingLeaks();
}

TEST_F(SetSilentTest, ClosedWhileItsSendIsQueued) {
  for (const int32_t result : {static_cast<int32_t>(kTestFrame), 3, -EAGAIN, -EPIPE}) {
    Open(kSlot);
    ASSERT_TRUE(ring.CompleteReceive(kSlot, At(kSlot).generation, Frame('e', 1)));
    set->Serve();
    CutNext(result);
    port->Close(At(kSlot), CloseReason::kSuperseded);
    TurnAll();
    for (const auto& [key, entry] : ring.entries()) {
      EXPECT_NE(entry.target.operation, Operation::kSend) << "it ends by itself, so there is nothing to cancel";
    }
    Settle();
    EXPECT_EQ(RecordOf(kSlot).reason, CloseReason::kSuperseded);
    ring.on_silent_send = nullptr;
    ExpectNothingLeaks();
  }
}

TEST_F(SetSilentTest, ABulkConnectionHearsOfItsSends) {
  PortOptions options;
  options.bulk = {.connections = 1, .receive_bytes = 256, .room_bytes = 512, .unsent_bytes_max = 4'096};
  Make(options);
  Connection& connection = Open(kSlot);
  ASSERT_TRUE(port->MakeBulk(connection));
  TurnAll();
  Settle();
  ASSERT_TRUE(ring.CompleteReceive(TagOf(Operation::kReceiveBulk, kSlot), Frame('e', 1), /*more=*/false));
  TurnAll();
  EXPECT_EQ(Waiting(kSlot), kTestFrame);
  SendAll(kSlot);
  EXPECT_EQ(ring.sent[kSlot], Frame('e', 1));
  ExpectNothingLeaks();
}

}  // namespace
}  // namespace hongbao::net
