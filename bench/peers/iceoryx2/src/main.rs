// SPDX-License-Identifier: Apache-2.0

//! Measures iceoryx2 between two processes: publish/subscribe of byte slices, loaned, written once and
//! read in place. Its subscriber polls; waiting for an event is another of its services and not used here.
//!
//! By default iceoryx2 overwrites samples that a slow subscriber has not taken. Here it may not: safe
//! overflow is off, the publisher waits for room, and the numbers in the messages are checked.

mod measure;

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use iceoryx2::config::Config;
use iceoryx2::node::{Node, NodeBuilder};
use iceoryx2::port::backpressure_strategy::BackpressureStrategy;
use iceoryx2::port::publisher::Publisher;
use iceoryx2::port::subscriber::Subscriber;
use iceoryx2::prelude::{FileName, Path, SemanticString, ServiceName, SignalHandlingMode, ipc};
use iceoryx2::sample::Sample;
use measure::{Histogram, Meter, Options, Second, die};

const QUEUE: usize = 1024; // messages under way; 16 MiB of 16 KiB ones

type Out = Publisher<ipc::Service, [u8], ()>;
type In = Subscriber<ipc::Service, [u8], ()>;

fn must<T, E: std::fmt::Debug>(verb: &str, result: Result<T, E>) -> T {
    result.unwrap_or_else(|e| die(&format!("{verb}: {e:?}")))
}

fn main() {
    let o = Options::parse();
    o.bound();
    match o.prefix.clone() {
        None => first(&o),
        Some(prefix) => second(&o, &prefix),
    }
}

/// Measures, and removes what both processes may have left.
fn first(o: &Options) {
    let since = Instant::now();
    let prefix = format!("skybus-bench-{}-", std::process::id());
    let mut h = Histogram::new();
    let rate = {
        let node = node(o, &prefix);
        let input = subscriber(&node, "back");
        let mut other = Second::start(&prefix);
        o.pin_thread(0);
        check(receive(&input).payload(), 0);
        let rate = if o.latency { ask(&node, &input, &mut other, o, &mut h) } else { consume(&input, &mut other, o) };
        other.ask_to_end();
        while !other.ended() {
            while must("receive", input.receive()).is_some() {}
        }
        rate
    };
    clean(&prefix);
    measure::print(o, rate, &h, since);
}

/// What the first process says: a byte to go, the end of the pipe to stop.
#[derive(Default)]
struct Orders {
    go: AtomicBool,
    stop: AtomicBool,
}

fn listen() -> Arc<Orders> {
    let orders = Arc::new(Orders::default());
    let told = orders.clone();
    std::thread::spawn(move || {
        if matches!(std::io::stdin().read(&mut [0]), Ok(1)) {
            told.go.store(true, Ordering::Relaxed);
            let _ = std::io::stdin().read(&mut [0]); // returns when the parent is done, or dead
        }
        told.stop.store(true, Ordering::Relaxed);
    });
    orders
}

fn second(o: &Options, prefix: &str) {
    let orders = listen();
    let node = node(o, prefix);
    o.pin_thread(1);
    let input = subscriber(&node, "there");
    let out = publisher(&node, "back", o);
    send(&out, &vec![0u8; o.size]); // a greeting: both ends know each other once it is received
    while !orders.go.load(Ordering::Relaxed) && !orders.stop.load(Ordering::Relaxed) {
        std::thread::yield_now();
    }
    if o.latency { answer(&out, &input, &orders) } else { produce(&out, o, &orders) }
}

/// A node whose files are all in o.dir or start with prefix, so that several runs never meet.
fn node(o: &Options, prefix: &str) -> Node<ipc::Service> {
    let mut config = Config::default();
    let root = format!("{}/{}iceoryx2", o.dir, prefix);
    config.global.set_root_path(&must("root path", Path::new(root.as_bytes())));
    config.global.prefix = must("prefix", FileName::new(prefix.as_bytes()));
    let builder = NodeBuilder::new().config(&config).signal_handling_mode(SignalHandlingMode::Disabled);
    must("create the node", builder.create::<ipc::Service>())
}

macro_rules! service {
    ($node:expr, $name:expr) => {{
        let name: ServiceName = must("name", $name.try_into());
        let builder = $node
            .service_builder(&name)
            .publish_subscribe::<[u8]>()
            .enable_safe_overflow(false)
            .history_size(0)
            .subscriber_max_buffer_size(QUEUE)
            .max_publishers(1)
            .max_subscribers(1);
        must("open the service", builder.open_or_create())
    }};
}

fn subscriber(node: &Node<ipc::Service>, name: &str) -> In {
    must("subscribe", service!(node, name).subscriber_builder().buffer_size(QUEUE).create())
}

fn publisher(node: &Node<ipc::Service>, name: &str, o: &Options) -> Out {
    let service = service!(node, name);
    let builder = service
        .publisher_builder()
        .initial_max_slice_len(o.size)
        .backpressure_strategy(BackpressureStrategy::RetryUntilDelivered);
    must("publish", builder.create())
}

/// Loans a sample, writes the message into it and sends it.
fn send(out: &Out, message: &[u8]) {
    let sample = must("loan", out.loan_slice_uninit(message.len()));
    must("send", sample.write_from_slice(message).send());
}

/// Polls until a message is there.
fn receive(input: &In) -> Sample<ipc::Service, [u8], ()> {
    loop {
        if let Some(sample) = must("receive", input.receive()) {
            return sample;
        }
        std::hint::spin_loop();
    }
}

fn stamp(message: &mut [u8], n: u64) {
    message[..8].copy_from_slice(&n.to_le_bytes());
}

fn check(payload: &[u8], n: u64) {
    if payload[..8] != n.to_le_bytes() {
        let got = u64::from_le_bytes(payload[..8].try_into().unwrap_or_default());
        die(&format!("message {got} arrived where {n} was due"));
    }
}

fn produce(out: &Out, o: &Options, orders: &Orders) {
    let mut message = vec![0u8; o.size];
    for n in 1.. {
        stamp(&mut message, n);
        send(out, &message);
        if n & 63 == 0 && orders.stop.load(Ordering::Relaxed) {
            return;
        }
    }
}

fn consume(input: &In, other: &mut Second, o: &Options) -> f64 {
    other.go();
    let mut meter = Meter::new(o);
    for n in 1.. {
        check(receive(input).payload(), n);
        if !meter.add() {
            break;
        }
    }
    meter.per_second()
}

fn answer(out: &Out, input: &In, orders: &Orders) {
    while !orders.stop.load(Ordering::Relaxed) {
        if let Some(sample) = must("receive", input.receive()) {
            send(out, sample.payload());
        }
    }
}

fn ask(node: &Node<ipc::Service>, input: &In, other: &mut Second, o: &Options, h: &mut Histogram) -> f64 {
    let out = publisher(node, "there", o);
    other.go();
    let mut message = vec![0u8; o.size];
    measure::ping_pong(o, h, |n| {
        stamp(&mut message, n);
        send(&out, &message);
        check(receive(input).payload(), n);
    })
}

/// Removes files in the directories of shared memory and of this run that carry our prefix.
fn clean(prefix: &str) {
    let Ok(entries) = std::fs::read_dir("/dev/shm") else { return };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            let _ = std::fs::remove_file(entry.path()).or_else(|_| std::fs::remove_dir_all(entry.path()));
        }
    }
}
