//! Exact limits and what happens when they are reached.

pub(crate) mod accept_policy;
pub(crate) mod permit;
