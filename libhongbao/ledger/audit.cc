#include "libhongbao/ledger/audit.h"

#include <chrono>

#include "absl/strings/str_cat.h"

namespace hongbao::ledger {
namespace {

struct Identity {
  const char* name;
  const char* since;  // ?1 = the last grant audited before. Null: not asked in kSince
  const char* all;    // null: the same with ?1 = 0
};

// Accounts as in schema.h: 1 << 32 a user's, 2 << 32 an envelope's escrow.
constexpr Identity kIdentities[] = {
    {"envelopes: total = left + granted + refunded",
     // Gifts that grants came to; lots are added up by the start's own pass over all grants.
     "SELECT e.id, e.total_fen, e.left_fen, SUM(g.fen) FROM envelopes e JOIN grants g ON g.envelope_id = e.id"
     " LEFT JOIN entries r ON r.ref_kind = 3 AND r.ref_id = e.id"
     " WHERE e.id IN (SELECT envelope_id FROM grants WHERE grant_id > ?1 AND kind = 2) GROUP BY e.id"
     " HAVING e.total_fen <> e.left_fen + SUM(g.fen) + IFNULL(r.fen, 0)"
     " OR (e.state < 3 AND e.shares <> e.left_shares + COUNT(*))",
     "SELECT e.id, e.total_fen, e.left_fen, g.fen FROM envelopes e"
     " LEFT JOIN (SELECT envelope_id, SUM(fen) fen, COUNT(*) n FROM grants GROUP BY 1) g ON g.envelope_id = e.id"
     " LEFT JOIN entries r ON r.ref_kind = 3 AND r.ref_id = e.id LEFT JOIN cancels c ON c.first_id = e.id AND c.shares > 0"
     " WHERE e.total_fen <> e.left_fen + IFNULL(g.fen, 0) + IFNULL(r.fen, 0)"
     " OR (e.state < 3 AND e.shares <> e.left_shares + IFNULL(g.n, 0) + IFNULL(c.shares, 0)) OR e.shares < IFNULL(g.n, 0)"
     " OR (e.state = 3 OR c.shares IS NOT NULL) <> (r.fen IS NOT NULL)"},
    {"envelopes: open while something is left, expired only with a refund",
     "SELECT id FROM envelopes e WHERE (state = 1) <> (left_shares > 0)"
     " OR (state = 3 AND NOT EXISTS (SELECT 1 FROM entries r WHERE r.ref_kind = 3 AND r.ref_id = e.id)) OR ?1 < 0",
     nullptr},
    {"envelopes: each was funded once, by its whole amount", nullptr,
     "SELECT e.id FROM envelopes e LEFT JOIN entries f ON f.ref_kind = 1 AND f.ref_id = e.id"
     " LEFT JOIN entries s ON s.ref_kind = 2 AND s.ref_id = e.id"
     " WHERE IFNULL(f.fen, 0) + IFNULL(s.fen, 0) <> e.total_fen OR (e.sender < 0) <> (f.fen IS NOT NULL)"
     " OR (e.sender >= 0) <> (s.fen IS NOT NULL)"
     " OR IFNULL(f.credit, s.credit) <> (8589934592 | e.id)"
     " OR IFNULL(f.debit, s.debit) <> (CASE WHEN e.sender < 0 THEN 0 ELSE 4294967296 | e.sender END)"},
    {"grants: each has one entry of its amount, from its envelope to its user",
     "SELECT g.grant_id, g.fen, x.fen FROM grants g LEFT JOIN entries x ON x.ref_kind = 4 AND x.ref_id = g.grant_id"
     " WHERE g.grant_id > ?1 AND (x.fen IS NOT g.fen OR x.debit IS NOT (8589934592 | g.envelope_id)"
     " OR x.credit IS NOT (4294967296 | g.user_id))",
     nullptr},
    {"entries: each of a grant has its grant",
     "SELECT x.ref_id FROM entries x LEFT JOIN grants g ON g.grant_id = x.ref_id"
     " WHERE x.ref_kind = 4 AND x.ref_id > ?1 AND g.grant_id IS NULL",
     nullptr},
    {"grants: each is a share of its envelope",
     "SELECT g.grant_id FROM grants g LEFT JOIN envelopes e ON e.id = g.envelope_id AND e.kind = g.kind"
     " WHERE g.grant_id > ?1 AND (e.id IS NULL OR g.share_idx < 0 OR g.share_idx >= e.shares)",
     nullptr},
    {"opens: everyone who opened was invited",
     "SELECT g.grant_id, g.user_id FROM grants g"
     " LEFT JOIN invites i ON i.envelope_id = g.envelope_id AND i.share_idx = g.share_idx"
     " WHERE g.grant_id > ?1 AND g.kind = 2 AND i.user_id IS NOT g.user_id",
     nullptr},
    {"refunds: each is of an expired gift or a cancelled order and goes back to its sender", nullptr,
     "SELECT r.ref_id FROM entries r LEFT JOIN envelopes e ON e.id = r.ref_id"
     " LEFT JOIN cancels c ON c.first_id = r.ref_id AND c.shares > 0"
     " WHERE r.ref_kind = 3 AND (e.id IS NULL OR e.kind = 2 AND e.state < 3 OR e.kind = 1 AND r.fen IS NOT c.fen"
     " OR r.debit <> (8589934592 | e.id)"
     " OR r.credit <> (CASE WHEN e.sender < 0 THEN 0 ELSE 4294967296 | e.sender END))"},
    {"cancels: each is of an order, and of what was not issued", nullptr,
     "SELECT c.first_id FROM cancels c LEFT JOIN orders o ON o.first_id = c.first_id"
     " LEFT JOIN envelopes e ON e.id = c.first_id AND e.kind = 1"
     " WHERE o.first_id IS NULL OR c.place > o.count OR c.shares > o.count - c.place OR (c.shares > 0 AND o.is_gift = 1)"
     " OR (c.shares = 0 AND o.is_gift = 0) OR e.left_shares <> c.place -"
     " (SELECT COUNT(*) FROM grants g WHERE g.envelope_id = c.first_id AND g.share_idx < c.place)"},
    {"orders: each of a caller's key is there", nullptr,
     "SELECT t.first_id FROM order_terms t LEFT JOIN orders o ON o.first_id = t.first_id WHERE o.first_id IS NULL"},
    {"gifts: as many are invited as there are shares, each once", nullptr,
     "SELECT e.id FROM envelopes e LEFT JOIN (SELECT envelope_id, COUNT(*) n, COUNT(DISTINCT user_id) d, MAX(share_idx) m"
     " FROM invites GROUP BY 1) i ON i.envelope_id = e.id"
     " WHERE e.kind = 2 AND (i.n IS NOT e.shares OR i.d <> i.n OR i.m <> i.n - 1)"},
    {"users: their grants are numbered 1, 2, 3 without a hole",
     "SELECT g.grant_id, g.user_id FROM grants g LEFT JOIN grants p ON p.grant_id = g.prev_id WHERE g.grant_id > ?1"
     " AND (p.user_id IS NOT (CASE g.prev_id WHEN 0 THEN NULL ELSE g.user_id END)"
     " OR g.grant_no <> IFNULL(p.grant_no, 0) + 1)",
     "SELECT user_id, COUNT(*), MAX(grant_no) FROM grants GROUP BY user_id"
     " HAVING MAX(grant_no) <> COUNT(*) OR MIN(grant_no) <> 1 OR COUNT(DISTINCT grant_no) <> COUNT(*)"},
    {"users: each grant follows the one before", nullptr,
     "SELECT g.grant_id, g.user_id FROM grants g LEFT JOIN grants p ON p.grant_id = g.prev_id"
     " WHERE p.user_id IS NOT (CASE g.prev_id WHEN 0 THEN NULL ELSE g.user_id END)"
     " OR g.grant_no <> IFNULL(p.grant_no, 0) + 1"},
    {"grants: numbered without a hole",
     "SELECT MAX(grant_id) FROM grants WHERE grant_id > ?1 HAVING COUNT(*) <> IFNULL(MAX(grant_id), ?1) - ?1", nullptr},
    {"grants: each is what was written",
     "SELECT grant_id FROM grants WHERE grant_id > ?1 AND sum <> row_sum(grant_id, user_id, grant_no, prev_id, stamp, max_stamp,"
     " envelope_id, share_idx, kind, fen, at_ms)",
     nullptr},
    {"envelopes, invites, orders, cancels, meta: each row is what was written", nullptr,
     "SELECT 'envelope ' || id FROM envelopes"
     " WHERE sum <> row_sum(id, kind, sender, stamp, total_fen, shares, created_ms, expires_ms)"
     " UNION ALL SELECT 'invite to ' || envelope_id FROM invites WHERE sum <> row_sum(envelope_id, share_idx, user_id)"
     " UNION ALL SELECT 'order ' || first_id FROM orders"
     " WHERE sum <> row_sum(first_id, is_gift, count, rate, min_fen, max_fen, at_s, key, users, first_user, last_user)"
     " UNION ALL SELECT 'terms of order ' || first_id FROM order_terms"
     " WHERE sum <> row_sum(first_id, draw, created_ms, caller_key, asked)"
     " UNION ALL SELECT 'cancel of order ' || first_id FROM cancels WHERE sum <> row_sum(first_id, place, shares, fen, at_ms)"
     " UNION ALL SELECT 'meta ' || k FROM meta WHERE sum <> row_sum(k, v)"},
    {"accounts: what is in escrow is what is left in envelopes", nullptr,
     "SELECT * FROM (SELECT IFNULL(SUM(CASE WHEN credit >> 32 = 2 THEN fen ELSE 0 END)"
     " - SUM(CASE WHEN debit >> 32 = 2 THEN fen ELSE 0 END), 0) held FROM entries),"
     " (SELECT IFNULL(SUM(left_fen), 0) owed FROM envelopes) WHERE held <> owed"},
};

std::string RowText(const Statement& row) { return absl::StrCat("first breach: ", row.Text(0)); }

int64_t NowUs() {
  return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

AuditFinding Ask(Sqlite& db, const Identity& identity, AuditScope scope, int64_t since_grant) {
  AuditFinding finding{.name = identity.name};
  const int64_t begun_us = NowUs();
  const bool all = scope == AuditScope::kAll;
  Statement query(db, all && identity.all != nullptr ? identity.all : identity.since);
  if (!(all && identity.all != nullptr)) {
    query << (all ? 0 : since_grant);
  }
  if (query.Step()) {
    finding.breach = RowText(query);
  } else if (!db.ok()) {
    finding.breach = std::string(db.status().message());
  }
  finding.us = NowUs() - begun_us;
  return finding;
}

}  // namespace

std::vector<AuditFinding> Audit(Sqlite& db, AuditScope scope, int64_t since_grant) {
  std::vector<AuditFinding> findings;
  if (scope == AuditScope::kAll) {
    const int64_t begun_us = NowUs();
    const std::string found = db.Text("PRAGMA integrity_check(1)");
    findings.push_back({.name = "file: pages, rows and indexes agree",
                        .breach = !db.ok()        ? std::string(db.status().message())
                                  : found == "ok" ? ""
                                                  : found,
                        .us = NowUs() - begun_us});
  }
  for (const Identity& identity : kIdentities) {
    if (scope == AuditScope::kAll || identity.since != nullptr) {
      findings.push_back(Ask(db, identity, scope, since_grant));
    }
  }
  return findings;
}

absl::Status Judge(const std::vector<AuditFinding>& findings) {
  for (const AuditFinding& finding : findings) {
    if (!finding.breach.empty()) {
      return absl::DataLossError(absl::StrCat("the audit found a breach of \"", finding.name, "\": ", finding.breach));
    }
  }
  return absl::OkStatus();
}

}  // namespace hongbao::ledger
