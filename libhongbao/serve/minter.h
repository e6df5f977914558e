// Minter: issues envelopes at the rates that were ordered: into the lucky pool, and as gifts to the workers that own
// them.
//
// Owns the runs under way (any number, each with its schedule, random numbers and ids) and one thread. What the pool or
// an inbox has no room for stays with the run and is offered again: nothing is lost, and nothing is counted as issued
// before it is published (the prototype's defects 1, 2 and 17). Thread tag: Add and the reading functions are
// thread-safe; Step is for the minter's thread, or a test without one.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "libhongbao/envelope/lucky_pool.h"
#include "libhongbao/envelope/random.h"
#include "libhongbao/serve/message.h"
#include "libhongbao/serve/mint_schedule.h"
#include "libhongbao/time/clock.h"

namespace hongbao::serve {

struct MintOrder {
  enum class Kind : uint8_t { kShake, kGift };

  Kind kind = Kind::kShake;
  int64_t rate = 0;      // envelopes per second, 1..1,000,000
  int64_t count = 0;     // in all, >= 1
  int64_t min_fen = 10;  // each holds a uniform amount in min_fen..max_fen
  int64_t max_fen = 309;
  int64_t at_s = 0;    // unix second of the start; 0 = the next whole second
  uint64_t seed = 0;   // 0 = from the kernel; otherwise the same amounts and users again
  uint32_t users = 3;  // gifts: distinct users invited to each, drawn from first_user..last_user
  uint32_t first_user = 0;
  uint32_t last_user = 0;
};

struct MintReceipt {
  uint32_t first_id = 0;  // the run's ids are first_id .. first_id + count - 1
  int64_t count = 0;
  int64_t at_s = 0;
};

class Minter {
 public:
  // Brings a gift to its owner, 0..workers-1; false when that one has no room now.
  using PostGift = std::function<bool(uint32_t worker, const Message& message)>;

  Minter(const time::Clock* clock, envelope::LuckyPool* pool, uint32_t users_max, uint32_t workers, PostGift post_gift);
  ~Minter();
  Minter(const Minter&) = delete;
  Minter& operator=(const Minter&) = delete;

  void Start();
  // Ends the thread; what was not issued by then never will be. Idempotent.
  void Stop();

  // Takes an order. InvalidArgument (says which value and what it may be), ResourceExhausted (ids), FailedPrecondition
  // (stopped).
  absl::StatusOr<MintReceipt> Add(const MintOrder& order);

  // Issues what is due at `wall_ns` and has room. Returns when to come again (unix ns, at most a second from now).
  int64_t Step(int64_t wall_ns);

  // Envelopes ordered and not issued yet.
  int64_t waiting() const;
  size_t runs() const;

 private:
  struct Run {
    MintOrder order;
    MintSchedule schedule;
    envelope::Random random;
    uint32_t next_id;
    std::vector<envelope::LuckyEnvelope> drawn;  // shake: drawn and not published
    Message gift;                                // gift: drawn and not taken, if has_gift
    bool has_gift = false;
  };

  absl::Status Validate(const MintOrder& order, int64_t now_s) const;
  // Both return how many they issued, at most `due`.
  int64_t IssueShakes(Run& run, int64_t due);
  int64_t IssueGifts(Run& run, int64_t due);
  void DrawGift(Run& run);
  void Loop();

  const time::Clock* clock_;
  envelope::LuckyPool* pool_;
  const uint32_t users_max_;
  const uint32_t workers_;
  PostGift post_gift_;

  mutable std::mutex mutex_;  // orders come once in a while, and a step holds it for microseconds
  std::condition_variable changed_;
  std::vector<Run> runs_;
  uint64_t next_shake_id_ = kFirstShakeId;  // 64 bits: may stand one past the last id
  uint64_t next_gift_id_ = kFirstMintedGiftId;
  bool stopped_ = false;
  std::thread thread_;
};

}  // namespace hongbao::serve
