// Bulk connections: large receives one at a time, and never more of them than the answers have room for.
#include <gtest/gtest.h>

#include <string>

#include "set_fixture.h"

namespace hongbao::net {
namespace {

class SetBulk : public SetFixture {
 protected:
  static constexpr uint32_t kSlot = 3;

  SetBulk() {
    Make({.frame_deadline_ms = 1'000,
          .idle_timeout_ms = 0,
          .unsent_bytes_max = 512,
          .bulk = {.connections = 1, .receive_bytes = 256, .room_bytes = 300, .unsent_bytes_max = 600}});
  }
  // An open connection that receives in bulk.
  void OpenBulk() {
    Open(kSlot);
    Receive(kSlot, Frame('l'));
    SendAll(kSlot);
    ASSERT_TRUE(port->MakeBulk(At(kSlot)));
    TurnAll();
    Settle();
    ASSERT_TRUE(ring.InFlight(Operation::kReceiveBulk, kSlot));
    ASSERT_FALSE(ring.InFlight(Operation::kReceive, kSlot));
  }
  void ReceiveBulk(std::string_view bytes) {
    ASSERT_TRUE(ring.CompleteReceive(TagOf(Operation::kReceiveBulk, kSlot), bytes, /*more=*/false));
    TurnAll();
  }
  std::string Frames(int count) {
    std::string frames;
    for (int i = 0; i < count; ++i) {
      frames += Frame('e', next_++);
    }
    return frames;
  }
  uint32_t next_ = 1;
};

TEST_F(SetBulk, BytesThatComeWhileItSwitchesAreServed) {
  Open(kSlot);
  Receive(kSlot, Frame('l'));
  ASSERT_TRUE(port->MakeBulk(At(kSlot)));
  TurnAll();
  EXPECT_TRUE(ring.InFlight(Operation::kCancel, kSlot));
  Receive(kSlot, Frame('e', 1) + "e2");
  Settle();
  ASSERT_TRUE(ring.InFlight(Operation::kReceiveBulk, kSlot));
  ReceiveBulk(Frame('e', 2).substr(2) + Frame('e', 3));
  EXPECT_EQ(RecordOf(kSlot).frames, Frame('l') + Frame('e', 1) + Frame('e', 2) + Frame('e', 3));
  EXPECT_EQ(counters.events.Get(Counter::kRearms), 0u);
  ExpectNothingLeaks();
}

TEST_F(SetBulk, ReceivesNoMoreThanItHasRoomToAnswer) {
  OpenBulk();
  ReceiveBulk(Frames(16));  // on their way, and the kernel takes its time
  ASSERT_TRUE(ring.InFlight(Operation::kSend, kSlot));
  ASSERT_TRUE(ring.InFlight(Operation::kReceiveBulk, kSlot));
  ReceiveBulk(Frames(16));
  ASSERT_TRUE(ring.InFlight(Operation::kReceiveBulk, kSlot)) << "256 of 600 bytes wait: there is room for 300 more";
  ReceiveBulk(Frames(16));
  EXPECT_FALSE(ring.InFlight(Operation::kReceiveBulk, kSlot)) << "512 wait";
  EXPECT_EQ(At(kSlot).state, ConnectionState::kOpen);
  SendAll(kSlot);
  EXPECT_TRUE(ring.InFlight(Operation::kReceiveBulk, kSlot)) << "what waited is on its way";
  SendAll(kSlot);
  EXPECT_EQ(ring.sent[kSlot].size(), (1 + 48) * kTestFrame);
  EXPECT_EQ(ring.sent[kSlot], RecordOf(kSlot).frames);
  ExpectNothingLeaks();
}

TEST_F(SetBulk, AFrameThatIsLateBecauseOfUsIsNoReasonToClose) {
  OpenBulk();
  ReceiveBulk(Frames(16));
  ReceiveBulk(Frames(16));
  ReceiveBulk(Frames(15) + "half");  // the rest is in the socket, and nobody reads it
  ASSERT_FALSE(ring.InFlight(Operation::kReceiveBulk, kSlot));
  for (uint32_t tick = 1; tick < 100; ++tick) {
    set->Tick(tick);
    TurnAll();
  }
  EXPECT_EQ(At(kSlot).state, ConnectionState::kOpen);
  SendAll(kSlot);
  ASSERT_TRUE(ring.InFlight(Operation::kReceiveBulk, kSlot));
  for (uint32_t tick = 100; tick < 200; ++tick) {  // now it is the peer's turn
    set->Tick(tick);
    TurnAll();
  }
  EXPECT_EQ(RecordOf(kSlot).reason, CloseReason::kFrameDeadline);
  ExpectNothingLeaks();
}

TEST_F(SetBulk, NothingIsReceivedWhileItWaitsAndWhatWasUnreadComesFirst) {
  Open(kSlot);
  Receive(kSlot, Frame('l'));
  SendAll(kSlot);
  ASSERT_TRUE(port->MakeBulk(At(kSlot)));
  port->Wait(At(kSlot));
  TurnAll();
  Settle();
  TurnAll();
  EXPECT_FALSE(ring.InFlight(Operation::kReceiveBulk, kSlot));
  EXPECT_FALSE(ring.InFlight(Operation::kReceive, kSlot));
  const std::string frame = Frame('e', 1);
  port->Resume(At(kSlot), {reinterpret_cast<const std::byte*>(frame.data()), 3});
  const std::string answer = Frame('a');
  std::memcpy(port->Out(At(kSlot)).Append(answer.size()), answer.data(), answer.size());
  TurnAll();
  ASSERT_TRUE(ring.InFlight(Operation::kReceiveBulk, kSlot));
  ReceiveBulk(frame.substr(3) + Frame('e', 2));
  EXPECT_EQ(RecordOf(kSlot).frames, Frame('l') + Frame('e', 1) + Frame('e', 2));
  SendAll(kSlot);
  ExpectNothingLeaks();
}

TEST_F(SetBulk, AppendsMoreThanAFrameInOnePiece) {
  OpenBulk();
  Replies out = port->Out(At(kSlot));
  EXPECT_EQ(out.Room(), 600u);
  std::memset(out.Append(100), 'a', 100);
  std::memset(out.Append(500), 'b', 500);
  EXPECT_EQ(out.Room(), 0u);
  TurnAll();
  EXPECT_EQ(out.Room(), 600u) << "a new block fills while that one is sent";
  SendAll(kSlot);
  EXPECT_EQ(ring.sent[kSlot], Frame('l') + std::string(100, 'a') + std::string(500, 'b'));
  out.Append(16);
  std::memset(out.Append(584), 'c', 584);
  out.Append(1);
  EXPECT_EQ(At(kSlot).state, ConnectionState::kClosing) << "one byte too many";
  EXPECT_EQ(out.Room(), 0u);
  TurnAll();
  EXPECT_EQ(RecordOf(kSlot).reason, CloseReason::kUnsentBytes);
  ExpectNothingLeaks();
}

TEST_F(SetBulk, NoMoreThanThePortHasRoomForUntilOneHasEnded) {
  OpenBulk();
  Open(kSlot + 1);
  EXPECT_FALSE(port->MakeBulk(At(kSlot + 1)));
  port->Close(At(kSlot), CloseReason::kRefused);
  EXPECT_FALSE(port->MakeBulk(At(kSlot))) << "it is closing";
  TurnAll();
  EXPECT_TRUE(ring.InFlight(Operation::kCancel, kSlot));
  Settle();
  EXPECT_TRUE(port->MakeBulk(At(kSlot + 1)));
  ExpectNothingLeaks();
}

TEST_F(SetBulk, ClosedWhileItSwitches) {
  Open(kSlot);
  ASSERT_TRUE(port->MakeBulk(At(kSlot)));
  TurnAll();
  ASSERT_TRUE(ring.InFlight(Operation::kCancel, kSlot));
  port->Close(At(kSlot), CloseReason::kRefused);
  TurnAll();
  EXPECT_FALSE(ring.InFlight(Operation::kClose, kSlot));
  Settle();
  EXPECT_EQ(At(kSlot).state, ConnectionState::kFree);
  ExpectNothingLeaks();
}

TEST_F(SetBulk, PeerThatEndsIsClosedOnceItHasItsAnswers) {
  OpenBulk();
  ReceiveBulk(Frames(3));
  Complete(Operation::kReceiveBulk, kSlot, 0);
  TurnAll();
  EXPECT_EQ(At(kSlot).state, ConnectionState::kFlushing);
  SendAll(kSlot);
  EXPECT_EQ(RecordOf(kSlot).reason, CloseReason::kPeer);
  ExpectNothingLeaks();
}

TEST_F(SetBulk, WithoutAFreeBufferItIsArmedAgain) {
  OpenBulk();
  Complete(Operation::kReceiveBulk, kSlot, -ENOBUFS);
  TurnAll();
  EXPECT_TRUE(ring.InFlight(Operation::kReceiveBulk, kSlot));
  EXPECT_EQ(counters.events.Get(Counter::kNoBuffers), 1u);
  Complete(Operation::kReceiveBulk, kSlot, -ECONNRESET);
  TurnAll();
  EXPECT_EQ(RecordOf(kSlot).reason, CloseReason::kReset);
  ExpectNothingLeaks();
}

}  // namespace
}  // namespace hongbao::net
