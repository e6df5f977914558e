#include "server/money.h"

#include <cstdio>
#include <cstdlib>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "libhongbao/cli/standard_streams.h"
#include "libhongbao/ledger/audit.h"
#include "libhongbao/ledger/fsync_probe.h"
#include "libhongbao/ledger/ledger_file.h"
#include "libhongbao/ledger/sqlite_ledger.h"
#include "libhongbao/time/clock_trust.h"

namespace hongbao::server {
namespace {

constexpr char kSqlite[] = "sqlite:";

std::string PathOf(const std::string& flag) { return flag.substr(sizeof(kSqlite) - 1); }

void SayDisk(const std::string& path) {
  const absl::StatusOr<int64_t> sync_us = ledger::MedianSyncUs(path);
  if (!sync_us.ok()) {
    std::fprintf(stderr, "ledger: the disk could not be probed: %s\n", std::string(sync_us.status().message()).c_str());
  } else if (*sync_us < ledger::kSuspiciousSyncUs) {
    std::fprintf(stderr,
                 "ledger: warning: a sync takes %lld us here: this is no disk (a tmpfs?) or one that lies; a power loss may take "
                 "committed money with it\n",
                 static_cast<long long>(*sync_us));
  } else {
    std::fprintf(stderr, "ledger: a sync takes %lld us here\n", static_cast<long long>(*sync_us));
  }
}

}  // namespace

absl::Status CheckLedgerFlag(const std::string& flag) {
  if (flag == "none" || (absl::StartsWith(flag, kSqlite) && flag.size() > sizeof(kSqlite) - 1 && flag != "sqlite:-")) {
    return absl::OkStatus();
  }
  if (flag == "sqlite:-") {
    return absl::InvalidArgumentError("--ledger: a ledger is a file, not a stream; for a file of this name: sqlite:./-");
  }
  return absl::InvalidArgumentError(absl::StrCat("--ledger takes none or sqlite:PATH, not ", flag));
}

absl::StatusOr<std::unique_ptr<ledger::Ledger>> OpenLedger(const std::string& flag, int64_t now_ms, int64_t clock_settle_ms) {
  if (flag == "none") {
    return nullptr;
  }
  const char* kill_at = std::getenv("HONGBAO_KILL_AT");  // tests only
  absl::StatusOr<ledger::KillPlan> kill_plan = ledger::KillPlan::Parse(kill_at == nullptr ? "" : kill_at);
  if (!kill_plan.ok()) {
    return kill_plan.status();
  }
  absl::StatusOr<std::unique_ptr<ledger::SqliteLedger>> ledger =
      ledger::SqliteLedger::Open({.file = {.path = PathOf(flag)},
                                  .kill_plan = *kill_plan,
                                  .clock_settle_ms = clock_settle_ms,
                                  .clock_kept = time::ClockTrust::KeptByKernel()},
                                 now_ms);
  if (!ledger.ok()) {
    return ledger.status();
  }
  std::fprintf(stderr, "ledger: %s\n", (*ledger)->Describe().c_str());
  SayDisk(PathOf(flag));
  return std::unique_ptr<ledger::Ledger>(*std::move(ledger));
}

absl::Status PrintAudit(const std::string& flag) {
  if (flag == "none") {
    return absl::InvalidArgumentError("--audit-only needs --ledger sqlite:PATH");
  }
  absl::StatusOr<std::unique_ptr<ledger::LedgerFile>> file =
      ledger::LedgerFile::Open({.path = PathOf(flag), .read_only = true, .check_small = false});
  if (!file.ok()) {
    return file.status();
  }
  const std::vector<ledger::AuditFinding> findings = ledger::Audit((*file)->db(), ledger::AuditScope::kAll, 0);
  for (const ledger::AuditFinding& finding : findings) {
    cli::WriteOut(stdout,
                  absl::StrFormat("%-6s  %s%s%s  (%.1f s)\n", finding.breach.empty() ? "holds" : "BREACH", finding.name,
                                  finding.breach.empty() ? "" : ": ", finding.breach, static_cast<double>(finding.us) * 1e-6));
  }
  return ledger::Judge(findings);
}

}  // namespace hongbao::server
