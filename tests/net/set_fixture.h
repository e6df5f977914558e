// SetSide: a Set on a ScriptedRing with an application. SetFixture: one with Framed.
#pragma once

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <string>

#include "libhongbao/net/set.h"
#include "port_tester.h"
#include "scripted_ring.h"
#include "test_app.h"

namespace hongbao::net {

using ring::Operation;

// A turn as a worker without load takes it.
template <class SetT>
void TurnSet(SetT& set) {
  set.Turn(/*rounds=*/3);
}

// One set with its port, ring and application.
template <class App>
struct SetSide {
  void Make(const PortOptions& options) {
    set.reset();
    port = std::make_unique<Port>(0, options);
    set = std::make_unique<Set<ScriptedRing, App>>(ring, *port, app, counters);
  }
  void Turn() { TurnSet(*set); }
  // Turns until nothing is left to do, whatever the number.
  void TurnAll() {
    for (int i = 0; i < 10 && set->HasWork(); ++i) {
      TurnSet(*set);
    }
  }

  Connection& At(uint32_t slot) { return PortTester::At(*port, slot); }
  ring::Tag TagOf(Operation operation, uint32_t slot) { return {operation, At(slot).generation, slot}; }
  void Settle() {
    ring.Settle([this] { TurnAll(); });
  }
  // Whatever state all are in: closes them, lets the kernel finish, and expects that nothing is left anywhere.
  void ExpectNothingLeaks() {
    for (uint32_t slot = 0; slot < port->slots(); ++slot) {
      port->Close(At(slot), CloseReason::kDrain);
    }
    TurnAll();
    Settle();
    EXPECT_TRUE(PortTester::Quiet(*port));
    EXPECT_EQ(ring.lent(), 0u);
    EXPECT_EQ(ring.free_buffers(), ScriptedRing::kBuffers);
    EXPECT_EQ(ring.in_flight(), ring.InFlight(Operation::kAccept, 0) ? 1u : 0u);
    EXPECT_TRUE(app.Sound());
    EXPECT_EQ(app.Opened(), app.Closed());
  }

  ScriptedRing ring;
  App app;
  Counters counters;
  std::unique_ptr<Port> port;
  std::unique_ptr<Set<ScriptedRing, App>> set;
};

class SetFixture : public testing::Test, protected SetSide<Framed> {
 protected:
  static constexpr uint32_t kSlots = 16;
  static constexpr int kListener = 3;

  void Make(PortOptions options) {
    options.slots = kSlots;
    SetSide::Make(options);
  }
  SetFixture() { Make({}); }

  void Complete(Operation operation, uint32_t slot, int32_t result, bool more = false) {
    ring.Complete(TagOf(operation, slot), result, more);
  }
  // Accepts a connection into `slot`.
  Connection& Open(uint32_t slot) {
    if (!ring.InFlight(Operation::kAccept, 0)) {
      set->Accept(kListener);
    }
    ring.Complete({Operation::kAccept, 0, 0}, static_cast<int32_t>(slot), /*more=*/true);
    TurnAll();
    EXPECT_EQ(At(slot).state, ConnectionState::kOpen);
    return At(slot);
  }
  void Receive(uint32_t slot, std::string_view bytes, bool more = true) {
    EXPECT_TRUE(ring.CompleteReceive(slot, At(slot).generation, bytes, more));
    TurnAll();
  }
  // The send in flight takes all its bytes.
  void SendAll(uint32_t slot) {
    const ScriptedRing::Entry* entry = ring.Find(Operation::kSend, slot);
    ASSERT_NE(entry, nullptr);
    ring.Complete(entry->tag, static_cast<int32_t>(entry->copy.size()));
    TurnAll();
  }
  const Framed::Record& RecordOf(uint32_t slot) { return app.records[{slot, At(slot).generation}]; }
};

}  // namespace hongbao::net
