#include "libhongbao/ledger/sqlite.h"

#include <sqlite3.h>

#include <cstring>

#include "absl/strings/str_cat.h"
#include "libhongbao/check.h"
#include "libhongbao/ledger/row_sum.h"

namespace hongbao::ledger {

Sqlite::~Sqlite() { Close(); }

void Sqlite::Close() {
  if (db_ != nullptr) {
    Check(sqlite3_close(db_) == SQLITE_OK, "statements are finalized before their connection is closed");
    db_ = nullptr;
  }
}

absl::Status Sqlite::Open(const std::string& path, bool read_only, const char* vfs) {
  return OpenWith(path, read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE, vfs);
}

absl::Status Sqlite::Create(const std::string& path, const char* vfs) {
  return OpenWith(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, vfs);
}

absl::Status Sqlite::OpenWith(const std::string& path, int flags, const char* vfs) {
  Check(db_ == nullptr, "a connection is opened once");
  // Nobody reads SQLite's figures on its memory; without them its allocator takes no lock. Refused once SQLite runs in this
  // process: then it stays as it is.
  [[maybe_unused]] static const int configured = sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
  // NOMUTEX: the connection is its owner's alone. EXRESCODE: the error tells a full disk from a torn page.
  const int code = sqlite3_open_v2(path.c_str(), &db_, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, vfs);
  if (code != SQLITE_OK || !OfferRowSum(db_)) {
    Fail(absl::StrCat("opening ", path));
  }
  return status_;
}

void Sqlite::Fail(absl::string_view doing) {
  if (!status_.ok()) {
    return;
  }
  const int code = db_ == nullptr ? SQLITE_NOMEM : sqlite3_extended_errcode(db_);
  const std::string text = absl::StrCat(std::string(doing), ": ", db_ == nullptr ? "out of memory" : sqlite3_errmsg(db_), " (",
                                        sqlite3_errstr(code), ", code ", code, ")");
  switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      status_ = absl::UnavailableError(text);
      break;
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
      status_ = absl::DataLossError(text);
      break;
    case SQLITE_FULL:
      status_ = absl::ResourceExhaustedError(text);
      break;
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
      status_ = absl::PermissionDeniedError(text);
      break;
    default:
      status_ = absl::InternalError(text);
  }
}

void Sqlite::Refuse(const std::string& why) {
  if (status_.ok()) {
    status_ = absl::FailedPreconditionError(why);
  }
}

void Sqlite::Run(const char* sql) {
  if (ok() && sqlite3_exec(db_, sql, nullptr, nullptr, nullptr) != SQLITE_OK) {
    Fail(sql);
  }
}

std::string Sqlite::Text(const char* sql) {
  Statement statement(*this, sql);
  std::string text = statement.Step() ? statement.Text(0) : "";
  return text;
}

int64_t Sqlite::Number(const char* sql) {
  Statement statement(*this, sql);
  return statement.Step() ? statement.Int(0) : 0;
}

void Statement::Prepare(Sqlite& db, const char* sql) {
  Finalize();
  db_ = &db;
  // PERSISTENT: kept for the life of the connection, so not from the small-object pool.
  if (db.ok() && sqlite3_prepare_v3(db.raw(), sql, -1, SQLITE_PREPARE_PERSISTENT, &statement_, nullptr) != SQLITE_OK) {
    db.Fail(sql);
  }
}

void Statement::Finalize() {
  sqlite3_finalize(statement_);  // its return code repeats an error that Step has kept
  statement_ = nullptr;
}

Statement& Statement::operator<<(int64_t value) {
  if (db_->ok() && sqlite3_bind_int64(statement_, ++bound_, value) != SQLITE_OK) {
    db_->Fail("binding a number");
  }
  return *this;
}

Statement& Statement::operator<<(std::optional<int64_t> value) {
  if (value.has_value()) {
    return *this << *value;
  }
  if (db_->ok() && sqlite3_bind_null(statement_, ++bound_) != SQLITE_OK) {
    db_->Fail("binding a null");
  }
  return *this;
}

Statement& Statement::operator<<(absl::Span<const uint32_t> blob) {
  const int bytes = static_cast<int>(blob.size() * sizeof(uint32_t));
  // TRANSIENT: SQLite copies it, so it need not outlive the call.
  if (db_->ok() && sqlite3_bind_blob(statement_, ++bound_, blob.data(), bytes, SQLITE_TRANSIENT) != SQLITE_OK) {
    db_->Fail("binding a blob");
  }
  return *this;
}

Statement& Statement::operator<<(const std::string& text) {
  if (db_->ok() &&
      sqlite3_bind_text(statement_, ++bound_, text.data(), static_cast<int>(text.size()), SQLITE_TRANSIENT) != SQLITE_OK) {
    db_->Fail("binding a text");
  }
  return *this;
}

bool Statement::Step() {
  if (!db_->ok()) {
    return false;
  }
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) {
    return true;
  }
  if (code != SQLITE_DONE) {
    db_->Fail(sqlite3_sql(statement_));
  }
  Reset();
  return false;
}

void Statement::Reset() {
  sqlite3_reset(statement_);  // its return code repeats an error that Step has kept
  bound_ = 0;
}

int64_t Statement::Int(int column) const { return sqlite3_column_int64(statement_, column); }

bool Statement::IsNull(int column) const { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }

std::string Statement::Text(int column) const {
  const unsigned char* text = sqlite3_column_text(statement_, column);
  if (text == nullptr) {
    return "";
  }
  return std::string(reinterpret_cast<const char*>(text), static_cast<size_t>(sqlite3_column_bytes(statement_, column)));
}

bool Statement::Blob(int column, absl::Span<uint32_t> to) const {
  const void* blob = sqlite3_column_blob(statement_, column);
  const size_t bytes = to.size() * sizeof(uint32_t);
  if (blob == nullptr || static_cast<size_t>(sqlite3_column_bytes(statement_, column)) != bytes) {
    return false;
  }
  std::memcpy(to.data(), blob, bytes);
  return true;
}

int64_t Statement::changes() const { return sqlite3_changes64(sqlite3_db_handle(statement_)); }

}  // namespace hongbao::ledger
