#include "libhongbao/ring/tag.h"

#include <gtest/gtest.h>

namespace hongbao::ring {
namespace {

TEST(Tag, RoundTripsEveryOperationAtTheEdges) {
  for (uint8_t operation = 0; operation <= static_cast<uint8_t>(Operation::kWake); ++operation) {
    for (const uint32_t generation : {0u, 1u, 0x123456u, kGenerationMax}) {
      for (const uint32_t slot : {0u, 1u, 0xffffu, (1u << 20) - 1, 0x7fffffffu, 0xffffffffu}) {
        const Tag tag = {static_cast<Operation>(operation), generation, slot};
        EXPECT_EQ(Unpack(Pack(tag)), tag);
      }
    }
  }
}

TEST(Tag, FieldsDoNotTouchEachOther) {
  EXPECT_EQ(Pack({Operation::kAccept, 0, 0}), uint64_t{1} << 56);
  EXPECT_EQ(Pack({Operation::kNone, 1, 0}), uint64_t{1} << 32);
  EXPECT_EQ(Pack({Operation::kNone, 0, 0xffffffff}), 0xffffffffu);
  EXPECT_NE(Pack({Operation::kSend, 1, 7}), Pack({Operation::kReceive, 1, 7}));
  EXPECT_NE(Pack({Operation::kSend, 1, 7}), Pack({Operation::kSend, 2, 7}));
  // A generation too large for its field does not become another operation.
  EXPECT_EQ(Unpack(Pack({Operation::kSend, kGenerationMax + 2, 7})).operation, Operation::kSend);
}

TEST(Tag, GenerationsWrapAndAreNeverZero) {
  EXPECT_EQ(NextGeneration(0), 1u);
  EXPECT_EQ(NextGeneration(1), 2u);
  EXPECT_EQ(NextGeneration(kGenerationMax - 1), kGenerationMax);
  EXPECT_EQ(NextGeneration(kGenerationMax), 1u);
}

}  // namespace
}  // namespace hongbao::ring
