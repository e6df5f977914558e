// Exit codes: what the programs end with. tools/hongbao_tools/common/exit_codes.py has the same for the tools.
//
// What each means for one program is in its --help. Thread tag: thread-safe (constants).
#pragma once

#include "libhongbao/cpp20.h"

namespace hongbao::cli {

inline constexpr int kDone = 0;
inline constexpr int kCouldNot = 1;  // start, run or write; the reason is on stderr
inline constexpr int kWrongUsage = 2;
inline constexpr int kBadVerdict = 3;        // the work is done, and its answer is no: a condition does not hold
inline constexpr int kDoesNotReconcile = 4;  // money or requests
// 5, a commit failed while serving, is the ledger's own (ledger/sqlite_ledger.h): it ends the process where it stands.

constexpr int ExitCodeOfSignal(int number) { return 128 + number; }

}  // namespace hongbao::cli
