// Directory: where each user's session is now, and what the server remembers of the user.
//
// Owns one 24-byte record per user in a lazily touched mapping (a user nobody has seen costs no memory), and 16 bytes for what
// the user got without a ledger and for the gifts that the user has sent, touched only by these. Never holds a connection: it
// names one (session_address.h), and whoever follows the name checks the generation.
// One session per user: the newest login replaces the older one in one exchange, and the late close of the older one
// compares before it clears, so it can't wipe its successor (the prototype's defect 18).
// Thread tag: thread-safe, lock-free.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "libhongbao/check.h"
#include "libhongbao/ledger/ledger.h"
#include "libhongbao/serve/session_address.h"

namespace hongbao::serve {

using ledger::kHistoryStamp;

class Directory {
 public:
  // The most unopened gifts one user may have; a further one is refused.
  static constexpr uint32_t kUnopenedMax = 0xfffe;
  // Of them so many may be when another user sends one: the rest of the room is the minter's alone.
  static constexpr uint32_t kUnopenedOfSendsMax = kUnopenedMax / 4 * 3;
  // Shake wins are counted up to here, so a limit per user is at most this.
  static constexpr uint32_t kShakeWinsMax = 0xffff;

  // Users 0..users_max-1 (users_max >= 1). Error: the mapping is refused by the kernel.
  static absl::StatusOr<Directory> Create(uint32_t users_max);

  Directory(Directory&& other) noexcept;
  Directory& operator=(Directory&&) = delete;
  ~Directory();

  uint32_t users_max() const { return users_max_; }

  // ---- where the user is (packed addresses) ----

  struct Came {                    // what a login finds
    uint64_t replaced = kOffline;  // the session before
    uint64_t last_stamp = 0;       // the user's, read when the session had begun: see Decide
  };

  // Makes `packed` the user's session.
  // seq_cst: pairs with AddUnopened + Find. A login publishes its session, then reads the unopened gifts; the owner of
  // a new gift counts it, then looks for the session. In the single order of seq_cst operations one of them comes
  // second and sees the other, so a gift that arrives during a login is noticed at least once (release/acquire alone
  // would let both miss: the store-buffer pattern).
  Came Login(uint32_t user, uint64_t packed) { return Enter(user, Session(user).exchange(packed, std::memory_order_seq_cst)); }

  // The same if `may_replace(uint64_t)` says so of the session before. Nothing: it does not, and nothing was changed. One step.
  template <class MayReplace>
  std::optional<Came> LoginIf(uint32_t user, uint64_t packed, MayReplace&& may_replace) {
    uint64_t replaced = Session(user).load(std::memory_order_relaxed);  // a guess; the exchange is what counts
    do {
      if (!may_replace(replaced)) {
        return std::nullopt;
      }
    } while (!Session(user).compare_exchange_weak(replaced, packed, std::memory_order_seq_cst, std::memory_order_relaxed));
    return Enter(user, replaced);
  }

  // Ends the session if it still is `packed`. False: a newer login owns the user, nothing was changed.
  bool Logout(uint32_t user, uint64_t packed) {
    // acq_rel: what this session did to the record happens before what the next session reads of it.
    return Session(user).compare_exchange_strong(packed, kOffline, std::memory_order_acq_rel, std::memory_order_relaxed);
  }

  // The user's session or kOffline. seq_cst for the reason at Login; it costs what an acquire load costs on x86.
  uint64_t Find(uint32_t user) const { return Session(user).load(std::memory_order_seq_cst); }

  // Before a session makes anything for the request `stamp` of its user: remembers the stamp, then asks whether `packed` is still
  // the user's session. Nothing: it is not, and must make nothing, as the newer session may have been told that nothing is there.
  // Either we see that login here, or it sees our stamp (Came::last_stamp) and asks the ledger first: never do both decide.
  // Returns the number of the login, the newer session's being the higher one: records of both come to the ledger in any order.
  std::optional<uint32_t> Decide(uint32_t user, uint64_t stamp, uint64_t packed) {
    // acquire, and before Find: who sees a newer login's number (see Enter) sees its session below.
    const uint32_t login = Logins(user).load(std::memory_order_acquire);
    RaiseStamp(user, stamp);
    return Find(user) == packed ? std::optional(login) : std::nullopt;
  }
  // For questions: not below the number of any session of the user up to now.
  uint32_t logins(uint32_t user) const { return Logins(user).load(std::memory_order_acquire); }

  // ---- what the user has ----

  // Counts a win by shaking if the user has fewer than `cap` (1..kShakeWinsMax). False: at the cap, nothing changed.
  bool ReserveShakeWin(uint32_t user, uint32_t cap);
  // Takes back a ReserveShakeWin whose claim found nothing after all.
  void ReleaseShakeWin(uint32_t user) {
    // relaxed: the counter stands for itself.
    ShakeWins(user).fetch_sub(1, std::memory_order_relaxed);
  }
  uint32_t shake_wins(uint32_t user) const { return ShakeWins(user).load(std::memory_order_relaxed); }

  // A gift for the user that is not opened yet. False: the user has `max` of them.
  // seq_cst for the reason at Login.
  bool AddUnopened(uint32_t user, uint32_t max = kUnopenedMax);
  void RemoveUnopened(uint32_t user);
  // One of an earlier life, which was accepted once. Before anyone logs in.
  void RestoreUnopened(uint32_t user);

  // A gift of the user's that lives, in whichever book. False: there are `max` already, nothing changed.
  bool AddSent(uint32_t user, uint32_t max);
  void RemoveSent(uint32_t user) {
    // relaxed: the counter stands for itself.
    const uint32_t before = Sent(user).fetch_sub(1, std::memory_order_relaxed);
    Check(before > 0, "a gift expires only after it was counted");
  }
  uint32_t sent(uint32_t user) const { return Sent(user).load(std::memory_order_relaxed); }

  uint32_t unopened(uint32_t user) const { return Unopened(user).load(std::memory_order_seq_cst); }

  // A share the user got, by shaking or by opening; for servers without a ledger, which knows it otherwise.
  void AddGrant(uint32_t user, int64_t fen);
  // Remembers the stamp of an opened share, from the moment it is drawn. Not for shakes and sends: Decide does it for them, and
  // looks for a newer session afterwards. All opens of a gift meet at its owner, who needs no such look.
  void RememberShare(uint32_t user, uint64_t stamp) { RaiseStamp(user, stamp); }
  // What an earlier life left. Before anyone logs in.
  void Restore(uint32_t user, uint64_t last_stamp, uint16_t shake_wins);

  // Highest stamp of a grant or send; 0 if none. seq_cst: after Login it sees every stamp that was raised before.
  uint64_t last_stamp(uint32_t user) const { return LastStamp(user).load(std::memory_order_seq_cst); }
  uint32_t grants(uint32_t user) const { return Grants(user).load(std::memory_order_relaxed); }
  int64_t total_fen(uint32_t user) const { return TotalFen(user).load(std::memory_order_relaxed); }

 private:
  // Plain fields, reached only through atomic_ref: fresh pages of the mapping are valid records without being touched.
  struct Record {
    alignas(8) uint64_t session;
    alignas(8) uint64_t last_stamp;
    alignas(2) uint16_t shake_wins;
    alignas(2) uint16_t unopened;  // kMoreThanCounted: of an earlier life, not counted down any more
    alignas(4) uint32_t logins;
  };
  static constexpr uint16_t kMoreThanCounted = 0xffff;
  static_assert(sizeof(Record) == 24, "with the ledger's 16 bytes a user costs less than a cache line");
  struct Purse {
    alignas(8) int64_t total_fen;
    alignas(4) uint32_t grants;
    alignas(4) uint32_t sent;
  };

  // seq_cst: a login that comes after it in their one order sees it, and asks the ledger before it decides anew. One that
  // comes before may not: then the ledger's key (stamp, user) is the judge.
  void RaiseStamp(uint32_t user, uint64_t stamp);
  // The login's exchange has happened. release: whoever reads this number finds the session, which was put there before, or a
  // newer one.
  Came Enter(uint32_t user, uint64_t replaced) {
    Logins(user).fetch_add(1, std::memory_order_release);
    return {.replaced = replaced, .last_stamp = last_stamp(user)};
  }

  Directory(Record* records, Purse* purses, uint32_t users_max) : records_(records), purses_(purses), users_max_(users_max) {}

  Record& At(uint32_t user) const {
    Check(user < users_max_, "users are checked against the directory's range at login");
    return records_[user];
  }
  std::atomic_ref<uint64_t> Session(uint32_t user) const { return std::atomic_ref(At(user).session); }
  std::atomic_ref<uint64_t> LastStamp(uint32_t user) const { return std::atomic_ref(At(user).last_stamp); }
  std::atomic_ref<uint32_t> Logins(uint32_t user) const { return std::atomic_ref(At(user).logins); }
  Purse& PurseOf(uint32_t user) const {
    Check(user < users_max_, "users are checked against the directory's range at login");
    return purses_[user];
  }
  std::atomic_ref<int64_t> TotalFen(uint32_t user) const { return std::atomic_ref(PurseOf(user).total_fen); }
  std::atomic_ref<uint32_t> Grants(uint32_t user) const { return std::atomic_ref(PurseOf(user).grants); }
  std::atomic_ref<uint16_t> ShakeWins(uint32_t user) const { return std::atomic_ref(At(user).shake_wins); }
  std::atomic_ref<uint16_t> Unopened(uint32_t user) const { return std::atomic_ref(At(user).unopened); }
  std::atomic_ref<uint32_t> Sent(uint32_t user) const { return std::atomic_ref(PurseOf(user).sent); }

  Record* records_;
  Purse* purses_;
  uint32_t users_max_;
};

}  // namespace hongbao::serve
