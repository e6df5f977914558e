#include "libhongbao/envelope/gift_book.h"

#include <algorithm>
#include <limits>

#include "libhongbao/check.h"
#include "libhongbao/envelope/split.h"

namespace hongbao::envelope {
namespace {

// A share is named by its gift's slot and its place in the gift: slot << 6 | index.
constexpr uint32_t kIndexBits = 6;
constexpr uint32_t kIndexMask = (1u << kIndexBits) - 1;
static_assert(kGiftUsersMax <= kIndexMask + 1);

// A flat_hash_map that is filled to the brim may double when erased places pile up; below 25/32 of its places it cleans
// up in place. It fills 7/8 of its places at most, and 7/8 / (7/6) = 24/32.
constexpr size_t WithSlack(size_t entries) { return entries + entries / 6 + 1; }

bool IsGood(Fen total, absl::Span<const uint32_t> users, int64_t now_ms, int64_t expires_ms) {
  if (users.empty() || users.size() > kGiftUsersMax || expires_ms <= now_ms) return false;
  if (total.value() < static_cast<int64_t>(users.size())) return false;
  if (total.value() > std::numeric_limits<uint32_t>::max()) return false;
  for (size_t i = 1; i < users.size(); ++i) {
    if (std::find(users.begin(), users.begin() + i, users[i]) != users.begin() + i) return false;
  }
  return true;
}

// Order of the expiry heap: std's heap keeps the greatest in front, so "later" is "less".
constexpr auto kLater = [](const auto& a, const auto& b) { return a.expires_ms > b.expires_ms; };

}  // namespace

size_t Gift::CopyUsers(uint32_t* users) const {
  for (const GiftShare& share : shares) *users++ = share.user_id;
  return shares.size();
}

GiftBook::GiftBook(const GiftBookOptions& options) : options_(options) {
  Check(options.gifts_max >= 1 && options.gifts_max < 1u << (32 - kIndexBits), "a gift book has 1..2^26-1 gifts");
  gifts_.reserve(options.gifts_max);
  free_slots_.reserve(options.gifts_max);
  expiries_.reserve(options.gifts_max);
  slot_of_id_.reserve(WithSlack(options.gifts_max));
  unopened_.reserve(WithSlack(options.users_max));
  of_sender_.reserve(WithSlack(options.users_max));
}

GiftCreated GiftBook::Create(uint32_t gift_id, uint32_t sender, Fen total, absl::Span<const uint32_t> users, int64_t now_ms,
                             int64_t expires_ms) {
  if (!IsGood(total, users, now_ms, expires_ms)) return GiftCreated::kBad;
  if (slot_of_id_.contains(gift_id)) return GiftCreated::kBad;
  if (totals_.gifts_live >= options_.gifts_max) return GiftCreated::kFull;

  uint32_t slot = static_cast<uint32_t>(gifts_.size());
  if (free_slots_.empty()) {
    gifts_.emplace_back();
  } else {
    slot = free_slots_.back();
    free_slots_.pop_back();
  }
  const uint32_t count = static_cast<uint32_t>(users.size());
  Gift& gift = gifts_[slot];
  gift.id = gift_id;
  gift.sender = sender;
  gift.total = gift.left = total;
  gift.created_ms = now_ms;
  gift.expires_ms = expires_ms;
  gift.shares_left = count;
  gift.held = false;
  gift.shares.resize(count);
  for (uint32_t i = 0; i < count; ++i) {
    gift.shares[i].user_id = users[i];
    Link(slot << kIndexBits | i);
  }
  LinkSender(slot);
  slot_of_id_.emplace(gift_id, slot);
  expiries_.push_back({expires_ms, slot});
  std::push_heap(expiries_.begin(), expiries_.end(), kLater);

  ++totals_.gifts;
  ++totals_.gifts_live;
  totals_.shares += count;
  totals_.left_shares += count;
  totals_.issued += total;
  totals_.left += total;
  CheckTotals();
  return GiftCreated::kOk;
}

void GiftBook::Hold(uint32_t gift_id) { gifts_[slot_of_id_.at(gift_id)].held = true; }

bool GiftBook::Release(uint32_t gift_id) {
  const auto found = slot_of_id_.find(gift_id);
  if (found == slot_of_id_.end()) return false;
  gifts_[found->second].held = false;
  return true;
}

void GiftBook::Cancel(uint32_t gift_id) {
  const auto found = slot_of_id_.find(gift_id);
  Check(found != slot_of_id_.end() && gifts_[found->second].held, "only a held gift is cancelled");
  const uint32_t slot = found->second;
  const Gift& gift = gifts_[slot];
  ForgetExpiry(slot);
  --totals_.gifts;
  totals_.shares -= gift.shares_left;
  totals_.left_shares -= gift.shares_left;
  totals_.issued -= gift.left;
  totals_.left -= gift.left;
  TakeOut(slot);
  CheckTotals();
}

GiftCreated GiftBook::Restore(uint32_t gift_id, uint32_t sender, Fen total, absl::Span<const uint32_t> users,
                              absl::Span<const uint32_t> opened_fen, int64_t now_ms, int64_t expires_ms) {
  const GiftCreated created = Create(gift_id, sender, total, users, now_ms, expires_ms);
  if (created != GiftCreated::kOk) return created;
  const uint32_t slot = slot_of_id_.at(gift_id);
  Gift& gift = gifts_[slot];
  for (uint32_t i = 0; i < gift.shares.size(); ++i) {
    if (opened_fen[i] == 0) continue;
    gift.shares[i].amount_fen = opened_fen[i];
    gift.left -= Fen(opened_fen[i]);
    --gift.shares_left;
    Unlink(slot << kIndexBits | i);
    --totals_.shares;
    --totals_.left_shares;
    totals_.issued -= Fen(opened_fen[i]);
    totals_.left -= Fen(opened_fen[i]);
  }
  Check(gift.left.value() >= static_cast<int64_t>(gift.shares_left) && (gift.left == Fen()) == (gift.shares_left == 0),
        "a restored gift keeps a fen for every share still to draw, and nothing beyond the last");
  totals_.restored_shares += gift.shares_left;
  totals_.restored += gift.left;
  CheckTotals();
  return created;
}

GiftOpening GiftBook::Open(uint32_t gift_id, uint32_t user_id, int64_t now_ms, Random& random) {
  const auto found = slot_of_id_.find(gift_id);
  if (found == slot_of_id_.end()) return {};
  Gift& gift = gifts_[found->second];
  // Also when the expiry has not been run yet: the answer depends on the moment, never on how far the sweep has come.
  if (now_ms >= gift.expires_ms || gift.held) return {};
  const auto share =
      std::find_if(gift.shares.begin(), gift.shares.end(), [user_id](const GiftShare& one) { return one.user_id == user_id; });
  if (share == gift.shares.end()) return {};
  if (share->amount_fen != 0) return {GiftOpened::kAgain, Fen(share->amount_fen)};

  const Fen amount = DrawShare(gift.left, gift.shares_left, random);
  share->amount_fen = amount.ToWire();
  gift.left -= amount;
  --gift.shares_left;
  Check(gift.left.value() >= static_cast<int64_t>(gift.shares_left) && (gift.left == Fen()) == (gift.shares_left == 0),
        "a gift keeps a fen for every share still to draw, and nothing beyond the last");
  Unlink(found->second << kIndexBits | static_cast<uint32_t>(share - gift.shares.begin()));

  ++totals_.opened_shares;
  --totals_.left_shares;
  totals_.opened += amount;
  totals_.left -= amount;
  CheckTotals();
  return {GiftOpened::kNew, amount};
}

const Gift* GiftBook::Find(uint32_t gift_id) const {
  const auto found = slot_of_id_.find(gift_id);
  return found == slot_of_id_.end() ? nullptr : &gifts_[found->second];
}

size_t GiftBook::ForEachUnopened(uint32_t user_id, int64_t now_ms, size_t limit,
                                 absl::FunctionRef<void(const Gift&)> visit) const {
  const auto head = unopened_.find(user_id);
  if (head == unopened_.end()) return 0;
  size_t visited = 0;
  uint32_t share = head->second;
  do {
    const Gift& gift = gifts_[share >> kIndexBits];
    if (visited == limit) break;
    if (now_ms < gift.expires_ms && !gift.held) {
      visit(gift);
      ++visited;
    }
    share = At(share).next;
  } while (share != head->second);
  return visited;
}

bool GiftBook::AnyInvitedOften(uint32_t sender, absl::Span<const uint32_t> users, size_t limit) const {
  const auto head = of_sender_.find(sender);
  if (head == of_sender_.end()) return false;
  uint32_t sorted[kGiftUsersMax];
  size_t invited[kGiftUsersMax] = {};
  uint32_t* const end = std::copy_n(users.begin(), std::min<size_t>(users.size(), kGiftUsersMax), sorted);
  std::sort(sorted, end);
  uint32_t slot = head->second;
  do {
    for (const GiftShare& share : gifts_[slot].shares) {
      const uint32_t* const found = std::lower_bound(sorted, end, share.user_id);
      if (found != end && *found == share.user_id && ++invited[found - sorted] >= limit) return true;
    }
    slot = gifts_[slot].next_of_sender;
  } while (slot != head->second);
  return false;
}

size_t GiftBook::Expire(int64_t now_ms, size_t budget, absl::FunctionRef<void(const GiftRefund&)> refund,
                        absl::FunctionRef<void(uint32_t sender)> gone) {
  size_t taken = 0;
  while (taken < budget && !expiries_.empty() && expiries_.front().expires_ms <= now_ms) {
    const uint32_t slot = expiries_.front().slot;
    const Gift& gift = gifts_[slot];
    if (gift.held) break;
    std::pop_heap(expiries_.begin(), expiries_.end(), kLater);
    expiries_.pop_back();
    absl::InlinedVector<uint32_t, kGiftUsersMax> users;
    for (const GiftShare& share : gift.shares) {
      if (share.amount_fen == 0) users.push_back(share.user_id);
    }
    const GiftRefund what{gift.id, gift.sender, gift.shares_left, gift.left, users};
    TakeOut(slot);
    ++taken;
    totals_.refunded_shares += what.shares;
    totals_.left_shares -= what.shares;
    totals_.refunded += what.amount;
    totals_.left -= what.amount;
    CheckTotals();
    if (what.shares != 0) refund(what);
    gone(what.sender);
  }
  return taken;
}

void GiftBook::Reschedule(absl::FunctionRef<int64_t(const Gift&)> expires_ms) {
  for (Expiry& entry : expiries_) {
    Gift& gift = gifts_[entry.slot];
    gift.expires_ms = entry.expires_ms = expires_ms(gift);
  }
  std::make_heap(expiries_.begin(), expiries_.end(), kLater);
}

// Out of the middle of the heap: to its front, along its own line of parents, and out from there.
void GiftBook::ForgetExpiry(uint32_t slot) {
  const auto entry = std::find_if(expiries_.rbegin(), expiries_.rend(), [slot](const Expiry& one) { return one.slot == slot; });
  Check(entry != expiries_.rend(), "every live gift expires");
  entry->expires_ms = std::numeric_limits<int64_t>::min();
  std::push_heap(expiries_.begin(), entry.base(), kLater);  // what comes before it is a heap of its own
  std::pop_heap(expiries_.begin(), expiries_.end(), kLater);
  expiries_.pop_back();
}

void GiftBook::TakeOut(uint32_t slot) {
  Gift& gift = gifts_[slot];
  for (uint32_t i = 0; i < gift.shares.size(); ++i) {
    if (gift.shares[i].amount_fen == 0) Unlink(slot << kIndexBits | i);
  }
  UnlinkSender(slot);
  slot_of_id_.erase(gift.id);
  gift.shares.clear();  // marks the slot as not in use
  free_slots_.push_back(slot);
  --totals_.gifts_live;
}

void GiftBook::LinkSender(uint32_t slot) {
  Gift& gift = gifts_[slot];
  if (gift.sender == kNoSender) return;
  const auto [head, first] = of_sender_.try_emplace(gift.sender, slot);
  gift.previous_of_sender = gift.next_of_sender = slot;
  if (first) return;
  Gift& other = gifts_[head->second];
  gift.next_of_sender = head->second;
  gift.previous_of_sender = other.previous_of_sender;
  gifts_[other.previous_of_sender].next_of_sender = slot;
  other.previous_of_sender = slot;
}

void GiftBook::UnlinkSender(uint32_t slot) {
  const Gift& gift = gifts_[slot];
  if (gift.sender == kNoSender) return;
  const auto head = of_sender_.find(gift.sender);
  Check(head != of_sender_.end(), "a live gift is in its sender's ring");
  if (gift.next_of_sender == slot) {
    of_sender_.erase(head);
    return;
  }
  gifts_[gift.previous_of_sender].next_of_sender = gift.next_of_sender;
  gifts_[gift.next_of_sender].previous_of_sender = gift.previous_of_sender;
  if (head->second == slot) head->second = gift.next_of_sender;
}

GiftShare& GiftBook::At(uint32_t share) { return gifts_[share >> kIndexBits].shares[share & kIndexMask]; }
const GiftShare& GiftBook::At(uint32_t share) const { return gifts_[share >> kIndexBits].shares[share & kIndexMask]; }

// To the end of its user's ring: the head stays the oldest.
void GiftBook::Link(uint32_t share) {
  GiftShare& added = At(share);
  const auto [head, first] = unopened_.try_emplace(added.user_id, share);
  if (first) {
    added.previous = added.next = share;
    return;
  }
  GiftShare& oldest = At(head->second);
  added.next = head->second;
  added.previous = oldest.previous;
  At(oldest.previous).next = share;
  oldest.previous = share;
}

void GiftBook::Unlink(uint32_t share) {
  const GiftShare& removed = At(share);
  const auto head = unopened_.find(removed.user_id);
  Check(head != unopened_.end(), "an unopened share is in its user's ring");
  if (removed.next == share) {
    unopened_.erase(head);
    return;
  }
  At(removed.previous).next = removed.next;
  At(removed.next).previous = removed.previous;
  if (head->second == share) head->second = removed.next;
}

void GiftBook::CheckTotals() const {
  Check(totals_.issued == totals_.opened + totals_.left + totals_.refunded, "gifts: issued = opened + left + refunded");
  Check(totals_.shares == totals_.opened_shares + totals_.left_shares + totals_.refunded_shares,
        "gift shares: issued = opened + left + refunded");
}

void GiftBook::Audit() const {
  Fen left;
  uint64_t live = 0;
  uint64_t left_shares = 0;
  for (const Gift& gift : gifts_) {
    if (gift.shares.empty()) continue;
    ++live;
    Fen sum = gift.left;
    uint32_t unopened = 0;
    for (const GiftShare& share : gift.shares) {
      sum += Fen(share.amount_fen);
      if (share.amount_fen == 0) ++unopened;
    }
    Check(sum == gift.total, "a gift's shares and what is left are its total");
    Check(unopened == gift.shares_left, "a gift's unopened shares are those left");
    left += gift.left;
    left_shares += unopened;
  }
  uint64_t linked = 0;
  for (const auto& [user, head] : unopened_) {
    uint32_t share = head;
    do {
      Check(At(share).user_id == user && At(share).amount_fen == 0, "a user's ring holds that user's unopened shares");
      ++linked;
      share = At(share).next;
    } while (share != head);
  }
  Check(left == totals_.left && left_shares == totals_.left_shares && live == totals_.gifts_live && linked == left_shares &&
            live == slot_of_id_.size() && live == expiries_.size(),
        "the gift totals are what the gifts themselves add up to");
  CheckTotals();
}

}  // namespace hongbao::envelope
