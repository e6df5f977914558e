// Fixture: workers without threads or sockets: what they share and, for each, its gifts and its sessions.
// What the workers post waits in `posted` until a test delivers it. With `ledger_credits` they have a ledger (`fake`), and what
// it settles is counted at once and put into `told`.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "libhongbao/serve/outcome.h"
#include "libhongbao/serve/worker_parts.h"
#include "tests/serve/fake_ledger.h"

namespace hongbao::serve {

// Where replies go: bytes, up to a cap, as net::Replies behaves.
class TestReplies {
 public:
  explicit TestReplies(size_t cap = 1 << 20) : cap_(cap) { bytes_.reserve(cap_); }
  std::byte* Append(size_t size) {
    if (!open_ || bytes_.size() + size > cap_) {
      open_ = false;
      return scratch_.data();
    }
    bytes_.resize(bytes_.size() + size);
    return bytes_.data() + bytes_.size() - size;
  }
  bool open() const { return open_; }
  size_t Room() const { return open_ ? cap_ - bytes_.size() : 0; }
  void Close() { open_ = false; }

  // The next reply; empty when there is none.
  std::vector<std::byte> Take() {
    if (bytes_.size() - taken_ < 2) {
      return {};
    }
    const size_t length = wire::LoadU16(bytes_.data() + taken_);
    std::vector<std::byte> frame(bytes_.begin() + static_cast<std::ptrdiff_t>(taken_),
                                 bytes_.begin() + static_cast<std::ptrdiff_t>(taken_ + length));
    taken_ += length;
    return frame;
  }
  bool empty() const { return taken_ == bytes_.size(); }

 private:
  size_t cap_;
  size_t taken_ = 0;
  bool open_ = true;
  std::vector<std::byte> bytes_;
  std::array<std::byte, 256> scratch_{};
};

inline std::vector<std::byte> operator+(std::vector<std::byte> a, const std::vector<std::byte>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

inline std::vector<std::byte> LoginFrame(uint32_t user, wire::Version version = wire::Version::k1, uint64_t stamp = 1,
                                         uint32_t user_count = 1, uint64_t resume_after = 0, const wire::Token& token = {}) {
  std::vector<std::byte> frame(wire::LoginRequestBytes(version));
  wire::EncodeLoginRequest(frame.data(), {.stamp = stamp,
                                          .version = version,
                                          .first_user = user,
                                          .user_count = user_count,
                                          .resume_after = resume_after,
                                          .token = token});
  return frame;
}
inline std::vector<std::byte> ShakeFrame(uint32_t user, uint64_t stamp = 1) {
  std::vector<std::byte> frame(wire::kShakeRequestBytes);
  wire::EncodeShakeRequest(frame.data(), {.stamp = stamp, .user_id = user});
  return frame;
}
inline std::vector<std::byte> OpenFrame(uint32_t user, uint32_t envelope, uint64_t stamp = 1) {
  std::vector<std::byte> frame(wire::kOpenRequestBytes);
  wire::EncodeOpenRequest(frame.data(), {.stamp = stamp, .user_id = user, .envelope_id = envelope});
  return frame;
}
inline std::vector<std::byte> StatementFrame(uint32_t user, uint64_t stamp = 1) {
  std::vector<std::byte> frame(wire::kStatementRequestBytes);
  wire::EncodeStatementRequest(frame.data(), {.stamp = stamp, .user_id = user});
  return frame;
}
inline std::vector<std::byte> SendFrame(uint32_t sender, uint32_t fen, const std::vector<uint32_t>& users, uint64_t stamp = 1) {
  wire::SendRequest request{.stamp = stamp, .sender = sender, .amount_fen = fen, .count = static_cast<uint32_t>(users.size())};
  std::copy(users.begin(), users.end(), request.users.begin());
  std::vector<std::byte> frame(wire::SendRequestBytes(users.size()));
  wire::EncodeSendRequest(frame.data(), request);
  return frame;
}

struct TestOptions {
  uint32_t workers = 1;
  uint32_t users_max = 1'000;
  int64_t max_qps = 0;
  uint32_t wins_per_user = 0;
  uint32_t gifts_max = 1'000;
  int64_t gift_expiry_ms = 60'000;
  uint64_t first_sent_id = kFirstSentGiftId;
  uint32_t gifts_per_sender = 0;
  uint32_t gifts_per_pair = 0;
  size_t pool = 16;
  uint32_t ledger_credits = 0;  // 0 = no ledger
  std::optional<wire::Token> gateway_token = std::nullopt;
  uint32_t gateways_max = 4;
  uint32_t gateway_users_a_turn = 16'384;
  UserTokenCheck user_token = nullptr;
  std::vector<ledger::RequestName> far_stamps{};
};

class TestWorkers : public ledger::OutcomeSink {
 public:
  explicit TestWorkers(const TestOptions& options = {})
      : shared(*Directory::Create(options.users_max), options.pool, options.max_qps, clock) {
    shared.ledger = options.ledger_credits != 0 ? &fake : nullptr;
    shared.far_stamps = options.far_stamps;
    const WorkerOptions worker_options{.ledger_waiting_max = options.ledger_credits,
                                       .sessions = {.wins_per_user = options.wins_per_user,
                                                    .gateways_max = options.gateways_max,
                                                    .gateway_users_a_turn = options.gateway_users_a_turn,
                                                    .gateway_token = options.gateway_token,
                                                    .user_token = options.user_token},
                                       .gifts = {.gifts_max = options.gifts_max,
                                                 .expiry_ms = options.gift_expiry_ms,
                                                 .first_sent_id = options.first_sent_id,
                                                 .gifts_per_sender = options.gifts_per_sender,
                                                 .gifts_per_pair = options.gifts_per_pair},
                                       .delay = {.wait_max_us = 0}};
    for (uint32_t worker = 0; worker < options.workers; ++worker) {
      workers.push_back(std::make_unique<Worker>(worker, options.workers, worker_options, *this));
    }
    fake.Start(options.workers, options.ledger_credits, this);
    Turn(1'000);
  }

  struct Worker : WorkerParts {
    Worker(uint32_t worker, uint32_t workers, const WorkerOptions& options, TestWorkers& with)
        : WorkerParts(
              worker, workers, options, with.shared, with.clock, cells,
              [&with](uint32_t to, const Message& message) { with.posted.emplace_back(to, message); },
              envelope::Random::FromSeed(worker + 1)) {}
    count::Cells<Counter> cells;
  };

  // A connection of a worker.
  struct Peer {
    Worker* worker;
    uint64_t address;
    Session session;
    TestReplies replies;

    // As App does it, but for the turns that a gateway's login takes: they are over at once.
    Served Feed(const std::vector<std::byte>& bytes) {
      const Served served = worker->sessions.OnBytes(session, address, bytes, replies);
      GatewayLogins& logins = worker->sessions.gateway_logins();
      if (!logins.Entering(session)) {
        return served;
      }
      GatewayLogins::Entered entered = GatewayLogins::Entered::kSome;
      while ((entered = logins.EnterSome(session, address)) == GatewayLogins::Entered::kSome) {
        logins.BeginTurn();
      }
      EXPECT_EQ(entered, GatewayLogins::Entered::kAll);
      logins.Answer(session, wire::LoginResult::kOk, replies.Append(wire::LoginResponseBytes(session.version)));
      const Served more = Feed({bytes.begin() + static_cast<std::ptrdiff_t>(served.consumed), bytes.end()});
      return {served.consumed + more.consumed, more.close};
    }
    // Asks, and takes the next answer.
    wire::ShakeResponse Shake(uint32_t user, uint64_t stamp = 1) {
      Feed(ShakeFrame(user, stamp));
      return TakeShake();
    }
    wire::SendResponse Send(uint32_t sender, uint32_t fen, const std::vector<uint32_t>& users, uint64_t stamp = 1) {
      Feed(SendFrame(sender, fen, users, stamp));
      return TakeSend();
    }
    void Close() { worker->sessions.OnClose(session, address); }

    wire::LoginResponse TakeLogin() {
      return Decode<wire::LoginResponse>([this](wire::FrameBytes frame, wire::LoginResponse& response) {
        return wire::DecodeLoginResponse(frame, session.version, response);
      });
    }
    wire::ShakeResponse TakeShake() { return Decode<wire::ShakeResponse>(wire::DecodeShakeResponse); }
    wire::SendResponse TakeSend() { return Decode<wire::SendResponse>(wire::DecodeSendResponse); }

   private:
    template <class Response, class Decoder>
    Response Decode(Decoder&& decoder) {
      Response response;
      const std::vector<std::byte> frame = replies.Take();
      EXPECT_EQ(decoder(frame, response), wire::Decoded::kOk);
      return response;
    }
  };

  Worker& operator[](size_t worker) { return *workers[worker]; }
  Peer Connect(uint32_t worker = 0, size_t cap = 1 << 16) {
    ++connected_;
    return {.worker = workers[worker].get(),
            .address = Pack({.worker = static_cast<uint8_t>(worker), .generation = 1, .slot = connected_}),
            .session = {},
            .replies = TestReplies(cap)};
  }
  Peer Login(uint32_t user, wire::Version version = wire::Version::k2, uint32_t worker = 0, uint64_t resume_after = 0) {
    Peer peer = Connect(worker);
    EXPECT_EQ(peer.Feed(LoginFrame(user, version, 1, 1, resume_after)).close, net::CloseReason::kNone);
    EXPECT_EQ(peer.TakeLogin().result, wire::LoginResult::kOk);
    return peer;
  }

  // A connection whose login is answered with that, and which is closed for that.
  void ExpectRefused(const std::vector<std::byte>& login, net::CloseReason close, wire::LoginResult result, uint32_t worker = 0) {
    Peer peer = Connect(worker);
    EXPECT_EQ(peer.Feed(login).close, close);
    EXPECT_EQ(peer.TakeLogin().result, result);
    EXPECT_TRUE(peer.replies.empty()) << "nothing behind it is answered";
    peer.Close();
  }

  void Publish(uint32_t id, int64_t fen) {
    const envelope::LuckyEnvelope envelope{.id = id, .amount = envelope::Fen(fen)};
    ASSERT_EQ(pool.Publish({&envelope, 1}), 1U);
  }
  // So many, of the ids from kFirstShakeId on.
  void PublishMany(uint32_t count, int64_t fen = 100) {
    for (uint32_t i = 0; i < count; ++i) {
      Publish(kFirstShakeId + i, fen);
    }
  }
  // All workers: the time is now `ms`.
  void Turn(int64_t ms) {
    for (const std::unique_ptr<Worker>& worker : workers) {
      worker->overload.BeginTurn(ms * time::kNsPerMs, 0, 0);
      worker->gifts.BeginTurn(ms * time::kNsPerMs, ms * time::kNsPerMs);
    }
  }
  // What the ledger has settled: as App does it, but for the telling.
  void Deliver(uint32_t lane, const ledger::Outcome& outcome) override {
    Worker& worker = *workers[lane];
    told.push_back(outcome);
    if (outcome.resumed) {
      return;
    }
    worker.ledger.ReturnCredit(outcome.kind);
    if (outcome.kind == ledger::RecordKind::kWin || outcome.kind == ledger::RecordKind::kFindWin) {
      worker.sessions.shakes().OnShakeSettled(outcome);
      if (outcome.unused_id != 0) {
        returned.GiveEnvelope({.id = outcome.unused_id, .amount = envelope::Fen(outcome.unused_fen)});
      }
    } else if (outcome.kind == ledger::RecordKind::kGift) {
      worker.gifts.OnGiftSettled(outcome);
    } else if (outcome.kind == ledger::RecordKind::kOpen || outcome.kind == ledger::RecordKind::kFindOpen) {
      worker.gifts.OnOpenSettled(outcome);
    }
  }
  // Commits everything and returns the outcome of the last record.
  ledger::Outcome CommitAll() {
    fake.Commit();
    if (told.empty()) {
      ADD_FAILURE() << "nothing was submitted";
      return {};
    }
    return told.back();
  }
  // What must hold at every moment, whatever is under way.
  void ExpectShakesReconcile() const {
    uint64_t pending = 0;
    envelope::Tally claimed, pending_wins;
    for (const std::unique_ptr<Worker>& worker : workers) {
      pending += worker->sessions.shakes().pending_shakes();
      pending_wins += worker->sessions.shakes().pending_wins();
      claimed += worker->claimer.claimed();
    }
    EXPECT_EQ(Count(Counter::kReceived),
              Count(Counter::kReplied) + Count(Counter::kRefused) + Count(Counter::kDropped) + pending);
    EXPECT_EQ(Count(Counter::kReplied),
              Count(Counter::kWon) + Count(Counter::kNothing) + Count(Counter::kCap) + Count(Counter::kRepeated));
    EXPECT_EQ(claimed.count, Count(Counter::kWon) + Count(Counter::kReturned) + pending_wins.count);
    EXPECT_EQ(claimed.sum.value(),
              static_cast<int64_t>(Count(Counter::kWonFen) + Count(Counter::kReturnedFen)) + pending_wins.sum.value());
  }

  // Hands what waits for the owners of gifts to them until nothing of the kind is left; what is for connections stays in
  // `posted`.
  void HandleGiftMessages() {
    std::deque<std::pair<uint32_t, Message>> kept;
    while (!posted.empty()) {
      const auto [worker, message] = posted.front();
      posted.pop_front();
      Gifts& gifts = workers[worker]->gifts;
      const bool handled = std::visit(
          [&gifts](const auto& one) {
            if constexpr (requires { gifts.Handle(one); }) {
              gifts.Handle(one);
              return true;
            }
            return false;
          },
          message);
      if (!handled) {
        kept.emplace_back(worker, message);
      }
    }
    posted = std::move(kept);
  }
  // Takes the oldest posted message, which must be of that kind.
  template <class Kind>
  Kind TakePosted() {
    if (posted.empty() || !std::holds_alternative<Kind>(posted.front().second)) {
      ADD_FAILURE() << "no such message was posted";
      return {};
    }
    const Kind message = std::get<Kind>(posted.front().second);
    posted.pop_front();
    return message;
  }
  uint64_t Count(Counter counter) const {
    uint64_t sum = 0;
    for (const std::unique_ptr<Worker>& worker : workers) {
      sum += worker->cells.Get(counter);
    }
    return sum;
  }
  uint64_t Online() const { return Count(Counter::kUsersCame) - Count(Counter::kUsersLeft); }

  time::FakeClock clock;
  Shared shared;
  Directory& directory = shared.directory;
  envelope::LuckyPool& pool = shared.pool;
  Returned& returned = shared.returned;
  std::deque<std::pair<uint32_t, Message>> posted;
  FakeLedger fake;
  std::vector<ledger::Outcome> told;
  std::vector<std::unique_ptr<Worker>> workers;

 private:
  uint32_t connected_ = 0;
};

// A new gift of the minter's.
inline MintedGift GiftOf(uint32_t id, uint32_t fen, const std::vector<uint32_t>& users) {
  return {.gift_id = id, .amount_fen = fen, .invited = Invited(users)};
}
// A user's open, from a connection that the user is not logged in on.
inline OpenGift OpenOf(uint32_t id, uint32_t user, uint64_t stamp = 1) {
  return {.address = Pack({.generation = 1, .slot = user}), .stamp = stamp, .user = user, .gift_id = id, .has_identity = true};
}

}  // namespace hongbao::serve
