// SPDX-License-Identifier: MIT
//
// The crate polling, in its level-triggered mode: see program.rs.

use polling::{Event, Events, PollMode, Poller};
use programs::{events, objects, Run, Scenario, IDLE, READY};
use std::os::fd::BorrowedFd;
use std::time::Duration;

fn borrow(fd: i32) -> BorrowedFd<'static> {
    unsafe { BorrowedFd::borrow_raw(fd) }
}

fn add(poller: &Poller, fd: i32, key: usize, mode: PollMode) {
    unsafe { poller.add_with_mode(fd, Event::readable(key), mode).unwrap() };
}

fn look(poller: &Poller, found: &mut Events) {
    found.clear();
    poller.wait(found, Some(Duration::ZERO)).unwrap();
}

fn ready(n: usize) -> Run {
    let (poller, mut items, mut found) = (Poller::new().unwrap(), objects(n), Events::new());
    for i in 0..n {
        add(&poller, READY + i as i32, i, PollMode::Level);
    }
    Box::new(move |turns| {
        for _ in 0..turns {
            found.clear();
            poller.wait(&mut found, None).unwrap();
            for event in found.iter() {
                items[event.key].hits += 1;
            }
        }
        events(n, turns)
    })
}

fn rearm(n: usize) -> Run {
    let (poller, mut items, mut found) = (Poller::new().unwrap(), objects(n), Events::new());
    for i in 0..n {
        add(&poller, READY + i as i32, i, PollMode::Oneshot);
    }
    Box::new(move |turns| {
        for _ in 0..turns {
            found.clear();
            poller.wait(&mut found, None).unwrap();
            for event in found.iter() {
                items[event.key].hits += 1;
                let fd = borrow(READY + event.key as i32);
                poller.modify(fd, Event::readable(event.key)).unwrap();
            }
        }
        n * turns
    })
}

fn watched(n: usize) -> (Poller, Events) {
    let (poller, mut found) = (Poller::new().unwrap(), Events::new());
    for i in 0..n {
        add(&poller, IDLE + i as i32, i, PollMode::Level);
    }
    look(&poller, &mut found);
    (poller, found)
}

fn add_only(_: usize) -> Run {
    let (poller, mut found, mut next) = (Poller::new().unwrap(), Events::new(), 0);
    Box::new(move |turns| {
        for _ in 0..turns {
            add(&poller, IDLE + next as i32, next, PollMode::Level);
            next += 1;
        }
        look(&poller, &mut found);
        turns
    })
}

fn remove(n: usize) -> Run {
    let ((poller, mut found), mut next) = (watched(n), 0);
    Box::new(move |turns| {
        for _ in 0..turns {
            poller.delete(borrow(IDLE + next)).unwrap();
            next += 1;
        }
        look(&poller, &mut found);
        turns
    })
}

fn add_remove(n: usize) -> Run {
    let (poller, mut found) = (Poller::new().unwrap(), Events::new());
    Box::new(move |turns| {
        for _ in 0..turns {
            for i in 0..n {
                add(&poller, IDLE + i as i32, i, PollMode::Level);
                poller.delete(borrow(IDLE + i as i32)).unwrap();
            }
            look(&poller, &mut found);
        }
        n * turns
    })
}

fn modify(n: usize) -> Run {
    let (poller, mut found) = watched(n);
    let mut both = false;
    Box::new(move |turns| {
        for _ in 0..turns {
            both = !both;
            for i in 0..n {
                let event = if both { Event::all(i) } else { Event::readable(i) };
                let fd = borrow(IDLE + i as i32);
                poller.modify_with_mode(fd, event, PollMode::Level).unwrap();
            }
            look(&poller, &mut found);
        }
        n * turns
    })
}

fn wake(_: usize) -> Run {
    let (poller, mut found) = (Poller::new().unwrap(), Events::new());
    Box::new(move |turns| {
        for _ in 0..turns {
            poller.notify().unwrap();
            found.clear();
            poller.wait(&mut found, None).unwrap();
        }
        turns
    })
}

fn main() {
    programs::main(&[
        Scenario { name: "ready", setup: ready },
        Scenario { name: "rearm", setup: rearm },
        Scenario { name: "add", setup: add_only },
        Scenario { name: "remove", setup: remove },
        Scenario { name: "add_remove", setup: add_remove },
        Scenario { name: "modify", setup: modify },
        Scenario { name: "wake", setup: wake },
    ]);
}
