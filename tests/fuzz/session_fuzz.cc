// Any bytes, in any pieces, from three connections that fight for four users, on both versions: every frame that the
// session takes is answered as the protocol says, and the money and the requests reconcile after every step.
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "libhongbao/check.h"
#include "libhongbao/serve/worker_parts.h"

namespace hongbao::serve {
namespace {

constexpr uint32_t kUsers = 4;
constexpr uint32_t kEnvelopes = 32;

// The input as numbers; zeros when it has ended.
class Script {
 public:
  Script(const uint8_t* data, size_t size) : data_(data), left_(size) {}
  bool ended() const { return left_ == 0; }
  uint32_t Take() {
    if (left_ == 0) return 0;
    --left_;
    return *data_++;
  }

 private:
  const uint8_t* data_;
  size_t left_;
};

// Where the replies of one step go: room for a few only, as on a connection whose peer does not read.
class CheckedReplies {
 public:
  explicit CheckedReplies(size_t room) : bytes_(room) {}
  std::byte* Append(size_t size) {
    if (!open_ || used_ + size > bytes_.size()) {
      open_ = false;
      return scratch_.data();
    }
    used_ += size;
    return bytes_.data() + used_ - size;
  }
  bool open() const { return open_; }
  size_t Room() const { return open_ ? bytes_.size() - used_ : 0; }
  // Every byte written belongs to a whole frame that a client of this version may receive.
  void CheckFrames(wire::Version version) const {
    absl::Span<const std::byte> rest(bytes_.data(), used_);
    while (!rest.empty()) {
      const wire::Peeked peeked = wire::Peek(rest, wire::Side::kClient, version);
      Check(peeked.framing == wire::Framing::kWhole, "the server sends whole, well-formed frames");
      rest.remove_prefix(peeked.length);
    }
  }

 private:
  std::vector<std::byte> bytes_;
  std::array<std::byte, wire::kFrameBytesMax> scratch_{};
  size_t used_ = 0;
  bool open_ = true;
};

struct Peer {
  uint64_t address = kOffline;  // kOffline: not connected
  Session session;
  std::vector<std::byte> kept;  // a part of a frame
};

class SessionWorker {
 public:
  explicit SessionWorker(uint32_t wins_per_user)
      : shared_(*Directory::Create(kUsers), kEnvelopes, /*max_qps=*/0, clock_),
        parts_(
            0, 1,
            {.sessions = {.wins_per_user = wins_per_user, .gateways_max = 2, .gateway_token = wire::Token{}},
             .gifts = {.gifts_max = 8, .expiry_ms = 50},
             .delay = {.wait_max_us = 0}},
            shared_, clock_, cells_, [this](uint32_t, const Message& message) { posted_.push_back(message); },
            envelope::Random::FromSeed(1)) {
    std::array<envelope::LuckyEnvelope, kEnvelopes> envelopes;
    for (uint32_t i = 0; i < kEnvelopes; ++i) {
      envelopes[i] = {.id = kFirstShakeId + i, .amount = envelope::Fen(10 + i)};
    }
    Check(shared_.pool.Publish(envelopes) == kEnvelopes, "the pool is empty at first");
  }

  void Step(Script& script) {
    Peer& peer = peers_[script.Take() % peers_.size()];
    if (peer.address == kOffline) peer.address = Pack({.worker = 0, .generation = 1, .slot = ++connected_});
    const uint32_t action = script.Take();
    parts_.sessions.gateway_logins().BeginTurn();
    if (action % 16 == 15) {
      Close(peer);
    } else if (action % 16 == 14) {
      now_ms_ += action;
      parts_.gifts.BeginTurn(now_ms_ * time::kNsPerMs, now_ms_ * time::kNsPerMs);
    } else {
      MakeFrames(script, action, peer);
      Feed(peer, action);
    }
    HandlePosted();
    Reconcile();
  }

 private:
  // Appends a frame that is nearly right, or raw bytes.
  void MakeFrames(Script& script, uint32_t action, Peer& peer) {
    const uint32_t user = script.Take() % 8 == 0 ? script.Take() : peer.session.user;
    std::array<std::byte, wire::kFrameBytesMax> frame{};
    size_t size = 0;
    if (action % 16 < 2) {
      const wire::Version version = action % 2 == 0 ? wire::Version::k1 : wire::Version::k2;
      wire::EncodeLoginRequest(frame.data(), {.stamp = ++stamp_,
                                              .version = version,
                                              .first_user = script.Take() % (kUsers + 1),
                                              .user_count = version == wire::Version::k1 ? 1 : 1 + script.Take() % 3});
      size = wire::LoginRequestBytes(version);
    } else if (action % 16 < 6) {
      wire::EncodeShakeRequest(frame.data(), {.stamp = ++stamp_, .user_id = user});
      size = wire::kShakeRequestBytes;
      if (peer.session.is_gateway()) {  // many, as gateways send them
        for (uint32_t left = script.Take() % 100; left > 0; --left) {
          peer.kept.insert(peer.kept.end(), frame.begin(), frame.begin() + wire::kShakeRequestBytes);
          wire::EncodeShakeRequest(frame.data(), {.stamp = ++stamp_, .user_id = peer.session.user + left % 2});
        }
      }
    } else if (action % 16 < 9) {
      wire::EncodeOpenRequest(frame.data(),
                              {.stamp = ++stamp_, .user_id = user, .envelope_id = kFirstSentGiftId + script.Take() % 4});
      size = wire::kOpenRequestBytes;
    } else if (action % 16 < 11) {
      wire::SendRequest request{.stamp = ++stamp_, .sender = user, .amount_fen = script.Take(), .count = script.Take() % 5};
      for (uint32_t i = 0; i < request.count; ++i) request.users[i] = script.Take() % 32 == 0 ? kUsers : (user + i) % kUsers;
      wire::EncodeSendRequest(frame.data(), request);
      size = wire::SendRequestBytes(request.count);
    } else if (action % 16 < 12) {
      wire::EncodeStatementRequest(frame.data(), {.stamp = ++stamp_, .user_id = user});
      size = wire::kStatementRequestBytes;
    } else {
      for (uint32_t left = script.Take() % 48; left > 0; --left) frame[size++] = static_cast<std::byte>(script.Take());
    }
    if (action >= 240 && size > 0) frame[action % size] = static_cast<std::byte>(script.Take());  // damage
    peer.kept.insert(peer.kept.end(), frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(size));
  }

  void Feed(Peer& peer, uint32_t action) {
    const size_t size = action % 5 == 0 ? peer.kept.size() / 2 : peer.kept.size();  // cut now and then
    // A block of exactly its size, so that AddressSanitizer sees a read past the bytes that have arrived.
    const std::vector<std::byte> in(peer.kept.begin(), peer.kept.begin() + static_cast<std::ptrdiff_t>(size));
    CheckedReplies replies(action % 7 == 0 ? 40 : 4096);
    const Served served = parts_.sessions.OnBytes(peer.session, peer.address, in, replies);
    Check(served.consumed <= in.size(), "a session uses only what it has been given");
    replies.CheckFrames(peer.session.version);
    peer.kept.erase(peer.kept.begin(), peer.kept.begin() + static_cast<std::ptrdiff_t>(served.consumed));
    if (served.close != net::CloseReason::kNone || !replies.open()) {
      Close(peer);
    } else if (GatewayLogins& logins = parts_.sessions.gateway_logins(); logins.Entering(peer.session)) {
      // Few users, and a turn has room for many.
      Check(logins.EnterSome(peer.session, peer.address) == GatewayLogins::Entered::kAll, "all enter at once");
      std::array<std::byte, 64> answer{};
      logins.Answer(peer.session, wire::LoginResult::kOk, answer.data());
    } else {
      Check(size < peer.kept.size() + in.size() || peer.kept.size() < wire::kFrameBytesMax, "only a part of a frame stays");
    }
  }

  void Close(Peer& peer) {
    parts_.sessions.OnClose(peer.session, peer.address);
    peer = {};
  }

  // The messages of the worker to itself.
  void HandlePosted() {
    while (!posted_.empty()) {
      const Message message = posted_.front();
      posted_.pop_front();
      std::visit([this](const auto& one) { Handle(one); }, message);
    }
  }
  void Handle(const Supersede& supersede) {
    for (Peer& peer : peers_) {
      if (peer.address == (supersede.address & ~kGatewayBit)) Close(peer);
    }
  }
  template <class Kind>
  void Handle(const Kind& message) {
    if constexpr (requires { parts_.gifts.Handle(message); }) {
      parts_.gifts.Handle(message);
    }  // else it is for the connection; net/ and serve/app are not here
  }

  uint64_t Get(Counter counter) const { return cells_.Get(counter); }

  void Reconcile() {
    Check(Get(Counter::kReceived) == Get(Counter::kReplied) + Get(Counter::kRefused) + Get(Counter::kDropped),
          "shakes: received = replied + refused + dropped");
    Check(Get(Counter::kReplied) == Get(Counter::kWon) + Get(Counter::kNothing) + Get(Counter::kCap),
          "shakes: replied = won + nothing + cap");
    Check(shared_.pool.left() == kEnvelopes - Get(Counter::kWon), "envelopes: issued = won + left");
    parts_.gifts.book().Audit();
    int64_t held_fen = 0;
    uint32_t online = 0;
    for (uint32_t user = 0; user < kUsers; ++user) {
      held_fen += shared_.directory.total_fen(user);
      online += shared_.directory.Find(user) != kOffline;
    }
    Check(held_fen == static_cast<int64_t>(Get(Counter::kWonFen) + Get(Counter::kOpenedFen)),
          "money: what the users hold is what was won and opened");
    Check(online == Get(Counter::kUsersCame) - Get(Counter::kUsersLeft), "users: online = came - left");
    uint32_t logged_in = 0;
    for (const Peer& peer : peers_) {
      for (uint32_t user = 0; user < kUsers && peer.address != kOffline && peer.session.logged_in; ++user) {
        logged_in += parts_.sessions.Owns(peer.session, user);
      }
    }
    Check(logged_in == online, "one session per user");
  }

  time::FakeClock clock_;
  Shared shared_;
  count::Cells<Counter> cells_;
  std::deque<Message> posted_;
  WorkerParts parts_;
  std::array<Peer, 3> peers_;
  uint32_t connected_ = 0;
  uint64_t stamp_ = 0;
  int64_t now_ms_ = 1;
};

}  // namespace
}  // namespace hongbao::serve

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  hongbao::serve::Script script(data, size < 1024 ? size : 1024);
  hongbao::serve::SessionWorker worker(script.Take() % 2 == 0 ? 0 : 3);
  while (!script.ended()) worker.Step(script);
  return 0;
}
