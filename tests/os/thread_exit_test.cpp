#include <gtest/gtest.h>
#include <pthread.h>

#include <atomic>
#include <climits>
#include <cstdint>
#include <string>
#include <thread>

// A process has one action, and abi/lifecycle has set it before main. This is a second copy of the
// box.
#define hakmem hakmem_copy
#include "os/thread_exit.cpp"
#undef hakmem

#include "tests/os/child.hpp"

namespace {

using namespace hakmem_copy;

// What happened at the end of a thread, one letter each, in order. Atomic, because ThreadSanitizer
// believes a thread to be over before its last destructors have run, and sees no order between them
// and join().
class Diary {
public:
    void operator+=(char letter) { letters_[length_.fetch_add(1)] = letter; }
    std::string text() const {
        std::string all;
        for (unsigned i = 0; i < length_; i++) all += letters_[i];
        return all;
    }

private:
    std::atomic<unsigned> length_{0};
    std::atomic<char> letters_[64] = {};
};

thread_local Diary* diary = nullptr;  // of the thread under test
std::atomic<unsigned> exits{0};

void on_exit() {
    exits++;
    if (diary != nullptr) *diary += 'x';
}

void set_action() { os::set_thread_exit(on_exit); }

std::string life_of_a_thread(void (*body)()) {
    Diary events;
    std::thread([&events, body] {
        diary = &events;
        body();
    }).join();
    return events.text();
}

TEST(ThreadExit, WithoutAnActionArmingDoesNothing) {
    // Runs before the others of this suite; if not, there is an action, which is then called once.
    const unsigned before = exits;
    const std::string events = life_of_a_thread([] { os::arm_thread_exit(); });
    EXPECT_EQ(events.size(), exits - before);
}

TEST(ThreadExit, AnArmedThreadCallsTheActionOnceOnItsOwn) {
    set_action();
    EXPECT_EQ(life_of_a_thread([] { os::arm_thread_exit(); }), "x");
}

TEST(ThreadExit, AThreadThatIsNotArmedDoesNot) {
    set_action();
    EXPECT_EQ(life_of_a_thread([] {}), "");
}

TEST(ThreadExit, ArmingAgainDoesNothingNew) {
    set_action();
    EXPECT_EQ(life_of_a_thread([] {
                  for (int i = 0; i < 5; i++) os::arm_thread_exit();
              }),
              "x");
}

TEST(ThreadExit, TheFirstActionStays) {
    set_action();
    os::set_thread_exit([] { FAIL() << "the second action was called"; });
    EXPECT_EQ(life_of_a_thread([] { os::arm_thread_exit(); }), "x");
}

TEST(ThreadExit, ThreadLocalDestructorsComeBefore) {
    set_action();
    struct Late {
        ~Late() { *diary += 't'; }
        void touch() {}
    };
    EXPECT_EQ(life_of_a_thread([] {
                  static thread_local Late late;
                  os::arm_thread_exit();
                  late.touch();
              }),
              "tx");
}

// Destructors of keys run in rounds. A thread whose first allocation happens in a late one is armed
// only then.
pthread_key_t late_key;
void on_late_round(void* value) {
    const auto rounds_left = reinterpret_cast<std::uintptr_t>(value) - 1;
    *diary += 'k';
    if (rounds_left > 0) {
        pthread_setspecific(late_key, reinterpret_cast<void*>(rounds_left));
    } else {
        os::arm_thread_exit();
    }
}

TEST(ThreadExit, AThreadThatArmsItselfInALateRoundCallsTheAction) {
    set_action();
    ASSERT_EQ(pthread_key_create(&late_key, on_late_round), 0);
    // ThreadSanitizer's own thread ends in the last round; what is instrumented crashes after that.
    const std::uintptr_t last =
        PTHREAD_DESTRUCTOR_ITERATIONS - (hakmem::tests::under_thread_sanitizer ? 2 : 1);
    for (std::uintptr_t rounds = 1; rounds <= last; rounds++) {
        Diary events;
        std::thread([&events, rounds] {
            diary = &events;
            pthread_setspecific(late_key, reinterpret_cast<void*>(rounds));
        }).join();
        EXPECT_EQ(events.text(), std::string(rounds, 'k') + 'x');
    }
    pthread_key_delete(late_key);
}

TEST(ThreadExit, ADestructorMayArmTheThread) {
    set_action();
    struct Late {
        ~Late() { os::arm_thread_exit(); }
        void touch() {}
    };
    EXPECT_EQ(life_of_a_thread([] {
                  static thread_local Late late;
                  late.touch();
              }),
              "x");
}

TEST(ThreadExit, EachOfManyThreadsCallsIt) {
    set_action();
    const unsigned before = exits;
    for (int i = 0; i < 20; i++) {
        std::thread a([] { os::arm_thread_exit(); });
        std::thread b([] { os::arm_thread_exit(); });
        a.join();
        b.join();
    }
    EXPECT_EQ(exits, before + 40);
}

}  // namespace
