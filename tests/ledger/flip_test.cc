// Flipped bytes: any single byte of a ledger file or its log that changes is found, or changes nothing that anybody reads.
#include <gtest/gtest.h>

#include <fstream>
#include <iostream>
#include <random>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "faulty_vfs.h"
#include "ledger_fixture.h"

namespace hongbao::ledger {
namespace {

std::string ReadAll(const std::string& path) {
  std::ostringstream content;
  content << std::ifstream(path, std::ios::binary).rdbuf();
  return content.str();
}
void WriteAll(const std::string& path, const std::string& content) { std::ofstream(path, std::ios::binary) << content; }

struct Image {
  std::string file, log;
};

class FlipTest : public ::testing::Test {
 protected:
  // A file with all kinds of rows; the last commits in the log alone, as SIGKILL leaves it, or all written back.
  Image Make(bool killed) {
    OpenedLedger ledger({.path = folder_.File("made"), .vfs = vfs_.name()});
    EXPECT_TRUE(ledger.TryOpen().ok());
    ledger.AddOrder(ShakeOrder(kLotId, 1'000, 70'000));
    ledger.AddOrder(ShakeOrder(kLotId + 1'000, 2'000, 5));
    ledger.AddOrder({.is_gift = true,
                     .first_id = 0x40000001,
                     .count = 50,
                     .rate = 3,
                     .min_fen = 5,
                     .max_fen = 9,
                     .at_s = 77,
                     .key = {1, 2, 3},
                     .users = 3,
                     .first_user = 1,
                     .last_user = 90});
    for (uint32_t i = 0; i < 20; ++i) {
      Order order = ShakeOrder(kLotId + 10'000 + i * 10, 10, 5);
      order.caller_key = absl::StrCat("a caller's key that is not short, number ", i);
      order.asked = "shake rate=100 count=10 min_fen=5 max_fen=5 at=0 seed=0";
      ledger.AddOrder(order);
      ledger.CancelOrder({.first_id = order.first_id,
                          .place = i % 10,
                          .shares = 10 - i % 10,
                          .amount = envelope::Fen(5 * (10 - i % 10)),
                          .at_ms = 1'700'000'000'000});
    }
    for (uint32_t i = 0; i < 40; ++i) {
      ledger.writer().Begin();
      Fill(ledger.writer(), i);
      EXPECT_TRUE(ledger.writer().Commit());
      if (i == 30) {
        ledger.file().Checkpoint(true);
      }
    }
    if (!killed) {
      ledger.file().Finish();
      ledger.Close();
    }
    return {.file = ReadAll(folder_.File("made")), .log = killed ? ReadAll(folder_.File("made-wal")) : ""};
  }

  static void Fill(Writer& writer, uint32_t round) {
    std::vector<Outcome> outcomes;
    const auto apply = [&](Record record) {
      record.at_ms = 1'700'000'000'000 + round * 77;  // six bytes of each row that no balance depends on
      writer.Apply(record, outcomes);
    };
    for (uint32_t i = 0; i < 25; ++i) {
      const uint32_t win = round * 25 + i;
      apply(Win(win % 61, kLotId + win, 70'000, 1'000'000 + win));
      apply(Win(win % 7, kLotId + 1'000 + win, 5));
    }
    const uint32_t sent = kGiftId + round, minted = 0x40000001 + round;
    apply(MakeGift(sent, round % 9, 900 + round, {1, 2, 300}, 5'000'000 + round));
    apply(MakeGift(minted, kNobody, 7, {4, 5}));
    apply(OpenGift(2, sent, 100, 6'000'000 + round));
    if (round % 3 == 0) {
      apply({.kind = RecordKind::kRefund, .user_count = 2, .envelope_id = sent, .amount_fen = 800 + round});
    }
  }

  // Opens, recovers and audits the image. Empty: something refused it; else everything that is in it.
  std::string Look(const Image& image) {
    WriteAll(folder_.File("seen"), image.file);
    WriteAll(folder_.File("seen-wal"), image.log);
    OpenedLedger ledger({.path = folder_.File("seen"), .vfs = vfs_.name()});
    if (!ledger.TryOpen().ok() || !ledger.AuditAll().ok()) {
      return "";
    }
    std::string all;
    for (const auto& [table, columns] :
         {std::pair("meta", 3), std::pair("orders", 12), std::pair("envelopes", 12), std::pair("invites", 4),
          std::pair("entries", 5), std::pair("grants", 12), std::pair("order_terms", 6), std::pair("cancels", 6)}) {
      Statement rows(ledger.db(), absl::StrCat("SELECT * FROM ", table).c_str());
      while (rows.Step()) {
        for (int column = 0; column < columns; ++column) {
          absl::StrAppend(&all, rows.IsNull(column) ? "-" : rows.Text(column), " ");
        }
      }
    }
    return ledger.db().ok() ? all : "";
  }

  // Flips one byte after the other at `places` of `bytes` (the file's or the log's of `image`).
  void FlipEach(Image& image, std::string& bytes, const std::vector<size_t>& places) {
    const std::string whole = Look(image);
    ASSERT_GT(whole.size(), 10'000u);
    int refused = 0;
    for (const size_t place : places) {
      const char before = bytes[place];
      const int mask = 1 + static_cast<int>(random_() % 255);
      bytes[place] = static_cast<char>(before ^ mask);
      const std::string seen = Look(image);
      refused += seen.empty() ? 1 : 0;
      EXPECT_TRUE(seen.empty() || seen == whole)
          << "byte " << place << " (page " << place / 4096 + 1 << ", " << place % 4096 << ") ^ " << mask << " goes unseen";
      bytes[place] = before;
    }
    std::cout << places.size() << " bytes flipped, " << refused << " refused, the others change nothing\n";
    EXPECT_GT(refused, 0);
  }

  std::vector<size_t> Places(size_t from, size_t size, uint64_t count) {
    std::vector<size_t> places;
    for (uint64_t i = 0; i < count; ++i) {
      places.push_back(from + random_() % (size - from));
    }
    return places;
  }

  TestFolder folder_;
  FaultyVfs vfs_;  // only to spare the syncs
  std::mt19937_64 random_{20'171'122};
};

TEST_F(FlipTest, InTheFile) {
  Image image = Make(false);
  FlipEach(image, image.file, Places(0, image.file.size(), Seeds(120)));
}

TEST_F(FlipTest, InTheFilesHeader) {
  Image image = Make(false);
  std::vector<size_t> places;
  for (size_t i = 0; i < 108; i += 2) {
    places.push_back(i + random_() % 2);
  }
  FlipEach(image, image.file, places);
}

TEST_F(FlipTest, InTheFileUnderAKilledServersLog) {
  Image image = Make(true);
  FlipEach(image, image.file, Places(0, image.file.size(), Seeds(80)));
}

TEST_F(FlipTest, InAKilledServersLog) {
  Image image = Make(true);
  ASSERT_GT(image.log.size(), 100'000u);
  FlipEach(image, image.log, Places(0, image.log.size(), Seeds(60)));
}

// Headers are a small part of a log, and its last commit too: nothing but the mark speaks for that one.
TEST_F(FlipTest, InTheLogsHeadersAndItsLastCommit) {
  Image image = Make(true);
  std::vector<size_t> places = Places(0, 32, 12);
  constexpr size_t kFrame = 4096 + 24;
  for (size_t frame = 32; frame + kFrame < image.log.size(); frame += 3 * kFrame) {
    places.push_back(frame + random_() % 24);
  }
  const std::vector<size_t> last = Places(image.log.size() - 4 * kFrame, image.log.size(), Seeds(20));
  places.insert(places.end(), last.begin(), last.end());
  FlipEach(image, image.log, places);
}

}  // namespace
}  // namespace hongbao::ledger
