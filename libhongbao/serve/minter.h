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
#include "libhongbao/count/cells.h"
#include "libhongbao/count/history.h"
#include "libhongbao/envelope/lucky_pool.h"
#include "libhongbao/envelope/random.h"
#include "libhongbao/serve/message.h"
#include "libhongbao/serve/mint_schedule.h"
#include "libhongbao/serve/returned.h"
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

// What the minter counts for the rows: as the pool's own account has it.
enum class MintCounter : uint32_t { kIssued, kCount };  // shake envelopes published

class Minter {
 public:
  // Brings a gift to its owner, 0..workers-1; false when that one has no room now.
  using PostGift = std::function<bool(uint32_t worker, const Message& message)>;

  // `ledger` may be null: then orders live as long as the process. `returned`: envelopes to issue once more.
  Minter(const time::Clock* clock, envelope::LuckyPool* pool, uint32_t users_max, uint32_t workers, PostGift post_gift,
         ledger::Ledger* ledger = nullptr, Returned* returned = nullptr);
  ~Minter();
  Minter(const Minter&) = delete;
  Minter& operator=(const Minter&) = delete;

  // Before Start: goes on with what an earlier life was told and did not finish, at the orders' rates. A pause counts as a
  // stall: two seconds' worth at most come at once (mint_schedule.h).
  void Restore(ledger::Recovered& recovered);

  void Start();
  // Ends the thread; what was not issued by then never will be. Idempotent.
  void Stop();

  // Takes an order; with a ledger it is durable when it returns (a commit's time). InvalidArgument (says which value and what it
  // may be), ResourceExhausted (ids), FailedPrecondition (stopped).
  absl::StatusOr<MintReceipt> Add(const MintOrder& order);

  // Issues what is due at `wall_ns` and has room. Returns when to come again (unix ns, at most a second from now).
  int64_t Step(int64_t wall_ns);

  // Envelopes ordered and not issued yet.
  int64_t waiting() const;
  size_t runs() const;
  // Per second, by the minter's own clock: a reporter that looks late still finds what was issued when.
  const count::History<MintCounter>& history() const { return history_; }

 private:
  struct Run {
    ledger::Order order;
    MintSchedule schedule;
    envelope::Random random;
    uint32_t next_id;
    std::vector<envelope::LuckyEnvelope> drawn;  // shake: drawn and not published
    Message gift;                                // gift: drawn and not taken, if has_gift
    bool has_gift = false;
    std::vector<bool> taken;  // by place in the run: issued in an earlier life. Empty: none
  };

  absl::Status Validate(const MintOrder& order, int64_t now_s) const;
  absl::StatusOr<uint32_t> TakeIds(bool is_gift, int64_t count);
  static Run MakeRun(const ledger::Order& order);
  // Whether the run's next envelope was issued in an earlier life.
  static bool NextIsTaken(const Run& run);
  void IssueReturned();
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
  ledger::Ledger* ledger_;
  Returned* returned_;
  count::Cells<MintCounter> counted_;        // the minter's thread writes
  count::History<MintCounter> history_;
  std::vector<envelope::LuckyEnvelope> again_;  // taken from returned_ and not published yet

  mutable std::mutex mutex_;  // orders come once in a while, and a step holds it for microseconds
  std::condition_variable changed_;
  std::vector<Run> runs_;
  uint64_t next_shake_id_ = kFirstShakeId;  // 64 bits: may stand one past the last id
  uint64_t next_gift_id_ = kFirstMintedGiftId;
  bool stopped_ = false;
  std::thread thread_;
};

}  // namespace hongbao::serve
