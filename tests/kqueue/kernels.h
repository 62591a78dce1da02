/* SPDX-License-Identifier: MIT
 *
 * The differences between kernels that the kqueue for tests plays: one member each, with the source
 * that is its reason; the values are in kernels.c. Versions that were read:
 *
 *     FreeBSD 13       sys/kern/{kern_event,sys_pipe,uipc_socket}.c, as in F-Stack
 *     NetBSD 10        kern_event.c 1.140, sys_pipe.c 1.160, tty.c of 10.99
 *     NetBSD 7.99      kern_event.c 1.88, sys_pipe.c 1.140, fifo_vnops.c 1.77, tty_pty.c 1.142
 *     NetBSD 2023      sys_pipe.c 1.165 of October 2023: a pipe is one structure. 1.182 is not so
 *     OpenBSD          kern_event.c 1.205, sys_pipe.c 1.149, uipc_socket.c 1.385, fifo_vnops.c 1.110,
 *                      tty.c and tty_pty.c with filt_ttyexcept
 *     macOS            xnu-11417: bsd/kern/{kern_event,sys_pipe,uipc_socket,kern_exit}.c
 *     DragonFly        kern_event.c of 2020 and later, sys_pipe.c with struct pipebuf
 */
#ifndef KQUEUE_KERNELS_H
#define KQUEUE_KERNELS_H

#include <stdbool.h>

struct kernel {
    const char *name;

    /* WRITE on a pipe whose other end is gone: the errno, or 0, accepted with EV_EOF.
     * FreeBSD pipe_kqfilter: EPIPE if the peer is not PIPE_ACTIVE. NetBSD pipe_kqfilter: EBADF.
     * OpenBSD pipe_kqfilter: attached to the own end. xnu pipe_kqfilter: its comment on EPIPE.
     * DragonFly pipe_kqfilter: EPIPE if PIPE_CLOSED. */
    int write_without_reader;

    /* A WRITE filter that exists when the reader goes. FreeBSD pipeclose: knlist_clear() makes it
     * EV_ONESHOT, so that the end is reported once. NetBSD pipeclose, OpenBSD pipe_destroy: it is
     * on the reader's list, which is notified before the state is changed: the end is not reported
     * unless the knote is queued already. The others report it as long as it lasts. */
    enum { STAYS, ONCE, UNSEEN } reader_goes;

    /* A filter of the direction that a pipe's end has not. NetBSD 2023 pipe_kqfilter: EINVAL. xnu:
     * EVFILTID_PIPE_N, which fires at the end. NetBSD pipe_create: the pipe that nobody writes to
     * has no buffer, so READ fires at the end, and WRITE never. FreeBSD (kern_pipe), OpenBSD
     * (dopipe), DragonFly: pipes have two directions, FREAD | FWRITE for both ends, which F_GETFL
     * shows as O_RDWR. So WRITE fires at once, and READ at the end. */
    enum { REFUSED, AT_END, BOTH_WAYS } wrong_end;

    /* A change of what exists, without EV_ADD, is taken as one with it: udata is replaced, and the
     * filter asked, so that EV_CLEAR may fire again. FreeBSD kqueue_register: from EV_FORCEONESHOT
     * on, whatever the flags. NetBSD 10 kqueue_register: likewise; 7.99: only with EV_ADD. OpenBSD
     * kqueue_register: only with EV_ADD or for EVFILT_USER. xnu kevent_register: f_touch. DragonFly
     * kqueue_register: "Modify an existing event". */
    bool change_is_add;

    /* EV_DISABLE keeps the filter from being asked in the same change. FreeBSD kqueue_register:
     * f_event is called only if KN_DISABLED is clear. xnu kevent_register: the knote is not queued
     * if it is disabled, and is taken off the queue. Elsewhere the knote is activated first: it is
     * disabled, and in the queue. */
    bool disabled_first;

    /* ... and takes a queued knote off the queue: xnu kevent_register, knote_dequeue(). Elsewhere
     * it stays until the next scan: the kqueue polls readable until then. */
    bool disable_dequeues;

    /* EV_DISPATCH has no effect beside EV_CLEAR: NetBSD kqueue_scan, "else if". */
    bool clear_hides_dispatch;

    /* EV_ONESHOT is reported although it is not ready any more. All kqueue_scan() but xnu's
     * knote_process(), which calls f_process. */
    bool oneshot_unasked;

    /* EVFILT_EXCEPT. FreeBSD, NetBSD: no such filter. OpenBSD filt_soexcept, DragonFly filt_soread:
     * only out-of-band data. xnu soexcept_filtops: filt_soread_common, the filter of READ, which
     * sets NOTE_OOB for out-of-band data. */
    enum { MISSING, ONLY_OOB, LIKE_READ } except;

    /* Another filter than READ on a kqueue, or EXCEPT on what has none. kqueue_kqfilter: FreeBSD,
     * NetBSD 10, OpenBSD, xnu EINVAL; NetBSD 7 1, which is EPERM; DragonFly EOPNOTSUPP. The same
     * errors, but for NetBSD 7's, are pipe_kqfilter's. */
    int no_such_filter;

    /* A kqueue inside itself is EINVAL: FreeBSD kqueue_register, xnu kqueue_kqfilter. The others
     * accept it: a circle of one. */
    bool refuses_itself;

    /* A circle of kqueues. NetBSD knote_activate() holds kq_lock while it calls selnotify(), so the
     * next event takes it twice. OpenBSD kqueue_wakeup() leaves that to a task. xnu refuses it by
     * its levels; elsewhere it is accepted. */
    bool circle_panics;

    /* The number of kqueues in a row. xnu MAX_NESTED_KQ; 0: no limit. */
    int levels;

    /* EVFILT_PROC of a process that has ended, or is about to. FreeBSD filt_procattach: pfind_any
     * and P_WEXIT. DragonFly filt_procattach: zpfind. OpenBSD filt_procattach: PS_EXITING is ESRCH,
     * NetBSD proc_find(), xnu proc_find(): no zombies. */
    bool zombies;

    /* EV_DELETE and changes of a closed number: ENOENT. xnu kevent_register looks for the knote
     * before the file; the others for the file, which is EBADF. */
    bool knote_before_file;

    /* A change with EV_RECEIPT and no room ends the list. FreeBSD kqueue_kevent, OpenBSD
     * sys_kevent, NetBSD kevent1: "if (nevents == 0)". xnu kevent_internal: only an error does.
     * DragonFly kern_kevent does not count: it writes past the list, and ends at EFAULT. */
    bool receipt_needs_room;

    /* The longest timeout in seconds; more is EINVAL. xnu timespec_is_valid(). 0: no limit. */
    long longest;

    /* A close wakes the threads that sleep in kevent. OpenBSD kqueue_terminate, KQ_DYING: EBADF.
     * xnu kqueue_drain: EBADF. NetBSD 10 kqueue_restart. FreeBSD and DragonFly: the sleeper has the
     * file (kern_kevent: fget(); sys_kevent: holdfp()), so kqueue_close() comes when it leaves. */
    bool close_wakes;

    /* A filter of the direction that a FIFO was not opened for. FreeBSD pipe_kqfilter: never fires
     * (pipe_nfiltops). OpenBSD fifo_kqfilter: EINVAL. Elsewhere the FIFO is asked, whoever asks:
     * NetBSD and DragonFly fifo_kqfilter, xnu vnode_readable_data_count(). */
    enum { FIFO_ASKED, FIFO_SILENT, FIFO_REFUSED } fifo_wrong_end;

    /* FIFOs (named). NetBSD filt_fifowrite looks at fi_readsock, which is shut for sending: always
     * EV_EOF. xnu filt_vnode_common: no EV_EOF. */
    bool fifo_write_eof, fifo_never_eof;

    /* Pseudo-terminals whose other side is gone. NetBSD filt_ttyread, filt_ptcread: only data
     * counts, no end; filt_ttywrite, filt_ptcwrite: never ready. OpenBSD: READ has an end, WRITE
     * has none ("only for poll(2) and select(2)"): filt_ttywrite sees the room of a queue that was
     * flushed, filt_ptcwrite none. Elsewhere both end. */
    enum { TTY_BOTH_END, TTY_READ_ENDS, TTY_NO_END } tty_end;

    /* A device whose driver has not CDEVSW_SELECT_KQUEUE is EINVAL without NOTE_LOWAT 1. Pseudo-
     * terminals have filters of their own. xnu filt_specattach. */
    bool device_needs_lowat;
};

/* The one that $KQUEUE_AS names: freebsd, netbsd, netbsd7, netbsd2023, openbsd, macos or
 * dragonfly. */
const struct kernel *kqueue_kernel(void);

#endif
