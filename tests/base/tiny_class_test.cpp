#include "base/tiny_class.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>

namespace {

using namespace hakmem::base;

// The sizes of the record's random mixed bench: 16 + r mod 1025, each as often as the others.
constexpr std::size_t law_bytes_min = 16;
constexpr std::size_t law_sizes = 1025;
// What it counted in 100,000 operations, half of them allocations and half of them frees.
constexpr double law_draws = 50'000;

template <typename Predicate>
std::size_t sizes_of_the_law(Predicate counts) {
    std::size_t sizes = 0;
    for (std::size_t r = 0; r < law_sizes; r++) sizes += counts(law_bytes_min + r) ? 1u : 0u;
    return sizes;
}

// Whether so many of the draws may hit so many of the sizes: within two standard deviations.
bool is_plausible(double recorded, std::size_t sizes) {
    const double p = static_cast<double>(sizes) / law_sizes;
    return std::abs(recorded - law_draws * p) <= 2 * std::sqrt(law_draws * p * (1 - p));
}

// ---- class numbering ----------------------------------------------------------------------------

TEST(TinyClass, RequestsOfTheRecordHaveItsClasses) {
    for (std::size_t bytes = 8; bytes <= 15; bytes++) EXPECT_EQ(recorded_class_of(bytes), 1u);
    EXPECT_EQ(recorded_class_of(16), 2u);
    EXPECT_EQ(recorded_class_of(32), 3u);
    EXPECT_EQ(recorded_class_of(64), 4u);
    // The record's row of 24 bytes is labelled C3, after its magazine. Its stride is C2's.
    EXPECT_EQ(recorded_class_of(24), 2u);
    EXPECT_EQ(recorded_class_of(1023), headerless_class);
}

TEST(TinyClass, ARequestGetsTheSmallestStrideThatHoldsItAndItsByte) {
    unsigned smallest = 1;
    for (std::size_t bytes = 0; bytes <= recorded_tiny_bytes_max; bytes++) {
        while (stride_of(smallest) < bytes + 1) smallest++;
        ASSERT_EQ(recorded_class_of(bytes), smallest) << bytes;
    }
    EXPECT_EQ(smallest, headerless_class);
}

TEST(TinyClass, RequestsOfC0AreServedByC1) {
    for (std::size_t bytes = 0; bytes < stride_of(0); bytes++) {
        EXPECT_EQ(recorded_class_of(bytes), 1u) << bytes;
    }
    EXPECT_LT(stride_of(0), block_alignment) << "C0 would be good enough";
}

// UltraHot chose its magazine by the size when it allocated, and by the class when it freed.
TEST(TinyClass, TheSizeLawGivesTheCountsOfTheRecord) {
    const auto of_class = [](unsigned wanted) {
        return sizes_of_the_law([=](std::size_t bytes) {
            return bytes <= recorded_tiny_bytes_max && recorded_class_of(bytes) == wanted;
        });
    };
    const std::size_t first_alloc = sizes_of_the_law([](std::size_t n) { return n <= 16; });
    const std::size_t second_alloc =
        sizes_of_the_law([](std::size_t n) { return n > 16 && n <= 32; });
    EXPECT_EQ(first_alloc, 1u);
    EXPECT_EQ(second_alloc, 16u);
    EXPECT_EQ(of_class(2), 16u);
    EXPECT_EQ(of_class(3), 32u);
    EXPECT_TRUE(is_plausible(45, first_alloc));    // 0.045 %
    EXPECT_TRUE(is_plausible(828, second_alloc));  // 0.83 %
    EXPECT_TRUE(is_plausible(820, of_class(2)));   // 0.82 %
    EXPECT_TRUE(is_plausible(1567, of_class(3)));  // 1.57 %
}

// The numbering with which UltraHot never hit.
TEST(TinyClass, ClassesOneAndTwoWouldNotGiveTheCountsOfTheRecord) {
    const std::size_t c1 =
        sizes_of_the_law([](std::size_t n) { return recorded_class_of(n) == 1; });
    const std::size_t c2 =
        sizes_of_the_law([](std::size_t n) { return recorded_class_of(n) == 2; });
    EXPECT_EQ(c1, 0u);
    EXPECT_FALSE(is_plausible(820, c1));
    EXPECT_FALSE(is_plausible(1567, c2));
}

TEST(TinyClass, TheSizeLawGivesTheProbesOfTheRecord) {
    const std::size_t above_tiny =
        sizes_of_the_law([](std::size_t n) { return n > recorded_tiny_bytes_max; });
    EXPECT_EQ(above_tiny, 17u);
    EXPECT_TRUE(is_plausible(841, above_tiny));
}

// ---- size gap -----------------------------------------------------------------------------------

TEST(TinyClass, NoSizeUpToTheLargestClassIsWithoutASlab) {
    for (std::size_t bytes = 0; bytes <= small_bytes_max; bytes++) {
        if (bytes <= recorded_tiny_bytes_max) {
            const unsigned k = recorded_class_of(bytes);
            ASSERT_TRUE(k >= 1 && k < recorded_class_count) << bytes;
            ASSERT_LT(bytes, row(slab_class_of(k)).block_bytes) << bytes;
            ASSERT_EQ(recorded_class_of_slab(slab_class_of(k)), k) << bytes;
        } else if (bytes > stride_of(headerless_class)) {
            // Wherever the header lies, it is no tiny block's slab.
            ASSERT_EQ(recorded_class_of_slab(class_of(bytes)), recorded_class_count) << bytes;
        }
    }
    EXPECT_EQ(recorded_tiny_bytes_max, 1023u);
}

// ---- slabs --------------------------------------------------------------------------------------

TEST(TinyClass, EachClassHasASlabOfItsStride) {
    for (unsigned k = 1; k < recorded_class_count; k++) {
        EXPECT_EQ(row(slab_class_of(k)).block_bytes, stride_of(k)) << "C" << k;
    }
    EXPECT_EQ(stride_of(1), 16u);
    EXPECT_EQ(stride_of(headerless_class), 1024u);
}

TEST(TinyClass, EverySlabIsOneClassOrNone) {
    unsigned tiny = 0;
    for (unsigned c = 1; c < class_count; c++) {
        const ClassId id{static_cast<std::uint8_t>(c)};
        const unsigned k = recorded_class_of_slab(id);
        if (k == recorded_class_count) continue;
        ASSERT_LT(k, recorded_class_count);
        EXPECT_EQ(slab_class_of(k), id);
        tiny++;
    }
    EXPECT_EQ(tiny, recorded_class_count - 1);
}

}  // namespace
