// The ledger against an oracle: random requests, new, repeated and in flight, with restarts in between.
#include "oracle.h"

#include <gtest/gtest.h>

#include <deque>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "faulty_vfs.h"
#include "ledger_fixture.h"

namespace hongbao::ledger {
namespace {

constexpr uint32_t kUsers = 5;

// All that an outcome says but the cursor: where pages end is the ledger's own business.
std::string Say(const Outcome& o) {
  return absl::StrCat("kind ", static_cast<int>(o.kind), ", settled ", static_cast<int>(o.settled), o.resumed ? ", resumed" : "",
                      o.has_stamp ? ", with stamp " : ", stamp ", o.stamp, ", user ", o.user, ", envelope ", o.envelope_id, ", ",
                      o.amount_fen, " fen, unused ", o.unused_id, " ", o.unused_fen, " fen, in all ", o.grants, " ", o.total_fen,
                      " fen, to ", o.reply_to);
}

class Comparison {
 public:
  explicit Comparison(uint64_t seed) : random_(seed), ledger_({.path = folder_.File(), .vfs = vfs_.name()}) { ledger_.Reopen(); }

  void Run(int commits) {
    for (int i = 0; i < commits && !::testing::Test::HasFailure(); ++i) {
      if (random_() % 25 == 0) {
        Restart();
      }
      random_() % 8 == 0 ? CompareResume() : CompareBatch();
    }
    const absl::Status audited = ledger_.AuditAll();
    EXPECT_TRUE(audited.ok()) << audited;
  }

  size_t repeats() const { return repeats_; }

 private:
  struct Gift {
    uint32_t id;
    std::vector<uint32_t> unopened;
    int64_t left_fen;
  };

  void Restart() {
    if (random_() % 2 == 0) {
      ledger_.file().Finish();
    }
    ledger_.Reopen();
    oracle_.Restart();
  }

  void CompareBatch() {
    if (shares_.size() < 20) {
      const uint32_t first = next_lot_;
      next_lot_ += 50;
      ledger_.AddOrder(ShakeOrder(first, 50, kShareFen));
      for (uint32_t id = first; id < next_lot_; ++id) {
        shares_.push_back(id);
      }
    }
    std::vector<Outcome> expected, outcomes;
    ledger_.writer().Begin();
    for (uint64_t i = 0; i <= random_() % 8; ++i) {
      Record record = AnyRecord();
      record.reply_to = random_();
      expected.push_back(oracle_.Answer(record));
      Learn(record, expected.back());
      ledger_.writer().Apply(record, outcomes);
    }
    ASSERT_TRUE(ledger_.writer().Commit()) << ledger_.writer().status();
    ASSERT_EQ(outcomes.size(), expected.size());
    for (size_t i = 0; i < outcomes.size(); ++i) {
      ASSERT_EQ(Say(outcomes[i]), Say(expected[i]));
    }
  }

  void CompareResume() {
    Record ask = Ask(RecordKind::kResume, User(), random_() % 3 == 0 ? 0 : Stamp());
    ask.reply_to = random_();
    const std::vector<Outcome> expected = oracle_.Resume(ask);
    size_t seen = 0;
    do {
      const std::vector<Outcome> page = ledger_.Do({ask});
      for (size_t i = 0; i + 1 < page.size(); ++i, ++seen) {
        ASSERT_LT(seen, expected.size());
        ASSERT_EQ(Say(page[i]), Say(expected[seen]));
      }
      ASSERT_EQ(page.back().kind, RecordKind::kResume);
      ASSERT_EQ(page.back().settled, Settled::kNone);
      ASSERT_EQ(page.back().reply_to, ask.reply_to);
      ask.cursor = page.back().cursor;
    } while (ask.cursor != 0);
    ASSERT_EQ(seen, expected.size());
  }

  // A few stamps, so that most come again, also for requests of another kind; some beyond the signed numbers.
  uint64_t Stamp() {
    const uint64_t stamp = 1 + random_() % 60;
    return random_() % 10 == 0 ? ~stamp : stamp * 1'000'000'007;
  }
  uint32_t User() { return static_cast<uint32_t>(random_() % kUsers); }
  std::optional<uint64_t> MaybeStamp() { return random_() % 5 == 0 ? std::nullopt : std::optional(Stamp()); }

  Record AnyRecord() {
    Record record = AnyKind();
    record.login = static_cast<uint32_t>(random_() % 4);
    return record;
  }
  Record AnyKind() {
    switch (random_() % 10) {
      case 0:
        return Ask(RecordKind::kFindWin, User(), Stamp());
      case 1:
        return Ask(RecordKind::kFindOpen, User(), Stamp(),
                   kGiftId + static_cast<uint32_t>(random_() % (next_gift_ - kGiftId + 2)));  // also of none
      case 2:
        return Ask(RecordKind::kStatement, User());
      case 3:
        return NewGift();
      case 9:
        return Ask(RecordKind::kFindSend, User(), Stamp());
      case 4:
      case 5:
      case 6:
        return gifts_.empty() ? NewGift() : OpenOrRefund();
      default:
        return shares_.empty() ? NewGift() : Win(User(), TakeShare(), kShareFen, MaybeStamp());
    }
  }
  uint32_t TakeShare() {
    const uint32_t id = shares_.front();
    shares_.pop_front();
    return id;
  }
  Record NewGift() {
    std::vector<uint32_t> users;
    for (uint32_t user = 0; user < kUsers; ++user) {
      if (random_() % 2 == 0 || user + 1 == kUsers) {
        users.push_back(user);
      }
    }
    const uint32_t sender = random_() % 4 == 0 ? kNobody : User();
    return MakeGift(next_gift_++, sender, static_cast<uint32_t>(users.size() + random_() % 90), users,
                    sender == kNobody ? std::nullopt : MaybeStamp());
  }
  Record OpenOrRefund() {
    Gift& gift = gifts_[random_() % gifts_.size()];
    if (random_() % 12 == 0) {
      return {.kind = RecordKind::kRefund,
              .user_count = static_cast<uint8_t>(gift.unopened.size()),
              .envelope_id = gift.id,
              .amount_fen = static_cast<uint32_t>(gift.left_fen)};
    }
    const int64_t others = static_cast<int64_t>(gift.unopened.size()) - 1;
    const int64_t spare = gift.left_fen - others;
    const int64_t fen = others == 0 ? gift.left_fen : 1 + static_cast<int64_t>(random_() % static_cast<uint64_t>(spare));
    return OpenGift(gift.unopened[random_() % gift.unopened.size()], gift.id, static_cast<uint32_t>(fen), MaybeStamp());
  }

  // What the server would make of the outcome.
  void Learn(const Record& record, const Outcome& outcome) {
    repeats_ += outcome.settled == Settled::kRepeat ? 1 : 0;
    if (record.kind == RecordKind::kWin && outcome.settled != Settled::kNew) {
      shares_.push_back(outcome.unused_id);
    } else if (record.kind == RecordKind::kGift && outcome.settled == Settled::kNew) {
      gifts_.push_back({record.envelope_id, {record.users, record.users + record.user_count}, record.amount_fen});
    } else if (record.kind == RecordKind::kOpen || record.kind == RecordKind::kRefund) {
      for (size_t i = 0; i < gifts_.size(); ++i) {
        if (gifts_[i].id == record.envelope_id) {
          gifts_[i].left_fen -= record.amount_fen;
          std::erase(gifts_[i].unopened, record.user);
          if (gifts_[i].left_fen == 0) {
            gifts_.erase(gifts_.begin() + static_cast<std::ptrdiff_t>(i));
          }
          return;
        }
      }
    }
  }

  static constexpr uint32_t kShareFen = 9;

  TestFolder folder_;
  FaultyVfs vfs_;  // only to spare the syncs
  std::mt19937_64 random_;
  OpenedLedger ledger_;
  Oracle oracle_;
  std::deque<uint32_t> shares_;  // that may be won
  std::vector<Gift> gifts_;      // that something is left of
  uint32_t next_lot_ = kLotId;
  uint32_t next_gift_ = kGiftId;
  size_t repeats_ = 0;
};

TEST(Oracle, AgreesOnEveryOutcome) {
  size_t repeats = 0;
  const uint64_t seeds = Seeds(24);
  for (uint64_t seed = 1; seed <= seeds; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    Comparison comparison(seed);
    comparison.Run(400);
    repeats += comparison.repeats();
    ASSERT_FALSE(HasFailure());
  }
  EXPECT_GT(repeats, seeds * 50);
}

}  // namespace
}  // namespace hongbao::ledger
