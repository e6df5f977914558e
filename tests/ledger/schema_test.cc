#include "libhongbao/ledger/schema.h"

#include <gtest/gtest.h>

#include <string>

#include "libhongbao/ledger/sqlite.h"

namespace hongbao::ledger {
namespace {

// Each constraint is a guard of its own: what the server would have to do wrong before money is lost is tried by hand.
class SchemaTest : public ::testing::Test {
 protected:
  SchemaTest() {
    EXPECT_TRUE(db_.Create(":memory:").ok());
    db_.Run(SchemaSql().c_str());
    db_.Run("INSERT INTO envelopes VALUES(1, 1, -1, NULL, 1000, 100, 990, 99, 1, 0, NULL, 0)");
    db_.Run("INSERT INTO envelopes VALUES(2, 2, 7, 55, 30, 3, 20, 2, 1, 0, 99, 0)");
    db_.Run("INSERT INTO envelopes VALUES(3, 2, 8, 55, 30, 3, 0, 0, 2, 0, 99, 0)");
    db_.Run("INSERT INTO grants VALUES(1, 7, 1, 0, 100, 100, 1, 0, 1, 10, 0, 0)");
    db_.Run("INSERT INTO grants VALUES(2, 8, 1, 0, 101, 101, 2, 0, 2, 10, 0, 0)");
    db_.Run("INSERT INTO invites VALUES(2, 0, 8, 0)");
    db_.Run("INSERT INTO entries VALUES(4, 1, 5, 6, 10)");
    EXPECT_TRUE(db_.ok()) << db_.status();
  }

  void Accepts(const std::string& sql) {
    db_.Run(sql.c_str());
    EXPECT_TRUE(db_.ok()) << sql << ": " << db_.status();
  }
  // Last in a test: a connection keeps its first error.
  void Refuses(const std::string& sql, const std::string& says) {
    db_.Run(sql.c_str());
    EXPECT_NE(db_.status().ToString().find(says), std::string::npos) << sql << ": " << db_.status();
  }

  Sqlite db_;
};

TEST_F(SchemaTest, AccountsDoNotMeet) {
  EXPECT_NE(UserAccount(5), EscrowAccount(5));
  EXPECT_NE(UserAccount(0), kSystemAccount);
  EXPECT_EQ(SenderAccount(kNobody), kSystemAccount);
  EXPECT_EQ(SenderAccount(0), UserAccount(0));
  EXPECT_LT(UserAccount(0xffff'ffff), EscrowAccount(0));
}

TEST_F(SchemaTest, ItsVersionIsInTheHeader) {
  EXPECT_EQ(db_.Number("PRAGMA application_id"), kApplicationId);
  EXPECT_EQ(db_.Number("PRAGMA user_version"), kSchemaVersion);
}

TEST_F(SchemaTest, AShareIsGrantedOnce) {
  Refuses("INSERT INTO grants VALUES(3, 9, 1, 0, 102, 102, 1, 0, 1, 10, 0, 0)", "UNIQUE");
}
TEST_F(SchemaTest, ARequestIsGrantedOnce) {
  Accepts("INSERT INTO grants VALUES(3, 9, 1, 0, 100, 100, 1, 1, 1, 10, 0, 0)");  // another user's
  Refuses("INSERT INTO grants VALUES(4, 7, 2, 1, 100, 100, 1, 2, 1, 10, 0, 0)", "UNIQUE");
}
TEST_F(SchemaTest, RequestsWithoutIdentityAreAllGranted) {
  Accepts("INSERT INTO grants VALUES(3, 7, 2, 1, NULL, 100, 1, 1, 1, 10, 0, 0), (4, 7, 3, 3, NULL, 100, 1, 2, 1, 10, 0, 0)");
}
TEST_F(SchemaTest, AGiftIsOpenedOnceByAUser) {
  Refuses("INSERT INTO grants VALUES(3, 8, 2, 2, 102, 102, 2, 1, 2, 10, 0, 0)", "UNIQUE");
}
TEST_F(SchemaTest, AGiftIsSentOnceByARequest) {
  Refuses("INSERT INTO envelopes VALUES(4, 2, 7, 55, 30, 3, 30, 3, 1, 0, 99, 0)", "UNIQUE");
}
TEST_F(SchemaTest, AnEnvelopesNumberIsUsedOnce) {
  Refuses("INSERT INTO envelopes VALUES(2, 2, 9, 56, 30, 3, 30, 3, 1, 0, 99, 0)", "UNIQUE");
}
TEST_F(SchemaTest, AGrantIsSomething) { Refuses("INSERT INTO grants VALUES(3, 9, 1, 0, 1, 1, 1, 5, 1, 0, 0, 0)", "CHECK"); }
TEST_F(SchemaTest, NoMoreThanThereIs) { Refuses("UPDATE envelopes SET left_fen = -1, left_shares = 1 WHERE id = 1", "CHECK"); }
TEST_F(SchemaTest, NoMoreSharesThanThereAre) { Refuses("UPDATE envelopes SET left_shares = -1 WHERE id = 1", "CHECK"); }
TEST_F(SchemaTest, EveryShareLeftIsWorthSomething) { Refuses("UPDATE envelopes SET left_fen = 98 WHERE id = 1", "CHECK"); }
TEST_F(SchemaTest, NoMoneyIsLeftWithoutAShare) { Refuses("UPDATE envelopes SET left_shares = 0 WHERE id = 1", "CHECK"); }
TEST_F(SchemaTest, NoShareIsLeftWithoutMoney) { Refuses("UPDATE envelopes SET left_fen = 0 WHERE id = 1", "CHECK"); }
TEST_F(SchemaTest, WhatIsSpentIsNotOpen) { Refuses("UPDATE envelopes SET state = 1 WHERE id = 3", "CHECK"); }
TEST_F(SchemaTest, WhatIsLeftIsNotExpired) { Refuses("UPDATE envelopes SET state = 3 WHERE id = 2", "CHECK"); }
TEST_F(SchemaTest, AnEntryMovesMoney) { Refuses("INSERT INTO entries VALUES(4, 2, 5, 5, 10)", "CHECK"); }
TEST_F(SchemaTest, AnEntryMovesSomeMoney) { Refuses("INSERT INTO entries VALUES(4, 2, 5, 6, 0)", "CHECK"); }
TEST_F(SchemaTest, AnEventHasOneEntry) { Refuses("INSERT INTO entries VALUES(4, 1, 5, 6, 10)", "UNIQUE"); }
TEST_F(SchemaTest, AShareHasOneUser) { Refuses("INSERT INTO invites VALUES(2, 0, 9, 0)", "UNIQUE"); }
TEST_F(SchemaTest, ACallersKeyNamesOneOrder) {
  Accepts("INSERT INTO order_terms VALUES(1, 1, 0, NULL, '', 0)");
  Accepts("INSERT INTO order_terms VALUES(2, 1, 0, NULL, '', 0)");
  Accepts("INSERT INTO order_terms VALUES(3, 1, 0, 'k', 'a', 0)");
  Refuses("INSERT INTO order_terms VALUES(4, 1, 0, 'k', 'b', 0)", "UNIQUE");
}
TEST_F(SchemaTest, AnOrderIsCancelledOnce) {
  Accepts("INSERT INTO cancels VALUES(1, 5, 7, 70, 0, 0)");
  Refuses("INSERT INTO cancels VALUES(1, 5, 7, 70, 0, 0)", "UNIQUE");
}
TEST_F(SchemaTest, WhatGoesBackIsMoney) { Refuses("INSERT INTO cancels VALUES(1, 5, 7, 0, 0, 0)", "CHECK"); }
TEST_F(SchemaTest, TypesAreKept) { Refuses("UPDATE grants SET fen = 'ten' WHERE grant_id = 1", "TEXT"); }

}  // namespace
}  // namespace hongbao::ledger
