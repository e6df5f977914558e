// Oracle: what a ledger has to answer, in maps. Written from the contract in ledger.h, not from the tables.
//
// Owns every grant and gift it was told of. Never sees an impossible record. Thread tag: thread-compatible.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "libhongbao/ledger/ledger.h"

namespace hongbao::ledger {

class Oracle {
 public:
  // The one outcome of a record that is no kResume.
  Outcome Answer(const Record& record) {
    Outcome outcome = AsNew(record);
    switch (record.kind) {
      case RecordKind::kWin:
        Win(record, outcome);
        break;
      case RecordKind::kFindWin:
        if (!Found(record, outcome)) {
          TooLateFrom(record);
        }
        break;
      case RecordKind::kOpen:
        outcome.has_stamp = record.has_stamp && !requests_.contains({record.user, record.stamp});
        opens_[{record.envelope_id, record.user}] = record.amount_fen;
        Add(record, outcome.has_stamp);
        break;
      case RecordKind::kFindOpen: {
        const auto opened = opens_.find({record.envelope_id, record.user});
        outcome.settled = opened == opens_.end() ? Settled::kNone : Settled::kRepeat;
        outcome.amount_fen = opened == opens_.end() ? 0 : opened->second;
        break;
      }
      case RecordKind::kGift:
        Gift(record, outcome);
        break;
      case RecordKind::kFindSend:
        FindSend(record, outcome);
        break;
      case RecordKind::kStatement:
        for (const Grant& grant : grants_) {
          if (grant.user == record.user) {
            ++outcome.grants;
            outcome.total_fen += grant.fen;
          }
        }
        break;
      case RecordKind::kRefund:
      case RecordKind::kResume:
        break;
    }
    return outcome;
  }

  // All pages of a resume, without their ends: the grants with a stamp above, the newest first.
  std::vector<Outcome> Resume(const Record& record) const {
    std::vector<Outcome> outcomes;
    for (auto grant = grants_.rbegin(); grant != grants_.rend(); ++grant) {
      if (grant->user == record.user && grant->stamp.has_value() && *grant->stamp > record.stamp) {
        outcomes.push_back({.kind = grant->kind,
                            .settled = Settled::kRepeat,
                            .resumed = true,
                            .has_stamp = true,
                            .user = grant->user,
                            .envelope_id = grant->envelope,
                            .amount_fen = grant->fen,
                            .stamp = *grant->stamp,
                            .reply_to = record.reply_to});
      }
    }
    return outcomes;
  }

  // What is only said for the moment in which two workers have the same request is not kept.
  void Restart() { too_late_.clear(); }

 private:
  using Request = std::pair<uint32_t, uint64_t>;  // user, stamp
  struct Grant {
    RecordKind kind;
    uint32_t user, envelope, fen;
    std::optional<uint64_t> stamp;
  };

  void Add(const Record& record, bool has_stamp) {
    grants_.push_back({record.kind, record.user, record.envelope_id, record.amount_fen,
                       has_stamp ? std::optional(record.stamp) : std::nullopt});
    if (has_stamp) {
      requests_[{record.user, record.stamp}] = grants_.size() - 1;
    }
  }
  // True: the request has had an outcome, of whatever kind. Only a win is one of a shake.
  bool Found(const Record& record, Outcome& outcome) const {
    outcome.settled = Settled::kNone;
    outcome.envelope_id = outcome.amount_fen = 0;
    const auto found = requests_.find({record.user, record.stamp});
    if (found != requests_.end() && grants_[found->second].kind == RecordKind::kWin) {
      outcome.settled = Settled::kRepeat;
      outcome.envelope_id = grants_[found->second].envelope;
      outcome.amount_fen = grants_[found->second].fen;
    }
    return found != requests_.end();
  }
  void Win(const Record& record, Outcome& outcome) {
    const Request request = {record.user, record.stamp};
    if (!record.has_stamp || (!requests_.contains(request) && !too_late_.contains(request))) {
      return Add(record, record.has_stamp);
    }
    Found(record, outcome);
    outcome.unused_id = record.envelope_id;
    outcome.unused_fen = record.amount_fen;
  }
  void Gift(const Record& record, Outcome& outcome) {
    if (!record.has_stamp) {
      return;
    }
    const Request request = {record.user, record.stamp};
    const auto too_late = too_late_.find(request);
    if (!sends_.contains(request) && (too_late == too_late_.end() || record.login >= too_late->second)) {
      sends_[request] = {record.envelope_id, record.amount_fen};
      return;
    }
    FindSend(record, outcome);
    outcome.unused_id = record.envelope_id;
    outcome.unused_fen = record.amount_fen;
  }
  void FindSend(const Record& record, Outcome& outcome) {
    const auto first = sends_.find({record.user, record.stamp});
    outcome.settled = first == sends_.end() ? Settled::kNone : Settled::kRepeat;
    outcome.envelope_id = first == sends_.end() ? 0 : first->second.first;
    outcome.amount_fen = first == sends_.end() ? 0 : first->second.second;
    if (first == sends_.end()) {
      TooLateFrom(record);
    }
  }
  // For a win whoever still comes with it, for a gift an earlier login of the user.
  void TooLateFrom(const Record& record) {
    uint32_t& login = too_late_[{record.user, record.stamp}];
    login = std::max(login, record.login);
  }

  std::vector<Grant> grants_;  // in the order of their commits
  std::map<Request, size_t> requests_;
  std::map<Request, uint32_t> too_late_;                     // the latest login that was told so
  std::map<std::pair<uint32_t, uint32_t>, uint32_t> opens_;  // gift, user
  std::map<Request, std::pair<uint32_t, uint32_t>> sends_;   // its gift
};

}  // namespace hongbao::ledger
