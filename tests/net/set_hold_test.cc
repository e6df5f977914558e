// Connections that are held back: what they send waits until there is room for the answers; nothing is lost, nobody is closed
// for being fast. And half-closed ones: they get everything they are owed.
#include <gtest/gtest.h>

#include <string>

#include "set_fixture.h"

namespace hongbao::net {
namespace {

constexpr uint32_t kTicksPerSecond = 1'000 / DeadlineWheel::kTickMs;

class SetHold : public SetFixture {
 protected:
  static constexpr uint32_t kSlot = 3;
  static constexpr uint32_t kOther = 7;

  SetHold() { Make(Options()); }
  // Echoes of one buffer (256 bytes) and the rest of a frame before it need 271 bytes.
  static PortOptions Options() {
    return {.frame_deadline_ms = 2'000,
            .idle_timeout_ms = 0,
            .unsent_bytes_max = 1'024,
            .room_bytes = 272,
            .owed_bytes = 16,
            .unsent_deadline_ms = 3'000};
  }
  Connection& LogIn(uint32_t slot) {
    Open(slot);
    Receive(slot, Frame('l'));
    SendAll(slot);
    ring.sent.clear();
    return At(slot);
  }
  std::string Frames(int count) {
    std::string frames;
    for (int i = 0; i < count; ++i) {
      frames += Frame('e', next_++);
    }
    return frames;
  }
  void Tick(uint32_t tick) {
    set->Tick(tick);
    TurnAll();
  }
  // What was sent, without the login.
  std::string Served(uint32_t slot) { return RecordOf(slot).frames.substr(kTestFrame); }

  uint32_t next_ = 1;
};

TEST_F(SetHold, OneThatPipelinesIsHeldAndLosesNothing) {
  LogIn(kSlot);
  const std::string stream = Frames(400);  // 6,400 bytes; 1,024 may be unsent
  // The kernel hands over all of it at once, as it may before it hears of a cancel, and frames are cut anywhere.
  for (size_t at = 0; at < stream.size();) {
    const size_t part = std::min<size_t>(250, stream.size() - at);
    if (!ring.InFlight(Operation::kReceive, kSlot) || ring.free_buffers() == 0) {
      TurnAll();
    }
    if (!ring.InFlight(Operation::kReceive, kSlot)) {
      ASSERT_EQ(At(kSlot).state, ConnectionState::kOpen) << "closed for being fast, after " << at;
      if (ring.InFlight(Operation::kSend, kSlot)) {
        SendAll(kSlot);
      }
      Settle();
      continue;
    }
    ASSERT_TRUE(ring.CompleteReceive(kSlot, At(kSlot).generation, stream.substr(at, part)));
    at += part;
  }
  for (int i = 0; i < 100 && ring.sent[kSlot].size() < stream.size(); ++i) {
    TurnAll();
    if (ring.InFlight(Operation::kSend, kSlot)) {
      EXPECT_LE(ring.Find(Operation::kSend, kSlot)->copy.size(), 1'024u);
      SendAll(kSlot);
    }
    Settle();
  }
  EXPECT_EQ(ring.sent[kSlot], stream);
  EXPECT_TRUE(ring.InFlight(Operation::kReceive, kSlot)) << "it may go on";
  EXPECT_GE(counters.events.Get(Counter::kHolds), 1u);
  EXPECT_EQ(ring.free_buffers(), ScriptedRing::kBuffers);
  ExpectNothingLeaks();
}

TEST_F(SetHold, HeldItReceivesNothingAndOthersAreServed) {
  LogIn(kSlot);
  LogIn(kOther);
  for (int i = 0; i < 4; ++i) {
    ring.CompleteReceive(kSlot, At(kSlot).generation, Frames(16));
  }
  TurnAll();
  EXPECT_EQ(At(kSlot).state, ConnectionState::kOpen);
  EXPECT_TRUE(ring.InFlight(Operation::kCancel, kSlot));
  EXPECT_EQ(ring.lent(), 0u) << "it keeps buffers that others need";
  Settle();
  EXPECT_FALSE(ring.InFlight(Operation::kReceive, kSlot));
  Receive(kOther, Frame('e', 9'000));
  SendAll(kOther);
  EXPECT_EQ(ring.sent[kOther], Frame('e', 9'000));
  SendAll(kSlot);
  SendAll(kSlot);
  EXPECT_TRUE(ring.InFlight(Operation::kReceive, kSlot)) << "there is room again";
  EXPECT_EQ(ring.sent[kSlot], Served(kSlot));
  EXPECT_EQ(Served(kSlot).size(), 64 * kTestFrame);
  ExpectNothingLeaks();
}

TEST_F(SetHold, ClosedWhenItTakesNothingForTheUnsentDeadline) {
  LogIn(kSlot);
  Tick(10);
  for (int i = 0; i < 4; ++i) {
    ring.CompleteReceive(kSlot, At(kSlot).generation, Frames(16));
  }
  TurnAll();
  Settle();
  Tick(10 + 3 * kTicksPerSecond - 1);
  ASSERT_EQ(At(kSlot).state, ConnectionState::kOpen);
  Complete(Operation::kSend, kSlot, 1);  // it has read a byte
  TurnAll();
  Tick(10 + 6 * kTicksPerSecond - 2);
  ASSERT_EQ(At(kSlot).state, ConnectionState::kOpen);
  Tick(10 + 6 * kTicksPerSecond - 1);
  EXPECT_EQ(RecordOf(kSlot).reason, CloseReason::kUnsentBytes);
  ExpectNothingLeaks();
}

TEST_F(SetHold, WhileItWaitsForUsNoDeadlineRuns) {
  PortOptions options = Options();
  options.idle_timeout_ms = 1'000;
  Make(options);
  LogIn(kSlot);
  Receive(kSlot, Frame('e', 1) + "half");
  SendAll(kSlot);
  port->Owe(At(kSlot), 60);  // 60 * 16 + 272 are more than 1,024
  Receive(kSlot, "-more");
  Settle();
  ASSERT_FALSE(ring.InFlight(Operation::kReceive, kSlot)) << "what is owed would have no room";
  for (uint32_t tick = 1; tick < 20 * kTicksPerSecond; ++tick) {
    Tick(tick);
  }
  ASSERT_EQ(At(kSlot).state, ConnectionState::kOpen);
  for (int i = 0; i < 60; ++i) {
    port->Paid(At(kSlot));
  }
  TurnAll();
  EXPECT_TRUE(ring.InFlight(Operation::kReceive, kSlot));
  for (uint32_t tick = 20 * kTicksPerSecond; tick < 24 * kTicksPerSecond; ++tick) {
    Tick(tick);
  }
  EXPECT_EQ(RecordOf(kSlot).reason, CloseReason::kIdle) << "now it is the peer that is silent";
  ExpectNothingLeaks();
}

TEST_F(SetHold, WhatIsOwedAlwaysHasRoom) {
  LogIn(kSlot);
  for (int i = 0; i < 40 && ring.InFlight(Operation::kReceive, kSlot); ++i) {
    Receive(kSlot, Frame('o'));  // answered later
    port->Owe(At(kSlot), 1);
    Receive(kSlot, Frame('e', 1));
    Settle();
  }
  const uint32_t owed = At(kSlot).owed;
  EXPECT_GT(owed, 10u);
  EXPECT_FALSE(port->HasSpareRoom(At(kSlot), 600)) << "a hint is not worth an answer's room";
  for (uint32_t i = 0; i < owed; ++i) {
    port->Out(At(kSlot)).Append(16);
    port->Paid(At(kSlot));
  }
  EXPECT_EQ(At(kSlot).state, ConnectionState::kOpen);
  ExpectNothingLeaks();
}

TEST_F(SetHold, WithoutRoomAskedForTheCapCloses) {
  PortOptions options = Options();
  options.room_bytes = 0;
  Make(options);
  LogIn(kSlot);
  for (int i = 0; i < 5; ++i) {
    ring.CompleteReceive(kSlot, At(kSlot).generation, Frames(16));
  }
  TurnAll();
  EXPECT_EQ(RecordOf(kSlot).reason, CloseReason::kUnsentBytes);
  ExpectNothingLeaks();
}

TEST_F(SetHold, ClosedInEachStateOfBeingHeld) {
  for (const bool settled : {false, true}) {
    for (const CloseReason reason : {CloseReason::kRefused, CloseReason::kDrain}) {
      LogIn(kSlot);
      for (int i = 0; i < 8; ++i) {
        ring.CompleteReceive(kSlot, At(kSlot).generation, Frames(16));
      }
      TurnAll();
      if (settled) {
        Settle();
      }
      if (reason == CloseReason::kDrain) {
        port->CloseAfterFlush(At(kSlot), reason);
        TurnAll();
        SendAll(kSlot);
        while (ring.InFlight(Operation::kSend, kSlot)) {
          SendAll(kSlot);
        }
      } else {
        port->Close(At(kSlot), reason);
      }
      TurnAll();
      Settle();
      EXPECT_EQ(RecordOf(kSlot).reason, reason);
      ExpectNothingLeaks();
    }
  }
}

// It must be nobody else's: the next connection of the slot may be held, too.
TEST_F(SetHold, WhatIsKeptOfOneThatFlushesGoesWithIt) {
  LogIn(kSlot);
  for (int i = 0; i < 8; ++i) {
    ring.CompleteReceive(kSlot, At(kSlot).generation, Frames(16));
  }
  TurnAll();
  ASSERT_TRUE(ring.InFlight(Operation::kCancel, kSlot));
  port->CloseAfterFlush(At(kSlot), CloseReason::kSuperseded);
  Settle();
  ASSERT_EQ(At(kSlot).state, ConnectionState::kFlushing) << "its receive ends first";
  SendAll(kSlot);
  while (ring.InFlight(Operation::kSend, kSlot)) {
    SendAll(kSlot);
  }
  Settle();
  EXPECT_EQ(RecordOf(kSlot).reason, CloseReason::kSuperseded);
  ExpectNothingLeaks();
}

TEST_F(SetHold, ABufferShortageWhileHeldIsNoReasonToReceive) {
  LogIn(kSlot);
  for (int i = 0; i < 4; ++i) {
    ring.CompleteReceive(kSlot, At(kSlot).generation, Frames(16));
  }
  Complete(Operation::kReceive, kSlot, -ENOBUFS);
  TurnAll();
  Settle();
  EXPECT_FALSE(ring.InFlight(Operation::kReceive, kSlot));
  SendAll(kSlot);
  EXPECT_TRUE(ring.InFlight(Operation::kReceive, kSlot));
  ExpectNothingLeaks();
}

// ---- half-closed ----

class SetHalfClosed : public SetHold {};

TEST_F(SetHalfClosed, WhatIsOwedComesBeforeTheEnd) {
  LogIn(kSlot);
  Receive(kSlot, Frame('e', 1));
  port->Owe(At(kSlot), 2);
  Complete(Operation::kReceive, kSlot, 0);
  TurnAll();
  SendAll(kSlot);
  ASSERT_EQ(At(kSlot).state, ConnectionState::kOpen) << "two answers are owed";
  ASSERT_NE(port->Find(Port::IdOf(At(kSlot))), nullptr);
  port->Out(At(kSlot)).Append({reinterpret_cast<const std::byte*>(Frame('w', 1).data()), kTestFrame});
  port->Paid(At(kSlot));
  TurnAll();
  SendAll(kSlot);
  ASSERT_EQ(At(kSlot).state, ConnectionState::kOpen);
  port->Out(At(kSlot)).Append({reinterpret_cast<const std::byte*>(Frame('w', 2).data()), kTestFrame});
  port->Paid(At(kSlot));
  TurnAll();
  SendAll(kSlot);
  EXPECT_EQ(ring.sent[kSlot], Frame('e', 1) + Frame('w', 1) + Frame('w', 2));
  EXPECT_EQ(RecordOf(kSlot).reason, CloseReason::kPeer);
  ExpectNothingLeaks();
}

TEST_F(SetHalfClosed, NothingOwedIsClosedAtOnce) {
  Open(kSlot);  // before its login
  Complete(Operation::kReceive, kSlot, 0);
  TurnAll();
  EXPECT_EQ(RecordOf(kSlot).reason, CloseReason::kPeer);
  ExpectNothingLeaks();
}

TEST_F(SetHalfClosed, InTheMiddleOfAFrame) {
  LogIn(kSlot);
  Receive(kSlot, Frame('e', 1) + "half");
  port->Owe(At(kSlot), 1);
  Complete(Operation::kReceive, kSlot, 0);
  TurnAll();
  SendAll(kSlot);
  Tick(2 * kTicksPerSecond + 1);
  ASSERT_EQ(At(kSlot).state, ConnectionState::kOpen) << "its frame will never be whole, and that is no reason to end sooner";
  port->Paid(At(kSlot));
  TurnAll();
  EXPECT_EQ(RecordOf(kSlot).reason, CloseReason::kPeer);
  ExpectNothingLeaks();
}

TEST_F(SetHalfClosed, HeldWithMoreThanThereWasRoomFor) {
  LogIn(kSlot);
  const std::string stream = Frames(160);
  for (size_t at = 0; at < stream.size(); at += 256) {
    ASSERT_TRUE(ring.CompleteReceive(kSlot, At(kSlot).generation, stream.substr(at, 256)));
  }
  Complete(Operation::kReceive, kSlot, 0);
  TurnAll();
  for (int i = 0; i < 100 && At(kSlot).state != ConnectionState::kFree && ring.InFlight(Operation::kSend, kSlot); ++i) {
    SendAll(kSlot);
  }
  EXPECT_EQ(ring.sent[kSlot], stream);
  EXPECT_EQ(RecordOf(kSlot).reason, CloseReason::kPeer);
  ExpectNothingLeaks();
}

TEST_F(SetHalfClosed, BoundedByADeadlineWhetherItReadsNothingOrNothingComes) {
  for (const bool unsent : {false, true}) {
    Make(Options());
    LogIn(kSlot);
    if (unsent) {
      Receive(kSlot, Frame('e', 1));
    }
    port->Owe(At(kSlot), unsent ? 0 : 1);
    Complete(Operation::kReceive, kSlot, 0);
    TurnAll();
    Tick(3 * kTicksPerSecond - 1);
    EXPECT_EQ(RecordOf(kSlot).closed, 0u);
    Tick(3 * kTicksPerSecond);
    EXPECT_EQ(RecordOf(kSlot).reason, CloseReason::kPeer);
    ExpectNothingLeaks();
    app.records.clear();
  }
}

TEST_F(SetHalfClosed, AResetOrADrainStillEndsIt) {
  for (const bool drain : {false, true}) {
    LogIn(kSlot);
    Receive(kSlot, Frame('e', 1));
    port->Owe(At(kSlot), 1);
    Complete(Operation::kReceive, kSlot, 0);
    TurnAll();
    if (drain) {
      port->CloseAfterFlush(At(kSlot), CloseReason::kDrain);
      SendAll(kSlot);
    } else {
      Complete(Operation::kSend, kSlot, -ECONNRESET);
    }
    TurnAll();
    EXPECT_EQ(RecordOf(kSlot).reason, drain ? CloseReason::kDrain : CloseReason::kReset);
    ExpectNothingLeaks();
  }
}

TEST_F(SetHalfClosed, AGatewayToo) {
  PortOptions options = Options();
  options.bulk = {.connections = 1, .receive_bytes = 256, .room_bytes = 300, .unsent_bytes_max = 600};
  Make(options);
  LogIn(kSlot);
  ASSERT_TRUE(port->MakeBulk(At(kSlot)));
  TurnAll();
  Settle();
  ASSERT_TRUE(ring.CompleteReceive(TagOf(Operation::kReceiveBulk, kSlot), Frame('e', 1), /*more=*/false));
  TurnAll();
  port->Owe(At(kSlot), 1);
  Complete(Operation::kReceiveBulk, kSlot, 0);
  TurnAll();
  SendAll(kSlot);
  ASSERT_EQ(At(kSlot).state, ConnectionState::kOpen);
  port->Out(At(kSlot)).Append(16);
  port->Paid(At(kSlot));
  TurnAll();
  SendAll(kSlot);
  EXPECT_EQ(RecordOf(kSlot).reason, CloseReason::kPeer);
  ExpectNothingLeaks();
}

TEST_F(SetHold, AGatewayOweMoreThanItsShareIsHeld) {
  PortOptions options = Options();
  options.bulk = {.connections = 1, .receive_bytes = 256, .room_bytes = 300, .unsent_bytes_max = 600, .owed_max = 10};
  Make(options);
  LogIn(kSlot);
  ASSERT_TRUE(port->MakeBulk(At(kSlot)));
  TurnAll();
  Settle();
  port->Owe(At(kSlot), 11);
  ASSERT_TRUE(ring.CompleteReceive(TagOf(Operation::kReceiveBulk, kSlot), Frame('e', 1), /*more=*/false));
  TurnAll();
  SendAll(kSlot);
  EXPECT_FALSE(ring.InFlight(Operation::kReceiveBulk, kSlot));
  port->Paid(At(kSlot));
  TurnAll();
  EXPECT_TRUE(ring.InFlight(Operation::kReceiveBulk, kSlot));
  ExpectNothingLeaks();
}

// ---- of two deadlines the earlier one ----

TEST_F(SetHold, TheEarliestDeadlineRules) {
  constexpr uint32_t kHour = 3'600'000;
  enum class Peer { kSilent, kHalfALogin, kLoggedIn, kHalfAFrame };
  const struct {
    uint32_t login_ms, frame_ms, idle_ms;
    Peer peer;
    CloseReason reason;
  } cases[] = {
      {1'000, kHour, kHour, Peer::kSilent, CloseReason::kLoginDeadline},
      {kHour, kHour, 1'000, Peer::kSilent, CloseReason::kIdle},
      {0, kHour, 1'000, Peer::kSilent, CloseReason::kIdle},
      {1'000, kHour, kHour, Peer::kHalfALogin, CloseReason::kLoginDeadline},
      {kHour, 1'000, kHour, Peer::kHalfALogin, CloseReason::kFrameDeadline},
      {kHour, kHour, 1'000, Peer::kHalfALogin, CloseReason::kIdle},
      {0, 1'000, 0, Peer::kHalfALogin, CloseReason::kFrameDeadline},
      {kHour, kHour, 1'000, Peer::kLoggedIn, CloseReason::kIdle},
      {500, 500, 1'000, Peer::kLoggedIn, CloseReason::kIdle},
      {kHour, kHour, 1'000, Peer::kHalfAFrame, CloseReason::kIdle},
      {kHour, 1'000, kHour, Peer::kHalfAFrame, CloseReason::kFrameDeadline},
      {500, 1'000, 0, Peer::kHalfAFrame, CloseReason::kFrameDeadline},
  };
  for (const auto& c : cases) {
    PortOptions options = Options();
    options.login_deadline_ms = c.login_ms;
    options.frame_deadline_ms = c.frame_ms;
    options.idle_timeout_ms = c.idle_ms;
    Make(options);
    app.records.clear();
    Open(kSlot);
    if (c.peer == Peer::kHalfALogin) {
      Receive(kSlot, "half");
    } else if (c.peer != Peer::kSilent) {
      Receive(kSlot, Frame('l'));
      SendAll(kSlot);
      if (c.peer == Peer::kHalfAFrame) {
        Receive(kSlot, "half");
      }
    }
    const std::string what = std::to_string(c.login_ms) + " " + std::to_string(c.frame_ms) + " " + std::to_string(c.idle_ms) +
                             " " + std::to_string(static_cast<int>(c.peer));
    for (uint32_t tick = 1; tick < kTicksPerSecond; ++tick) {
      Tick(tick);
    }
    EXPECT_EQ(RecordOf(kSlot).closed, 0u) << what;
    Tick(kTicksPerSecond);
    EXPECT_EQ(RecordOf(kSlot).closed, 1u) << what;
    EXPECT_EQ(RecordOf(kSlot).reason, c.reason) << what;
    ExpectNothingLeaks();
  }
}

}  // namespace
}  // namespace hongbao::net
