/* SPDX-License-Identifier: MIT
 *
 * The protocol of waiting in Promela, for the model checker spin: wait.c, wakeup.c, gate.c,
 * ready.c, queue.c and rebuild.c, step by step and with their names. `make spin` tries every order
 * of the steps of several waiters, and of threads and signal handlers that wake, fire, signal, add
 * timers, close the queue and cancel its waiters. It proves:
 *
 *   - when nothing can move any more and a thread sleeps, then no wake, signal, fire, arrival, due
 *     timer, rebuild or close is left for it (invariant 5 of internal.h);
 *   - each fire is delivered once, and a watch is in one batch at a time (invariant 2);
 *   - each wake ends one wait, which returns nothing else;
 *   - no thread is in the kernel while the kernel queue is replaced or closed (invariant 6), and a
 *     thread that waits until it is replaced is released;
 *   - no descriptor is used after it was closed, and a closed queue has no thread sleeping in it.
 *
 * Assumptions about the kernel and the processor: a write to the wake-up is an edge, which ends the
 * call of any one thread that asks the kernel; a mutex excludes; the atomics are sequentially
 * consistent. Statements that hold the lock and use no atomic form one step, as no other thread can
 * see what is between them.
 *
 * All of it at once has too many states, so each run has some of the threads. These macros say how
 * many; tests/test_spin.py lists the runs.
 *
 *     WAITERS  threads that wait, again and again    CANCELS   waiters that are cancelled
 *     WAKES    calls to readyq_wake()                ARRIVALS  1: data for an EDGE descriptor
 *     SIGNALS  signals that are caught               GHOSTS    1: a ghost fires
 *     FIRES    calls to readyq_fire()                POLLABLE  1: readyq_fileno() was called
 *     TIMERS   timers that are added, up to 2        CLOSES    1: the queue may be closed
 *
 * A macro FORGET_x leaves one thing out. The proof must then fail, as tests/test_spin.py checks.
 */
#ifndef WAITERS
#define WAITERS 2
#endif
#ifndef WAKES
#define WAKES 0
#endif
#ifndef SIGNALS
#define SIGNALS 0
#endif
#ifndef FIRES
#define FIRES 0
#endif
#ifndef CLOSES
#define CLOSES 0
#endif
#ifndef TIMERS
#define TIMERS 0
#endif
#ifndef CANCELS
#define CANCELS 0
#endif
#ifndef ARRIVALS
#define ARRIVALS 0
#endif
#ifndef GHOSTS
#define GHOSTS 0
#endif
#ifndef POLLABLE
#define POLLABLE 0
#endif

#define NOBODY 255
#define FOREVER 3 /* deadlines are 1 and 2 */

/* struct readyq. Under the lock: */
bool lock, closed, ghost_found, rebuild_due;
byte in_kernel;
byte asleep; /* and with it the atomic `sleepers` */
byte timekeeper = NOBODY, covered = FOREVER;
byte gated; /* the threads that wait for the condition variable `kernel_left`, a bit for each */

/* Atomics: */
bool kicked, woken, signalled, shut;
byte kicking;

/* The watches: a trigger, and the other members of the ready list. */
#define IDLE 0
#define LISTED 1
#define PENDING 2 /* in a batch, not taken */
#define TAKEN 3
byte place = IDLE, holder = NOBODY; /* whose batch */
bool noted;                         /* fired while it was taken */
byte count;                         /* calls to fire to deliver */    
bool signal_listed, arrival_listed, timer_listed;
bool caught;    /* of the signal's watch */
bool near, far; /* timers in the heap, due at 1 and at 2 */
byte now;

/* The kernel; what the kernel queue reports to the next thread that asks: */
bool edge;    /* of the wake-up */
bool arrival; /* of the EDGE descriptor */
bool ghost;   /* of a ghost, level-triggered */

bool written;  /* the wake-up was written to; an eventfd is never read */
bool data;     /* the EDGE descriptor is readable */
bool both;     /* while the next kernel queue is filled: the wake-up is in that one, too */
bool new_edge; /* that one reports it */
byte inside;   /* threads in a system call on the kernel queue */
bool torn;     /* the descriptors are closed */

/* Bookkeeping for the proof: */
byte fired, delivered; /* calls to readyq_fire(), and how many of them were taken */
byte woke, ended;      /* wakes that did not merge with an earlier one, and waits that they ended */
byte cancels = CANCELS;

#define SLEEPERS (asleep + POLLABLE)

#define LOCK !lock -> lock = true
#define UNLOCK lock = false

#define NEXT_DUE (near -> 1 : (far -> 2 : FOREVER))
#define IS_ANY_LISTED (place == LISTED || signal_listed || arrival_listed || timer_listed)

/* ------------------------------------------------------------------ wakeup.c, gate.c */

inline write()
{
    atomic {
        assert(!torn);
        edge = true;
        written = true;
        new_edge = both
    }
}

inline kick()
{
    atomic { already = kicked; kicked = true }
    if
    :: already -> already = false
    :: else ->
#if CLOSES
        kicking++;
        if
#ifdef FORGET_SHUT
        :: true -> write()
#else
        :: !shut -> write()
#endif
        :: else
        fi;
        kicking--
#else
        write()
#endif
    fi
}

/* is_work_left(): each reason has its own FORGET. */
#ifdef FORGET_LISTED
#define LISTED_IS_LEFT false
#else
#define LISTED_IS_LEFT IS_ANY_LISTED
#endif
#ifdef FORGET_CLOSED
#define CLOSE_IS_LEFT false
#else
#define CLOSE_IS_LEFT closed
#endif
#ifdef FORGET_REBUILD_DUE
#define REBUILD_IS_LEFT false
#else
#define REBUILD_IS_LEFT rebuild_due
#endif
#ifdef FORGET_NEARER_DEADLINE
#define DEADLINE_IS_LEFT false
#else
#define DEADLINE_IS_LEFT (NEXT_DUE < covered)
#endif
#ifdef FORGET_WOKEN
#define WAKE_IS_LEFT false
#else
#define WAKE_IS_LEFT woken
#endif
#ifdef FORGET_SIGNALLED
#define SIGNAL_IS_LEFT false
#else
#define SIGNAL_IS_LEFT signalled
#endif
#define IS_WORK_LEFT                                                                               \
    (LISTED_IS_LEFT || CLOSE_IS_LEFT || REBUILD_IS_LEFT || DEADLINE_IS_LEFT || WAKE_IS_LEFT ||     \
     SIGNAL_IS_LEFT)

/* FORGET_CLEARING_FIRST clears `kicked` not before the state is read, but with the lock. */
#ifdef FORGET_CLEARING_FIRST
bool received;
#define CLEAR_LATE                                                                                 \
    if                                                                                             \
    :: received -> received = false; kicked = false                                                \
    :: else                                                                                        \
    fi;
#else
#define CLEAR_LATE
#endif

/* Releases the lock. */
inline leave()
{
    if
    :: asleep > 0 && IS_WORK_LEFT -> kick(); CLEAR_LATE UNLOCK
    :: atomic { !(asleep > 0 && IS_WORK_LEFT) -> CLEAR_LATE UNLOCK }
    fi
}

/* ------------------------------------------------------------------ ready.c, timers.c, ... */

inline give_back()
{
    if
    :: holder == me ->
        place = (place == PENDING || noted -> LISTED : IDLE);
        holder = NOBODY;
        noted = false
    :: else
    fi
}

inline fill_with_trigger()
{
    assert(holder == NOBODY);
    place = PENDING;
    holder = me
}

/* One of those that are listed (max 1), or all. */
inline fill_batch()
{
    filled = true;
    if
    :: place == LISTED -> fill_with_trigger()
    :: signal_listed -> signal_listed = false; caught = false
    :: arrival_listed -> arrival_listed = false; data = false
    :: timer_listed -> timer_listed = false
    :: !IS_ANY_LISTED -> filled = false
    fi;
    if
    :: true
    :: IS_ANY_LISTED ->
        if
        :: place == LISTED -> fill_with_trigger()
        :: else
        fi;
        caught = caught && !signal_listed;
        data = data && !arrival_listed;
        signal_listed = false;
        arrival_listed = false;
        timer_listed = false
    fi
}

inline next()
{
    if
    :: holder == me && place == PENDING ->
        place = TAKEN;
        delivered = delivered + count;
        count = 0
    :: else
    fi
}

inline collect_signals()
{
    if
    :: signalled ->
#ifdef FORGET_CLEARING_SIGNALLED_FIRST
        signal_listed = signal_listed || caught;
        signalled = false
#else
        signalled = false;
        signal_listed = signal_listed || caught
#endif
    :: else
    fi
}

inline expire()
{
    timer_listed = timer_listed || (near && now >= 1) || (far && now >= 2);
    near = near && now < 1;
    far = far && now < 2
}

/* ------------------------------------------------------------------ rebuild.c */

inline tear_down()
{
    shut = true;
#ifndef FORGET_KICKING
    (kicking == 0);
#endif
    assert(inside == 0);
    torn = true
}

inline fetch_edge(reported)
{
    if
    :: reported -> reported = false; kicked = false
    :: else
    fi
}

/* One step of two; the second one may fail, too, which differs in nothing. */
inline prepare_rebuild()
{
    atomic {
        if
        :: !both -> both = true; new_edge = written
        :: !both -> failed = true; ghost_found = false /* there is no descriptor for it */
        :: both -> rebuild_due = true
        fi
    }
}

/* A kick may come at any step. */
inline rebuild()
{
    assert(inside == 0 && !torn);
    fetch_edge(new_edge);
    fetch_edge(edge);
    atomic {
        edge = new_edge;
        both = false;
        new_edge = false;
        ghost = false;
        ghost_found = false
    }
}

/* ------------------------------------------------------------------ wait.c */

/* Kinds of calls. */
#define CONFIRM 0 /* a wait without a timeout, which looks first: confirms */
#define LOOK 1    /* readyq_look(), or a wait with timeout 0 */
#define TIMED 2   /* a wait whose time may be over at any moment */
#define ENDLESS 3

#ifdef FORGET_BROADCAST
#define BROADCAST skip
#else
#define BROADCAST gated = 0
#endif

inline prepare_if_due()
{
    if
    :: ghost_found && !rebuild_due && !closed -> prepare_rebuild()
    :: else
    fi
}

inline replace_if_possible()
{
    if
#ifdef FORGET_IN_KERNEL
    :: rebuild_due ->
#else
    :: rebuild_due && in_kernel == 0 ->
#endif
        if
        :: !closed -> rebuild()
        :: else
        fi;
        atomic { rebuild_due = false; BROADCAST }
    :: else
    fi
}

inline await_replacement()
{
    failed = false;
    prepare_if_due();
    do
#ifdef FORGET_GATE
    :: false ->
#else
    :: rebuild_due && in_kernel > 0 && !closed ->
#endif
        if
#ifndef FORGET_KICKING_OUT
        :: asleep > 0 -> kick()
#endif
        :: else
        fi;
        CLEAR_LATE
        atomic { gated = gated | (1 << me); UNLOCK }
        atomic { !(gated & (1 << me)) && !lock -> lock = true }
    :: else -> break
    od;
    replace_if_possible()
}

/* time_to_sleep() and begin_sleep() up to the last look, in one step. */
inline begin_sleep()
{
    sleeps = kind > LOOK && !failed && !IS_ANY_LISTED && (!ghost_found || rebuild_due);
    until = FOREVER;
    if
    :: sleeps && NEXT_DUE < covered ->
        timekeeper = me;
        covered = NEXT_DUE;
        until = covered;
        sleeps = now < until
    :: else
    fi;
    looks = !sleeps;
    if
    :: sleeps -> asleep++
    :: else
    fi
}

/* One event (max 1), or all. */
inline fetch_events()
{
    if
    :: edge -> edge = false; got_kick = true
    :: ghost -> got_ghost = true
    :: arrival -> arrival = false; got_arrival = true
    fi;
    if
    :: true
    :: edge || ghost || arrival ->
        got_kick = got_kick || edge;
        got_ghost = got_ghost || ghost;
        got_arrival = got_arrival || arrival;
        edge = false;
        arrival = false
    fi
}

inline system_call()
{
    if
    :: atomic { edge || ghost || arrival -> fetch_events(); inside-- }
    :: atomic { looks && !edge && !ghost && !arrival -> inside-- }
    :: atomic { !looks && kind == TIMED -> over = true; inside-- }
#if TIMERS
    :: atomic { !looks && until <= now -> inside-- }
#endif
#if CANCELS
    :: atomic {
            !looks && cancels > 0 ->
            cancels--;
            if
            :: edge || ghost || arrival -> fetch_events()
            :: true
            fi;
            inside--;
            goto cancelled
        }
#endif
    fi
}

/* The system call without the lock, and its events. If nothing is listed a look may follow. */
inline fetch_some()
{
    do
    :: true ->
        system_call();
        atomic {
            LOCK;
#ifdef FORGET_CLEARING_FIRST
            received = received || got_kick;
#elif !defined(FORGET_CLEARING)
            kicked = kicked && !got_kick;
#endif
            ghost_found = ghost_found || got_ghost;
            arrival_listed = arrival_listed || got_arrival;
            more = (got_kick || got_ghost || got_arrival) && !looks && !IS_ANY_LISTED;
            got_kick = false;
            got_ghost = false;
            got_arrival = false;
            if
            :: more -> more = false; looks = true; UNLOCK; assert(!torn); inside++
            :: true -> more = false; break
            fi
        }
    od
}

inline leave_kernel()
{
    atomic {
        in_kernel--;
        asleep = asleep - sleeps;
        sleeps = false;
        looks = false;
        until = 0;
        if
#ifndef FORGET_SUCCESSION
        :: timekeeper == me -> timekeeper = NOBODY; covered = FOREVER
#endif
        :: else
        fi
    }
#if CLOSES
    if
    :: in_kernel == 0 && closed && !torn -> tear_down()
    :: else
    fi;
#endif
#if GHOSTS
    if
#ifndef FORGET_LAST_ONE_OUT
    :: in_kernel == 0 && rebuild_due -> BROADCAST
#endif
    :: else
    fi
#endif
}

/* readyq_look() leaves the wake, and so does a wait with timeout 0 while another thread sleeps. */
inline take_wake()
{
    if
    :: woken && !filled && !(kind == LOOK && asleep > 0) ->
        woken = false;
        ended++;
        over = true
#ifdef FORGET_WAKE_BESIDE_EVENTS
    :: woken && filled -> woken = false
#endif
    :: !woken || filled || kind == LOOK
    fi
}

inline end_cancelled()
{
    atomic { LOCK }
    leave_kernel();
#ifndef FORGET_CLEARING_OF_CANCELLED
    kicked = false;
#endif
    atomic { /* readyq__rearm_all(); the proof does not need that the wake-up is reported again */
        got_kick = false;
        got_ghost = false;
        got_arrival = false;
        if
#ifndef FORGET_REARMING
        :: !torn -> arrival = data
        :: !torn -> arrival = data; edge = edge || written
#endif
        :: else
        fi
    }
    leave()
}

proctype waiter(byte me)
{
    bool already, filled, over, failed, sleeps, looks, more, got_kick, got_ghost, got_arrival;
    byte kind, until;

    do
    :: true ->
        atomic {
            LOCK;
            if
            :: closed -> UNLOCK; goto gone
            :: else
            fi;
            give_back();
            if
            :: kind = CONFIRM
            :: kind = LOOK
            :: kind = TIMED
            :: kind = ENDLESS
            fi
        }
        do
        :: true ->
#if GHOSTS
            await_replacement();
            if
            :: closed -> break
            :: else
            fi;
#endif
#if SIGNALS
            collect_signals();
#endif
            atomic { expire(); begin_sleep() }
#ifndef FORGET_LAST_LOOK
#if WAKES
            looks = looks || woken;
#endif
#if SIGNALS
            looks = looks || signalled;
#endif
#endif
            CLEAR_LATE
            atomic { in_kernel++; UNLOCK; assert(!torn); inside++ }
            fetch_some();
            leave_kernel();
#if GHOSTS
            if
            :: !failed -> prepare_if_due(); replace_if_possible()
            :: else
            fi;
#endif
#if CLOSES
            if
            :: closed -> break
            :: else
            fi;
#endif
#if SIGNALS
            collect_signals();
#endif
            atomic {
                expire();
                fill_batch();
                take_wake();
                if
                :: filled || failed || over || kind == LOOK -> break
                :: else
                fi;
                if
                :: kind == CONFIRM -> kind = ENDLESS
                :: else
                fi
            }
        od;
        atomic { filled = false; over = false; failed = false; kind = 0 }
        leave();
        if
        :: atomic { LOCK; next(); UNLOCK }
        :: true
        fi;
        if
        :: true
        :: true -> /* readyq_done(), for good */
            atomic { LOCK; give_back() }
            leave();
            break
        fi
    od;
    goto gone;
#if CANCELS
cancelled:
    end_cancelled();
#endif
gone:
    skip
}

/* ------------------------------------------------------------------ the others */

#if WAKES
proctype waker()
{
    bool already;
    byte i;

    for (i : 1 .. WAKES) {
        if
        :: closed -> break
        :: else
        fi;
#ifdef FORGET_PUBLISHING_FIRST
        if
        :: !woken && SLEEPERS > 0 -> kick()
        :: else
        fi;
        atomic { already = woken; woken = true; woke = woke + !already }
#else
        atomic { already = woken; woken = true; woke = woke + !already }
        if
#ifdef FORGET_DISABLING_CANCELLATION
        /* The caller is a signal handler in a thread that is cancelled in another queue. */
        :: !already && SLEEPERS > 0 -> kicked = true; kicking++; break
#endif
        :: !already && SLEEPERS > 0 -> kick()
        :: else -> already = false
        fi
#endif
    }
}
#endif

#if SIGNALS
/* handlers.c, visit_watches() */
proctype handler()
{
    bool already;
    byte i;

    for (i : 1 .. SIGNALS) {
        caught = true;
        signalled = true;
        if
        :: SLEEPERS > 0 -> kick()
        :: else
        fi
    }
}
#endif

#if FIRES
proctype firer()
{
    bool already;
    byte i;

    for (i : 1 .. FIRES) {
        atomic {
            LOCK;
            if
            :: closed -> UNLOCK; break
            :: else
            fi;
            fired++;
            count++;
            if
            :: place == IDLE -> place = LISTED
#ifndef FORGET_NOTING
            :: place == TAKEN -> noted = true
#endif
            :: else
            fi
        }
        leave()
    }
}
#endif

#if TIMERS
/* readyq_add_timer() twice, the second one nearer, and readyq_remove(). */
proctype timer()
{
    bool already;

    atomic {
        LOCK;
        if
        :: closed -> UNLOCK; goto end
        :: else -> far = true
        fi
    }
    leave();
#if TIMERS > 1
    atomic {
        LOCK;
        if
        :: closed -> UNLOCK; goto end
        :: else -> near = true
        fi
    }
    leave();
    if
    :: true -> goto end
    :: true
    fi;
    atomic {
        LOCK;
        if
        :: closed -> UNLOCK; goto end
        :: else -> near = false
        fi
    }
    leave();
#endif
end:
    skip
}

proctype clock()
{
    now = 1;
    now = 2
}
#endif

#if ARRIVALS
proctype sender()
{
    atomic { data = true; arrival = true }
}
#endif

#if GHOSTS
/* A ghost fires; perhaps it is read by another process later. */
proctype duplicate()
{
    ghost = true;
    if
    :: ghost = false
    :: true
    fi
}
#endif

#if CLOSES
/* Closes at any time, or never. */
proctype closer()
{
    bool already;

    if
    :: true ->
        atomic {
            LOCK;
            closed = true;
            place = IDLE;
            holder = NOBODY;
            noted = false;
            signal_listed = false;
            arrival_listed = false;
            timer_listed = false;
            near = false;
            far = false
        }
        if
        :: in_kernel == 0 -> tear_down()
        :: else
        fi;
        leave()
    :: true
    fi
}
#endif

init
{
    byte i;

    atomic {
        for (i : 1 .. WAITERS) {
            run waiter(i)
        }
#if WAKES
        run waker();
#endif
#if SIGNALS
        run handler();
#endif
#if FIRES
        run firer();
#endif
#if TIMERS
        run timer();
        run clock();
#endif
#if ARRIVALS
        run sender();
#endif
#if GHOSTS
        run duplicate();
#endif
#if CLOSES
        run closer()
#endif
    }
    timeout; /* nothing can move any more */
    assert(!lock && kicking == 0);
    assert(gated == 0);
    assert(in_kernel == asleep && inside == asleep);
    if
    :: closed -> assert(asleep == 0); assert(torn)
    :: else -> assert(delivered + count == fired)
    fi;
    assert(woke == ended + woken);
    if
    :: asleep > 0 ->
        assert(!woken);
        assert(!signalled && !caught);
        assert(count == 0 && place == IDLE);
        assert(!data);
        assert(!near && !far && !timer_listed);
        assert(!rebuild_due)
    :: else
    fi
}
