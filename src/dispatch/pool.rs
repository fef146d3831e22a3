//! N threads for any number of connections. (first version: to be replaced)
use super::*;

/// Pool.
#[derive(Clone, Debug, Default)]
pub struct Pool;
impl Pool { /// Workers.
 #[must_use] pub fn workers(self, _: usize) -> Self { self } }
impl Dispatch for Pool { const NAME: &'static str = "Pool"; }
impl ServesInBackground for Pool {}
impl<J: Task + Send + 'static> Process<J> for Pool where J::Source: Send, J::Reporter: Send + std::marker::Sync {
    type Running = ();
    fn start(&self, _: &mut ServeLoop<J>) -> Result<(), StartError> { Ok(()) }
    fn process_request(&self, _: &mut (), _: &mut ServeLoop<J>, job: J) -> Result<(), Rejected<J>> { std::thread::spawn(move || job.run()); Ok(()) }
}
