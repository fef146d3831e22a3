//! Catching panics of user code, and what they have thrown.

use std::any::Any;
use std::mem::ManuallyDrop;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;

/// What a panic has thrown. Dropping it does not panic, whatever its value does when it is dropped.
#[derive(Debug)]
pub(crate) struct Thrown(ManuallyDrop<Box<dyn Any + Send>>);

impl Thrown {
    pub(crate) fn new(payload: Box<dyn Any + Send>) -> Self {
        Self(ManuallyDrop::new(payload))
    }

    /// What the panic said; a value that is not text is named as such.
    pub(crate) fn message(&self) -> String {
        self.0
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| self.0.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "a value that is not text".to_owned())
    }
}

impl Drop for Thrown {
    fn drop(&mut self) {
        let payload = std::mem::replace(&mut *self.0, Box::new(()));
        if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            // Its destructor has panicked, and that of what it threw may do so as well, without end: it is leaked.
            std::mem::forget(another);
        }
    }
}

/// Runs `step`; a panic is caught.
pub(crate) fn catch<T>(step: impl FnOnce() -> T) -> Result<T, Thrown> {
    catch_unwind(AssertUnwindSafe(step)).map_err(Thrown::new)
}

#[cfg(all(test, not(socketserver_shuttle)))]
mod tests {
    use super::*;

    /// Panics when it is dropped, and throws another of its kind.
    struct Bomb(u32);

    impl Drop for Bomb {
        fn drop(&mut self) {
            if self.0 > 0 {
                std::panic::panic_any(Self(self.0 - 1));
            }
        }
    }

    #[test]
    fn what_was_thrown_is_dropped_without_a_panic() {
        let thrown = catch(|| std::panic::panic_any(Bomb(2))).unwrap_err();
        assert_eq!(thrown.message(), "a value that is not text");
        drop(thrown);
    }

    #[test]
    fn the_message_is_what_the_panic_said() {
        assert_eq!(catch(|| panic!("seven")).unwrap_err().message(), "seven");
        let seven = 7;
        assert_eq!(catch(|| panic!("it is {seven}")).unwrap_err().message(), "it is 7");
        assert_eq!(catch(|| seven).unwrap(), 7);
    }
}
