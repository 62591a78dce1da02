// SPDX-License-Identifier: MIT
//
// mio, which is edge-triggered: only what it can do of the scenarios. See program.rs.

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use programs::{Run, Scenario, IDLE};
use std::time::Duration;

fn add(poll: &Poll, fd: i32, key: usize) {
    poll.registry().register(&mut SourceFd(&fd), Token(key), Interest::READABLE).unwrap();
}

fn look(poll: &mut Poll, found: &mut Events) {
    poll.poll(found, Some(Duration::ZERO)).unwrap();
}

fn new() -> (Poll, Events) {
    (Poll::new().unwrap(), Events::with_capacity(256))
}

fn watched(n: usize) -> (Poll, Events) {
    let (mut poll, mut found) = new();
    for i in 0..n {
        add(&poll, IDLE + i as i32, i);
    }
    look(&mut poll, &mut found);
    (poll, found)
}

fn add_only(_: usize) -> Run {
    let ((mut poll, mut found), mut next) = (new(), 0);
    Box::new(move |turns| {
        for _ in 0..turns {
            add(&poll, IDLE + next as i32, next);
            next += 1;
        }
        look(&mut poll, &mut found);
        turns
    })
}

fn remove(n: usize) -> Run {
    let ((mut poll, mut found), mut next) = (watched(n), 0);
    Box::new(move |turns| {
        for _ in 0..turns {
            poll.registry().deregister(&mut SourceFd(&(IDLE + next))).unwrap();
            next += 1;
        }
        look(&mut poll, &mut found);
        turns
    })
}

fn add_remove(n: usize) -> Run {
    let (mut poll, mut found) = new();
    Box::new(move |turns| {
        for _ in 0..turns {
            for i in 0..n {
                add(&poll, IDLE + i as i32, i);
                poll.registry().deregister(&mut SourceFd(&(IDLE + i as i32))).unwrap();
            }
            look(&mut poll, &mut found);
        }
        n * turns
    })
}

fn modify(n: usize) -> Run {
    let (mut poll, mut found) = watched(n);
    let mut both = false;
    Box::new(move |turns| {
        for _ in 0..turns {
            both = !both;
            for i in 0..n {
                let more = Interest::READABLE.add(Interest::WRITABLE);
                let interest = if both { more } else { Interest::READABLE };
                let fd = IDLE + i as i32;
                poll.registry().reregister(&mut SourceFd(&fd), Token(i), interest).unwrap();
            }
            look(&mut poll, &mut found);
        }
        n * turns
    })
}

fn wake(_: usize) -> Run {
    let (mut poll, mut found) = new();
    let waker = Waker::new(poll.registry(), Token(0)).unwrap();
    Box::new(move |turns| {
        for _ in 0..turns {
            waker.wake().unwrap();
            poll.poll(&mut found, None).unwrap();
        }
        turns
    })
}

fn main() {
    programs::main(&[
        Scenario { name: "add", setup: add_only },
        Scenario { name: "remove", setup: remove },
        Scenario { name: "add_remove", setup: add_remove },
        Scenario { name: "modify", setup: modify },
        Scenario { name: "wake", setup: wake },
    ]);
}
