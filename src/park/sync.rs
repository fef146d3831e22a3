//! The lock of the concurrent structures: parking_lot's, or shuttle's when they are model-checked.

#[cfg(not(socketserver_shuttle))]
pub(crate) use parking_lot::Mutex;

#[cfg(socketserver_shuttle)]
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(shuttle::sync::Mutex<T>);

#[cfg(socketserver_shuttle)]
impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(shuttle::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> shuttle::sync::MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
