// SPDX-License-Identifier: MIT
//
// The command line of the programs in Rust, each of which measures one crate in the scenarios that
// bench/README.md describes:
//
//     PROGRAM list
//     PROGRAM count SCENARIO:N:TURNS...
//     PROGRAM time SCENARIO N TURNS

use std::io::BufRead;

// The descriptors that a program inherits: READY and up to 99 more are readable for ever, IDLE and
// those above it never are.
pub const READY: i32 = 100;
pub const IDLE: i32 = 200;
const MOST_READY: usize = 100;

// Does so many turns, and returns how many operations these were.
pub type Run = Box<dyn FnMut(usize) -> usize>;

// A scenario begins with a new queue.
pub struct Scenario {
    pub name: &'static str,
    pub setup: fn(usize) -> Run,
}

pub fn events(n: usize, turns: usize) -> usize {
    n.min(MOST_READY) * turns
}

// What a program would have for each descriptor.
pub struct Object {
    pub hits: u64,
}

pub fn objects(n: usize) -> Vec<Object> {
    (0..n).map(|_| Object { hits: 0 }).collect()
}

// callgrind and strace are told to notice getppid(), which nothing else calls here.
fn mark() {
    unsafe { libc::getppid() };
}

fn count(scenario: &Scenario, word: &str, n: usize, turns: usize) {
    let mut run = (scenario.setup)(n);
    run(turns);
    mark();
    let few = run(turns);
    mark();
    let many = run(3 * turns);
    mark();
    println!("{word} {few} {many}");
}

fn processor_time() -> i64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut now) };
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

// A round for each line of standard input.
fn measure(scenario: &Scenario, n: usize, turns: usize) {
    let mut run = (scenario.setup)(n);
    for _ in std::io::stdin().lock().lines() {
        let before = processor_time();
        let operations = run(turns);
        println!("{} {}", processor_time() - before, operations);
    }
}

fn find<'a>(scenarios: &'a [Scenario], name: &str) -> &'a Scenario {
    scenarios.iter().find(|one| one.name == name).expect("no such scenario")
}

pub fn main(scenarios: &[Scenario]) {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |word: &str| word.parse().expect("not a number");
    match words[0].as_str() {
        "list" => scenarios.iter().for_each(|one| println!("{}", one.name)),
        "time" => measure(find(scenarios, &words[1]), number(&words[2]), number(&words[3])),
        _ => {
            for word in &words[1..] {
                let parts: Vec<&str> = word.split(':').collect();
                count(find(scenarios, parts[0]), word, number(parts[1]), number(parts[2]));
            }
        }
    }
}
