#include "libhongbao/serve/server.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <limits>
#include <thread>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace hongbao::serve {
namespace {

constexpr uint32_t kLedgerUsersMax = 1U << 28;
constexpr uint32_t kWorkersMax = 256;  // an address has 8 bits for it

// Answers that one connection is owed at most, with those to one more buffer below 2^16 (net::Connection::owed).
constexpr uint32_t kOwedMax = 32'000;
constexpr uint32_t kReceiveBytesMax = 1U << 19;

// Of one set. Twice as many as are let in, because those that are ending hold their blocks a little longer.
net::BulkOptions GatewaysOf(const ServerOptions& options) {
  if (!options.gateway_token.has_value() && !options.user_token) {
    return {};
  }
  // A shake of 16 bytes is answered with 28; the rest of a frame may lie before the buffer.
  const size_t shakes = (options.gateway_receive_bytes + wire::kFrameBytesMax) / wire::kShakeRequestBytes;
  const auto answers_bytes = static_cast<uint32_t>(shakes * wire::kShakeResponseBytes);
  // Behind them may come what the ledger has for it: as many outcomes as the worker has credits.
  const uint32_t credits = options.ledger_waiting_max / std::max(1U, options.workers);
  const uint32_t room_bytes = answers_bytes + credits * static_cast<uint32_t>(wire::kShakeResponseBytes);
  return {.connections = 2 * options.gateways_max,
          .receive_bytes = options.gateway_receive_bytes,
          .room_bytes = room_bytes,
          .unsent_bytes_max = room_bytes + answers_bytes,
          .owed_max = std::min(credits, kOwedMax)};
}

net::ServiceOptions ToService(const ServerOptions& options) {
  return {.listen_address = options.listen_address,
          .connections_max = options.connections_max,
          .workers = options.workers,
          .login_deadline_ms = options.login_deadline_ms,
          .frame_deadline_ms = options.frame_deadline_ms,
          .idle_timeout_ms = options.idle_timeout_ms,
          .unsent_bytes_max = options.unsent_bytes_max,
          .room_bytes = 2 * net::kFrameBytesMax / wire::kShakeRequestBytes * static_cast<uint32_t>(wire::kShakeResponseBytes),
          .owed_bytes = static_cast<uint32_t>(wire::kShakeResponseBytes),  // no answer that comes later is longer
          .unsent_deadline_ms = options.unsent_deadline_ms,
          .sockets = options.sockets,
          .bulk = GatewaysOf(options),
          .tuning = options.tuning};
}

// What nobody has opened of a restored gift.
envelope::Tally LeftOf(const ledger::LiveGift& gift) {
  envelope::Tally left{.count = gift.users.size(), .sum = envelope::Fen(gift.total_fen)};
  for (const uint32_t opened_fen : gift.opened_fen) {
    left.count -= opened_fen != 0 ? 1U : 0U;
    left.sum -= envelope::Fen(opened_fen);
  }
  return left;
}

// Of one worker.
uint32_t LaneRecords(const ServerOptions& options) { return std::max(1U, options.ledger_waiting_max / options.workers); }
uint32_t GiftsMax(const ServerOptions& options) { return std::max(1U, options.gifts_max / options.workers); }

absl::Status Wrong(absl::string_view name, int64_t value, absl::string_view right) {
  return absl::InvalidArgumentError(absl::StrCat(name, " is ", value, "; it must be ", right));
}

}  // namespace

absl::Status Validate(const ServerOptions& options) {
  constexpr int64_t kNoLeast = -1;
  constexpr int64_t kNoMost = std::numeric_limits<int64_t>::max();
  const struct {
    absl::string_view name;
    int64_t value, least, most;
  } ranges[] = {
      {"users_max", options.users_max, 1, kNoMost},
      {"connections_max", options.connections_max, 1, kNoMost},
      {"workers", options.workers, kNoLeast, kWorkersMax},
      {"max_qps", options.max_qps, 0, 1'000'000'000},
      {"wins_per_user", options.wins_per_user, kNoLeast, Directory::kShakeWinsMax},
      {"unsent_bytes_max", options.unsent_bytes_max, wire::kFrameBytesMax, 1 << 24},
      {"unsent_deadline_ms", options.unsent_deadline_ms, 1, kNoMost},
      {"gift_expiry_ms", options.gift_expiry_ms, 1, kNoMost},
      {"gifts_max", options.gifts_max, 1, (1 << 26) - 1},
      {"ledger_waiting_max", options.ledger_waiting_max, kWorkersMax, kNoMost},
      {"gateways_max", options.gateways_max, 1, 1'024},
      {"gateway_receive_bytes", options.gateway_receive_bytes, 1'024, kReceiveBytesMax},
  };
  for (const auto& range : ranges) {
    if (range.value < range.least || range.value > range.most) {
      return Wrong(range.name, range.value,
                   range.most == kNoMost     ? absl::StrCat("at least ", range.least)
                   : range.least == kNoLeast ? absl::StrCat("at most ", range.most)
                                             : absl::StrCat(range.least, "..", range.most));
    }
  }
  if (!std::has_single_bit(options.pool_envelopes) || options.pool_envelopes > 1U << 24) {
    return Wrong("pool_envelopes", options.pool_envelopes, "a power of two, at most 16777216");
  }
  return absl::OkStatus();
}

std::vector<Identity> Identities(const ServerCounts& counts, const ServerRest& rest) {
  const count::Values<Counter>& serve = counts.serve;
  const auto fen = [](uint64_t value) { return envelope::Fen(value); };
  const envelope::Tally won{serve[Counter::kWon], fen(serve[Counter::kWonFen])};
  // Claimed shares are won, or given back because their request had an outcome, or not settled when the drain's time was over.
  const envelope::Tally claimed{won.count + serve[Counter::kReturned] + rest.pending_wins.count,
                                won.sum + fen(serve[Counter::kReturnedFen]) + rest.pending_wins.sum};
  uint64_t closed = 0;
  for (const uint64_t closes : counts.closes.value) {
    closed += closes;
  }
  const envelope::GiftTotals& gifts = rest.gifts;
  return {
      {"envelopes: issued = won + left",
       counts.issued.count == claimed.count + rest.left.count && counts.issued.sum == claimed.sum + rest.left.sum},
      {"envelopes: won = claimed", claimed == rest.claimed},
      {"orders: ordered = issued + cancelled + waiting", counts.mint_waiting == rest.orders_left},
      {"gifts: sent = opened + left + refunded (fen)",
       fen(serve[Counter::kGiftsSentFen]) + rest.pending_shares.sum + gifts.restored ==
               gifts.opened + gifts.left + gifts.refunded &&
           fen(serve[Counter::kOpenedFen]) + rest.pending_opens.sum == gifts.opened &&
           serve[Counter::kRefundedFen] == static_cast<uint64_t>(gifts.refunded.value())},
      {"gift shares: invited = opened + left + refunded",
       serve[Counter::kGiftShares] + rest.pending_shares.count + gifts.restored_shares ==
               gifts.opened_shares + gifts.left_shares + gifts.refunded_shares &&
           serve[Counter::kOpened] + rest.pending_opens.count == gifts.opened_shares},
      {"requests: received = replied + refused + dropped",
       serve[Counter::kReceived] ==
           serve[Counter::kReplied] + serve[Counter::kRefused] + serve[Counter::kDropped] + rest.pending_shakes},
      {"replies: replied = won + nothing + cap",
       serve[Counter::kReplied] ==
           serve[Counter::kWon] + serve[Counter::kNothing] + serve[Counter::kCap] + serve[Counter::kRepeated]},
      {"connections: accepted = closed + live",
       counts.net[net::Counter::kAccepted] == closed + counts.connections &&
           serve[Counter::kConnectionsOpened] == serve[Counter::kConnectionsClosed] + counts.connections},
      {"users: came = left + online",
       counts.users_online() >= 0 && static_cast<uint64_t>(counts.users_online()) == rest.users_in_directory},
  };
}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const ServerOptions& options, const time::Clock* clock,
                                                      std::unique_ptr<ledger::Ledger> ledger) {
  if (absl::Status status = Validate(options); !status.ok()) {
    return status;
  }
  absl::StatusOr<net::ServicePlan> plan = net::PlanService(ToService(options));
  if (!plan.ok()) {
    return plan.status();
  }
  if (plan->worker.sets > kWorkersMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("the plan has ", plan->workers, " workers of ", plan->worker.sets, " sets; at most ", kWorkersMax,
                     " sets are possible: lower --connections-max or raise the limit of open files (ulimit -Hn)"));
  }
  if (plan->worker.port.slots > Address::kSlotMax) {
    return absl::InvalidArgumentError(absl::StrCat("a set of ", plan->worker.port.slots, " slots; at most ", Address::kSlotMax,
                                                   " are possible: lower --connections-max"));
  }
  absl::StatusOr<Directory> directory = Directory::Create(options.users_max);
  if (!directory.ok()) {
    return directory.status();
  }
  std::unique_ptr<Server> server(new Server(options, clock, *std::move(directory), plan->workers, std::move(ledger)));
  if (absl::Status status = server->Restore(); !status.ok()) {
    return status;
  }
  if (absl::Status status = server->StartWorkers(); !status.ok()) {
    return status;
  }
  server->minter_.Start();
  return server;
}

Server::Server(const ServerOptions& options, const time::Clock* clock, Directory directory, uint32_t workers,
               std::unique_ptr<ledger::Ledger> ledger)
    : options_(options),
      shared_(std::move(directory), options.pool_envelopes, options.max_qps, *clock),
      service_(*clock),
      ledger_(std::move(ledger)),
      outcome_poster_(this),
      minter_(
          &shared_.wall, &shared_.pool, options.users_max, workers,
          [this](uint32_t worker, const MintedGift& gift) { return service_.Post(worker, gift); }, ledger_.get(),
          &shared_.returned) {
  shared_.ledger = ledger_.get();
  options_.workers = workers;
  for (uint32_t i = 0; i < workers; ++i) {
    counters_.push_back(std::make_unique<WorkerCounters>());
  }
}

Server::~Server() { Drain(0); }

void Server::OutcomePoster::Deliver(uint32_t lane, const ledger::Outcome& outcome) {
  const RecordSettled message{outcome};
  // A full inbox is being emptied; nobody there waits for us. Once the workers have ended nobody can be told any more: what
  // is durable is told at the next login.
  while (!server_->service_.Post(lane, message) && !server_->workers_ended_.load(std::memory_order_acquire)) {
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
}

absl::Status Server::Restore() {
  if (ledger_ == nullptr) {
    return absl::OkStatus();
  }
  if (options_.users_max > kLedgerUsersMax) {
    return Wrong("users_max", options_.users_max,
                 absl::StrCat("at most ", kLedgerUsersMax, " with a ledger, whose memory per user is by id"));
  }
  recovered_ = ledger_->TakeRecovered();
  granted_before_fen_ = recovered_.granted_fen;
  const time::Moment now = shared_.wall.Now();
  shared_.trust.emplace(options_.clock_settle_ns, recovered_.clock_ms, now);
  // Relaxed: the workers start later.
  shared_.clock_confirmed.store(shared_.trust->confirmed(), std::memory_order_relaxed);
  clock_started_off_ns_ = shared_.trust->started_off_ns();
  shared_.clock_floor_ns = std::max(now.wall_ns, recovered_.clock_ms * time::kNsPerMs) - now.monotonic_ns;
  shared_.highest_wall.Raise(shared_.clock_floor_ns);
  shared_.far_stamps = std::move(recovered_.far_stamps);
  uint32_t users = 0;  // the highest that the ledger knows, + 1
  for (uint32_t user = 0; user < recovered_.users.size(); ++user) {
    const ledger::UserState& state = recovered_.users[user];
    if (state.last_stamp == 0 && state.shake_wins == 0) {
      continue;
    }
    users = user + 1;
    if (user < options_.users_max) {
      shared_.directory.Restore(user, state.last_stamp, state.shake_wins);
    }
  }
  std::vector<uint64_t> gifts(options_.workers);  // in each worker's book
  for (const ledger::LiveGift& gift : recovered_.gifts) {
    users = std::max(users, *std::max_element(gift.users.begin(), gift.users.end()) + 1);
    ++gifts[OwnerOf(gift.id, options_.workers)];
  }
  for (const ledger::UnfinishedOrder& unfinished : recovered_.orders) {
    const ledger::Order& order = unfinished.order;
    users = order.is_gift ? std::max(users, order.last_user + 1) : users;  // it has gifts to make for them
  }
  if (users > options_.users_max) {
    return absl::InvalidArgumentError(absl::StrCat("the ledger knows users up to ", users - 1, ", and users_max is ",
                                                   options_.users_max, "; start with --users-max ", users, " or more"));
  }
  const uint64_t fullest = *std::max_element(gifts.begin(), gifts.end());
  if (fullest > GiftsMax(options_)) {
    return absl::InvalidArgumentError(absl::StrCat("the ledger holds ", recovered_.gifts.size(), " live gifts, and gifts_max is ",
                                                   options_.gifts_max, "; start with --gifts-max ", fullest * options_.workers,
                                                   " or more"));
  }
  for (const ledger::LiveGift& gift : recovered_.gifts) {
    Gifts::CountUnopened(gift, shared_.directory);
    restored_ += LeftOf(gift);
  }
  shared_.gifts = std::exchange(recovered_.gifts, {});
  minter_.Restore(recovered_);
  ledger_->Start(options_.workers, LaneRecords(options_), &outcome_poster_);
  return absl::OkStatus();
}

absl::Status Server::StartWorkers() {
  const WorkerOptions worker_options{
      .connections_max = options_.connections_max,
      .ledger_waiting_max = LaneRecords(options_),
      .sessions = {.wins_per_user = options_.wins_per_user,
                   .gateways_max = options_.gateways_max,
                   .gateway_token = options_.gateway_token,
                   .user_token = options_.user_token},
      .gifts = {.gifts_max = GiftsMax(options_),
                .expiry_ms = options_.gift_expiry_ms,
                .first_sent_id = std::max<uint64_t>(kFirstSentGiftId, recovered_.next_sent_gift_id),
                .gifts_per_sender = options_.gifts_per_sender,
                .gifts_per_pair = options_.gifts_per_pair},
      .delay = options_.delay};
  absl::Status status = service_.Start(ToService(options_), [this, worker_options](net::WorkerContext<Message>& context) {
    return std::make_unique<App>(context, worker_options, shared_, *counters_[context.index()]);
  });
  shared_.gifts = {};
  recovered_ = {};
  return status;
}

bool Server::IssuedBy(int64_t steady_second, uint64_t& envelopes) const {
  count::Values<MintCounter> minted;
  const bool known = minter_.history().Read(steady_second, minted);
  envelopes = known ? minted[MintCounter::kIssued] : 0;
  return known;
}

ServerCounts Server::Look() const {
  ServerCounts counts;
  counts.connections = shared_.connections.CountThen([&] {
    for (const std::unique_ptr<WorkerCounters>& counters : counters_) {
      counts.serve += counters->cells.Snapshot();
    }
    for (uint32_t worker = 0; worker < service_.workers(); ++worker) {
      counts.net += service_.counters(worker).events.Snapshot();
      counts.closes += service_.counters(worker).closes.Snapshot();
    }
  });
  const GatewayOrder::Counts gateways = shared_.gateway_order.ByWorker();
  counts.gateways.assign(gateways.begin(), gateways.begin() + service_.workers());
  counts.issued = shared_.pool.issued();
  counts.envelopes_left = shared_.pool.left();
  counts.mint_waiting = minter_.waiting();
  counts.cancelled = minter_.cancelled();
  counts.restored = restored_;
  counts.granted_before_fen = granted_before_fen_;
  counts.clock_steps = shared_.wall.Count();
  counts.clock_confirmed = shared_.clock_confirmed.load(std::memory_order_relaxed);  // a flag for status pages
  counts.clock_started_off_ns = clock_started_off_ns_;
  return counts;
}

std::vector<const count::History<Counter>*> Server::histories() const {
  std::vector<const count::History<Counter>*> histories;
  for (const std::unique_ptr<WorkerCounters>& counters : counters_) {
    histories.push_back(&counters->history);
  }
  return histories;
}

void Server::Drain(uint32_t drain_ms) {
  if (draining_.exchange(true, std::memory_order_relaxed)) {
    return;
  }
  minter_.Stop();  // first: from now on no more gifts come to the workers
  service_.Drain(drain_ms);
  workers_ended_.store(true, std::memory_order_release);  // the workers' last words before the word that they have ended
  if (ledger_ != nullptr) {
    ledger_->Stop();
  }
  for (const std::unique_ptr<WorkerCounters>& counters : counters_) {
    counters->history.Close(counters->cells);  // its worker has ended
  }
  rested_ = true;
}

void ServerRest::Add(const WorkerParts& worker) {
  worker.gifts.book().Audit();
  const envelope::GiftTotals& totals = worker.gifts.book().totals();
  gifts.gifts += totals.gifts;
  gifts.gifts_live += totals.gifts_live;
  gifts.shares += totals.shares;
  gifts.opened_shares += totals.opened_shares;
  gifts.left_shares += totals.left_shares;
  gifts.refunded_shares += totals.refunded_shares;
  gifts.issued += totals.issued;
  gifts.opened += totals.opened;
  gifts.left += totals.left;
  gifts.refunded += totals.refunded;
  gifts.restored_shares += totals.restored_shares;
  gifts.restored += totals.restored;
  claimed += worker.claimer.claimed();
  pending_shakes += worker.sessions.shakes().pending_shakes();
  pending_wins += worker.sessions.shakes().pending_wins();
  pending_shares += worker.gifts.pending_shares();
  pending_opens += worker.gifts.pending_opens();
}

ServerRest Server::LookAtRest() {
  Check(rested_, "LookAtRest is for a server that has been drained");
  ServerRest rest;
  rest.left = shared_.pool.LeftAtRest();
  rest.orders_left = minter_.LeftByBook();
  for (uint32_t worker = 0; worker < service_.workers(); ++worker) {
    rest.Add(service_.app(worker).parts());
  }
  for (uint32_t user = 0; user < options_.users_max; ++user) {
    rest.users_in_directory += shared_.directory.Find(user) != kOffline ? 1U : 0U;
  }
  return rest;
}

}  // namespace hongbao::serve
