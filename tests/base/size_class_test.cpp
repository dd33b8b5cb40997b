#include "base/size_class.hpp"

#include <gtest/gtest.h>

#include <set>
#include <vector>

namespace {

using namespace hakmem::base;

// The sizes as the essay of the header lists them, written down without its formula.
std::vector<std::size_t> listed_sizes() {
    std::vector<std::size_t> sizes;
    for (std::size_t s = 16; s <= 256; s += 16) sizes.push_back(s);
    for (std::size_t start : {std::size_t{256}, std::size_t{512}}) {
        for (std::size_t i = 1; i <= 8; i++) sizes.push_back(start + i * start / 8);
    }
    for (std::size_t start : {std::size_t{1024}, std::size_t{2048}}) {
        for (std::size_t i = 1; i <= 4; i++) sizes.push_back(start + i * start / 4);
    }
    for (std::size_t i = 1; i <= 8; i++) sizes.push_back(4096 + i * 512);
    for (std::size_t start : {std::size_t{8192}, std::size_t{16384}}) {
        for (std::size_t i = 1; i <= 4; i++) sizes.push_back(start + i * start / 4);
    }
    return sizes;
}

ClassId class_at(unsigned c) { return ClassId{static_cast<std::uint8_t>(c)}; }

TEST(SizeClass, TheSizesAreThoseOfTheEssay) {
    const std::vector<std::size_t> sizes = listed_sizes();
    ASSERT_EQ(sizes.size(), class_count - 1);
    for (unsigned c = 1; c < class_count; c++) {
        EXPECT_EQ(size_classes[c].block_bytes, sizes[c - 1]) << "class " << c;
    }
    // The borders of the spacings.
    EXPECT_EQ(size_classes[16].block_bytes, 256u);
    EXPECT_EQ(size_classes[32].block_bytes, 1024u);
    EXPECT_EQ(size_classes[40].block_bytes, 4096u);
    EXPECT_EQ(size_classes[48].block_bytes, 8192u);
    EXPECT_EQ(size_classes[56].block_bytes, 32768u);
}

TEST(SizeClass, RowZeroIsEmpty) {
    EXPECT_EQ(size_classes[0].block_bytes, 0u);
    EXPECT_EQ(size_classes[0].blocks, 0u);
    EXPECT_EQ(size_classes[0].slab_units, 0u);
    EXPECT_EQ(size_classes[0].reciprocal, 0u);
}

TEST(SizeClass, EverySizeGetsTheSmallestClassThatHoldsIt) {
    unsigned c = 1;
    for (std::size_t bytes = 0; bytes <= small_bytes_max; bytes++) {
        while (size_classes[c].block_bytes < bytes) c++;
        ASSERT_EQ(index(class_of(bytes)), c) << bytes;
        if (bytes <= tiny_bytes_max) {
            ASSERT_EQ(index(scaled_class_of_tiny(bytes).id()), c) << bytes;
            ASSERT_EQ(scaled_class_of_tiny(bytes).value, c * 16) << bytes;
        }
    }
    EXPECT_EQ(c, class_count - 1);
}

TEST(SizeClass, EveryBlockSizeIsAMultipleOfSixteen) {
    for (unsigned c = 1; c < class_count; c++) {
        EXPECT_EQ(size_classes[c].block_bytes % block_alignment, 0u) << "class " << c;
    }
}

TEST(SizeClass, PowersOfTwoAreClassesAndNaturallyAligned) {
    for (std::size_t bytes = 16; bytes <= small_bytes_max; bytes *= 2) {
        const SizeClass& r = row(class_of(bytes));
        ASSERT_EQ(r.block_bytes, bytes) << "there is no class of this size";
        for (std::size_t i = 0; i < r.blocks; i++) ASSERT_EQ(i * r.block_bytes % bytes, 0u);
    }
}

TEST(SizeClass, ABlockIsAlignedToEveryPowerOfTwoThatDividesItsSize) {
    for (unsigned c = 1; c < class_count; c++) {
        const SizeClass& r = size_classes[c];
        const std::size_t alignment = r.block_bytes & (~std::size_t{r.block_bytes} + 1);
        for (std::size_t i = 0; i < r.blocks; i++) {
            ASSERT_EQ(i * r.block_bytes % alignment, 0u) << "class " << c << " block " << i;
        }
    }
}

TEST(SizeClass, WasteInsideABlockStaysBelowTheBoundsOfTheEssay) {
    for (std::size_t bytes = 1; bytes <= small_bytes_max; bytes++) {
        const std::size_t block = row(class_of(bytes)).block_bytes;
        const std::size_t waste = block - bytes;
        if (block <= 128) {
            ASSERT_LT(waste, 16u) << bytes;
        } else if (block <= kibibyte) {
            ASSERT_LT(waste * 8, block) << bytes;
        } else {
            ASSERT_LE(waste * 5, block) << bytes;
        }
    }
}

TEST(SizeClass, SlabsFillOneTwoOrFourUnits) {
    for (unsigned c = 1; c < class_count; c++) {
        const std::uint32_t units = size_classes[c].slab_units;
        EXPECT_TRUE(units == 1 || units == 2 || units == 4) << "class " << c;
    }
}

// Counts blocks by laying them out until one does not fit.
TEST(SizeClass, BlocksAndSlackAreWhatFits) {
    for (unsigned c = 1; c < class_count; c++) {
        const SizeClass& r = size_classes[c];
        const std::size_t span = r.slab_units * unit_bytes;
        std::size_t blocks = 0;
        std::size_t end = 0;
        while (end + r.block_bytes <= span) {
            end += r.block_bytes;
            blocks++;
        }
        EXPECT_EQ(r.blocks, blocks) << "class " << c;
        EXPECT_EQ(r.slab_slack, span - end) << "class " << c;
        EXPECT_LE(r.blocks, slab_blocks_max) << "class " << c;
        EXPECT_LT(r.slab_slack, r.block_bytes) << "class " << c;
    }
    EXPECT_EQ(size_classes[1].blocks, slab_blocks_max);
}

// A slab takes more units only as long as it has too few blocks or loses too much at its end.
TEST(SizeClass, SlabsAreAsShortAsTheirTwoRulesAllow) {
    const auto good = [](std::size_t block_bytes, std::size_t units) {
        const std::size_t span = units * unit_bytes;
        return span / block_bytes >= detail::slab_blocks_wanted &&
               span % block_bytes * detail::slab_slack_part <= span;
    };
    for (unsigned c = 1; c < class_count; c++) {
        const SizeClass& r = size_classes[c];
        for (std::uint32_t fewer = 1; fewer < r.slab_units; fewer *= 2) {
            EXPECT_FALSE(good(r.block_bytes, fewer)) << "class " << c;
        }
        EXPECT_TRUE(r.slab_units == 4 || good(r.block_bytes, r.slab_units)) << "class " << c;
    }
}

TEST(SizeClass, TheReciprocalIsTheLeastThatIsNotTooSmall) {
    for (unsigned c = 1; c < class_count; c++) {
        const std::uint64_t bytes = size_classes[c].block_bytes;
        const std::uint64_t reciprocal = size_classes[c].reciprocal;
        EXPECT_GE(reciprocal * bytes, std::uint64_t{1} << 32) << "class " << c;
        EXPECT_LT((reciprocal - 1) * bytes, std::uint64_t{1} << 32) << "class " << c;
    }
}

TEST(SizeClass, TheReciprocalDividesEveryOffsetOfASlabExactly) {
    for (unsigned c = 1; c < class_count; c++) {
        const SizeClass& r = size_classes[c];
        std::uint64_t quotient = 0;
        std::uint64_t next = r.block_bytes;
        for (std::uint64_t offset = 0; offset < r.slab_units * unit_bytes; offset++) {
            if (offset == next) {
                quotient++;
                next += r.block_bytes;
            }
            ASSERT_EQ(offset * r.reciprocal >> 32, quotient) << "class " << c << " at " << offset;
        }
    }
}

TEST(SizeClass, IdsAreDistinctAndFitTheSixBitsOfAnEntry) {
    std::set<unsigned> ids;
    for (unsigned c = 0; c < class_count; c++) ids.insert(c);
    EXPECT_EQ(index(ClassId::external), 0u);
    EXPECT_EQ(index(ClassId::last), class_count - 1);
    EXPECT_TRUE(ids.insert(index(ClassId::large)).second);
    EXPECT_TRUE(ids.insert(index(ClassId::free)).second);
    EXPECT_LT(*ids.rbegin(), 64u);
}

TEST(SizeClass, OnlyTheFiftySixAreSmall) {
    for (unsigned c = 0; c < 64; c++) {
        EXPECT_EQ(is_small(class_at(c)), c >= 1 && c <= 56) << c;
    }
}

TEST(SizeClass, ScalingIsUndoneByItsId) {
    for (unsigned c = 0; c < class_count; c++) {
        EXPECT_EQ(index(ScaledClass{c << class_shift}.id()), c);
    }
}

}  // namespace
