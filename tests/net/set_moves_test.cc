// Connections that change their port: nothing of theirs is lost or doubled, whenever their peer sends, ends or resets, and
// whatever the kernel answers. Two sets stand for two workers; the test carries the socket from one to the other.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <optional>
#include <string>

#include "set_fixture.h"

namespace hongbao::net {
namespace {

// Framed, but a frame 'M' makes its connection bulk and asks to be moved; there it is resumed at once.
struct Mover : Framed {
  size_t OnBytes(Port& port, Connection& connection, absl::Span<const std::byte> in, Replies& out) {
    if (static_cast<char>(in[0]) == 'M' && in.size() >= kTestFrame && !connection.bulk) {
      records[KeyOf(connection)].frames += std::string(reinterpret_cast<const char*>(in.data()), kTestFrame);
      EXPECT_TRUE(port.MakeBulk(connection));
      port.Wait(connection);
      EXPECT_TRUE(port.MoveOut(connection));
      return kTestFrame;
    }
    return Framed::OnBytes(port, connection, in, out);
  }
  bool OnMovedOut(Port&, Connection& connection, MovedSocket& socket) {
    EXPECT_GE(socket.descriptor(), 0);
    ++moved_out;
    if (!takes) {
      return false;
    }
    records.erase(KeyOf(connection));
    taken.emplace(std::move(socket));
    return true;
  }
  void OnNotMoved(Port&, Connection&) { ++stayed; }
  void OnMovedIn(Port& port, Connection& connection, uint64_t ticket) {
    OnOpen(port, connection);
    tickets.push_back(ticket);
    EXPECT_TRUE(port.MakeBulk(connection));
    port.Wait(connection);
  }
  void OnNoPlace(Port&, MovedSocket& socket, uint64_t ticket) {
    tickets.push_back(ticket);
    turned_away = socket.descriptor();
  }

  bool takes = true;
  int moved_out = 0;
  int stayed = 0;
  int turned_away = -1;
  std::optional<MovedSocket> taken;
  std::vector<uint64_t> tickets;
};
static_assert(MovesConnections<Mover> && !MovesConnections<Framed>);

constexpr uint32_t kSlots = 64;

struct Side : SetSide<Mover> {
  explicit Side(bool direct) {
    Make({.slots = kSlots,
          .direct_descriptors = direct,
          .frame_deadline_ms = 1'000,
          .idle_timeout_ms = 0,
          .unsent_bytes_max = 4'096,
          .bulk = {.connections = 1, .receive_bytes = 256, .room_bytes = 512, .unsent_bytes_max = 2'048}});
  }
  void Complete(Operation operation, uint32_t slot, int32_t result) {
    ring.Complete(TagOf(operation, slot), result);
    TurnAll();
  }
  void Receive(uint32_t slot, std::string_view bytes) { EXPECT_TRUE(ring.CompleteReceive(slot, At(slot).generation, bytes)); }
  void SendAll(uint32_t slot) {
    while (const ScriptedRing::Entry* entry = ring.Find(Operation::kSend, slot)) {
      ring.Complete(entry->tag, static_cast<int32_t>(entry->copy.size()));
      TurnAll();
    }
  }
  std::string FramesOf(uint32_t slot) { return app.records[Mover::KeyOf(At(slot))].frames; }
};

class SetMoves : public testing::TestWithParam<bool> {
 protected:
  static constexpr uint32_t kThere = 9;  // the slot that the other table has for it

  SetMoves() : here_(GetParam()), there_(GetParam()) {
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets_), 0);
    slot_ = GetParam() ? 3 : static_cast<uint32_t>(sockets_[0]);
    EXPECT_LT(slot_, kSlots);
  }
  ~SetMoves() override {
    close(sockets_[0]);
    close(sockets_[1]);
  }

  // A connection that has asked to be moved; its small receive is armed still.
  void AskToMove(std::string_view behind = {}) {
    here_.set->Accept(1);
    here_.ring.Complete({Operation::kAccept, 0, 0}, static_cast<int32_t>(slot_), /*more=*/true);
    here_.TurnAll();
    here_.Receive(slot_, Frame('M') + std::string(behind));
    here_.TurnAll();
  }
  // The kernel has cancelled its receive, and gives it a descriptor.
  void TakeOut() {
    here_.Settle();
    if (GetParam()) {
      ASSERT_TRUE(here_.ring.InFlight(Operation::kTakeOut, slot_));
      here_.Complete(Operation::kTakeOut, slot_, fcntl(sockets_[0], F_DUPFD_CLOEXEC, 0));
    }
  }
  // Into the other port; its slot there.
  uint32_t BringIn() {
    EXPECT_TRUE(here_.app.taken.has_value());
    const uint32_t slot = GetParam() ? kThere : static_cast<uint32_t>(here_.app.taken->descriptor());
    there_.port->MoveIn(std::move(*here_.app.taken), 77);
    there_.TurnAll();
    if (GetParam()) {
      there_.ring.CompleteTakeIn(static_cast<int>(slot));
      there_.TurnAll();
    } else {
      mine_ = static_cast<int>(slot);  // what the real ring would close
    }
    EXPECT_EQ(there_.app.tickets, std::vector<uint64_t>{77});
    EXPECT_EQ(there_.At(slot).state, ConnectionState::kOpen);
    return slot;
  }
  void ExpectNothingLeaks() {
    here_.ExpectNothingLeaks();
    there_.ExpectNothingLeaks();
    if (mine_ >= 0) {
      EXPECT_EQ(close(mine_), 0) << "nobody but the ring closes it";
    }
  }
  static std::string Frames(int from, int count) {
    std::string frames;
    for (int i = 0; i < count; ++i) {
      frames += Frame('e', static_cast<uint32_t>(from + i));
    }
    return frames;
  }

  Side here_;
  Side there_;
  int sockets_[2] = {-1, -1};
  uint32_t slot_ = 0;
  int mine_ = -1;
};

std::string DescriptorsName(const testing::TestParamInfo<bool>& direct) { return direct.param ? "Direct" : "Regular"; }
INSTANTIATE_TEST_SUITE_P(Descriptors, SetMoves, testing::Bool(), DescriptorsName);

TEST_P(SetMoves, GoesWithAllThatCameBehindItsLogin) {
  AskToMove("e0");  // the start of a frame
  EXPECT_FALSE(here_.ring.InFlight(Operation::kTakeOut, slot_)) << "its receive is armed";
  EXPECT_TRUE(here_.ring.InFlight(Operation::kCancel, slot_));
  const std::string stream = Frames(1, 120);  // more than there is room to answer at once
  std::string came = Frame('e', 0).substr(2) + stream;
  for (size_t at = 0; at < came.size(); at += 250) {
    here_.Receive(slot_, std::string_view(came).substr(at, 250));
  }
  here_.TurnAll();
  TakeOut();
  EXPECT_EQ(here_.app.moved_out, 1);
  EXPECT_EQ(here_.port->live(), 0u);
  here_.Settle();
  EXPECT_EQ(here_.port->slots_in_use(), 0u) << "here its slot is free, and its place among the bulk ones";
  const uint32_t slot = BringIn();
  EXPECT_EQ(there_.port->live(), 1u);
  EXPECT_EQ(there_.FramesOf(slot), "") << "it waits there, too";
  there_.port->Resume(there_.At(slot), {});
  there_.TurnAll();
  for (int i = 0; i < 20; ++i) {
    there_.SendAll(slot);
    there_.Settle();
  }
  EXPECT_EQ(there_.FramesOf(slot), Frame('e', 0) + stream);
  EXPECT_EQ(there_.ring.sent[slot], Frame('e', 0) + stream);
  ASSERT_TRUE(there_.ring.InFlight(Operation::kReceiveBulk, slot));
  EXPECT_FALSE(there_.ring.InFlight(Operation::kReceive, slot));
  ASSERT_TRUE(there_.ring.CompleteReceive(there_.TagOf(Operation::kReceiveBulk, slot), Frame('e', 500), /*more=*/false));
  there_.TurnAll();
  there_.SendAll(slot);
  EXPECT_EQ(there_.FramesOf(slot), Frame('e', 0) + stream + Frame('e', 500));
  for (const CloseReason reason : {CloseReason::kNone, CloseReason::kPeer, CloseReason::kFull}) {
    EXPECT_EQ(here_.counters.closes.Get(reason), 0u) << "it is one connection, and has not ended";
  }
  ExpectNothingLeaks();
}

TEST_P(SetMoves, WithNothingBehindItsLoginItReceivesThere) {
  AskToMove();
  TakeOut();
  const uint32_t slot = BringIn();
  EXPECT_FALSE(there_.ring.InFlight(Operation::kReceiveBulk, slot));
  there_.port->Resume(there_.At(slot), {});
  there_.TurnAll();
  EXPECT_TRUE(there_.ring.InFlight(Operation::kReceiveBulk, slot));
  ExpectNothingLeaks();
}

TEST_P(SetMoves, AnEndBeforeItWasTakenOutLetsItStay) {
  AskToMove();
  here_.port->Owe(here_.At(slot_), 1);
  here_.Receive(slot_, Frame('e', 1));
  here_.Complete(Operation::kReceive, slot_, 0);
  here_.Settle();
  EXPECT_FALSE(here_.ring.InFlight(Operation::kTakeOut, slot_));
  EXPECT_EQ(here_.app.stayed, 1);
  EXPECT_EQ(here_.app.moved_out, 0);
  here_.port->Resume(here_.At(slot_), {});
  here_.port->Paid(here_.At(slot_));
  here_.TurnAll();
  here_.SendAll(slot_);
  EXPECT_EQ(here_.ring.sent[slot_], Frame('e', 1)) << "it has read what it was owed, before the end";
  EXPECT_EQ(here_.counters.closes.Get(CloseReason::kPeer), 1u);
  ExpectNothingLeaks();
}

TEST_P(SetMoves, AResetBeforeItWasTakenOutEndsIt) {
  AskToMove();
  here_.Complete(Operation::kReceive, slot_, -ECONNRESET);
  here_.Settle();
  EXPECT_EQ(here_.counters.closes.Get(CloseReason::kReset), 1u);
  EXPECT_EQ(here_.app.moved_out + here_.app.stayed, 0);
  ExpectNothingLeaks();
}

TEST_P(SetMoves, AnEndOrAResetOnItsWayIsFoundThere) {
  for (const int result : {0, -ECONNRESET}) {
    AskToMove();
    TakeOut();
    here_.Settle();
    const uint32_t slot = BringIn();
    there_.port->Resume(there_.At(slot), {});
    there_.TurnAll();
    there_.Complete(Operation::kReceiveBulk, slot, result);
    there_.Settle();
    EXPECT_EQ(there_.counters.closes.Get(result == 0 ? CloseReason::kPeer : CloseReason::kReset), 1u);
    ExpectNothingLeaks();
    mine_ = -1;
    here_.app = {};
    there_.app = {};
    here_.ring.Complete({Operation::kAccept, 0, 0}, -ECANCELED);
    here_.set->StopAccept();
    here_.TurnAll();
  }
}

TEST_P(SetMoves, ItStaysWhenTheApplicationDoesNotTakeIt) {
  here_.app.takes = false;
  AskToMove();
  here_.Receive(slot_, Frame('e', 1) + "e2");
  here_.TurnAll();
  TakeOut();
  EXPECT_EQ(here_.app.moved_out, 1);
  ASSERT_EQ(here_.At(slot_).state, ConnectionState::kOpen);
  here_.port->Resume(here_.At(slot_), {});
  here_.TurnAll();
  here_.SendAll(slot_);
  EXPECT_EQ(here_.FramesOf(slot_), Frame('M') + Frame('e', 1)) << "what came behind is read here, once";
  ASSERT_TRUE(here_.ring.InFlight(Operation::kReceiveBulk, slot_));
  ASSERT_TRUE(here_.ring.CompleteReceive(here_.TagOf(Operation::kReceiveBulk, slot_), Frame('e', 2).substr(2), false));
  here_.TurnAll();
  EXPECT_EQ(here_.FramesOf(slot_), Frame('M') + Frame('e', 1) + Frame('e', 2));
  ExpectNothingLeaks();
}

TEST_P(SetMoves, ItStaysWithAnswersThatWereAppendedMeanwhile) {
  AskToMove();
  here_.port->Out(here_.At(slot_)).Append(16);
  here_.TurnAll();
  here_.Settle();
  EXPECT_EQ(here_.app.stayed, 1);
  EXPECT_EQ(here_.app.moved_out, 0);
  EXPECT_FALSE(here_.port->MoveOut(here_.At(slot_)));
  here_.SendAll(slot_);
  EXPECT_TRUE(here_.port->MoveOut(here_.At(slot_))) << "it may ask again, though nothing is in flight that would end";
  here_.TurnAll();
  TakeOut();
  EXPECT_EQ(here_.app.moved_out, 1);
  here_.app.taken.reset();
  ExpectNothingLeaks();
}

TEST_P(SetMoves, WithoutADescriptorItStays) {
  if (!GetParam()) {
    GTEST_SKIP() << "the ring has no part in it";
  }
  AskToMove();
  here_.Settle();
  here_.Complete(Operation::kTakeOut, slot_, -EMFILE);
  EXPECT_EQ(here_.app.stayed, 1);
  EXPECT_EQ(here_.At(slot_).state, ConnectionState::kOpen);
  ExpectNothingLeaks();
}

TEST_P(SetMoves, ClosedWhileItIsTakenOutItIsClosed) {
  if (!GetParam()) {
    GTEST_SKIP() << "that takes no time";
  }
  AskToMove();
  here_.Settle();
  here_.port->Close(here_.At(slot_), CloseReason::kSuperseded);
  here_.TurnAll();
  EXPECT_FALSE(here_.ring.InFlight(Operation::kClose, slot_)) << "not while that is in flight";
  const int descriptor = fcntl(sockets_[0], F_DUPFD_CLOEXEC, 0);
  here_.Complete(Operation::kTakeOut, slot_, descriptor);
  here_.Settle();
  EXPECT_EQ(fcntl(descriptor, F_GETFD), -1) << "nobody's any more";
  EXPECT_EQ(here_.app.moved_out + here_.app.stayed, 0);
  EXPECT_EQ(here_.counters.closes.Get(CloseReason::kSuperseded), 1u);
  ExpectNothingLeaks();
}

TEST_P(SetMoves, WithoutAPlaceThereItsSocketIsClosed) {
  AskToMove();
  TakeOut();
  if (GetParam()) {
    there_.port->MoveIn(std::move(*here_.app.taken), 77);
    there_.TurnAll();
    there_.ring.CompleteTakeIn(-ENFILE);
  } else {
    MovedSocket beyond(fcntl(here_.app.taken->descriptor(), F_DUPFD_CLOEXEC, kSlots));
    here_.app.taken.reset();
    there_.port->MoveIn(std::move(beyond), 77);
  }
  there_.TurnAll();
  EXPECT_EQ(there_.app.tickets, std::vector<uint64_t>{77});
  EXPECT_EQ(fcntl(there_.app.turned_away, F_GETFD), -1);
  EXPECT_EQ(there_.counters.closes.Get(CloseReason::kFull), 1u);
  EXPECT_EQ(there_.port->live(), 0u);
  ExpectNothingLeaks();
}

TEST_P(SetMoves, OneThatIsNotTakenInWhenAllEndsLeavesNoDescriptor) {
  AskToMove();
  TakeOut();
  const int descriptor = here_.app.taken->descriptor();
  there_.port->MoveIn(std::move(*here_.app.taken), 77);
  there_.port.reset();
  EXPECT_EQ(fcntl(descriptor, F_GETFD), -1);
  here_.ExpectNothingLeaks();
}

}  // namespace
}  // namespace hongbao::net
