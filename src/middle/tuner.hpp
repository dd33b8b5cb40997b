/**
 * @file tuner.hpp
 * @box tuner — the learning layer: counts in, decisions out
 *
 * Some numbers of an allocator are right for one program and wrong for the next: how many blocks a
 * magazine may hold, whether a front is worth its question. This box watches what the slow paths
 * count, and decides. Those who ask it act: it touches no block, no slab and no lock, so each of
 * its decisions can be tested without a heap, and hits pay nothing for being watched.
 *
 *     refill, flush, tick ─▶ MagazineTuner ─▶ grow? empty? shrink?
 *     hits, misses        ─▶ FrontTuner    ─▶ ask this front, or let it rest?
 *
 * **Capacity learns.** Magazines start small. When refills and flushes alternate, the program's
 * working set swings by more than the magazine holds, and it shall double. So it shall at every
 * fourth refill, whatever lies between: a program that only allocates never flushes, and should not
 * refill for ever by the handful. A class that neither refilled nor flushed between two ticks is
 * idle, and gives its capacity back.
 *
 * **A magazine keeps what will be wanted again.** A flush gives the oldest half back. When flush
 * follows flush the program is tearing something down, and what is kept would only hold pages of
 * slabs that are empty otherwise; the thread may then sleep for long, and nobody else can empty its
 * magazines. So after some flushes in a row they give everything back.
 *
 * **A front that misses rests.** The first fronts of the recorded phases cost a test whether they
 * hit or not. A front that missed more than it hit, over a window of so many misses, is not asked
 * any more. Since nothing is counted meanwhile, it is tried again after some refills: those mean
 * that the program does something else. The record names this step and leaves it open.
 *
 * @owns      nothing; the counts stand in the heap
 * @calls     —
 * @threads   who owns the counts: a magazine's under its heap's lock, a front's by its thread
 * @invariant none
 * @failure   none
 * @cost      a few additions a slow path or a miss of a front; nothing on hits: not measured
 * @phase     the idea is the record's learning layer; introduced in 16
 */
#pragma once

#include <cstdint>

namespace hakmem::middle {

// [magazine]
/** Watches one magazine. All zero is the state of one that did nothing yet. */
struct MagazineTuner {
    static constexpr unsigned refills_before_growth = 4;    ///< Every so many refills it grows.
    static constexpr unsigned flushes_before_emptying = 4;  ///< So many in a row keep some blocks.

    /** What a flush shall do. */
    struct Flush {
        bool grow;   ///< Whether the magazine grows first; there may be room then.
        bool empty;  ///< Whether all blocks go, and not the older half.
    };

    std::uint64_t refills;       ///< Times that it was empty.
    std::uint64_t flushes;       ///< Times that it was full.
    std::uint32_t flush_streak;  ///< Flushes since the last refill.
    bool active;                 ///< Whether there was one of either since the last tick.

    /**
     * It was empty.
     * @return Whether it shall grow before it is filled.
     */
    bool refilled() {
        active = true;
        refills++;
        const bool swings = flush_streak > 0;
        const bool streams = refills % refills_before_growth == 0;
        flush_streak = 0;
        return swings || streams;
    }

    /**
     * It was full.
     * @return What shall be done.
     */
    Flush flushed() {
        active = true;
        flushes++;
        flush_streak++;
        return {flush_streak == 1, flush_streak > flushes_before_emptying};
    }

    /**
     * A tick has come.
     * @return Whether it was idle since the last one.
     */
    bool idle() {
        const bool was_active = active;
        active = false;
        return !was_active;
    }
};
// [/magazine]

// [front]
/** Watches one front of a recorded phase. All zero is the state of one that is asked. */
struct FrontTuner {
    static constexpr std::uint32_t window_misses = 1024;  ///< Decisions are so many misses apart.
    static constexpr std::uint32_t refills_at_rest = 64;  ///< After so many it is tried again.

    std::uint64_t hits_before;  ///< The hits when the window began.
    std::uint32_t refills;      ///< While it rests.
    bool rests;                 ///< Whether it is left alone.

    /**
     * @param misses All misses so far.
     * @return Whether a window has ended with the last one.
     */
    static constexpr bool ends_window(std::uint64_t misses) { return misses % window_misses == 0; }

    /**
     * Another window_misses misses have been counted.
     * @param hits All hits so far.
     */
    void window_ended(std::uint64_t hits) {
        rests = hits - hits_before < window_misses;
        hits_before = hits;
        refills = 0;
    }

    /** The heap's fronts were refilled from the slabs, for whatever class. */
    void refilled() {
        if (rests && ++refills == refills_at_rest) rests = false;
    }
};
// [/front]

}  // namespace hakmem::middle
