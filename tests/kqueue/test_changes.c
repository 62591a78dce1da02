/* SPDX-License-Identifier: MIT
 *
 * Changes: what is replaced, what fires again, EV_DISPATCH, EV_ONESHOT, errors, receipts, room.
 */
#include "cases.h"

static int p[2], kq;

static void begin(void)
{
    kq = kqueue();
    open_pair(p);
}

static void end(void)
{
    close_pair(p);
    close(kq);
}

static void a_change_without_add_replaces_udata(void)
{
    struct kevent event;

    begin();
    CHECK_IS(change_it(kq, p[0], EVFILT_READ, EV_ADD, 0, 1), 0);
    CHECK_IS(change_it(kq, p[0], EVFILT_READ, 0, 0, 2), 0);
    put(p[1]);
    CHECK_IS(take(kq, &event), 1);
    CHECK_IS((intptr_t)event.udata, per_kernel(2, 2, 1, 2, 1, 2, 2));
    CHECK_IS(change_it(kq, p[0], EVFILT_READ, EV_ADD, 0, 3), 0);
    CHECK_IS(take(kq, &event), 1);
    CHECK_IS((intptr_t)event.udata, 3);
    end();
}

static void a_change_without_add_fires_clear_again(void)
{
    begin();
    CHECK_IS(change(kq, p[0], EVFILT_READ, EV_ADD | EV_CLEAR), 0);
    put(p[1]);
    CHECK_IS(count_events(kq), 1);
    CHECK_IS(count_events(kq), 0);
    CHECK_IS(change(kq, p[0], EVFILT_READ, 0), 0);
    CHECK_IS(count_events(kq), per_kernel(1, 1, 0, 1, 0, 1, 1));
    CHECK_IS(change(kq, p[0], EVFILT_READ, EV_ADD), 0);
    CHECK_IS(count_events(kq), 1);
    end();
}

static void adding_again_keeps_clear(void)
{
    begin();
    CHECK_IS(change(kq, p[0], EVFILT_READ, EV_ADD | EV_CLEAR), 0);
    CHECK_IS(change(kq, p[0], EVFILT_READ, EV_ADD), 0);
    put(p[1]);
    CHECK_IS(count_events(kq), 1);
    CHECK_IS(count_events(kq), 0);
    end();
}

static void dispatch_disables_after_one_event(void)
{
    begin();
    CHECK_IS(change(kq, p[0], EVFILT_READ, EV_ADD | EV_DISPATCH), 0);
    put(p[1]);
    CHECK_IS(count_events(kq), 1);
    put(p[1]);
    CHECK_IS(count_events(kq), 0);
    CHECK_IS(change(kq, p[0], EVFILT_READ, EV_ENABLE), 0);
    CHECK_IS(count_events(kq), 1);
    CHECK_IS(count_events(kq), 0);
    end();
}

static void dispatch_beside_clear(void)
{
    begin();
    CHECK_IS(change(kq, p[0], EVFILT_READ, EV_ADD | EV_DISPATCH | EV_CLEAR), 0);
    put(p[1]);
    CHECK_IS(count_events(kq), 1);
    put(p[1]);
    CHECK_IS(count_events(kq), per_kernel(0, 1, 1, 1, 0, 0, 0));
    end();
}

static void enabling_reports_what_came_before(void)
{
    begin();
    CHECK_IS(change(kq, p[0], EVFILT_READ, EV_ADD | EV_DISABLE), 0);
    put(p[1]);
    CHECK_IS(count_events(kq), 0);
    CHECK_IS(change(kq, p[0], EVFILT_READ, EV_ENABLE), 0);
    CHECK_IS(count_events(kq), 1);
    end();
}

/* A disabled knote that is in the queue makes the kqueue poll readable until the next scan. */
static void a_knote_that_is_added_disabled_while_ready(void)
{
    begin();
    put(p[1]);
    CHECK_IS(change(kq, p[0], EVFILT_READ, EV_ADD | EV_DISABLE), 0);
    CHECK_IS(polls_readable(kq), per_kernel(0, 1, 1, 1, 1, 0, 1));
    CHECK_IS(count_events(kq), 0);
    CHECK_IS(polls_readable(kq), 0);
    end();
}

static void a_queued_knote_that_is_disabled(void)
{
    begin();
    put(p[1]);
    CHECK_IS(change(kq, p[0], EVFILT_READ, EV_ADD), 0);
    CHECK_IS(polls_readable(kq), 1);
    CHECK_IS(change(kq, p[0], EVFILT_READ, EV_DISABLE), 0);
    CHECK_IS(polls_readable(kq), per_kernel(1, 1, 1, 1, 1, 0, 1));
    CHECK_IS(count_events(kq), 0);
    CHECK_IS(polls_readable(kq), 0);
    end();
}

static void oneshot_is_removed_after_one_event(void)
{
    begin();
    CHECK_IS(change(kq, p[0], EVFILT_READ, EV_ADD | EV_ONESHOT), 0);
    put(p[1]);
    CHECK_IS(count_events(kq), 1);
    CHECK_IS(count_events(kq), 0);
    CHECK_IS(change(kq, p[0], EVFILT_READ, EV_DELETE), ENOENT);
    end();
}

static void oneshot_that_is_not_ready_any_more(void)
{
    begin();
    put(p[1]);
    CHECK_IS(change(kq, p[0], EVFILT_READ, EV_ADD | EV_ONESHOT), 0);
    get(p[0]);
    CHECK_IS(count_events(kq), per_kernel(1, 1, 1, 1, 1, 0, 1));
    end();
}

static void deleting_what_is_not_there(void)
{
    begin();
    CHECK_IS(change(kq, p[0], EVFILT_READ, EV_DELETE), ENOENT);
    CHECK_IS(change(kq, p[0], EVFILT_READ, EV_ENABLE), ENOENT);
    close(p[0]);
    CHECK_IS(change(kq, p[0], EVFILT_READ, EV_DELETE),
             per_kernel(EBADF, EBADF, EBADF, EBADF, EBADF, ENOENT, EBADF));
    CHECK_IS(change(kq, p[0], EVFILT_READ, EV_ADD), EBADF);
    close(p[1]);
    close(kq);
}

static void receipts_have_exactly_their_room(void)
{
    struct kevent list[3];
    const struct timespec none = {0, 0};

    begin();
    put(p[1]);
    list[0] = make_change(p[0], EVFILT_READ, EV_ADD | EV_RECEIPT, 0, 1);
    list[1] = make_change(p[1], EVFILT_WRITE, EV_ADD | EV_RECEIPT, 0, 2);
    list[2] = make_change(9999, EVFILT_READ, EV_ADD | EV_RECEIPT, 0, 3);
    CHECK_IS(kevent(kq, list, 3, list, 3, &none), 3);
    for (int i = 0; i < 3; i++) {
        CHECK_IS(list[i].flags & EV_ERROR, EV_ERROR);
        CHECK_IS(list[i].data, i == 2 ? EBADF : 0);
        CHECK_IS((intptr_t)list[i].udata, i + 1);
    }
    CHECK_IS(count_events(kq), 2);
    end();
}

static void receipts_without_room(void)
{
    struct kevent list[2];
    const struct timespec none = {0, 0};

    begin();
    list[0] = make_change(p[0], EVFILT_READ, EV_ADD | EV_RECEIPT, 0, 1);
    list[1] = make_change(p[1], EVFILT_WRITE, EV_ADD, 0, 2);
    if (this_kernel() == DRAGONFLY) /* kevent_copyout writes without looking at the room */
        return end();
    CHECK_IS(kevent(kq, list, 2, NULL, 0, &none), 0);
    CHECK_IS(count_events(kq), per_kernel(0, 0, 0, 0, 0, 1, 0));
    end();
}

static void an_error_takes_room_and_the_list_goes_on(void)
{
    struct kevent list[2], events[2];
    const struct timespec none = {0, 0};

    begin();
    list[0] = make_change(9999, EVFILT_READ, EV_ADD, 0, 1);
    list[1] = make_change(p[1], EVFILT_WRITE, EV_ADD, 0, 2);
    CHECK_IS(kevent(kq, list, 2, events, 2, &none), 1);
    CHECK_IS(events[0].flags & EV_ERROR, EV_ERROR);
    CHECK_IS(events[0].data, EBADF);
    CHECK_IS(count_events(kq), 1);
    end();
}

static void more_are_ready_than_there_is_room(void)
{
    int other[2];
    struct kevent first, second;

    begin();
    open_pair(other);
    put(p[1]);
    put(other[1]);
    CHECK_IS(change(kq, p[0], EVFILT_READ, EV_ADD), 0);
    CHECK_IS(change(kq, other[0], EVFILT_READ, EV_ADD), 0);
    CHECK_IS(take_some(kq, &first, 1, 0), 1);
    CHECK_IS(take_some(kq, &second, 1, 0), 1);
    CHECK_IS((int)(first.ident + second.ident), p[0] + other[0]);
    CHECK_IS(take_some(kq, &first, 1, 0), 1);
    close_pair(other);
    end();
}

static void without_room_it_does_not_sleep(void)
{
    begin();
    CHECK_IS(kevent(kq, NULL, 0, NULL, 0, NULL), 0);
    end();
}

static void timeouts_out_of_range(void)
{
    struct kevent event;
    const struct timespec negative = {-1, 0}, wrong = {0, 1000000000}, long_ = {0x80000000LL, 0};

    begin();
    put(p[1]);
    CHECK_IS(change(kq, p[0], EVFILT_READ, EV_ADD), 0);
    if (this_kernel() != DRAGONFLY) { /* it does not look */
        CHECK_IS(kevent(kq, NULL, 0, &event, 1, &negative) < 0 ? errno : 0, EINVAL);
        CHECK_IS(kevent(kq, NULL, 0, &event, 1, &wrong) < 0 ? errno : 0, EINVAL);
    }
    CHECK_IS(kevent(kq, NULL, 0, &event, 1, &long_) < 0 ? errno : 0,
             per_kernel(0, 0, 0, 0, 0, EINVAL, 0));
    end();
}

CASES(CASE(a_change_without_add_replaces_udata), CASE(a_change_without_add_fires_clear_again),
      CASE(adding_again_keeps_clear), CASE(dispatch_disables_after_one_event),
      CASE(dispatch_beside_clear), CASE(enabling_reports_what_came_before),
      CASE(a_knote_that_is_added_disabled_while_ready), CASE(a_queued_knote_that_is_disabled),
      CASE(oneshot_is_removed_after_one_event), CASE(oneshot_that_is_not_ready_any_more),
      CASE(deleting_what_is_not_there), CASE(receipts_have_exactly_their_room),
      CASE(receipts_without_room), CASE(an_error_takes_room_and_the_list_goes_on),
      CASE(more_are_ready_than_there_is_room), CASE(without_room_it_does_not_sleep),
      CASE(timeouts_out_of_range))
