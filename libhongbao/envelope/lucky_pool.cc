#include "libhongbao/envelope/lucky_pool.h"

#include <algorithm>
#include <bit>

#include "libhongbao/check.h"

namespace hongbao::envelope {

LuckyPool::LuckyPool(size_t capacity) : mask_(capacity - 1) {
  Check(std::has_single_bit(capacity), "a lucky pool's capacity is a power of two");
  slots_ = std::make_unique<Slot[]>(capacity);
  // Relaxed: whoever shares the pool with other threads does so after the constructor.
  for (size_t i = 0; i < capacity; ++i) slots_[i].sequence.store(i, std::memory_order_relaxed);
}

size_t LuckyPool::Publish(absl::Span<const LuckyEnvelope> envelopes) {
  // Relaxed: only the minter writes it, and this is the minter.
  const uint64_t first = published_.load(std::memory_order_relaxed);
  size_t fitted = 0;
  Fen sum;
  for (const LuckyEnvelope& envelope : envelopes) {
    Check(envelope.amount >= Fen(1), "a shake envelope holds at least a fen");
    Slot& slot = slots_[(first + fitted) & mask_];
    // Acquire: pairs with the claimer's release below; its read of the slot is over before the slot is written again.
    if (slot.sequence.load(std::memory_order_acquire) != first + fitted) break;
    slot.envelope = envelope;
    sum += envelope.amount;
    ++fitted;
  }
  if (fitted == 0) return 0;
  // Before the publish, so that no reader finds an envelope claimed that was not issued yet.
  issued_.Add(fitted, sum);
  // Release: a claimer that acquires this count sees the slots written above, and the account.
  published_.store(first + fitted, std::memory_order_release);
  return fitted;
}

size_t LuckyClaimer::ClaimSlow(absl::Span<LuckyEnvelope> envelopes) {
  LuckyPool& pool = *pool_;
  // Relaxed: a stale position makes the exchange below fail, nothing else.
  uint64_t position = pool.claimed_.load(std::memory_order_relaxed);
  // Acquire: every slot below `published` is seen as the minter wrote it.
  uint64_t published = pool.published_.load(std::memory_order_acquire);
  size_t taken = 0;
  do {
    if (position >= published) {
      // Stale in the harmless direction only: claimed_ may have passed an older published_.
      published = pool.published_.load(std::memory_order_acquire);
      if (position >= published) {
        // claimed_ never passes published_ and never goes back: with this many published there is nothing left for
        // ever.
        if (position == published) empty_at_ = published;
        return 0;
      }
    }
    taken = static_cast<size_t>(std::min<uint64_t>(envelopes.size(), published - position));
    // Relaxed on success: what the slots hold came with the acquire of published_; that nobody else reads or writes
    // them follows from this exchange being the only one that takes these positions. Relaxed on failure: `position` is
    // only a newer hint. Weak: a spurious failure costs one more turn.
  } while (!pool.claimed_.compare_exchange_weak(position, position + taken, std::memory_order_relaxed,
                                                std::memory_order_relaxed));
  Fen sum;
  for (size_t i = 0; i < taken; ++i) {
    LuckyPool::Slot& slot = pool.slots_[(position + i) & pool.mask_];
    envelopes[i] = slot.envelope;
    sum += slot.envelope.amount;
    // Release: the reads above are over before the minter, which acquires this, writes position + i + capacity here.
    slot.sequence.store(position + i + pool.capacity(), std::memory_order_release);
  }
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
    left.sum += slots_[i & mask_].envelope.amount;
  }
  return left;
}

}  // namespace hongbao::envelope
