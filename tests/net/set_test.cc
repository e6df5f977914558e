// What a set does with one connection, step by step: framing, sends, deadlines, the cap, closing, drain.
#include "libhongbao/net/set.h"

#include <unistd.h>

#include <algorithm>
#include <set>
#include <vector>

#include "set_fixture.h"

namespace hongbao::net {
namespace {

constexpr uint32_t kTicksPerSecond = 1'000 / DeadlineWheel::kTickMs;

class SetTest : public SetFixture {
 protected:
  static constexpr uint32_t kSlot = 5;
  void Tick(uint32_t tick) {
    set->Tick(tick);
    TurnAll();
  }
  // The bytes of the send in flight.
  std::string Sending(uint32_t slot) const {
    const ScriptedRing::Entry* entry = ring.Find(Operation::kSend, slot);
    return entry != nullptr ? entry->copy : "";
  }
  // Sends until nothing is in flight any more.
  void SendEverything(uint32_t slot) {
    while (ring.InFlight(Operation::kSend, slot)) {
      SendAll(slot);
    }
  }
};

// ---- framing ----

TEST_F(SetTest, FixedFramesSplitAtEachByte) {
  const std::string stream = Frame('e', 1) + Frame('e', 2) + Frame('e', 3);
  for (size_t first = 1; first < stream.size(); ++first) {
    for (size_t second = first; second <= stream.size(); ++second) {
      Open(kSlot);
      Receive(kSlot, stream.substr(0, first));
      if (second > first) {
        Receive(kSlot, stream.substr(first, second - first));
      }
      if (second < stream.size()) {
        Receive(kSlot, stream.substr(second));
      }
      EXPECT_EQ(RecordOf(kSlot).frames, stream) << first << ", " << second;
      EXPECT_EQ(PortTester::PartialBlocks(*port), 0u);
      ring.sent.clear();
      SendEverything(kSlot);
      EXPECT_EQ(ring.sent[kSlot], stream) << first << ", " << second;
      ExpectNothingLeaks();
    }
  }
}

TEST_F(SetTest, VariableFramesInPiecesOfEachSize) {
  app.variable = true;
  PortOptions options;
  options.unsent_bytes_max = 64 * 1024;
  Make(options);
  std::string stream;
  for (const int length : {1, 2, 255, 1, 16, 128, 255, 255, 3, 1, 1, 200}) {
    stream += VariableFrame(static_cast<uint8_t>(length), static_cast<char>('a' + length % 26));
  }
  for (size_t piece = 1; piece <= ScriptedRing::kBufferBytes; ++piece) {
    Open(kSlot);
    for (size_t at = 0; at < stream.size(); at += piece) {
      Receive(kSlot, stream.substr(at, piece));
    }
    ring.sent.clear();
    SendEverything(kSlot);
    ASSERT_EQ(RecordOf(kSlot).frames, stream) << "pieces of " << piece;
    ASSERT_EQ(ring.sent[kSlot], stream) << "pieces of " << piece;
    ExpectNothingLeaks();
  }
}

TEST_F(SetTest, Defect13_GarbageClosesItsOwnConnectionOnly) {
  for (size_t split = 0; split < kTestFrame; ++split) {
    Open(kSlot);
    Open(6);
    const std::string garbage = Frame('m');
    if (split > 0) {
      Receive(kSlot, garbage.substr(0, split));
    }
    Receive(kSlot, garbage.substr(split) + Frame('e', 9));
    EXPECT_EQ(RecordOf(kSlot).reason, CloseReason::kMalformed);
    EXPECT_EQ(RecordOf(kSlot).frames, garbage) << "nothing after it is believed";
    Receive(6, Frame('e', 1));
    EXPECT_TRUE(ring.InFlight(Operation::kSend, 6));
    ExpectNothingLeaks();
  }
}

TEST_F(SetTest, Defect15_BytesOfAFormerConnectionAreNeverDecoded) {
  Open(kSlot);
  Receive(kSlot, Frame('e', 1).substr(0, 10));
  Receive(kSlot, "", /*more=*/false);  // 10 bytes, then the peer is gone
  Settle();
  Open(kSlot);
  Receive(kSlot, Frame('e', 2).substr(0, 6));
  EXPECT_EQ(RecordOf(kSlot).frames, "");
  Receive(kSlot, Frame('e', 2).substr(6));
  EXPECT_EQ(RecordOf(kSlot).frames, Frame('e', 2));
  ExpectNothingLeaks();
}

// An application that breaks the contract of OnBytes costs its connection, nothing else.
struct Careless {
  size_t OnBytes(Port&, Connection&, absl::Span<const std::byte> in, Replies&) {
    last = in.size();
    return consume;
  }
  size_t consume = 0;
  size_t last = 0;
};

TEST(SetCareless, ConsumingTooMuchOrNothingIsMalformed) {
  struct Case {
    size_t first, second, consume;
    bool closed;
  };
  const Case cases[] = {
      {256, 0, 0, true},   // a whole frame at most, and nothing taken
      {255, 0, 0, false},  // may still become one
      {255, 1, 0, true},   // has become one
      {10, 0, 11, true},   // more than there was
      {10, 10, 5, true},   // a frame that was whole before
      {10, 10, 21, true},  // more than there was, from a partial block
      {255, 255, 0, true},
  };
  for (const Case& c : cases) {
    ScriptedRing ring;
    Port port(0, {.slots = 4});
    Careless app;
    Counters counters;
    Set<ScriptedRing, Careless> set(ring, port, app, counters);
    set.Accept(3);
    ring.Complete({Operation::kAccept, 0, 0}, 1, true);
    TurnSet(set);
    app.consume = c.second > 0 ? 0 : c.consume;
    ASSERT_TRUE(ring.CompleteReceive(1, 1, std::string(c.first, 'x')));
    TurnSet(set);
    if (c.second > 0) {
      ASSERT_EQ(PortTester::At(port, 1).state, ConnectionState::kOpen);
      app.consume = c.consume;
      ASSERT_TRUE(ring.CompleteReceive(1, 1, std::string(c.second, 'x')));
      TurnSet(set);
      EXPECT_EQ(app.last, c.first + c.second);
    }
    EXPECT_EQ(PortTester::At(port, 1).state == ConnectionState::kClosing, c.closed)
        << c.first << " + " << c.second << ", consumed " << c.consume;
    EXPECT_EQ(counters.closes.Get(CloseReason::kMalformed), c.closed ? 1u : 0u);
    EXPECT_EQ(ring.lent(), 0u);
  }
}

// ---- sending ----

TEST_F(SetTest, RepliesMadeMeanwhileLeaveTogether) {
  Open(kSlot);
  Receive(kSlot, Frame('e', 1));
  Receive(kSlot, Frame('e', 2));
  Receive(kSlot, Frame('e', 3));
  ASSERT_EQ(Sending(kSlot), Frame('e', 1));
  SendAll(kSlot);
  ASSERT_EQ(Sending(kSlot), Frame('e', 2) + Frame('e', 3));
  SendAll(kSlot);
  EXPECT_FALSE(ring.InFlight(Operation::kSend, kSlot));
  EXPECT_EQ(PortTester::ReplyBlocks(*port), 0u);
  EXPECT_EQ(counters.events.Get(Counter::kSends), 2u);
  EXPECT_EQ(counters.events.Get(Counter::kSentBytes), 3 * kTestFrame);
  ExpectNothingLeaks();
}

TEST_F(SetTest, ShortSendsGoOnFromTheRightByte) {
  const std::string stream = Frame('e', 1) + Frame('e', 2) + Frame('e', 3);
  for (size_t taken = 1; taken <= stream.size(); ++taken) {
    Open(kSlot);
    ring.sent.clear();
    Receive(kSlot, stream);
    size_t left = stream.size();
    while (left > 0) {
      const size_t part = std::min(taken, left);
      const ScriptedRing::Entry* entry = ring.Find(Operation::kSend, kSlot);
      ASSERT_NE(entry, nullptr);
      ASSERT_EQ(entry->copy.size(), left);
      Complete(Operation::kSend, kSlot, static_cast<int32_t>(part));
      TurnAll();
      left -= part;
    }
    EXPECT_EQ(ring.sent[kSlot], stream);
    EXPECT_FALSE(ring.InFlight(Operation::kSend, kSlot));
    ExpectNothingLeaks();
  }
}

TEST_F(SetTest, ManyRepliesGrowFromSmallToLargeBlocksInOrder) {
  Open(kSlot);
  Receive(kSlot, Frame('e', 0));  // in flight, so that the next ones pile up
  std::string owed;
  for (uint32_t i = 1; owed.size() + kTestFrame <= 4'096 - kTestFrame; ++i) {
    Receive(kSlot, Frame('e', i));
    owed += Frame('e', i);
  }
  ASSERT_EQ(At(kSlot).state, ConnectionState::kOpen);
  SendAll(kSlot);
  EXPECT_EQ(Sending(kSlot), owed);
  ExpectNothingLeaks();
}

TEST_F(SetTest, LargestReplyFits) {
  Open(kSlot);
  Receive(kSlot, Frame('b') + Frame('e', 1));
  EXPECT_EQ(Sending(kSlot), std::string(256, 'b') + Frame('e', 1));
  ExpectNothingLeaks();
}

TEST_F(SetTest, Defect19_SlowReaderIsClosedAtTheCapAndNobodyElse) {
  Open(kSlot);
  Open(6);
  Receive(kSlot, Frame('e', 0));  // the kernel never takes it
  const uint32_t frames = 4'096 / kTestFrame;
  for (uint32_t i = 1; i < frames; ++i) {
    Receive(kSlot, Frame('e', i));
  }
  ASSERT_EQ(At(kSlot).state, ConnectionState::kOpen) << "exactly at the cap";
  Receive(6, Frame('e', 7));
  SendAll(6);
  EXPECT_EQ(ring.sent[6], Frame('e', 7)) << "others are served meanwhile";
  Receive(kSlot, Frame('e', frames));
  EXPECT_EQ(RecordOf(kSlot).reason, CloseReason::kUnsentBytes);
  EXPECT_EQ(counters.closes.Get(CloseReason::kUnsentBytes), 1u);
  EXPECT_EQ(At(6).state, ConnectionState::kOpen);
  ExpectNothingLeaks();
}

TEST_F(SetTest, CapCountsWhatTheKernelHasNotTakenYet) {
  Open(kSlot);
  Receive(kSlot, Frame('b') + Frame('b'));
  Complete(Operation::kSend, kSlot, 500);  // 12 are left of it
  TurnAll();
  for (int i = 0; i < 15; ++i) {
    Receive(kSlot, Frame('b'));
  }
  ASSERT_EQ(At(kSlot).state, ConnectionState::kOpen) << "12 + 15 * 256 are below 4,096";
  Receive(kSlot, Frame('b'));
  EXPECT_EQ(RecordOf(kSlot).reason, CloseReason::kUnsentBytes);
  ExpectNothingLeaks();
}

TEST_F(SetTest, OddCapKeepsBlocksAligned) {  // UBSan looks at the addresses
  PortOptions options;
  options.unsent_bytes_max = 4'097;
  Make(options);
  for (uint32_t slot = 1; slot < 4; ++slot) {
    Open(slot);
    Receive(slot, Frame('b') + Frame('b'));
    const ScriptedRing::Entry* entry = ring.Find(Operation::kSend, slot);
    ASSERT_NE(entry, nullptr);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(entry->bytes) % 4, 0u);
  }
  ExpectNothingLeaks();
}

// ---- receiving ----

TEST_F(SetTest, NoBufferRearmsOnlyAfterBuffersArePublished) {
  Open(kSlot);
  Open(6);
  const uint64_t published = ring.publishes;
  ring.HideBuffers();
  Complete(Operation::kReceive, kSlot, -ENOBUFS);
  TurnAll();
  ring.ShowBuffers();
  const ScriptedRing::Entry* armed = ring.Find(Operation::kReceive, kSlot);
  ASSERT_NE(armed, nullptr);
  EXPECT_GT(armed->publishes, published) << "armed before buffers were back";
  EXPECT_EQ(counters.events.Get(Counter::kNoBuffers), 1u);
  Receive(kSlot, Frame('e', 1));
  EXPECT_EQ(RecordOf(kSlot).frames, Frame('e', 1));
  ExpectNothingLeaks();
}

TEST_F(SetTest, WhoFindsNoBufferIsNotLate) {
  uint32_t tick = 0;
  for (const CloseReason late : {CloseReason::kLoginDeadline, CloseReason::kFrameDeadline}) {
    const uint32_t start = tick;
    Open(kSlot);
    if (late == CloseReason::kFrameDeadline) {
      port->ClearDeadline(At(kSlot));
      Receive(kSlot, Frame('e', 2).substr(0, 7));
    }
    while (tick < start + 200) {  // four times either deadline
      Tick(++tick);
      Complete(Operation::kReceive, kSlot, -ENOBUFS);
      TurnAll();
    }
    ASSERT_EQ(At(kSlot).state, ConnectionState::kOpen);
    while (At(kSlot).state == ConnectionState::kOpen && tick < start + 1'000) {
      Tick(++tick);
    }
    EXPECT_EQ(RecordOf(kSlot).reason, late) << "with buffers for all it is late";
    EXPECT_EQ(tick, start + 203);
    Settle();
    ExpectNothingLeaks();
  }
}

TEST_F(SetTest, WhoFoundNoBufferIsFirstInTurn) {
  constexpr uint32_t kSlots[] = {3, 4, 5};
  for (const uint32_t slot : kSlots) {
    Open(slot);
  }
  std::set<uint32_t> firsts;
  std::vector<uint32_t> order(std::begin(kSlots), std::end(kSlots));
  for (int round = 0; round < 3; ++round) {
    for (const uint32_t slot : order) {  // the kernel completes in the order in which they were armed
      Complete(Operation::kReceive, slot, -ENOBUFS);
    }
    TurnAll();
    std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
      return ring.Find(Operation::kReceive, a)->number < ring.Find(Operation::kReceive, b)->number;
    });
    firsts.insert(order.front());
  }
  EXPECT_EQ(firsts.size(), 3u);
  ExpectNothingLeaks();
}

TEST_F(SetTest, StarvedConnectionThatClosesInTheSameTurnIsLetGo) {
  Open(kSlot);
  Receive(kSlot, Frame('e', 1));
  Complete(Operation::kReceive, kSlot, -ENOBUFS);
  Complete(Operation::kSend, kSlot, -ECONNRESET);
  TurnAll();
  EXPECT_EQ(RecordOf(kSlot).reason, CloseReason::kReset);
  EXPECT_FALSE(ring.InFlight(Operation::kReceive, kSlot));
  EXPECT_TRUE(ring.InFlight(Operation::kClose, kSlot)) << "nothing else is in flight";
  ExpectNothingLeaks();
}

TEST_F(SetTest, MultishotThatEndsAfterBytesIsArmedAgain) {
  Open(kSlot);
  Receive(kSlot, Frame('e', 1), /*more=*/false);  // a CQ overflow does this
  EXPECT_TRUE(ring.InFlight(Operation::kReceive, kSlot));
  EXPECT_EQ(counters.events.Get(Counter::kRearms), 1u);
  ExpectNothingLeaks();
}

TEST_F(SetTest, BytesAndEndOfStreamTogetherAreAnswered) {
  Open(kSlot);
  ASSERT_TRUE(ring.CompleteReceive(kSlot, At(kSlot).generation, Frame('e', 1)));
  Complete(Operation::kReceive, kSlot, 0);
  TurnAll();
  ASSERT_TRUE(ring.InFlight(Operation::kSend, kSlot)) << "the reply was dropped";
  EXPECT_EQ(port->live(), 1u);
  SendAll(kSlot);
  EXPECT_EQ(RecordOf(kSlot).reason, CloseReason::kPeer);
  EXPECT_EQ(ring.sent[kSlot], Frame('e', 1));
  ExpectNothingLeaks();
}

// ---- closing ----

TEST_F(SetTest, CloseWaitsForTheKernelInEitherOrder) {
  const Operation orders[][3] = {{Operation::kCancel, Operation::kReceive, Operation::kSend},
                                 {Operation::kReceive, Operation::kSend, Operation::kCancel},
                                 {Operation::kSend, Operation::kCancel, Operation::kReceive}};
  for (const auto& order : orders) {
    Open(kSlot);
    Receive(kSlot, Frame('e', 1) + Frame('x', 2));
    ring.closes = 0;
    EXPECT_FALSE(ring.InFlight(Operation::kSend, kSlot)) << "Close drops what was not handed over";
    ExpectNothingLeaks();
    Open(kSlot);
    Receive(kSlot, Frame('e', 1));
    Receive(kSlot, Frame('x', 2));
    ring.closes = 0;
    for (const Operation operation : order) {
      EXPECT_EQ(ring.closes, 0u);
      if (operation == Operation::kCancel) {
        Complete(operation, kSlot, 0);
        Complete(operation, kSlot, -ENOENT);
      } else {
        Complete(operation, kSlot, operation == Operation::kSend ? 5 : -ECANCELED);
      }
      TurnAll();
    }
    EXPECT_EQ(ring.closes, 1u);
    EXPECT_EQ(RecordOf(kSlot).reason, CloseReason::kSuperseded);
    ExpectNothingLeaks();
  }
}

TEST_F(SetTest, LateBytesForAClosingConnectionGoNowhere) {
  Open(kSlot);
  Receive(kSlot, Frame('x', 1));
  ASSERT_EQ(At(kSlot).state, ConnectionState::kClosing);
  Receive(kSlot, Frame('e', 2));
  Receive(kSlot, Frame('e', 3), /*more=*/false);
  EXPECT_EQ(RecordOf(kSlot).frames, Frame('x', 1));
  EXPECT_EQ(ring.free_buffers(), ScriptedRing::kBuffers);
  ExpectNothingLeaks();
}

TEST_F(SetTest, BufferOfACompletionForNobodyGoesBack) {
  Open(kSlot);
  const uint32_t generation = At(kSlot).generation;
  Receive(kSlot, Frame('x'));
  Settle();
  ASSERT_EQ(At(kSlot).state, ConnectionState::kFree);
  ring.CompleteStale({Operation::kReceive, generation, kSlot}, 16, /*more=*/false, Frame('e', 1));
  ring.CompleteStale({Operation::kReceive, 1, kSlots}, 16, /*more=*/true, Frame('e', 2));
  ring.CompleteStale({Operation::kReceive, 1, 0xffffffff}, 16, /*more=*/true, Frame('e', 3));
  TurnAll();
  EXPECT_EQ(app.Opened(), 1u);
  ExpectNothingLeaks();
}

TEST_F(SetTest, CloseAfterFlushSendsEverythingFirst) {
  Open(kSlot);
  Receive(kSlot, Frame('e', 1));
  Receive(kSlot, Frame('e', 2) + Frame('f', 3) + Frame('e', 4));
  EXPECT_EQ(At(kSlot).state, ConnectionState::kFlushing);
  EXPECT_EQ(port->Find(Port::IdOf(At(kSlot))), nullptr);
  Receive(kSlot, Frame('e', 5));
  SendAll(kSlot);
  EXPECT_EQ(RecordOf(kSlot).closed, 0u);
  Complete(Operation::kSend, kSlot, 20);
  TurnAll();
  SendAll(kSlot);
  EXPECT_EQ(ring.sent[kSlot], Frame('e', 1) + Frame('e', 2) + Frame('f', 3));
  EXPECT_EQ(RecordOf(kSlot).reason, CloseReason::kRefused);
  ExpectNothingLeaks();
}

TEST_F(SetTest, FlushIsBoundedByTheFrameDeadline) {
  Tick(10);
  Open(kSlot);
  Receive(kSlot, Frame('l', 1));
  Receive(kSlot, Frame('f', 2));
  Tick(10 + 5 * kTicksPerSecond - 1);
  EXPECT_EQ(RecordOf(kSlot).closed, 0u);
  Tick(10 + 5 * kTicksPerSecond);
  EXPECT_EQ(RecordOf(kSlot).reason, CloseReason::kRefused) << "the first reason stays";
  ExpectNothingLeaks();
}

TEST_F(SetTest, Defect18_AnOldIdNeverFindsTheNextConnectionOfItsSlot) {
  const ConnectionId old = Port::IdOf(Open(kSlot));
  ASSERT_NE(port->Find(old), nullptr);
  Receive(kSlot, Frame('x'));
  EXPECT_EQ(port->Find(old), nullptr);
  Settle();
  Open(kSlot);
  EXPECT_EQ(port->Find(old), nullptr);
  ASSERT_NE(port->Find(Port::IdOf(At(kSlot))), nullptr);
  EXPECT_EQ(port->Find({kSlots, 1}), nullptr);
  EXPECT_EQ(port->Find({kNoIndex, 0}), nullptr);
  ExpectNothingLeaks();
}

TEST_F(SetTest, GenerationsWrapAndSkipZero) {
  At(kSlot).generation = ring::kGenerationMax;
  EXPECT_EQ(Open(kSlot).generation, 1u);
  Receive(kSlot, Frame('e', 1));
  EXPECT_TRUE(ring.InFlight(Operation::kSend, kSlot));
  ExpectNothingLeaks();
}

// Kernels before 6.16 may let a multishot's completion pass one of the same submission: the accept into a slot may be
// seen before the word that its close is done. With regular descriptors, socket() may hand out the number even earlier.
TEST_F(SetTest, AcceptedIntoASlotWhoseCloseIsNotReported) {
  Open(kSlot);
  Receive(kSlot, Frame('x'));
  Complete(Operation::kCancel, kSlot, 0);
  Complete(Operation::kReceive, kSlot, -ECANCELED);
  TurnAll();
  const ring::Tag close = TagOf(Operation::kClose, kSlot);
  ASSERT_TRUE(ring.InFlight(Operation::kClose, kSlot));
  ring.Complete({Operation::kAccept, 0, 0}, kSlot, /*more=*/true);
  ring.Complete(close, 0);
  TurnAll();
  EXPECT_EQ(At(kSlot).state, ConnectionState::kOpen);
  Receive(kSlot, Frame('e', 1));
  EXPECT_EQ(RecordOf(kSlot).frames, Frame('e', 1));
  ExpectNothingLeaks();
}

TEST_F(SetTest, RegularDescriptorDialedAgainBeforeItsCloseIsReported) {
  PortOptions options;
  options.direct_descriptors = false;
  Make(options);
  const int32_t first = port->Connect({}, SocketAddress::Ipv4(0x7f000001, 9));
  ASSERT_GE(first, 0);
  const uint32_t slot = static_cast<uint32_t>(first);
  TurnAll();
  Complete(Operation::kConnect, slot, -ECONNREFUSED);
  TurnAll();
  ASSERT_TRUE(ring.InFlight(Operation::kClose, slot));
  const ring::Tag close_tag = TagOf(Operation::kClose, slot);
  close(first);  // the kernel has done it, its completion is still in the CQ
  ASSERT_EQ(port->Connect({}, SocketAddress::Ipv4(0x7f000001, 9)), first) << "the lowest free number, so this one";
  ring.Complete(close_tag, 0);
  TurnAll();
  ASSERT_TRUE(ring.InFlight(Operation::kConnect, slot));
  Complete(Operation::kConnect, slot, 0);
  TurnAll();
  EXPECT_EQ(At(slot).state, ConnectionState::kOpen);
  close(first);
  ExpectNothingLeaks();
}

// ---- deadlines ----

TEST_F(SetTest, Defect22_LoginDeadlineClosesWhoSaysNothingUseful) {
  Open(kSlot);
  Open(6);
  Receive(kSlot, Frame('e', 1));  // bytes, but not the first message the application waits for
  Receive(6, Frame('l', 1));
  for (uint32_t tick = 1; tick < 5 * kTicksPerSecond; ++tick) {
    Tick(tick);
    Receive(kSlot, "e");
  }
  EXPECT_EQ(RecordOf(kSlot).closed, 0u);
  Tick(5 * kTicksPerSecond);
  EXPECT_EQ(RecordOf(kSlot).reason, CloseReason::kLoginDeadline);
  EXPECT_EQ(At(6).state, ConnectionState::kOpen) << "has logged in";
  ExpectNothingLeaks();
}

TEST_F(SetTest, Defect22_FrameDeadlineCountsFromTheFirstByte) {
  Open(kSlot);
  Receive(kSlot, Frame('l', 1));
  Tick(20);
  const std::string frame = Frame('e', 2);
  Receive(kSlot, frame.substr(0, 1));
  for (uint32_t i = 1; i < 15; ++i) {  // one byte every 300 ms does not help
    Tick(20 + 3 * i);
    Receive(kSlot, frame.substr(i, 1));
  }
  Tick(20 + 5 * kTicksPerSecond - 1);
  EXPECT_EQ(RecordOf(kSlot).closed, 0u);
  Tick(20 + 5 * kTicksPerSecond);
  EXPECT_EQ(RecordOf(kSlot).reason, CloseReason::kFrameDeadline);
  ExpectNothingLeaks();
}

TEST_F(SetTest, EachFrameHasADeadlineOfItsOwn) {
  Open(kSlot);
  Receive(kSlot, Frame('l', 1));
  const std::string halves = Frame('e', 2).substr(8) + Frame('e', 3).substr(0, 8);
  Receive(kSlot, Frame('e', 2).substr(0, 8));
  for (uint32_t i = 1; i < 5; ++i) {  // completes one and begins the next, each time 4 s after the last
    Tick(i * 4 * kTicksPerSecond);
    Receive(kSlot, halves);
    SendEverything(kSlot);
  }
  EXPECT_EQ(RecordOf(kSlot).closed, 0u);
  Receive(kSlot, Frame('e', 3).substr(8));
  Tick(30 * kTicksPerSecond);
  EXPECT_EQ(RecordOf(kSlot).closed, 0u) << "nothing is partial any more";
  ExpectNothingLeaks();
}

TEST_F(SetTest, LoginThatIsSettledLaterLeavesAPartialFrameItsDeadline) {
  Open(kSlot);
  Receive(kSlot, Frame('e', 1) + Frame('e', 2).substr(0, 3));
  port->ClearDeadline(At(kSlot));  // as an application does that asked another worker
  Tick(5 * kTicksPerSecond);
  EXPECT_EQ(RecordOf(kSlot).reason, CloseReason::kFrameDeadline);
  ExpectNothingLeaks();
}

TEST_F(SetTest, Defect22_IdleConnectionsAreClosed) {
  PortOptions options;
  options.idle_timeout_ms = 60'000;
  Make(options);
  Open(kSlot);
  Open(6);
  Receive(kSlot, Frame('l', 1));
  Receive(6, Frame('l', 1));
  SendAll(kSlot);
  SendAll(6);
  for (uint32_t second = 1; second < 60; ++second) {
    Tick(second * kTicksPerSecond);
    if (second == 30) {
      Receive(6, Frame('e', 2));
      SendAll(6);
    }
  }
  EXPECT_EQ(RecordOf(kSlot).closed, 0u);
  Tick(60 * kTicksPerSecond);
  EXPECT_EQ(RecordOf(kSlot).reason, CloseReason::kIdle);
  EXPECT_EQ(RecordOf(6).closed, 0u);
  Tick(90 * kTicksPerSecond - 1);
  EXPECT_EQ(RecordOf(6).closed, 0u);
  Tick(90 * kTicksPerSecond);
  EXPECT_EQ(RecordOf(6).reason, CloseReason::kIdle);
  ExpectNothingLeaks();
}

TEST_F(SetTest, NoDeadlinesAtAll) {
  PortOptions options;
  options.login_deadline_ms = 0;
  options.idle_timeout_ms = 0;
  Make(options);
  Open(kSlot);
  Open(6);
  Receive(6, "x");
  Tick(1'000'000);
  EXPECT_EQ(RecordOf(kSlot).closed, 0u);
  EXPECT_EQ(RecordOf(6).reason, CloseReason::kFrameDeadline) << "a partial frame still has one";
  ExpectNothingLeaks();
}

TEST_F(SetTest, LongestTimeoutsAreLong) {
  PortOptions options;
  options.login_deadline_ms = std::numeric_limits<uint32_t>::max();
  options.idle_timeout_ms = std::numeric_limits<uint32_t>::max();
  Make(options);
  Open(kSlot);
  for (uint32_t tick = 0; tick < 20 * DeadlineWheel::kBuckets; tick += 100) {
    Tick(tick);
  }
  EXPECT_EQ(RecordOf(kSlot).closed, 0u) << "49 days have not passed";
  ExpectNothingLeaks();
}

TEST_F(SetTest, ConnectThatTakesTooLongFailsWithATimeout) {
  const int32_t slot = port->Connect({}, SocketAddress::Ipv4(0x7f000001, 9));
  ASSERT_GE(slot, 0);
  TurnAll();
  close(ring.installed.back());
  Tick(5 * kTicksPerSecond);
  ASSERT_EQ(app.failed.size(), 1u);
  EXPECT_EQ(app.failed[0].second, ETIMEDOUT);
  EXPECT_EQ(counters.closes.Get(CloseReason::kLoginDeadline), 0u) << "no connection that the application knew";
  ExpectNothingLeaks();
}

TEST_F(SetTest, DialThatCannotBeInstalledFails) {
  ring.install_result = -EMFILE;
  ASSERT_GE(port->Connect({}, SocketAddress::Ipv4(0x7f000001, 9)), 0);
  TurnAll();
  close(ring.installed.back());
  ASSERT_EQ(app.failed.size(), 1u);
  EXPECT_EQ(app.failed[0].second, EMFILE);
  ExpectNothingLeaks();
}

TEST_F(SetTest, SlotsRunOutAndComeBack) {
  for (int round = 0; round < 3; ++round) {
    std::vector<uint32_t> slots;
    for (;;) {
      const int32_t slot = port->Connect({}, SocketAddress::Ipv4(0x7f000001, 9));
      if (slot < 0) {
        EXPECT_EQ(slot, -EMFILE);
        break;
      }
      slots.push_back(static_cast<uint32_t>(slot));
    }
    EXPECT_EQ(slots.size(), kSlots);
    TurnAll();
    for (const uint32_t slot : slots) {
      Complete(Operation::kConnect, slot, slot % 2 == 0 ? 0 : -ECONNREFUSED);
    }
    TurnAll();
    EXPECT_EQ(port->live(), kSlots / 2);
    for (const int descriptor : ring.installed) {
      close(descriptor);
    }
    ring.installed.clear();
    ExpectNothingLeaks();
  }
}

// ---- accepting ----

TEST_F(SetTest, Defect20_AcceptWithoutDescriptorsWaitsForTheNextTick) {
  set->Accept(kListener);
  TurnAll();
  for (uint32_t tick = 1; tick <= 50; ++tick) {
    const uint64_t enters = ring.enters;
    ring.Complete({Operation::kAccept, 0, 0}, tick % 2 == 0 ? -EMFILE : -ENFILE);
    for (int turn = 0; turn < 100; ++turn) {
      TurnAll();
    }
    EXPECT_LE(ring.enters - enters, 2u) << "spins";
    EXPECT_FALSE(ring.InFlight(Operation::kAccept, 0));
    Tick(tick);
    EXPECT_TRUE(ring.InFlight(Operation::kAccept, 0));
  }
  EXPECT_EQ(counters.events.Get(Counter::kAcceptPauses), 50u);
  Open(kSlot);
  ExpectNothingLeaks();
}

TEST_F(SetTest, StopAcceptTakesWhatWasUnderWayAndNoMore) {
  Open(kSlot);
  set->StopAccept();
  TurnAll();
  EXPECT_TRUE(set->accepting());
  ring.Complete({Operation::kAccept, 0, 0}, 6, /*more=*/true);  // overtook the cancel
  ring.Complete({Operation::kCancel, 0, 0}, 0);
  ring.Complete({Operation::kAccept, 0, 0}, -ECANCELED);
  TurnAll();
  EXPECT_FALSE(set->accepting());
  EXPECT_EQ(port->live(), 2u);
  Tick(1);
  EXPECT_FALSE(ring.InFlight(Operation::kAccept, 0));
  ExpectNothingLeaks();
}

TEST_F(SetTest, DescriptorBeyondTheTableIsClosedAtOnce) {
  Open(kSlot);
  ring.Complete({Operation::kAccept, 0, 0}, kSlots, /*more=*/true);
  TurnAll();
  EXPECT_TRUE(ring.InFlight(Operation::kClose, kSlots));
  ring.Complete({Operation::kClose, 0, kSlots}, 0);
  TurnAll();
  EXPECT_EQ(counters.events.Get(Counter::kTurnedAway), 1u);
  EXPECT_EQ(counters.events.Get(Counter::kAccepted), 1u);
  EXPECT_EQ(port->live(), 1u);
  ExpectNothingLeaks();
}

TEST_F(SetTest, CancelOfAcceptIsNotTakenForOneOfSlotZero) {
  Open(0);
  set->StopAccept();
  TurnAll();
  ring.Complete({Operation::kCancel, 0, 0}, 0);
  ring.Complete({Operation::kAccept, 0, 0}, -ECANCELED);
  TurnAll();
  EXPECT_EQ(At(0).state, ConnectionState::kOpen);
  EXPECT_EQ(At(0).cancels_in_flight, 0);
  ExpectNothingLeaks();
}

TEST_F(SetTest, WakeIsWatchedAgainWhenItsMultishotEnds) {
  ring.WatchWake();
  TurnAll();
  ring.Complete({Operation::kWake, 0, 0}, 1, /*more=*/true);
  TurnAll();
  EXPECT_TRUE(set->TakeWoken());
  EXPECT_FALSE(set->TakeWoken());
  ring.Complete({Operation::kWake, 0, 0}, 1, /*more=*/false);
  TurnAll();
  EXPECT_TRUE(set->TakeWoken());
  EXPECT_TRUE(ring.InFlight(Operation::kWake, 0));
}

// ---- drain ----

TEST_F(SetTest, DrainSendsWhatIsOwedAndClosesAll) {
  for (uint32_t slot = 0; slot < kSlots; slot += 2) {
    Open(slot);
    Receive(slot, Frame('e', slot));
    if (slot % 4 == 0) {
      SendAll(slot);
    }
  }
  set->StopAccept();
  TurnAll();
  uint32_t left = kSlots;
  while (left > 0) {
    const uint32_t before = left;
    left = set->DrainSome(3);
    EXPECT_GE(left + 3, before) << "more than asked for";
    EXPECT_LT(left, before);
    TurnAll();
  }
  EXPECT_EQ(port->live(), kSlots / 4) << "those that are owed bytes";
  for (uint32_t slot = 2; slot < kSlots; slot += 4) {
    SendAll(slot);
    EXPECT_EQ(ring.sent[slot], Frame('e', slot));
  }
  EXPECT_EQ(port->live(), 0u);
  EXPECT_EQ(counters.closes.Get(CloseReason::kDrain), uint64_t{kSlots} / 2);
  Settle();
  EXPECT_TRUE(PortTester::Quiet(*port));
}

TEST_F(SetTest, NobodyDialsWhileItDrains) {
  ASSERT_GE(port->Connect({}, SocketAddress::Ipv4(0x7f000001, 9)), 0);
  TurnAll();
  close(ring.installed.back());
  set->DrainSome(kSlots);
  EXPECT_EQ(port->Connect({}, SocketAddress::Ipv4(0x7f000001, 9)), -ESHUTDOWN);
  TurnAll();
  EXPECT_EQ(app.failed.size(), 1u);
  ExpectNothingLeaks();
}

// ---- what an application may do inside the calls ----

struct Chatty {
  size_t OnBytes(Port&, Connection&, absl::Span<const std::byte> in, Replies& out) {
    out.Append(in);
    return in.size();
  }
  void OnOpen(Port& port, Connection& connection) {
    port.Out(connection).Append({reinterpret_cast<const std::byte*>("hello"), 5});
    open.push_back(Port::IdOf(connection));
    if (close_at_once) {
      port.Close(connection, CloseReason::kFull);
    }
  }
  void OnClose(Port& port, Connection& connection, CloseReason) {
    ++closed;
    EXPECT_EQ(port.Find(Port::IdOf(connection)), nullptr);
    port.Out(connection).Append({reinterpret_cast<const std::byte*>("lost"), 4});
    port.Close(connection, CloseReason::kReset);
    port.CloseAfterFlush(connection, CloseReason::kReset);
    for (const ConnectionId id : open) {  // tells the others, and takes the next with it
      if (Connection* other = port.Find(id)) {
        port.Out(*other).Append({reinterpret_cast<const std::byte*>("bye"), 3});
        if (cascade) {
          port.Close(*other, CloseReason::kSuperseded);
          break;
        }
      }
    }
  }
  std::vector<ConnectionId> open;
  uint32_t closed = 0;
  bool close_at_once = false;
  bool cascade = false;
};

TEST(SetChatty, CallsFromInsideCallsAreFine) {
  for (const bool close_at_once : {false, true}) {
    for (const bool cascade : {false, true}) {
      ScriptedRing ring;
      Port port(0, {.slots = 8});
      Chatty app;
      app.close_at_once = close_at_once;
      app.cascade = cascade;
      Counters counters;
      Set<ScriptedRing, Chatty> set(ring, port, app, counters);
      const auto turn = [&] {
        for (int i = 0; i < 10 && set.HasWork(); ++i) {
          TurnSet(set);
        }
      };
      set.Accept(3);
      for (int slot = 0; slot < 8; ++slot) {
        ring.Complete({Operation::kAccept, 0, 0}, slot, true);
      }
      turn();
      if (!close_at_once) {
        for (uint32_t slot = 0; slot < 8; ++slot) {
          ring.Complete({Operation::kSend, 1, slot}, 5);
        }
        turn();
        ring.Complete({Operation::kReceive, 1, 3}, -ECONNRESET);
        turn();
        EXPECT_EQ(app.closed, cascade ? 8u : 1u);
        EXPECT_EQ(ring.InFlight(Operation::kSend, 4), !cascade) << "what OnClose appended to another";
      } else {
        EXPECT_EQ(app.closed, 8u);
        EXPECT_EQ(port.live(), 0u);
      }
      for (uint32_t slot = 0; slot < 8; ++slot) {
        port.Close(PortTester::At(port, slot), CloseReason::kDrain);
      }
      turn();
      ring.Settle(turn);
      EXPECT_EQ(app.closed, 8u);
      EXPECT_TRUE(PortTester::Quiet(port));
    }
  }
}

// A client that dials anew as soon as it is cut off.
struct Redialer {
  size_t OnBytes(Port&, Connection&, absl::Span<const std::byte> in, Replies&) { return in.size(); }
  void OnClose(Port& port, Connection&, CloseReason) { Dial(port); }
  void OnConnectFailed(Port& port, uint32_t, int) { Dial(port); }
  void Dial(Port& port) {
    if (dials-- > 0) {
      EXPECT_GE(port.Connect({}, SocketAddress::Ipv4(0x7f000001, 9)), 0);
    }
  }
  int dials = 20;
};

TEST(SetRedialer, DialsFromInsideOnCloseAndOnConnectFailed) {
  ScriptedRing ring;
  Port port(0, {.slots = 4});
  Redialer app;
  Counters counters;
  Set<ScriptedRing, Redialer> set(ring, port, app, counters);
  app.Dial(port);
  int32_t result = 0;
  for (int i = 0; i < 200; ++i) {
    if (set.HasWork()) {
      TurnSet(set);
    }
    for (uint32_t slot = 0; slot < 4; ++slot) {
      if (ring.InFlight(Operation::kConnect, slot)) {
        result = result == 0 ? -ECONNREFUSED : 0;
        ring.Complete(ring.Find(Operation::kConnect, slot)->tag, result);
      } else if (ring.InFlight(Operation::kReceive, slot)) {
        ring.Complete(ring.Find(Operation::kReceive, slot)->tag, 0);
      }
    }
    ring.Settle([&] {
      if (set.HasWork()) {
        TurnSet(set);
      }
    });
  }
  for (const int descriptor : ring.installed) {
    close(descriptor);
  }
  EXPECT_EQ(ring.installed.size(), 20u) << "a dial was forgotten";
  EXPECT_EQ(counters.events.Get(Counter::kConnected) + counters.events.Get(Counter::kConnectFailed), 20u);
  EXPECT_TRUE(PortTester::Quiet(port));
}

}  // namespace
}  // namespace hongbao::net
