// Account: the money of all lives: what servers have given, what clients have got, and whether the two are the same.
//
// Owns what each life has told. A life that died had done more than it told; the life after it says how much users had by
// then (its base), and base less base is what the dead life and those before it had done in all. A life after that knows less
// than was told (no ledger, no statements, a login cut short) shows nothing. What nobody has won stays in the ledger, and is
// told of again by the next server on it: it counts once. Never judges a life that it was not told of.
// Thread tag: thread-compatible.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <utility>
#include <vector>

#include "tools/monitor/sources.h"

namespace hongbao::monitor {

struct Sums {
  int64_t given_fen = 0;
  int64_t got_fen = 0;
  int64_t left_fen = 0;  // shake envelopes that nobody has won
  int64_t difference_fen() const { return given_fen - got_fen; }
};

// The account as it stands at the end.
struct Closing {
  Sums sums;
  int64_t unseen_fen = 0;  // that users had got before the first life of theirs that we know, while a server of ours was there
  int64_t older_fen = 0;   // that clients got which are older than the first server we know: a server before it may have given it
  int64_t ledger_fen = 0;  // and had given, by the ledgers of those we know
  bool in_order = true;    // everybody who matters has ended, or what they did is known from the life after
  bool servers = false, clients = false;  // whether there were any
  bool left_behind = false;               // a client ended with requests whose answers it did not wait for or lost
  std::vector<uint32_t> never_back;       // sources that died, and no life came after: what they did last is not known
  std::vector<uint32_t> not_known;        // sources that died, and the life after does not know what they had done
  std::vector<uint32_t> unanswered;       // those clients, as far as they are not forgotten

  // The difference is a loss: nothing explains it.
  bool Broken() const;
};

class Account {
 public:
  // The totals of a record. Of totals the highest counts: they never shrink, whatever order they come in.
  void Tell(uint32_t source, const wire::CounterRecord& record);

  // These lives are over and will be forgotten; what they did stays in the sums. `sources` still knows them.
  void Forget(const std::vector<uint32_t>& ids, const Sources& sources);

  Sums Look(const Sources& sources) const;
  Closing Close(const Sources& sources) const;

 private:
  struct Life {
    int64_t told_fen = 0;
    int64_t base_fen = 0;
    int64_t left_fen = 0;
    int64_t left_s = 0;       // the second it was told of
    uint64_t left_steps = 0;  // how often the life's clock had been set then
  };

  // What a life has done, and whether all of it is known.
  struct Done {
    int64_t fen = 0;
    bool known = true;
    int64_t chain_base_fen = 0;  // of the first life of these users
    int64_t chain_fen = 0;       // of this life and all before it
  };
  using DoneByLife = std::map<uint32_t, Done>;

  DoneByLife DoneByAll(const Sources& sources) const;
  bool LeftIsInALaterLife(const Source& source, const Life& life, const Sources& sources) const;
  Sums SumsOf(const Sources& sources, const DoneByLife& done) const;
  void JudgeLife(const Source& source, const Done& done, Closing& closing) const;
  uint64_t FirstServerNs(const Sources& sources) const;
  std::map<uint32_t, int64_t> UnseenByAll(const Sources& sources, const DoneByLife& done) const;

  std::map<uint32_t, Life> lives_;
  // Of the forgotten: what they add to every closing, and what their users had got.
  struct OfUsers {
    int64_t fen = 0;
    uint32_t last_id = 0;
  };
  Closing forgotten_;
  uint64_t forgotten_server_ns_ = std::numeric_limits<uint64_t>::max();  // when the first server of them began
  std::map<std::pair<uint64_t, uint64_t>, OfUsers> forgotten_users_;     // by first user and number; at most kSourcesMax
};

}  // namespace hongbao::monitor
