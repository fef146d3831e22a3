//! The timing loop: batches of an operation, and the median of their times.

use std::time::Duration;
use std::time::Instant;

/// How many batches count, and how many operations are in each.
#[derive(Clone, Copy)]
pub(crate) struct Batches {
    pub(crate) count: usize,
    pub(crate) operations: usize,
}

impl Batches {
    /// As `self`, with operations that are so many times longer.
    pub(crate) fn shorter(self, times: usize) -> Self {
        Self { operations: (self.operations / times).max(1), ..self }
    }

    /// Prints nanoseconds per operation. `batch` runs as many operations as it is told, and tells how long that took.
    pub(crate) fn report<E>(self, name: &str, mut batch: impl FnMut(usize) -> Result<Duration, E>) -> Result<(), E> {
        batch(self.operations)?;
        let mut times = Vec::with_capacity(self.count);
        for _ in 0..self.count {
            times.push(batch(self.operations)?.as_nanos() as f64 / self.operations as f64);
        }
        times.sort_by(f64::total_cmp);
        let (least, median, most) = (times[0], times[self.count / 2], times[self.count - 1]);
        println!("{name:<68} {median:>9.0} ns   ({least:.0} to {most:.0})");
        Ok(())
    }
}

/// How long `work` takes.
pub(crate) fn timed<E>(work: impl FnOnce() -> Result<(), E>) -> Result<Duration, E> {
    let began = Instant::now();
    work()?;
    Ok(began.elapsed())
}
