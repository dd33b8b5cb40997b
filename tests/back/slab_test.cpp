#include "back/slab.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "base/bits.hpp"
#include "os/virtual_memory.hpp"
#include "tests/os/changed_option.hpp"
#include "tests/os/fault_injection.hpp"

namespace {

using namespace hakmem;
namespace slab = back::slab;
using back::BlockIndex;
using back::Slab;
using base::ClassId;
using base::unit_bytes;
using tests::FaultInjection;

ClassId class_at(unsigned c) { return ClassId{static_cast<std::uint8_t>(c)}; }

// A slab of the test's own. Its blocks lie at an address that is never touched, unless memory is
// given.
class Fixture {
public:
    explicit Fixture(ClassId id, char* memory = nullptr, slab::Pages pages = slab::Pages::unknown) {
        slab_.start = memory != nullptr ? memory : reinterpret_cast<char*>(std::uintptr_t{1} << 40);
        slab_.free_bits = words_;
        slab_.unit_count = static_cast<std::uint8_t>(base::row(id).slab_units);
        slab::format(slab_, id, pages);
    }
    Fixture(const Fixture&) = delete;
    Fixture& operator=(const Fixture&) = delete;
    Slab& operator*() { return slab_; }
    Slab* operator->() { return &slab_; }

    bool is_free(unsigned block) const { return (words_[block / 64] >> block % 64 & 1) != 0; }
    std::vector<unsigned> free_blocks() const {
        std::vector<unsigned> all;
        for (unsigned b = 0; b < slab_.block_count; b++) {
            if (is_free(b)) all.push_back(b);
        }
        return all;
    }
    unsigned block_at(const void* address) const {
        return static_cast<unsigned>((static_cast<const char*>(address) - slab_.start) /
                                     static_cast<std::ptrdiff_t>(slab_.block_bytes));
    }
    // What take() hands out, in the order of the array.
    std::vector<unsigned> take(unsigned wanted) {
        std::vector<std::atomic<void*>> places(wanted + 1);
        const unsigned taken = slab::take(slab_, wanted, places.data());
        EXPECT_EQ(places[taken], nullptr) << "written behind the end";
        std::vector<unsigned> blocks;
        for (unsigned i = 0; i < taken; i++) {
            const char* const block = static_cast<char*>(places[i].load());
            EXPECT_EQ(block, slab_.start + block_at(block) * slab_.block_bytes);
            blocks.push_back(block_at(block));
        }
        return blocks;
    }

private:
    alignas(64) std::uint64_t words_[back::remote_words_ahead + back::slab_words_max] = {};
    Slab slab_{};
};

// ---- format -------------------------------------------------------------------------------------

TEST(Slab, FormattedAllBlocksAreFreeAndNoBitIsBeyond) {
    for (unsigned c = 1; c < base::class_count; c++) {
        Fixture s(class_at(c));
        const base::SizeClass& row = base::size_classes[c];
        EXPECT_EQ(s->block_bytes, row.block_bytes);
        EXPECT_EQ(s->block_count, row.blocks);
        EXPECT_EQ(s->free_count, row.blocks);
        EXPECT_EQ(s->class_id, class_at(c));
        EXPECT_TRUE(s->empty());
        EXPECT_FALSE(s->listed);
        EXPECT_EQ(s->word_count(), (row.blocks + 63) / 64);
        for (unsigned b = 0; b < s->word_count() * 64; b++) {
            EXPECT_EQ(s.is_free(b), b < row.blocks) << "class " << c << " block " << b;
        }
        EXPECT_EQ(slab::validate(*s), nullptr);
    }
}

TEST(Slab, ARecordMayBeFormattedForAnotherClass) {
    Fixture s(ClassId::first);
    s.take(4096);
    s->listed = true;
    s->next = s->previous = &*s;
    slab::format(*s, ClassId::last);
    EXPECT_EQ(s->free_count, base::row(ClassId::last).blocks);
    EXPECT_FALSE(s->listed);
    EXPECT_EQ(s->next, nullptr);
    EXPECT_EQ(s->previous, nullptr);
    EXPECT_EQ(slab::validate(*s), nullptr);
}

// ---- index_of -----------------------------------------------------------------------------------

TEST(Slab, OnlyStartsOfBlocksHaveAnIndexAtEveryOffsetOfEveryClass) {
    for (unsigned c = 1; c < base::class_count; c++) {
        Fixture s(class_at(c));
        const base::SizeClass& row = base::size_classes[c];
        std::size_t starts = 0;
        for (std::size_t offset = 0; offset < row.slab_units * unit_bytes; offset++) {
            BlockIndex index{};
            const bool found = slab::index_of(*s, s->start + offset, index);
            const bool expected =
                offset % row.block_bytes == 0 && offset / row.block_bytes < row.blocks;
            ASSERT_EQ(found, expected) << "class " << c << " offset " << offset;
            if (!found) continue;
            ASSERT_EQ(index.value, offset / row.block_bytes);
            starts++;
        }
        EXPECT_EQ(starts, row.blocks) << "class " << c;
    }
}

TEST(Slab, AnIndexNamesItsWordAndBit) {
    for (std::uint32_t i = 0; i < base::slab_blocks_max; i++) {
        const BlockIndex index{i};
        EXPECT_EQ(index.word() * 64 + base::lowest_bit(index.bit()), i);
        EXPECT_EQ(base::bit_count(index.bit()), 1u);
    }
}

// ---- take ---------------------------------------------------------------------------------------

TEST(Slab, TheLowestBlocksAreTakenTheLowestLast) {
    Fixture s(ClassId::first);
    EXPECT_EQ(s.take(3), (std::vector<unsigned>{2, 1, 0}));
    EXPECT_EQ(s.take(2), (std::vector<unsigned>{4, 3}));
    EXPECT_EQ(s->free_count, 4091u);
    EXPECT_NE(slab::put(*s, 0, 0b10010), slab::Put::twice);
    EXPECT_EQ(s.take(3), (std::vector<unsigned>{5, 4, 1}));
    EXPECT_EQ(slab::validate(*s), nullptr);
}

TEST(Slab, MoreThanThereIsGivesAllThereIs) {
    for (const ClassId id : {ClassId::first, ClassId::last, class_at(30)}) {
        Fixture s(id);
        const unsigned blocks = s->block_count;
        EXPECT_EQ(s.take(blocks + 100).size(), blocks);
        EXPECT_EQ(s->free_count, 0u);
        EXPECT_EQ(s.take(10).size(), 0u);
        EXPECT_EQ(slab::validate(*s), nullptr);
        // The last block comes back, and is found.
        EXPECT_NE(slab::put(*s, (blocks - 1) / 64, std::uint64_t{1} << (blocks - 1) % 64),
                  slab::Put::twice);
        EXPECT_EQ(s.take(10), (std::vector<unsigned>{blocks - 1}));
    }
}

TEST(Slab, TakingNoneChangesNothing) {
    Fixture s(ClassId::first);
    EXPECT_EQ(s.take(0).size(), 0u);
    EXPECT_EQ(s->free_count, 4096u);
}

// ---- put ----------------------------------------------------------------------------------------

TEST(Slab, ABlockThatIsFreeAlreadyIsRefusedAndNothingChanges) {
    Fixture s(class_at(16));
    s.take(100);
    ASSERT_NE(slab::put(*s, 1, 0xf0), slab::Put::twice);
    const std::uint64_t word = s->free_bits[1];
    const unsigned count = s->free_count;
    EXPECT_EQ(slab::put(*s, 1, 0x10), slab::Put::twice);
    EXPECT_EQ(slab::put(*s, 1, 0x1f), slab::Put::twice);  // one of several
    EXPECT_EQ(s->free_bits[1], word);
    EXPECT_EQ(s->free_count, count);
    EXPECT_EQ(slab::validate(*s), nullptr);
}

TEST(Slab, OneBlockComesBackOnce) {
    Fixture s(class_at(16));
    s.take(100);
    ASSERT_NE(slab::put(*s, back::BlockIndex{70}), slab::Put::twice);
    EXPECT_EQ(s->first_word, 1u);
    ASSERT_NE(slab::put(*s, back::BlockIndex{3}), slab::Put::twice);
    EXPECT_EQ(s->first_word, 0u);
    const unsigned count = s->free_count;
    EXPECT_EQ(slab::put(*s, back::BlockIndex{70}), slab::Put::twice);
    EXPECT_EQ(slab::put(*s, back::BlockIndex{101}), slab::Put::twice);  // it was never out
    EXPECT_EQ(s->free_count, count);
    EXPECT_EQ(slab::validate(*s), nullptr);
    EXPECT_EQ(s.take(2), (std::vector<unsigned>{70, 3}));
}

// Whoever keeps lists of slabs relies on it: of a slab without a free block any is the lowest.
TEST(Slab, PutSaysWhetherABlockIsInFrontOfAllThatAreFree) {
    Fixture s(class_at(16));
    const unsigned blocks = s->block_count;
    s.take(blocks);
    EXPECT_EQ(s->first_word, back::no_word);
    const unsigned last = blocks - 1;
    EXPECT_EQ(slab::put(*s, back::BlockIndex{last}), slab::Put::lowest);
    EXPECT_EQ(slab::put(*s, back::BlockIndex{70}), slab::Put::lowest);
    EXPECT_EQ(slab::put(*s, back::BlockIndex{64}), slab::Put::done);  // of the same word
    EXPECT_EQ(slab::put(*s, back::BlockIndex{130}), slab::Put::done);
    EXPECT_EQ(slab::put(*s, 0, 0b100), slab::Put::lowest);
    EXPECT_EQ(slab::validate(*s), nullptr);
    EXPECT_EQ(s.take(blocks), (std::vector<unsigned>{last, 130, 70, 64, 2}));
    EXPECT_EQ(s->first_word, back::no_word);
    EXPECT_EQ(slab::put(*s, 1, 0b100), slab::Put::lowest);
    EXPECT_EQ(slab::validate(*s), nullptr);
}

TEST(Slab, NeighboursComeBackTogetherAcrossWords) {
    for (const unsigned first : {0u, 1u, 63u, 64u, 70u}) {
        for (const unsigned count : {1u, 2u, 63u, 64u, 65u, 130u}) {
            Fixture s(class_at(16));
            s.take(200);
            ASSERT_EQ(slab::put_run(*s, back::BlockIndex{first}, count), count);
            EXPECT_EQ(s->free_count, s->block_count - 200u + count);
            EXPECT_EQ(slab::validate(*s), nullptr);
            std::vector<unsigned> expected;
            for (unsigned i = count; i > 0; i--) expected.push_back(first + i - 1);
            EXPECT_EQ(s.take(count), expected);
        }
    }
}

TEST(Slab, OfNeighboursTheFirstThatIsFreeIsNamedAndNothingChanges) {
    Fixture s(class_at(16));
    s.take(200);
    for (const unsigned free : {130u, 75u}) {
        ASSERT_NE(slab::put(*s, back::BlockIndex{free}), slab::Put::twice);
        const unsigned count = s->free_count;
        EXPECT_EQ(slab::put_run(*s, back::BlockIndex{10}, 140), free - 10);
        EXPECT_EQ(s->free_count, count);
        EXPECT_EQ(s->free_bits[0], 0u);
        EXPECT_EQ(slab::validate(*s), nullptr);
    }
}

// ---- against a set of numbers -------------------------------------------------------------------

RC_GTEST_PROP(Slab, ItActsAsASetOfFreeBlocks, ()) {
    const auto c = *rc::gen::inRange(1u, base::class_count);
    Fixture s(class_at(c));
    std::set<unsigned> free;
    std::set<unsigned> out;
    for (unsigned b = 0; b < s->block_count; b++) free.insert(b);
    std::mt19937 random(*rc::gen::arbitrary<unsigned>());
    for (int step = 0; step < 60; step++) {
        if (random() % 2 == 0) {
            const auto wanted = static_cast<unsigned>(random() % 200);
            std::vector<unsigned> expected;
            while (expected.size() < wanted && !free.empty()) {
                expected.insert(expected.begin(), *free.begin());
                out.insert(*free.begin());
                free.erase(free.begin());
            }
            // Highest first, so that a stack hands out the lowest first.
            RC_ASSERT(s.take(wanted) == expected);
        } else {
            const auto word = static_cast<unsigned>(random() % s->word_count());
            std::uint64_t bits = 0;
            bool twice = false;
            for (unsigned i = 0; i < 64; i++) {
                const unsigned block = word * 64 + i;
                if (block >= s->block_count || random() % 4 != 0) continue;
                if (random() % 50 != 0 && out.count(block) == 0) continue;
                bits |= std::uint64_t{1} << i;
                twice |= free.count(block) != 0;
            }
            if (bits == 0) continue;
            const slab::Put put = slab::put(*s, word, bits);
            RC_ASSERT((put == slab::Put::twice) == twice);
            if (free.empty()) RC_ASSERT(put == slab::Put::lowest);
            if (put == slab::Put::lowest && !free.empty()) RC_ASSERT(word < *free.begin() / 64);
            for (unsigned i = 0; i < 64 && !twice; i++) {
                if ((bits >> i & 1) == 0) continue;
                free.insert(word * 64 + i);
                out.erase(word * 64 + i);
            }
        }
        RC_ASSERT(s->free_count == free.size());
        RC_ASSERT(s->empty() == out.empty());
        RC_ASSERT(slab::validate(*s) == nullptr);
    }
    RC_ASSERT(s.free_blocks() == std::vector<unsigned>(free.begin(), free.end()));
}

// ---- pages that are touched for the first time --------------------------------------------------

// Writes down what is to be made resident, in bytes from the start of a fixture's slab on.
struct Populated {
    static inline std::string calls;

    static constexpr os::MemoryCalls table = {
        [](void*, std::size_t, int, int, int, off_t) { return MAP_FAILED; },
        [](void*, std::size_t) { return -1; },
        [](void*, std::size_t, std::size_t, int, void*) { return MAP_FAILED; },
        [](void* start, std::size_t bytes, int advice) {
            if (advice == MADV_DONTNEED) return 0;
            EXPECT_EQ(advice, 23);  // MADV_POPULATE_WRITE
            const std::uintptr_t offset =
                reinterpret_cast<std::uintptr_t>(start) - (std::uintptr_t{1} << 40);
            calls += std::to_string(offset) + "+" + std::to_string(bytes) + " ";
            return 0;
        },
        [](void*, std::size_t, unsigned char*) { return -1; },
        [](void*, std::size_t, int) { return -1; },
    };
    Populated() {
        calls.clear();
        os::set_memory_calls(&table);
    }
    ~Populated() { os::set_memory_calls(nullptr); }
    Populated(const Populated&) = delete;
    Populated& operator=(const Populated&) = delete;
};

TEST(Slab, FreshPagesAreMadeResidentTogetherWhenTheirBlocksAreTaken) {
    const Populated populated;
    Fixture s(base::class_of(64), nullptr, slab::Pages::fresh);
    s.take(31);
    EXPECT_EQ(Populated::calls, "") << "a part of one page is not worth a call";
    s.take(223);
    EXPECT_EQ(Populated::calls, "") << "nor are four pages of which one has been touched";
    s.take(193);
    EXPECT_EQ(Populated::calls, "") << "nor are three";
    s.take(256);
    EXPECT_EQ(Populated::calls, "28672+16384 ") << "up to the page of the last block";
    s.take(1024);
    EXPECT_EQ(Populated::calls, "28672+16384 45056+20480 ") << "and no further than the slab";
}

TEST(Slab, PagesThatHadBlocksTakenAreNotPopulatedAgain) {
    const Populated populated;
    Fixture s(base::class_of(64), nullptr, slab::Pages::fresh);
    s.take(512);
    EXPECT_EQ(Populated::calls, "0+32768 ");
    ASSERT_EQ(slab::put_run(*s, BlockIndex{0}, 512), 512u);
    slab::purge_quiet_pages(*s);  // takes the mark of the sweep back, and not this one
    s.take(512);
    EXPECT_EQ(Populated::calls, "0+32768 ");
}

TEST(Slab, PagesOfWhichNothingIsKnownAreLeftAlone) {
    const Populated populated;
    Fixture s(base::class_of(64));
    s.take(1024);
    EXPECT_EQ(Populated::calls, "");
}

TEST(Slab, OnlyBlocksUpToAPageAreSureToBeWrittenToOnEachPage) {
    const Populated populated;
    Fixture page(base::class_of(4096), nullptr, slab::Pages::fresh);
    page.take(8);
    EXPECT_EQ(Populated::calls, "0+32768 ");
    Fixture larger(base::class_of(4097), nullptr, slab::Pages::fresh);
    larger.take(8);
    EXPECT_EQ(Populated::calls, "0+32768 ");
}

TEST(Slab, OneCallPopulatesNoMoreThanTheOptionAllows) {
    const Populated populated;
    {
        const tests::ChangedOption option(&os::Options::populate, 20000);
        Fixture s(base::class_of(64), nullptr, slab::Pages::fresh);
        s.take(512);
        EXPECT_EQ(Populated::calls, "0+16384 ");
    }
    for (const std::uint64_t nothing : {0U, 16383U}) {
        const tests::ChangedOption option(&os::Options::populate, nothing);
        Fixture s(base::class_of(64), nullptr, slab::Pages::fresh);
        s.take(512);
        EXPECT_EQ(Populated::calls, "0+16384 ");
    }
}

// ---- pages of free blocks -----------------------------------------------------------------------

// Memory for the largest slab, in which each byte says that it was not purged.
class Memory {
public:
    static constexpr std::size_t bytes = 4 * unit_bytes;
    Memory() : start_(static_cast<char*>(os::map(bytes, unit_bytes))) { soil(); }
    ~Memory() { os::unmap(start_, bytes); }
    Memory(const Memory&) = delete;
    Memory& operator=(const Memory&) = delete;
    char* start() const { return start_; }
    void soil() { std::fill_n(start_, bytes, '\x5a'); }
    bool is_purged(std::size_t page) const { return start_[page * base::page_bytes] == 0; }

private:
    char* start_;
};

TEST(Slab, ExactlyThePagesOnWhichEveryBlockIsFreeArePurged) {
    Memory memory;
    std::mt19937 random(3);
    for (unsigned c = 1; c < base::class_count; c++) {
        for (const unsigned density : {2u, 50u, 1000u}) {
            memory.soil();
            Fixture s(class_at(c), memory.start());
            // About one block in `density` stays out.
            std::vector<bool> out(s->block_count, false);
            s.take(s->block_count);
            for (unsigned b = 0; b < s->block_count; b++) {
                out[b] = random() % density == 0;
                if (!out[b]) {
                    ASSERT_NE(slab::put(*s, b / 64, std::uint64_t{1} << b % 64), slab::Put::twice);
                }
            }
            const std::size_t span = s->unit_count * unit_bytes;
            std::size_t expected_bytes = 0;
            std::vector<bool> expected(span / base::page_bytes, true);
            for (unsigned b = 0; b < s->block_count; b++) {
                if (!out[b]) continue;
                const std::size_t begin = b * s->block_bytes;
                for (std::size_t at = begin; at < begin + s->block_bytes; at++) {
                    expected[at / base::page_bytes] = false;
                }
            }
            const bool any_free = s->free_count > 0;
            const std::size_t purged = slab::purge_free_pages(*s);
            for (std::size_t page = 0; page < expected.size(); page++) {
                // The pages behind the last block may go or stay: no block is there.
                if (page * base::page_bytes >= s->block_count * s->block_bytes) {
                    expected_bytes += memory.is_purged(page) ? base::page_bytes : 0;
                    continue;
                }
                ASSERT_EQ(memory.is_purged(page), expected[page] && any_free)
                    << "class " << c << " page " << page;
                expected_bytes += expected[page] && any_free ? base::page_bytes : 0;
            }
            EXPECT_EQ(purged, expected_bytes) << "class " << c;
            // Live blocks keep their contents to the last byte.
            for (unsigned b = 0; b < s->block_count; b++) {
                if (!out[b]) continue;
                const char* const block = s->start + b * s->block_bytes;
                ASSERT_TRUE(std::all_of(block, block + s->block_bytes,
                                        [](char byte) { return byte == '\x5a'; }));
            }
        }
    }
}

TEST(Slab, PagesArePurgedAgainOnlyAfterBlocksCameBack) {
    Memory memory;
    Fixture s(class_at(16), memory.start());
    s.take(32);
    ASSERT_NE(slab::put(*s, 0, 0xffff), slab::Put::twice);  // the first page
    EXPECT_GT(slab::purge_free_pages(*s), 0u);
    const std::uint64_t calls = os::memory_counters().purge;
    EXPECT_EQ(slab::purge_free_pages(*s), 0u);
    EXPECT_EQ(os::memory_counters().purge, calls);
    ASSERT_NE(slab::put(*s, 0, 0x10000), slab::Put::twice);
    slab::purge_free_pages(*s);
    EXPECT_GT(os::memory_counters().purge, calls);
}

TEST(Slab, QuietPagesAreThoseAboveTheBlocksThatWereTakenLately) {
    Memory memory;
    Fixture s(class_at(16), memory.start());
    const auto put_all = [&s](unsigned count) {
        ASSERT_EQ(slab::put_run(*s, BlockIndex{0}, count), count);
    };
    const auto page_blocks = static_cast<unsigned>(base::page_bytes / s->block_bytes);
    const std::size_t pages = unit_bytes / base::page_bytes;
    s.take(s->block_count);
    put_all(s->block_count);
    slab::purge_quiet_pages(*s);
    for (std::size_t page = 0; page < pages; page++) EXPECT_FALSE(memory.is_purged(page));
    s.take(page_blocks + 1);
    put_all(page_blocks + 1);
    slab::purge_quiet_pages(*s);
    for (std::size_t page = 0; page < pages; page++) EXPECT_EQ(memory.is_purged(page), page > 1);
    slab::purge_quiet_pages(*s);  // now those two are quiet as well
    EXPECT_TRUE(memory.is_purged(0));
    EXPECT_TRUE(memory.is_purged(1));
    const std::uint64_t calls = os::memory_counters().purge;
    slab::purge_quiet_pages(*s);
    EXPECT_EQ(os::memory_counters().purge, calls);
}

TEST(Slab, QuietPagesWithALiveBlockStay) {
    Memory memory;
    Fixture s(class_at(16), memory.start());
    s.take(s->block_count);
    ASSERT_NE(slab::put(*s, 0, ~std::uint64_t{0} << 1), slab::Put::twice);
    slab::purge_quiet_pages(*s);
    slab::purge_quiet_pages(*s);
    EXPECT_FALSE(memory.is_purged(0));
    EXPECT_TRUE(memory.is_purged(1));
    EXPECT_TRUE(memory.is_purged(3));
    EXPECT_FALSE(memory.is_purged(4));
}

TEST(Slab, ARefusedPurgeGivesNothingBackAndHurtsNothing) {
    Memory memory;
    Fixture s(class_at(16), memory.start());
    s.take(32);
    ASSERT_NE(slab::put(*s, 0, 0xffff), slab::Put::twice);
    FaultInjection faults({.calls = FaultInjection::advise});
    EXPECT_EQ(slab::purge_free_pages(*s), 0u);
    EXPECT_FALSE(memory.is_purged(0));
    EXPECT_EQ(slab::validate(*s), nullptr);
}

TEST(Slab, PagesThatTheKernelRefusedAreOfferedAgain) {
    Memory memory;
    Fixture s(class_at(16), memory.start());
    s.take(s->block_count);
    // Two runs of pages, of which the first is refused.
    const auto page_blocks = static_cast<unsigned>(base::page_bytes / s->block_bytes);
    ASSERT_LE(4 * page_blocks, 64u);
    ASSERT_NE(slab::put(*s, 0, base::bit_run(0, page_blocks)), slab::Put::twice);
    ASSERT_NE(slab::put(*s, 0, base::bit_run(2 * page_blocks, page_blocks)), slab::Put::twice);
    {
        FaultInjection faults({.calls = FaultInjection::advise, .last = 1});
        EXPECT_EQ(slab::purge_free_pages(*s), base::page_bytes);
        EXPECT_EQ(FaultInjection::failed(), 1u);
    }
    EXPECT_FALSE(memory.is_purged(0));
    EXPECT_TRUE(memory.is_purged(2));
    EXPECT_EQ(slab::purge_free_pages(*s), 2 * base::page_bytes);
    EXPECT_TRUE(memory.is_purged(0));
    EXPECT_EQ(slab::purge_free_pages(*s), 0u);
}

// ---- invariants ---------------------------------------------------------------------------------

TEST(Slab, I1_AFreeCountThatIsNotTheNumberOfBitsIsNoticed) {
    for (unsigned c = 1; c < base::class_count; c++) {
        Fixture s(class_at(c));
        s.take(s->block_count / 2u);
        ASSERT_EQ(slab::validate(*s), nullptr);
        s->free_count++;
        EXPECT_STREQ(slab::validate(*s), "slab I1");
        s->free_count--;
        s->free_bits[0] ^= 1;
        EXPECT_STREQ(slab::validate(*s), "slab I1");
        s->free_bits[0] ^= 1;
        EXPECT_EQ(slab::validate(*s), nullptr);
    }
}

TEST(Slab, I2_ABitBeyondTheLastBlockIsNoticed) {
    for (unsigned c = 1; c < base::class_count; c++) {
        Fixture s(class_at(c));
        if (s->block_count % 64 == 0) continue;  // every bit of its words is a block
        s.take(2);
        const unsigned last_word = s->word_count() - 1;
        for (const unsigned bit : {s->block_count % 64u, 63u}) {
            s->remote_bits(last_word) = std::uint64_t{1} << bit;
            EXPECT_STREQ(slab::validate(*s), "slab I2") << "class " << c;
            s->remote_bits(last_word) = 0;
            s->free_bits[last_word] |= std::uint64_t{1} << bit;
            s->free_count++;
            EXPECT_STREQ(slab::validate(*s), "slab I2") << "class " << c;
            s->free_bits[last_word] &= ~(std::uint64_t{1} << bit);
            s->free_count--;
        }
        EXPECT_EQ(slab::validate(*s), nullptr);
    }
}

TEST(Slab, I3_ABlockThatIsFreeAndRemotelyFreedIsNoticed) {
    Fixture s(ClassId::first);
    s.take(100);
    s->remote_bits(1) = 0x8;  // block 67 is out: right
    ASSERT_EQ(slab::validate(*s), nullptr);
    s->remote_bits(63) = 0x8;
    EXPECT_STREQ(slab::validate(*s), "slab I3");
    s->remote_bits(63) = 0;
    EXPECT_EQ(slab::validate(*s), nullptr);
}

TEST(Slab, I4_ABlockThatIsOutAboveTheFreshOnesIsNoticed) {
    Fixture s(base::class_of(64), nullptr, slab::Pages::fresh);
    s.take(100);
    ASSERT_EQ(s->fresh_from, 100);
    ASSERT_EQ(slab::validate(*s), nullptr);
    s->fresh_from = 99;
    EXPECT_STREQ(slab::validate(*s), "slab I4");
}

TEST(Slab, I5_AFreeBitBelowTheFirstWordIsNoticed) {
    for (unsigned c = 1; c < base::class_count; c++) {
        Fixture s(class_at(c));
        ASSERT_EQ(slab::validate(*s), nullptr);
        s->first_word = 1;  // a slab of one word has none there
        EXPECT_STREQ(slab::validate(*s), "slab I5") << "class " << c;
        s->first_word = 0;
        s.take(s->block_count);
        ASSERT_EQ(slab::validate(*s), nullptr);
        s->first_word = static_cast<std::uint16_t>(s->word_count() - 1);
        EXPECT_STREQ(slab::validate(*s), "slab I5") << "class " << c;
        s->first_word = back::no_word;
        ASSERT_EQ(slab::validate(*s), nullptr);
    }
}

}  // namespace
