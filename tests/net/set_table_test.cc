// Every operation x every result x MORE or not x every state of the connection, scripted. Whatever the kernel says, the
// set may not leak a slot, a buffer or a block, and tells the application exactly once that a connection ended.
#include <tuple>

#include "set_fixture.h"

namespace hongbao::net {
namespace {

enum class Life { kOpen, kFlushing, kClosing, kStale };

constexpr int32_t kGood = 1;  // stands for "some bytes"
constexpr int32_t kResults[] = {kGood, 0, -ECONNRESET, -EPIPE, -ENOBUFS, -ECANCELED, -EINTR, -ENOMEM, -EAGAIN};

using Case = std::tuple<Operation, int32_t, bool, Life>;

class SetTable : public SetFixture, public testing::WithParamInterface<Case> {
 protected:
  static constexpr uint32_t kSlot = 5;

  // Brings slot 5 to `life` with a receive armed, a send of 32 bytes in flight and, but for kStale, 10 bytes of a
  // partial frame. A stale one has been replaced by a second connection in the same slot.
  void Prepare(Life life) {
    Open(kSlot);
    Receive(kSlot, Frame('e', 1) + Frame('e', 2) + Frame('e', 3).substr(0, 10));
    ASSERT_TRUE(ring.InFlight(Operation::kSend, kSlot));
    ASSERT_EQ(PortTester::PartialBlocks(*port), 1u);
    stale_generation_ = At(kSlot).generation;
    if (life == Life::kFlushing) {
      port->CloseAfterFlush(At(kSlot), CloseReason::kRefused);
      TurnAll();
      ASSERT_EQ(At(kSlot).state, ConnectionState::kFlushing);
    } else if (life == Life::kClosing) {
      port->Close(At(kSlot), CloseReason::kMalformed);
      TurnAll();
      ASSERT_EQ(At(kSlot).state, ConnectionState::kClosing);
      ASSERT_TRUE(ring.InFlight(Operation::kCancel, kSlot));
    } else if (life == Life::kStale) {
      port->Close(At(kSlot), CloseReason::kMalformed);
      TurnAll();
      Settle();
      ASSERT_EQ(At(kSlot).state, ConnectionState::kFree);
      Open(kSlot);
      ASSERT_NE(At(kSlot).generation, stale_generation_);
    }
  }

  void CheckReceive(int32_t result, bool more, Life life) {
    const Connection& connection = At(kSlot);
    if (life == Life::kClosing) {
      EXPECT_EQ(connection.receive_armed, more);
      return;
    }
    const bool lives = result > 0 || result == -ENOBUFS || result == -EINTR || result == -EAGAIN;
    if (lives) {
      EXPECT_EQ(connection.state, life == Life::kOpen ? ConnectionState::kOpen : ConnectionState::kFlushing);
      EXPECT_TRUE(connection.receive_armed) << "ended, and was not armed again";
    } else if (result == 0) {  // the peer sends no more, but may read on: what is owed leaves first
      EXPECT_EQ(connection.state, ConnectionState::kFlushing);
      EXPECT_EQ(connection.receive_armed, more);
    } else if (result < 0) {
      EXPECT_EQ(connection.state, ConnectionState::kClosing);
      EXPECT_EQ(RecordOf(kSlot).reason, life == Life::kOpen ? CloseReason::kReset : CloseReason::kRefused);
    }
    if (result > 0 && life == Life::kOpen) {
      EXPECT_EQ(RecordOf(kSlot).frames.size(), 3 * kTestFrame);
    } else if (life == Life::kFlushing) {
      EXPECT_EQ(RecordOf(kSlot).frames.size(), 2 * kTestFrame) << "one that flushes takes no more requests";
    }
  }

  void CheckSend(int32_t result, Life life) {
    const Connection& connection = At(kSlot);
    if (life == Life::kClosing) {
      EXPECT_FALSE(connection.send_in_flight);
      return;
    }
    const bool lives = result > 0 || result == -EINTR || result == -EAGAIN;
    if (lives) {
      const ScriptedRing::Entry* next = ring.Find(Operation::kSend, kSlot);
      ASSERT_NE(next, nullptr) << "the rest was not sent";
      const size_t taken = result > 0 ? static_cast<size_t>(result) : 0;
      EXPECT_EQ(next->copy, (Frame('e', 1) + Frame('e', 2)).substr(taken));
    } else {
      EXPECT_EQ(connection.state, ConnectionState::kClosing);
      EXPECT_FALSE(ring.InFlight(Operation::kSend, kSlot));
    }
  }

  uint32_t stale_generation_ = 0;
};

TEST_P(SetTable, LeaksNothing) {
  const auto [operation, result, more, life] = GetParam();
  Prepare(life);
  if (HasFatalFailure()) {
    return;
  }
  if (life == Life::kStale) {
    const uint32_t generation = At(kSlot).generation;
    ring.CompleteStale({operation, stale_generation_, kSlot}, result, more, "x");
    TurnAll();
    EXPECT_EQ(At(kSlot).state, ConnectionState::kOpen) << "a completion of a former life touched its heir";
    EXPECT_EQ(At(kSlot).generation, generation);
    EXPECT_TRUE(At(kSlot).receive_armed);
    EXPECT_EQ(ring.lent(), 0u);
    EXPECT_EQ(RecordOf(kSlot).frames, "");
  } else if (operation == Operation::kReceive) {
    if (result > 0) {
      ASSERT_TRUE(ring.CompleteReceive(kSlot, At(kSlot).generation, Frame('e', 3).substr(10), more));
    } else {
      Complete(operation, kSlot, result, more);
    }
    TurnAll();
    CheckReceive(result, more, life);
  } else if (operation == Operation::kSend && !more) {
    Complete(operation, kSlot, result);
    TurnAll();
    CheckSend(result, life);
  } else if (operation == Operation::kCancel && life == Life::kClosing && !more) {
    // Two are in flight, for the receive and for the send; this ends one of them with any result at all.
    Complete(operation, kSlot, result);
    TurnAll();
    EXPECT_EQ(At(kSlot).state, ConnectionState::kClosing);
    Complete(Operation::kReceive, kSlot, -ECANCELED);
    TurnAll();
    EXPECT_FALSE(ring.InFlight(Operation::kClose, kSlot));
  } else if (operation == Operation::kClose && life == Life::kClosing && !more) {
    while (ring.InFlight(Operation::kCancel, kSlot)) {
      Complete(Operation::kCancel, kSlot, 0);
    }
    Complete(Operation::kReceive, kSlot, -ECANCELED);
    TurnAll();
    EXPECT_FALSE(ring.InFlight(Operation::kClose, kSlot)) << "closed under a send";
    Complete(Operation::kSend, kSlot, -ECANCELED);
    TurnAll();
    ASSERT_TRUE(ring.InFlight(Operation::kClose, kSlot));
    Complete(Operation::kClose, kSlot, result);
    TurnAll();
    EXPECT_EQ(At(kSlot).state, ConnectionState::kFree);
  }
  ExpectNothingLeaks();
}

std::string Name(const testing::TestParamInfo<Case>& info) {
  const auto [operation, result, more, life] = info.param;
  constexpr const char* kOperations[] = {"None",    "Accept", "Receive", "ReceiveBulk", "Send",
                                         "Connect", "Cancel", "Close",   "Wake"};
  constexpr const char* kLives[] = {"Open", "Flushing", "Closing", "Stale"};
  return std::string(kOperations[static_cast<int>(operation)]) + (result < 0 ? "Minus" : "") + std::to_string(std::abs(result)) +
         (more ? "More" : "") + kLives[static_cast<int>(life)];
}

INSTANTIATE_TEST_SUITE_P(All, SetTable,
                         testing::Combine(testing::Values(Operation::kReceive, Operation::kSend, Operation::kCancel,
                                                          Operation::kClose, Operation::kConnect),
                                          testing::ValuesIn(kResults), testing::Bool(),
                                          testing::Values(Life::kOpen, Life::kFlushing, Life::kClosing, Life::kStale)),
                         Name);

// ---- accept ----

class SetAcceptTable : public SetFixture, public testing::WithParamInterface<std::tuple<int32_t, bool>> {};

TEST_P(SetAcceptTable, GoesOnAcceptingAndNeverSpins) {
  const auto [result, more] = GetParam();
  set->Accept(kListener);
  TurnAll();
  const uint64_t enters = ring.enters;
  ring.Complete({Operation::kAccept, 0, 0}, result, more);
  TurnAll();
  EXPECT_LT(ring.enters, enters + 5);
  const bool paused = !more && result < 0 && result != -ECANCELED && result != -ECONNABORTED;
  EXPECT_EQ(ring.InFlight(Operation::kAccept, 0), !paused);
  EXPECT_EQ(counters.events.Get(Counter::kAcceptPauses), paused ? 1u : 0u);
  EXPECT_EQ(port->live(), result >= 0 ? 1u : 0u);
  set->Tick(1);
  TurnAll();
  EXPECT_TRUE(ring.InFlight(Operation::kAccept, 0)) << "never accepts again";
  ExpectNothingLeaks();
}

INSTANTIATE_TEST_SUITE_P(All, SetAcceptTable,
                         testing::Combine(testing::Values(7, 0, -ECONNRESET, -ENOBUFS, -ECANCELED, -EINTR, -ENOMEM, -EAGAIN,
                                                          -EMFILE, -ENFILE, -ECONNABORTED),
                                          testing::Bool()));

// ---- connect ----

class SetConnectTable : public SetFixture, public testing::WithParamInterface<std::tuple<int32_t, bool>> {};

TEST_P(SetConnectTable, OpensOrFailsOnce) {
  const auto [result, given_up] = GetParam();
  const int32_t slot = port->Connect({}, SocketAddress::Ipv4(0x7f000001, 9));
  ASSERT_GE(slot, 0);
  TurnAll();
  ASSERT_EQ(ring.installed.size(), 1u);
  close(ring.installed[0]);
  const uint32_t at = static_cast<uint32_t>(slot);
  ASSERT_TRUE(ring.InFlight(Operation::kConnect, at));
  EXPECT_EQ(port->Find(Port::IdOf(At(at))), nullptr) << "not open yet";
  if (given_up) {  // before the kernel answers
    port->Close(At(at), CloseReason::kLoginDeadline);
    TurnAll();
    ASSERT_TRUE(ring.InFlight(Operation::kCancel, at));
  }
  Complete(Operation::kConnect, at, result);
  TurnAll();
  if (result == 0 && !given_up) {
    EXPECT_EQ(port->live(), 1u);
    EXPECT_EQ(app.Opened(), 1u);
    EXPECT_TRUE(app.failed.empty());
    EXPECT_EQ(counters.events.Get(Counter::kConnected), 1u);
  } else {
    EXPECT_EQ(app.Opened(), 0u);
    ASSERT_EQ(app.failed.size(), 1u);
    EXPECT_EQ(app.failed[0].first, at);
    EXPECT_EQ(app.failed[0].second, given_up ? ETIMEDOUT : -result);
    EXPECT_EQ(counters.events.Get(Counter::kConnectFailed), 1u);
  }
  ExpectNothingLeaks();
}

INSTANTIATE_TEST_SUITE_P(All, SetConnectTable,
                         testing::Combine(testing::Values(0, -ECONNREFUSED, -ECONNRESET, -ENOBUFS, -ECANCELED, -EINTR, -ENOMEM,
                                                          -EAGAIN, -ETIMEDOUT, -EADDRNOTAVAIL),
                                          testing::Bool()));

}  // namespace
}  // namespace hongbao::net
