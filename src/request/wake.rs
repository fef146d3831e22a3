//! Waking the owners of connections that others have sent to: at once, or when the sending thread has sent to all.
//!
//! To wake a thread is a system call, after which the woken thread may well run in place of the one that has woken it. One
//! that sends to a thousand under a lock would lose the processor a thousand times, with the lock: all who want it wait.

use std::cell::RefCell;
use std::sync::Arc;

use crate::sync::Notify;
use crate::sync::thread_local;
use crate::sys::flag::Flag;

/// How the owner of a connection that waits is woken.
pub(crate) enum Wake {
    /// It is parked under this token.
    Parked(Arc<dyn Notify>, u64),
    /// A thread waits for it.
    Thread(Arc<Flag>),
}

thread_local! {
    /// Whom this thread is still to wake; `None` while it wakes at once.
    static LATER: RefCell<Option<Vec<Wake>>> = const { RefCell::new(None) };
}

impl Wake {
    /// Wakes the owner: now, or when the surrounding [`after`] is over.
    pub(super) fn notify(self) {
        let mut wake = Some(self);
        // A thread that ends has no such variable any more, and wakes at once.
        let _ = LATER.try_with(|later| {
            if let Some(later) = &mut *later.borrow_mut() {
                later.extend(wake.take());
            }
        });
        if let Some(wake) = wake {
            wake.notify_now();
        }
    }

    fn notify_now(self) {
        match self {
            Self::Parked(queue, token) => queue.notify(token),
            Self::Thread(bell) => bell.raise(),
        }
    }
}

/// Wakes those whom `send` has sent to when it is over, whichever way.
pub(super) fn after<T>(send: impl FnOnce() -> T) -> T {
    let _outermost = Outermost::begin();
    send()
}

/// What wakes, when it is dropped, those who were to be woken meanwhile.
struct Outermost;

impl Outermost {
    /// `None` inside of another.
    fn begin() -> Option<Self> {
        let begin = |later: &RefCell<Option<Vec<Wake>>>| {
            let mut later = later.borrow_mut();
            later.is_none().then(|| *later = Some(Vec::new()))
        };
        LATER.try_with(begin).ok().flatten().map(|()| Self)
    }
}

impl Drop for Outermost {
    fn drop(&mut self) {
        let wakes = LATER.try_with(|later| later.borrow_mut().take()).ok().flatten();
        wakes.into_iter().flatten().for_each(Wake::notify_now);
    }
}

#[cfg(all(test, not(socketserver_shuttle)))]
mod tests {
    use std::panic::AssertUnwindSafe;
    use std::panic::catch_unwind;

    use parking_lot::Mutex;

    use super::*;
    use crate::request::mailbox::Mailbox;
    use crate::request::sender::Sender;

    /// Who was woken, in order.
    #[derive(Default)]
    struct Woken(Mutex<Vec<u64>>);

    impl Notify for Woken {
        fn notify(&self, token: u64) {
            self.0.lock().push(token);
        }
    }

    impl Woken {
        fn take(&self) -> Vec<u64> {
            std::mem::take(&mut self.0.lock())
        }
    }

    /// Connections that wait for their clients, and where it is seen that they are woken.
    fn parked() -> (Arc<Woken>, Vec<Sender>) {
        let woken = Arc::new(Woken::default());
        let park = |token| {
            let mailbox = Arc::new(Mailbox::new(100));
            assert!(mailbox.await_mail(|| Wake::Parked(woken.clone(), token)));
            Sender::new(mailbox)
        };
        let senders = (0..3).map(park).collect();
        (woken, senders)
    }

    #[test]
    fn a_message_wakes_its_connection_at_once() {
        let (woken, senders) = parked();
        for (token, sender) in senders.iter().enumerate() {
            sender.send("hello").unwrap();
            assert_eq!(woken.take(), [token as u64]);
            sender.send("again").unwrap();
            assert_eq!(woken.take(), []);
        }
    }

    #[test]
    fn connections_are_woken_when_all_has_been_sent() {
        let (woken, senders) = parked();
        let outcome = Sender::wake_after(|| {
            for sender in &senders[..2] {
                sender.send("hello").unwrap();
                sender.send("again").unwrap();
            }
            Sender::wake_after(|| senders[2].close());
            assert_eq!(woken.take(), []);
            "sent"
        });
        assert_eq!((outcome, woken.take()), ("sent", vec![0, 1, 2]));
        assert_eq!(senders.iter().map(Sender::pending).collect::<Vec<_>>(), [10, 10, 0]);
    }

    #[test]
    fn a_panic_leaves_nobody_asleep() {
        let (woken, senders) = parked();
        let send = || {
            senders[1].send("hello").unwrap();
            panic!("on purpose");
        };
        catch_unwind(AssertUnwindSafe(|| Sender::wake_after(send))).unwrap_err();
        assert_eq!(woken.take(), [1]);
        senders[2].send("hello").unwrap();
        assert_eq!(woken.take(), [2]);
    }
}
