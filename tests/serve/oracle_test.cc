// Random operations of several users over several workers on a real ledger file, commits, deliveries, messages and crashes at
// random moments: every answer is held against the oracle, and in the end everybody has exactly what the ledger says.
// What a client has written waits, a frame at a time, until its worker gets to it: also when the client has long given that
// connection up, logged in on another worker, and been answered there. A user may come directly (either version) or through a
// gateway that carries a neighbour too. The servers are full in every way: limit of requests, ledger, gift book, cap, draining.
// HONGBAO_SEED=N runs that one only, HONGBAO_SEEDS=N so many.
#include "tests/serve/oracle.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <deque>
#include <random>

#include "tests/serve/app_world.h"
#include "tests/serve/step_ledger.h"

namespace hongbao::serve {
namespace {

using wire::Version;
using Bytes = std::vector<std::byte>;

constexpr uint32_t kUsers = 8;
constexpr uint32_t kFirstOfBothVersions = 5;  // users from here on speak either version
constexpr uint32_t kGatewayUsers = 2;
constexpr wire::Token kToken = {std::byte{7}};
constexpr uint32_t kMinFen = 10, kMaxFen = 309;
constexpr int64_t kExpiryMs = 15'000;

constexpr int kTurnsOfAMove = 4;

struct Request {
  Bytes frame{};
  std::pair<uint32_t, uint64_t> account{};  // kStatementRequest: told by then
  uint32_t total = 0;                       // kSendRequest
  std::set<uint32_t> users{};
  int64_t at_ms = 0;
};

// A client's end of a connection, with the frames that its worker has not read yet.
struct Wire {
  AppWorld::Link link;
  std::deque<Bytes> unread;
  bool ended = false;  // the client has closed its end, behind the last frame
};

// A client as PROTOCOL.md wants it: it keeps what has no answer yet, asks again, and resumes from below that.
struct Client {
  uint32_t user = 0;
  std::optional<Wire> wire;
  Version version = Version::k2;
  bool logged_in = false;                   // the login on this connection has its answer
  uint32_t first_user = 0, user_count = 1;  // that it logged in for
  std::map<uint64_t, Request> unanswered;   // by stamp
  std::map<uint64_t, Request> requests;     // all that it remembers
  std::map<uint64_t, Request> sends;        // all that there were: not the client's memory but the test's
  std::map<uint64_t, int> asked;            // on this connection, and not answered on it: how often
  uint64_t asked_without_stamp = 0;         // the same for version 1
  uint64_t settled = 0;                     // highest stamp answered
  std::set<uint32_t> gifts;                 // told of
  bool forgot = false;                      // has lost its memory once
  bool spoke_v1 = false;                    // may have missed a grant that has no stamp
  // Sent on a connection whose login had no answer: it may come in after all, and then it is the newest. So no "no" is final.
  std::set<uint64_t> ahead_of_login;

  uint64_t ResumeAfter() const {
    const uint64_t known = unanswered.empty() ? settled : std::min(settled, unanswered.begin()->first - 1);
    return ahead_of_login.empty() ? known : std::min(known, *ahead_of_login.begin() - 1);
  }
};

class Story {
 public:
  explicit Story(uint64_t seed) : random_(seed) {
    cap_ = Draw(3) == 0 ? 3 : 0;
    credits_ = Draw(2) == 0 ? 3 : 64;
    max_qps_ = Draw(2) == 0 ? 0 : int64_t{1} << Draw(6);
    small_book_ = Draw(3) == 0;
    for (uint32_t user = 0; user < kUsers; ++user) {
      clients_[user].user = user;
    }
    Begin();
  }

  void Run(int steps) {
    for (int i = 0; i < steps && Good(); ++i) {
      Step();
    }
    if (Good()) {
      End();
    }
  }

 private:
  uint64_t Draw(uint64_t bound) { return random_() % bound; }
  bool Good() const { return ledger_->ok() && !testing::Test::HasFailure(); }
  int64_t NowMs() const { return clock_.WallNs() / time::kNsPerMs; }
  uint64_t NewStamp() { return stamp_ = std::max(stamp_ + 1, static_cast<uint64_t>(clock_.WallNs())); }

  // ---- lives ----
  void Begin() {
    ledger_ = std::make_unique<StepLedger>(folder_.File(), NowMs());
    ASSERT_TRUE(ledger_->ok()) << ledger_->status();
    WorldOptions options{.workers = static_cast<uint32_t>(1 + Draw(3)),
                         .users_max = kUsers,
                         .wins_per_user = cap_,
                         .max_qps = max_qps_,
                         .gift_expiry_ms = kExpiryMs,
                         .credits = credits_,
                         .pool = 256,
                         .gateway_token = kToken};
    if (small_book_) {  // what is alive has room
      options.gifts_max = 2 + static_cast<uint32_t>(ledger_->Number("SELECT COUNT(*) FROM envelopes WHERE kind = 2"));
    }
    workers_ = options.workers;
    draining_ = false;
    world_ = std::make_unique<AppWorld>(options, ledger_.get(), clock_);
  }
  // Everything that is not on disk is gone.
  void Crash() {
    world_->ExpectIdentities();
    world_.reset();
    ledger_.reset();
    for (auto& [user, client] : clients_) {
      client.wire.reset();
    }
    given_up_.clear();
    Begin();
  }

  // ---- one step ----
  void Step() {
    if (draining_ && Draw(30) == 0) {
      Crash();
    }
    Client& client = clients_[static_cast<uint32_t>(Draw(kUsers))];
    const uint64_t what = Draw(118);
    if (what >= 112) {
      Overtake(client);
    } else if (what >= 100) {
      Serve(client);
    } else if (what < 8) {
      Reconnect(client);
    } else if (what < 10) {
      Disconnect(client);
    } else if (what < 38) {
      Ask(client);
    } else if (what < 46) {
      AskAgain(client);
    } else if (what < 60) {
      Read(client);
    } else if (what < 75) {
      world_->TakeMessages(static_cast<uint32_t>(Draw(workers_)), 1 + Draw(8));
    } else if (what < 84) {
      ledger_->Commit(1 + Draw(12), [this](uint32_t lanes) { return static_cast<uint32_t>(Draw(lanes)); });
    } else if (what < 92) {
      ledger_->Deliver(1 + Draw(12));
    } else if (what < 97) {
      Advance(static_cast<int64_t>(Draw(8) == 0 ? Draw(5'000) : Draw(200)));
    } else if (what < 99) {
      Mint();
    } else if (const uint64_t rare = Draw(8); rare < 3) {
      Crash();
    } else if (rare < 4) {
      draining_ = true;
      world_->Drain();
    } else {
      world_->EndClosed();
    }
  }
  // A worker reads a frame that has waited: of this client, or of a connection that somebody has given up.
  void Serve(Client& client) {
    if (!given_up_.empty() && Draw(3) != 0) {
      const auto old = given_up_.begin() + static_cast<std::ptrdiff_t>(Draw(given_up_.size()));
      if (!ServeOne(*old)) {
        given_up_.erase(old);
      }
    } else if (client.wire.has_value()) {
      ServeOne(*client.wire);
    }
  }
  // False: all is read.
  bool ServeOne(Wire& wire) {
    if (!wire.unread.empty()) {
      world_->Send(wire.link, wire.unread.front());
      wire.unread.pop_front();
    }
    if (wire.unread.empty() && wire.ended) {
      world_->Disconnect(wire.link);
    }
    return !wire.unread.empty();
  }
  void ServeAll() {
    for (Wire& wire : given_up_) {
      while (ServeOne(wire)) {
      }
    }
    given_up_.clear();
    for (auto& [user, client] : clients_) {
      ServeNow(client);
    }
  }
  // False: the server has ended the connection.
  bool Write(Client& client, const Bytes& frame) {
    Wire& wire = *client.wire;
    if (wire.unread.empty() && Draw(4) != 0) {
      return world_->Send(wire.link, frame);
    }
    wire.unread.push_back(frame);
    return true;
  }
  void Advance(int64_t ms) {
    clock_.Advance(ms * time::kNsPerMs);
    world_->Turn();
  }
  void Mint() {
    const bool gifts = Draw(3) == 0;
    const auto receipt = world_->minter().Add({.kind = gifts ? MintOrder::Kind::kGift : MintOrder::Kind::kShake,
                                               .rate = static_cast<int64_t>(1 + Draw(20)),
                                               .count = static_cast<int64_t>(1 + Draw(gifts ? 3 : 12)),
                                               .min_fen = kMinFen,
                                               .max_fen = kMaxFen,
                                               .seed = 1 + Draw(1'000'000),
                                               .users = static_cast<uint32_t>(1 + Draw(3)),
                                               .first_user = 0,
                                               .last_user = kUsers - 1});
    EXPECT_TRUE(receipt.ok()) << receipt.status();
  }

  // ---- what a client does ----
  void Disconnect(Client& client) {
    if (client.wire.has_value() && !client.wire->unread.empty() && Draw(2) == 0) {
      client.wire->ended = true;
      GiveUp(client);
    } else if (client.wire.has_value()) {
      world_->Disconnect(client.wire->link);
      client.wire.reset();
    }
  }
  // Looks at that connection no more, whatever is still on its way to the server.
  void GiveUp(Client& client) {
    if (client.wire.has_value() && !client.wire->unread.empty()) {
      given_up_.push_back(std::move(*client.wire));
    }
    client.wire.reset();
  }
  void Reconnect(Client& client) {
    if (Draw(2) == 0) {
      Disconnect(client);  // else the server thinks for a while that the old connection still lives
    }
    GiveUp(client);
    if (Draw(12) == 0) {
      client.unanswered.clear();
      client.gifts.clear();
      client.requests.clear();  // it is not sent again
      client.settled = 0;
      client.forgot = true;
    }
    const bool gateway = Draw(5) == 0;
    Connect(client, !gateway && client.user >= kFirstOfBothVersions && Draw(2) == 0 ? Version::k1 : Version::k2,
            client.ResumeAfter(), gateway ? kGatewayUsers : 1);
    if (client.version == Version::k2 && Draw(2) == 0) {
      AskAllAgain(client);
    }
  }
  void Connect(Client& client, Version version, uint64_t resume_after, uint32_t user_count = 1) {
    client.wire = Wire{.link = world_->Connect(static_cast<uint32_t>(Draw(workers_))), .unread = {}, .ended = false};
    client.version = version;
    client.logged_in = false;
    client.asked.clear();
    client.asked_without_stamp = 0;
    client.user_count = user_count;
    client.first_user = std::min(client.user, kUsers - user_count);
    const bool gateway = user_count > 1;
    const bool proves = gateway || persistent_ || Draw(2) == 0;  // else it does not get past a gateway that has the user
    Write(client, LoginFrame(client.first_user, version, NewStamp(), user_count, gateway ? 0 : resume_after,
                             proves ? kToken : wire::Token{}));
    Read(client);
  }
  // The worker is busy, the client loses patience and asks again elsewhere; then the worker reads what has waited.
  void Overtake(Client& client) {
    if (!client.wire.has_value() || client.version != Version::k2) {
      return Reconnect(client);
    }
    client.wire->unread.emplace_back();  // nothing: but what comes behind it waits
    for (uint64_t i = 0; i <= Draw(3); ++i) {
      Ask(client);
    }
    GiveUp(client);
    Connect(client, Version::k2, client.ResumeAfter(), Draw(5) == 0 ? kGatewayUsers : 1);
    AskAllAgain(client);
    ServeNow(client);
    if (Draw(2) == 0) {
      Advance(static_cast<int64_t>(Draw(1'000)));
    }
    while (!given_up_.empty() && ServeOne(given_up_.back())) {
    }
  }
  void ServeNow(Client& client) {
    while (client.wire.has_value() && ServeOne(*client.wire)) {
    }
    Read(client);
  }
  // Something new.
  void Ask(Client& client) {
    if (!client.wire.has_value()) {
      return;
    }
    const uint64_t stamp = NewStamp();
    Request request{.account = oracle_.account(client.user), .at_ms = NowMs()};
    const uint64_t what = Draw(client.version == Version::k2 ? 10 : 7);
    if (what < 5) {
      request.frame = ShakeFrame(client.user, stamp);
      client.spoke_v1 = client.spoke_v1 || client.version == Version::k1;
    } else if (what < 7) {
      request.frame = OpenFrame(client.user, SomeGift(client), stamp);
      client.spoke_v1 = client.spoke_v1 || client.version == Version::k1;
    } else if (what < 9) {
      for (uint64_t i = 0; i <= Draw(3); ++i) {
        request.users.insert(static_cast<uint32_t>(Draw(kUsers)));
      }
      request.total = static_cast<uint32_t>(request.users.size() + Draw(300));
      request.frame = SendFrame(client.user, request.total, {request.users.begin(), request.users.end()}, stamp);
    } else {
      request.frame = StatementFrame(client.user, stamp);
    }
    if (client.version == Version::k1) {
      client.asked_without_stamp += Write(client, request.frame) ? 1U : 0U;
      return;
    }
    if (!request.users.empty()) {
      client.sends[stamp] = request;
    }
    client.requests[stamp] = client.unanswered[stamp] = request;
    SendAgain(client, stamp);
  }
  // Known, or of others, or nobody's.
  uint32_t SomeGift(const Client& client) {
    if (!client.gifts.empty() && Draw(4) != 0) {
      return *std::next(client.gifts.begin(), static_cast<std::ptrdiff_t>(Draw(client.gifts.size())));
    }
    for (const auto& [id, gift] : oracle_.gifts()) {
      if (!gift.users.contains(client.user) && Draw(4) == 0) {
        return id;
      }
    }
    return kLastSentGiftId - static_cast<uint32_t>(Draw(5));
  }
  // A request of before, answered or not.
  void AskAgain(Client& client) {
    if (client.wire.has_value() && client.version == Version::k2 && !client.requests.empty()) {
      SendAgain(client, std::next(client.requests.begin(), static_cast<std::ptrdiff_t>(Draw(client.requests.size())))->first);
    }
  }
  void AskAllAgain(Client& client) {
    const std::map<uint64_t, Request> unanswered = client.unanswered;
    for (const auto& [stamp, request] : unanswered) {
      SendAgain(client, stamp);
    }
  }
  void SendAgain(Client& client, uint64_t stamp) {
    if (client.wire.has_value()) {
      oracle_.Asked(client.user, stamp);
    }
    if (client.wire.has_value() && !client.logged_in) {
      client.ahead_of_login.insert(stamp);
    }
    if (client.wire.has_value() && Write(client, client.requests[stamp].frame)) {
      ++client.asked[stamp];
      client.unanswered[stamp] = client.requests[stamp];  // also if it had an answer: a shake that lost may win now
    }
  }

  // ---- what a client is told ----
  bool Read(Client& client) {
    if (!client.wire.has_value()) {
      return false;
    }
    bool closed = false;
    const Bytes bytes = world_->Read(client.wire->link, &closed);
    absl::Span<const std::byte> rest(bytes);
    while (!rest.empty()) {
      const wire::Peeked peeked = wire::Peek(rest, wire::Side::kClient, client.version);
      if (peeked.framing != wire::Framing::kWhole) {
        ADD_FAILURE() << "no whole frame";
        break;
      }
      Understand(client, peeked.type, rest.first(peeked.length));
      rest.remove_prefix(peeked.length);
    }
    if (closed) {
      client.wire.reset();
    }
    return !bytes.empty();
  }
  void Answered(Client& client, uint64_t stamp, bool no) {
    client.settled = std::max(client.settled, stamp);
    const auto asked = client.asked.find(stamp);
    if (asked == client.asked.end() || --asked->second == 0) {
      client.unanswered.erase(stamp);  // and not before: a losing shake may win when it is asked again
      if (no && asked != client.asked.end() && !client.ahead_of_login.contains(stamp)) {
        oracle_.Refused(client.user, stamp);
      }
      client.asked.erase(stamp);
    }
  }
  void Understand(Client& client, wire::FrameType type, wire::FrameBytes frame) {
    const bool v1 = client.version == Version::k1;
    switch (type) {
      case wire::FrameType::kLoginResponse: {
        wire::LoginResponse login;
        EXPECT_EQ(wire::DecodeLoginResponse(frame, client.version, login), wire::Decoded::kOk);
        client.logged_in = login.result == wire::LoginResult::kOk;
        if (!v1 && client.logged_in && client.user_count == 1) {
          oracle_.LoggedIn(client.user, login.last_stamp);
        }
        return;
      }
      case wire::FrameType::kShakeResponse:
        return UnderstandShake(client, frame);
      case wire::FrameType::kGiftNotice: {
        wire::GiftNotice notice;
        EXPECT_EQ(wire::DecodeGiftNotice(frame, client.version, notice), wire::Decoded::kOk);
        if (!v1) {  // the other version's list is not the gift's: its client waits to be told in this one
          const std::set<uint32_t> invited(notice.Users().begin(), notice.Users().end());
          uint32_t user = client.user;  // a gateway's notice is of any of its users
          while (!invited.contains(user) && user + 1 < client.first_user + client.user_count) {
            ++user;
          }
          user = invited.contains(user) ? user : client.first_user;
          oracle_.Noticed(user, notice.envelope_id, notice.amount_fen, invited);
          clients_[user].gifts.insert(notice.envelope_id);
        }
        return;
      }
      case wire::FrameType::kOpenResponse: {
        wire::OpenResponse open;
        EXPECT_EQ(wire::DecodeOpenResponse(frame, client.version, open), wire::Decoded::kOk);
        if (v1 && !oracle_.gifts().contains(open.envelope_id)) {
          client.asked_without_stamp -= 1;
          return;  // nobody has told the oracle who is invited
        }
        const uint32_t user = v1 ? client.user : open.user_id;
        oracle_.Opened(user, v1 ? std::nullopt : std::optional(open.stamp), open.envelope_id, open.amount_fen, NowMs());
        if (v1) {
          --client.asked_without_stamp;
        } else if (user == client.user) {
          Answered(client, open.stamp, open.amount_fen == 0);
        }
        return;
      }
      case wire::FrameType::kSendResponse:
        return UnderstandSend(client, frame);
      case wire::FrameType::kStatement: {
        wire::Statement statement;
        EXPECT_EQ(wire::DecodeStatement(frame, statement), wire::Decoded::kOk);
        const auto [grants, fen] = client.requests[statement.stamp].account;
        EXPECT_TRUE(statement.grants >= grants && statement.total_fen >= fen) << "what was told before the question is in it";
        stated_[client.user] = statement;
        return Answered(client, statement.stamp, false);
      }
      default:
        ADD_FAILURE() << "a frame that no client expects";
    }
  }
  void UnderstandShake(Client& client, wire::FrameBytes frame) {
    wire::ShakeResponse shake;
    EXPECT_EQ(wire::DecodeShakeResponse(frame, shake), wire::Decoded::kOk);
    EXPECT_LT(shake.user_id - client.first_user, client.user_count);
    const bool v1 = client.version == Version::k1;
    if (shake.result == wire::ShakeResult::kWon) {
      oracle_.Won(shake.user_id, v1 ? std::nullopt : std::optional(shake.stamp), shake.envelope_id, shake.amount_fen, kMinFen,
                  kMaxFen);
    } else if (!v1) {
      oracle_.NotWon(client.user, shake.stamp);
    }
    if (v1) {
      --client.asked_without_stamp;
    } else if (shake.user_id == client.user) {  // else an outcome that the neighbour's former connection did not live to see
      Answered(client, shake.stamp, shake.result != wire::ShakeResult::kWon);
    }
  }
  void UnderstandSend(Client& client, wire::FrameBytes frame) {
    wire::SendResponse sent;
    EXPECT_EQ(wire::DecodeSendResponse(frame, sent), wire::Decoded::kOk);
    const Request& request = clients_[sent.sender].sends[sent.stamp];
    if (sent.result == wire::SendResult::kOk) {
      oracle_.Sent(sent.sender, sent.stamp, sent.envelope_id, request.total, request.users, request.at_ms + kExpiryMs);
    } else {
      EXPECT_EQ(sent.result, wire::SendResult::kOverload) << "nothing is wrong with it";
      oracle_.NotSent(sent.sender, sent.stamp);
    }
    if (sent.sender == client.user) {
      Answered(client, sent.stamp, sent.result != wire::SendResult::kOk);
    }
  }

  // ---- the end ----
  // Until nobody has anything to say any more.
  void Settle() {
    // A gateway that moves is on its way for some turns in which nothing else happens.
    for (int quiet = 0; quiet < kTurnsOfAMove && Good();) {
      bool busy = false;
      ServeAll();
      world_->TakeAllMessages();
      busy = ledger_->AnythingWaits();
      ledger_->CommitAndDeliverAll();
      world_->TakeAllMessages();
      world_->Turn();
      for (auto& [user, client] : clients_) {
        busy = Read(client) || busy;
      }
      quiet = busy ? 0 : quiet + 1;
    }
    for (auto& [user, client] : clients_) {
      if (client.wire.has_value()) {
        EXPECT_TRUE(client.asked.empty()) << "user " << user << " has no answer to " << client.asked.begin()->first;
        EXPECT_EQ(client.asked_without_stamp, 0U) << "user " << user;
      }
    }
  }
  // Asks until everything has its answer: a connection may be ended with "come again".
  void AskUntilAnswered(Client& client) {
    for (int tries = 0; tries < 50 && Good() && (!client.wire.has_value() || !client.unanswered.empty()); ++tries) {
      if (!client.wire.has_value()) {
        Connect(client, Version::k2, client.forgot ? 0 : client.ResumeAfter());
      }
      const std::map<uint64_t, Request> unanswered = client.unanswered;
      for (const auto& [stamp, request] : unanswered) {
        SendAgain(client, stamp);
        Settle();
      }
      Settle();
    }
    EXPECT_TRUE(client.unanswered.empty()) << "user " << client.user;
  }
  void OpenAll(Client& client) {
    for (const auto& [id, gift] : oracle_.gifts()) {
      if (client.spoke_v1 && gift.users.contains(client.user)) {
        client.gifts.insert(id);  // may have opened it without hearing the answer: such a gift is not told of again
      }
    }
    for (bool more = true; more && Good();) {
      more = false;
      const std::set<uint32_t> gifts = client.gifts;
      for (const uint32_t id : gifts) {
        if (opened_last_.emplace(client.user, id).second) {
          const uint64_t stamp = NewStamp();
          client.requests[stamp] = client.unanswered[stamp] = {.frame = OpenFrame(client.user, id, stamp), .at_ms = NowMs()};
          more = true;
        }
      }
      AskUntilAnswered(client);
    }
  }
  void End() {
    if (draining_) {
      Crash();
    }
    world_->EndClosed();
    Settle();
    persistent_ = true;
    for (auto& [user, client] : clients_) {
      Disconnect(client);
      AskUntilAnswered(client);
    }
    for (auto& [user, client] : clients_) {
      OpenAll(client);
      const uint64_t stamp = NewStamp();
      client.requests[stamp] = client.unanswered[stamp] = {.frame = StatementFrame(user, stamp)};
      AskUntilAnswered(client);
    }
    if (!Good()) {
      return;
    }
    for (auto& [user, client] : clients_) {
      oracle_.Stated(user, stated_[user].grants, stated_[user].total_fen, !client.spoke_v1);
    }
    for (const auto& [id, gift] : oracle_.gifts()) {
      if (gift.alive_until_ms > NowMs()) {
        EXPECT_EQ(gift.OpenedFen(), gift.total) << "all who are invited to the gift " << id << " have opened it";
        EXPECT_EQ(gift.opened.size(), gift.users.size());
      }
    }
    EndOfTheBooks();
  }
  int64_t LiveGifts() { return ledger_->Number("SELECT COUNT(*) FROM envelopes WHERE kind = 2 AND state = 1"); }
  void EndOfTheBooks() {
    // Every order is issued, every gift expires. A gift for which there was no room is offered again, and then lives as long as
    // any.
    for (int second = 0; second < 40 || (second < 400 && (world_->minter().waiting() > 0 || LiveGifts() > 0)); ++second) {
      Advance(1'000);
      Settle();
    }
    world_->ExpectIdentities();
    EXPECT_EQ(world_->minter().waiting(), 0);
    EXPECT_EQ(ledger_->Number("SELECT IFNULL(SUM(left_shares), 0) FROM envelopes WHERE kind = 1"),
              static_cast<int64_t>(world_->pool().left()))
        << "what nobody has won can still be won";
    EXPECT_EQ(LiveGifts(), 0) << "all is opened or refunded";
    for (uint32_t user = 0; user < kUsers; ++user) {
      EXPECT_EQ(world_->directory().unopened(user), 0U);
    }
    if (cap_ != 0) {
      EXPECT_LE(ledger_->Number("SELECT IFNULL(MAX(n), 0) FROM (SELECT COUNT(*) n FROM grants WHERE kind = 1 GROUP BY user_id)"),
                int64_t{cap_});
    }
    EXPECT_TRUE(ledger_->AuditAll().ok()) << ledger_->AuditAll();
    world_.reset();
    ledger_.reset();
    ledger_ = std::make_unique<StepLedger>(folder_.File(), NowMs());
    EXPECT_TRUE(ledger_->ok()) << ledger_->status();
  }

  std::mt19937_64 random_;
  uint32_t cap_ = 0;
  uint32_t credits_ = 64;
  int64_t max_qps_ = 0;
  bool small_book_ = false;
  uint32_t workers_ = 1;
  bool draining_ = false;
  bool persistent_ = false;  // it is the end: whoever logs in has to get in
  time::FakeClock clock_;
  TestFolder folder_;
  Oracle oracle_;
  std::map<uint32_t, Client> clients_;
  std::vector<Wire> given_up_;
  std::map<uint32_t, wire::Statement> stated_;
  std::set<std::pair<uint32_t, uint32_t>> opened_last_;
  uint64_t stamp_ = 0;
  std::unique_ptr<StepLedger> ledger_;
  std::unique_ptr<AppWorld> world_;
};

uint64_t NumberOf(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

TEST(OracleTest, EveryAnswerIsOneThatTheOracleCouldHaveGiven) {
  const uint64_t only = NumberOf("HONGBAO_SEED", 0);
  const uint64_t seeds = NumberOf("HONGBAO_SEEDS", 60);
  for (uint64_t seed = only != 0 ? only : 1; seed <= (only != 0 ? only : seeds) && !HasFailure(); ++seed) {
    SCOPED_TRACE(testing::Message() << "HONGBAO_SEED=" << seed);
    Story(seed).Run(600);
  }
  EXPECT_TRUE(only != 0 || HasFailure() || AppWorld::moves > seeds / 2) << "gateways change their worker in every other life";
}

}  // namespace
}  // namespace hongbao::serve
