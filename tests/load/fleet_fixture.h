// FleetFixture: a fleet on a real net::Set over a scripted ring and a fake clock; the test plays the server by hand.
// UserFixture and GatewayFixture make the two kinds of it.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "libhongbao/load/gateway_carrier.h"
#include "libhongbao/load/user_carrier.h"
#include "libhongbao/net/set.h"
#include "tests/net/scripted_ring.h"

namespace hongbao::load {

using ring::Operation;

// A frame that a fleet has sent.
struct SentFrame {
  uint32_t slot = 0;
  wire::FrameType type{};
  std::string bytes;

  wire::FrameBytes frame() const { return {reinterpret_cast<const std::byte*>(bytes.data()), bytes.size()}; }
  uint64_t stamp() const { return wire::StampOf(frame().data()); }
  uint32_t user() const { return wire::LoadU32(frame().data() + 12); }  // of a shake, an open or a statement request
  wire::ShakeRequest Shake() const { return Decode<wire::ShakeRequest>(wire::DecodeShakeRequest); }
  wire::LoginRequest Login() const { return Decode<wire::LoginRequest>(wire::DecodeLoginRequest); }
  wire::OpenRequest Open() const { return Decode<wire::OpenRequest>(wire::DecodeOpenRequest); }
  wire::StatementRequest Statement() const { return Decode<wire::StatementRequest>(wire::DecodeStatementRequest); }
  // Whatever connection it was on.
  friend bool operator==(const SentFrame& a, const SentFrame& b) { return a.bytes == b.bytes; }

 private:
  template <typename Message, typename Decoder>
  Message Decode(Decoder decoder) const {
    Message message;
    EXPECT_EQ(decoder(frame(), message), wire::Decoded::kOk);
    return message;
  }
};

// `size` bytes, as `encode` fills them in.
template <typename Encode>
std::string Bytes(size_t size, Encode encode) {
  std::string bytes(size, '\0');
  encode(reinterpret_cast<std::byte*>(bytes.data()));
  return bytes;
}

inline std::vector<uint32_t> SlotsOf(const net::ScriptedRing& ring, ring::Operation operation) {
  std::vector<uint32_t> slots;
  for (const auto& [user_data, entry] : ring.entries()) {
    if (entry.tag.operation == operation) {
      slots.push_back(entry.tag.slot);
    }
  }
  return slots;
}

template <class FleetT>
class FleetFixture : public testing::Test {
 protected:
  static constexpr int64_t kSecond = time::kNsPerSecond;
  static constexpr int64_t kMs = time::kNsPerMs;
  static constexpr int64_t kStartSecond = 1'424'183'400;

  using enum Counter;
  using Frame = SentFrame;
  using Frames = std::vector<Frame>;

  // Of `options`; so many addresses are planned for.
  void MakeFleet(uint32_t address_count, const net::PortOptions& port_options) {
    const auto plan = AddressPlan::Make(
        {.destinations = {SocketAddress::Ipv4(0x7f00'0001, 1025)}, .users = {0, address_count - 1, address_count}});
    ASSERT_TRUE(plan.ok()) << plan.status();
    addresses = *plan;
    port = std::make_unique<net::Port>(0, port_options);
    net::Port* const ports[] = {port.get()};
    fleet = std::make_unique<FleetT>(options, *addresses, ports, wall, schedule, skew, tally);
    set = std::make_unique<net::Set<net::ScriptedRing, FleetT>>(ring, *port, *fleet, counters);
  }
  ~FleetFixture() override {
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
  // The kernel lets go of what was closed.
  void Settle() {
    ring.Settle([this] { Flush(); });
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
    Settle();
  }

  int64_t NextSecond() const { return time::UnixSecond(clock.WallNs()) + 1; }

  // ---- what a controlling thread does ----
  void Plan(uint32_t qps, int64_t at_second, uint64_t requests = 0) {
    tally.phases[schedule.size()] = std::make_unique<PhaseTally>();
    ASSERT_TRUE(schedule.Add({.at_second = at_second, .qps = qps, .requests = requests}).ok());
  }
  void Stop() {
    fleet->OnMessage(FleetMessage::kStop);
    Turn();
  }
  void StopAndAskStatements() {
    fleet->OnMessage(FleetMessage::kStop);
    fleet->OnMessage(FleetMessage::kStatements);
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
  void RefuseConnects() {
    for (const uint32_t slot : SlotsOf(ring, Operation::kConnect)) {
      ring.Complete(ring.Find(Operation::kConnect, slot)->tag, -ECONNREFUSED);
    }
    Turn();
    Settle();
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
  Frames Take(wire::FrameType type) {
    Frames frames = TakeAll();
    std::erase_if(frames, [type](const Frame& one) { return one.type != type; });
    return frames;
  }
  static Frame Only(const Frames& frames) {
    EXPECT_EQ(frames.size(), 1u);
    return frames.empty() ? Frame{} : frames[0];
  }
  Frames TakeShakes() { return Take(wire::FrameType::kShakeRequest); }
  Frames Parse() {
    Frames frames;
    for (auto& [slot, bytes] : ring.sent) {
      wire::FrameBytes in{reinterpret_cast<const std::byte*>(bytes.data()), bytes.size()};
      while (!in.empty()) {
        const bool login = in.size() >= 4 && in[3] == std::byte{0};
        const wire::Peeked peeked = wire::Peek(in, wire::Side::kServer, login ? wire::Version::kUnknown : options.version);
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
  // How many shakes were sent in each second of real time; each is answered after a step.
  std::vector<size_t> SentIn(int seconds, int64_t step_ns) {
    std::vector<size_t> sent(static_cast<size_t>(seconds));
    for (size_t& of_second : sent) {
      for (int64_t ns = 0; ns < kSecond; ns += step_ns) {
        Run(step_ns);
        const Frames shakes = TakeShakes();
        for (const Frame& shake : shakes) {
          EXPECT_GT(shake.stamp(), newest_stamp[shake.slot]) << "the stamps of a connection grow";
          newest_stamp[shake.slot] = shake.stamp();
        }
        DeliverNothings(shakes);
        of_second += shakes.size();
      }
    }
    return sent;
  }
  // The login requests of those that connect at once.
  Frames FirstLogins() {
    Run(kMs);
    AcceptAll();
    return Take(wire::FrameType::kLoginRequest);
  }

  // ---- the server's mouth ----
  // In pieces of a buffer: frames are cut anywhere.
  void Deliver(uint32_t slot, const std::string& bytes, size_t piece = 250) {
    for (size_t at = 0; at < bytes.size(); at += piece) {
      const auto* entry = Receiving(slot);
      if (entry == nullptr) {
        return;  // closed meanwhile: the peer may still send
      }
      const bool bulk = entry->tag.operation == Operation::kReceiveBulk;
      ASSERT_TRUE(ring.CompleteReceive(entry->tag, bytes.substr(at, piece), /*more=*/!bulk));
      set->Turn(3);
      Settle();
    }
  }
  const net::ScriptedRing::Entry* Receiving(uint32_t slot) const {
    const auto* const bulk = ring.Find(Operation::kReceiveBulk, slot);
    return bulk != nullptr ? bulk : ring.Find(Operation::kReceive, slot);
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
  static std::string ShakeAnswer(uint64_t stamp, uint32_t user, wire::ShakeResult result = wire::ShakeResult::kNothing,
                                 uint32_t envelope_id = 0, uint32_t amount_fen = 0) {
    return ShakeAnswer({.stamp = stamp, .user_id = user}, result, envelope_id, amount_fen);
  }
  static std::string Nothing(const Frame& shake) { return ShakeAnswer(shake.Shake(), wire::ShakeResult::kNothing); }
  static std::string Nothings(const Frames& shakes, size_t from = 0, size_t to = 1'000'000) {
    std::string bytes;
    for (size_t i = from; i < std::min(to, shakes.size()); ++i) bytes += Nothing(shakes[i]);
    return bytes;
  }
  static std::string Won(const Frame& shake, uint32_t envelope_id, uint32_t fen) {
    return ShakeAnswer(shake.Shake(), wire::ShakeResult::kWon, envelope_id, fen);
  }
  // Each on its own connection.
  void DeliverNothings(const Frames& shakes) {
    for (const Frame& shake : shakes) Deliver(shake.slot, Nothing(shake));
  }
  std::string Notice(uint32_t envelope_id, const std::vector<uint32_t>& users) const {
    return Bytes(wire::GiftNoticeBytes(options.version, users.size()), [&](std::byte* out) {
      wire::EncodeGiftNotice(out, options.version,
                             {.stamp = 1, .envelope_id = envelope_id, .amount_fen = 300, .recipient = users[0], .users = users});
    });
  }
  std::string OpenAnswer(const wire::OpenRequest& request, uint32_t user, uint32_t amount_fen) const {
    return Bytes(wire::OpenResponseBytes(options.version), [&](std::byte* out) {
      wire::EncodeOpenResponse(out, options.version, {request.stamp, request.envelope_id, amount_fen, user});
    });
  }
  std::string OpenAnswer(const Frame& open, uint32_t amount_fen) const {
    return OpenAnswer(open.Open(), open.user(), amount_fen);
  }
  static std::string Statement(const wire::StatementRequest& request, uint32_t grants, uint64_t fen) {
    return Bytes(wire::kStatementBytes, [&](std::byte* out) {
      wire::EncodeStatement(out, {request.stamp, request.user_id, grants, fen});
    });
  }
  static std::string Statement(const Frame& request, uint32_t grants, uint64_t fen) {
    return Statement(request.Statement(), grants, fen);
  }

  // ---- sessions ----
  // All members that want to are connected and logged in, and, if they ask, told what their users had before.
  void LogInAll() {
    for (int round = 0; round < 50; ++round) {
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
    ring.Complete(Receiving(slot)->tag, 0);
    set->Turn(3);
    Settle();
    ring.sent[slot].clear();
  }
  // Until a member that is offline asks to log in: that of `first_user`, or any.
  std::optional<Frame> AwaitLogin(std::optional<uint32_t> first_user = std::nullopt) {
    for (int i = 0; i < 300; ++i) {
      Run(20 * kMs, 10 * kMs);
      AcceptAll();
      for (const Frame& frame : Take(wire::FrameType::kLoginRequest)) {
        if (frame.Login().first_user == first_user.value_or(frame.Login().first_user)) {
          slot_of[frame.Login().first_user] = frame.slot;
          return frame;
        }
      }
    }
    return std::nullopt;
  }
  // The member's connection ends, and the next one is logged in (`more` follows the login's answer). What it sends
  // then.
  Frames Reconnect(uint32_t first_user = 0, const std::string& more = "", uint64_t* resume_after = nullptr,
                   uint64_t last_stamp = 0) {
    Hang(slot_of[first_user]);
    const std::optional<Frame> login = AwaitLogin(first_user);
    EXPECT_TRUE(login.has_value());
    if (!login.has_value()) return {};
    if (resume_after != nullptr) *resume_after = login->Login().resume_after;
    Deliver(login->slot, LoginAnswer(login->Login(), wire::LoginResult::kOk, last_stamp) + more);
    return TakeAll();
  }

  // The same for a member that is offline: its login request, which is answered.
  Frame LogIn(uint32_t first_user, wire::LoginResult result = wire::LoginResult::kOk, uint64_t last_stamp = 0) {
    const Frame login = AwaitLogin(first_user).value_or(Frame{});
    EXPECT_FALSE(login.bytes.empty()) << "it does not ask to log in";
    if (!login.bytes.empty()) Deliver(login.slot, LoginAnswer(login.Login(), result, last_stamp));
    return login;
  }

  // The connections of three members are forgotten on the way, with so many shakes unanswered: one is made anew, and
  // once its login is answered the others follow. The requests are asked again under the stamps they had.
  void ExpectForgottenConnectionsAreMadeAnew(size_t unanswered) {
    fleet->OnMessage(FleetMessage::kStop);
    RunTicking(options.answer_timeout_ns - 2 * kSecond);
    EXPECT_EQ(Count(Counter::kClosedSilent), 0u);
    RunTicking(50 * kSecond);
    EXPECT_EQ(Count(Counter::kClosedSilent), 1u) << "a server that stands still is not left by all";
    std::set<std::pair<uint64_t, uint32_t>> repeated;
    for (int i = 0; i < 150; ++i) {
      AcceptAll();
      for (const Frame& frame : TakeAll()) {
        Answer(frame);
        if (frame.type == wire::FrameType::kShakeRequest) {
          repeated.insert({frame.stamp(), frame.user()});
          Deliver(frame.slot, Nothing(frame));
        }
      }
      RunTicking(100 * kMs);
    }
    EXPECT_EQ(Count(Counter::kClosedSilent), 3u);
    EXPECT_EQ(counters.closes.Get(net::CloseReason::kNoAnswer), 3u);
    EXPECT_EQ(repeated.size(), unanswered);
    EXPECT_EQ(Count(Counter::kOutstanding), 0u);
    EXPECT_EQ(Count(Counter::kLost), 0u);
    ExpectIdentities();
  }

  // ---- accounts that close whatever happens ----
  uint64_t Count(Counter id) const { return tally.cells.Get(id); }
  void ExpectCounts(const std::vector<std::pair<Counter, uint64_t>>& expected) const {
    for (const auto& [id, count] : expected) {
      EXPECT_EQ(Count(id), count) << kCounterLabels[static_cast<size_t>(id)].name;
    }
  }
  void ExpectIdentities() const {
    const count::Values<Counter> n = tally.cells.Snapshot();
    EXPECT_EQ(n[Counter::kDue], n[Counter::kSent] + Missed(n));
    EXPECT_EQ(n[Counter::kSent], n[Counter::kAnswered] + n[Counter::kLost] + n[Counter::kOutstanding]);
    EXPECT_EQ(n[Counter::kAnswered], n[Counter::kWon] + n[Counter::kNothing] + n[Counter::kCap] + n[Counter::kRefused]);
    EXPECT_EQ(n[Counter::kOpensSent], n[Counter::kOpened] + n[Counter::kOpenedEmpty] + n[Counter::kOpensOutstanding]);
    EXPECT_EQ(n[Counter::kNotices], n[Counter::kOpensSent] + n[Counter::kNoticesRepeated] + n[Counter::kNoticesMisdelivered] +
                                        n[Counter::kNoticesNotOpened]);
    if (tally.statements_done.load()) {
      EXPECT_EQ(options.own.size(),
                n[Counter::kStatementsEqual] + n[Counter::kStatementsDifferent] + n[Counter::kStatementsSkipped]);
    }
    EXPECT_EQ(n[Counter::kConnects], n[Counter::kClosed] + port->live());
    count::Values<PhaseCounter> phases;
    for (const std::unique_ptr<PhaseTally>& phase : tally.phases) {
      if (phase != nullptr) phases += phase->cells.Snapshot();
    }
    EXPECT_EQ(phases[PhaseCounter::kDue], n[Counter::kDue]);
    EXPECT_EQ(phases[PhaseCounter::kAnswered], n[Counter::kAnswered]);
    EXPECT_EQ(phases[PhaseCounter::kWon], n[Counter::kWon]);
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
  std::unique_ptr<FleetT> fleet;
  std::unique_ptr<net::Set<net::ScriptedRing, FleetT>> set;
  std::map<uint32_t, uint32_t> slot_of;                     // by a member's first user
  std::map<uint32_t, uint64_t> newest_stamp;                // by slot
  std::map<uint32_t, std::pair<uint32_t, uint64_t>> bases;  // by user: grants and fen before our time
  int64_t next_turn_ns = 0;
};

class UserFixture : public FleetFixture<UserFleet> {
 protected:
  void Make(uint32_t users, FleetOptions wish = {}) {
    options = wish;
    options.own = {0, users};
    options.total_users = users;
    options.in_flight_max = 1 << 14;
    MakeFleet(users, {.slots = 64, .idle_timeout_ms = 0});
  }
  void Online(uint32_t users, FleetOptions wish = {}) {
    Make(users, wish);
    LogInAll();
  }
  // The user is invited to a gift: the open that it sends.
  Frame Invite(uint32_t user, uint32_t envelope_id) {
    Deliver(slot_of[user], Notice(envelope_id, {user}));
    return Only(Take(wire::FrameType::kOpenRequest));
  }
};

class GatewayFixture : public FleetFixture<GatewayFleet> {
 protected:
  // `users` of this fleet, of twice as many in all.
  void Make(uint32_t users, FleetOptions wish = {}, uint32_t unsent_bytes_max = 65'536) {
    options = wish;
    options.own = {0, users};
    options.total_users = 2 * users;
    options.token.emplace();
    for (size_t i = 0; i < options.token->size(); ++i) (*options.token)[i] = static_cast<std::byte>(i + 1);
    MakeFleet(
        options.gateways,
        {.slots = 16, .idle_timeout_ms = 0, .bulk = {.connections = bulk_connections, .unsent_bytes_max = unsent_bytes_max}});
  }
  uint32_t bulk_connections = 8;
};

}  // namespace hongbao::load
