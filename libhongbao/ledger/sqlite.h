// Sqlite: one connection and its prepared statements, as thinly as C++ allows.
//
// Owns the connection and the statements. Never retries and never guesses: an unexpected return code becomes an error
// that is kept (`status()`), and every later call does nothing, so a caller may look once at the end of a batch.
// Thread tag: thread-compatible.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "libhongbao/cpp20.h"

struct sqlite3;
struct sqlite3_stmt;

namespace hongbao::ledger {

class Statement;

class Sqlite {
 public:
  Sqlite() = default;
  ~Sqlite();
  Sqlite(const Sqlite&) = delete;
  Sqlite& operator=(const Sqlite&) = delete;

  // Opens an existing file. `vfs`: null = the system's. `read_only`: for looking.
  absl::Status Open(const std::string& path, bool read_only = false, const char* vfs = nullptr);
  // Opens the file, making an empty one if there is none.
  absl::Status Create(const std::string& path, const char* vfs = nullptr);
  void Close();

  // Statements without results, any number of them.
  void Run(const char* sql);
  // The first column of the first row as text, "" without a row; for pragmas.
  std::string Text(const char* sql);
  int64_t Number(const char* sql);

  bool ok() const { return status_.ok(); }
  const absl::Status& status() const { return status_; }
  sqlite3* raw() const { return db_; }

  // Keeps the first error: what SQLite says about its last call, and what was being done.
  void Fail(absl::string_view doing);
  // The same for what SQLite would do and we must not.
  void Refuse(const std::string& why);

 private:
  absl::Status OpenWith(const std::string& path, int flags, const char* vfs);

  sqlite3* db_ = nullptr;
  absl::Status status_;
};

// One prepared statement. Bind the values in order, then Step; a statement that is done resets itself.
class Statement {
 public:
  Statement() = default;
  Statement(Sqlite& db, const char* sql) { Prepare(db, sql); }
  ~Statement() { Finalize(); }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  void Prepare(Sqlite& db, const char* sql);
  void Finalize();

  // The next values, left to right.
  Statement& operator<<(int64_t value);
  Statement& operator<<(std::optional<int64_t> value);
  Statement& operator<<(absl::Span<const uint32_t> blob);
  Statement& operator<<(const std::string& text);

  // True when there is a row. After false (no more rows, or an error) it can be bound anew.
  bool Step();
  // Step for statements without rows.
  void Do() { Step(); }
  // Leaves the rows that were not asked for.
  void Reset();

  int64_t Int(int column) const;
  bool IsNull(int column) const;
  std::string Text(int column) const;
  // A blob of exactly that size, else false.
  bool Blob(int column, absl::Span<uint32_t> to) const;

  // Rows that the last insert, update or delete changed.
  int64_t changes() const;

 private:
  Sqlite* db_ = nullptr;
  sqlite3_stmt* statement_ = nullptr;
  int bound_ = 0;
};

}  // namespace hongbao::ledger
