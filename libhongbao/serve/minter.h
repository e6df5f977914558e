// Minter: issues envelopes at the rates that were ordered: into the lucky pool, and as gifts to the workers that own
// them.
//
// Owns the book of all orders, the runs under way (each with its schedule, random numbers and place) and one thread. What the
// pool, an inbox or a gift's owner has no room for is offered again: nothing is lost, and nothing is counted as issued before it
// is published (the prototype's defects 1, 2 and 17). Nothing here takes a time in proportion to what was ordered.
// Thread tag: Add, Cancel and the reading functions are thread-safe; Step is for the minter's thread, or a test without one.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "libhongbao/count/cells.h"
#include "libhongbao/count/history.h"
#include "libhongbao/envelope/lucky_pool.h"
#include "libhongbao/serve/message.h"
#include "libhongbao/serve/mint_schedule.h"
#include "libhongbao/serve/order_book.h"
#include "libhongbao/serve/order_draw.h"
#include "libhongbao/serve/returned.h"
#include "libhongbao/time/wall_steps.h"

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
  std::optional<uint32_t> last_user{};  // none: the last there is
  // By which the caller can repeat the order and it is still one: 1..128 visible characters. "" = each time another order.
  std::string key{};
};

struct MintReceipt {
  uint32_t first_id = 0;  // the run's ids are first_id .. first_id + count - 1
  int64_t count = 0;
  int64_t at_s = 0;
  bool repeated = false;  // it had been placed before, under the same key
};

// What was cancelled in this life.
struct Cancelled {
  uint64_t shakes = 0;
  uint64_t gifts = 0;
  envelope::Fen shakes_fen{};
};

// What the minter counts for the rows: as the pool's own account has it.
enum class MintCounter : uint32_t { kIssued, kCount };  // shake envelopes published

class Minter {
 public:
  // Brings a gift to its owner, 0..workers-1; false when that one has no room now.
  using PostGift = std::function<bool(uint32_t worker, const MintedGift& gift)>;

  // `ledger` may be null: then orders live as long as the process. `returned`: envelopes to issue once more.
  Minter(time::WallSteps* wall, envelope::LuckyPool* pool, uint32_t users_max, uint32_t workers, PostGift post_gift,
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
  // may be), ResourceExhausted (ids, money, the file), AlreadyExists (the key is another order's), FailedPrecondition (stopped).
  absl::StatusOr<MintReceipt> Add(const MintOrder& order);
  // Ends an order: what was issued stays, nothing more is; with a ledger that is durable when it returns. Again: the same.
  // NotFound, FailedPrecondition (nothing is left of it, or stopped).
  absl::StatusOr<KnownOrder> Cancel(uint32_t first_id);
  // The orders from `first_id` on, at most `limit`; and how many there are in all.
  std::vector<KnownOrder> List(uint32_t first_id, size_t limit) const;
  size_t orders() const;
  absl::StatusOr<KnownOrder> Show(uint32_t first_id) const;
  absl::StatusOr<KnownOrder> ShowByKey(const std::string& key);

  // Issues what is due and has room. Returns when to come again (steady time, at most a second from now). An order begins
  // at its second of the agreed time, and goes on in steady time, whatever becomes of the wall clock.
  int64_t Step();

  // Envelopes ordered and not issued yet.
  int64_t waiting() const;
  size_t runs() const;
  // By the book of orders: what waiting() is by the runs.
  int64_t LeftByBook() const;
  Cancelled cancelled() const;
  // Per second of the steady time, by the minter's own clock: a reporter that looks late still finds what was issued when.
  const count::History<MintCounter>& history() const { return history_; }

 private:
  struct Run {
    KnownOrder* known{};
    MintSchedule schedule;  // in steady time
    OrderDraw draw;
    bool begun = false;                               // its second has come
    ledger::Places taken = {};                        // issued in an earlier life
    int64_t next_place = 0;                           // all before it are issued, taken or drawn
    std::vector<envelope::LuckyEnvelope> drawn = {};  // shake: drawn and not published
    std::optional<MintedGift> gift = {};              // gift: drawn, and its owner had no room
  };
  using Lock = std::unique_lock<std::mutex>;

  absl::Status Validate(const MintOrder& order, int64_t now_s) const;
  ledger::Order OrderOf(const MintOrder& order, int64_t now_ns) const;
  absl::Status CheckRoom(const ledger::Order& order) const;
  uint32_t AllocateIds(bool is_gift, int64_t count);
  // Waits until what is under way about that order is settled. Null: there is no such order (any more).
  template <class Find>
  KnownOrder* FindRecorded(Lock& lock, Find find);
  static Run MakeRun(KnownOrder& known);
  static void Begin(Run& run, const time::Moment& now);
  ledger::Cancel CancelOf(const KnownOrder& known, const Run* run) const;
  std::optional<Run> TakeRun(const KnownOrder& known);
  void NoteCancelled(const KnownOrder& known, int64_t left);
  void IssueReturned();
  void CollectRefusedGifts();
  void OfferGiftsAgain(int64_t now_ns);
  // Both return how many they issued, at most `due`; `budget`: places that may be passed over.
  int64_t IssueShakes(Run& run, int64_t due, int64_t& budget);
  int64_t IssueGifts(Run& run, int64_t due, int64_t& budget);
  void Loop();

  time::WallSteps* wall_;
  time::SteadyWall steady_;
  envelope::LuckyPool* pool_;
  const uint32_t users_max_;
  const uint32_t workers_;
  PostGift post_gift_;
  ledger::Ledger* ledger_;
  Returned* returned_;
  count::Cells<MintCounter> counted_;  // the minter's thread writes
  count::History<MintCounter> history_;
  std::vector<envelope::LuckyEnvelope> again_;  // taken from returned_ and not published yet

  mutable std::mutex mutex_;  // orders come once in a while, and a step holds it for microseconds
  std::condition_variable changed_;
  std::condition_variable recorded_;  // an order, or the end of one, has come back from the ledger
  OrderBook book_;
  std::vector<Run> runs_;
  std::vector<MintedGift> gifts_again_;  // that found no room
  int64_t offer_again_ns_ = 0;           // not before
  Cancelled cancelled_;
  uint64_t next_shake_id_ = kFirstShakeId;  // 64 bits: may stand one past the last id
  uint64_t next_gift_id_ = kFirstMintedGiftId;
  bool stopped_ = false;
  std::thread thread_;
};

}  // namespace hongbao::serve
