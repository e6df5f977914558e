// Fixture: one life of a server without threads, sockets or rings: an App and a port for each worker, the mailboxes between
// them, a minter, and a ledger of the test's. Nothing happens by itself: turns, messages, commits and reads are steps. A gateway
// that goes to another worker leaves with a turn and arrives with a message; its client need not know.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <map>
#include <memory>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "libhongbao/serve/minter.h"
#include "libhongbao/serve/server.h"
#include "tests/net/port_tester.h"
#include "tests/serve/test_workers.h"

namespace hongbao::serve {

struct WorldOptions {
  uint32_t workers = 2;
  uint32_t users_max = 100;
  uint32_t wins_per_user = 0;
  int64_t max_qps = 0;
  uint32_t gifts_max = 1'000;  // of each worker
  int64_t gift_expiry_ms = 60'000;
  uint32_t credits = 64;  // of each worker
  size_t pool = 64;
  uint32_t unsent_bytes_max = 4'096;
  std::optional<wire::Token> gateway_token = std::nullopt;
};

class AppWorld : public ledger::OutcomeSink {
 public:
  // A connection as its client names it.
  struct Link {
    uint32_t worker = 0;
    uint32_t slot = 0;
    uint32_t generation = 0;
  };

  // `ledger` with what it recovered still in it: as Server::Restore and StartWorkers do it.
  AppWorld(const WorldOptions& options, ledger::Ledger* ledger, time::FakeClock& clock)
      : clock_(clock),
        shared_(*Directory::Create(options.users_max), options.pool, options.max_qps, clock),
        minter_(
            &shared_.wall, &shared_.pool, options.users_max, options.workers,
            [this](uint32_t worker, const MintedGift& gift) { return mailboxes_[worker]->Post(gift); }, ledger,
            &shared_.returned) {
    shared_.ledger = ledger;
    ledger::Recovered recovered = ledger->TakeRecovered();
    for (uint32_t user = 0; user < recovered.users.size() && user < options.users_max; ++user) {
      shared_.directory.Restore(user, recovered.users[user].last_stamp, recovered.users[user].shake_wins);
    }
    for (const ledger::LiveGift& gift : recovered.gifts) {
      Gifts::CountUnopened(gift, shared_.directory);
    }
    shared_.gifts = recovered.gifts;
    shared_.far_stamps = recovered.far_stamps;
    minter_.Restore(recovered);
    ledger->Start(options.workers, options.credits, this);
    for (uint32_t worker = 0; worker < options.workers; ++worker) {
      mailboxes_.push_back(std::make_unique<net::Mailbox<Message>>(1 << 12));
    }
    const WorkerOptions worker_options{
        .connections_max = 1'000,
        .ledger_waiting_max = options.credits,
        .sessions = {.wins_per_user = options.wins_per_user, .gateways_max = kGateways, .gateway_token = options.gateway_token},
        .gifts = {.gifts_max = options.gifts_max,
                  .expiry_ms = options.gift_expiry_ms,
                  .first_sent_id = std::max<uint64_t>(kFirstSentGiftId, recovered.next_sent_gift_id)},
        .delay = {.wait_max_us = 0}};
    for (uint32_t worker = 0; worker < options.workers; ++worker) {
      places_.push_back(std::make_unique<Place>(*this, worker, options, worker_options));
    }
    Turn();
  }

  void Deliver(uint32_t lane, const ledger::Outcome& outcome) override {
    const RecordSettled message{outcome};
    if (outcomes_overtake) {
      places_[lane]->app->OnMessage(message);
    } else {
      ASSERT_TRUE(mailboxes_[lane]->Post(message));
    }
  }

  // ---- time and messages ----
  void Turn() {
    for (const auto& place : places_) {
      Depart(*place);
      place->app->OnTurn(clock_.MonotonicNs());
    }
    minter_.Step();
  }
  // From now on nobody is let in and, with a ledger, nothing new is decided.
  void Drain() {
    for (const auto& place : places_) {
      place->app->OnDrain();
    }
  }
  // At most `messages` of those that wait for the worker.
  bool TakeMessages(uint32_t worker, size_t messages) {
    Message message;
    size_t taken = 0;
    while (taken < messages && mailboxes_[worker]->Pop(message)) {
      places_[worker]->app->OnMessage(message);
      ++taken;
    }
    return Arrive(worker) || taken > 0;
  }
  // Until no worker has anything to say to another.
  void TakeAllMessages() {
    bool busy = true;
    while (busy) {
      busy = false;
      for (uint32_t worker = 0; worker < places_.size(); ++worker) {
        busy = TakeMessages(worker, 1'000) || busy;
      }
    }
  }

  // ---- connections ----
  Link Connect(uint32_t worker) {
    const Link link = Accept(worker);
    places_[worker]->app->OnOpen(places_[worker]->port, net::PortTester::At(places_[worker]->port, link.slot));
    return link;
  }
  // Bytes from the client. False: the connection is not open any more.
  bool Send(const Link& to, const std::vector<std::byte>& bytes) {
    const Link link = Now(to);
    if (Journey* journey = JourneyOf(link)) {
      journey->bytes.insert(journey->bytes.end(), bytes.begin(), bytes.end());
      return true;
    }
    Place& place = *places_[link.worker];
    net::Connection* connection = place.port.Find({link.slot, link.generation});
    if (connection == nullptr) {
      return false;
    }
    net::Replies replies = place.port.Out(*connection);
    const size_t taken = place.app->OnBytes(place.port, *connection, bytes, replies);
    // What a gateway has sent on its journey comes in one piece: behind the frame that it is closed for nothing is read.
    EXPECT_TRUE(taken == bytes.size() || connection->state != net::ConnectionState::kOpen) << taken << " of " << bytes.size();
    return true;
  }
  // What has been sent to the client so far; then, if the server wants it so, the end (`*closed`).
  std::vector<std::byte> Read(const Link& from, bool* closed) {
    const Link link = Now(from);
    if (JourneyOf(link) != nullptr) {
      *closed = false;
      return {};
    }
    Place& place = *places_[link.worker];
    net::Connection& connection = net::PortTester::At(place.port, link.slot);
    *closed = connection.generation != link.generation || connection.state == net::ConnectionState::kFree;
    if (*closed) {
      return {};
    }
    std::vector<std::byte> bytes;
    if (connection.state != net::ConnectionState::kClosing) {
      bytes = net::PortTester::TakeReplies(place.port, connection);
    }
    if (connection.state != net::ConnectionState::kOpen) {
      *closed = true;
      End(place, connection);
    }
    return bytes;
  }
  // The client has gone; what it has not read is lost.
  void Disconnect(const Link& of) {
    const Link link = Now(of);
    if (Journey* journey = JourneyOf(link)) {
      journey->ended = true;
      return;
    }
    Place& place = *places_[link.worker];
    net::Connection& connection = net::PortTester::At(place.port, link.slot);
    if (connection.generation == link.generation && connection.state != net::ConnectionState::kFree) {
      End(place, connection);
    }
  }
  // As the ring does it for all that the server has ended while nobody read.
  void EndClosed() {
    for (const auto& place : places_) {
      for (uint32_t slot = 0; slot < place->port.slots(); ++slot) {
        net::Connection& connection = net::PortTester::At(place->port, slot);
        if (connection.state == net::ConnectionState::kClosing || connection.state == net::ConnectionState::kFlushing) {
          End(*place, connection);
        }
      }
    }
  }

  // ---- what it adds up to ----
  uint64_t Count(Counter counter) const {
    uint64_t sum = 0;
    for (const auto& place : places_) {
      sum += place->counters.cells.Get(counter);
    }
    return sum;
  }
  // The server's own identities, with what is under way.
  void ExpectIdentities() {
    ServerCounts counts;
    ServerRest rest;
    for (const auto& place : places_) {
      counts.serve += place->counters.cells.Snapshot();
      rest.Add(place->app->parts());
    }
    rest.left = shared_.pool.LeftAtRest();
    counts.issued = shared_.pool.issued();
    counts.connections = shared_.connections.CountThen([] {});
    counts.net[net::Counter::kAccepted] = counts.serve[Counter::kConnectionsOpened];
    counts.closes[net::CloseReason::kPeer] = counts.serve[Counter::kConnectionsClosed];
    for (uint32_t user = 0; user < shared_.directory.users_max(); ++user) {
      rest.users_in_directory += shared_.directory.Find(user) != kOffline ? 1U : 0U;
    }
    for (const Identity& identity : Identities(counts, rest)) {
      EXPECT_TRUE(identity.holds) << identity.name;
    }
  }

  static inline uint64_t moves = 0;    // of gateways, that have arrived, in all worlds
  bool descriptors_left = true;        // for those that leave
  bool slots_left = true;              // for those that arrive
  std::vector<std::byte> turned_away;  // what one without a slot was told
  bool outcomes_overtake = false;      // what other workers have said, as when an inbox was full
  Directory& directory() { return shared_.directory; }
  envelope::LuckyPool& pool() { return shared_.pool; }
  Minter& minter() { return minter_; }
  App& app(uint32_t worker) { return *places_[worker]->app; }
  uint64_t AddressOf(const Link& of) const {
    const Link link = Now(of);
    return Pack({.worker = static_cast<uint8_t>(link.worker), .generation = link.generation, .slot = link.slot});
  }

 private:
  static constexpr uint32_t kGateways = 8;  // of each worker

  struct Place {
    Place(AppWorld& world, uint32_t worker, const WorldOptions& options, const WorkerOptions& worker_options)
        : port(0, {.slots = 64,
                   .login_deadline_ms = 0,
                   .frame_deadline_ms = 0,
                   .idle_timeout_ms = 0,
                   .unsent_bytes_max = options.unsent_bytes_max,
                   .bulk = {.connections = 2 * kGateways}}),
          context(worker, world.clock_, world.mailboxes_) {
      context.AddPort(&port);
      app = std::make_unique<App>(context, worker_options, world.shared_, counters);
    }
    net::Port port;
    net::WorkerContext<Message> context;
    WorkerCounters counters;
    std::unique_ptr<App> app;
  };

  // A connection between two workers, by the descriptor of its socket, and what its client does meanwhile.
  struct Journey {
    Link from;
    net::MovedSocket peer;  // the other end, which the client would have
    std::vector<std::byte> bytes;
    bool ended = false;
  };
  static std::tuple<uint32_t, uint32_t, uint32_t> Key(const Link& link) { return {link.worker, link.slot, link.generation}; }
  // Where the connection is now.
  Link Now(Link link) const {
    for (auto next = moved_.find(Key(link)); next != moved_.end(); next = moved_.find(Key(link))) {
      link = next->second;
    }
    return link;
  }
  Journey* JourneyOf(const Link& link) {
    for (auto& [descriptor, journey] : journeys_) {
      if (Key(journey.from) == Key(link)) {
        return &journey;
      }
    }
    return nullptr;
  }
  // As the ring does it for those that are to move.
  void Depart(Place& place) {
    for (uint32_t slot = 0; slot < place.port.slots(); ++slot) {
      net::Connection& connection = net::PortTester::At(place.port, slot);
      if (!connection.moves || connection.state != net::ConnectionState::kOpen) {
        continue;
      }
      connection.moves = false;
      if (!descriptors_left) {
        place.app->OnNotMoved(place.port, connection);
        continue;
      }
      int ends[2] = {-1, -1};
      EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
      net::MovedSocket peer(ends[1]);
      net::MovedSocket socket(ends[0]);
      if (place.app->OnMovedOut(place.port, connection, socket)) {
        const Link from{place.context.index(), slot, connection.generation};
        journeys_[ends[0]] = {.from = from, .peer = std::move(peer), .bytes = {}};
        connection.state = net::ConnectionState::kClosing;
        net::PortTester::Free(place.port, connection);
      }
    }
  }
  bool Arrive(uint32_t worker) {
    Place& place = *places_[worker];
    const auto arrivals = net::PortTester::TakeArrivals(place.port);
    for (const std::unique_ptr<net::Arrival>& arrival : arrivals) {
      const Journey journey = std::move(journeys_.at(arrival->socket.descriptor()));
      journeys_.erase(arrival->socket.descriptor());
      if (!slots_left) {
        place.app->OnNoPlace(place.port, arrival->socket, arrival->ticket);
        turned_away.resize(64);
        turned_away.resize(static_cast<size_t>(recv(journey.peer.descriptor(), turned_away.data(), 64, MSG_DONTWAIT)));
        continue;
      }
      const Link link = Accept(worker);
      moved_[Key(journey.from)] = link;
      ++moves;
      place.app->OnMovedIn(place.port, net::PortTester::At(place.port, link.slot), arrival->ticket);
      if (!journey.bytes.empty()) {
        Send(link, journey.bytes);
      }
      if (journey.ended) {
        Disconnect(link);
      }
    }
    return !arrivals.empty();
  }
  Link Accept(uint32_t worker) {
    Place& place = *places_[worker];
    uint32_t slot = 0;
    while (net::PortTester::At(place.port, slot).state != net::ConnectionState::kFree) {
      ++slot;
    }
    return {worker, slot, net::PortTester::Open(place.port, slot).generation};
  }

  static void End(Place& place, net::Connection& connection) {
    connection.state = net::ConnectionState::kClosing;  // not found any more
    place.app->OnClose(place.port, connection, net::CloseReason::kPeer);
    net::PortTester::Free(place.port, connection);
  }

  time::FakeClock& clock_;
  std::vector<std::unique_ptr<net::Mailbox<Message>>> mailboxes_;
  Shared shared_;
  Minter minter_;
  std::vector<std::unique_ptr<Place>> places_;
  std::map<int, Journey> journeys_;
  std::map<std::tuple<uint32_t, uint32_t, uint32_t>, Link> moved_;
};

}  // namespace hongbao::serve
