#include "libhongbao/serve/minter.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "libhongbao/check.h"

namespace hongbao::serve {
namespace {

using envelope::LuckyEnvelope;
using envelope::Random;

constexpr int64_t kRateMax = 1'000'000;
constexpr int64_t kFenMax = std::numeric_limits<uint32_t>::max();
constexpr int64_t kAheadMaxS = 7 * 24 * 3600;  // a start further off is a slip, not a plan
constexpr size_t kBatch = 256;                 // envelopes drawn and published at once
constexpr int64_t kRetryNs = time::kNsPerMs;   // when something had no room

absl::Status Refuse(absl::string_view name, int64_t value, int64_t min, int64_t max) {
  return absl::InvalidArgumentError(absl::StrCat(name, " is ", value, "; it must be ", min, "..", max));
}

envelope::Fen DrawAmount(Random& random, const ledger::Order& order) {
  return envelope::Fen(random.Between(order.min_fen, order.max_fen));
}

// All amounts of a shake order together: what its run will draw.
envelope::Fen TotalOf(const ledger::Order& order) {
  Random random(order.key);
  envelope::Fen total;
  for (int64_t i = 0; i < order.count; ++i) {
    total += DrawAmount(random, order);
  }
  return total;
}

}  // namespace

Minter::Minter(const time::Clock* clock, envelope::LuckyPool* pool, uint32_t users_max, uint32_t workers,
               PostGift post_gift, ledger::Ledger* ledger, Returned* returned)
    : clock_(clock),
      pool_(pool),
      users_max_(users_max),
      workers_(workers),
      post_gift_(std::move(post_gift)),
      ledger_(ledger),
      returned_(returned) {}

Minter::~Minter() { Stop(); }

void Minter::Start() {
  Check(!thread_.joinable(), "a minter is started once");
  thread_ = std::thread([this] { Loop(); });
}

void Minter::Stop() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopped_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) {
    thread_.join();
  }
}

absl::Status Minter::Validate(const MintOrder& order, int64_t now_s) const {
  const bool is_gift = order.kind == MintOrder::Kind::kGift;
  if (order.rate < 1 || order.rate > kRateMax) {
    return Refuse("rate", order.rate, 1, kRateMax);
  }
  if (order.count < 1 || order.count > kLastShakeId) {
    return Refuse("count", order.count, 1, kLastShakeId);
  }
  if (order.max_fen < 1 || order.max_fen > kFenMax) {
    return Refuse("max_fen", order.max_fen, 1, kFenMax);
  }
  if (order.min_fen < 1 || order.min_fen > order.max_fen) {
    return Refuse("min_fen", order.min_fen, 1, order.max_fen);
  }
  if (order.at_s != 0 && (order.at_s <= now_s || order.at_s > now_s + kAheadMaxS)) {
    return Refuse("at", order.at_s, now_s + 1, now_s + kAheadMaxS);
  }
  if (!is_gift) {
    return absl::OkStatus();
  }
  if (order.users < 1 || order.users > kGiftUsersMax) {
    return Refuse("users", order.users, 1, kGiftUsersMax);
  }
  if (order.last_user >= users_max_) {
    return Refuse("last_user", order.last_user, 0, int64_t{users_max_} - 1);
  }
  if (order.first_user > order.last_user) {
    return Refuse("first_user", order.first_user, 0, order.last_user);
  }
  const int64_t range = int64_t{order.last_user} - order.first_user + 1;
  if (order.users > range) {
    return Refuse("users", order.users, 1, range);
  }
  if (order.max_fen < order.users) {
    return absl::InvalidArgumentError(
        absl::StrCat("max_fen is ", order.max_fen, "; a gift to ", order.users, " users needs a fen for each"));
  }
  return absl::OkStatus();
}

absl::StatusOr<uint32_t> Minter::TakeIds(bool is_gift, int64_t count) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (stopped_) {
    return absl::FailedPreconditionError("the server is stopping");
  }
  uint64_t& next = is_gift ? next_gift_id_ : next_shake_id_;
  const uint64_t last = is_gift ? kLastMintedGiftId : kLastShakeId;
  if (next + static_cast<uint64_t>(count) - 1 > last) {
    return absl::ResourceExhaustedError(absl::StrCat("only ", last + 1 - next, " envelope ids are left"));
  }
  const uint32_t first = static_cast<uint32_t>(next);
  next += static_cast<uint64_t>(count);
  return first;
}

absl::StatusOr<MintReceipt> Minter::Add(const MintOrder& order) {
  const int64_t now_ns = clock_->WallNs();
  const int64_t now_s = time::UnixSecond(now_ns);
  if (absl::Status status = Validate(order, now_s); !status.ok()) {
    return status;
  }
  const bool is_gift = order.kind == MintOrder::Kind::kGift;
  const absl::StatusOr<uint32_t> first_id = TakeIds(is_gift, order.count);
  if (!first_id.ok()) {
    return first_id.status();
  }
  ledger::Order kept{.is_gift = is_gift,
                     .first_id = *first_id,
                     .count = order.count,
                     .rate = order.rate,
                     .min_fen = order.min_fen,
                     .max_fen = order.max_fen,
                     .at_s = order.at_s != 0 ? order.at_s : now_s + 1,
                     .created_ms = now_ns / time::kNsPerMs,
                     .key = order.seed == 0 ? Random::SystemKey() : Random::SeedKey(order.seed),
                     .users = is_gift ? order.users : 0,
                     .first_user = order.first_user,
                     .last_user = order.last_user};
  if (ledger_ != nullptr) {
    if (!is_gift) {
      kept.total = TotalOf(kept);  // the budget is known, and durable, before the first shake
    }
    if (absl::Status status = ledger_->RecordOrder(kept); !status.ok()) {
      return status;
    }
  }
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    runs_.push_back(MakeRun(kept));
  }
  changed_.notify_all();
  return MintReceipt{.first_id = kept.first_id, .count = kept.count, .at_s = kept.at_s};
}

Minter::Run Minter::MakeRun(const ledger::Order& order) {
  return {.order = order,
          .schedule = MintSchedule(order.at_s * time::kNsPerSecond, order.rate, order.count),
          .random = Random(order.key),
          .next_id = order.first_id};
}

void Minter::Restore(ledger::Recovered& recovered) {
  next_shake_id_ = std::max(next_shake_id_, recovered.next_shake_id);
  next_gift_id_ = std::max(next_gift_id_, recovered.next_minted_gift_id);
  for (ledger::OpenOrder& open : recovered.orders) {
    Run run = MakeRun(open.order);
    run.taken = std::move(open.taken);
    run.schedule.Take(std::count(run.taken.begin(), run.taken.end(), true));
    runs_.push_back(std::move(run));
  }
}

int64_t Minter::Step(int64_t wall_ns) {
  const std::lock_guard<std::mutex> lock(mutex_);
  history_.Roll(time::UnixSecond(wall_ns), counted_);
  int64_t next_ns = wall_ns + time::kNsPerSecond;
  IssueReturned();
  for (Run& run : runs_) {
    const int64_t due = run.schedule.Due(wall_ns);
    const int64_t issued = run.order.is_gift ? IssueGifts(run, due) : IssueShakes(run, due);
    run.schedule.Take(issued);
    if (!run.schedule.done()) {
      next_ns = std::min(next_ns, issued < due ? wall_ns + kRetryNs : run.schedule.NextNs());
    }
  }
  std::erase_if(runs_, [](const Run& run) { return run.schedule.done(); });
  counted_.Set(MintCounter::kIssued, pool_->issued().count);
  return next_ns;
}

bool Minter::NextIsTaken(const Run& run) {
  const size_t place = run.next_id - run.order.first_id;
  return place < run.taken.size() && run.taken[place];
}

// They were issued before, on time: they go out as soon as there is room.
void Minter::IssueReturned() {
  if (returned_ == nullptr) {
    return;
  }
  for (const envelope::LuckyEnvelope& envelope : returned_->TakeAll()) {
    again_.push_back(envelope);
  }
  const size_t fitted = pool_->Publish(again_);
  again_.erase(again_.begin(), again_.begin() + static_cast<std::ptrdiff_t>(fitted));
}

int64_t Minter::IssueShakes(Run& run, int64_t due) {
  int64_t issued = 0;
  while (issued < due) {
    const size_t want = std::min(kBatch, static_cast<size_t>(due - issued));
    while (run.drawn.size() < want) {
      // Drawn also when it was issued before: the amounts are a function of the key and the place alone.
      const bool taken = NextIsTaken(run);
      const LuckyEnvelope envelope{.id = run.next_id++, .amount = DrawAmount(run.random, run.order)};
      if (!taken) {
        run.drawn.push_back(envelope);
      }
    }
    const size_t fitted = pool_->Publish(absl::MakeConstSpan(run.drawn).first(want));
    run.drawn.erase(run.drawn.begin(), run.drawn.begin() + static_cast<std::ptrdiff_t>(fitted));
    issued += static_cast<int64_t>(fitted);
    if (fitted < want) {
      break;  // the pool is full
    }
  }
  return issued;
}

int64_t Minter::IssueGifts(Run& run, int64_t due) {
  for (int64_t issued = 0; issued < due; ++issued) {
    while (!run.has_gift) {
      const bool taken = NextIsTaken(run);
      DrawGift(run);
      run.has_gift = !taken;
    }
    if (!post_gift_(OwnerOf(run.gift.envelope_id, workers_), run.gift)) {
      return issued;  // the owner's inbox is full
    }
    run.has_gift = false;
  }
  return due;
}

void Minter::DrawGift(Run& run) {
  const ledger::Order& order = run.order;
  run.gift = Message{
      .kind = MessageKind::kGift, .user_count = static_cast<uint8_t>(order.users), .envelope_id = run.next_id++};
  const int64_t drawn = DrawAmount(run.random, order).value();
  run.gift.amount_fen = static_cast<uint32_t>(std::max<int64_t>(drawn, order.users));  // a fen for each at least
  // Floyd's sampling: `users` distinct values, one draw each, also when the range is hardly larger.
  const uint64_t range = uint64_t{order.last_user} - order.first_user + 1;
  uint32_t chosen = 0;
  for (uint64_t top = range - order.users; top < range; ++top) {
    const uint32_t candidate = order.first_user + static_cast<uint32_t>(run.random.Below(top + 1));
    const uint32_t* end = run.gift.users + chosen;
    const bool taken = std::find(static_cast<const uint32_t*>(run.gift.users), end, candidate) != end;
    run.gift.users[chosen++] = taken ? order.first_user + static_cast<uint32_t>(top) : candidate;
  }
}

int64_t Minter::waiting() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  int64_t waiting = 0;
  for (const Run& run : runs_) {
    waiting += run.schedule.left();
  }
  return waiting;
}

size_t Minter::runs() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return runs_.size();
}

void Minter::Loop() {
  for (;;) {
    const int64_t next_ns = Step(clock_->WallNs());
    std::unique_lock<std::mutex> lock(mutex_);
    if (stopped_) {
      return;
    }
    const int64_t sleep_ns = std::clamp<int64_t>(next_ns - clock_->WallNs(), 0, time::kNsPerSecond);
    // Woken early by Add and Stop; a spare wake-up only looks once more. An order that came between Step and this lock
    // starts at the next whole second at the earliest, but may be due before a long sleep ends: so a short one.
    changed_.wait_for(lock, std::chrono::nanoseconds(std::min<int64_t>(sleep_ns, 50 * time::kNsPerMs)));
    if (stopped_) {
      return;
    }
  }
}

}  // namespace hongbao::serve
