/**
 * @file attributes.hpp
 * @box attributes — the one home of compiler attributes
 *
 * The allocator speaks to the compiler in a few places: what must be inlined, what must not, which
 * way a branch goes, which lock guards which field. Each way of speaking has one name here, so that
 * a reader meets `HAK_SLOW` and not four attributes, and a port to another compiler changes one
 * file.
 *
 * Fast and slow are a promise about the machine code. A `HAK_FAST` function is inlined wherever it
 * is called, has no loop and takes no lock; each of its exits to a `HAK_SLOW` function is a tail
 * call, so the fast path never saves a register for the sake of the slow one.
 *
 * @owns      nothing
 * @calls     —
 * @threads   not applicable: there is no state
 * @invariant none
 * @failure   none
 * @cost      none at run time
 * @phase     introduced in 16
 */
#pragma once

/** Inlined always: part of a path that is counted in instructions. */
#define HAK_FAST [[gnu::always_inline]] inline
/** Never inlined, and laid out apart: a path that may loop, lock or call the system. */
#define HAK_SLOW [[gnu::noinline, gnu::cold]]
/** The condition nearly always holds. */
#define HAK_LIKELY(condition) __builtin_expect(!!(condition), 1)
/** The condition nearly never holds. */
#define HAK_UNLIKELY(condition) __builtin_expect(!!(condition), 0)
/** A symbol that the library exports. */
#define HAK_EXPORT [[gnu::visibility("default")]]

// [thread_safety]
#if defined(__clang__)
#define HAK_THREAD_ANNOTATION(x) __attribute__((x))
#else
/** Clang checks who locks what at compile time (-Wthread-safety); gcc knows no such attribute. */
#define HAK_THREAD_ANNOTATION(x)
#endif
// [/thread_safety]
/** A type that is a lock. */
#define HAK_CAPABILITY(name) HAK_THREAD_ANNOTATION(capability(name))
/** A type whose lifetime is a critical section. */
#define HAK_SCOPED_CAPABILITY HAK_THREAD_ANNOTATION(scoped_lockable)
/** A field that may be touched only under a lock. */
#define HAK_GUARDED_BY(lock) HAK_THREAD_ANNOTATION(guarded_by(lock))
/** A function that takes a lock. */
#define HAK_ACQUIRE(...) HAK_THREAD_ANNOTATION(acquire_capability(__VA_ARGS__))
/** A function that takes a lock when it returns true. */
#define HAK_TRY_ACQUIRE(...) HAK_THREAD_ANNOTATION(try_acquire_capability(__VA_ARGS__))
/** A function that releases a lock. */
#define HAK_RELEASE(...) HAK_THREAD_ANNOTATION(release_capability(__VA_ARGS__))
/** A function that is called with a lock held. */
#define HAK_REQUIRES(...) HAK_THREAD_ANNOTATION(requires_capability(__VA_ARGS__))
/** A function whose locking the analysis cannot follow; the reason stands beside each use. */
#define HAK_NO_THREAD_ANALYSIS HAK_THREAD_ANNOTATION(no_thread_safety_analysis)
