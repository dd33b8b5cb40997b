/*
 * Blocks freed by other threads, while their slabs change hands.
 *
 * Two heaps and up to two freeing threads work for ever on one or two slabs. A heap acquires a
 * slab from the pool, hands its blocks to the program, takes some back itself, collects those that
 * other threads freed, and releases the slab when all are back; then the other heap may acquire
 * it. Whenever no slab of the superslab is in use, the pages of the records may be purged.
 *
 * Each access of the code to something shared is one step here. What runs under a heap's lock is
 * one process, since the lock lets one thread at a time do it. Each block's bit lies in a word of
 * its own, so that merging two of them is two steps.
 *
 *   P1  no bit is lost: when nobody is on the way and no notice waits, no remote bit is set
 *       and no flag says that one were coming
 *   P2  a slab stands in at most one stack of notices, and there once
 *   P3  a slab is released only when no block is out
 *   P4  only its owner merges a slab's bits
 *   P5  a slab that is offered for refills has a free block
 *   P6  while owners keep collecting, every bit that is set is merged
 *   P7  where notices wait, the heap has a mark that says so, when nobody is on the way
 *
 * mirrors src/middle/remote_bits.cpp free_blocks 193794e53aad0b36
 * mirrors src/middle/remote_bits.cpp notify 749606e6d085f0e2
 * mirrors src/middle/remote_bits.cpp collect 6c3a66003f635d70
 * mirrors src/middle/remote_bits.cpp mark 49c03d14c79dc2c0
 * mirrors src/middle/remote_bits.cpp collect_all 13117fe1600b6dc2
 * mirrors src/front/thread_heap.cpp settle d46cbfaa038821f4
 * mirrors src/front/thread_heap.cpp release_empty_slabs b3b5613d1360535d
 * mirrors src/back/shared_pool.cpp acquire_slab 3c7b927e518988c9
 * mirrors src/back/shared_pool.cpp release_slab ec27ba3c6f5ca68b
 * mirrors src/back/superslab.cpp take_free 124b1c151afcec79
 * mirrors src/back/superslab.cpp put_back 2af23b8c2f7e0b2c
 * mirrors src/back/superslab.cpp purge_records_page 185184090cd3869b
 * mirrors src/back/superslab.cpp purge_records f4e9f0234a74f866
 *
 * run two_blocks -DSLABS=1 -DTHREADS=2 -DCLASSES=1
 * run two_slabs -DSLABS=2 -DTHREADS=1 -DCLASSES=1
 * run two_classes -DSLABS=1 -DTHREADS=1 -DCLASSES=2
 * run marks -DSLABS=2 -DTHREADS=1 -DCLASSES=1 -DMARKS
 * run liveness -DSLABS=1 -DTHREADS=1 -DCLASSES=1 -DMARKS -DLIVENESS
 *
 * mutant BITS_AFTER_FLAG two_blocks P1: the freeing thread wins the flag before it sets the bits
 * mutant FLAG_CLEARED_LATE two_blocks P1: the collector reads the owner before it clears the flag
 * mutant FLAG_CLEARED_LAST two_blocks P1: the collector merges before it clears the flag
 * mutant NO_SECOND_LOOK two_blocks P1: a notice is dropped without reading the owner once more
 * mutant NO_FORWARDING two_blocks P1: a notice that reached the wrong heap is dropped
 * mutant FLAG_KEPT two_blocks P1: a notice is dropped and its flag stays set
 * mutant OWNER_CLEARED_LATE two_blocks P4: the pool gets the slab before it has lost its owner
 * mutant NEXT_READ_LATE two_slabs P1: the collector clears the flag before it reads the link
 * mutant PUSH_WITHOUT_FLAG two_blocks P2: whoever frees pushes, without winning the flag
 * mutant RECORDS_UNCLAIMED two_blocks P2: records are purged after a look at their flags alone
 * mutant RELEASED_EARLY two_blocks P3: a slab counts blocks with a remote bit as being back
 * mutant STRANGER_MERGES two_blocks P4: the collector does not ask who owns the slab
 * mutant OFFERED_ANYWAY two_blocks P5: a slab is offered after a notice that brought no bits
 * mutant IDLE_OWNER liveness P6: an owner may stop collecting
 * mutant UNMARKED marks P7: whoever pushes a notice does not leave the mark
 * mutant WIPED_LATE marks P7: the collector wipes the mark off when it has taken the stack
 * mutant REST_UNMARKED marks P7: a collector that leaves notices does not leave the mark
 *
 * What this does not show. Steps follow one another here: every thread sees every write at once.
 * The code asks for less, acquire and release, and src/middle/remote_bits.hpp argues why that is
 * enough: every two parties meet in read-modify-writes of one flag or one stack top, each of which
 * continues the release sequence of the one before, so who reads the other's mark sees what came
 * before it. No step relies on an order between writes to two places without such a meeting, but
 * for stacks and their marks, for which the code asks for one order of all. The unit tests run the
 * same code under ThreadSanitizer, which knows the orders that were asked for.
 */

#define POOL 0
/* Slab 0 travels and has two blocks. Slab 1, where there is one, has one and stays with heap 1. */
#define ALL(s) (3 >> (s))
#define BIT(b) (1 << (b))

/* The slab's record. */
byte owner[SLABS];        /* heap 1 or 2, or POOL */
bool dirty[SLABS];
byte next_dirty[SLABS];   /* slab + 1, or 0 */
byte remote_bits[SLABS];
byte free_bits[SLABS];
byte class_of[SLABS];     /* does not change while the slab is in use */

/* Notices of both heaps, by class. A late one may be of another class than its slab is by now. */
#define STACKS (2 * CLASSES)
#define STACK(heap_id, class) (CLASSES * ((heap_id) - 1) + (class))
byte sent[STACKS];        /* stacks: slab + 1, or 0 */
byte taken[STACKS];       /* what is left of a stack that was taken */
bool noticed[STACKS];     /* the bit of the class in the heap's mask */
bool unit_free[SLABS];    /* the slab's unit, as the superslab has it */

/* What the model knows and the code does not. */
byte held[SLABS];         /* blocks in the program's hands */
byte out[SLABS];          /* how many blocks are not free in the slab, wherever they are */
byte notices[SLABS];      /* in how many stacks, or lists taken from one, the slab stands */
byte busy;                /* processes in the middle of something */

/* ---- the protocol ---------------------------------------------------------------------------- */

inline push(s, stack) {
    top = sent[stack];
    do
    :: next_dirty[s] = top;
       atomic {
           if
           :: sent[stack] == top ->
              sent[stack] = s + 1;
              notices[s]++;
              assert(notices[s] == 1);  /* P2 */
              break
           :: else -> top = sent[stack]
           fi
       }
    od;
#if defined(MARKS) && !defined(UNMARKED)
    noticed[stack] = true
#endif
}

inline notify(s) {
    do
    :: atomic {
           if
#ifndef PUSH_WITHOUT_FLAG
           :: dirty[s] -> break
#endif
           :: else -> dirty[s] = true
           fi
       };
#ifdef BITS_AFTER_FLAG
       atomic { remote_bits[s] = remote_bits[s] | bits; bits = 0 };
#endif
       seen = owner[s];
       if
       :: seen != POOL -> push(s, STACK(seen, class)); break
       :: else
       fi;
#ifndef FLAG_KEPT
       dirty[s] = false;
#endif
#ifdef NO_SECOND_LOOK
       break
#else
       if
       :: owner[s] == POOL -> break
       :: else
       fi
#endif
    od;
    top = 0;
    seen = 0
}

inline free_blocks(s) {
#ifndef BITS_AFTER_FLAG
    atomic { remote_bits[s] = remote_bits[s] | bits; bits = 0 };
#endif
    notify(s);
#ifdef BITS_AFTER_FLAG
    atomic { remote_bits[s] = remote_bits[s] | bits; bits = 0 };
#endif
}

inline clear_flag(s) {
    atomic { dirty[s] = false; notices[s]-- }
}

inline merge(s, b) {
    atomic {
        if
        :: remote_bits[s] & BIT(b) ->
           remote_bits[s] = remote_bits[s] & ~BIT(b);
           assert(owner[s] == me);  /* P4 */
           assert(!(free_bits[s] & BIT(b)));
           free_bits[s] = free_bits[s] | BIT(b);
           out[s]--;
           merged = true
        :: else
        fi
    }
}

/* A slab got blocks back: it is offered for refills, or it is empty and may go. */
inline settle(s) {
    assert(free_bits[s] != 0);  /* P5 */
    if
#ifdef RELEASED_EARLY
    :: (free_bits[s] | remote_bits[s]) == ALL(s) && s == 0 -> release_slab(s)
#else
    :: free_bits[s] == ALL(s) && s == 0 -> release_slab(s)
#endif
    :: true
    fi
}

/* Notices of one class, of so many slabs as get blocks back. */
inline collect() {
    do
    :: if
       :: taken[STACK(me, class)] == 0 ->
          if
          :: once || (sent[STACK(me, class)] == 0 && !noticed[STACK(me, class)]) -> break
          :: else
          fi;
#if defined(MARKS) && !defined(WIPED_LATE)
          noticed[STACK(me, class)] = false;
#endif
          atomic {
              once = true;
              taken[STACK(me, class)] = sent[STACK(me, class)];
              sent[STACK(me, class)] = 0
          };
#ifdef WIPED_LATE
          noticed[STACK(me, class)] = false;
#endif
#ifdef MARKS
          if
          :: taken[STACK(me, class)] == 0 -> break
          :: else
          fi
#endif
       :: else
       fi;
       s = taken[STACK(me, class)] - 1;
#ifdef FLAG_CLEARED_LATE
       taken[STACK(me, class)] = next_dirty[s];
       seen = owner[s];
       clear_flag(s);
#elif defined(FLAG_CLEARED_LAST)
       taken[STACK(me, class)] = next_dirty[s];
       seen = owner[s];
#elif defined(NEXT_READ_LATE)
       clear_flag(s);
       taken[STACK(me, class)] = next_dirty[s];
       seen = owner[s];
#else
       taken[STACK(me, class)] = next_dirty[s];
       clear_flag(s);
       seen = owner[s];
#endif
#ifdef STRANGER_MERGES
       seen = me;
#endif
       if
       :: seen != me ->
#ifdef FLAG_CLEARED_LAST
          clear_flag(s);
#endif
#ifndef NO_FORWARDING
#ifndef FLAG_CLEARED_LATE
          seen = owner[s];
#endif
          if
          :: seen != POOL -> notify(s)
          :: else
          fi
#endif
       :: else ->
          merge(s, 0);
          merge(s, 1);
#ifdef FLAG_CLEARED_LAST
          clear_flag(s);
#endif
#ifdef OFFERED_ANYWAY
          merged = true;
#endif
          if
          :: merged ->
             merged = false;
             settle(s);
             if
             :: one -> break
             :: else
             fi
          :: else
          fi
       fi
    od;
#if defined(MARKS) && !defined(REST_UNMARKED)
    atomic {
        if
        :: taken[STACK(me, class)] != 0 -> noticed[STACK(me, class)] = true
        :: else
        fi
    };
#endif
    seen = 0;
    s = 0
}

inline pick_class(variable) {
    if
    :: variable = 0
#if CLASSES > 1
    :: variable = 1
#endif
    fi
}

/* A refill looks at its class, for one slab. Now and then all that is marked is looked at. */
inline collect_some() {
#if CLASSES > 1
    pick_class(class);
#endif
#if SLABS > 1
    if
    :: one = true
    :: true
    fi;
#endif
#ifdef LIVENESS
    if
    :: noticed[STACK(me, class)] -> collect()
    :: else
    fi;
#else
    collect();
#endif
    atomic { class = 0; one = false; once = false }
}

/* ---- slabs come and go ----------------------------------------------------------------------- */

inline acquire_slab(s) {
    free_bits[s] = ALL(s);
    pick_class(class_of[s]);
    owner[s] = me
}

inline release_slab(s) {
#ifdef OWNER_CLEARED_LATE
    atomic { assert(out[s] == 0); unit_free[s] = true };
    owner[s] = POOL
#else
    atomic {
        assert(out[s] == 0);  /* P3 */
        owner[s] = POOL
    };
    unit_free[s] = true
#endif
}

/* A purged page reads as zero. The record lies on one page, so all of it goes at once. */
inline zero_record(s) {
    d_step { owner[s] = 0; dirty[s] = false; next_dirty[s] = 0 }
}

inline purge_records_page(s) {
    if
    :: atomic { dirty[s] -> skip }
    :: atomic {
           !dirty[s];
#ifndef RECORDS_UNCLAIMED
           dirty[s] = true
#endif
       };
       if
       :: zero_record(s)
       :: /* the flag of another record was set, or the kernel refuses */
          true;
#ifndef RECORDS_UNCLAIMED
          dirty[s] = false
#endif
       fi
    fi
}

inline purge_records(s) {
    if
    :: free_bits[s] = 0
    :: true /* the kernel refuses */
    fi;
    purge_records_page(s)
}

/* ---- who does all this ----------------------------------------------------------------------- */

inline pick(s) {
    if
    :: s = 0
#if SLABS > 1
    :: s = 1
#endif
    fi
}

/* Takes one block of the set for itself. */
inline pick_block(set) {
    if
    :: set & 1 -> bits = 1
    :: set & 2 -> bits = 2
    fi
}

proctype heap(byte me) {
    byte s, seen, top, bits, class;
    bool merged, one, once;
    do
    :: atomic {
           busy++;
           pick(s);
           if
           :: true -> goto collecting
           :: unit_free[s] -> unit_free[s] = false; goto acquiring
           :: owner[s] == me && free_bits[s] != 0 ->
              /* a refill: the block goes to the program */
              pick_block(free_bits[s]);
              free_bits[s] = free_bits[s] & ~bits;
              held[s] = held[s] | bits;
              out[s]++;
              goto collecting
           :: owner[s] == me && held[s] != 0 ->
              /* the owner's own thread frees a block */
              pick_block(held[s]);
              held[s] = held[s] & ~bits;
              free_bits[s] = free_bits[s] | bits;
              out[s]--;
              goto collecting
           :: owner[s] == me && free_bits[s] == ALL(s) && s == 0 -> goto releasing
           fi
       };
acquiring:
       acquire_slab(s);
       goto collecting;
releasing:
       release_slab(s);
collecting:
       atomic { s = 0; bits = 0 };
#ifdef IDLE_OWNER
       if
       :: collect_some()
       :: true
       fi;
#else
       collect_some();
#endif
       busy--
    od
}

proctype freeing_thread() {
    byte s, seen, top, bits, class;
    do
    :: atomic {
           pick(s);
           pick_block(held[s]);
           held[s] = held[s] & ~bits;
           class = class_of[s];
           busy++
       };
       free_blocks(s);
       atomic { s = 0; class = 0; busy-- }
    od
}

proctype purging_thread() {
    do
    :: atomic { unit_free[0] -> unit_free[0] = false; busy++ };
       purge_records(0);
       atomic { unit_free[0] = true; busy-- }
    od
}

#define FORGOTTEN(s) (remote_bits[s] != 0 || dirty[s])
#define WAITS(stack) (sent[stack] != 0 || taken[stack] != 0)
#define UNSEEN(stack) (WAITS(stack) && !noticed[stack])

proctype onlooker() {
    if
    :: atomic {
           busy == 0 && !WAITS(0) && !WAITS(1) &&
#if CLASSES > 1
           !WAITS(2) && !WAITS(3) &&
#endif
#if SLABS > 1
           (FORGOTTEN(0) || FORGOTTEN(1)) ->
#else
           FORGOTTEN(0) ->
#endif
           assert(false)  /* P1 */
       }
#ifdef MARKS
    :: atomic { busy == 0 && UNSEEN(0) -> assert(false)  /* P7 */ }
#endif
    fi
}

init {
    atomic {
        unit_free[0] = true;
        run heap(1);
#if !defined(MARKS) || defined(LIVENESS)
        run heap(2);
#endif
        run freeing_thread();
#if THREADS > 1
        run freeing_thread();
#endif
#if SLABS > 1
        owner[1] = 1;
        free_bits[1] = ALL(1);
#elif THREADS > 1
        run purging_thread();
#endif
        run onlooker()
    }
}

#ifdef LIVENESS
ltl P6 { [] ((remote_bits[0] & 1) -> <> !(remote_bits[0] & 1)) }
#endif
