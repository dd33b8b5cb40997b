#include "os/raw_log.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <rapidcheck/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "tests/os/captured_messages.hpp"

namespace {

using namespace hakmem;
using os::Message;
using os::Text;

constexpr std::size_t buffer_bytes = 512;  // of a Text

// A sink that keeps each piece it was handed.
using Pieces = std::vector<std::string>;
void keep(const char* text, std::size_t length, void* pieces) {
    static_cast<Pieces*>(pieces)->emplace_back(text, length);
}

std::string joined(const Pieces& pieces) {
    std::string all;
    for (const std::string& piece : pieces) all += piece;
    return all;
}

template <typename Write>
std::string written(Write write) {
    Pieces pieces;
    {
        Text text(keep, &pieces);
        write(text);
    }
    return joined(pieces);
}

template <typename... Arguments>
std::string formatted(const char* format, Arguments... arguments) {
    char buffer[2048];
    std::snprintf(buffer, sizeof buffer, format, arguments...);
    return buffer;
}

// ---- formatting, against snprintf ---------------------------------------------------------------

TEST(RawLog, NumbersAtTheirBordersLookAsPrintfWritesThem) {
    std::vector<unsigned long> numbers{0, 1, 9, UINT64_MAX, UINT64_MAX - 1, UINT32_MAX};
    for (unsigned long power = 10; power < UINT64_MAX / 10; power *= 10) {
        numbers.push_back(power);
        numbers.push_back(power - 1);
    }
    for (const unsigned long number : numbers) {
        EXPECT_EQ(written([=](Text& t) { t << std::uint64_t{number}; }), formatted("%lu", number));
    }
    EXPECT_EQ(written([](Text& t) { t << 42u; }), "42");
}

RC_GTEST_PROP(RawLog, NumbersColumnsAndAddressesLookAsPrintfWritesThem, (unsigned long number)) {
    const auto width = *rc::gen::inRange(0u, 40u);
    const int printf_width = static_cast<int>(width);
    RC_ASSERT(written([=](Text& t) { t << std::uint64_t{number}; }) == formatted("%lu", number));
    RC_ASSERT(written([=](Text& t) { t.column(std::uint64_t{number}, width); }) ==
              formatted("%*lu", printf_width, number));
    const std::string word = formatted("%lx", number);
    RC_ASSERT(written([&](Text& t) { t.column(word.c_str(), width); }) ==
              formatted("%-*s", printf_width, word.c_str()));
    RC_ASSERT(written([=](Text& t) { t << reinterpret_cast<const void*>(number); }) ==
              formatted("0x%lx", number));
}

TEST(RawLog, StringsAndCharactersAreTakenAsTheyAre) {
    EXPECT_EQ(written([](Text& t) {
                  t << ""
                    << "a" << 'b' << "c\n%s";
              }),
              "abc\n%s");
    EXPECT_EQ(written([](Text& t) { t.append("a\0b", 3).append("never", 0); }),
              std::string("a\0b", 3));
}

// ---- the buffer ---------------------------------------------------------------------------------

TEST(RawLog, NothingIsHandedOnForNothing) {
    Pieces pieces;
    {
        Text text(keep, &pieces);
        text << "";
        text.flush();
    }
    EXPECT_TRUE(pieces.empty());
}

TEST(RawLog, TextOfEveryLengthAroundTheBufferArrivesWhole) {
    for (std::size_t length = 0; length <= 3 * buffer_bytes + 1; length++) {
        std::string expected;
        for (std::size_t i = 0; i < length; i++) expected += static_cast<char>('a' + i % 26);
        Pieces pieces;
        {
            Text text(keep, &pieces);
            text << expected.c_str();
        }
        ASSERT_EQ(joined(pieces), expected);
        ASSERT_EQ(pieces.size(), (length + buffer_bytes - 1) / buffer_bytes) << length;
    }
}

TEST(RawLog, TheBufferIsUsedToItsLastByte) {
    Pieces pieces;
    {
        Text text(keep, &pieces);
        for (std::size_t i = 0; i < 2 * buffer_bytes + 3; i++) text << 'x';
    }
    ASSERT_EQ(pieces.size(), 3u);
    EXPECT_EQ(pieces[0].size(), buffer_bytes);
    EXPECT_EQ(pieces[1].size(), buffer_bytes);
    EXPECT_EQ(pieces[2].size(), 3u);
}

TEST(RawLog, FlushHandsOnWhatThereIsAndStartsAfresh) {
    Pieces pieces;
    Text text(keep, &pieces);
    text << "one";
    text.flush();
    text << "two";
    text.flush();
    EXPECT_EQ(pieces, (Pieces{"one", "two"}));
}

// ---- messages -----------------------------------------------------------------------------------

TEST(RawLog, AMessageHasThePrefixAndOneLineBreak) {
    tests::CapturedMessages messages;
    Message() << "text " << 7u;
    EXPECT_EQ(messages.text(), "hakmem: text 7\n");
}

// Standard error goes to one end of a socket that keeps the borders between writes.
class RedirectedStderr {
public:
    RedirectedStderr() {
        EXPECT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends_.data()), 0);
        saved_ = dup(STDERR_FILENO);
        dup2(ends_[1], STDERR_FILENO);
    }
    ~RedirectedStderr() {
        dup2(saved_, STDERR_FILENO);
        for (const int end : {saved_, ends_[0], ends_[1]}) close(end);
    }
    RedirectedStderr(const RedirectedStderr&) = delete;
    RedirectedStderr& operator=(const RedirectedStderr&) = delete;

    Pieces writes() const {
        Pieces pieces;
        char buffer[2048];
        ssize_t got = 0;
        while ((got = recv(ends_[0], buffer, sizeof buffer, MSG_DONTWAIT)) > 0) {
            pieces.emplace_back(buffer, static_cast<std::size_t>(got));
        }
        return pieces;
    }

private:
    std::array<int, 2> ends_{};
    int saved_ = -1;
};

TEST(RawLog, AMessageIsOneWriteToStandardError) {
    RedirectedStderr redirected;
    Message() << "first " << std::uint64_t{1} << ", " << static_cast<const void*>(nullptr);
    Message() << "second";
    EXPECT_EQ(redirected.writes(), (Pieces{"hakmem: first 1, 0x0\n", "hakmem: second\n"}));
}

TEST(RawLog, ANullSinkIsStandardErrorAgain) {
    RedirectedStderr redirected;
    {
        tests::CapturedMessages messages;
        Message() << "captured";
    }
    Message() << "not captured";
    EXPECT_EQ(redirected.writes(), (Pieces{"hakmem: not captured\n"}));
}

TEST(RawLog, MessagesOfThreadsDoNotMix) {
    constexpr unsigned threads = 4;
    constexpr unsigned messages = 100;
    RedirectedStderr redirected;
    std::atomic<unsigned> running{threads};
    std::vector<std::thread> writers;
    for (unsigned t = 0; t < threads; t++) {
        writers.emplace_back([&running, t] {
            for (unsigned i = 0; i < messages; i++) Message() << "thread " << t << " says " << i;
            running--;
        });
    }
    unsigned next[threads] = {};
    unsigned seen = 0;
    for (bool last = false; !last;) {
        last = running == 0;
        for (const std::string& line : redirected.writes()) {
            unsigned t = threads;
            unsigned i = 0;
            int end = 0;
            ASSERT_EQ(std::sscanf(line.c_str(), "hakmem: thread %u says %u%n", &t, &i, &end), 2)
                << line;
            ASSERT_EQ(line.substr(static_cast<std::size_t>(end)), "\n");
            ASSERT_LT(t, threads);
            ASSERT_EQ(i, next[t]++);
            seen++;
        }
    }
    for (std::thread& writer : writers) writer.join();
    EXPECT_EQ(seen, threads * messages);
}

// ---- the descriptor -----------------------------------------------------------------------------

TEST(RawLog, WhatDoesNotFitIntoAPipeAtOnceArrivesWhole) {
    int ends[2];
    ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
    const std::string text(300000, 'x');
    std::string received;
    std::thread reader([&] {
        char buffer[4096];
        ssize_t got = 0;
        while ((got = read(ends[0], buffer, sizeof buffer)) > 0) {
            received.append(buffer, static_cast<std::size_t>(got));
        }
    });
    os::write_to_descriptor(text.data(), text.size(), os::descriptor_context(ends[1]));
    close(ends[1]);
    reader.join();
    close(ends[0]);
    EXPECT_EQ(received, text);
}

TEST(RawLog, AWriteThatASignalInterruptsIsTriedAgain) {
    struct sigaction action {};
    struct sigaction old {};
    static std::atomic<unsigned> signals{0};
    action.sa_handler = [](int) { signals++; };  // without SA_RESTART: write returns EINTR
    ASSERT_EQ(sigaction(SIGUSR1, &action, &old), 0);
    int ends[2];
    ASSERT_EQ(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    std::size_t filled = 0;
    while (write(ends[1], "x", 1) == 1) filled++;
    ASSERT_EQ(fcntl(ends[1], F_SETFL, 0), 0);  // from here on a writer waits for room
    std::atomic<bool> written{false};
    std::thread writer([&] {
        os::write_to_descriptor("late", 4, os::descriptor_context(ends[1]));
        written = true;
    });
    for (unsigned i = 0; i < 20; i++) {
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
        pthread_kill(writer.native_handle(), SIGUSR1);
    }
    EXPECT_FALSE(written);
    std::string received;
    char buffer[4096];
    const auto drain = [&] {
        ssize_t got = 0;
        while ((got = read(ends[0], buffer, sizeof buffer)) > 0) {
            received.append(buffer, static_cast<std::size_t>(got));
        }
    };
    while (!written) drain();
    writer.join();
    drain();
    EXPECT_GT(signals, 0u);
    EXPECT_EQ(received, std::string(filled, 'x') + "late");
    close(ends[0]);
    close(ends[1]);
    sigaction(SIGUSR1, &old, nullptr);
}

TEST(RawLog, AFullPipeThatDoesNotBlockDropsTheRestAndReturns) {
    int ends[2];
    ASSERT_EQ(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    const std::string text(1 << 20, 'x');
    errno = 77;
    os::write_to_descriptor(text.data(), text.size(), os::descriptor_context(ends[1]));
    EXPECT_EQ(errno, 77);
    char first = 0;
    EXPECT_EQ(read(ends[0], &first, 1), 1);
    EXPECT_EQ(first, 'x');
    close(ends[0]);
    close(ends[1]);
}

TEST(RawLog, AClosedDescriptorIsNobodysErrno) {
    errno = 77;
    os::write_to_descriptor("text", 4, os::descriptor_context(-1));
    EXPECT_EQ(errno, 77);
}

TEST(RawLog, ADuplicateOutlivesItsOriginalAndIsClosedOnExec) {
    int ends[2];
    ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
    const int duplicate = os::duplicate_descriptor(ends[1]);
    EXPECT_NE(duplicate, ends[1]);
    EXPECT_GE(duplicate, 64);
    EXPECT_NE(fcntl(duplicate, F_GETFD) & FD_CLOEXEC, 0);
    close(ends[1]);
    os::write_to_descriptor("late", 4, os::descriptor_context(duplicate));
    char buffer[8] = {};
    EXPECT_EQ(read(ends[0], buffer, sizeof buffer), 4);
    EXPECT_STREQ(buffer, "late");
    close(duplicate);
    close(ends[0]);
}

TEST(RawLog, WhereThereIsNoDuplicateTheDescriptorItselfIsTheAnswer) {
    EXPECT_EQ(os::duplicate_descriptor(-1), -1);
}

}  // namespace
