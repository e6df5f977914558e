#include "libhongbao/serve/gift_desk.h"

#include <algorithm>
#include <utility>

#include "libhongbao/check.h"
#include "libhongbao/time/clock.h"

namespace hongbao::serve {
namespace {

uint32_t FirstSentId(uint32_t worker, uint32_t workers) {
  uint32_t id = kFirstSentGiftId;
  while (OwnerOf(id, workers) != worker) {
    ++id;
  }
  return id;
}

}  // namespace

GiftDesk::GiftDesk(const GiftDeskOptions& options, Directory* directory, count::Cells<Counter>* cells,
                   PostFunction post, envelope::Random random)
    : options_(options),
      remind_max_(std::clamp<size_t>(kRemindMaxOfAll / options.workers, 1, kRemindMax)),
      directory_(directory),
      cells_(cells),
      post_(std::move(post)),
      random_(random),
      book_({.gifts_max = options.gifts_max}),
      next_sent_id_(FirstSentId(options.worker, options.workers)) {
  static_assert(kGiftUsersMax == envelope::kGiftUsersMax && kGiftUsersMax == wire::kUsersMax);
}

bool GiftDesk::BeginTurn(int64_t now_ns, size_t budget) {
  now_ms_ = now_ns / time::kNsPerMs;
  if (now_ms_ < next_expiry_ms_ || by_age_.empty()) {
    return false;
  }
  // The book says what was refunded but not who had not opened, so the counts go first. Expiries of one millisecond
  // stay together: then the gifts counted here and the gifts taken out are the same, whatever the book's order among
  // equals.
  size_t due = 0;
  int64_t until_ms = 0;
  while (due < by_age_.size()) {
    const envelope::Gift* gift = book_.Find(by_age_[due]);
    Check(gift != nullptr, "a gift stays in the book until it has expired");
    next_expiry_ms_ = gift->expires_ms;
    if (gift->expires_ms > now_ms_ || (due >= budget && gift->expires_ms > until_ms)) {
      break;
    }
    until_ms = gift->expires_ms;
    for (const envelope::GiftShare& share : gift->shares) {
      if (share.amount_fen == 0) {
        directory_->RemoveUnopened(share.user_id);
      }
    }
    ++due;
  }
  if (due == 0) {
    return false;
  }
  const size_t taken = book_.Expire(until_ms, due, [this](const envelope::GiftRefund& refund) {
    cells_->Add(Counter::kRefundedShares, refund.shares);
    cells_->Add(Counter::kRefundedFen, static_cast<uint64_t>(refund.amount.value()));
  });
  Check(taken == due, "gifts expire in the order in which they were made");
  by_age_.erase(by_age_.begin(), by_age_.begin() + static_cast<std::ptrdiff_t>(due));
  return due >= budget;
}

wire::SendResult GiftDesk::Send(uint32_t sender, uint32_t amount_fen, absl::Span<const uint32_t> users,
                                uint32_t* gift_id) {
  const bool good =
      !users.empty() && users.size() <= kGiftUsersMax && amount_fen >= users.size() &&
      std::all_of(users.begin(), users.end(), [this](uint32_t user) { return user < directory_->users_max(); });
  if (!good) {
    return wire::SendResult::kRefused;
  }
  if (next_sent_id_ < kFirstSentGiftId) {
    return wire::SendResult::kOverload;  // this worker has given out all its ids, a billion in all
  }
  switch (Create(next_sent_id_, sender, amount_fen, users)) {
    case envelope::GiftCreated::kBad:
      return wire::SendResult::kRefused;
    case envelope::GiftCreated::kFull:
      return wire::SendResult::kOverload;
    case envelope::GiftCreated::kOk:
      break;
  }
  *gift_id = next_sent_id_;
  next_sent_id_ += options_.workers;
  NotifyAll(*gift_id, amount_fen, users);
  return wire::SendResult::kOk;
}

void GiftDesk::Handle(const Message& message) {
  switch (message.kind) {
    case MessageKind::kGift:
      return Mint(message);
    case MessageKind::kOpen:
      return Open(message);
    case MessageKind::kRemind:
      return Remind(message, 0);
    case MessageKind::kSupersede:
    case MessageKind::kNotice:
    case MessageKind::kOpened:
      break;
  }
  Check(false, "this message is not for the gift desk");
}

envelope::GiftCreated GiftDesk::Create(uint32_t gift_id, uint32_t sender, uint32_t amount_fen,
                                       absl::Span<const uint32_t> users) {
  Check(OwnerOf(gift_id, options_.workers) == options_.worker, "a gift lives with its owner");
  // Counted before anyone looks for a session, see Directory::Login.
  size_t counted = 0;
  while (counted < users.size() && directory_->AddUnopened(users[counted])) {
    ++counted;
  }
  envelope::GiftCreated created = envelope::GiftCreated::kBad;
  if (counted == users.size()) {
    created = book_.Create(gift_id, sender, envelope::Fen(amount_fen), users, now_ms_, now_ms_ + options_.expiry_ms);
  }
  if (created != envelope::GiftCreated::kOk) {
    for (size_t i = 0; i < counted; ++i) {
      directory_->RemoveUnopened(users[i]);
    }
    return created;
  }
  by_age_.push_back(gift_id);
  cells_->Add(Counter::kGiftsSent);
  cells_->Add(Counter::kGiftsSentFen, amount_fen);
  cells_->Add(Counter::kGiftShares, users.size());
  return created;
}

void GiftDesk::NotifyAll(uint32_t gift_id, uint32_t amount_fen, absl::Span<const uint32_t> users) {
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

void GiftDesk::Mint(const Message& message) {
  const absl::Span<const uint32_t> users(message.users, message.user_count);
  if (Create(message.envelope_id, message.user, message.amount_fen, users) != envelope::GiftCreated::kOk) {
    cells_->Add(Counter::kGiftsRefused);
    cells_->Add(Counter::kGiftsRefusedFen, message.amount_fen);
    return;
  }
  NotifyAll(message.envelope_id, message.amount_fen, users);
}

void GiftDesk::Open(const Message& message) {
  const envelope::GiftOpening opening = book_.Open(message.envelope_id, message.user, now_ms_, random_);
  switch (opening.outcome) {
    case envelope::GiftOpened::kNone:
      cells_->Add(Counter::kOpensEmpty);
      break;
    case envelope::GiftOpened::kAgain:
      cells_->Add(Counter::kOpenedAgain);
      break;
    case envelope::GiftOpened::kNew:
      cells_->Add(Counter::kOpened);
      cells_->Add(Counter::kOpenedFen, static_cast<uint64_t>(opening.amount.value()));
      directory_->RemoveUnopened(message.user);
      directory_->AddGrant(message.user, opening.amount.value(), message.has_identity ? message.stamp : 0);
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

void GiftDesk::Remind(const Message& message, size_t skip) {
  Message notice{.kind = MessageKind::kNotice, .user = message.user, .address = message.address};
  size_t visited = 0;
  book_.ForEachUnopened(message.user, now_ms_, remind_max_, [&](const envelope::Gift& gift) {
    if (visited++ < skip) {
      return;
    }
    notice.envelope_id = gift.id;
    notice.amount_fen = gift.total.ToWire();
    notice.user_count = static_cast<uint8_t>(gift.CopyUsers(notice.users));
    post_(Unpack(notice.address).worker, notice);
  });
}

}  // namespace hongbao::serve
