// GatewayFixture: a gateway fleet on a real net::Set over a scripted ring and a fake clock; the test plays the server
// by hand.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "libhongbao/load/gateway_fleet.h"
#include "libhongbao/net/set.h"
#include "tests/load/sent_frame.h"
#include "tests/net/scripted_ring.h"

namespace hongbao::load {

using ring::Operation;

class GatewayFixture : public testing::Test {
 protected:
  static constexpr int64_t kSecond = time::kNsPerSecond;
  static constexpr int64_t kMs = time::kNsPerMs;
  static constexpr int64_t kStartSecond = 1'424'183'400;
  static constexpr uint32_t kNothing = 15;

  using Frame = SentFrame;
  using Frames = std::vector<Frame>;

  // `users` of this fleet, of twice as many in all.
  void Make(uint32_t users, GatewayFleetOptions wish = {}, uint32_t unsent_bytes_max = 65'536) {
    options = wish;
    options.own = {0, users};
    options.total_users = 2 * users;
    options.token.emplace();
    for (size_t i = 0; i < options.token->size(); ++i) (*options.token)[i] = static_cast<std::byte>(i + 1);
    const auto plan = AddressPlan::Make(
        {.destinations = {SocketAddress::Ipv4(0x7f00'0001, 1025)}, .users = {0, options.gateways - 1, options.gateways}});
    ASSERT_TRUE(plan.ok()) << plan.status();
    addresses = *plan;
    port = std::make_unique<net::Port>(
        0, net::PortOptions{.slots = 16,
                            .idle_timeout_ms = 0,
                            .bulk = {.connections = bulk_connections, .unsent_bytes_max = unsent_bytes_max}});
    net::Port* const ports[] = {port.get()};
    fleet = std::make_unique<GatewayFleet>(options, *addresses, ports, wall, schedule, skew, tally);
    set = std::make_unique<net::Set<net::ScriptedRing, GatewayFleet>>(ring, *port, *fleet, counters);
  }
  ~GatewayFixture() override {
    for (const int descriptor : ring.installed) {
      close(descriptor);
    }
  }

  // ---- time ----
  void Turn() {
    next_turn_ns = fleet->OnTurn(clock.MonotonicNs());
    Flush();
  }
  void Flush() {
    for (int i = 0; i < 20; ++i) {
      set->Flush();
      if (!set->HasWork()) {
        break;
      }
      set->Turn(3);
    }
  }
  void Run(int64_t ns, int64_t step_ns = kMs) {
    for (; ns > 0; ns -= step_ns) {
      clock.Advance(std::min(ns, step_ns));
      Turn();
    }
  }
  void Plan(uint32_t qps, int64_t at_second, uint64_t requests = 0) {
    tally.phases[schedule.size()] = std::make_unique<PhaseTally>();
    ASSERT_TRUE(schedule.Add({.at_second = at_second, .qps = qps, .requests = requests}).ok());
  }
  void Stop() {
    fleet->OnMessage(FleetMessage::kStop);
    Turn();
  }

  // ---- the network and the server's ears ----
  void AcceptAll() {
    for (const uint32_t slot : SlotsOf(ring, Operation::kConnect)) {
      ring.Complete(ring.Find(Operation::kConnect, slot)->tag, 0);
      ring.sent[slot].clear();  // the start of a frame that a former connection has left
    }
    Turn();
  }
  // The kernel takes what is being sent, once, `bytes_max` of each at most.
  void TakeSends(size_t bytes_max = 1'000'000) {
    for (const uint32_t slot : SlotsOf(ring, Operation::kSend)) {
      const auto* entry = ring.Find(Operation::kSend, slot);
      ring.Complete(entry->tag, static_cast<int32_t>(std::min(entry->copy.size(), bytes_max)));
    }
    Flush();
  }
  // All that was sent and not yet taken, in order per connection.
  Frames TakeAll() {
    for (int round = 0; round < 8; ++round) TakeSends();
    return Parse();
  }
  Frames Parse() {
    Frames frames;
    for (auto& [slot, bytes] : ring.sent) {
      wire::FrameBytes in{reinterpret_cast<const std::byte*>(bytes.data()), bytes.size()};
      while (!in.empty()) {
        const bool login = in.size() >= 4 && in[3] == std::byte{0};
        const wire::Peeked peeked =
            wire::Peek(in, wire::Side::kServer, login ? wire::Version::kUnknown : wire::Version::k2);
        EXPECT_NE(peeked.framing, wire::Framing::kMalformed) << "the fleet sent what no server understands";
        if (peeked.framing != wire::Framing::kWhole) {
          break;
        }
        frames.push_back({slot, peeked.type, std::string(reinterpret_cast<const char*>(in.data()), peeked.length)});
        in.remove_prefix(peeked.length);
      }
      bytes.erase(0, bytes.size() - in.size());
    }
    return frames;
  }
  Frames Take(wire::FrameType type) {
    return Of(type, TakeAll());
  }
  Frames TakeShakes() { return Take(wire::FrameType::kShakeRequest); }

  // ---- the server's mouth ----
  // In pieces of a buffer: frames are cut anywhere.
  void Deliver(uint32_t slot, const std::string& bytes, size_t piece = 250) {
    for (size_t at = 0; at < bytes.size(); at += piece) {
      DeliverPiece(slot, bytes.substr(at, piece));
    }
  }
  void DeliverPiece(uint32_t slot, const std::string& bytes) {
    const auto* entry = ring.Find(Operation::kReceiveBulk, slot);
    if (entry == nullptr) {
      entry = ring.Find(Operation::kReceive, slot);
    }
    if (entry == nullptr) {
      return;  // closed meanwhile: the peer may still send
    }
    const bool bulk = entry->tag.operation == Operation::kReceiveBulk;
    ASSERT_TRUE(ring.CompleteReceive(entry->tag, bytes, /*more=*/!bulk));
    set->Turn(3);
    Settle();
  }
  void Settle() {
    ring.Settle([this] { Flush(); });
  }
  std::string LoginAnswer(const wire::LoginRequest& request, wire::LoginResult result = wire::LoginResult::kOk) const {
    return Bytes(wire::LoginResponseBytes(wire::Version::k2), [&](std::byte* out) {
      wire::EncodeLoginResponse(out, wire::Version::k2,
                                {.stamp = request.stamp,
                                 .first_user = request.first_user,
                                 .result = result,
                                 .server_unix_ns = static_cast<uint64_t>(clock.WallNs())});
    });
  }
  static std::string ShakeAnswer(uint64_t stamp, uint32_t user, uint32_t result = kNothing, uint32_t envelope_id = 0,
                                 uint32_t amount_fen = 0) {
    return Bytes(wire::kShakeResponseBytes, [&](std::byte* out) {
      wire::EncodeShakeResponse(out, {stamp, user, static_cast<wire::ShakeResult>(result), envelope_id, amount_fen});
    });
  }
  static std::string Nothing(const Frame& shake) { return ShakeAnswer(shake.stamp(), shake.user()); }
  static std::string Nothings(const Frames& shakes, size_t from = 0, size_t to = 1'000'000) {
    std::string bytes;
    for (size_t i = from; i < std::min(to, shakes.size()); ++i) bytes += Nothing(shakes[i]);
    return bytes;
  }
  static std::string Won(const Frame& shake, uint32_t envelope_id, uint32_t fen) {
    return ShakeAnswer(shake.stamp(), shake.user(), 14, envelope_id, fen);
  }
  static std::string Notice(uint32_t envelope_id, const std::vector<uint32_t>& users) {
    return Bytes(wire::GiftNoticeBytes(wire::Version::k2, users.size()), [&](std::byte* out) {
      wire::EncodeGiftNotice(
          out, wire::Version::k2,
          {.stamp = 1, .envelope_id = envelope_id, .amount_fen = 300, .recipient = users[0], .users = users});
    });
  }
  static std::string OpenAnswer(const Frame& open, uint32_t amount_fen) {
    return Bytes(wire::OpenResponseBytes(wire::Version::k2), [&](std::byte* out) {
      wire::EncodeOpenResponse(out, wire::Version::k2,
                               {open.stamp(), open.Open().envelope_id, amount_fen, open.user()});
    });
  }
  static std::string Statement(const Frame& request, uint32_t grants, uint64_t fen) {
    return Bytes(wire::kStatementBytes, [&](std::byte* out) {
      wire::EncodeStatement(out, {request.stamp(), request.user(), grants, fen});
    });
  }

  // All gateways connected and logged in, and, if they ask, told that their users have nothing yet.
  void LogInAll() {
    for (int round = 0; round < 60; ++round) {
      Run(20 * kMs, 10 * kMs);
      AcceptAll();
      for (const Frame& frame : TakeAll()) {
        Answer(frame);
      }
    }
  }
  void Answer(const Frame& frame) {
    if (frame.type == wire::FrameType::kLoginRequest) {
      slot_of[frame.Login().first_user] = frame.slot;
      Deliver(frame.slot, LoginAnswer(frame.Login()));
    } else if (frame.type == wire::FrameType::kStatementRequest) {
      Deliver(frame.slot, Statement(frame, bases[frame.user()].first, bases[frame.user()].second));
    }
  }
  // The peer closes; the kernel lets go of everything.
  void Hang(uint32_t slot) {
    const auto* entry = ring.Find(Operation::kReceiveBulk, slot);
    ring.Complete((entry != nullptr ? entry : ring.Find(Operation::kReceive, slot))->tag, 0);
    set->Turn(3);
    Settle();
    ring.sent[slot].clear();
  }
  // Until the gateway has connected again: its login request.
  std::optional<Frame> AwaitLogin() {
    for (int i = 0; i < 300; ++i) {
      Run(20 * kMs, 10 * kMs);
      AcceptAll();
      for (const Frame& frame : Take(wire::FrameType::kLoginRequest)) {
        return frame;
      }
    }
    return std::nullopt;
  }
  // The connection of the gateway of `first_user` ends, and the next one is logged in.
  void Reconnect(uint32_t first_user = 0) {
    Hang(slot_of[first_user]);
    const std::optional<Frame> login = AwaitLogin();
    ASSERT_TRUE(login.has_value());
    Answer(*login);
  }

  uint64_t Count(Counter id) const { return tally.cells.Get(id); }
  void ExpectIdentities() const {
    ExpectAccountsClose(tally, *port, options.own.size());
    const count::Values<Counter> n = tally.cells.Snapshot();
    uint64_t due = 0, answered = 0, won = 0;
    for (const std::unique_ptr<PhaseTally>& phase : tally.phases) {
      if (phase != nullptr) {
        due += phase->cells.Get(PhaseCounter::kDue);
        answered += phase->cells.Get(PhaseCounter::kAnswered);
        won += phase->cells.Get(PhaseCounter::kWon);
      }
    }
    EXPECT_EQ(due, n[Counter::kDue]);
    EXPECT_EQ(answered, n[Counter::kAnswered]);
    EXPECT_EQ(won, n[Counter::kWon]);
  }

  time::FakeClock clock{kStartSecond * kSecond, 77 * kSecond + 123};
  time::WallSteps wall{clock};
  time::Schedule schedule;
  time::SkewEstimator skew;
  WorkerTally tally{/*money_records=*/8};
  GatewayFleetOptions options;
  uint32_t bulk_connections = 8;
  std::optional<AddressPlan> addresses;
  net::ScriptedRing ring;
  net::Counters counters;
  std::unique_ptr<net::Port> port;
  std::unique_ptr<GatewayFleet> fleet;
  std::unique_ptr<net::Set<net::ScriptedRing, GatewayFleet>> set;
  std::map<uint32_t, uint32_t> slot_of;                     // by first user
  std::map<uint32_t, std::pair<uint32_t, uint64_t>> bases;  // by user: grants and fen before our time
  int64_t next_turn_ns = 0;
};

}  // namespace hongbao::load
