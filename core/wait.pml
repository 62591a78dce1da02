/* SPDX-License-Identifier: MIT
 *
 * Waiting, waking, firing and closing in Promela, for spin: the protocol of wait.c, wakeup.c, queue.c
 * and triggers.c, step by step and with their names. `make spin` tries every order in which the
 * steps of two waiters, a waker, one who fires and one who closes can fall, and proves:
 *
 *   - when nothing moves any more, no wake and no fire is left while somebody sleeps (none is lost);
 *   - each fire is delivered once, and who sleeps on the baton has somebody to pass it;
 *   - no descriptor is used after it was given up, and at the end all are;
 *   - a closed queue has nobody sleeping in it.
 *
 * What the kernel and the processor do is taken as given: a write to the wake-up is one edge, a baton
 * is a count of tokens, the mutex excludes, and the atomics are sequentially consistent, as in the
 * code. Leaving out the line named by a FORGET_ macro must make it fail; tests/test_spin.py sees to
 * it that it does.
 */
#define WAITERS 2
#ifndef TURNS
#define TURNS 1 /* waits of each waiter that may run out of time */
#endif
#ifndef WAKES
#define WAKES 1
#endif
#ifndef FIRES
#define FIRES 1
#endif

bool lock, leading, closed;
byte followers, inside;
bool edge;          /* the wake-up has one for the kernel queue to tell of */
byte tokens;        /* in the baton */
bool torn;          /* the descriptors are given up */
bool kicked, woken; /* atomics of the queue */
byte kicking;
bool shut;
byte hot, listed, delivered, fired; /* fires on the stack, in line, handed out, and made */
byte asleep;                        /* threads in a system call that may last */

#define LOCK atomic { !lock -> lock = true }
#define UNLOCK lock = false

inline attend(ended)
{
    if
    :: kicked ->
#ifndef FORGET_CLEARING_FIRST
        kicked = false;
#endif
        atomic { listed = listed + hot; hot = 0 }
#ifdef FORGET_CLEARING_FIRST
        kicked = false;
#endif
    :: else
    fi;
    atomic {
        if
        :: woken -> woken = false; ended = true
        :: else
        fi
    }
}

inline kick()
{
    atomic { already = kicked; kicked = true }
    if
    :: already
    :: else ->
        kicking++;
        if
        :: !shut ->
            assert(!torn);
#ifndef FORGET_KICK
            edge = true
#endif
        :: else
        fi;
        kicking--
    fi
}

/* The lock is held. */
inline tear_down()
{
    shut = true;
#ifndef FORGET_KICKING
    (kicking == 0);
#endif
    torn = true
}

/* The leader asks the kernel until there is something to hand out. */
inline lead()
{
    leading = true;
    do
    :: over -> break
    :: else ->
        attend(over);
        atomic {
            UNLOCK;
            assert(!torn);
            asleep++
        }
        if
        :: atomic { edge -> edge = false; asleep-- }
        :: atomic { over || listed > 0 -> asleep-- } /* a look, without sleeping */
        :: atomic { patience > 0 -> patience--; over = true; asleep-- } /* time is up, or a signal */
        fi;
        atomic {
            LOCK;
            assert(!torn)
        }
        if
        :: closed -> over = true
        :: else -> attend(over); over = over || listed > 0
        fi
    od;
    leading = false
}

inline follow()
{
    atomic {
        followers++;
        UNLOCK;
        asleep++
    }
    if
    :: atomic { tokens > 0 -> asleep-- }
    :: atomic { patience > 0 -> patience--; over = true; asleep-- }
    fi;
    atomic {
        assert(!torn);
        if
        :: tokens > 0 -> tokens--
        :: else /* another follower was faster */
        fi
    }
    atomic {
        LOCK;
        followers--
    }
}

inline hand_out()
{
    if
    :: !closed -> delivered = delivered + listed; listed = 0
    :: else
    fi
}

proctype waiter()
{
    bool over;
    byte patience = TURNS;

    do
    :: true ->
        atomic {
            LOCK;
            if
            :: closed -> UNLOCK; break
            :: else
            fi;
            inside++;
            over = false
        }
        do
        :: closed || over -> break
        :: else ->
            if
            :: !leading -> lead(); break
            :: else ->
                attend(over);
                over = over || listed > 0;
                if
                :: !over -> follow()
                :: else
                fi
            fi
        od;
        atomic {
            hand_out();
#ifndef FORGET_BATON
            if
            :: !leading && followers > 0 -> assert(!torn); tokens++
            :: else
            fi;
#endif
            inside--
        }
        if
        :: inside == 0 && closed -> tear_down()
        :: else
        fi;
        UNLOCK;
        if
        :: true
        :: true -> break /* goes home for good */
        fi
    od
}

proctype waker()
{
    bool already;
    byte i;

    for (i : 1 .. WAKES) {
        if
        :: shut -> break
        :: else
        fi;
        atomic { already = woken; woken = true }
        if
        :: !already -> kick()
        :: else
        fi
    }
}

/* The watch is on the stack once, however often it is fired; its count is what is collected. Closing
 * waits for fires under way (own.firing, triggers.c), so that firing ends with the queue. */
byte firing;

proctype firer()
{
    bool already;
    byte i;

    for (i : 1 .. FIRES) {
        atomic {
            if
            :: closed -> break
            :: else -> firing++
            fi
        }
        atomic { fired++; hot++ }
        kick();
        firing--
    }
}

/* Closes at any time, or never. */
proctype closer()
{
    bool already;

    if
    :: true ->
        LOCK;
        closed = true;
        (firing == 0);
        hot = 0;
        listed = 0;
        if
        :: inside > 0 ->
#ifndef FORGET_KICK_OF_CLOSE
            kick();
#endif
            tokens = tokens + followers
        :: else -> tear_down()
        fi;
        UNLOCK
    :: true
    fi
}

init
{
    byte i;

    atomic {
        for (i : 1 .. WAITERS) {
            run waiter()
        }
        run waker();
        run firer();
        run closer()
    }
    timeout; /* nothing moves any more */
    assert(!closed || (inside == 0 && torn));
    assert(closed || asleep == 0 || leading); /* a follower has a leader */
    assert(closed || asleep == 0 || (!woken && hot == 0 && listed == 0 && delivered == fired));
    assert(delivered <= fired)
}
