//! What single steps cost: `cargo bench --bench micro`.
//!
//! Everything is measured through the public API and on one CPU, so that a hand-over to another thread is a switch of
//! threads. The base of a round trip is the same without this crate: what is above it is the crate's.

#[cfg(target_os = "linux")]
mod steps;
#[cfg(target_os = "linux")]
mod timing;

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    steps::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("the micro benches stay on one CPU, which needs Linux");
}
