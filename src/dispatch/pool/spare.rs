//! Spare threads: started while others wait, ended when they are not needed any more.
//!
//! Each is a rayon pool of its own: a thread of a common pool could not end before all others do.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::Mutex;

use super::scheduler::Scheduler;
use super::scheduler::Start;
use crate::dispatch::Task;
use crate::managed::with_pool;
use crate::panics::Thrown;

/// What starts the thread of a lane.
pub(super) fn starter<J>(
    scheduler: &Arc<Scheduler<J>>,
    threads: &Arc<Mutex<Vec<JoinHandle<()>>>>,
    stack_size: Option<usize>,
) -> Start
where
    J: Task + Send + 'static,
    J::Source: Send,
    J::Reporter: Send + Sync,
{
    let (scheduler, threads) = (Arc::downgrade(scheduler), Arc::clone(threads));
    Box::new(move |index| {
        let Some(scheduler) = scheduler.upgrade() else { return Err(io::ErrorKind::Other.into()) };
        let mut builder = std::thread::Builder::new().name(format!("spare-{index}"));
        if let Some(bytes) = stack_size {
            builder = builder.stack_size(bytes);
        }
        let thread = builder.spawn(move || run(&scheduler, index))?;
        let mut threads = threads.lock();
        threads.retain(|thread| !thread.is_finished());
        threads.push(thread);
        Ok(())
    })
}

/// Makes the calling thread a pool of one, until the scheduler does not need it any more.
fn run<J>(scheduler: &Arc<Scheduler<J>>, index: usize)
where
    J: Task + Send + 'static,
    J::Source: Send,
    J::Reporter: Send + Sync,
{
    let pool = Arc::new(Mutex::new(None));
    let mut own = None;
    let (work, end) = (Arc::clone(scheduler), Arc::clone(&pool));
    let built = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .start_handler(move |_| {
            with_pool(Arc::clone(&work) as _, index, || work.work(index));
            // What handlers have given to `rayon::spawn` runs before the thread ends.
            drop(end.lock().take());
        })
        .panic_handler(|payload| drop(Thrown::new(payload)))
        .spawn_handler(|thread| {
            own = Some(thread);
            Ok(())
        })
        .build();
    *pool.lock() = built.ok();
    if let Some(thread) = own {
        thread.run();
    }
}
