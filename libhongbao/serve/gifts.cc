#include "libhongbao/serve/gifts.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "libhongbao/check.h"
#include "libhongbao/time/clock.h"

namespace hongbao::serve {
namespace {

uint64_t FirstSentId(const GiftOptions& options) {
  uint64_t id = options.first_sent_id;
  while (id <= kLastSentGiftId && OwnerOf(static_cast<uint32_t>(id), options.workers) != options.worker) {
    ++id;
  }
  return id;
}

void Add(envelope::Tally& tally, size_t shares, uint32_t fen) {
  tally.count += shares;
  tally.sum += envelope::Fen(fen);
}

void Subtract(envelope::Tally& tally, size_t shares, uint32_t fen) {
  tally.count -= shares;
  tally.sum -= envelope::Fen(fen);
}

}  // namespace

Gifts::Gifts(const GiftOptions& options, Directory* directory, LedgerLane* ledger,
                   count::Cells<Counter>* cells, PostFunction post, envelope::Random random)
    : options_(options),
      remind_max_(std::clamp<size_t>(kRemindMaxOfAll / options.workers, 1, kRemindMax)),
      directory_(directory),
      ledger_(ledger),
      cells_(cells),
      post_(std::move(post)),
      random_(random),
      book_({.gifts_max = options.gifts_max}),
      next_sent_id_(FirstSentId(options)) {
  static_assert(ledger::kNobody == envelope::kNoSender);
  static_assert(kGiftUsersMax == envelope::kGiftUsersMax && kGiftUsersMax == wire::kUsersMax &&
                kGiftUsersMax == ledger::kInvitedMax);
}

void Gifts::CountUnopened(const ledger::LiveGift& gift, Directory& directory) {
  for (size_t i = 0; i < gift.users.size(); ++i) {
    if (gift.opened_fen[i] == 0) {
      directory.RestoreUnopened(gift.users[i]);
    }
  }
  if (gift.sender < directory.users_max()) {
    directory.AddSent(gift.sender, std::numeric_limits<uint32_t>::max());
  }
}

// A gift of a clock that was dead lives as long as one that is made now.
int64_t Gifts::LivesMs(int64_t expires_ms, int64_t wall_ms) const {
  return expires_ms < time::kDeadClockMs && wall_ms >= time::kDeadClockMs ? options_.expiry_ms
                                                                           : std::max<int64_t>(expires_ms - wall_ms, 1);
}

void Gifts::ConfirmClock(int64_t now_ns, int64_t wall_ns) {
  SetFloor(wall_ns - now_ns);
  if (waiting_.empty()) {
    return;
  }
  book_.Reschedule([&](const envelope::Gift& gift) {
    const auto waits = waiting_.find(gift.id);
    return waits == waiting_.end() ? gift.expires_ms
                                   : now_ns / time::kNsPerMs + LivesMs(waits->second, wall_ns / time::kNsPerMs);
  });
  waiting_ = {};
}

void Gifts::Restore(const ledger::LiveGift& gift, int64_t now_ns, int64_t wall_ns, bool confirmed) {
  Check(OwnerOf(gift.id, options_.workers) == options_.worker, "a gift lives with its owner");
  const int64_t now_ms = now_ns / time::kNsPerMs;
  constexpr int64_t kForLongMs = int64_t{100} * 365 * 86'400'000;
  const int64_t lives_ms = confirmed ? LivesMs(gift.expires_ms, wall_ns / time::kNsPerMs) : kForLongMs;
  if (!confirmed) {
    waiting_[gift.id] = gift.expires_ms;
  }
  const envelope::GiftCreated restored = book_.Restore(gift.id, gift.sender, envelope::Fen(gift.total_fen), gift.users,
                                                       gift.opened_fen, now_ms, now_ms + lives_ms);
  Check(restored == envelope::GiftCreated::kOk, "a gift that was accepted once is good");
}

bool Gifts::BeginTurn(int64_t now_ns, int64_t wall_ns, size_t budget) {
  now_ms_ = now_ns / time::kNsPerMs;
  wall_ms_ = wall_ns / time::kNsPerMs;
  return book_.Expire(
             now_ms_, budget, [this](const envelope::GiftRefund& refund) { Refund(refund); },
             [this](uint32_t sender) { ReleaseAllowance(sender); }) == budget;
}

void Gifts::Refund(const envelope::GiftRefund& refund) {
  for (const uint32_t user : refund.users) {
    directory_->RemoveUnopened(user);
  }
  cells_->Add(Counter::kRefundedShares, refund.shares);
  cells_->Add(Counter::kRefundedFen, static_cast<uint64_t>(refund.amount.value()));
  if (ledger_->durable()) {
    ledger::Record record = RecordOf(ledger::RecordKind::kRefund, refund.gift_id, refund.amount.ToWire());
    record.user_count = static_cast<uint8_t>(refund.shares);
    ledger_->Submit(record);
  }
}

wire::SendResult Gifts::Send(const GiftSend& order, uint32_t* gift_id) {
  const uint32_t amount_fen = order.amount_fen;
  const absl::Span<const uint32_t> users = order.users;
  const bool good =
      !users.empty() && users.size() <= kGiftUsersMax && amount_fen >= users.size() &&
      std::all_of(users.begin(), users.end(), [this](uint32_t user) { return user < directory_->users_max(); });
  if (!good) {
    return wire::SendResult::kRefused;
  }
  if (next_sent_id_ > kLastSentGiftId) {
    cells_->Add(Counter::kSendsNoIds);  // this worker has given out all its ids, a billion in all
    return wire::SendResult::kOverload;
  }
  if (ledger_->durable() && ledger_->full()) {
    cells_->Add(Counter::kLedgerFull);
    return wire::SendResult::kOverload;
  }
  if (const wire::SendResult allowed = ReserveAllowance(order); allowed != wire::SendResult::kOk) {
    return allowed;
  }
  const uint32_t id = static_cast<uint32_t>(next_sent_id_);
  switch (Create(id, order.sender, amount_fen, users, Directory::kUnopenedOfSendsMax)) {
    case envelope::GiftCreated::kBad:
      ReleaseAllowance(order.sender);
      return wire::SendResult::kRefused;
    case envelope::GiftCreated::kFull:
      ReleaseAllowance(order.sender);
      cells_->Add(Counter::kSendsUserFull);
      return wire::SendResult::kOverload;
    case envelope::GiftCreated::kOk:
      break;
  }
  *gift_id = id;
  next_sent_id_ += options_.workers;
  if (ledger_->durable()) {
    SubmitGift(id, amount_fen, order, true);
  } else {
    CountGift(amount_fen, users.size());
    NotifyAll(id, amount_fen, users);
  }
  return wire::SendResult::kOk;
}

wire::SendResult Gifts::ReserveAllowance(const GiftSend& order) {
  // A quarter of the book is the minter's alone.
  if (book_.totals().gifts_live >= options_.gifts_max - options_.gifts_max / 4) {
    cells_->Add(Counter::kSendsBookFull);
    return wire::SendResult::kOverload;
  }
  const uint32_t per_pair = options_.gifts_per_pair;
  // Not looked for while the sender has too few for it.
  if (per_pair != 0 && directory_->sent(order.sender) >= per_pair &&
      book_.AnyInvitedOften(order.sender, order.users, per_pair)) {
    cells_->Add(Counter::kSendsPairCap);
    return wire::SendResult::kCapped;
  }
  const uint32_t per_sender = options_.gifts_per_sender;
  if (!directory_->AddSent(order.sender, per_sender != 0 ? per_sender : std::numeric_limits<uint32_t>::max())) {
    cells_->Add(Counter::kSendsSenderCap);
    return wire::SendResult::kCapped;
  }
  return wire::SendResult::kOk;
}

void Gifts::ReleaseAllowance(uint32_t sender) {
  if (sender < directory_->users_max()) {  // not of a minted gift
    directory_->RemoveSent(sender);
  }
}

void Gifts::Handle(const Message& message) {
  switch (message.kind) {
    case MessageKind::kGift:
      return Mint(message);
    case MessageKind::kOpen:
      return Open(message);
    case MessageKind::kRemind:
      return Remind(message, 0);
    case MessageKind::kRemindOf:
      return RemindOf(message);
    case MessageKind::kSupersede:
    case MessageKind::kNotice:
    case MessageKind::kOpened:
    case MessageKind::kRefuseOpen:
    case MessageKind::kOutcome:
    case MessageKind::kForward:
    case MessageKind::kMove:
      break;
  }
  Check(false, "this message is not for the gift desk");
}

envelope::GiftCreated Gifts::Create(uint32_t gift_id, uint32_t sender, uint32_t amount_fen,
                                       absl::Span<const uint32_t> users, uint32_t unopened_max) {
  Check(OwnerOf(gift_id, options_.workers) == options_.worker, "a gift lives with its owner");
  // Counted before anyone looks for a session, see Directory::Login.
  size_t counted = 0;
  while (counted < users.size() && directory_->AddUnopened(users[counted], unopened_max)) {
    ++counted;
  }
  // Somebody has as many unopened gifts as can be counted: that may change, the request is not wrong.
  envelope::GiftCreated created = envelope::GiftCreated::kFull;
  if (counted == users.size()) {
    created = book_.Create(gift_id, sender, envelope::Fen(amount_fen), users, now_ms_, now_ms_ + options_.expiry_ms);
  }
  if (created != envelope::GiftCreated::kOk) {
    for (size_t i = 0; i < counted; ++i) {
      directory_->RemoveUnopened(users[i]);
    }
  }
  return created;
}

void Gifts::CountGift(uint32_t amount_fen, size_t users) {
  cells_->Add(Counter::kGiftsSent);
  cells_->Add(Counter::kGiftsSentFen, amount_fen);
  cells_->Add(Counter::kGiftShares, users);
}

void Gifts::NotifyAll(uint32_t gift_id, uint32_t amount_fen, absl::Span<const uint32_t> users) {
  Message notice{.kind = MessageKind::kNotice,
                 .user_count = static_cast<uint8_t>(users.size()),
                 .envelope_id = gift_id,
                 .amount_fen = amount_fen};
  std::copy(users.begin(), users.end(), notice.users);
  for (const uint32_t user : users) {
    const uint64_t address = directory_->Find(user);
    if (address == kOffline) {
      continue;  // told at the next login
    }
    notice.user = user;
    notice.address = address;
    post_(Unpack(address).worker, notice);
  }
}

void Gifts::Mint(const Message& message) {
  const absl::Span<const uint32_t> users(message.users, message.user_count);
  const envelope::GiftCreated created =
      Create(message.envelope_id, ledger::kNobody, message.amount_fen, users, Directory::kUnopenedMax);
  if (created == envelope::GiftCreated::kFull && options_.returned != nullptr) {
    cells_->Add(Counter::kGiftsOfferedAgain);
    options_.returned->GiveGift(message);
    return;
  }
  if (created != envelope::GiftCreated::kOk) {
    cells_->Add(Counter::kGiftsRefused);
    cells_->Add(Counter::kGiftsRefusedFen, message.amount_fen);
    return;
  }
  if (ledger_->durable()) {
    SubmitGift(message.envelope_id, message.amount_fen, {.sender = ledger::kNobody, .users = users}, false);
  } else {
    CountGift(message.amount_fen, users.size());
    NotifyAll(message.envelope_id, message.amount_fen, users);
  }
}

// ---- with a ledger: a gift is told of, and a share is paid, once it is durable ----

ledger::Record Gifts::RecordOf(ledger::RecordKind kind, uint32_t gift_id, uint32_t amount_fen) const {
  return {.kind = kind, .envelope_id = gift_id, .amount_fen = amount_fen, .at_ms = wall_ms_};
}

void Gifts::SubmitGift(uint32_t gift_id, uint32_t amount_fen, const GiftSend& order, bool has_stamp) {
  book_.Hold(gift_id);
  Add(pending_shares_, order.users.size(), amount_fen);
  ledger::Record record = RecordOf(ledger::RecordKind::kGift, gift_id, amount_fen);
  record.has_stamp = has_stamp;
  record.user = order.sender;
  record.user_count = static_cast<uint8_t>(order.users.size());
  record.stamp = order.stamp;
  record.reply_to = order.reply_to;
  record.login = order.login;
  record.expires_ms = std::max(wall_ms_, now_ms_ + floor_ms_) + options_.expiry_ms;
  std::copy(order.users.begin(), order.users.end(), record.users);
  ledger_->Submit(record);
}

void Gifts::OnGiftSettled(const ledger::Outcome& outcome) {
  if (outcome.settled == ledger::Settled::kNew) {
    book_.Release(outcome.envelope_id);
    Announce(outcome.envelope_id);
    return;
  }
  // The request had made its gift before, or a newer session has been told that there is none (kNone): the one it made this time
  // never was.
  cells_->Add(outcome.settled == ledger::Settled::kRepeat ? Counter::kSendsRepeated : Counter::kLate);
  const envelope::Gift* gift = book_.Find(outcome.unused_id);
  Check(gift != nullptr && gift->held, "a held gift stays until the ledger has settled it");
  Subtract(pending_shares_, gift->shares.size(), gift->total.ToWire());
  for (const envelope::GiftShare& share : gift->shares) {
    directory_->RemoveUnopened(share.user_id);
  }
  ReleaseAllowance(gift->sender);
  book_.Cancel(outcome.unused_id);
}

void Gifts::Announce(uint32_t gift_id) {
  const envelope::Gift* gift = book_.Find(gift_id);
  Check(gift != nullptr, "a held gift stays until the ledger has settled it");
  uint32_t users[kGiftUsersMax];
  const size_t count = gift->CopyUsers(users);
  Subtract(pending_shares_, count, gift->total.ToWire());
  CountGift(gift->total.ToWire(), count);
  NotifyAll(gift_id, gift->total.ToWire(), absl::MakeConstSpan(users, count));
}

void Gifts::SubmitOpen(const Message& message, ledger::RecordKind kind, uint32_t amount_fen) {
  ledger::Record record = RecordOf(kind, message.envelope_id, amount_fen);
  record.has_stamp = message.has_identity;
  record.user = message.user;
  record.stamp = message.stamp;
  record.reply_to = message.address;
  ledger_->Submit(record);
}

void Gifts::OnOpenSettled(const ledger::Outcome& outcome) {
  if (outcome.kind == ledger::RecordKind::kFindOpen) {
    cells_->Add(outcome.settled == ledger::Settled::kNone ? Counter::kOpensEmpty : Counter::kOpenedAgain);
    return;
  }
  Subtract(pending_opens_, 1, outcome.amount_fen);
  CountOpen(outcome.user, outcome.amount_fen);
  Remind({.user = outcome.user, .address = outcome.reply_to}, remind_max_ - 1);
}

void Gifts::CountOpen(uint32_t user, uint32_t amount_fen) {
  cells_->Add(Counter::kOpened);
  cells_->Add(Counter::kOpenedFen, amount_fen);
  directory_->RemoveUnopened(user);
}

void Gifts::Open(const Message& message) {
  // Opens of all the user's sessions meet here, so one look is enough: what a newer session was told stays true.
  if (const uint64_t newest = directory_->Find(message.user); newest != message.address && newest != kOffline) {
    cells_->Add(Counter::kLate);
    return post_(Unpack(message.address).worker,
                 {.kind = MessageKind::kSupersede, .user = message.user, .address = message.address});
  }
  if (ledger_->file_full()) {  // nothing may be drawn that cannot be recorded
    cells_->Add(Counter::kLedgerFull);
    return post_(Unpack(message.address).worker,
                 {.kind = MessageKind::kRefuseOpen, .user = message.user, .address = message.address});
  }
  const envelope::GiftOpening opening = book_.Open(message.envelope_id, message.user, now_ms_, random_);
  if (ledger_->durable()) {
    if (opening.outcome == envelope::GiftOpened::kNew) {
      directory_->RaiseStamp(message.user, message.has_identity ? message.stamp : kHistoryStamp);
      Add(pending_opens_, 1, opening.amount.ToWire());
      return SubmitOpen(message, ledger::RecordKind::kOpen, opening.amount.ToWire());
    }
    // Drawn before, perhaps not durable yet; or expired, perhaps opened before: the ledger knows.
    if (!ledger_->swamped()) {
      return SubmitOpen(message, ledger::RecordKind::kFindOpen, 0);
    }
    cells_->Add(Counter::kLedgerFull);
    return post_(Unpack(message.address).worker,
                 {.kind = MessageKind::kRefuseOpen, .user = message.user, .address = message.address});
  }
  switch (opening.outcome) {
    case envelope::GiftOpened::kNone:
      cells_->Add(Counter::kOpensEmpty);
      break;
    case envelope::GiftOpened::kAgain:
      cells_->Add(Counter::kOpenedAgain);
      break;
    case envelope::GiftOpened::kNew:
      CountOpen(message.user, opening.amount.ToWire());
      directory_->AddGrant(message.user, opening.amount.value());
      directory_->RaiseStamp(message.user, message.has_identity ? message.stamp : kHistoryStamp);
      break;
  }
  Message opened = message;
  opened.kind = MessageKind::kOpened;
  opened.amount_fen = opening.amount.ToWire();
  post_(Unpack(message.address).worker, opened);
  if (opening.outcome == envelope::GiftOpened::kNew) {
    Remind(message, remind_max_ - 1);
  }
}

void Gifts::Remind(const Message& message, size_t skip) {
  size_t visited = 0;
  book_.ForEachUnopened(message.user, now_ms_, remind_max_, [&](const envelope::Gift& gift) {
    if (visited++ >= skip) {
      Notify(gift, message.user, message.address);
    }
  });
}

void Gifts::RemindOf(const Message& message) {
  const envelope::Gift* gift = book_.Find(message.envelope_id);
  if (gift != nullptr && !gift->held && now_ms_ < gift->expires_ms) {
    Notify(*gift, message.user, message.address);
  }
}

void Gifts::Notify(const envelope::Gift& gift, uint32_t user, uint64_t address) {
  Message notice{.kind = MessageKind::kNotice,
                 .user = user,
                 .address = address,
                 .envelope_id = gift.id,
                 .amount_fen = gift.total.ToWire()};
  notice.user_count = static_cast<uint8_t>(gift.CopyUsers(notice.users));
  post_(Unpack(address).worker, notice);
}

}  // namespace hongbao::serve
