// SPDX-License-Identifier: Apache-2.0

//! Options, meter, histogram and result line: the Rust half of peers/common/peer.hpp, with the same rules.

use std::process::{Child, ChildStdin, Command, Stdio, exit};
use std::time::{Duration, Instant};

/// The flags that every program of this module takes.
#[derive(Clone)]
pub struct Options {
    pub size: usize,
    pub latency: bool,
    pub duration: Duration,
    pub warmup: Duration,
    pub pin: [Option<usize>; 2],
    pub dir: String,
    /// What names this pair of processes; only the second one is given it.
    pub prefix: Option<String>,
}

pub fn die(message: &str) -> ! {
    eprintln!("{message}");
    exit(1)
}

impl Options {
    pub fn parse() -> Options {
        let mut o = Options {
            size: 64,
            latency: false,
            duration: Duration::from_secs(1),
            warmup: Duration::ZERO,
            pin: [None; 2],
            dir: "/dev/shm".into(),
            prefix: None,
        };
        let mut args = std::env::args().skip(1);
        while let Some(flag) = args.next() {
            let mut value = || args.next().unwrap_or_else(|| die(&format!("{flag} needs a value")));
            match flag.as_str() {
                "--size" => o.size = value().parse().unwrap_or(0),
                "--mode" => o.latency = value() == "latency",
                "--duration" => o.duration = duration(&value()),
                "--warmup" => o.warmup = duration(&value()),
                "--dir" => o.dir = value(),
                "--prefix" => o.prefix = Some(value()),
                "--wait" | "--batch" => drop(value()), // it polls, and publishes one by one
                "--claim" | "--json" => {}             // it knows no other way
                "--pin" => {
                    let cpus = value();
                    let (first, second) = cpus.split_once(',').unwrap_or_else(|| die("--pin wants two CPUs"));
                    o.pin = [first.parse().ok(), second.parse().ok()];
                }
                _ => die(&format!("unknown flag {flag}")),
            }
        }
        if o.size < 8 {
            die("--size must be at least 8");
        }
        if o.warmup.is_zero() {
            o.warmup = o.duration / 5;
        }
        o
    }

    /// Ties the calling thread to a CPU, if --pin was given.
    pub fn pin_thread(&self, process: usize) {
        let Some(cpu) = self.pin[process] else { return };
        // SAFETY: a zeroed cpu_set_t is an empty set, and the call reads it only.
        let code = unsafe {
            let mut set: libc::cpu_set_t = std::mem::zeroed();
            libc::CPU_SET(cpu, &mut set);
            libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set)
        };
        if code != 0 {
            die("cannot pin");
        }
    }

    /// Ends the process 20 s after it should have ended by itself.
    pub fn bound(&self) {
        let limit = self.duration + self.warmup + Duration::from_secs(20);
        std::thread::spawn(move || {
            std::thread::sleep(limit);
            die("still running 20 s past the end");
        });
    }
}

/// Reads what Go's flag package reads, as far as this module writes it: 2s, 500ms, 250us.
fn duration(text: &str) -> Duration {
    for (unit, scale) in [("ns", 1e-9), ("us", 1e-6), ("ms", 1e-3), ("s", 1.0)] {
        if let Some(value) = text.strip_suffix(unit).and_then(|n| n.parse::<f64>().ok()) {
            return Duration::from_secs_f64(value * scale);
        }
    }
    die(&format!("bad duration {text}"))
}

/// The second process: this program again. It ends when its standard input closes.
pub struct Second {
    child: Child,
    stdin: Option<ChildStdin>,
}

impl Second {
    pub fn start(prefix: &str) -> Second {
        let me = std::env::current_exe().unwrap_or_else(|e| die(&format!("find this program: {e}")));
        let mut child = Command::new(me)
            .args(std::env::args().skip(1))
            .args(["--prefix", prefix])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| die(&format!("start the second process: {e}")));
        let stdin = child.stdin.take();
        Second { child, stdin }
    }

    /// Lets it start: what it sends before both ends are connected may be dropped.
    pub fn go(&mut self) {
        use std::io::Write;
        let told = self.stdin.as_mut().map(|s| s.write_all(b"g").and_then(|()| s.flush()));
        if !matches!(told, Some(Ok(()))) {
            die("the second process has ended");
        }
    }

    /// Asks it to end; it needs the other side to go on receiving until `ended`.
    pub fn ask_to_end(&mut self) {
        self.stdin = None;
    }

    pub fn ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }
}

/// Counts messages at the receiver: it skips the warm-up and stops after the duration.
pub struct Meter {
    warmup: Duration,
    duration: Duration,
    count: u64,
    base: u64,
    first: Option<Instant>,
    started: Option<Instant>,
    took: Duration,
}

impl Meter {
    pub fn new(o: &Options) -> Meter {
        Meter { warmup: o.warmup, duration: o.duration, count: 0, base: 0, first: None, started: None, took: Duration::ZERO }
    }

    /// Counts one message and says whether to go on. The clock is read at every 256th.
    pub fn add(&mut self) -> bool {
        self.count += 1;
        self.count & 255 != 0 || self.look(Instant::now())
    }

    fn look(&mut self, t: Instant) -> bool {
        let first = *self.first.get_or_insert(t);
        let Some(started) = self.started else {
            if t - first >= self.warmup {
                self.started = Some(t);
                self.base = self.count;
            }
            return true;
        };
        self.took = t - started;
        self.took < self.duration
    }

    pub fn per_second(&self) -> f64 {
        (self.count - self.base) as f64 / self.took.as_secs_f64()
    }
}

const EXACT: usize = 1 << 14;

/// Exact to 1 ns below 16,384 ns; above that 128 buckets an octave, under 1 % wide.
pub struct Histogram {
    fine: Vec<u32>,
    coarse: Vec<u32>,
    total: u64,
    max: u64,
}

impl Histogram {
    pub fn new() -> Histogram {
        Histogram { fine: vec![0; EXACT], coarse: vec![0; 128 * 40], total: 0, max: 0 }
    }

    pub fn add(&mut self, ns: u64) {
        self.total += 1;
        self.max = self.max.max(ns);
        if ns < EXACT as u64 {
            self.fine[ns as usize] += 1;
            return;
        }
        let octave = 63 - ns.leading_zeros() as usize;
        let i = (octave - 14) * 128 + (ns >> (octave - 7) & 127) as usize;
        let last = self.coarse.len() - 1;
        self.coarse[i.min(last)] += 1;
    }

    fn quantile(&self, q: f64) -> u64 {
        let want = (self.total as f64 * q) as u64;
        let fine = self.fine.iter().enumerate().map(|(i, n)| (i as u64, *n));
        let coarse = self.coarse.iter().enumerate().map(|(i, n)| ((128 + i as u64 % 128) << (i / 128 + 7), *n));
        let mut seen = 0;
        for (ns, n) in fine.chain(coarse) {
            seen += u64::from(n);
            if seen > want {
                return ns;
            }
        }
        self.max
    }
}

/// Times round trips of ask until the duration is over; the first trip is before everything.
pub fn ping_pong(o: &Options, h: &mut Histogram, mut ask: impl FnMut(u64)) -> f64 {
    ask(0);
    let started = Instant::now() + o.warmup;
    let stop = started + o.duration;
    let mut trips = 0u64;
    for n in 1.. {
        let t0 = Instant::now();
        ask(n);
        let t1 = Instant::now();
        if t0 >= started {
            h.add((t1 - t0).as_nanos() as u64);
            trips += 1;
        }
        if t1 >= stop {
            return trips as f64 / (t1 - started).as_secs_f64();
        }
    }
    unreachable!()
}

fn cpu_seconds() -> f64 {
    [libc::RUSAGE_SELF, libc::RUSAGE_CHILDREN]
        .into_iter()
        .map(|who| {
            // SAFETY: rusage is plain numbers and the call fills it.
            let u = unsafe {
                let mut u: libc::rusage = std::mem::zeroed();
                libc::getrusage(who, &mut u);
                u
            };
            let seconds = |t: libc::timeval| t.tv_sec as f64 + t.tv_usec as f64 / 1e6;
            seconds(u.ru_utime) + seconds(u.ru_stime)
        })
        .sum()
}

/// Writes the result line. The second process must have ended, or its CPU time is missing.
pub fn print(o: &Options, per_second: f64, h: &Histogram, since: Instant) {
    println!(
        "{{\"name\":\"iceoryx2\",\"size\":{},\"mode\":\"{}\",\"wait\":\"spin\",\"msgs_per_s\":{:.1},\"bytes_per_s\":{:.1},\
         \"p50_ns\":{},\"p99_ns\":{},\"p999_ns\":{},\"max_ns\":{},\"cpu\":{:.2}}}",
        o.size,
        if o.latency { "latency" } else { "throughput" },
        per_second,
        per_second * o.size as f64,
        h.quantile(0.5),
        h.quantile(0.99),
        h.quantile(0.999),
        h.max,
        cpu_seconds() / since.elapsed().as_secs_f64(),
    );
}
