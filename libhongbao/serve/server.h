// Server: the red-envelope server as one object: workers, directory, lucky pool, minter; and what it has counted.
//
// Owns all of it. Never reads flags, prints, or speaks HTTP: a main or a test does. Start it, give it orders, ask it
// for snapshots, drain it. Thread tag: thread-compatible (Start, Drain, the destructor from one thread); Mint, Look and
// draining are thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "libhongbao/count/history.h"
#include "libhongbao/envelope/gift_book.h"
#include "libhongbao/envelope/lucky_pool.h"
#include "libhongbao/net/counters.h"
#include "libhongbao/net/service.h"
#include "libhongbao/serve/app.h"
#include "libhongbao/serve/minter.h"

namespace hongbao::serve {

struct ServerOptions {
  SocketAddress listen_address = SocketAddress::Ipv4(INADDR_ANY, 1025);  // port 0 = a free one
  uint32_t users_max = 1'000'000;                                        // users 0..users_max-1
  uint32_t connections_max = 100'000;
  uint32_t workers = 0;        // 0 = one per processor
  int64_t max_qps = 0;         // shakes and sends per second, 0 = no limit
  uint32_t wins_per_user = 0;  // shake wins of one user at most, 0 = no limit
  uint32_t login_deadline_ms = 5'000;
  uint32_t frame_deadline_ms = 5'000;
  uint32_t idle_timeout_ms = 240'000;
  uint32_t unsent_bytes_max = 16'384;  // ~580 shake answers; who sends more without reading is held back
  uint32_t unsent_deadline_ms = 15'000;
  ring::SocketOptions sockets{.peer_timeout_ms = 20'000, .keepalive_ms = 120'000};
  int64_t gift_expiry_ms = 24 * 3'600'000;
  // With a ledger: how long a wall clock that is not the one that the ledger saw last has to stand before gifts expire by it.
  // 0 = any clock is good.
  int64_t clock_settle_ns = 0;
  uint32_t gifts_max = 1'000'000;              // live gifts, over all workers; a gift lives until it expires
  uint32_t gifts_per_sender = 500;             // live gifts of one sender, 0 = no limit
  uint32_t gifts_per_pair = 100;               // of one sender to one user, in each worker's book, 0 = no limit
  uint32_t pool_envelopes = 1 << 16;           // shake envelopes that nobody has won yet, a power of two
  uint32_t ledger_waiting_max = 16'384;        // records that wait for the ledger, over all workers
  std::optional<wire::Token> gateway_token{};  // without one of these two gateways are refused
  UserTokenCheck user_token{};                 // with it every login has to show a token; called on all workers
  uint32_t gateways_max = 64;                  // of one worker
  uint32_t gateway_receive_bytes = 65'536;     // of a gateway's requests, taken in at once at most
  net::Tuning tuning{};
  DelayOptions delay{};
};

// InvalidArgument says which value is wrong and what it may be.
absl::Status Validate(const ServerOptions& options);

// Everything counted, at about one moment; at rest (after Drain) exactly.
struct ServerCounts {
  count::Values<Counter> serve{};
  count::Values<net::Counter> net{};
  count::Values<net::CloseReason> closes{};
  envelope::Tally issued{};          // shake envelopes published
  uint64_t envelopes_left = 0;       // published and not won
  uint32_t connections = 0;          // live
  std::vector<uint32_t> gateways{};  // logged in or logging in, by worker
  int64_t mint_waiting = 0;          // envelopes ordered and not issued
  Cancelled cancelled{};             // of orders, in this life
  envelope::Tally restored{};        // shares of gifts that an earlier life left unopened
  uint64_t granted_before_fen = 0;   // what users had got by the ledger when this life began
  time::StepCount clock_steps{};     // of the wall clock
  bool clock_confirmed = true;       // money moves by it
  int64_t clock_started_off_ns = 0;  // how far it was from what the ledger saw last, at the start; > 0: ahead

  int64_t users_online() const { return static_cast<int64_t>(serve[Counter::kUsersCame] - serve[Counter::kUsersLeft]); }
};

// What the parts themselves hold after the end: the witness that the counters are compared with.
struct ServerRest {
  envelope::Tally left{};     // in the pool's slots
  int64_t orders_left = 0;    // by the book of orders: neither issued nor cancelled
  envelope::Tally claimed{};  // by the workers' claimers
  envelope::GiftTotals gifts{};
  uint64_t users_in_directory = 0;  // must be 0: everybody has left
  // With the ledger, not settled when the drain's time was over:
  envelope::Tally pending_wins{};  // claimed
  uint64_t pending_shakes = 0;
  envelope::Tally pending_shares{};  // of gifts that are not made until it says so
  envelope::Tally pending_opens{};   // drawn

  // Adds what a worker holds that has ended. Audits its gift book (aborts on a broken one).
  void Add(const WorkerParts& worker);
};

// A statement that must hold, and whether it does. At rest all do.
struct Identity {
  std::string name{};
  bool holds = false;
};
std::vector<Identity> Identities(const ServerCounts& counts, const ServerRest& rest);

class Server {
 public:
  // Listens and serves when it returns. Errors say cause and cure. `clock` must outlive the server. `ledger`: where money
  // becomes durable, with what it recovered still in it; null: nowhere, a win counts when it is decided.
  static absl::StatusOr<std::unique_ptr<Server>> Start(const ServerOptions& options, const time::Clock* clock,
                                                       std::unique_ptr<ledger::Ledger> ledger = nullptr);
  ~Server();  // drains at once
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  uint16_t port() const { return service_.port(); }
  const ServerOptions& options() const { return options_; }
  const net::ServicePlan& plan() const { return service_.plan(); }

  // Orders envelopes; see Minter::Add.
  absl::StatusOr<MintReceipt> Mint(const MintOrder& order) { return minter_.Add(order); }
  // What was ordered, and an end to it; see Minter.
  absl::StatusOr<KnownOrder> CancelOrder(uint32_t first_id) { return minter_.Cancel(first_id); }
  absl::StatusOr<KnownOrder> ShowOrder(uint32_t first_id) const { return minter_.Show(first_id); }
  absl::StatusOr<KnownOrder> ShowOrderByKey(const std::string& key) { return minter_.ShowByKey(key); }
  std::vector<KnownOrder> ListOrders(uint32_t first_id, size_t limit) const { return minter_.List(first_id, limit); }
  size_t orders() const { return minter_.orders(); }

  ServerCounts Look() const;
  // The wall clock, and what is known of its steps.
  time::WallSteps& wall() { return shared_.wall; }
  const time::WallSteps& wall() const { return shared_.wall; }

  // Shake envelopes issued up to the end of `steady_second`. False: the minter has not come past it yet (it does within 50 ms,
  // but for a busy machine), or it was minutes ago.
  bool IssuedBy(int64_t steady_second, uint64_t& envelopes) const;
  // For count::Series; valid as long as the server is.
  std::vector<const count::History<Counter>*> histories() const;

  // Issues nothing more, accepts nobody, sends what is owed, closes; `drain_ms` at most. Idempotent.
  void Drain(uint32_t drain_ms);
  bool draining() const { return draining_.load(std::memory_order_relaxed); }  // relaxed: a flag for status pages

  bool durable() const { return ledger_ != nullptr; }

  // After Drain only. Audits the gift books (aborts on a broken one).
  ServerRest LookAtRest();

 private:
  // Posts the ledger's outcomes to the workers that submitted the records.
  class OutcomePoster : public ledger::OutcomeSink {
   public:
    explicit OutcomePoster(Server* server) : server_(server) {}
    void Deliver(uint32_t lane, const ledger::Outcome& outcome) override;

   private:
    Server* server_;
  };

  Server(const ServerOptions& options, const time::Clock* clock, Directory directory, uint32_t workers,
         std::unique_ptr<ledger::Ledger> ledger);
  absl::Status Restore();
  absl::Status StartWorkers();

  ServerOptions options_;
  Shared shared_;
  std::vector<std::unique_ptr<WorkerCounters>> counters_;  // by worker; outlive them
  net::Service<App> service_;
  std::unique_ptr<ledger::Ledger> ledger_;
  ledger::Recovered recovered_;
  envelope::Tally restored_;
  uint64_t granted_before_fen_ = 0;
  int64_t clock_started_off_ns_ = 0;
  OutcomePoster outcome_poster_;
  Minter minter_;
  std::atomic<bool> workers_ended_{false};
  std::atomic<bool> draining_{false};
  bool rested_ = false;
};

}  // namespace hongbao::serve
