// A seeded kernel that completes what is in flight in random legal order, with random faults, against hundreds of peers
// at once: whatever happens, nothing leaks, bytes arrive whole and in order, and opened = closed + live.
#include <unistd.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "libhongbao/net/set.h"
#include "port_tester.h"
#include "scripted_ring.h"

namespace hongbao::net {
namespace {

using ring::Operation;

constexpr size_t kFrame = 16;

// Frame `number` of a connection's stream; every byte depends on it.
std::string StreamFrame(uint64_t peer, uint64_t number) {
  std::string frame(kFrame, '\0');
  uint64_t state = peer * 0x9e3779b97f4a7c15u + number * 0xbf58476d1ce4e5b9u;
  for (char& c : frame) {
    state ^= state >> 29;
    state *= 0x94d049bb133111ebu;
    c = static_cast<char>(state >> 56);
  }
  return frame;
}

// Echoes whole frames, sometimes owes an answer more, makes the connection a bulk one, or closes by itself.
struct Echo {
  struct Record {
    uint32_t generation = 0;
    bool open = false;
  };
  void OnOpen(Port& port, Connection& connection) {
    Record& record = records[connection.slot];
    EXPECT_FALSE(record.open) << "opened twice";
    record = {connection.generation, true};
    ++opened;
    if (random() % 64 == 0) {
      port.Close(connection, CloseReason::kFull);
    }
  }
  size_t OnBytes(Port& port, Connection& connection, absl::Span<const std::byte> in, Replies& out) {
    EXPECT_TRUE(records[connection.slot].open);
    EXPECT_EQ(records[connection.slot].generation, connection.generation);
    const size_t whole = in.size() / kFrame * kFrame;
    out.Append(in.first(whole));
    if (whole > 0) {
      port.ClearDeadline(connection);
    }
    if (random() % 8 == 0) {
      port.Owe(connection, 1);
      owed.push_back(Port::IdOf(connection));
    }
    const uint64_t chance = random() % 256;
    if (chance >= 250 && !connection.bulk && port.MakeBulk(connection)) {
      ++bulk;
    }
    if (chance == 0) {
      port.CloseAfterFlush(connection, CloseReason::kRefused);
    } else if (chance == 1) {
      port.Close(connection, CloseReason::kSuperseded);
    } else if (chance == 2) {
      return kMalformed;
    }
    return whole;
  }
  void OnClose(Port& port, Connection& connection, CloseReason reason) {
    Record& record = records[connection.slot];
    EXPECT_TRUE(record.open) << "closed twice, or never opened";
    EXPECT_EQ(record.generation, connection.generation);
    EXPECT_NE(reason, CloseReason::kNone);
    EXPECT_NE(reason, CloseReason::kUnsentBytes) << "it waits instead, and nobody reads nothing for so long";
    record.open = false;
    ++closed;
    if (redial && random() % 2 == 0) {
      Dial(port);
    }
  }
  void OnConnectFailed(Port&, uint32_t, int error) {
    EXPECT_GT(error, 0);
    ++failed;
  }
  // An answer that was owed is not needed after all.
  void PaySome(Port& port, size_t leave) {
    while (owed.size() > leave) {
      std::swap(owed[random() % owed.size()], owed.back());
      if (Connection* connection = port.Find(owed.back())) {
        ++paid;
        port.Paid(*connection);
      }
      owed.pop_back();
    }
  }
  void Dial(Port& port) {
    if (port.Connect({}, SocketAddress::Ipv4(0x7f000001, 9)) >= 0) {
      ++dialed;
    }
  }

  std::mt19937_64 random;
  std::map<uint32_t, Record> records;
  uint64_t opened = 0;
  uint64_t closed = 0;
  uint64_t dialed = 0;
  uint64_t failed = 0;
  uint64_t bulk = 0;
  uint64_t paid = 0;
  std::vector<ConnectionId> owed;
  bool redial = false;
};

class Kernel {
 public:
  Kernel(uint64_t seed, uint32_t slots, bool accepts, bool silent)
      : random_(seed), accepts_(accepts), slots_(slots), port_(0, Options(slots)), set_(ring_, port_, app_, counters_) {
    app_.random.seed(seed + 1);
    app_.redial = !accepts;
    ring_.on_enter = [this] { Step(); };
    ring_.enter_wanted = true;
    ring_.silent = silent;
    ring_.on_silent_send = [this](const ScriptedRing::Entry& entry) { return SendSilently(entry); };
    if (accepts) {
      set_.Accept(3);
    }
  }

  void Run(int steps) {
    for (int step = 0; step < steps && !testing::Test::HasFailure(); ++step) {
      if (!accepts_) {
        for (int i = 0; i < 4; ++i) {
          app_.Dial(port_);
        }
      }
      Turn();
      app_.PaySome(port_, 50);
      if (random_() % 4 == 0) {
        set_.Tick(++tick_);
      }
      EXPECT_EQ(port_.live(), app_.opened - app_.closed);
    }
  }

  // No faults from here: drains, and looks whether anything is left.
  void Finish() {
    app_.redial = false;
    app_.PaySome(port_, 0);
    calm_ = true;
    if (accepts_) {
      set_.StopAccept();
    }
    while (set_.DrainSome(7) > 0) {
      Turn();
    }
    // Long enough that every deadline has passed as well: a peer may have stopped reading.
    for (int i = 0; i < 400; ++i) {
      set_.Tick(++tick_);
      Turn();
    }
    EXPECT_EQ(app_.opened, app_.closed);
    EXPECT_EQ(ring_.in_flight(), 0u);
    EXPECT_EQ(ring_.lent(), 0u);
    EXPECT_EQ(ring_.free_buffers(), ScriptedRing::kBuffers);
    EXPECT_TRUE(PortTester::Quiet(port_));
    uint64_t closes = 0;
    for (size_t i = 0; i < static_cast<size_t>(CloseReason::kCount); ++i) {
      closes += counters_.closes.Get(static_cast<CloseReason>(i));
    }
    EXPECT_EQ(closes, app_.closed);
    EXPECT_EQ(counters_.closes.Get(CloseReason::kNone), 0u);
    EXPECT_EQ(counters_.events.Get(Counter::kAccepted) + counters_.events.Get(Counter::kConnected), app_.opened);
    EXPECT_EQ(counters_.events.Get(Counter::kConnectFailed), app_.failed);
    EXPECT_EQ(app_.dialed, counters_.events.Get(Counter::kConnected) + app_.failed);
  }

  uint64_t opened() const { return app_.opened; }
  uint64_t frames_echoed() const { return frames_echoed_; }
  uint64_t bulk() const { return app_.bulk; }
  uint64_t bulk_receives() const { return bulk_receives_; }
  uint64_t holds() const { return counters_.events.Get(Counter::kHolds); }
  uint64_t paid() const { return app_.paid; }
  uint64_t cut_short() const { return cut_short_; }

 private:
  struct Peer {
    uint64_t number = 0;      // names its stream
    uint64_t bytes_sent = 0;  // to us
    std::string echoed{};     // tail of what came back that is not compared yet
    uint64_t frames_back = 0;
    bool ended = false;  // its FIN or RST was delivered
  };

  static PortOptions Options(uint32_t slots) {
    PortOptions options;
    options.slots = slots;
    options.login_deadline_ms = 2'000;
    options.frame_deadline_ms = 1'000;
    options.idle_timeout_ms = 3'000;
    options.unsent_bytes_max = 600;
    options.room_bytes = 256 + kFrame;
    options.owed_bytes = 4;
    options.unsent_deadline_ms = 30'000;
    // What one buffer may bring, and the rest of a frame before it.
    options.bulk = {.connections = slots / 4, .receive_bytes = 256, .room_bytes = 256 + kFrame, .unsent_bytes_max = 400};
    return options;
  }

  void Turn() {
    set_.Turn(1 + static_cast<int>(random_() % 3));
    set_.AwaitsSends();  // whatever it says, it looks at connections only
    for (const int descriptor : ring_.installed) {
      close(descriptor);
    }
    ring_.installed.clear();
    ring_.install_result = !calm_ && random_() % 16 == 0 ? -EMFILE : 0;
  }

  bool Chance(uint32_t in) { return !calm_ && random_() % in == 0; }

  // One visit of the kernel: some of what is in flight completes, in random order.
  void Step() {
    std::vector<ScriptedRing::Entry> entries;
    for (const auto& [key, entry] : ring_.entries()) {
      entries.push_back(entry);
    }
    std::shuffle(entries.begin(), entries.end(), random_);
    for (const ScriptedRing::Entry& entry : entries) {
      if (!calm_ && random_() % 3 == 0) {
        continue;  // not now
      }
      // It may have ended by a cancel that came first in this visit.
      if (ring_.Holds(entry)) {
        CompleteOne(entry);
      }
    }
  }

  void CompleteOne(const ScriptedRing::Entry& entry) {
    switch (entry.tag.operation) {
      case Operation::kAccept:
        CompleteAccept();
        break;
      case Operation::kReceive:
      case Operation::kReceiveBulk:
        CompleteReceive(entry.tag);
        break;
      case Operation::kSend:
        if (!entry.silent) {
          CompleteSend(entry);
        }
        break;
      case Operation::kConnect:
        if (calm_ || random_() % 4 == 0) {
          const bool fails = random_() % 4 == 0;
          ring_.Complete(entry.tag, fails ? -ECONNREFUSED : 0);
          if (!fails) {
            peers_[entry.tag.slot] = {.number = ++peer_numbers_};
          }
        }
        break;
      case Operation::kCancel:
        CompleteCancel(entry);
        break;
      case Operation::kClose:
        used_.erase(entry.tag.slot);
        ring_.Complete(entry.tag, 0);
        break;
      case Operation::kNone:
      case Operation::kWake:
      case Operation::kTakeOut:  // the application moves none; see set_moves
      case Operation::kTakeIn:
      case Operation::kAlarm:
        break;
    }
  }

  void CompleteAccept() {
    const ring::Tag tag = {Operation::kAccept, 0, 0};
    if (calm_) {
      return;
    }
    if (Chance(50)) {
      ring_.Complete(tag, -ENFILE);
      return;
    }
    for (int i = 0; i < 4; ++i) {
      uint32_t slot = static_cast<uint32_t>(random_() % slots_);
      for (uint32_t tries = 0; tries < slots_ && used_.contains(slot); ++tries) {
        slot = (slot + 1) % slots_;
      }
      if (used_.contains(slot)) {
        ring_.Complete(tag, -ENFILE);
        return;
      }
      used_.insert(slot);
      peers_[slot] = {.number = ++peer_numbers_};
      const bool more = !Chance(10);
      ring_.Complete(tag, static_cast<int32_t>(slot), more);
      if (!more) {
        return;
      }
    }
  }

  void CompleteReceive(ring::Tag tag) {
    Peer& peer = peers_[tag.slot];
    if (calm_ || random_() % 4 != 0) {
      return;  // the peer is silent
    }
    if (Chance(40)) {
      constexpr int32_t kFaults[] = {-ECONNRESET, -ENOBUFS, -EINTR, -EAGAIN, -ENOMEM, 0, 0};
      ring_.Complete(tag, kFaults[random_() % std::size(kFaults)]);
      return;
    }
    // Any number of bytes of its stream, cut anywhere.
    const size_t length = 1 + random_() % (random_() % 4 == 0 ? 250 : 24);
    std::string bytes;
    while (bytes.size() < length) {
      const uint64_t at = peer.bytes_sent + bytes.size();
      bytes += StreamFrame(peer.number, at / kFrame).substr(at % kFrame);
    }
    bytes.resize(length);
    const bool bulk = tag.operation == Operation::kReceiveBulk;
    if (ring_.CompleteReceive(tag, bytes, /*more=*/!bulk && !Chance(20))) {
      peer.bytes_sent += length;
      bulk_receives_ += bulk ? 1 : 0;
    }
  }

  void CompleteSend(const ScriptedRing::Entry& entry) {
    if (!calm_ && random_() % 3 == 0) {
      return;  // a slow reader
    }
    if (Chance(60)) {
      constexpr int32_t kFaults[] = {-ECONNRESET, -EPIPE, -EAGAIN, -EINTR};
      ring_.Complete(entry.tag, kFaults[random_() % std::size(kFaults)]);
      return;
    }
    const size_t length = Chance(3) ? 1 + random_() % entry.copy.size() : entry.copy.size();
    Take(entry, length);
    ring_.Complete(entry.tag, static_cast<int32_t>(length));
  }

  // Mostly all of it; else what a full socket does, or a broken one.
  int32_t SendSilently(const ScriptedRing::Entry& entry) {
    ring_.overflows = Chance(4);
    if (Chance(60)) {
      return random_() % 2 == 0 ? -ECONNRESET : -EPIPE;
    }
    const bool cut = Chance(3);
    const size_t length = cut ? random_() % entry.copy.size() : entry.copy.size();
    cut_short_ += cut ? 1 : 0;
    Take(entry, length);
    return cut && length == 0 ? -EAGAIN : static_cast<int32_t>(length);
  }

  // The peer gets the first `length` bytes, and compares.
  void Take(const ScriptedRing::Entry& entry, size_t length) {
    Peer& peer = peers_[entry.tag.slot];
    peer.echoed.append(entry.copy, 0, length);
    while (peer.echoed.size() >= kFrame) {
      ASSERT_EQ(peer.echoed.substr(0, kFrame), StreamFrame(peer.number, peer.frames_back))
          << "slot " << entry.tag.slot << ", frame " << peer.frames_back;
      peer.echoed.erase(0, kFrame);
      ++peer.frames_back;
      ++frames_echoed_;
    }
  }

  // Found: both end, in either order. Not found: it was too late.
  void CompleteCancel(const ScriptedRing::Entry& entry) {
    const bool found = ring_.entries().find(Pack(entry.target)) != ring_.entries().end();
    const bool first = random_() % 2 == 0;
    if (first) {
      ring_.CompleteCancel(entry, found ? 0 : -ENOENT);
    }
    if (found) {
      const bool partial = entry.target.operation == Operation::kSend && random_() % 2 == 0;
      ring_.Complete(entry.target, partial ? 1 : -ECANCELED);
    }
    if (!first) {
      ring_.CompleteCancel(entry, found ? 0 : -ENOENT);
    }
  }

  std::mt19937_64 random_;
  bool accepts_;
  bool calm_ = false;
  uint32_t slots_;
  uint32_t tick_ = 0;
  uint64_t peer_numbers_ = 0;
  uint64_t frames_echoed_ = 0;
  uint64_t bulk_receives_ = 0;
  uint64_t cut_short_ = 0;
  std::map<uint32_t, Peer> peers_;
  std::set<uint32_t> used_;
  ScriptedRing ring_;
  Echo app_;
  Counters counters_;
  Port port_;
  Set<ScriptedRing, Echo> set_;
};

class SetRandom : public testing::TestWithParam<std::tuple<uint64_t, bool>> {
 protected:
  uint64_t seed() const { return std::get<0>(GetParam()); }
  bool silent() const { return std::get<1>(GetParam()); }
};

TEST_P(SetRandom, AcceptSide) {
  Kernel kernel(seed(), 300, /*accepts=*/true, silent());
  kernel.Run(400);
  EXPECT_GT(kernel.opened(), 500u) << "the test tests little";
  EXPECT_GT(kernel.frames_echoed(), 5'000u);
  EXPECT_GT(kernel.bulk(), 100u);
  EXPECT_GT(kernel.bulk_receives(), 100u);
  EXPECT_GT(kernel.holds(), 100u);
  EXPECT_GT(kernel.paid(), 100u);
  EXPECT_EQ(kernel.cut_short() > 500, silent());
  kernel.Finish();
}

TEST_P(SetRandom, ConnectSide) {
  Kernel kernel(seed(), 300, /*accepts=*/false, silent());
  kernel.Run(400);
  EXPECT_GT(kernel.opened(), 500u);
  EXPECT_GT(kernel.frames_echoed(), 5'000u);
  EXPECT_GT(kernel.bulk(), 100u);
  EXPECT_GT(kernel.bulk_receives(), 100u);
  EXPECT_GT(kernel.holds(), 100u);
  EXPECT_GT(kernel.paid(), 100u);
  EXPECT_EQ(kernel.cut_short() > 500, silent());
  kernel.Finish();
}

INSTANTIATE_TEST_SUITE_P(Seeds, SetRandom, testing::Combine(testing::Range<uint64_t>(1, 9), testing::Bool()));

}  // namespace
}  // namespace hongbao::net
