#include "gate/external_guard.hpp"

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <string>

#include "os/environment.hpp"
#include "tests/os/captured_messages.hpp"
#include "tests/os/changed_option.hpp"
#include "tests/os/child.hpp"

namespace {

using namespace hakmem;
namespace guard = gate::external_guard;
using os::ForeignPolicy;
using os::Options;
using testing::Eq;
using testing::ExitedWithCode;
using testing::KilledBySignal;
using tests::in_child;

// The allocator that foreign pointers are handed to; in a sanitizer's program `malloc` may be
// another one.
void* foreign_block(std::size_t bytes) {
    static const auto function =
        reinterpret_cast<void* (*)(std::size_t)>(dlsym(RTLD_NEXT, "malloc"));
    return function(bytes);
}

struct Policy : tests::ChangedOption {
    explicit Policy(ForeignPolicy policy)
        : ChangedOption(&Options::foreign, static_cast<std::uint64_t>(policy)) {}
};

std::string foreign_message(const void* pointer) {
    char line[120];
    std::snprintf(line, sizeof line,
                  "hakmem: foreign pointer %p freed; see docs: misuse#foreign-free\n", pointer);
    return line;
}

// ---- handed to the C library --------------------------------------------------------------------

TEST(ExternalGuard, AForeignBlockIsFreedByTheCLibrary) {
    const Policy policy(ForeignPolicy::libc);
    const tests::CapturedMessages messages;
    if (tests::under_sanitizer) {  // whose allocator keeps what was freed
        guard::release(foreign_block(100));
        return;
    }
    // A block so large that the C library unmaps it.
    constexpr std::size_t bytes = 64 << 20;
    char* const block = static_cast<char*>(foreign_block(bytes));
    const auto page = reinterpret_cast<void*>(reinterpret_cast<std::uintptr_t>(block + bytes / 2) &
                                              ~std::uintptr_t{4095});
    unsigned char resident = 0;
    ASSERT_EQ(mincore(page, 4096, &resident), 0);
    guard::release(block);
    EXPECT_NE(mincore(page, 4096, &resident), 0);
}

TEST(ExternalGuard, AForeignBlockIsReallocatedByTheCLibrary) {
    const Policy policy(ForeignPolicy::libc);
    const tests::CapturedMessages messages;
    char* const block = static_cast<char*>(foreign_block(100));
    std::memset(block, 0x5a, 100);
    EXPECT_GE(guard::usable_bytes(block), 100u);
    char* const larger = static_cast<char*>(guard::reallocate(block, 100000));
    ASSERT_NE(larger, nullptr);
    for (int i = 0; i < 100; i++) ASSERT_EQ(larger[i], 0x5a);
    EXPECT_GE(guard::usable_bytes(larger), 100000u);
    guard::release(larger);
}

using ExternalGuardDeathTest = tests::Pristine;

TEST_F(ExternalGuardDeathTest, TheFirstForeignPointerIsMentionedAndOnlyTheFirst) {
    EXPECT_EXIT(in_child([] {
                    for (int i = 0; i < 3; i++) {
                        void* const block = foreign_block(100);
                        guard::usable_bytes(block);
                        guard::release(block);
                    }
                }),
                ExitedWithCode(0),
                "^hakmem: foreign pointer 0x[0-9a-f]* handed to the C library, as all later ones "
                "will be; see docs: misuse#foreign-free\n$");
}

TEST_F(ExternalGuardDeathTest, WithTheLogEachPointerIsMentioned) {
    EXPECT_EXIT(in_child([] {
                    const tests::ChangedOption log(&Options::external_guard_log, 1);
                    for (int i = 0; i < 2; i++) guard::release(foreign_block(100));
                }),
                ExitedWithCode(0),
                "^hakmem: foreign pointer 0x[0-9a-f]* handed to the C library\n"
                "hakmem: foreign pointer 0x[0-9a-f]* handed to the C library\n$");
}

// ---- what is counted ----------------------------------------------------------------------------

TEST(ExternalGuard, EveryCallIsCountedWithWhatBecameOfIt) {
    const tests::CapturedMessages messages;
    const guard::Counts before = guard::counts();
    void* const block = foreign_block(100);
    guard::usable_bytes(block);
    {
        const Policy ignore(ForeignPolicy::ignore);
        guard::release(block);
    }
    guard::release(block);
    const guard::Counts after = guard::counts();
    EXPECT_EQ(after.calls - before.calls, 3u);
    EXPECT_EQ(after.handed - before.handed, 2u);
    // Production asks the kernel each time; it has no option for that.
    EXPECT_EQ(after.probes - before.probes, 2u);
    guard::print_statistics();
    char line[120];
    std::snprintf(line, sizeof line,
                  "hakmem: external_guard: calls=%zu mincore=%zu handed_to_libc=%zu\n",
                  std::size_t{after.calls}, std::size_t{after.probes}, std::size_t{after.handed});
    EXPECT_NE(messages.text().find(line), std::string::npos) << messages.text();
}

// ---- what no malloc can have returned -----------------------------------------------------------

TEST(ExternalGuardPolicyDeathTest, ImpossiblePointersAreNamedAndNotHandedOn) {
    for (const std::uintptr_t address :
         {std::uintptr_t{1}, std::uintptr_t{16}, std::uintptr_t{65520},
          std::uintptr_t{0x7f0000000008}, std::uintptr_t{0x7f0000000001}, std::uintptr_t{1} << 47,
          ~std::uintptr_t{15}, std::uintptr_t{0xffff800000000000}}) {
        void* const pointer = reinterpret_cast<void*>(address);
        EXPECT_EXIT(guard::release(pointer), KilledBySignal(SIGABRT), Eq(foreign_message(pointer)));
        EXPECT_EXIT(guard::reallocate(pointer, 10), KilledBySignal(SIGABRT),
                    Eq(foreign_message(pointer)));
        EXPECT_EXIT(guard::usable_bytes(pointer), KilledBySignal(SIGABRT),
                    Eq(foreign_message(pointer)));
    }
}

// ---- the other policies -------------------------------------------------------------------------

TEST(ExternalGuardPolicyDeathTest, AbortEndsTheProcessWithTheName) {
    const Policy policy(ForeignPolicy::abort);
    void* const block = foreign_block(100);
    EXPECT_EXIT(guard::release(block), KilledBySignal(SIGABRT), Eq(foreign_message(block)));
    EXPECT_EXIT(guard::reallocate(block, 10), KilledBySignal(SIGABRT), Eq(foreign_message(block)));
    EXPECT_EXIT(guard::usable_bytes(block), KilledBySignal(SIGABRT), Eq(foreign_message(block)));
    const Policy normal(ForeignPolicy::libc);
    const tests::CapturedMessages messages;
    guard::release(block);
}

TEST(ExternalGuard, IgnoreDoesNothing) {
    void* const block = foreign_block(100);
    std::memset(block, 0x5a, 100);
    {
        const Policy policy(ForeignPolicy::ignore);
        const tests::CapturedMessages messages;
        guard::release(block);
        guard::release(reinterpret_cast<void*>(std::uintptr_t{1}));
        EXPECT_EQ(guard::usable_bytes(block), 0u);
        errno = 0;
        EXPECT_EQ(guard::reallocate(block, 200), nullptr);
        EXPECT_EQ(errno, ENOMEM);
        EXPECT_EQ(messages.text(), "");
    }
    for (int i = 0; i < 100; i++) ASSERT_EQ(static_cast<char*>(block)[i], 0x5a);
    const Policy normal(ForeignPolicy::libc);
    const tests::CapturedMessages messages;
    guard::release(block);  // it was not freed before
}

}  // namespace
