// Oracle: what clients may be told, as a few maps. It is told each answer as it came over the wire, and objects to what cannot
// be true beside what was told before. Knows nothing of sessions, desks or ledgers.
//
// A client that has been told "no" (nothing, at the cap, overloaded) and has no other copy of the request under way may rely on
// it: it may ask for the same under another stamp. So a request that was refused and not asked again must never be made.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

namespace hongbao::serve {

class Oracle {
 public:
  using Key = std::pair<uint32_t, uint64_t>;  // user, stamp
  struct Gift {
    uint32_t total = 0;
    std::set<uint32_t> users;
    int64_t alive_until_ms = 0;             // at least
    std::map<uint32_t, uint32_t> opened{};  // by user

    uint64_t OpenedFen() const {
      uint64_t sum = 0;
      for (const auto& [user, fen] : opened) {
        sum += fen;
      }
      return sum;
    }
  };

  // ---- what was asked: the request is sent (again), or its last copy was answered with "no" ----
  void Asked(uint32_t user, uint64_t stamp) { refused_.erase({user, stamp}); }
  void Refused(uint32_t user, uint64_t stamp) { refused_.insert({user, stamp}); }

  // ---- shakes. A version 1 shake has no stamp ----
  void Won(uint32_t user, std::optional<uint64_t> stamp, uint32_t id, uint32_t fen, uint32_t min_fen, uint32_t max_fen) {
    EXPECT_TRUE(fen >= min_fen && fen <= max_fen) << "user " << user << " won " << fen << " fen";
    const auto [envelope, first] = winners_.emplace(id, std::pair(user, stamp));
    EXPECT_TRUE(first || (stamp.has_value() && envelope->second == std::pair(user, stamp)))
        << "envelope " << id << " was won by " << envelope->second.first << " and by " << user;
    if (!stamp.has_value()) {
      ++account_[user].first;
      account_[user].second += fen;
      return;
    }
    const auto [outcome, added] = wins_.emplace(Key(user, *stamp), std::pair(id, fen));
    EXPECT_EQ(outcome->second, std::pair(id, fen)) << "user " << user << " got a second envelope for the shake " << *stamp;
    if (added) {
      ++account_[user].first;
      account_[user].second += fen;
    }
    Told(user, *stamp);
  }
  // "Nothing", "at the cap" or "overloaded".
  void NotWon(uint32_t user, uint64_t stamp) {
    EXPECT_FALSE(wins_.contains({user, stamp})) << "user " << user << " was told before that the shake " << stamp << " has won";
  }

  // ---- gifts ----
  void Sent(uint32_t user, uint64_t stamp, uint32_t id, uint32_t total, const std::set<uint32_t>& users, int64_t alive_until_ms) {
    EXPECT_EQ(sends_.emplace(Key(user, stamp), id).first->second, id)
        << "user " << user << " sent a second gift with the request " << stamp;
    EXPECT_EQ(senders_.emplace(id, Key(user, stamp)).first->second, Key(user, stamp)) << "two sends got the gift " << id;
    Learn(id, total, users, alive_until_ms);
    Told(user, stamp);
  }
  void NotSent(uint32_t user, uint64_t stamp) {
    EXPECT_FALSE(sends_.contains({user, stamp})) << "user " << user << " was told before that the gift " << stamp << " is sent";
  }
  void Noticed(uint32_t user, uint32_t id, uint32_t total, const std::set<uint32_t>& users) {
    EXPECT_TRUE(users.contains(user)) << "user " << user << " was told of the gift " << id << " of others";
    Learn(id, total, users, 0);
  }
  void Opened(uint32_t user, std::optional<uint64_t> stamp, uint32_t id, uint32_t fen, int64_t now_ms) {
    const auto gift = gifts_.find(id);
    if (gift == gifts_.end() || !gift->second.users.contains(user)) {
      EXPECT_EQ(fen, 0U) << "user " << user << " is not invited to " << id;
      return;
    }
    const auto opened = gift->second.opened.find(user);
    if (opened != gift->second.opened.end()) {
      EXPECT_EQ(fen, opened->second) << "user " << user << " opened the gift " << id << " before";
      return;
    }
    if (fen == 0) {
      EXPECT_GE(now_ms, gift->second.alive_until_ms) << "user " << user << " has a share of " << id << " and got nothing";
      return;
    }
    if (stamp.has_value()) {
      ExpectNotRefused(user, *stamp);
    }
    gift->second.opened.emplace(user, fen);
    EXPECT_LE(gift->second.OpenedFen(), gift->second.total) << "gift " << id;
    ++account_[user].first;
    account_[user].second += fen;
  }

  // ---- what the server says of a user: at least what was told before, exactly that when all has been told ----
  void Stated(uint32_t user, uint32_t grants, uint64_t fen, bool exactly) {
    const auto [told, told_fen] = account_[user];
    EXPECT_TRUE(exactly ? grants == told && fen == told_fen : grants >= told && fen >= told_fen)
        << "user " << user << " has " << grants << " grants of " << fen << " fen, and was told of " << told << " of " << told_fen;
  }
  void LoggedIn(uint32_t user, uint64_t last_stamp) {
    EXPECT_GE(last_stamp, stamps_[user]) << "user " << user << ": the last stamp is behind a grant";
  }

  std::pair<uint32_t, uint64_t> account(uint32_t user) { return account_[user]; }
  uint64_t last_stamp(uint32_t user) { return stamps_[user]; }
  std::map<uint32_t, Gift>& gifts() { return gifts_; }

 private:
  void Learn(uint32_t id, uint32_t total, const std::set<uint32_t>& users, int64_t alive_until_ms) {
    const auto [gift, added] = gifts_.emplace(id, Gift{.total = total, .users = users, .alive_until_ms = alive_until_ms});
    EXPECT_TRUE(gift->second.total == total && gift->second.users == users) << "the gift " << id << " is two gifts";
    EXPECT_GE(total, users.size());
    gift->second.alive_until_ms = std::max(gift->second.alive_until_ms, alive_until_ms);
  }
  void ExpectNotRefused(uint32_t user, uint64_t stamp) {
    EXPECT_FALSE(refused_.contains({user, stamp}))
        << "user " << user << " was told that the request " << stamp << " came to nothing, did not ask again, and it was made";
  }
  void Told(uint32_t user, uint64_t stamp) {
    ExpectNotRefused(user, stamp);
    stamps_[user] = std::max(stamps_[user], stamp);
  }

  std::map<Key, std::pair<uint32_t, uint32_t>> wins_;                         // id, fen
  std::map<uint32_t, std::pair<uint32_t, std::optional<uint64_t>>> winners_;  // by envelope
  std::map<Key, uint32_t> sends_;
  std::set<Key> refused_;
  std::map<uint32_t, Gift> gifts_;
  std::map<uint32_t, Key> senders_;                            // by gift
  std::map<uint32_t, std::pair<uint32_t, uint64_t>> account_;  // grants told, fen told
  std::map<uint32_t, uint64_t> stamps_;
};

}  // namespace hongbao::serve
