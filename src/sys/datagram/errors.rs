//! The error queue of a socket that has asked for one, by `IP_RECVERR` or `IPV6_RECVERR`: ip(7).
//!
//! What it holds is told with whatever call comes next, whomever that is for, and keeps the socket readable until it is
//! taken. Sockets that are bound here have none; one that is adopted may.

use rustix::net::RecvFlags;

use super::DatagramSocket;

impl DatagramSocket {
    /// Empties the error queue; false if there was nothing in it.
    pub(super) fn take_errors(&self) -> bool {
        // Unix sockets have none, and would give a message instead.
        if !self.is_inet {
            return false;
        }
        let flags = RecvFlags::ERRQUEUE | RecvFlags::DONTWAIT;
        let mut found = false;
        while rustix::net::recv(&self.socket, &mut [0; 1], flags).is_ok() {
            found = true;
        }
        found
    }
}
