#include "libhongbao/serve/gifts.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "libhongbao/check.h"
#include "libhongbao/time/clock.h"

namespace hongbao::serve {
namespace {

uint64_t FirstSentId(const GiftOptions& options, const GiftServices& services) {
  uint64_t id = options.first_sent_id;
  while (id <= kLastSentGiftId && OwnerOf(static_cast<uint32_t>(id), services.workers) != services.worker) {
    ++id;
  }
  return id;
}

}  // namespace

Gifts::Gifts(const GiftOptions& options, const GiftServices& services, const envelope::Random& random)
    : options_(options),
      worker_(services.worker),
      workers_(services.workers),
      remind_max_(std::clamp<size_t>(kRemindMaxOfAll / services.workers, 1, kRemindMax)),
      directory_(services.directory),
      ledger_(services.ledger),
      cells_(services.cells),
      returned_(services.returned),
      post_(services.post),
      random_(random),
      book_({.gifts_max = options.gifts_max}),
      next_sent_id_(FirstSentId(options, services)) {
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
    return waits == waiting_.end() ? gift.expires_ms : now_ns / time::kNsPerMs + LivesMs(waits->second, wall_ns / time::kNsPerMs);
  });
  waiting_ = {};
}

void Gifts::Restore(const ledger::LiveGift& gift, int64_t now_ns, int64_t wall_ns, bool confirmed) {
  Check(OwnerOf(gift.id, workers_) == worker_, "a gift lives with its owner");
  const int64_t now_ms = now_ns / time::kNsPerMs;
  constexpr int64_t kForLongMs = int64_t{100} * 365 * 86'400'000;
  const int64_t lives_ms = confirmed ? LivesMs(gift.expires_ms, wall_ns / time::kNsPerMs) : kForLongMs;
  if (!confirmed) {
    waiting_[gift.id] = gift.expires_ms;
  }
  const envelope::GiftCreated restored =
      book_.Restore(gift.id, gift.sender, envelope::Fen(gift.total_fen), gift.users, gift.opened_fen, now_ms, now_ms + lives_ms);
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
    directory_.RemoveUnopened(user);
  }
  cells_.Add(Counter::kRefundedShares, refund.shares);
  cells_.Add(Counter::kRefundedFen, static_cast<uint64_t>(refund.amount.value()));
  if (ledger_.durable()) {
    ledger::Record record = RecordOf(ledger::RecordKind::kRefund, refund.gift_id, refund.amount.ToWire());
    record.user_count = static_cast<uint8_t>(refund.shares);
    ledger_.Submit(record);
  }
}

wire::SendResult Gifts::Send(const GiftSend& send, uint32_t* gift_id) {
  const uint32_t amount_fen = send.amount_fen;
  const absl::Span<const uint32_t> users = send.users;
  const bool good = !users.empty() && users.size() <= kGiftUsersMax && amount_fen >= users.size() &&
                    std::all_of(users.begin(), users.end(), [this](uint32_t user) { return user < directory_.users_max(); });
  if (!good) {
    return wire::SendResult::kRefused;
  }
  if (next_sent_id_ > kLastSentGiftId) {
    cells_.Add(Counter::kSendsNoIds);  // this worker has given out all its ids, a billion in all
    return wire::SendResult::kOverload;
  }
  if (ledger_.durable() && ledger_.full()) {
    cells_.Add(Counter::kLedgerFull);
    return wire::SendResult::kOverload;
  }
  if (const wire::SendResult allowed = ReserveAllowance(send); allowed != wire::SendResult::kOk) {
    return allowed;
  }
  const uint32_t id = static_cast<uint32_t>(next_sent_id_);
  switch (Create(id, send.sender, amount_fen, users, Directory::kUnopenedOfSendsMax)) {
    case envelope::GiftCreated::kBad:
      ReleaseAllowance(send.sender);
      return wire::SendResult::kRefused;
    case envelope::GiftCreated::kFull:
      ReleaseAllowance(send.sender);
      cells_.Add(Counter::kSendsUserFull);
      return wire::SendResult::kOverload;
    case envelope::GiftCreated::kOk:
      break;
  }
  *gift_id = id;
  next_sent_id_ += workers_;
  Begin(id, send, /*has_stamp=*/true);
  return wire::SendResult::kOk;
}

wire::SendResult Gifts::ReserveAllowance(const GiftSend& send) {
  // A quarter of the book is the minter's alone.
  if (book_.totals().gifts_live >= options_.gifts_max - options_.gifts_max / 4) {
    cells_.Add(Counter::kSendsBookFull);
    return wire::SendResult::kOverload;
  }
  const uint32_t per_pair = options_.gifts_per_pair;
  // Not looked for while the sender has too few for it.
  if (per_pair != 0 && directory_.sent(send.sender) >= per_pair && book_.AnyInvitedOften(send.sender, send.users, per_pair)) {
    cells_.Add(Counter::kSendsPairCap);
    return wire::SendResult::kCapped;
  }
  const uint32_t per_sender = options_.gifts_per_sender;
  if (!directory_.AddSent(send.sender, per_sender != 0 ? per_sender : std::numeric_limits<uint32_t>::max())) {
    cells_.Add(Counter::kSendsSenderCap);
    return wire::SendResult::kCapped;
  }
  return wire::SendResult::kOk;
}

void Gifts::ReleaseAllowance(uint32_t sender) {
  if (sender < directory_.users_max()) {  // not of a minted gift
    directory_.RemoveSent(sender);
  }
}

envelope::GiftCreated Gifts::Create(uint32_t gift_id, uint32_t sender, uint32_t amount_fen, absl::Span<const uint32_t> users,
                                    uint32_t unopened_max) {
  Check(OwnerOf(gift_id, workers_) == worker_, "a gift lives with its owner");
  // Counted before anyone looks for a session, see Directory::Login.
  size_t counted = 0;
  while (counted < users.size() && directory_.AddUnopened(users[counted], unopened_max)) {
    ++counted;
  }
  // Somebody has as many unopened gifts as can be counted: that may change, the request is not wrong.
  envelope::GiftCreated created = envelope::GiftCreated::kFull;
  if (counted == users.size()) {
    created = book_.Create(gift_id, sender, envelope::Fen(amount_fen), users, now_ms_, now_ms_ + options_.expiry_ms);
  }
  if (created != envelope::GiftCreated::kOk) {
    for (size_t i = 0; i < counted; ++i) {
      directory_.RemoveUnopened(users[i]);
    }
  }
  return created;
}

void Gifts::Handle(const MintedGift& gift) {
  const absl::Span<const uint32_t> users = gift.invited.Users();
  const envelope::GiftCreated created = Create(gift.gift_id, ledger::kNobody, gift.amount_fen, users, Directory::kUnopenedMax);
  if (created == envelope::GiftCreated::kFull) {
    cells_.Add(Counter::kGiftsOfferedAgain);
    returned_.GiveGift(gift);
  } else if (created != envelope::GiftCreated::kOk) {
    cells_.Add(Counter::kGiftsRefused);
    cells_.Add(Counter::kGiftsRefusedFen, gift.amount_fen);
  } else {
    Begin(gift.gift_id, {.sender = ledger::kNobody, .amount_fen = gift.amount_fen, .users = users}, /*has_stamp=*/false);
  }
}

void Gifts::Begin(uint32_t gift_id, const GiftSend& send, bool has_stamp) {
  if (ledger_.durable()) {
    SubmitGift(gift_id, send, has_stamp);
  } else {
    Announce(gift_id, send.amount_fen, send.users);
  }
}

void Gifts::Announce(uint32_t gift_id, uint32_t amount_fen, absl::Span<const uint32_t> users) {
  cells_.Add(Counter::kGiftsSent);
  cells_.Add(Counter::kGiftsSentFen, amount_fen);
  cells_.Add(Counter::kGiftShares, users.size());
  Notice notice{.gift = {.gift_id = gift_id, .amount_fen = amount_fen, .invited = Invited(users)}};
  for (const uint32_t user : users) {
    const uint64_t address = directory_.Find(user);
    if (address == kOffline) {
      continue;  // told at the next login
    }
    notice.user = user;
    notice.address = address;
    post_(Unpack(address).worker, notice);
  }
}

// ---- with a ledger: a gift is told of, and a share is paid, once it is durable ----

ledger::Record Gifts::RecordOf(ledger::RecordKind kind, uint32_t gift_id, uint32_t amount_fen) const {
  return {.kind = kind, .envelope_id = gift_id, .amount_fen = amount_fen, .at_ms = wall_ms_};
}

void Gifts::SubmitGift(uint32_t gift_id, const GiftSend& send, bool has_stamp) {
  book_.Hold(gift_id);
  pending_shares_ += {send.users.size(), envelope::Fen(send.amount_fen)};
  ledger::Record record = RecordOf(ledger::RecordKind::kGift, gift_id, send.amount_fen);
  record.has_stamp = has_stamp;
  record.user = send.sender;
  record.user_count = static_cast<uint8_t>(send.users.size());
  record.stamp = send.stamp;
  record.reply_to = send.reply_to;
  record.login = send.login;
  record.expires_ms = std::max(wall_ms_, now_ms_ + floor_ms_) + options_.expiry_ms;
  std::copy(send.users.begin(), send.users.end(), record.users);
  ledger_.Submit(record);
}

void Gifts::OnGiftSettled(const ledger::Outcome& outcome) {
  const bool made = outcome.settled == ledger::Settled::kNew;
  const uint32_t gift_id = made ? outcome.envelope_id : outcome.unused_id;
  const envelope::Gift* gift = book_.Find(gift_id);
  Check(gift != nullptr && gift->held, "a held gift stays until the ledger has settled it");
  uint32_t users[kGiftUsersMax];
  const absl::Span<const uint32_t> invited(users, gift->CopyUsers(users));
  pending_shares_ -= {invited.size(), gift->total};
  if (made) {
    book_.Release(gift_id);
    Announce(gift_id, gift->total.ToWire(), invited);
    return;
  }
  // The request had made its gift before, or a newer session has been told that there is none (kNone): the one it made this time
  // never was.
  cells_.Add(outcome.settled == ledger::Settled::kRepeat ? Counter::kSendsRepeated : Counter::kLate);
  for (const uint32_t user : invited) {
    directory_.RemoveUnopened(user);
  }
  ReleaseAllowance(gift->sender);
  book_.Cancel(gift_id);
}

void Gifts::SubmitOpen(const OpenGift& open, ledger::RecordKind kind, uint32_t amount_fen) {
  ledger::Record record = RecordOf(kind, open.gift_id, amount_fen);
  record.has_stamp = open.has_identity;
  record.user = open.user;
  record.stamp = open.stamp;
  record.reply_to = open.address;
  ledger_.Submit(record);
}

void Gifts::OnOpenSettled(const ledger::Outcome& outcome) {
  if (outcome.kind == ledger::RecordKind::kFindOpen) {
    cells_.Add(outcome.settled == ledger::Settled::kNone ? Counter::kOpensEmpty : Counter::kOpenedAgain);
    return;
  }
  pending_opens_ -= {1, envelope::Fen(outcome.amount_fen)};
  CountOpen(outcome.user, outcome.amount_fen);
  Remind({.address = outcome.reply_to, .user = outcome.user}, remind_max_ - 1);
}

void Gifts::CountOpen(uint32_t user, uint32_t amount_fen) {
  cells_.Add(Counter::kOpened);
  cells_.Add(Counter::kOpenedFen, amount_fen);
  directory_.RemoveUnopened(user);
}

void Gifts::Handle(const OpenGift& open) {
  // Opens of all the user's sessions meet here, so one look is enough: what a newer session was told stays true.
  if (const uint64_t newest = directory_.Find(open.user); newest != open.address && newest != kOffline) {
    cells_.Add(Counter::kLate);
    return post_(Unpack(open.address).worker, Supersede{open.address});
  }
  if (ledger_.file_full()) {  // nothing may be drawn that cannot be recorded
    return RefuseOpen(open);
  }
  const envelope::GiftOpening opening = book_.Open(open.gift_id, open.user, now_ms_, random_);
  if (!ledger_.durable()) {
    AnswerOpen(open, opening);
  } else if (opening.outcome == envelope::GiftOpened::kNew) {
    RememberShare(open);
    pending_opens_ += {1, opening.amount};
    SubmitOpen(open, ledger::RecordKind::kOpen, opening.amount.ToWire());
  } else if (ledger_.swamped()) {
    RefuseOpen(open);
  } else {  // drawn before, perhaps not durable yet; or expired, perhaps opened before: the ledger knows
    SubmitOpen(open, ledger::RecordKind::kFindOpen, 0);
  }
}

void Gifts::RefuseOpen(const OpenGift& open) {
  cells_.Add(Counter::kLedgerFull);
  post_(Unpack(open.address).worker, OpenRefused{open.address});
}

void Gifts::AnswerOpen(const OpenGift& open, const envelope::GiftOpening& opening) {
  const uint32_t amount_fen = opening.amount.ToWire();
  const bool is_new = opening.outcome == envelope::GiftOpened::kNew;
  if (is_new) {
    CountOpen(open.user, amount_fen);
    directory_.AddGrant(open.user, opening.amount.value());
    RememberShare(open);
  } else {
    cells_.Add(opening.outcome == envelope::GiftOpened::kAgain ? Counter::kOpenedAgain : Counter::kOpensEmpty);
  }
  post_(Unpack(open.address).worker,
        GiftOpened{
            .address = open.address, .stamp = open.stamp, .user = open.user, .gift_id = open.gift_id, .amount_fen = amount_fen});
  if (is_new) {
    Remind({.address = open.address, .user = open.user}, remind_max_ - 1);
  }
}

void Gifts::Remind(const AskForNotices& ask, size_t skip) {
  size_t visited = 0;
  book_.ForEachUnopened(ask.user, now_ms_, remind_max_, [&](const envelope::Gift& gift) {
    if (visited++ >= skip) {
      Notify(gift, ask.user, ask.address);
    }
  });
}

void Gifts::Handle(const AskForNotice& ask) {
  const envelope::Gift* gift = book_.Find(ask.gift_id);
  if (gift != nullptr && !gift->held && now_ms_ < gift->expires_ms) {
    Notify(*gift, ask.user, ask.address);
  }
}

void Gifts::Notify(const envelope::Gift& gift, uint32_t user, uint64_t address) {
  Notice notice{.address = address, .user = user, .gift = {.gift_id = gift.id, .amount_fen = gift.total.ToWire(), .invited = {}}};
  notice.gift.invited.count = static_cast<uint8_t>(gift.CopyUsers(notice.gift.invited.users));
  post_(Unpack(address).worker, notice);
}

}  // namespace hongbao::serve
