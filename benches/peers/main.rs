//! This crate's servers against a bare epoll loop, std threads, tokio and tokio-rustls: `cargo bench --bench peers`.
//!
//! The program is both sides: it starts itself as the server, one process for each measurement, on one CPU, and is the
//! load generator on another. The servers of a row take turns, round after round, and ratios are taken within a round.

#[cfg(target_os = "linux")]
mod bare;
#[cfg(target_os = "linux")]
mod certificate;
#[cfg(target_os = "linux")]
mod churn;
#[cfg(target_os = "linux")]
mod load;
#[cfg(target_os = "linux")]
mod measure;
#[cfg(target_os = "linux")]
mod message;
#[cfg(target_os = "linux")]
mod plot;
#[cfg(target_os = "linux")]
mod process;
#[cfg(target_os = "linux")]
mod rivals;
#[cfg(target_os = "linux")]
mod rows;
#[cfg(target_os = "linux")]
mod run;
#[cfg(target_os = "linux")]
mod servers;
#[cfg(target_os = "linux")]
mod session;
#[cfg(target_os = "linux")]
mod socket;
#[cfg(target_os = "linux")]
mod table;
#[cfg(target_os = "linux")]
mod udp;

#[cfg(target_os = "linux")]
fn main() -> servers::Outcome {
    run::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("the comparison needs Linux: epoll, and the accounts of processes in /proc");
}
