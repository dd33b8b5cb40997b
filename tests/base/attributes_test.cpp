#include "base/attributes.hpp"

#include <gtest/gtest.h>

namespace {

// An inlined function has no return address of its own: it sees that of its caller.
HAK_FAST void* return_address_in_fast() { return __builtin_return_address(0); }
HAK_SLOW void* return_address_in_slow() { return __builtin_return_address(0); }

struct Addresses {
    void* own;
    void* in_fast;
    void* in_slow;
};

[[gnu::noinline]] Addresses addresses() {
    return {__builtin_return_address(0), return_address_in_fast(), return_address_in_slow()};
}

TEST(Attributes, FastFunctionsAreInlinedEvenWithoutOptimisation) {
    const Addresses seen = addresses();
    EXPECT_EQ(seen.in_fast, seen.own);
}

TEST(Attributes, SlowFunctionsAreNot) {
    const Addresses seen = addresses();
    EXPECT_NE(seen.in_slow, seen.own);
}

TEST(Attributes, LikelyAndUnlikelyKeepTheTruthOfAnyCondition) {
    const int object = 0;
    const void* const pointer = &object;
    const void* const null = nullptr;
    // A value whose low bits are zero is still true.
    for (const unsigned long value : {0ul, 1ul, 2ul, 0x100ul, 1ul << 63}) {
        EXPECT_EQ(static_cast<bool>(HAK_LIKELY(value)), value != 0) << value;
        EXPECT_EQ(static_cast<bool>(HAK_UNLIKELY(value)), value != 0) << value;
    }
    EXPECT_TRUE(HAK_LIKELY(pointer));
    EXPECT_FALSE(HAK_LIKELY(null));
    EXPECT_TRUE(HAK_UNLIKELY(pointer));
    EXPECT_FALSE(HAK_UNLIKELY(null));
}

// A lock as clang's analysis sees one; gcc must accept the same words.
class HAK_CAPABILITY("mutex") Lock {
public:
    void lock() HAK_ACQUIRE() { held_ = true; }
    void unlock() HAK_RELEASE() { held_ = false; }
    bool try_lock() HAK_TRY_ACQUIRE(true) { return held_ ? false : (held_ = true); }
    bool held() const { return held_; }

private:
    bool held_ = false;
};

class Account {
public:
    void add(int amount) {
        lock.lock();
        add_locked(amount);
        lock.unlock();
    }
    int read_unlocked() const HAK_NO_THREAD_ANALYSIS { return sum_; }

    Lock lock;

private:
    void add_locked(int amount) HAK_REQUIRES(lock) { sum_ += amount; }
    int sum_ HAK_GUARDED_BY(lock) = 0;
};

TEST(Attributes, ThreadAnnotationsCompileAndChangeNothing) {
    Account account;
    account.add(3);
    account.add(4);
    EXPECT_EQ(account.read_unlocked(), 7);
    EXPECT_FALSE(account.lock.held());
    if (account.lock.try_lock()) {
        EXPECT_TRUE(account.lock.held());
        account.lock.unlock();
    }
    EXPECT_FALSE(account.lock.held());
}

}  // namespace
