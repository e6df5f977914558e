// Books: what a client has been told, and random requests that go on from there.
//
// Owns a copy of every promise made: wins, opens, gifts, refunds, orders. A ledger that holds less has lost money, one that
// holds more has made some. Written from what outcomes mean, not from the tables. Thread tag: thread-compatible.
#pragma once

#include <map>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "ledger_fixture.h"

namespace hongbao::ledger {

class Books {
 public:
  static constexpr uint32_t kUsers = 9;
  using Random = std::mt19937_64;

  // One request, taken as granted. Empty: it is an order, in `order`.
  std::optional<Record> Next(Random& random, Order& order) {
    const uint64_t dice = random() % 100;
    if (lots_.empty() || lots_.rbegin()->second.next == lots_.rbegin()->second.count || dice < 3) {
      order = NewOrder(random);
      return std::nullopt;
    }
    if (dice < 15) {
      return SendGift(random);
    }
    if (dice < 45 && FindOpenGift()) {
      return OpenShare(random);
    }
    if (dice < 50 && FindOpenGift()) {
      return GiveBack();
    }
    return NewWin(random);
  }

  // The first thing that the ledger has otherwise; "" if it has all of this and nothing else.
  std::string Differs(OpenedLedger& ledger) const {
    const std::string by_grant = DiffersByGrant(ledger);
    if (!by_grant.empty()) {
      return by_grant;
    }
    for (uint32_t user = 0; user < kUsers; ++user) {
      const Outcome found = ledger.DoOne(Ask(RecordKind::kStatement, user));
      const auto [grants, fen] = Total(user);
      if (found.grants != grants || found.total_fen != fen) {
        return absl::StrCat("user ", user, " has ", found.grants, " grants of ", found.total_fen, " fen instead of ", grants,
                            " of ", fen);
      }
    }
    for (const auto& [id, gift] : gifts_) {
      const int64_t left = ledger.db().Number(absl::StrCat("SELECT left_fen FROM envelopes WHERE id = ", id).c_str());
      const int64_t refunded = ledger.db().Number(absl::StrCat("SELECT state = 3 FROM envelopes WHERE id = ", id).c_str());
      if (left != gift.left_fen || (refunded != 0) != gift.refunded) {
        return absl::StrCat("gift ", id, " has ", left, " fen left instead of ", gift.left_fen);
      }
    }
    const int64_t envelopes = ledger.db().Number("SELECT COUNT(*) FROM envelopes");
    const int64_t orders = ledger.db().Number("SELECT COUNT(*) FROM orders");
    if (envelopes != static_cast<int64_t>(lots_.size() + gifts_.size()) || orders != static_cast<int64_t>(lots_.size())) {
      return absl::StrCat(envelopes, " envelopes of ", orders, " orders");
    }
    return "";
  }

  size_t grants() const { return wins_.size() + opens_.size(); }

 private:
  struct Lot {
    int64_t count = 0, next = 0;
    uint32_t fen = 0;
  };
  struct Gift {
    std::vector<uint32_t> users;  // who have not opened it
    int64_t left_fen = 0;
    bool refunded = false;
  };

  Order NewOrder(Random& random) {
    const uint32_t first = next_lot_;
    const Lot lot{.count = static_cast<int64_t>(10 + random() % 40), .fen = static_cast<uint32_t>(1 + random() % 500)};
    next_lot_ += static_cast<uint32_t>(lot.count);
    lots_[first] = lot;
    return ShakeOrder(first, lot.count, lot.fen);
  }
  Record NewWin(Random& random) {
    auto& [first, lot] = *lots_.rbegin();
    const uint32_t user = static_cast<uint32_t>(random() % kUsers);
    const uint32_t id = first + static_cast<uint32_t>(lot.next++);
    wins_[{user, ++stamp_}] = {id, lot.fen};
    return Win(user, id, lot.fen, stamp_);
  }
  Record SendGift(Random& random) {
    std::vector<uint32_t> users;
    for (uint32_t user = 0; user < kUsers; ++user) {
      if (random() % 3 == 0 || users.empty()) {
        users.push_back(user);
      }
    }
    const uint32_t fen = static_cast<uint32_t>(users.size() + random() % 1'000);
    gifts_[++next_gift_] = {.users = users, .left_fen = fen};
    return MakeGift(next_gift_, static_cast<uint32_t>(random() % kUsers), fen, users, ++stamp_);
  }
  // Finds the newest gift that something is left of.
  bool FindOpenGift() {
    for (auto gift = gifts_.rbegin(); gift != gifts_.rend(); ++gift) {
      if (gift->second.left_fen > 0) {
        open_gift_ = gift->first;
        return true;
      }
    }
    return false;
  }
  Record OpenShare(Random& random) {
    Gift& gift = gifts_[open_gift_];
    const int64_t others = static_cast<int64_t>(gift.users.size()) - 1;
    const uint64_t spare = static_cast<uint64_t>(gift.left_fen - others);
    const int64_t fen = others == 0 ? gift.left_fen : 1 + static_cast<int64_t>(random() % spare);
    const uint32_t user = gift.users.back();
    gift.users.pop_back();
    gift.left_fen -= fen;
    opens_[{user, open_gift_}] = static_cast<uint32_t>(fen);
    return OpenGift(user, open_gift_, static_cast<uint32_t>(fen), ++stamp_);
  }
  Record GiveBack() {
    Gift& gift = gifts_[open_gift_];
    const Record record{.kind = RecordKind::kRefund,
                        .user_count = static_cast<uint8_t>(gift.users.size()),
                        .envelope_id = open_gift_,
                        .amount_fen = static_cast<uint32_t>(gift.left_fen)};
    gift.left_fen = 0;
    gift.refunded = true;
    return record;
  }

  std::string DiffersByGrant(OpenedLedger& ledger) const {
    for (const auto& [key, won] : wins_) {
      const Outcome found = ledger.DoOne(Ask(RecordKind::kFindWin, key.first, key.second));
      if (found.settled != Settled::kRepeat || found.envelope_id != won.first || found.amount_fen != won.second) {
        return absl::StrCat("user ", key.first, "'s win of ", won.second, " fen, stamp ", key.second, ", is ", found.amount_fen);
      }
    }
    for (const auto& [key, fen] : opens_) {
      const Outcome found = ledger.DoOne(Ask(RecordKind::kFindOpen, key.first, 0, key.second));
      if (found.settled != Settled::kRepeat || found.amount_fen != fen) {
        return absl::StrCat("user ", key.first, "'s open of gift ", key.second, " for ", fen, " fen is ", found.amount_fen);
      }
    }
    return "";
  }
  std::pair<uint32_t, uint64_t> Total(uint32_t user) const {
    std::pair<uint32_t, uint64_t> total;
    for (const auto& [key, won] : wins_) {
      if (key.first == user) {
        ++total.first;
        total.second += won.second;
      }
    }
    for (const auto& [key, fen] : opens_) {
      if (key.first == user) {
        ++total.first;
        total.second += fen;
      }
    }
    return total;
  }

  std::map<std::pair<uint32_t, uint64_t>, std::pair<uint32_t, uint32_t>> wins_;  // (user, stamp) -> (envelope, fen)
  std::map<std::pair<uint32_t, uint32_t>, uint32_t> opens_;                      // (user, gift) -> fen
  std::map<uint32_t, Lot> lots_;
  std::map<uint32_t, Gift> gifts_;
  uint64_t stamp_ = 1'000;
  uint32_t next_lot_ = kLotId;
  uint32_t next_gift_ = kGiftId;
  uint32_t open_gift_ = 0;
};

}  // namespace hongbao::ledger
