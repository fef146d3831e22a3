//! Locks, atomics, parked threads, their variables and the clock of the concurrent structures: the real ones, or
//! shuttle's when they are model-checked.
//!
//! What goes through here the checker sees: it may go on with another thread at each lock, wait and atomic access. In a
//! model time does not pass by itself: a wait with a timeout ends whenever the checker likes, and the clock jumps.

#[cfg(not(socketserver_shuttle))]
pub(crate) use real::*;

#[cfg(socketserver_shuttle)]
pub(crate) use modelled::*;

/// Where connections that are parked are woken, from any thread.
pub(crate) trait Notify: Send + Sync {
    /// The connection with this token has news.
    fn notify(&self, token: u64);
}

#[cfg(not(socketserver_shuttle))]
mod real {
    use std::time::Duration;
    use std::time::Instant;

    pub(crate) use parking_lot::Mutex;
    pub(crate) use parking_lot::MutexGuard;
    pub(crate) use std::thread_local;

    /// `std::sync::atomic`.
    pub(crate) mod atomic {
        pub(crate) use std::sync::atomic::AtomicBool;
        pub(crate) use std::sync::atomic::AtomicU8;
        pub(crate) use std::sync::atomic::AtomicU64;
        pub(crate) use std::sync::atomic::AtomicUsize;
        pub(crate) use std::sync::atomic::Ordering;
    }

    /// Threads that wait for a token.
    pub(crate) mod thread {
        pub(crate) use std::thread::Thread;
        pub(crate) use std::thread::current;
        pub(crate) use std::thread::park;
        pub(crate) use std::thread::park_timeout;
    }

    #[inline]
    pub(crate) fn now() -> Instant {
        Instant::now()
    }

    #[derive(Debug, Default)]
    pub(crate) struct Condvar(parking_lot::Condvar);

    impl Condvar {
        pub(crate) fn wait<'a, T>(&self, mut guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
            self.0.wait(&mut guard);
            guard
        }

        /// For `timeout` at the most.
        pub(crate) fn wait_for<'a, T>(&self, mut guard: MutexGuard<'a, T>, timeout: Duration) -> MutexGuard<'a, T> {
            self.0.wait_for(&mut guard, timeout);
            guard
        }

        pub(crate) fn notify_one(&self) {
            self.0.notify_one();
        }
    }
}

#[cfg(socketserver_shuttle)]
mod modelled {
    use std::ops::Deref;
    use std::ops::DerefMut;
    use std::sync::OnceLock;
    use std::sync::PoisonError;
    use std::sync::atomic::AtomicU64;
    use std::sync::atomic::Ordering;
    use std::time::Duration;
    use std::time::Instant;

    use shuttle::rand::Rng;
    pub(crate) use shuttle::thread_local;

    /// shuttle's: sequentially consistent, whatever order is asked for.
    pub(crate) mod atomic {
        pub(crate) use shuttle::sync::atomic::AtomicBool;
        pub(crate) use shuttle::sync::atomic::AtomicU8;
        pub(crate) use shuttle::sync::atomic::AtomicU64;
        pub(crate) use shuttle::sync::atomic::AtomicUsize;
        pub(crate) use shuttle::sync::atomic::Ordering;
    }

    pub(crate) mod thread {
        use std::time::Duration;

        pub(crate) use shuttle::thread::Thread;
        pub(crate) use shuttle::thread::current;
        pub(crate) use shuttle::thread::park;

        pub(crate) fn park_timeout(_: Duration) {
            shuttle::thread::yield_now();
        }
    }

    /// Jumps by nothing, a little or a lot between two looks.
    pub(crate) fn now() -> Instant {
        static BEGIN: OnceLock<Instant> = OnceLock::new();
        static PASSED: AtomicU64 = AtomicU64::new(0);
        const JUMPS: [u64; 4] = [0, 1_000, 100_000, 3_000_000];
        let jump = JUMPS[shuttle::rand::thread_rng().gen_range(0..JUMPS.len())];
        let passed = PASSED.fetch_add(jump, Ordering::Relaxed) + jump;
        *BEGIN.get_or_init(Instant::now) + Duration::from_nanos(passed)
    }

    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(shuttle::sync::Mutex<T>);

    pub(crate) struct MutexGuard<'a, T> {
        mutex: &'a Mutex<T>,
        guard: shuttle::sync::MutexGuard<'a, T>,
    }

    impl<T> Mutex<T> {
        pub(crate) const fn new(value: T) -> Self {
            Self(shuttle::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            MutexGuard { mutex: self, guard: self.0.lock().unwrap_or_else(PoisonError::into_inner) }
        }

        pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
            Some(MutexGuard { mutex: self, guard: self.0.try_lock().ok()? })
        }
    }

    impl<T> Deref for MutexGuard<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            &self.guard
        }
    }

    impl<T> DerefMut for MutexGuard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            &mut self.guard
        }
    }

    #[derive(Debug, Default)]
    pub(crate) struct Condvar(shuttle::sync::Condvar);

    impl Condvar {
        pub(crate) fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
            let MutexGuard { mutex, guard } = guard;
            MutexGuard { mutex, guard: self.0.wait(guard).unwrap_or_else(PoisonError::into_inner) }
        }

        pub(crate) fn wait_for<'a, T>(&self, guard: MutexGuard<'a, T>, _: Duration) -> MutexGuard<'a, T> {
            let mutex = guard.mutex;
            drop(guard);
            shuttle::thread::yield_now();
            mutex.lock()
        }

        pub(crate) fn notify_one(&self) {
            self.0.notify_one();
        }
    }
}
