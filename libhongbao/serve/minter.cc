#include "libhongbao/serve/minter.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "libhongbao/check.h"
#include "libhongbao/envelope/amounts.h"

namespace hongbao::serve {
namespace {

using envelope::LuckyEnvelope;
using envelope::Random;

constexpr int64_t kRateMax = 1'000'000;
constexpr int64_t kFenMax = std::numeric_limits<uint32_t>::max();
constexpr int64_t kAheadMaxS = 7 * 24 * 3600;  // a start further off is a slip, not a plan
constexpr size_t kKeyBytesMax = 128;
constexpr size_t kBatch = 256;                           // envelopes drawn and published at once
constexpr int64_t kRetryNs = time::kNsPerMs;             // when something had no room
constexpr int64_t kOfferAgainNs = 200 * time::kNsPerMs;  // a gift without room: until something is opened or expires
constexpr int64_t kPassedOver = 1 << 16;  // places of older orders that one step draws only to get behind them: a millisecond

struct Range {
  absl::string_view name;
  int64_t value, least, most;
};

// Of the first that is out of its range; the later ones may have been made from earlier ones.
absl::Status CheckRanges(absl::Span<const Range> ranges) {
  for (const Range& range : ranges) {
    if (range.value < range.least || range.value > range.most) {
      return absl::InvalidArgumentError(
          absl::StrCat(range.name, " is ", range.value, "; it must be ", range.least, "..", range.most));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckKey(const std::string& key) {
  const bool good = key.size() <= kKeyBytesMax && std::all_of(key.begin(), key.end(), [](char c) { return c > ' ' && c < 0x7f; });
  return good ? absl::OkStatus()
              : absl::InvalidArgumentError(absl::StrCat("the order's key has ", key.size(), " characters; it may have 1..",
                                                        kKeyBytesMax, ", all of them visible ASCII, no blanks"));
}

// Two orders of one key are the same when this is.
std::string Asked(const MintOrder& order) {
  std::string text =
      absl::StrCat(order.kind == MintOrder::Kind::kGift ? "gift" : "shake", " rate=", order.rate, " count=", order.count,
                   " min_fen=", order.min_fen, " max_fen=", order.max_fen, " at=", order.at_s, " seed=", order.seed);
  if (order.kind == MintOrder::Kind::kGift) {
    absl::StrAppend(&text, " users=", order.users, " first_user=", order.first_user, " last_user=");
    order.last_user.has_value() ? absl::StrAppend(&text, *order.last_user) : absl::StrAppend(&text, "last");
  }
  return text;
}

MintReceipt ReceiptOf(const ledger::Order& order, bool repeated) {
  return {.first_id = order.first_id, .count = order.count, .at_s = order.at_s, .repeated = repeated};
}

absl::Status NoOrder(const std::string& which) {
  return absl::NotFoundError(absl::StrCat("there is no order ", which, "; GET /v1/envelopes/orders lists them"));
}

}  // namespace

Minter::Minter(time::WallSteps* wall, envelope::LuckyPool* pool, uint32_t users_max, uint32_t workers, PostGift post_gift,
               ledger::Ledger* ledger, Returned* returned)
    : wall_(wall),
      steady_(*wall),
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
  const int64_t at_s = order.at_s != 0 ? order.at_s : now_s + 1;
  absl::Status status = CheckRanges({{"rate", order.rate, 1, kRateMax},
                                     {"count", order.count, 1, kLastShakeId},
                                     {"max_fen", order.max_fen, 1, kFenMax},
                                     {"min_fen", order.min_fen, 1, order.max_fen},
                                     {"at", at_s, now_s + 1, now_s + kAheadMaxS}});
  if (!status.ok() || order.kind != MintOrder::Kind::kGift) {
    return status;
  }
  const int64_t last_user = order.last_user.value_or(users_max_ - 1);
  status = CheckRanges({{"users", order.users, 1, kGiftUsersMax},
                        {"last_user", last_user, 0, int64_t{users_max_} - 1},
                        {"first_user", order.first_user, 0, last_user},
                        {"users", order.users, 1, last_user - order.first_user + 1}});
  if (status.ok() && order.max_fen < order.users) {
    return absl::InvalidArgumentError(
        absl::StrCat("max_fen is ", order.max_fen, "; a gift to ", order.users, " users needs a fen for each"));
  }
  return status;
}

ledger::Order Minter::OrderOf(const MintOrder& order, int64_t now_ns) const {
  const bool is_gift = order.kind == MintOrder::Kind::kGift;
  ledger::Order kept{.is_gift = is_gift,
                     .count = order.count,
                     .rate = order.rate,
                     .min_fen = order.min_fen,
                     .max_fen = order.max_fen,
                     .at_s = order.at_s != 0 ? order.at_s : time::UnixSecond(now_ns) + 1,
                     .created_ms = now_ns / time::kNsPerMs,
                     .key = order.seed == 0 ? Random::SystemKey() : Random::SeedKey(order.seed),
                     .users = is_gift ? order.users : 0,
                     .first_user = order.first_user,
                     .last_user = is_gift ? order.last_user.value_or(users_max_ - 1) : 0,
                     .caller_key = order.key,
                     .asked = order.key.empty() ? "" : Asked(order)};
  if (!is_gift) {  // the budget is known, and durable, before the first shake
    kept.total = envelope::Amounts(kept.key, kept.min_fen, kept.max_fen, kept.count).Total();
  }
  return kept;
}

// What an order may be refused for although it is a good one. Under the mutex.
absl::Status Minter::CheckRoom(const ledger::Order& order) const {
  if (stopped_) {
    return absl::FailedPreconditionError("the server is stopping");
  }
  const int64_t ids_left = static_cast<int64_t>(order.is_gift ? kLastMintedGiftId + uint64_t{1} - next_gift_id_
                                                              : kLastShakeId + uint64_t{1} - next_shake_id_);
  if (order.count > ids_left) {
    return absl::ResourceExhaustedError(absl::StrCat("only ", ids_left, " ", order.is_gift ? "gift" : "envelope",
                                                     " ids are left, and count is ", order.count,
                                                     ": order no more than that, or start with a new ledger"));
  }
  const int64_t money_left = envelope::Amounts::kTotalMaxFen - book_.ordered_max().value();
  if (OrderBook::MaxOf(order).value() > money_left) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "count times max_fen may be ", std::max<int64_t>(money_left, 0),
        " fen at most: all orders of a ledger together may not exceed 2^62 fen; lower one of them, or start with a new ledger"));
  }
  if (book_.full()) {
    return absl::ResourceExhaustedError(
        absl::StrCat("a ledger holds ", OrderBook::kOrdersMax, " orders, and they are used up; start with a new ledger"));
  }
  if (ledger_ != nullptr && ledger_->full()) {
    return absl::ResourceExhaustedError("the ledger file holds as many grants as it can; start with a new one");
  }
  return absl::OkStatus();
}

uint32_t Minter::AllocateIds(bool is_gift, int64_t count) {
  uint64_t& next = is_gift ? next_gift_id_ : next_shake_id_;
  return static_cast<uint32_t>(std::exchange(next, next + static_cast<uint64_t>(count)));
}

template <class Find>
KnownOrder* Minter::FindRecorded(Lock& lock, Find find) {
  KnownOrder* known = find();
  while (known != nullptr && !known->recorded) {
    recorded_.wait(lock);
    known = find();  // it may be gone
  }
  return known;
}

absl::StatusOr<MintReceipt> Minter::Add(const MintOrder& order) {
  if (absl::Status status = CheckKey(order.key); !status.ok()) {
    return status;
  }
  const time::Moment now = wall_->Now();
  absl::Status status = Validate(order, time::UnixSecond(now.wall_ns));
  ledger::Order kept;
  if (status.ok()) {
    kept = OrderOf(order, now.wall_ns);
  }
  Lock lock(mutex_);
  // First: what was a good order once may not be any more, its second has passed perhaps.
  const KnownOrder* before = order.key.empty() ? nullptr : FindRecorded(lock, [&] { return book_.FindByKey(order.key); });
  if (before != nullptr) {
    return before->order.asked == Asked(order)
               ? absl::StatusOr<MintReceipt>(ReceiptOf(before->order, true))
               : absl::AlreadyExistsError(absl::StrCat("the key ", order.key, " belongs to order ", before->order.first_id,
                                                       ", which is another: ", before->order.asked));
  }
  status.Update(status.ok() ? CheckRoom(kept) : status);
  if (!status.ok()) {
    return status;
  }
  kept.first_id = AllocateIds(kept.is_gift, kept.count);
  KnownOrder& known = book_.Add({.order = kept, .recorded = false});
  if (ledger_ != nullptr) {
    lock.unlock();
    status = ledger_->RecordOrder(kept);
    lock.lock();
  }
  if (status.ok()) {
    known.recorded = true;
    runs_.push_back(MakeRun(known));
    if (order.at_s == 0) {  // the next second, whatever becomes of the wall clock until then
      runs_.back().begun = true;
      runs_.back().schedule.StartAt((time::UnixSecond(now.steady_ns) + 1) * time::kNsPerSecond);
    }
  } else {
    book_.Remove(kept.first_id);
  }
  recorded_.notify_all();
  changed_.notify_all();
  return status.ok() ? absl::StatusOr<MintReceipt>(ReceiptOf(kept, false)) : status;
}

Minter::Run Minter::MakeRun(KnownOrder& known) {
  const ledger::Order& order = known.order;
  const int64_t end = known.cancel.has_value() ? known.cancel->place : order.count;
  return {.known = &known, .schedule = MintSchedule(order.at_s * time::kNsPerSecond, order.rate, end), .draw = OrderDraw(order)};
}

void Minter::Restore(ledger::Recovered& recovered) {
  next_shake_id_ = std::max(next_shake_id_, recovered.next_shake_id);
  next_gift_id_ = std::max(next_gift_id_, recovered.next_minted_gift_id);
  for (ledger::FinishedOrder& closed : recovered.closed) {
    book_.Add({.order = std::move(closed.order), .issued = closed.issued, .cancel = closed.cancel});
  }
  for (ledger::UnfinishedOrder& open : recovered.orders) {
    KnownOrder& known = book_.Add(
        {.order = std::move(open.order), .issued = open.taken.count(), .issued_fen = open.taken_fen, .cancel = open.cancel});
    Run run = MakeRun(known);
    run.taken = std::move(open.taken);
    run.schedule.CountIssued(run.taken.CountBelow(known.cancel.has_value() ? known.cancel->place : known.order.count));
    runs_.push_back(std::move(run));
  }
}

// ---- the end of an order ----

std::optional<Minter::Run> Minter::TakeRun(const KnownOrder& known) {
  const auto run = std::find_if(runs_.begin(), runs_.end(), [&known](const Run& one) { return one.known == &known; });
  if (run == runs_.end()) {
    return std::nullopt;
  }
  std::optional<Run> taken = std::move(*run);
  runs_.erase(run);
  return taken;
}

ledger::Cancel Minter::CancelOf(const KnownOrder& known, const Run* run) const {
  const ledger::Order& order = known.order;
  ledger::Cancel cancel{.first_id = order.first_id, .place = order.count, .at_ms = wall_->Now().wall_ns / time::kNsPerMs};
  if (run != nullptr) {
    cancel.place = run->drawn.empty() ? run->next_place : int64_t{run->drawn.front().id} - order.first_id;
  }
  if (!order.is_gift) {
    cancel.shares = known.left();
    cancel.amount = order.total - known.issued_fen;
  }
  return cancel;
}

absl::StatusOr<KnownOrder> Minter::Cancel(uint32_t first_id) {
  Lock lock(mutex_);
  KnownOrder* known = FindRecorded(lock, [&] { return book_.Find(first_id); });
  if (known == nullptr) {
    return NoOrder(absl::StrCat(first_id));
  }
  if (known->cancel.has_value()) {
    return *known;
  }
  if (stopped_) {
    return absl::FailedPreconditionError("the server is stopping");
  }
  const int64_t left = known->left();
  if (left == 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("order ", first_id, " is finished: all its ", known->order.count, " envelopes were issued, and they stay"));
  }
  std::optional<Run> run = TakeRun(*known);  // from here on nothing more of it is issued
  const ledger::Cancel cancel = CancelOf(*known, run.has_value() ? &*run : nullptr);
  if (ledger_ != nullptr) {
    known->recorded = false;
    lock.unlock();
    absl::Status status = ledger_->RecordCancel(cancel);
    lock.lock();
    known->recorded = true;
    recorded_.notify_all();
    if (!status.ok()) {
      if (run.has_value()) {
        runs_.push_back(*std::move(run));
      }
      return status;
    }
  }
  known->cancel = cancel;
  std::erase_if(gifts_again_, [&](const MintedGift& gift) { return book_.FindByEnvelope(gift.gift_id) == known; });
  known->offered_again = 0;
  NoteCancelled(*known, known->order.is_gift ? known->cancelled() : left);
  return *known;
}

void Minter::NoteCancelled(const KnownOrder& known, int64_t left) {
  if (known.order.is_gift) {
    cancelled_.gifts += static_cast<uint64_t>(left);
  } else {
    cancelled_.shakes += static_cast<uint64_t>(left);
    cancelled_.shakes_fen += known.cancel->amount;
  }
}

Cancelled Minter::cancelled() const {
  const Lock lock(mutex_);
  return cancelled_;
}

std::vector<KnownOrder> Minter::List(uint32_t first_id, size_t limit) const {
  const Lock lock(mutex_);
  std::vector<KnownOrder> found;
  for (auto one = book_.orders().lower_bound(first_id); one != book_.orders().end() && found.size() < limit; ++one) {
    found.push_back(one->second);
  }
  return found;
}

size_t Minter::orders() const {
  const Lock lock(mutex_);
  return book_.orders().size();
}

absl::StatusOr<KnownOrder> Minter::Show(uint32_t first_id) const {
  const Lock lock(mutex_);
  const auto one = book_.orders().find(first_id);
  return one == book_.orders().end() ? absl::StatusOr<KnownOrder>(NoOrder(absl::StrCat(first_id))) : one->second;
}

absl::StatusOr<KnownOrder> Minter::ShowByKey(const std::string& key) {
  const Lock lock(mutex_);
  const KnownOrder* known = book_.FindByKey(key);
  return known == nullptr ? absl::StatusOr<KnownOrder>(NoOrder(absl::StrCat("of key ", key))) : *known;
}

// ---- issuing ----

void Minter::Begin(Run& run, const time::Moment& now) {
  if (run.begun) {
    return;
  }
  const int64_t at_s = run.known->order.at_s;
  run.schedule.StartAt(at_s * time::kNsPerSecond - (now.wall_ns - now.steady_ns));
  run.begun = at_s * time::kNsPerSecond <= now.wall_ns;
  if (run.schedule.issued() > 0) {  // in an earlier life
    run.begun = true;
    run.schedule.GoOnFrom(now.steady_ns);
  }
}

int64_t Minter::Step() {
  const std::lock_guard<std::mutex> lock(mutex_);
  const time::Moment now = steady_.Look();
  const int64_t now_ns = now.steady_ns;
  history_.Roll(time::UnixSecond(now_ns), counted_);
  int64_t next_ns = now_ns + time::kNsPerSecond;
  IssueReturned();
  CollectRefusedGifts();
  OfferGiftsAgain(now.monotonic_ns);
  int64_t budget = kPassedOver;
  for (Run& run : runs_) {
    Begin(run, now);
    const int64_t due = run.schedule.Due(now_ns);
    const int64_t issued = run.known->order.is_gift ? IssueGifts(run, due, budget) : IssueShakes(run, due, budget);
    run.schedule.CountIssued(issued);
    if (!run.schedule.done()) {
      next_ns = std::min(next_ns, issued < due ? now_ns + kRetryNs : run.schedule.NextNs());
    }
  }
  std::erase_if(runs_, [](const Run& run) { return run.schedule.done(); });
  counted_.Set(MintCounter::kIssued, pool_->issued().count);
  return next_ns;
}

// They were issued before, on time: they go out as soon as there is room.
void Minter::IssueReturned() {
  if (returned_ == nullptr) {
    return;
  }
  for (const envelope::LuckyEnvelope& envelope : returned_->TakeEnvelopes()) {
    again_.push_back(envelope);
  }
  const size_t fitted = pool_->Publish(again_);
  again_.erase(again_.begin(), again_.begin() + static_cast<std::ptrdiff_t>(fitted));
}

// Gifts that found no room. Those of a cancelled order were never made, and nobody has been told of them.
void Minter::CollectRefusedGifts() {
  if (returned_ == nullptr) {
    return;
  }
  for (const MintedGift& gift : returned_->TakeGifts()) {
    KnownOrder* known = book_.FindByEnvelope(gift.gift_id);
    Check(known != nullptr && known->issued > 0, "a minted gift belongs to an order");
    --known->issued;
    if (known->cancel.has_value()) {
      NoteCancelled(*known, 1);
    } else {
      ++known->offered_again;
      gifts_again_.push_back(gift);
    }
  }
}

void Minter::OfferGiftsAgain(int64_t now_ns) {
  if (gifts_again_.empty() || (now_ns < offer_again_ns_ && offer_again_ns_ - now_ns <= kOfferAgainNs)) {
    return;
  }
  offer_again_ns_ = now_ns + kOfferAgainNs;
  std::erase_if(gifts_again_, [this](const MintedGift& gift) {
    KnownOrder* known = book_.FindByEnvelope(gift.gift_id);
    if (!known->recorded || !post_gift_(OwnerOf(gift.gift_id, workers_), gift)) {  // it is being cancelled
      return false;
    }
    --known->offered_again;
    ++known->issued;
    return true;
  });
}

int64_t Minter::IssueShakes(Run& run, int64_t due, int64_t& budget) {
  const ledger::Order& order = run.known->order;
  int64_t issued = 0;
  while (issued < due) {
    const size_t want = std::min(kBatch, static_cast<size_t>(due - issued));
    while (run.drawn.size() < want) {
      run.next_place = run.taken.NextFree(run.next_place);
      if (!run.draw.Reach(order, run.next_place, budget)) {
        break;
      }
      run.drawn.push_back(run.draw.Shake(order, run.next_place++));
    }
    const size_t fitted = pool_->Publish(absl::MakeConstSpan(run.drawn).first(std::min(want, run.drawn.size())));
    for (size_t i = 0; i < fitted; ++i) {
      run.known->issued_fen += run.drawn[i].amount;
    }
    run.drawn.erase(run.drawn.begin(), run.drawn.begin() + static_cast<std::ptrdiff_t>(fitted));
    run.known->issued += static_cast<int64_t>(fitted);
    issued += static_cast<int64_t>(fitted);
    if (fitted < want) {
      break;  // the pool is full, or there is a long way to the next place
    }
  }
  return issued;
}

int64_t Minter::IssueGifts(Run& run, int64_t due, int64_t& budget) {
  const ledger::Order& order = run.known->order;
  if (run.known->offered_again > 0) {
    return 0;  // the others would find no room either
  }
  for (int64_t issued = 0; issued < due; ++issued) {
    if (!run.gift.has_value()) {
      run.next_place = run.taken.NextFree(run.next_place);
      if (!run.draw.Reach(order, run.next_place, budget)) {
        return issued;
      }
      run.gift = run.draw.Gift(order, run.next_place++);
    }
    if (!post_gift_(OwnerOf(run.gift->gift_id, workers_), *run.gift)) {
      return issued;  // the owner's inbox is full
    }
    run.gift.reset();
    ++run.known->issued;
  }
  return due;
}

int64_t Minter::waiting() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  auto waiting = static_cast<int64_t>(gifts_again_.size());
  for (const Run& run : runs_) {
    waiting += run.schedule.left();
  }
  return waiting;
}

int64_t Minter::LeftByBook() const {
  const Lock lock(mutex_);
  int64_t left = 0;
  for (const auto& [first_id, known] : book_.orders()) {
    left += known.left();
  }
  return left;
}

size_t Minter::runs() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return runs_.size();
}

void Minter::Loop() {
  for (;;) {
    const int64_t next_ns = Step();
    std::unique_lock<std::mutex> lock(mutex_);
    if (stopped_) {
      return;
    }
    const int64_t sleep_ns = std::clamp<int64_t>(next_ns - wall_->Now().steady_ns, 0, time::kNsPerSecond);
    // Woken early by Add and Stop; a spare wake-up only looks once more. An order that came between Step and this lock
    // starts at the next whole second at the earliest, but may be due before a long sleep ends: so a short one.
    changed_.wait_for(lock, std::chrono::nanoseconds(std::min<int64_t>(sleep_ns, 50 * time::kNsPerMs)));
    if (stopped_) {
      return;
    }
  }
}

}  // namespace hongbao::serve
