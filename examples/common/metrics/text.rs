//! Figures in Prometheus' text format 0.0.4, under the names that the feature `metrics` gives them.

use std::fmt;
use std::fmt::Display;
use std::fmt::Write;

use socketserver::Stats;

use super::book::BOUNDS;
use super::book::ByWord;
use super::book::Figures;

/// The media type.
pub const KIND: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Everything about a server.
pub fn text(server: &str, figures: &Figures, stats: &Stats) -> String {
    let mut page = Page { text: String::new(), server };
    // Writing to a string does not fail.
    let _ = page.counters(figures);
    let _ = page.gauges(figures, stats);
    let _ = page.durations(figures);
    page.text
}

struct Page<'a> {
    text: String,
    server: &'a str,
}

impl Page<'_> {
    fn counters(&mut self, figures: &Figures) -> fmt::Result {
        let by_word: [(_, _, _, &ByWord); 4] = [
            ("ended_total", "Connections and messages that are over, by how they ended.", "end", &figures.ended),
            ("refused_total", "Connections that were turned away, by reason.", "reason", &figures.refused),
            ("errors_total", "Errors and panics of steps, by stage.", "stage", &figures.errors),
            ("restarts_total", "Hot restarts, by outcome.", "outcome", &figures.restarts),
        ];
        for (name, help, label, counts) in by_word {
            self.family(name, "counter", help)?;
            for (word, count) in counts {
                self.sample(name, &[(label, word)], count)?;
            }
        }
        let plain = [
            ("started_total", "Connections and messages accepted.", figures.started),
            ("received_bytes_total", "Bytes received, counted at the end of each connection.", figures.received),
            ("sent_bytes_total", "Bytes sent, counted at the end of each connection.", figures.sent),
            ("calls_total", "Calls of handle, counted at the end of each connection.", figures.calls),
            ("accept_episodes_total", "How often accepting began to fail.", figures.accept_episodes),
            ("accept_failures_total", "Failures of accept, counted when it works again.", figures.accept_failures),
            ("accept_lost_total", "Connections lost before they could be accepted.", figures.accept_lost),
            ("slow_total", "Handlers found in one call for long.", figures.slow),
            ("long_calls_total", "Calls that took long, on threads that serve many.", figures.long_calls),
            ("waits_ended_total", "Waits that were ended early, for the sake of others.", figures.waits_ended),
            ("drains_forced_total", "Drains whose deadline has passed.", figures.drains_forced),
        ];
        for (name, help, count) in plain {
            self.family(name, "counter", help)?;
            self.sample(name, &[], count)?;
        }
        Ok(())
    }

    fn gauges(&mut self, figures: &Figures, stats: &Stats) -> fmt::Result {
        let gauges = [
            ("open", "Connections and messages open now.", figures.open),
            ("workers", "Threads that run handlers.", figures.workers),
            ("threads", "Threads of the pool.", stats.threads as u64),
            ("threads_waiting", "Threads of the pool that wait for a peer.", stats.threads_waiting as u64),
            ("threads_spare", "Threads of the pool beside its workers.", stats.threads_spare as u64),
            ("listening", "1 while the server accepts.", figures.is_listening.into()),
            ("draining", "1 from the stop on.", figures.is_draining.into()),
        ];
        for (name, help, value) in gauges {
            self.family(name, "gauge", help)?;
            self.sample(name, &[], value)?;
        }
        Ok(())
    }

    fn durations(&mut self, figures: &Figures) -> fmt::Result {
        self.family("duration_seconds", "histogram", "Time from the accept to the end.")?;
        let bounds = BOUNDS.iter().map(ToString::to_string).chain(["+Inf".to_owned()]);
        let mut sum = 0;
        for (bound, count) in bounds.zip(figures.durations) {
            sum += count;
            self.sample("duration_seconds_bucket", &[("le", &bound)], sum)?;
        }
        self.sample("duration_seconds_sum", &[], figures.duration.as_secs_f64())?;
        self.sample("duration_seconds_count", &[], sum)
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) -> fmt::Result {
        writeln!(self.text, "# HELP socketserver_{name} {help}\n# TYPE socketserver_{name} {kind}")
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) -> fmt::Result {
        write!(self.text, "socketserver_{name}{{server=\"{}\"", Escaped(self.server))?;
        for (label, word) in labels {
            write!(self.text, ",{label}=\"{}\"", Escaped(word))?;
        }
        writeln!(self.text, "}} {value}")
    }
}

/// The value of a label, in which three characters have to be written otherwise.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for letter in self.0.chars() {
            match letter {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                letter => f.write_char(letter)?,
            }
        }
        Ok(())
    }
}
