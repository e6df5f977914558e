// FleetFixture: a fleet on a real net::Set over a scripted ring and a fake clock; the test plays the server by hand.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "libhongbao/load/fleet.h"
#include "libhongbao/net/set.h"
#include "tests/load/sent_frame.h"
#include "tests/net/scripted_ring.h"

namespace hongbao::load {

using ring::Operation;

class FleetFixture : public testing::Test {
 protected:
  static constexpr int64_t kSecond = time::kNsPerSecond;
  static constexpr int64_t kMs = time::kNsPerMs;
  static constexpr int64_t kStartSecond = 1'424'183'400;
  static constexpr uint32_t kSlots = 64;

  using Request = SentFrame;

  void Make(uint32_t users, FleetOptions wish = {}) {
    options = wish;
    options.own = {0, users};
    options.total_users = users;
    options.in_flight_max = 1 << 14;
    const auto plan =
        AddressPlan::Make({.destinations = {SocketAddress::Ipv4(0x7f00'0001, 1025)}, .users = {0, users - 1, users}});
    ASSERT_TRUE(plan.ok()) << plan.status();
    addresses = *plan;
    port = std::make_unique<net::Port>(
        0, net::PortOptions{.slots = kSlots, .idle_timeout_ms = 0});
    net::Port* const ports[] = {port.get()};
    fleet = std::make_unique<Fleet>(options, *addresses, ports, wall, schedule, skew, tally);
    set = std::make_unique<net::Set<net::ScriptedRing, Fleet>>(ring, *port, *fleet, counters);
  }
  ~FleetFixture() override {
    for (const int descriptor : ring.installed) {
      close(descriptor);
    }
  }

  // ---- time ----
  void Turn() {
    next_turn_ns = fleet->OnTurn(clock.MonotonicNs());
    for (int i = 0; i < 20; ++i) {
      set->Flush();
      if (!set->HasWork()) {
        break;
      }
      set->Turn(3);
    }
  }
  // In steps of at most a millisecond, one turn each.
  void Run(int64_t ns, int64_t step_ns = kMs) {
    for (; ns > 0; ns -= step_ns) {
      clock.Advance(std::min(ns, step_ns));
      Turn();
    }
  }

  // The same with the worker's ticks, as silence and deadlines are counted in them.
  void RunTicking(int64_t ns, int64_t step_ns = 100 * kMs) {
    for (; ns > 0; ns -= step_ns) {
      clock.Advance(step_ns);
      set->Tick(static_cast<uint32_t>((clock.MonotonicNs() - 77 * kSecond) / (100 * kMs)));
      Turn();
    }
    ring.Settle([this] { set->Flush(), set->Turn(3); });
  }

  // ---- what a controlling thread does ----
  void Plan(uint32_t qps, int64_t at_second) {
    tally.phases[schedule.size()] = std::make_unique<PhaseTally>();
    ASSERT_TRUE(schedule.Add({.at_second = at_second, .qps = qps}).ok());
  }

  // ---- the network and the server's ears ----
  void AcceptAll() {
    for (const uint32_t slot : SlotsOf(ring, Operation::kConnect)) {
      ring.Complete(ring.Find(Operation::kConnect, slot)->tag, 0);
    }
    Turn();
  }
  // All that was sent and not yet taken, in order per connection.
  std::vector<Request> TakeRequests() {
    std::vector<Request> requests;
    for (int round = 0; round < 4; ++round) {
      for (const uint32_t slot : SlotsOf(ring, Operation::kSend)) {
        const auto* entry = ring.Find(Operation::kSend, slot);
        ring.Complete(entry->tag, static_cast<int32_t>(entry->copy.size()));
      }
      set->Turn(3);
    }
    for (auto& [slot, bytes] : ring.sent) {
      wire::FrameBytes in{reinterpret_cast<const std::byte*>(bytes.data()), bytes.size()};
      while (!in.empty()) {
        const wire::Version version = in.size() >= 4 && in[3] == std::byte{0} ? wire::Version::kUnknown : options.version;
        const wire::Peeked peeked = wire::Peek(in, wire::Side::kServer, version);
        EXPECT_EQ(peeked.framing, wire::Framing::kWhole) << "the fleet sent what no server understands";
        if (peeked.framing != wire::Framing::kWhole) {
          break;
        }
        requests.push_back({slot, peeked.type, std::string(reinterpret_cast<const char*>(in.data()), peeked.length)});
        in.remove_prefix(peeked.length);
      }
      bytes.clear();
    }
    return requests;
  }
  std::vector<Request> Take(wire::FrameType type) {
    return Of(type, TakeRequests());
  }

  // ---- the server's mouth ----
  void Deliver(uint32_t slot, const std::string& bytes) {
    const auto* entry = ring.Find(Operation::kReceive, slot);
    ASSERT_NE(entry, nullptr);
    ASSERT_TRUE(ring.CompleteReceive(slot, entry->tag.generation, bytes));
    set->Turn(3);
  }
  std::string LoginAnswer(const wire::LoginRequest& request, wire::LoginResult result = wire::LoginResult::kOk,
                          uint64_t last_stamp = 0) const {
    return Bytes(wire::LoginResponseBytes(options.version), [&](std::byte* out) {
      wire::EncodeLoginResponse(out, options.version,
                                {.stamp = request.stamp,
                                 .first_user = request.first_user,
                                 .result = result,
                                 .server_unix_ns = static_cast<uint64_t>(clock.WallNs()),
                                 .last_stamp = last_stamp});
    });
  }
  static std::string ShakeAnswer(const wire::ShakeRequest& request, wire::ShakeResult result, uint32_t envelope_id = 0,
                                 uint32_t amount_fen = 0) {
    return Bytes(wire::kShakeResponseBytes, [&](std::byte* out) {
      wire::EncodeShakeResponse(out, {request.stamp, request.user_id, result, envelope_id, amount_fen});
    });
  }
  std::string Notice(uint32_t envelope_id, const std::vector<uint32_t>& users) const {
    return Bytes(wire::GiftNoticeBytes(options.version, users.size()), [&](std::byte* out) {
      wire::EncodeGiftNotice(
          out, options.version,
          {.stamp = 1, .envelope_id = envelope_id, .amount_fen = 300, .recipient = users[0], .users = users});
    });
  }
  std::string OpenAnswer(const wire::OpenRequest& request, uint32_t user, uint32_t amount_fen) const {
    return Bytes(wire::OpenResponseBytes(options.version), [&](std::byte* out) {
      wire::EncodeOpenResponse(out, options.version, {request.stamp, request.envelope_id, amount_fen, user});
    });
  }
  static std::string StatementAnswer(const wire::StatementRequest& request, uint32_t grants, uint64_t fen) {
    return Bytes(wire::kStatementBytes, [&](std::byte* out) {
      wire::EncodeStatement(out, {request.stamp, request.user_id, grants, fen});
    });
  }
  void Nothing(const Request& request) {
    Deliver(request.slot, ShakeAnswer(request.Shake(), wire::ShakeResult::kNothing));
  }

  // All users that want to are connected and logged in; slot_of knows where.
  void LogInAll() {
    for (int round = 0; round < 50; ++round) {
      Run(20 * kMs);
      AcceptAll();
      for (const Request& request : Take(wire::FrameType::kLoginRequest)) {
        const wire::LoginRequest login = request.Login();
        slot_of[login.first_user] = request.slot;
        Deliver(request.slot, LoginAnswer(login));
      }
    }
  }
  // The peer closes; the kernel lets go of everything.
  void Hang(uint32_t slot) {
    ring.Complete(ring.Find(Operation::kReceive, slot)->tag, 0);
    set->Turn(3);
    ring.Settle([this] {
      set->Flush();
      set->Turn(3);
    });
  }

  // Until the user, who is offline, asks to log in.
  std::optional<Request> AwaitLogin(uint32_t user) {
    for (int i = 0; i < 300; ++i) {
      Run(20 * kMs, 10 * kMs);
      AcceptAll();
      for (const Request& request : Take(wire::FrameType::kLoginRequest)) {
        if (request.Login().first_user == user) {
          slot_of[user] = request.slot;
          return request;
        }
      }
    }
    return std::nullopt;
  }
  // The user's connection ends, and the next one is logged in (`more` follows the login's answer). What it sends then.
  std::vector<Request> Reconnect(uint32_t user, const std::string& more = "", uint64_t* resume_after = nullptr,
                                 uint64_t last_stamp = 0) {
    Hang(slot_of[user]);
    const std::optional<Request> login = AwaitLogin(user);
    EXPECT_TRUE(login.has_value());
    if (!login.has_value()) return {};
    if (resume_after != nullptr) *resume_after = login->Login().resume_after;
    Deliver(login->slot, LoginAnswer(login->Login(), wire::LoginResult::kOk, last_stamp) + more);
    return TakeRequests();
  }

  uint64_t Count(Counter id) const { return tally.cells.Get(id); }
  void ExpectIdentities() const {
    ExpectAccountsClose(tally, *port, options.total_users);
  }

  time::FakeClock clock{kStartSecond * kSecond, 77 * kSecond + 123};
  time::WallSteps wall{clock};
  time::Schedule schedule;
  time::SkewEstimator skew;
  WorkerTally tally{/*money_records=*/8};
  FleetOptions options;
  std::optional<AddressPlan> addresses;
  net::ScriptedRing ring;
  net::Counters counters;
  std::unique_ptr<net::Port> port;
  std::unique_ptr<Fleet> fleet;
  std::unique_ptr<net::Set<net::ScriptedRing, Fleet>> set;
  std::map<uint32_t, uint32_t> slot_of;  // by user
  int64_t next_turn_ns = 0;
};

}  // namespace hongbao::load
