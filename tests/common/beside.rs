//! What goes on beside a test: on a thread, or, where the test must have one thread, in a process.

use std::thread::JoinHandle;

#[cfg(unix)]
use super::process::Forked;
#[cfg(unix)]
use super::process::is_alone;

/// Something that is done while the test goes on.
#[derive(Debug)]
pub enum Beside {
    Thread(JoinHandle<()>),
    #[cfg(unix)]
    Process(Forked),
}

impl Beside {
    pub fn start(run: impl FnOnce() + Send + 'static) -> Self {
        #[cfg(unix)]
        if is_alone() {
            return Self::Process(Forked::start(run));
        }
        Self::Thread(std::thread::spawn(run))
    }

    /// Waits until it is done; a panic of it is one of the test.
    #[track_caller]
    pub fn join(self) {
        match self {
            Self::Thread(thread) => thread.join().expect("no panic beside"),
            #[cfg(unix)]
            Self::Process(process) => assert!(process.wait(), "a panic beside, see above"),
        }
    }
}
