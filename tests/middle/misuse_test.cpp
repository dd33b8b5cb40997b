#include "middle/misuse.hpp"

#include <gtest/gtest.h>

#include <csignal>
#include <string>

#include "os/raw_log.hpp"

namespace {

using testing::Eq;
using testing::KilledBySignal;

const void* at(std::uintptr_t address) { return reinterpret_cast<const void*>(address); }

std::string line(const char* text) { return std::string("hakmem: ") + text + "\n"; }

TEST(MisuseDeathTest, DoubleFree) {
    EXPECT_EXIT(hak_abort_double_free(at(0x7f0000010020), 2), KilledBySignal(SIGABRT),
                Eq(line("double free of 0x7f0000010020 (size class 2, 32 bytes); "
                        "see docs: misuse#double-free")));
    EXPECT_EXIT(hak_abort_double_free(at(0x7f0000010000), 0), KilledBySignal(SIGABRT),
                Eq(line("double free of 0x7f0000010000; see docs: misuse#double-free")));
}

TEST(MisuseDeathTest, InvalidFree) {
    EXPECT_EXIT(hak_abort_invalid_free(at(0x7f0000010008), 56), KilledBySignal(SIGABRT),
                Eq(line("invalid free of 0x7f0000010008, which is not the start of a live block "
                        "(size class 56, 32768 bytes); see docs: misuse#invalid-free")));
    EXPECT_EXIT(hak_abort_invalid_free(at(0x7f0000010008), 0), KilledBySignal(SIGABRT),
                Eq(line("invalid free of 0x7f0000010008, which is not the start of a live block; "
                        "see docs: misuse#invalid-free")));
}

TEST(MisuseDeathTest, ForeignFree) {
    EXPECT_EXIT(hak_abort_foreign_free(at(0x1234)), KilledBySignal(SIGABRT),
                Eq(line("foreign pointer 0x1234 freed; see docs: misuse#foreign-free")));
    EXPECT_EXIT(hak_abort_foreign_free(at(~std::uintptr_t{0})), KilledBySignal(SIGABRT),
                Eq(line("foreign pointer 0xffffffffffffffff freed; "
                        "see docs: misuse#foreign-free")));
}

TEST(MisuseDeathTest, SizedMismatch) {
    EXPECT_EXIT(hak_abort_sized_mismatch(at(0x7f0000010000), 100, 64), KilledBySignal(SIGABRT),
                Eq(line("sized delete mismatch: 0x7f0000010000 was freed as 100 bytes, and its "
                        "block has 64; see docs: misuse#sized-delete-mismatch")));
    EXPECT_EXIT(hak_abort_sized_mismatch(at(0x7f0000010000), SIZE_MAX, 16), KilledBySignal(SIGABRT),
                Eq(line("sized delete mismatch: 0x7f0000010000 was freed as "
                        "18446744073709551615 bytes, and its block has 16; "
                        "see docs: misuse#sized-delete-mismatch")));
}

// The message goes where the program wants its messages, and is out before the process ends.
TEST(MisuseDeathTest, TheMessageGoesThroughTheSink) {
    EXPECT_EXIT(
        {
            hakmem::os::set_message_sink(
                [](const char* text, std::size_t length, void*) {
                    hakmem::os::write_to_descriptor("<", 1, hakmem::os::descriptor_context(2));
                    hakmem::os::write_to_descriptor(text, length,
                                                    hakmem::os::descriptor_context(2));
                },
                nullptr);
            hak_abort_double_free(at(0x40), 0);
        },
        KilledBySignal(SIGABRT),
        Eq(std::string("<hakmem: double free of 0x40; see docs: misuse#double-free\n")));
}

}  // namespace
