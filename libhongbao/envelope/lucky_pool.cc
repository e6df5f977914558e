#include "libhongbao/envelope/lucky_pool.h"

#include <algorithm>
#include <bit>

#include "libhongbao/check.h"

namespace hongbao::envelope {

LuckyPool::LuckyPool(size_t capacity) : mask_(capacity - 1) {
  Check(std::has_single_bit(capacity), "a lucky pool's capacity is a power of two");
  slots_ = std::make_unique<Slot[]>(capacity);
}

size_t LuckyPool::Publish(absl::Span<const LuckyEnvelope> envelopes) {
  // Relaxed: only the minter writes it, and this is the minter.
  const uint64_t first = published_.load(std::memory_order_relaxed);
  if (envelopes.size() > capacity() - (first - claimed_seen_)) {
    // Acquire: pairs with the release in Take; whoever took these positions has read their slots before they are
    // written again.
    claimed_seen_ = claimed_.load(std::memory_order_acquire);
  }
  const size_t fitted = std::min<size_t>(envelopes.size(), capacity() - (first - claimed_seen_));
  if (fitted == 0) return 0;
  Fen sum;
  for (size_t i = 0; i < fitted; ++i) {
    Check(envelopes[i].amount >= Fen(1), "a shake envelope holds at least a fen");
    Slot& slot = slots_[(first + i) & mask_];
    // Relaxed: published by the release below.
    slot.id.store(envelopes[i].id, std::memory_order_relaxed);
    slot.fen.store(envelopes[i].amount.value(), std::memory_order_relaxed);
    sum += envelopes[i].amount;
  }
  // Before the publish, so that no reader finds an envelope claimed that was not issued yet.
  issued_.Add(fitted, sum);
  // Release: a claimer that acquires this count sees the slots written above, and the account.
  published_.store(first + fitted, std::memory_order_release);
  return fitted;
}

inline bool LuckyClaimer::Look(uint64_t position, uint64_t& published) {
  if (position < published) return true;
  // Acquire: every slot below `published` is seen as the minter wrote it.
  published = pool_->published_.load(std::memory_order_acquire);
  if (position < published) return true;
  // claimed_ never passes published_ and never goes back: with this many published there is nothing left for ever. (Or
  // claimed_ has passed an older published_: stale in the harmless direction only.)
  if (position == published) empty_at_ = published;
  return false;
}

inline bool LuckyClaimer::Take(uint64_t& position, size_t taken) {
  // What was read before this holds if nobody has taken `position` so far: the minter writes a slot anew only when
  // claimed_ has passed it, and claimed_ never comes back to a value. Release on success: the reads are over before the
  // minter, which acquires this or a later move of claimed_, writes there. Relaxed on failure: `position` is only a
  // newer hint. Weak: a spurious failure costs one more turn.
  return pool_->claimed_.compare_exchange_weak(position, position + taken, std::memory_order_release, std::memory_order_relaxed);
}

bool LuckyClaimer::ClaimOne(LuckyEnvelope& envelope) {
  // Relaxed: a stale position makes Take fail, nothing else.
  uint64_t position = pool_->claimed_.load(std::memory_order_relaxed);
  uint64_t published = 0;
  LuckyEnvelope found;
  do {
    if (!Look(position, published)) return false;
    found = pool_->Read(position);
  } while (!Take(position, 1));
  envelope = found;
  claimed_.Add(1, found.amount);
  return true;
}

size_t LuckyClaimer::ClaimSpan(absl::Span<LuckyEnvelope> envelopes) {
  // Relaxed: as in ClaimOne.
  uint64_t position = pool_->claimed_.load(std::memory_order_relaxed);
  uint64_t published = 0;
  size_t taken = 0;
  Fen sum;
  do {
    if (!Look(position, published)) return 0;
    taken = static_cast<size_t>(std::min<uint64_t>(envelopes.size(), published - position));
    sum = Fen();
    for (size_t i = 0; i < taken; ++i) {
      envelopes[i] = pool_->Read(position + i);
      sum += envelopes[i].amount;
    }
  } while (!Take(position, taken));
  claimed_.Add(taken, sum);
  return taken;
}

uint64_t LuckyPool::left() const {
  // claimed_ first: positions only grow, so the difference never falls below zero. Acquire keeps the two reads in
  // order.
  const uint64_t claimed = claimed_.load(std::memory_order_acquire);
  return published_.load(std::memory_order_acquire) - claimed;
}

Tally LuckyPool::LeftAtRest() const {
  Tally left;
  // Acquire: the slots as the minter wrote them.
  const uint64_t published = published_.load(std::memory_order_acquire);
  for (uint64_t i = claimed_.load(std::memory_order_acquire); i < published; ++i) {
    ++left.count;
    left.sum += Read(i).amount;
  }
  return left;
}

}  // namespace hongbao::envelope
