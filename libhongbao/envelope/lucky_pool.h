// Lucky pool: the lock-free dispatcher of shake envelopes. One minter publishes, any worker claims.
//
// Owns a bounded ring of published envelopes and their exact accounts (issued = claimed + left, in number and in fen).
// Never blocks, allocates or loses: a full ring tells the minter how many fitted; an empty one costs the shaker a
// single relaxed load of a line that only the minter writes, because each claimer remembers the published count at
// which it found the pool empty. Claims are first in, first out, each envelope exactly once. A claimer reads the slots
// first and takes their positions afterwards: the take succeeds only if the minter cannot have written them meanwhile.
// So claimers write one line that is shared, and the slots have no state of their own. Thread tag: LuckyPool
// thread-safe (Publish: one thread, the minter); LuckyClaimer worker-local, its totals readable by all.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/types/span.h"
#include "libhongbao/envelope/fen.h"

namespace hongbao::envelope {

struct LuckyEnvelope {
  uint32_t id = 0;
  Fen amount{};  // >= 1 fen
};

// A number of envelopes and what is in them.
struct Tally {
  uint64_t count = 0;
  Fen sum{};
  friend bool operator==(const Tally&, const Tally&) = default;
  Tally& operator+=(const Tally& more) {
    count += more.count;
    sum += more.sum;
    return *this;
  }
  Tally& operator-=(const Tally& less) {
    count -= less.count;
    sum -= less.sum;
    return *this;
  }
};

inline constexpr size_t kCacheLineBytes = 64;

// A tally that one thread writes and any thread reads. A reader may find an older count beside a newer sum while the
// writer writes; at rest it is exact.
class OneWriterTally {
 public:
  void Add(uint64_t count, Fen sum) {
    // Relaxed reads: only this thread writes. Release stores: who reads this claim also sees the publish before it, so
    // a reader that reads "claimed" before "issued" never finds more claimed than issued.
    count_.store(count_.load(std::memory_order_relaxed) + count, std::memory_order_release);
    sum_.store((Fen(sum_.load(std::memory_order_relaxed)) + sum).value(), std::memory_order_release);
  }
  Tally Read() const {
    // Acquire: the other half of the promise above.
    return {count_.load(std::memory_order_acquire), Fen(sum_.load(std::memory_order_acquire))};
  }

 private:
  std::atomic<uint64_t> count_{0};
  std::atomic<int64_t> sum_{0};
};

class LuckyPool {
 public:
  // Room for `capacity` unclaimed envelopes, a power of two.
  explicit LuckyPool(size_t capacity);
  LuckyPool(const LuckyPool&) = delete;
  LuckyPool& operator=(const LuckyPool&) = delete;

  // Minter only. Publishes the first n of `envelopes` and returns n: what did not fit stays the minter's, and was not
  // issued. Visible to claimers when it returns.
  size_t Publish(absl::Span<const LuckyEnvelope> envelopes);

  size_t capacity() const { return mask_ + 1; }
  Tally issued() const { return issued_.Read(); }
  // Published and not claimed at one moment between call and return; exact at rest.
  uint64_t left() const;
  // Sum over the slots themselves, an independent witness for issued = claimed + left. Only while nobody publishes or
  // claims (start, tests, end of a run).
  Tally LeftAtRest() const;

 private:
  friend class LuckyClaimer;

  // Atomic, because a claimer that is too late may read what the minter is writing anew; it never gets to keep that.
  struct Slot {
    std::atomic<uint32_t> id{0};
    std::atomic<int64_t> fen{0};
  };
  // Relaxed: `published_` and `claimed_` bring the order, see Publish and Take.
  LuckyEnvelope Read(uint64_t position) const {
    const Slot& slot = slots_[position & mask_];
    return {.id = slot.id.load(std::memory_order_relaxed), .amount = Fen(slot.fen.load(std::memory_order_relaxed))};
  }

  // Never written after the constructor; shares no line with what is.
  size_t mask_;
  std::unique_ptr<Slot[]> slots_;
  // Positions published so far. Written by the minter only, read by every shake: on a line of its own, so that claims
  // do not take it away from the cores that only find the pool empty.
  alignas(kCacheLineBytes) std::atomic<uint64_t> published_{0};
  // Positions claimed so far: moved by winners only.
  alignas(kCacheLineBytes) std::atomic<uint64_t> claimed_{0};
  // The minter's own. `claimed_seen_`: what it last saw of claimed_; it looks again only when that leaves too little
  // room.
  alignas(kCacheLineBytes) OneWriterTally issued_;
  uint64_t claimed_seen_ = 0;
};

// One worker's hand in the pool.
class LuckyClaimer {
 public:
  explicit LuckyClaimer(LuckyPool& pool) : pool_(&pool) {}
  LuckyClaimer(const LuckyClaimer&) = delete;
  LuckyClaimer& operator=(const LuckyClaimer&) = delete;

  // Takes the oldest envelope. False: nothing to take (`envelope` untouched). Lock-free: a retry means that another
  // worker has just won one.
  bool Claim(LuckyEnvelope& envelope) {
    // Relaxed: the value only says "nothing new since I last found it empty"; Look acquires before anybody reads a
    // slot. A shake that misses a publish of this very instant finds nothing, as if it had come a moment earlier.
    if (pool_->published_.load(std::memory_order_relaxed) == empty_at_) [[likely]]
      return false;
    return ClaimOne(envelope);
  }

  // Takes the oldest envelopes, as many as there is room for, oldest first, in one move of the claim position: one
  // exchange for all of them, however many, and no other claimer's envelope comes between. Returns how many; what lies
  // behind them in `envelopes` means nothing. Fewer than there was room for does not promise that the pool is empty now,
  // 0 says as much as Claim's false.
  size_t ClaimMany(absl::Span<LuckyEnvelope> envelopes) {
    if (envelopes.empty() || !MayClaim()) return 0;
    return ClaimSpan(envelopes);
  }

  // False: Claim would find nothing now. For a caller that must prepare for a win before it claims.
  bool MayClaim() const {
    return pool_->published_.load(std::memory_order_relaxed) != empty_at_;  // relaxed: as in Claim
  }

  Tally claimed() const { return claimed_.Read(); }

 private:
  bool ClaimOne(LuckyEnvelope& envelope);
  size_t ClaimSpan(absl::Span<LuckyEnvelope> envelopes);
  // Whether there may be something at `position` or behind it; loads `published` anew if it has to.
  bool Look(uint64_t position, uint64_t& published);
  // Takes the positions from `position` on, as many as `taken`. False: somebody else did; `position` is newer then.
  bool Take(uint64_t& position, size_t taken);

  LuckyPool* pool_;
  uint64_t empty_at_ = 0;  // with this many published the pool was empty
  OneWriterTally claimed_;
};

}  // namespace hongbao::envelope
