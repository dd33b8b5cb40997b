/*
 * The life of a heap: made, held by a thread, parked, adopted by the next thread.
 *
 * Threads come and go on two heaps. A thread attaches a heap at its first call, or finds that no
 * more can be made; it hits and misses; it ends by handing the heap over, after which each late
 * call borrows one, or it dies without a sign. A heap that is handed over may keep what its
 * magazines hold. Meanwhile others scavenge the heap, and somebody trims: looks for the dead,
 * collects in every heap, takes what was left in magazines and purges the slots of parked ones.
 * Each access of the code to something shared is one step here. Two things are no steps of their
 * own: to give a lock back after the last access under it, and what is under a lock whose holder
 * alone may look. Of a heap's contents the model keeps whether something is cached, in magazines or
 * as pending frees, and who works on its slabs.
 *
 *   P1  no two threads hold the same heap as theirs
 *   P2  nothing is cached in a parked heap but leftovers, nor where slots are purged
 *   P3  no heap is lost: one that nobody holds is parked, or can be, since its thread's death shows
 *   P4  a heap stands at most once in the stack of parked ones, and nobody holds it there
 *   P5  a heap's slabs are touched under its lock alone
 *   P6  locks are asked for in rank order, and who wants a lifeline waits for a look at it at most
 *   P7  when thread after thread vanishes, the walk comes round to each of their heaps
 *   P8  nobody empties the magazines that a thread uses
 *
 * mirrors src/middle/orphan_heaps.cpp collect_one a70b9c626e71bee4
 * mirrors src/middle/orphan_heaps.cpp collect 7d67960555b55d36
 * mirrors src/middle/orphan_heaps.cpp leave_magazines 0cf27d347ea8d71c
 * mirrors src/middle/orphan_heaps.cpp end_leftovers 5b5c72a1e648e1d4
 * mirrors src/middle/orphan_heaps.cpp push_parked 0f72980c20701c64
 * mirrors src/middle/orphan_heaps.cpp park_heaps_of_the_dead 500b4e4668e9cd63
 * mirrors src/middle/orphan_heaps.cpp adopt 9fa5a1a3f68d500c
 * mirrors src/middle/orphan_heaps.cpp publish 63ce60488585bf3d
 * mirrors src/middle/orphan_heaps.cpp park be20030730ec17ec
 * mirrors src/middle/orphan_heaps.cpp scavenge 3eb6e92b1e9abc50
 * mirrors src/middle/orphan_heaps.cpp purge 29aee53777f39ba0
 * mirrors src/front/thread_heap.cpp make 2b4b6443fae6998d
 * mirrors src/front/thread_heap.cpp apply_options 00743b864552801d
 * mirrors src/front/thread_heap.cpp purge f98470c3e5c9b501
 * mirrors src/front/thread_heap.cpp release_remote ac16ab92034a22b1
 * mirrors src/front/thread_heap.cpp release_remote_now a6f2a40fec74bfad
 * mirrors src/front/thread_heap.cpp send_out 5a2480a830854273
 * mirrors src/front/thread_heap.cpp empty_out 6ae239f499989207
 * mirrors src/front/thread_heap.cpp hand_on 7b4187dc94797727
 * mirrors src/front/thread_heap.cpp adopt_or_make 1496b31f3f13cc00
 * mirrors src/front/thread_heap.cpp take_over 46e8ff834a677288
 * mirrors src/front/thread_heap.cpp HeapLease d1bcf22a25f3e221
 * mirrors src/front/thread_heap.cpp ~HeapLease f7f101ad60f50d4b
 * mirrors src/front/thread_heap.cpp detach_thread 6e40c86e8ffbcdd6
 * mirrors src/abi/lifecycle.cpp for_each_lower_lock ebf7c7f125cfa7db
 * mirrors src/abi/lifecycle.cpp before_fork 7503e05c23d45661
 * mirrors src/abi/lifecycle.cpp after_fork_in_parent f338cd9fd7d7331f
 * mirrors src/os/thread_exit.cpp reset d36490afd0bb5cf3
 * mirrors src/os/thread_exit.cpp hold 2bf3e0ba4fdbb3ad
 * mirrors src/os/thread_exit.cpp drop 62e5c51575ae863e
 * mirrors src/os/thread_exit.cpp take_from_dead 4bddbc661456ef3a
 *
 * run three_threads -DTHREADS=3
 * run trim -DTHREADS=2 -DTRIM
 * run fork -DTHREADS=2 -DFORK
 * run liveness -DTHREADS=2 -DLIVENESS
 *
 * mutant ADOPTED_UNLOCKED three_threads P1: adopt does not take the registry's lock
 * mutant DEATH_KEPT three_threads P1: a lifeline stays dead after the death was noticed
 * mutant TAKEN_ALIVE three_threads P1: a lifeline that is nobody's passes for a dead thread's
 * mutant STILL_CURRENT three_threads P1: a thread goes on with the heap that it handed over
 * mutant EMPTIED_LATE three_threads P2: a thread parks its heap before it empties it
 * mutant DEAD_UNEMPTIED three_threads P2: a dead thread's heap is parked as it is
 * mutant PENDING_KEPT three_threads P2: a heap is emptied of its magazines alone
 * mutant LEFT_UNMARKED three_threads P2: a heap keeps what its magazines hold and does not say so
 * mutant PURGED_ANYWAY trim P2: slots are purged whether the heap is parked or not
 * mutant PURGED_FULL trim P2: slots are purged, and what was left in the magazines stays
 * mutant NEVER_HELD three_threads P3: a thread does not take hold of its heap's lifeline
 * mutant SPOILT_LIFELINE three_threads P3: a dead thread's lifeline is not made consistent
 * mutant STATE_KEPT three_threads P2: an adopted heap still counts as parked
 * mutant PARKED_UNLOCKED three_threads P3: park does not take the registry's lock
 * mutant NOTICED_AGAIN trim P4: DEATH_KEPT, and nobody asks for the state before
 * mutant SCAVENGED_UNLOCKED trim P5: scavenging does not ask for the heap's lock
 * mutant REGISTRY_FIRST fork P5: fork gives the registry's lock back before those of the heaps
 * mutant SOUGHT_LATE three_threads P6: a slow path looks for the dead, under its heap's lock
 * mutant LIFELINE_KEPT three_threads P6: a thread parks its heap and holds on to the lifeline
 * mutant DROPPED_LATE three_threads P6: a thread parks its heap before it drops the lifeline
 * mutant WALK_RESTARTED liveness P7: each walk over the heaps starts at the newest
 * mutant FIRST_LOCK_SKIPPED trim P8: a new thread does not wait for who has its heap's lock
 * mutant LEFT_FOR_GOOD trim P8: an adopted heap's magazines still count as left
 * mutant LOOKED_BEFORE trim P2: whether something is left is asked before the heap's lock is taken
 *
 * Three mistakes one might plant are none, and the model holds with them. Nobody has to ask for a
 * heap's state before looking at its lifeline: a parked heap's is nobody's. A thread may drop the
 * lifeline after it has emptied its heap, since it does not die between the two. And DROPPED_LATE
 * breaks nothing but P6: the next thread, which waits without sleeping, waits for longer.
 *
 * What this does not show. Here every thread sees every write at once. The code may do with less:
 * state, stack and list are written under the registry's lock; a state that is read without it
 * only chooses what to scavenge, or is read under the heap's lock, which whoever adopted the heap
 * takes before anything is cached in its slots. What a dead thread wrote is seen because the kernel
 * marks its lifeline after that, and whoever parks the heap reads the mark. Of fork only the parent
 * is here: what the child does, it does alone. Nor is a fork that takes no locks, out of a signal
 * handler: the parent does nothing in it. In how many heaps there are leftovers is not counted:
 * whether a thread leaves them is open each time.
 */

#define ACTIVE 0
#define PARKED 1

/* A lifeline: nobody's, or a thread's by its number, or one of these. */
#define NOBODY 0
#define LOOKED_AT 20  /* by take_from_dead, which lets go of it at once */
#define DEAD 21
#define SPOILT 22     /* what a robust mutex becomes that is unlocked without being consistent */

#define MAGAZINES 1
#define PENDING 2

#define HEAPS 2
#define EXAMINED 1  /* heaps_examined_max */

/* Heaps are numbered by their tags, 1 and 2, and 0 is null; so `older` is one less. */
byte heap_lock[HEAPS + 1];  /* the thread that has it, or 0 */
byte life[HEAPS + 1];
bit state[HEAPS + 1];
byte cached[HEAPS + 1];
byte next_parked[HEAPS + 1];
bit left[HEAPS + 1];  /* whether what is in the magazines is leftovers */

byte registry;       /* the thread that has the registry's lock, or 0 */
byte heap_count;     /* also the newest heap */
byte parked;
byte next_examined;

/* What the model knows and the code does not. */
byte holder[HEAPS + 1];  /* the thread that works with the heap as its own, dead threads' apart */
bit used[HEAPS + 1];     /* whether that thread may be at the magazines, without any lock */

#define IN_STACK(heap) (parked == heap || (parked != 0 && next_parked[parked] == heap))

inline become_holder(heap) {
    assert(holder[heap] == 0);  /* P1 */
    assert(!IN_STACK(heap));  /* P4 */
    holder[heap] = me
}

#define HAS_HEAP_LOCK (heap_lock[1] == me || heap_lock[2] == me)

/* ---- locks ----------------------------------------------------------------------------------- */

inline lock_registry() {
    atomic {
        registry == 0 || registry == me || HAS_HEAP_LOCK ->
        assert(registry == 0 && !HAS_HEAP_LOCK);  /* P6 */
        registry = me
    }
}

inline lock_heap(heap) {
    atomic {
        heap_lock[heap] == 0 || HAS_HEAP_LOCK ->
        assert(!HAS_HEAP_LOCK);  /* P6 */
        heap_lock[heap] = me
    }
}

/* Where a mistake is planted, it was perhaps not locked. */
inline unlock_registry() {
    if
    :: registry == me -> registry = 0
    :: else
    fi
}

/* ---- thread_exit ----------------------------------------------------------------------------- */

/* A spoilt mutex is never had again, and the answer is not EBUSY. */
inline hold(heap) {
    atomic {
        life[heap] != LOOKED_AT ->
        assert(life[heap] == NOBODY || life[heap] >= DEAD);  /* P6 */
        if
        :: life[heap] == NOBODY || life[heap] == DEAD -> life[heap] = me
#ifdef SPOILT_LIFELINE
        :: life[heap] == SPOILT
#endif
        fi
    }
}

inline drop(heap) {
    life[heap] = NOBODY
}

inline take_from_dead(heap) {
    if
    :: atomic { life[heap] == NOBODY -> life[heap] = LOOKED_AT };
#ifdef TAKEN_ALIVE
       atomic { life[heap] = NOBODY; become_holder(heap); dead = true }
#else
       life[heap] = NOBODY
#endif
    :: atomic { life[heap] == DEAD -> life[heap] = LOOKED_AT; become_holder(heap); dead = true };
#if defined(DEATH_KEPT) || defined(NOTICED_AGAIN)
       life[heap] = DEAD
#elif defined(SPOILT_LIFELINE)
       life[heap] = SPOILT
#else
       life[heap] = NOBODY
#endif
    :: atomic { life[heap] != NOBODY && life[heap] != DEAD -> skip }
    fi
}

/* ---- what is done to a heap ------------------------------------------------------------------ */

/* Slabs come, go, or get blocks back. */
inline touch_slabs(heap) {
    assert(heap_lock[heap] == me)  /* P5 */
}

inline send_out(heap) {
#ifndef PENDING_KEPT
    cached[heap] = cached[heap] & ~PENDING
#else
    skip
#endif
}

inline empty_out(heap) {
    send_out(heap);
    lock_heap(heap);
    atomic {
        touch_slabs(heap);
        cached[heap] = cached[heap] & ~MAGAZINES;
        heap_lock[heap] = 0
    }
}

inline apply_options(heap) {
    lock_heap(heap);
    atomic {
        touch_slabs(heap);
        cached[heap] = cached[heap] & ~MAGAZINES;
        heap_lock[heap] = 0
    }
}

/* Other threads take what is left, under the heap's lock. */
inline take_leftovers(heap) {
    assert(!used[heap]);  /* P8 */
    touch_slabs(heap);
    left[heap] = 0;
    cached[heap] = cached[heap] & ~MAGAZINES
}

/* ---- orphan_heaps ---------------------------------------------------------------------------- */

/* Something is cached that nobody knows of. */
#define LITTERED(heap) \
    ((cached[heap] & PENDING) != 0 || ((cached[heap] & MAGAZINES) != 0 && !left[heap]))

inline push_parked(heap) {
    atomic {
        assert(!LITTERED(heap));  /* P2 */
        state[heap] = PARKED;
        next_parked[heap] = parked
    };
    atomic {
        assert(!IN_STACK(heap));  /* P4 */
        parked = heap;
        holder[heap] = 0
    }
}

inline park(heap) {
#ifndef PARKED_UNLOCKED
    lock_registry();
#endif
    push_parked(heap);
    unlock_registry()
}

inline park_heaps_of_the_dead() {
#ifdef WALK_RESTARTED
    next_examined = 0;
#endif
    do
    :: atomic {
           if
           :: next_examined == 0 -> next_examined = heap_count
           :: else
           fi;
           x = next_examined;
           if
           :: heaps_left == 0 || x == 0 -> heaps_left = 0; x = 0; break
           :: else -> heaps_left--; next_examined = x - 1
           fi
       };
       if
#ifndef NOTICED_AGAIN
       :: state[x] == PARKED
       :: else ->
#else
       :: true ->
#endif
          take_from_dead(x);
          if
          :: dead ->
             dead = false;
#ifndef DEAD_UNEMPTIED
             empty_out(x);
#endif
             push_parked(x)
          :: else
          fi
       fi
    od
}

inline adopt() {
#ifndef ADOPTED_UNLOCKED
    lock_registry();
#endif
    if
    :: atomic { parked != 0 -> h = parked }
    :: atomic { parked != 0 && next_parked[parked] != 0 -> h = next_parked[parked] }  /* wanted */
    :: atomic { parked == 0 -> heaps_left = EXAMINED };
       park_heaps_of_the_dead();
       h = parked
    fi;
    atomic {
        if
        :: h != 0 ->
           if
           :: h == parked -> parked = next_parked[h]
           :: else -> next_parked[parked] = next_parked[h]
           fi;
           become_holder(h);
#ifndef STATE_KEPT
           state[h] = ACTIVE
#endif
        :: else
        fi;
        unlock_registry()
    }
}

/* A heap is made with a lifeline that is nobody's. */
inline publish() {
    lock_registry();
    atomic {
        if
        :: heap_count < HEAPS -> heap_count++; h = heap_count; become_holder(h)
        :: else  /* no tag is left, or no memory */
        fi;
        unlock_registry()
    }
}

inline pick_heap() {
    if
    :: x = 1
    :: heap_count == 2 -> x = 2
    fi
}

/* One heap of the walk: the others are passed by, for want of notices or because they are active
   where only parked ones are wanted. */
inline scavenge() {
    pick_heap();
#ifdef SCAVENGED_UNLOCKED
    touch_slabs(x);
#else
    if
    :: atomic { heap_lock[x] == 0 -> heap_lock[x] = me };
       atomic {
           touch_slabs(x);
           if
           :: left[x] -> take_leftovers(x)
           :: else
           fi;
           heap_lock[x] = 0
       }
    :: atomic { heap_lock[x] != 0 -> skip }
    fi;
#endif
    x = 0
}

/* The first part of purge. */
inline park_the_dead() {
    lock_registry();
    heaps_left = heap_count;
    park_heaps_of_the_dead();
    unlock_registry()
}

/* The second part, for one heap of the walk. */
inline purge() {
    pick_heap();
#ifdef LOOKED_BEFORE
    found = left[x];
#endif
    lock_heap(x);
#ifndef LOOKED_BEFORE
    found = left[x];
#endif
    if
#ifndef PURGED_FULL
    :: atomic { found -> take_leftovers(x) }
#endif
    :: else
    fi;
    found = false;
    if
#ifdef PURGED_ANYWAY
    :: true ->
#else
    :: state[x] == PARKED ->
#endif
       assert(cached[x] == 0)  /* P2 */
    :: else
    fi;
    atomic { touch_slabs(x); heap_lock[x] = 0; x = 0 }
}

/* ---- a thread and its heap ------------------------------------------------------------------- */

inline hand_on(heap) {
    used[heap] = 0;
    send_out(heap);
    lock_heap(heap);
    atomic {
        touch_slabs(heap);
        if
#ifdef LEFT_UNMARKED
        :: true
#else
        :: left[heap] = 1
#endif
        :: cached[heap] = cached[heap] & ~MAGAZINES
        fi;
        heap_lock[heap] = 0
    };
    park(heap)
}

inline acquire_lease() {
    if
    :: own != 0 -> h = own
    :: else ->
       adopt();
       if
       :: h == 0 -> publish()
       :: else
       fi;
       if
       :: h == 0
       :: else ->
#ifndef FIRST_LOCK_SKIPPED
          lock_heap(h);
#endif
          atomic {
              found = left[h];
#ifndef LEFT_FOR_GOOD
              left[h] = 0;
#endif
              used[h] = 1;
#ifndef FIRST_LOCK_SKIPPED
              heap_lock[h] = 0
#endif
          }
       fi;
       if
       :: h == 0 || detached
       :: else ->
#ifndef NEVER_HELD
          hold(h);
#endif
          if
          :: found -> found = false
          :: else -> apply_options(h)
          fi;
          own = h
       fi
    fi
}

inline release_lease() {
    if
    :: h == 0 || h == own
    :: else ->
       hand_on(h)
    fi;
    found = false;
    h = 0
}

inline miss() {
    acquire_lease();
    if
    :: h == 0
    :: h != 0 ->  /* a refill or a flush */
       lock_heap(h);
       atomic { touch_slabs(h); cached[h] = cached[h] | MAGAZINES };
       if
       :: true
#if defined(TRIM) || defined(FORK)
       :: scavenge()
#endif
#ifdef SOUGHT_LATE
       :: lock_registry(); registry = 0
#endif
       fi;
       heap_lock[h] = 0
    :: h != 0 ->  /* a block of another heap is freed */
       cached[h] = cached[h] | PENDING
    fi;
    release_lease()
}

inline detach_thread() {
    atomic {
        h = own;
        detached = true;
#ifndef STILL_CURRENT
        own = 0
#endif
    };
#ifdef EMPTIED_LATE
    drop(h);
    park(h);
    empty_out(h);
#elif defined(DROPPED_LATE)
    hand_on(h);
    drop(h);
#elif defined(LIFELINE_KEPT)
    hand_on(h);
#else
    drop(h);
    hand_on(h);
#endif
    h = 0
}

/* Magazines belong to their thread, which takes no lock for a hit. */
inline hit() {
    atomic {
        assert(holder[own] == me);  /* P1 */
        cached[own] = cached[own] | MAGAZINES
    }
}

/* The kernel marks what a thread holds when it ends. The next thread begins without a heap. */
inline let_go(heap) {
    if
    :: life[heap] == me -> life[heap] = DEAD
    :: else
    fi;
    if
    :: holder[heap] == me -> holder[heap] = 0; used[heap] = 0
    :: else
    fi
}

inline die() {
    atomic { let_go(1); let_go(2); own = 0; detached = false }
}

/* ---- who does all this ----------------------------------------------------------------------- */

proctype thread(byte me) {
    byte own, h, x, heaps_left;
    bool detached, dead, found;
    do
#ifdef LIVENESS
    :: miss(); die()
#else
    :: miss()
    :: own != 0 -> hit()
    :: own != 0 && me != 3 -> detach_thread()  /* the third thread vanishes each time */
    :: own != 0 || detached -> die()
#endif
    od
}

proctype trimming_thread(byte me) {
    byte x, heaps_left;
    bool dead, found;
    do
    :: park_the_dead()
    :: heap_count != 0 -> purge()
    od
}

/* fork takes all locks, those of several heaps too; while it has the registry's, none is made. */
proctype forking_thread(byte me) {
    byte x;
    do
    :: atomic { registry == 0 -> registry = me };
       x = heap_count;
       do
       :: x == 0 -> break
       :: else -> atomic { heap_lock[x] == 0 -> heap_lock[x] = me; x-- }
       od;
#ifdef REGISTRY_FIRST
       registry = 0;
#endif
       x = heap_count;
       do
       :: x == 0 -> break
       :: else -> atomic { heap_lock[x] = 0; x-- }
       od;
#ifndef REGISTRY_FIRST
       registry = 0
#endif
    od
}

#define LOST(heap) \
    (heap <= heap_count && holder[heap] == 0 && !IN_STACK(heap) && \
     !(state[heap] == ACTIVE && life[heap] == DEAD))

proctype onlooker() {
    if
    :: atomic { state[1] == PARKED && LITTERED(1) -> assert(false) }  /* P2 */
    :: atomic { state[2] == PARKED && LITTERED(2) -> assert(false) }  /* P2 */
    :: atomic { LOST(1) || LOST(2) -> assert(false) }  /* P3 */
    fi
}

init {
    atomic {
        run thread(1);
        run thread(2);
#if THREADS > 2
        run thread(3);
#endif
#ifdef TRIM
        run trimming_thread(4);
#endif
#ifdef FORK
        run forking_thread(5);
#endif
        run onlooker()
    }
}

#ifdef LIVENESS
/* Of the older heap, which a walk does not begin with. */
#define VANISHED(heap) (state[heap] == ACTIVE && life[heap] == DEAD)
ltl P7 { [] (VANISHED(1) -> <> !VANISHED(1)) }
#endif
