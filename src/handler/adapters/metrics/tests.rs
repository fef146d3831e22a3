//! Each metric that is counted is described.

use std::collections::BTreeMap;
use std::io;
use std::sync::Mutex;
use std::time::Duration;

use ::metrics::Key;
use ::metrics::KeyName;
use ::metrics::Metadata;
use ::metrics::Recorder;

use super::*;
use crate::error::RequestError;
use crate::error::Stage;
use crate::event::Refusal;
use crate::event::RequestId;

/// Of each name what kind of metric it is.
type Kinds = Mutex<BTreeMap<String, &'static str>>;

#[derive(Default)]
struct Names {
    described: Kinds,
    counted: Kinds,
}

impl Names {
    fn describe(&self, key: &KeyName, kind: &'static str, text: &str) {
        assert!(text.ends_with('.'), "{key:?}: {text}");
        let before = self.described.lock().unwrap().insert(key.as_str().to_owned(), kind);
        assert_eq!(before, None, "{key:?} is described twice");
    }

    fn count(&self, key: &Key, kind: &'static str) {
        self.counted.lock().unwrap().insert(key.name().to_owned(), kind);
    }
}

impl Recorder for Names {
    fn describe_counter(&self, key: KeyName, _: Option<Unit>, text: SharedString) {
        self.describe(&key, "counter", &text);
    }

    fn describe_gauge(&self, key: KeyName, _: Option<Unit>, text: SharedString) {
        self.describe(&key, "gauge", &text);
    }

    fn describe_histogram(&self, key: KeyName, _: Option<Unit>, text: SharedString) {
        self.describe(&key, "histogram", &text);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        self.count(key, "counter");
        Counter::noop()
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        self.count(key, "gauge");
        Gauge::noop()
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        self.count(key, "histogram");
        Histogram::noop()
    }
}

/// The place of an event in [`observe_each`]. One that is new has none, and does not compile.
fn place(event: &Event<'_>) -> usize {
    match event {
        Event::AcceptFailing { .. } => 0,
        Event::AcceptLost { .. } => 1,
        Event::AcceptRecovered { .. } => 2,
        Event::ChildExit { .. } => 3,
        Event::DrainForce { .. } => 4,
        Event::DrainStart { .. } => 5,
        Event::Error { .. } => 6,
        Event::ListenStart { .. } => 7,
        Event::ListenStop { .. } => 8,
        Event::LongCall { .. } => 9,
        Event::Refused { .. } => 10,
        Event::RestartFailed { .. } => 11,
        Event::Restarted { .. } => 12,
        Event::Restarting { .. } => 13,
        Event::Slow { .. } => 14,
        Event::Start { .. } => 15,
        Event::Stop { .. } => 16,
        Event::WaitsEnded { .. } => 17,
        Event::WorkerStart { .. } => 18,
        Event::WorkerStop { .. } => 19,
    }
}

fn observe_each(observer: &impl Observer) {
    let (error, id, took) = (&io::Error::other("on purpose"), RequestId(1), Duration::from_secs(1));
    let (address, name) = ("here", "a thread");
    let failed = &RequestError::failed(Stage::Handle, io::Error::other("on purpose"));
    let events = [
        Event::AcceptFailing { error },
        Event::AcceptLost { error },
        Event::AcceptRecovered { failures: 1 },
        Event::ChildExit { pid: 1, code: None, signal: Some(9) },
        Event::DrainForce { active: 1 },
        Event::DrainStart { active: 1 },
        Event::Error { id: Some(id), error: failed },
        Event::ListenStart { address },
        Event::ListenStop { address },
        Event::LongCall { id, took },
        Event::Refused { reason: Refusal::AtLimit },
        Event::RestartFailed { error },
        Event::Restarted { pid: 1 },
        Event::Restarting { pid: 1 },
        Event::Slow { waiting: 1 },
        Event::Start { id, peer: None },
        Event::Stop { id, end: End::PeerClosed, duration: took, traffic: Traffic { received: 1, sent: 1 }, calls: 1 },
        Event::WaitsEnded { waiting: 1, ended: 1 },
        Event::WorkerStart { name },
        Event::WorkerStop { name },
    ];
    for (number, event) in events.iter().enumerate() {
        assert_eq!(place(event), number, "{event:?}");
        observer.observe(event);
    }
}

#[test]
fn what_is_counted_is_described() {
    let names = Names::default();
    ::metrics::with_local_recorder(&names, || observe_each(&Measurements::new("it")));
    let (described, counted) = (names.described.into_inner().unwrap(), names.counted.into_inner().unwrap());
    assert_eq!(described, counted);
}
