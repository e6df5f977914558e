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

constexpr int64_t kRateMax = 1'000'000;
constexpr int64_t kFenMax = std::numeric_limits<uint32_t>::max();
constexpr int64_t kAheadMaxS = 7 * 24 * 3600;  // a start further off is a slip, not a plan
constexpr size_t kBatch = 256;                 // envelopes drawn and published at once
constexpr int64_t kRetryNs = time::kNsPerMs;   // when something had no room

absl::Status Refuse(absl::string_view name, int64_t value, int64_t min, int64_t max) {
  return absl::InvalidArgumentError(absl::StrCat(name, " is ", value, "; it must be ", min, "..", max));
}

}  // namespace

Minter::Minter(const time::Clock* clock, envelope::LuckyPool* pool, uint32_t users_max, uint32_t workers,
               PostGift post_gift)
    : clock_(clock), pool_(pool), users_max_(users_max), workers_(workers), post_gift_(std::move(post_gift)) {}

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

absl::StatusOr<MintReceipt> Minter::Add(const MintOrder& order) {
  const int64_t now_s = time::UnixSecond(clock_->WallNs());
  if (absl::Status status = Validate(order, now_s); !status.ok()) {
    return status;
  }
  const bool is_gift = order.kind == MintOrder::Kind::kGift;
  MintReceipt receipt{.count = order.count, .at_s = order.at_s != 0 ? order.at_s : now_s + 1};
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (stopped_) {
      return absl::FailedPreconditionError("the server is stopping");
    }
    uint64_t& next = is_gift ? next_gift_id_ : next_shake_id_;
    const uint64_t last = is_gift ? kLastMintedGiftId : kLastShakeId;
    if (next + static_cast<uint64_t>(order.count) - 1 > last) {
      return absl::ResourceExhaustedError(
          absl::StrCat("only ", last + 1 - next, " envelope ids are left in this run of the server"));
    }
    receipt.first_id = static_cast<uint32_t>(next);
    next += static_cast<uint64_t>(order.count);
    runs_.push_back(
        {.order = order,
         .schedule = MintSchedule(receipt.at_s * time::kNsPerSecond, order.rate, order.count),
         .random = order.seed == 0 ? envelope::Random::FromSystem() : envelope::Random::FromSeed(order.seed),
         .next_id = receipt.first_id});
  }
  changed_.notify_all();
  return receipt;
}

int64_t Minter::Step(int64_t wall_ns) {
  const std::lock_guard<std::mutex> lock(mutex_);
  int64_t next_ns = wall_ns + time::kNsPerSecond;
  for (Run& run : runs_) {
    const int64_t due = run.schedule.Due(wall_ns);
    const bool is_gift = run.order.kind == MintOrder::Kind::kGift;
    const int64_t issued = is_gift ? IssueGifts(run, due) : IssueShakes(run, due);
    run.schedule.Take(issued);
    if (!run.schedule.done()) {
      next_ns = std::min(next_ns, issued < due ? wall_ns + kRetryNs : run.schedule.NextNs());
    }
  }
  std::erase_if(runs_, [](const Run& run) { return run.schedule.done(); });
  return next_ns;
}

int64_t Minter::IssueShakes(Run& run, int64_t due) {
  int64_t issued = 0;
  while (issued < due) {
    const size_t want = std::min(kBatch, static_cast<size_t>(due - issued));
    while (run.drawn.size() < want) {
      run.drawn.push_back(
          {.id = run.next_id++, .amount = envelope::Fen(run.random.Between(run.order.min_fen, run.order.max_fen))});
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
    if (!run.has_gift) {
      DrawGift(run);
    }
    if (!post_gift_(OwnerOf(run.gift.envelope_id, workers_), run.gift)) {
      return issued;  // the owner's inbox is full
    }
    run.has_gift = false;
  }
  return due;
}

void Minter::DrawGift(Run& run) {
  const MintOrder& order = run.order;
  run.has_gift = true;
  run.gift = {
      .kind = MessageKind::kGift, .user_count = static_cast<uint8_t>(order.users), .envelope_id = run.next_id++};
  const int64_t drawn = run.random.Between(order.min_fen, order.max_fen);
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
