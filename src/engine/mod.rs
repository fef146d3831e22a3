//! What every dispatch drives: accepting, the loop that waits, and the steps of a request.
//!
//! A request meets the files in this order: [`serve_loop`] waits, [`acceptor`] takes what [`listening`] makes of a
//! connection, a [`job`] goes through its steps, in turns that [`turns`] lets wait. [`task`] is what a dispatch sees of a
//! job. [`errands`] are what the loop looks after beside its requests.

#![allow(
    private_interfaces,
    reason = "traits here are public for the sake of bounds, and can be named by this crate alone"
)]

pub(crate) mod acceptor;
pub(crate) mod answered;
pub(crate) mod calls;
pub(crate) mod core;
pub(crate) mod drive;
pub(crate) mod errands;
mod first_panic;
pub(crate) mod job;
pub(crate) mod listening;
pub(crate) mod report;
pub(crate) mod serve_loop;
pub(crate) mod source;
pub(crate) mod task;
pub(crate) mod turns;
pub(crate) mod worker;
