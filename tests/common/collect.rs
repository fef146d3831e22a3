//! What servers tell the `tracing` and `metrics` crates, collected for the whole process and told apart by the servers'
//! names.

#![allow(dead_code, unreachable_pub, reason = "each test target uses what it needs")]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::Once;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use metrics::Counter;
use metrics::Gauge;
use metrics::Histogram;
use metrics::HistogramFn;
use metrics::Key;
use metrics::KeyName;
use metrics::Metadata as MetricMetadata;
use metrics::SharedString;
use metrics::Unit;
use tracing::Event;
use tracing::Level;
use tracing::Metadata;
use tracing::field::Field;
use tracing::field::Visit;
use tracing::span::Attributes;
use tracing::span::Id;
use tracing::span::Record;

/// From here on everything is collected.
pub fn collect() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing::subscriber::set_global_default(Collector).expect("the only subscriber");
        metrics::set_global_recorder(Registry).expect("the only recorder");
    });
}

/// Names and values.
#[derive(Clone, Debug, Default)]
pub struct Fields(pub BTreeMap<&'static str, String>);

impl Fields {
    #[track_caller]
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).unwrap_or_else(|| panic!("no field {name}: {self:?}"))
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }
}

/// An event.
#[derive(Clone, Debug)]
pub struct Said {
    pub level: Level,
    pub fields: Fields,
}

impl Said {
    pub fn message(&self) -> &str {
        self.fields.get("message")
    }
}

/// A span, with what was said inside.
#[derive(Clone, Debug)]
pub struct Seen {
    pub name: &'static str,
    pub fields: Fields,
    pub said: Vec<Said>,
    references: usize,
}

impl Seen {
    pub fn is_closed(&self) -> bool {
        self.references == 0
    }

    pub fn messages(&self) -> Vec<&str> {
        self.said.iter().map(Said::message).collect()
    }
}

#[derive(Debug, Default)]
struct Collected {
    spans: Vec<Seen>,
    /// Outside of all spans.
    said: Vec<Said>,
}

fn collected() -> MutexGuard<'static, Collected> {
    static COLLECTED: OnceLock<Mutex<Collected>> = OnceLock::new();
    COLLECTED.get_or_init(Mutex::default).lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// The spans of the server, in the order in which they began.
pub fn spans_of(server: &str) -> Vec<Seen> {
    let of_server = |span: &&Seen| span.fields.0.get("server").is_some_and(|name| name == server);
    collected().spans.iter().filter(of_server).cloned().collect()
}

/// What was said of the server outside of its spans.
pub fn said_of(server: &str) -> Vec<Said> {
    let of_server = |said: &&Said| said.fields.0.get("server").is_some_and(|name| name == server);
    collected().said.iter().filter(of_server).cloned().collect()
}

thread_local! {
    static ENTERED: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

struct Collector;

fn place(id: &Id) -> usize {
    id.into_u64() as usize - 1
}

impl tracing::Subscriber for Collector {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let mut collected = collected();
        let name = attributes.metadata().name();
        collected.spans.push(Seen { name, fields, said: Vec::new(), references: 1 });
        Id::from_u64(collected.spans.len() as u64)
    }

    fn record(&self, id: &Id, values: &Record<'_>) {
        values.record(&mut collected().spans[place(id)].fields);
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let said = Said { level: *event.metadata().level(), fields };
        let entered = ENTERED.with_borrow(|entered| entered.last().copied());
        let parent = event.parent().map(place).or_else(|| entered.filter(|_| event.is_contextual()));
        let mut collected = collected();
        match parent {
            Some(parent) => collected.spans[parent].said.push(said),
            None => collected.said.push(said),
        }
    }

    fn enter(&self, id: &Id) {
        ENTERED.with_borrow_mut(|entered| entered.push(place(id)));
    }

    fn exit(&self, id: &Id) {
        assert_eq!(ENTERED.with_borrow_mut(Vec::pop), Some(place(id)), "spans nest");
    }

    fn clone_span(&self, id: &Id) -> Id {
        collected().spans[place(id)].references += 1;
        id.clone()
    }

    fn try_close(&self, id: Id) -> bool {
        let mut collected = collected();
        let span = &mut collected.spans[place(&id)];
        span.references -= 1;
        span.references == 0
    }
}

#[derive(Debug, Default)]
struct Samples(Mutex<Vec<f64>>);

impl HistogramFn for Samples {
    fn record(&self, value: f64) {
        self.0.lock().unwrap().push(value);
    }
}

#[derive(Clone, Debug)]
enum Metric {
    Counter(Arc<AtomicU64>),
    Gauge(Arc<AtomicU64>),
    Histogram(Arc<Samples>),
}

fn registered() -> MutexGuard<'static, BTreeMap<(String, String), Metric>> {
    static METRICS: OnceLock<Mutex<BTreeMap<(String, String), Metric>>> = OnceLock::new();
    METRICS.get_or_init(Mutex::default).lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// The metrics of the server that are not zero, `name` or `name{label=value}`; of a histogram, how many samples it has.
pub fn metrics_of(server: &str) -> BTreeMap<String, f64> {
    let of_server = registered().clone().into_iter().filter(|((name, _), _)| name == server);
    let values = of_server.map(|((_, name), metric)| match metric {
        Metric::Counter(value) => (name, value.load(Ordering::SeqCst) as f64),
        Metric::Gauge(value) => (name, f64::from_bits(value.load(Ordering::SeqCst))),
        Metric::Histogram(samples) => (name, samples.0.lock().unwrap().len() as f64),
    });
    values.filter(|(_, value)| *value != 0.0).collect()
}

struct Registry;

fn register(key: &Key, new: Metric) -> Metric {
    let server = key.labels().find(|label| label.key() == "server").map_or("", |label| label.value());
    let others = key.labels().filter(|label| label.key() != "server");
    let others: Vec<_> = others.map(|label| format!("{}={}", label.key(), label.value())).collect();
    let name =
        if others.is_empty() { key.name().to_owned() } else { format!("{}{{{}}}", key.name(), others.join(",")) };
    registered().entry((server.to_owned(), name)).or_insert(new).clone()
}

impl metrics::Recorder for Registry {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &MetricMetadata<'_>) -> Counter {
        let Metric::Counter(counter) = register(key, Metric::Counter(Arc::default())) else {
            panic!("{key} is a counter")
        };
        Counter::from_arc(counter)
    }

    fn register_gauge(&self, key: &Key, _: &MetricMetadata<'_>) -> Gauge {
        let Metric::Gauge(gauge) = register(key, Metric::Gauge(Arc::default())) else { panic!("{key} is a gauge") };
        Gauge::from_arc(gauge)
    }

    fn register_histogram(&self, key: &Key, _: &MetricMetadata<'_>) -> Histogram {
        let Metric::Histogram(samples) = register(key, Metric::Histogram(Arc::default())) else {
            panic!("{key} is a histogram")
        };
        Histogram::from_arc(samples)
    }
}
